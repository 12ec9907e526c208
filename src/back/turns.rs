//! Turns for the front while SQLite works: the progress handler, its deadline, and the way of a panic around C.
//!
//! `with_turns` is the whole interface: within its body SQLite calls back every [`STEPS`] virtual machine steps, and the front gets a turn
//! when SQLite has worked for three quarters of what the last one took, between [`SHORTEST_GAP`] and [`GAP`]: under a saturating load the query
//! has three sevenths of the time, and whoever waits for the front waits less than twice as long as without it. Without the gap such a load
//! would starve the query.
#![allow(unsafe_code)]

use std::any::Any;
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use rusqlite::{Connection, ffi};

use crate::job::{Go, Micros, skew};

/// Virtual machine steps between two looks at the clock.
const STEPS: c_int = 500;
/// Longest time between the end of a turn and the next, in microseconds.
pub const GAP: Micros = 500;
/// Shortest time between the end of a turn and the next, in microseconds: a turn that finds nothing is one system call.
const SHORTEST_GAP: Micros = 45;

/// What SQLite works until the next turn, after one of this length.
fn gap_after(turn: Micros) -> Micros {
    (turn * 3 / 4).clamp(SHORTEST_GAP, GAP)
}

/// Why a statement was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Its time was over: so many microseconds.
    Deadline(Micros),
    /// Nobody waits for its answer.
    Abandoned,
    /// A turn panicked; the payload is thrown again behind SQLite.
    Panicked,
}

/// A turn of the front, which may wait as long as it is told to; the answer says whether the work goes on.
pub type Turn<'t> = &'t mut dyn FnMut(Micros) -> Go;

thread_local! {
    /// The turns of the job that runs on this thread: what SQLite's sleeps find, which get no pointer of ours.
    static CURRENT: Cell<*const Turns<'static>> = const { Cell::new(std::ptr::null()) };
}

/// Gives the front the time for which SQLite wants to sleep; false when no job runs, or a turn runs already. Ends early when the job is to
/// stop.
pub fn pause(micros: Micros) -> bool {
    let current = CURRENT.get();
    if current.is_null() {
        return false;
    }
    // SAFETY: `with_turns` sets the pointer to a frame that outlives its guard, which sets it back; it is reached by shared references.
    let turns = unsafe { &*current };
    if !turns.turn_is_there() {
        return false;
    }
    let end = turns.now() + micros;
    while turns.now() < end && turns.must_stop().is_none() {
        turns.take_turn(end - turns.now().min(end));
        if turns.now() >= turns.deadline.get() {
            turns.stop(turns.overdue());
        }
    }
    true
}

/// Gives the front turns of at most `wait` microseconds until `done`; false when there are none to give, and the caller must wait by
/// itself: no job runs, a turn runs already, or one has panicked. Goes on when the job is to stop: its work is out of SQLite's hands for now.
///
/// SQLite may be in the middle of anything, a COMMIT for one: a turn belongs to the front, which never calls it.
pub fn pause_until(wait: Micros, mut done: impl FnMut() -> bool) -> bool {
    let current = CURRENT.get();
    if current.is_null() {
        return false;
    }
    // SAFETY: as in `pause`.
    let turns = unsafe { &*current };
    turns.note_gap(turns.now());
    while !done() {
        if !turns.has_turn() {
            return false;
        }
        turns.take_turn(wait);
    }
    true
}

/// What the handler finds behind its pointer.
pub struct Turns<'t> {
    /// Taken out while it runs, so that there is never a second way to it.
    turn: Cell<Option<Turn<'t>>>,
    started: Instant,
    began: Micros,
    deadline: Cell<Micros>,
    /// While it is set nothing is stopped: what runs is short, and its end must be known.
    shielded: Cell<bool>,
    last_end: Cell<Micros>,
    /// From the end of the last turn to the next.
    gap: Cell<Micros>,
    in_turns: Cell<Micros>,
    longest_gap: Cell<Micros>,
    stopped: Cell<Option<Stopped>>,
    panic: Cell<Option<Box<dyn Any + Send>>>,
}

