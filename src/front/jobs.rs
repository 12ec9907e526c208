//! The way to the back and home: who waits, which job runs next, and whom its outcome answers.

use std::panic::{AssertUnwindSafe, catch_unwind};

use std::rc::Rc;

use super::cache::Key;
use super::emergency::Stage;
use super::net::Net;
use super::pressure::kind_of;
use super::slots::{NEVER, State};
use super::{BUSY_RETRY, Front, MS, Wait, entity};
use crate::job::{Batch, Current, Exchange, Go, Job, Micros, Outcome, Reply, SlotId, Stamp, Task};
use crate::ops::falls::Fall;
use crate::ops::metrics::GapCause;
use crate::policy::admission::Class;
use crate::policy::fair_queue::Waiting;
use crate::policy::paths::Part;
use crate::policy::sharing::Share;

/// What the back is to do next.
pub enum Work {
    /// A read, or another configuration.
    Job(Job),
    /// Writes; [`Front::finish_batch`] takes them back.
    Batch(Box<Batch>),
}

/// The job that the back works on.
#[derive(Clone, Copy)]
pub(super) struct Running {
    pub(super) id: SlotId,
    /// Whose share of the back's time it uses; nobody's for a batch, which is many's.
    pub(super) account: Option<u64>,
    pub(super) started: Micros,
    /// Time of turns inside it: others' work, not its client's.
    pub(super) turned: Micros,
    /// What its answer will be known by, 0 for nobody but its own client.
    pub(super) key: Key,
    /// The state of the database just before it began.
    pub(super) stamp: Option<Stamp>,
    /// Nobody asked for it: it stops when somebody asks for anything.
    pub(super) for_nobody: bool,
}

impl Running {
    /// Work that nobody waits for.
    pub(super) const fn for_nobody(id: SlotId) -> Running {
        Running { id, account: None, started: 0, turned: 0, key: 0, stamp: None, for_nobody: true }
    }
}

impl<N: Net> Front<N> {
    /// What tells the present state of the database, for the time of one connection to it; without it nothing is cached.
    pub fn set_freshness(&mut self, freshness: Option<Rc<dyn Current>>) {
        if freshness.is_some() {
            self.note_reopened();
        }
        self.freshness = freshness;
    }

    /// A turn from inside the running job, which waits at most `wait` microseconds for events; the answer says whether anybody still waits
    /// for the job.
    pub fn nested_turn(&mut self, wait: Micros) -> Go {
        self.metrics.nested_turns += 1;
        let before = self.net.now();
        // How long SQLite kept it from this turn is known to whoever asks for it.
        self.await_events(if wait == 0 { Wait::No } else { Wait::AtMost(wait) });
        self.take_turn();
        let turned = self.net.now().saturating_sub(before);
        self.metrics.gap(GapCause::Other, turned.saturating_sub(wait));
        if let Some(running) = &mut self.running {
            running.turned += turned;
        }
        match self.running {
            Some(running) if running.for_nobody && self.joiner(running.key, true).is_none() => {
                if self.is_idle() {
                    Go::On
                } else {
                    Go::Stop
                }
            }
            Some(running) if self.slots.get(running.id).is_none() && self.joiner(running.key, true).is_none() => Go::Stop,
            _ => Go::On,
        }
    }

    /// The next work for the back: the waiting writes when their time has come, or a read; where both may go on, in turns.
    pub fn next_work(&mut self) -> Option<Work> {
        self.now = self.net.now();
        if self.is_idle() {
            self.pressure.load.forget_lock();
        }
        let writes = self.batch_due().is_some_and(|due| due <= self.now);
        let reads = self.queue.is_due(self.now);
        if writes && (!reads || !self.writes.was_last) {
            let batch = self.take_batch()?;
            self.sharing.end();
            let first = batch.items.first().map_or(SlotId { index: 0, generation: 0 }, |item| item.slot);
            self.metrics.jobs += 1;
            self.running =
                Some(Running { id: first, account: None, started: self.now, turned: 0, key: 0, stamp: None, for_nobody: false });
            return Some(Work::Batch(batch));
        }
        self.next_job().map(Work::Job)
    }

