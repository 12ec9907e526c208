//! Who asks what must always be answered: critical routes and health, over and over, and how long they went without.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::question::{Judgement, Question};
use super::tally::{Tally, Times};
use crate::rig::http::Answer;
use crate::rig::line::Line;

/// Between two questions.
const PACE: Duration = Duration::from_millis(5);
/// The longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(15);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Times are counts: a panic of another thread leaves none half counted.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the threads of a row share.
#[derive(Default)]
pub struct Shared {
    stop: AtomicBool,
    /// The version of the row `now` that is committed.
    pub version: AtomicU64,
    keys: AtomicU64,
    /// What clients of critical routes waited.
    pub critical: Mutex<Times>,
    /// What who asks for health waited.
    pub health: Mutex<Times>,
}

impl Shared {
    /// All threads come to an end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether they are to.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// What was waited for critical routes and for health up to now.
    pub fn waits(&self) -> (Times, Times) {
        (locked(&self.critical).clone(), locked(&self.health).clone())
    }

    /// Forgets what was waited up to now.
    pub fn measure_anew(&self) {
        *locked(&self.critical) = Times::default();
        *locked(&self.health) = Times::default();
    }

    /// The critical question about the row that changes, as of this moment.
    pub fn now(&self) -> Question {
        Question::Now(self.version.load(Ordering::Acquire))
    }

    /// A key that no write has had.
    pub fn key(&self) -> u64 {
        self.keys.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// What a prober found.
#[derive(Debug, Default)]
pub struct Probed {
    /// Its requests.
    pub tally: Tally,
    /// The longest time between two good answers.
    pub gap: Duration,
}

/// Asks one thing until the end, over and over, and notes in `waits` how long a client waited that tries again until it is answered.
pub fn probe(shared: &Shared, address: SocketAddr, waits: &Mutex<Times>, ask: impl Fn() -> Question) -> Probed {
    let (mut line, mut found) = (None, Probed::default());
    let mut last = Instant::now();
    while !shared.stopped() {
        let first_try = Instant::now();
        while !is_good(&mut line, address, &ask(), &mut found.tally) && !shared.stopped() {
            std::thread::sleep(PACE);
        }
        found.gap = found.gap.max(last.elapsed());
        locked(waits).add(first_try.elapsed());
        last = Instant::now();
        std::thread::sleep(PACE);
    }
    found
}

/// One try; whether the answer was good.
fn is_good(line: &mut Option<Line>, address: SocketAddr, question: &Question, tally: &mut Tally) -> bool {
    let asked = Instant::now();
    let Some(answer) = answer(line, address, &question.request()) else {
        tally.broke(1);
        return false;
    };
    let judgement = question.judge(&answer);
    let good = judgement == Judgement::Served;
    tally.add(judgement, asked.elapsed());
    good
}

fn answer(held: &mut Option<Line>, address: SocketAddr, request: &str) -> Option<Answer> {
    // A kept connection may have been closed as the longest idle one; that is no refusal.
    for is_new in [held.is_none(), true] {
        let mut line = held.take().or_else(|| {
            let line = Line::open(address).ok()?;
            line.patience(PATIENCE).ok()?;
            Some(line)
        })?;
        if let Ok(Some(answer)) = line.ask(request) {
            if !answer.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
                *held = Some(line);
            }
            return Some(answer);
        }
        if is_new {
            break;
        }
    }
    None
}
