//! What must hold after every call of the front, each with a message that says what does not.

use flagstone::budget::{CONNECTIONS, EXCHANGES, PIPELINE, SLOTS_PER_CLIENT};
use flagstone::config::Limits;
use flagstone::front::Front;
use flagstone::front::audit::{Audit, View};
use flagstone::front::slots::{NEVER, State};
use flagstone::job::{Micros, SlotId};
use flagstone::ops::metrics::{CloseReason, Refusal};

use super::network::SimNet;
use super::world::{LISTENERS, World};
use super::{objections, reasons};

/// Deadlines are kept to this; `front/timers.rs` says why.
pub const GRAIN: Micros = 20_000;
/// `front/listener.rs` accepts no more from one listener in one turn.
const ACCEPTS_PER_TURN: usize = 32;
/// What counts as progress of a slow client, as `front/write.rs` has it.
pub const PROGRESS_BYTES: u64 = 4096;

/// The cache is added up every so many checks: it has many places.
const CACHE_EVERY: usize = 32;

/// What was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Turn,
    NestedTurn,
    NextJob,
    Finish,
}

/// A state as it was first seen; a connection that was served meanwhile is seen anew.
/// How long the request of a connection is awaited that is to be turned away.
const HEARING_MS: u64 = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    id: SlotId,
    state: State,
    answers: u64,
    blocked: bool,
}

impl Seen {
    /// How long this may last, in microseconds; while output waits for its client only the write deadline runs.
    fn limit(self) -> Option<Micros> {
        let config = Limits::DEFAULT;
        let limit = match self.state {
            state if state.reads() && self.blocked => return None,
            State::FirstByte => config.first_byte_ms,
            State::Idle => config.idle_ms,
            State::Head => config.head_ms,
            State::Body => config.body_ms,
            State::Queued | State::Joined => config.queue_ms,
            State::Lingering(_) => config.linger_ms,
            State::Refusing(_) => HEARING_MS,
            State::Free | State::Running | State::Closing(_) => return None,
        };
        Some(limit * 1000)
    }
}

pub struct Checker {
    seen: Vec<Option<(Seen, Micros)>>,
    closed: [u64; CloseReason::ALL.len()],
    /// Requests that were shed, and that waited in vain, by the last check.
    shed: u64,
    timed_out: u64,
    checks: usize,
    /// The slot whose job is out.
    pub running: Option<SlotId>,
}

impl Checker {
    pub fn new() -> Checker {
        Checker {
            seen: vec![None; CONNECTIONS],
            closed: [0; CloseReason::ALL.len()],
            shed: 0,
            timed_out: 0,
            checks: 0,
            running: None,
        }
    }

    /// All invariants; panics with what is broken.
    pub fn check(&mut self, step: Step, front: &Front<SimNet>, world: &mut World) {
        if let Some(objection) = objections::take() {
            panic!("{objection}");
        }
        if let Err(wrong) = self.judge(step, front, world) {
            panic!("at {} after {step:?}: {wrong}", world.now);
        }
    }

    fn judge(&mut self, step: Step, front: &Front<SimNet>, world: &mut World) -> Result<(), String> {
        let audit = front.audit();
        self.sums(&audit, front, world)?;
        self.sheds(&audit, front)?;
        self.drops(front, world)?;
        self.slept_in_time(world)?;
        for index in 0..CONNECTIONS as u16 {
            let Some(view) = front.view(index) else {
                self.seen[usize::from(index)] = None;
                continue;
            };
            let connection = world.by_slot[usize::from(index)].filter(|&id| world.connections[id].slot == Some(view.id));
            let Some(connection) = connection else {
                return Err(format!("a slot is taken by no open connection: {view:?}"));
            };
            self.bounds(&view)?;
            awake(&view, connection, world).map_err(|wrong| format!("connection {connection}: {wrong}: {view:?}"))?;
            timer_is_set(&view, &audit, front.now())?;
            let kept = self.deadlines(step, front.now(), &view, connection, world);
            kept.map_err(|wrong| format!("connection {connection}: {wrong}: {view:?}"))?;
        }
        self.checks += 1;
        if self.checks.is_multiple_of(CACHE_EVERY) {
            cache_adds_up(front)?;
        }
        for (at, queue) in world.accept_queues.iter().enumerate() {
            if !queue.is_empty() && world.listening && !world.listener_in_list[at] && !front.listener_is_awake(at) {
                return Err(format!("{} connections wait at listener {at} and nobody knows", queue.len()));
            }
        }
        Ok(())
    }