impl<'t> Turns<'t> {
    /// The time since the start, as the front tells it.
    pub fn now(&self) -> Micros {
        self.started.elapsed().as_micros() as Micros + skew::monotonic()
    }

    /// Looks at the clock, gives the front its turn when it is due, and says whether the work must stop. Called by SQLite in long
    /// statements and by the row loops in between, because the handler does not fire across short ones.
    pub fn look(&self) -> bool {
        if self.must_stop().is_some() {
            return true;
        }
        let now = self.now();
        if self.note_gap(now) >= self.gap.get() {
            self.take_turn(0);
        }
        if now >= self.deadline.get() {
            self.stop(self.overdue());
        }
        self.must_stop().is_some()
    }

    /// Sets another deadline, for the next part of the work; a stop by the one before is over.
    pub fn limit(&self, deadline: Micros) {
        self.deadline.set(deadline);
        if matches!(self.stopped.get(), Some(Stopped::Deadline(_))) {
            self.stopped.set(None);
        }
    }

    /// Runs what must not be stopped half-way, like COMMIT: SQLite may call the handler at its very end, when the transaction is
    /// over already, and would then report an interrupt. The front has its turns.
    pub fn shielded<R>(&self, body: impl FnOnce() -> R) -> R {
        self.shielded.set(true);
        let result = body();
        self.shielded.set(false);
        result
    }

    fn must_stop(&self) -> Option<Stopped> {
        self.stopped.get().filter(|_| !self.shielded.get())
    }

    /// Why the work was stopped, if it was.
    pub fn stopped(&self) -> Option<Stopped> {
        self.stopped.get()
    }

    fn note_gap(&self, now: Micros) -> Micros {
        let gap = now.saturating_sub(self.last_end.get());
        self.longest_gap.set(self.longest_gap.get().max(gap));
        gap
    }

    /// Whether [`Turns::take_turn`] would give one, to a front that is whole.
    fn has_turn(&self) -> bool {
        self.turn_is_there() && self.stopped.get() != Some(Stopped::Panicked)
    }

    /// Whether no turn runs.
    fn turn_is_there(&self) -> bool {
        let turn = self.turn.take();
        let there = turn.is_some();
        self.turn.set(turn);
        there
    }

    fn take_turn(&self, wait: Micros) {
        // A turn that leads back here (it cannot: a nested turn starts no job) finds no closure and goes on.
        let Some(turn) = self.turn.take() else { return };
        let before = self.now();
        match catch_unwind(AssertUnwindSafe(|| turn(wait))) {
            Ok(Go::On) => {}
            Ok(Go::Stop) => self.stop(Stopped::Abandoned),
            Err(payload) => {
                self.panic.set(Some(payload));
                self.stop(Stopped::Panicked);
            }
        }
        self.turn.set(Some(turn));
        let now = self.now();
        let length = now.saturating_sub(before);
        self.in_turns.set(self.in_turns.get() + length);
        self.gap.set(gap_after(length));
        self.last_end.set(now);
    }

    fn overdue(&self) -> Stopped {
        Stopped::Deadline(self.deadline.get().saturating_sub(self.began))
    }

    fn stop(&self, why: Stopped) {
        // A deadline that passes behind the shield stops what comes after it.
        let waits = self.shielded.get() && matches!(why, Stopped::Deadline(_));
        if self.stopped.get().is_none() && !waits {
            self.stopped.set(Some(why));
        }
    }
}

/// Takes the handler off the connection, and the frame out of reach, however the body ends.
struct Registered<'c>(&'c Connection);

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        CURRENT.set(std::ptr::null());
        // SAFETY: the connection is alive for as long as it is borrowed here; a null handler is always allowed.
        unsafe { ffi::sqlite3_progress_handler(self.0.handle(), 0, None, std::ptr::null_mut()) };
    }
}