    /// Whether nothing waits that could run now: the time for work that nobody waits for.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.writes.len() == 0
    }

    /// The next read, by fairness among clients.
    fn next_job(&mut self) -> Option<Job> {
        let mut entry = self.queue.pop(self.now);
        // Bounded by the queue.
        while let Some(waiting) = entry.filter(|waiting| self.is_broken(self.slots.peek(waiting.slot).task)) {
            self.send_broken_home(waiting.slot);
            entry = self.queue.pop(self.now);
        }
        let Some(entry) = entry else {
            self.sharing.end();
            return None;
        };
        self.writes.was_last = false;
        let id = self.slots.id(entry.slot);
        let slot = self.slots.at(entry.slot);
        assert_eq!(slot.state, State::Queued, "only queued slots are in the queue");
        slot.enter(State::Running, self.now, NEVER);
        let exchange = slot.exchange.take().expect("a queued slot has its request");
        self.metrics.queue_wait(self.now.saturating_sub(entry.since));
        self.metrics.jobs += 1;
        let slot = self.slots.peek(entry.slot);
        let (key, task, arrival) = (slot.key, slot.task, slot.arrival);
        let follows = self.queue.is_due(self.now);
        // Before the back begins its read transaction: whoever joins while this is still the present state gets an answer of that state.
        let state = || self.freshness.as_ref().and_then(|freshness| freshness.current());
        let (share, stamp) = match task {
            Task::Tables | Task::Route(_) => self.sharing.next(arrival, follows, self.now, state),
            Task::Change(_) => (Share::Alone, state()),
        };
        self.tell_joiners(key, true);
        self.running =
            Some(Running { id, account: Some(entry.client), started: self.now, turned: 0, key, stamp, for_nobody: false });
        let limits = &self.setup.config.limits;
        let longest = match task {
            Task::Tables => limits.table_query_ms,
            Task::Route(_) | Task::Change(_) => limits.route_query_ms,
        };
        let deadline = self.now + longest * MS;
        if !matches!(task, Task::Change(_)) {
            self.watchdog.work(deadline);
        }
        self.pressure.load.begin_read(kind_of(task), deadline, self.now);
        Some(Job { task, slot: id, exchange, arrived: entry.since, deadline, share })
    }

    /// A request whose breaker opened while it waited is answered, and so are those who joined it.
    fn send_broken_home(&mut self, index: u16) {
        let key = self.slots.peek(index).key;
        self.tell_joiners(key, true);
        let now = self.now;
        self.slots.at(index).enter(State::Running, now, NEVER);
        let id = self.slots.id(index);
        let joiners = self.take_joiners(key);
        for id in std::iter::once(id).chain(joiners) {
            if self.slots.get(id).is_some() {
                self.serve(id.index, Stage::Asked, |front| {
                    front.answer_broken(id.index);
                    front.stage = Stage::Nothing;
                    front.drive(id.index);
                });
            }
        }
    }

    /// Takes a job back: answers everybody who waits for it, or puts it into the queue again when the database was locked.
    pub fn finish(&mut self, job: Job, outcome: Outcome, reply: &Reply) {
        self.now = self.net.now();
        let for_nobody = self.running.is_some_and(|running| running.for_nobody);
        let key = self.book_job(matches!(outcome, Outcome::Busy));
        self.note_end(job.task, &outcome);
        let Job { task, slot: id, exchange, arrived, .. } = job;
        let asked = self.take_home(id, exchange);
        if !asked && !for_nobody {
            self.metrics.abandoned_jobs += 1;
        }
        if matches!(outcome, Outcome::Busy) && !for_nobody && self.now < arrived + self.setup.config.limits.busy_ms * MS {
            self.metrics.busy_retries += 1;
            self.tell_joiners(key, false);
            match asked {
                true => self.enqueue(id.index, arrived, self.now + BUSY_RETRY),
                false => self.promote_joiner(key),
            }
            return;
        }
        let make = |front: &mut Front<N>| match &outcome {
            Outcome::Rows(media, made) => front.make_entity(task, key, *media, *made, reply),
            _ => None,
        };
        let Ok(entity) = catch_unwind(AssertUnwindSafe(|| make(self))) else {
            return self.answer_panicked(asked.then_some(id.index), key);
        };
        if for_nobody {
            match entity {
                Some(_) => self.worked(Part::Warming),
                None => self.warming_stopped(task),
            }
        }
        if asked {
            self.deliver(id.index, &outcome, entity, reply);
        }
        for id in self.edge(Part::Flight, heapless::Vec::new(), |front| front.take_joiners(key)) {
            if self.slots.get(id).is_some() {
                self.deliver(id.index, &outcome, entity, reply);
            }
        }
    }

    /// Answers one of those who waited for a job, and goes on with its connection. A panic in that is no other's.
    fn deliver(&mut self, index: u16, outcome: &Outcome, entity: Option<entity::Entity>, reply: &Reply) {
        self.serve(index, Stage::Asked, |front| {
            match entity {
                Some(entity) => front.answer_entity(index, entity, reply),
                None if is_the_backs_fault(outcome) && front.answer_old(index) => {}
                None => front.answer_without_rows(index, outcome),
            }
            front.stage = Stage::Nothing;
            front.drive(index);
        });
    }

    /// Gives a job's request buffer back to its connection, or keeps it as the spare when that has gone; whether it is still there.
    pub(super) fn take_home(&mut self, id: SlotId, mut exchange: Box<Exchange>) -> bool {
        match self.slots.get(id) {
            Some(slot) => {
                slot.exchange = Some(exchange);
                true
            }
            None => {
                exchange.clear();
                if let Some(exchange) = self.slots.bring_home(exchange) {
                    self.spare_exchange = Some(exchange);
                }
                false
            }
        }
    }

    /// A job panicked: those who wait for it get an old answer or the emergency one, and everything else goes on.
    pub fn job_panicked(&mut self, id: SlotId, exchange: Box<Exchange>) {
        self.now = self.net.now();
        let for_nobody = self.running.is_some_and(|running| running.for_nobody);
        let key = self.book_job(false);
        let asked = self.take_home(id, exchange);
        match for_nobody {
            // Whoever has joined it meanwhile asks for themselves.
            true => {
                self.part_panicked(Part::Warming);
                self.ask_anew(key);
            }
            false => self.answer_panicked(asked.then_some(id.index), key),
        }
    }

    /// Those who joined a job that came to nothing ask for themselves.
    fn ask_anew(&mut self, key: Key) {
        self.tell_joiners(key, false);
        self.promote_joiner(key);
    }

    /// The plain path panicked: tells whoever waits for it.
    fn answer_panicked(&mut self, asked: Option<u16>, key: Key) {
        self.metrics.panics += 1;
        self.note_fall(Fall::PlainPanic);
        if let Some(index) = asked {
            self.deliver_internal_error(index);
        }
        for id in self.edge(Part::Flight, heapless::Vec::new(), |front| front.take_joiners(key)) {
            if self.slots.get(id).is_some() {
                self.deliver_internal_error(id.index);
            }
        }
    }

    fn deliver_internal_error(&mut self, index: u16) {
        self.serve(index, Stage::Asked, |front| {
            front.answer_internal_error(index);
            front.stage = Stage::Nothing;
            front.drive(index);
        });
    }

    /// The end of the running job: its time is booked to the client that used it, also when that has gone.
    /// Returns what its answer is known by. A job that another's lock sent away has not been done.
    pub(super) fn book_job(&mut self, locked: bool) -> Key {
        self.pressure.load.end(locked, self.now);
        let Some(running) = self.running.take() else { return 0 };
        self.accounted = self.now;
        self.watchdog.pass(self.now);
        let spent = self.now.saturating_sub(running.started + running.turned);
        self.metrics.job_micros += spent;
        if let Some(account) = running.account {
            self.queue.charge(account, spent);
        }
        running.key
    }

    pub(super) fn enqueue(&mut self, index: u16, since: Micros, not_before: Micros) {
        let (now, queue_ms) = (self.now, self.setup.config.limits.queue_ms);
        let slot = self.slots.at(index);
        let (account, task) = (slot.client.account(index), slot.task);
        slot.enter(State::Queued, now, (since + queue_ms * MS).saturating_sub(now));
        slot.arrival = self.sharing.arrive();
        let due = slot.deadline;
        self.next_timer = self.next_timer.min(due);
        let (cost, critical) = (self.pressure.load.read(kind_of(task)), self.class(task) != Class::Ordinary);
        let pushed = self.queue.push(Waiting { slot: index, client: account, since, not_before, cost, critical });
        assert!(pushed.is_ok(), "the queue has a place for every slot that can ask");
    }
}

/// Whether an old answer is better than this one: it says nothing of the request.
fn is_the_backs_fault(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Problem(problem) => problem.status >= 500,
        Outcome::Busy => true,
        Outcome::Rows(..) | Outcome::Changed | Outcome::Abandoned => false,
    }
}