    /// What is handed out and what is there add up.
    fn sums(&self, audit: &Audit, front: &Front<SimNet>, world: &World) -> Result<(), String> {
        let open = world.by_slot.iter().flatten().count();
        let closed: u64 = front.metrics.closed.iter().sum();
        let exchanges = audit.exchanges + usize::from(self.running.is_some());
        let running = (0..CONNECTIONS as u16).filter_map(|index| front.view(index)).filter(|view| view.state == State::Running);
        let abroad = running.filter(|view| Some(view.id) != self.running).count();
        for (what, left, right) in [
            ("slots in use and slots with a connection", audit.slots_in_use, audit.slots_occupied),
            ("slots in use and open connections", audit.slots_in_use, open),
            ("blocks free or held, and all", audit.blocks_free + audit.blocks_held, audit.blocks),
            ("request buffers at home or with the job, and all", exchanges, EXCHANGES),
            ("queue entries and queued slots", audit.queue_entries, audit.slots_queued),
            ("joined and slots that joined", audit.joined, audit.slots_joined),
            ("slots that joined a job that is neither queued nor running, and none", audit.slots_orphaned, 0),
            ("connections accepted, and closed or open", front.metrics.accepted as usize, closed as usize + open),
            ("running slots without a job, and none", abroad, 0),
        ] {
            if left != right {
                return Err(format!("{what}: {left} is not {right}"));
            }
        }
        if audit.largest_client > SLOTS_PER_CLIENT {
            return Err(format!("one client has {} connections", audit.largest_client));
        }
        if world.accepts > (ACCEPTS_PER_TURN + 1) * LISTENERS {
            return Err(format!("{} accepts in one turn", world.accepts));
        }
        Ok(())
    }

    /// Nobody is sent away while nobody waits: the back is never left without work for want of what was shed.
    fn sheds(&mut self, audit: &Audit, front: &Front<SimNet>) -> Result<(), String> {
        let refused = |refusal: Refusal| front.metrics.refused[refusal as usize];
        let (shed, timed_out) = (refused(Refusal::Shed), refused(Refusal::QueueTimeout));
        let grew = shed > self.shed;
        // Whoever waited may have gone since.
        let gone = timed_out > self.timed_out || front.metrics.closed != self.closed;
        (self.shed, self.timed_out) = (shed, timed_out);
        if grew && !gone && audit.queue_entries == 0 { Err("shed, though nobody waits".to_owned()) } else { Ok(()) }
    }

    /// No wait lasted beyond the time at which a connection's time was over.
    fn slept_in_time(&self, world: &World) -> Result<(), String> {
        let (from, to) = world.wait;
        for (seen, since) in self.seen.iter().flatten() {
            if let Some(limit) = seen.limit()
                && from < since + limit
                && to > since + limit + GRAIN
            {
                return Err(format!("slept from {from} to {to}, longer than this may last, since {since}: {seen:?}"));
            }
        }
        Ok(())
    }

    fn bounds(&self, view: &View) -> Result<(), String> {
        // A refusal or a timeout's answer may come on top of a full pipeline.
        if view.answers > PIPELINE + 1 { Err(format!("more answers than the pipeline holds: {view:?}")) } else { Ok(()) }
    }

    /// Every connection that the front dropped has a counted reason that fits what it had done.
    fn drops(&mut self, front: &Front<SimNet>, world: &mut World) -> Result<(), String> {
        let closed = front.metrics.closed;
        let mut counted = Vec::new();
        for (&reason, (now, before)) in CloseReason::ALL.iter().zip(closed.iter().zip(self.closed)) {
            counted.extend(std::iter::repeat_n(reason, (now - before) as usize));
        }
        self.closed = closed;
        let output_was_full = front.metrics.refused[Refusal::OutputFull as usize] > 0;
        let dropped = std::mem::take(&mut world.dropped);
        if dropped.is_empty() && counted.is_empty() {
            return Ok(());
        }
        let fits: Vec<Vec<CloseReason>> = dropped.iter().map(|drop| reasons::fitting(world, *drop, output_was_full)).collect();
        for (drop, fit) in dropped.iter().zip(&fits) {
            world.trace(|| format!("connection {}: dropped, {counted:?} of {fit:?}", drop.connection));
        }
        if reasons::matched(&fits, &counted) {
            return Ok(());
        }
        let mut told = format!("connections closed for {counted:?}, but these ended:");
        for (drop, fit) in dropped.iter().zip(&fits) {
            let connection = &world.connections[drop.connection];
            let ledger = &connection.ledger;
            told += &format!(
                "\n  connection {} (fits {fit:?}): accepted {:?}, dropped {}, composed {} arrived {} read {} answered to {}, {} answers, \
                 last {:?}, mid-answer {}, owed {:?}, next {:?}, fin {}, reset {}, blocked {:?}",
                drop.connection,
                connection.accepted,
                drop.at,
                ledger.composed,
                ledger.arrived,
                ledger.read,
                ledger.answered_to,
                ledger.answers,
                ledger.last,
                ledger.mid_answer(),
                ledger.owed(),
                ledger.asked.front(),
                connection.client_fin,
                connection.reset,
                connection.blocked,
            );
        }
        Err(told)
    }