unsafe extern "C" fn progress(frame: *mut c_void) -> c_int {
    // SAFETY: `with_turns` registers a pointer to a `Turns` that outlives the registration, and reaches it only by shared references;
    // this thread is the only one that uses the connection.
    let turns = unsafe { &*frame.cast::<Turns<'static>>() };
    c_int::from(turns.look())
}

/// How long work took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Took {
    /// The longest time between two looks.
    pub longest_gap: Micros,
    /// All of it without the front's turns.
    pub worked: Micros,
}

/// Runs `body` with turns for the front until `deadline`, and returns what it gave with how long that took.
///
/// # Panics
/// Again with the payload of a turn that panicked, once SQLite is left.
pub fn with_turns<R>(
    conn: &Connection, started: Instant, deadline: Micros, turn: Turn<'_>, body: impl FnOnce(&Turns<'_>) -> R,
) -> (R, Took) {
    let began = started.elapsed().as_micros() as Micros + skew::monotonic();
    let turns = Turns {
        turn: Cell::new(Some(turn)),
        started,
        began,
        deadline: Cell::new(deadline),
        shielded: Cell::new(false),
        last_end: Cell::new(began),
        gap: Cell::new(SHORTEST_GAP),
        in_turns: Cell::new(0),
        longest_gap: Cell::new(0),
        stopped: Cell::new(None),
        panic: Cell::new(None),
    };
    let guard = Registered(conn);
    let frame: *const Turns<'_> = &turns;
    // SAFETY: `frame` stays valid until `guard` takes the handler off, which happens before `turns` is dropped, on unwinding too.
    unsafe { ffi::sqlite3_progress_handler(conn.handle(), STEPS, Some(progress), frame.cast_mut().cast()) };
    CURRENT.set(frame.cast());
    let result = body(&turns);
    drop(guard);
    let now = turns.now();
    turns.note_gap(now);
    if let Some(payload) = turns.panic.take() {
        std::panic::resume_unwind(payload);
    }
    let worked = now.saturating_sub(began).saturating_sub(turns.in_turns.get());
    (result, Took { longest_gap: turns.longest_gap.get(), worked })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const LONG: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

    fn run(conn: &Connection, deadline: Micros, turn: Turn<'_>) -> (rusqlite::Result<i64>, Option<Stopped>) {
        let query = |turns: &Turns<'_>| (conn.query_row(LONG, [], |row| row.get(0)), turns.stopped());
        with_turns(conn, Instant::now(), deadline, turn, query).0
    }

    fn interrupted(result: &rusqlite::Result<i64>) -> bool {
        result.as_ref().is_err_and(|error| error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted))
    }

    #[test]
    fn a_long_query_gives_turns_until_its_deadline() {
        let conn = Connection::open_in_memory().unwrap();
        let mut turns = 0;
        let (result, stopped) = run(&conn, 30_000, &mut |_| {
            turns += 1;
            Go::On
        });
        assert!(interrupted(&result), "{result:?}");
        assert!(matches!(stopped, Some(Stopped::Deadline(_))), "{stopped:?}");
        assert!(turns > 2, "{turns} turns in 30 ms");
        assert_eq!(conn.query_row("SELECT 1", [], |row| row.get(0)), Ok(1), "the connection is usable at once");
    }

    #[test]
    fn a_gap_is_three_quarters_of_the_turn_before_it_within_bounds() {
        assert_eq!([0, 60, 100, 400, 1000].map(gap_after), [SHORTEST_GAP, SHORTEST_GAP, 75, 300, GAP]);
    }

    #[test]
    fn the_query_works_three_quarters_as_long_as_the_front_did() {
        let conn = Connection::open_in_memory().unwrap();
        let starts = std::cell::RefCell::new(Vec::new());
        let mut turn = |_| {
            let began = Instant::now();
            starts.borrow_mut().push(began);
            // Turns of 300 us.
            while began.elapsed() < Duration::from_micros(300) {}
            if starts.borrow().len() < 20 { Go::On } else { Go::Stop }
        };
        let (_, stopped) = run(&conn, Micros::MAX, &mut turn);
        assert_eq!(stopped, Some(Stopped::Abandoned));
        let mut starts = starts.into_inner();
        // The first comes early; however slow the machine is, none of the others does.
        for pair in starts.drain(1..).collect::<Vec<_>>().windows(2) {
            assert!(pair[1] - pair[0] >= Duration::from_micros(300 + 225 - 2), "{:?}", pair[1] - pair[0]);
        }
    }

    #[test]
    fn a_turn_that_says_stop_ends_the_query() {
        let conn = Connection::open_in_memory().unwrap();
        let (result, stopped) = run(&conn, Micros::MAX, &mut |_| Go::Stop);
        assert!(interrupted(&result));
        assert_eq!(stopped, Some(Stopped::Abandoned));
    }

    #[test]
    fn a_shield_holds_off_every_stop_and_a_new_deadline_ends_an_old_one() {
        let conn = Connection::open_in_memory().unwrap();
        const SOME: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 30000) SELECT count(*) FROM n";
        let query = || conn.query_row(SOME, [], |row| row.get::<_, i64>(0));
        with_turns(&conn, Instant::now(), 0, &mut |_| Go::Stop, |turns| {
            assert_eq!(turns.shielded(query), Ok(30_000));
            assert!(query().is_err(), "and behind it the stop holds");
        });
        with_turns(&conn, Instant::now(), 0, &mut |_| Go::On, |turns| {
            assert!(query().is_err());
            assert!(matches!(turns.stopped(), Some(Stopped::Deadline(_))));
            turns.limit(Micros::MAX);
            assert_eq!(query(), Ok(30_000));
        });
    }

    #[test]
    fn a_panic_in_a_turn_passes_around_sqlite() {
        let conn = Connection::open_in_memory().unwrap();
        let caught = catch_unwind(AssertUnwindSafe(|| run(&conn, Micros::MAX, &mut |_| panic!("in a turn"))));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"in a turn"));
        assert_eq!(conn.query_row("SELECT 1", [], |row| row.get(0)), Ok(1), "the handler is off and the connection usable");
    }

    #[test]
    fn a_wait_for_something_is_spent_in_turns_even_when_the_job_is_to_stop() {
        assert!(!pause_until(10, || panic!("not asked where no job runs")));
        let conn = Connection::open_in_memory().unwrap();
        for answer in [Go::On, Go::Stop] {
            let mut waits = Vec::new();
            let mut left = 5;
            let mut turn = |wait| {
                waits.push(wait);
                answer
            };
            let wait = |turns: &Turns<'_>| {
                std::thread::sleep(Duration::from_millis(2));
                let done = pause_until(77, || {
                    left -= 1;
                    left == 0
                });
                (done, turns.stopped())
            };
            let ((done, stopped), took) = with_turns(&conn, Instant::now(), Micros::MAX, &mut turn, wait);
            assert!(done);
            assert_eq!(stopped, (answer == Go::Stop).then_some(Stopped::Abandoned));
            assert_eq!(waits, [77; 4]);
            assert!(took.longest_gap >= 2000, "what came before the wait is noted: {took:?}");
        }
    }

    #[test]
    fn no_turn_is_given_after_one_that_panicked_nor_within_one() {
        let conn = Connection::open_in_memory().unwrap();
        let mut turns = 0;
        let mut waited = true;
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let turn: Turn<'_> = &mut |_| {
                turns += 1;
                assert!(!pause_until(1, || false), "a turn runs already");
                panic!("in a turn")
            };
            let mut asked = 0;
            let enough = || {
                asked += 1;
                asked == 100
            };
            with_turns(&conn, Instant::now(), Micros::MAX, turn, |_| waited = pause_until(1, enough));
        }));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"in a turn"));
        assert_eq!((turns, waited), (1, false));
    }
}