    /// No connection stays in a state for longer than the state's limit, as long as turns are taken.
    fn deadlines(&mut self, step: Step, now: Micros, view: &View, id: usize, world: &mut World) -> Result<(), String> {
        let connection = &mut world.connections[id];
        let answers = connection.ledger.answers;
        let seen = Seen { id: view.id, state: view.state, answers, blocked: view.unsent > 0 };
        let place = &mut self.seen[usize::from(view.id.index)];
        let since = match *place {
            Some((before, since)) if before == seen => since,
            _ => place.insert((seen, now)).1,
        };
        let written = connection.ledger.written;
        match connection.blocked {
            _ if view.unsent == 0 => connection.blocked = None,
            Some((_, before)) if written < before + PROGRESS_BYTES => {}
            _ => connection.blocked = Some((now, written)),
        }
        if !matches!(step, Step::Turn | Step::NestedTurn) {
            return Ok(());
        }
        if let Some(limit) = seen.limit()
            && now > since + limit + GRAIN
        {
            return Err(format!("in this state since {since}, longer than {limit} us"));
        }
        match connection.blocked {
            _ if view.write_deadline != NEVER && now > view.write_deadline + GRAIN => Err("past its write deadline".to_owned()),
            // The front counts progress from its own marks, so one of its periods may lie across two of ours.
            Some((since, _)) if now > since + 2 * Limits::DEFAULT.write_ms * 1000 + GRAIN => {
                Err(format!("its client has taken next to nothing since {since}"))
            }
            _ => Ok(()),
        }
    }
}

/// What the cache has handed out to its entries and what is there add up.
fn cache_adds_up(front: &Front<SimNet>) -> Result<(), String> {
    let audit = front.audit_cache();
    let held = (audit.entries_held, audit.entries_indexed, audit.blocks_held);
    let right = held == (audit.entries, audit.entries, audit.blocks_used);
    let counts = audit.counts;
    let left = counts.stale + counts.expired + counts.evicted + counts.mismatches;
    // An answer may also take the place of an older one for the same.
    if right && counts.inserted >= left + audit.entries as u64 { Ok(()) } else { Err(format!("the cache: {audit:?}")) }
}

/// The timers will look at this connection in time.
fn timer_is_set(view: &View, audit: &Audit, now: Micros) -> Result<(), String> {
    let due = view.deadline.min(view.write_deadline);
    if due != NEVER && audit.next_timer > due.max(now + GRAIN) {
        return Err(format!("the timers are looked at {} only: {view:?}", audit.next_timer));
    }
    let forgotten = matches!(view.state, State::Closing(_)) && due == NEVER && !view.in_dirty && !view.in_ready;
    if forgotten { Err(format!("closing without a deadline: {view:?}")) } else { Ok(()) }
}

/// What can go on will go on: some edge, list or job leads back to this connection.
fn awake(view: &View, id: usize, world: &World) -> Result<(), String> {
    let connection = &world.connections[id];
    let known = connection.in_list || view.in_ready;
    if known {
        return Ok(());
    }
    if connection.reset {
        return Err("the connection is gone, and nobody knows".to_owned());
    }
    if view.unsent > 0 {
        return if connection.writable() && !view.in_dirty && !connection.pressed {
            Err("output waits, the socket has space, and nobody knows".to_owned())
        } else {
            Ok(())
        };
    }
    let lingers = matches!(view.state, State::Lingering(_));
    if (view.state.reads() || lingers) && connection.readable() {
        return Err("bytes or an end wait to be read, and nobody knows".to_owned());
    }
    if view.state.reads() && connection.ledger.owed().is_some() {
        return Err("a request that was read is forgotten".to_owned());
    }
    Ok(())
}

/// At the end everything is back where it came from.
pub fn all_is_home(front: &Front<SimNet>) {
    let audit = front.audit();
    assert_eq!(audit.slots_in_use, 0, "slots are in use when everybody has gone: {audit:?}");
    assert_eq!(audit.blocks_free, audit.blocks, "blocks are held by nobody: {audit:?}");
    assert_eq!(audit.exchanges, EXCHANGES, "a request buffer is lost: {audit:?}");
    assert_eq!((audit.joined, cache_adds_up(front)), (0, Ok(())));
    assert_eq!(audit.largest_client, 0, "a client is counted that is not there: {audit:?}");
}
