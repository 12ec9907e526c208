//! Under pressure: who is let in to the back, who is sent away, and what the back's failures and times tell about that.
//!
//! Gathers what `policy::admission` decides by, and carries its decisions out.

use std::cell::Cell;

use super::answer::unavailable;
use super::cache::Key;
use super::net::Net;
use super::slots::{Listening, Part, State};
use super::{Front, MS};
use crate::api::route::Route;
use crate::budget::{BATCH, PRESSURE_BYTES, RATE_CLIENTS, ROUTES, SLOTS};
use crate::job::{Micros, Outcome, Stamp, Task};
use crate::ops::metrics::Refusal;
use crate::ops::pressure_pages::BreakerUse;
use crate::policy::admission::{self, Asked, Class, Decision, Turns, Why};
use crate::policy::breaker::{Breakers, Cause, Change, Ended};
use crate::policy::ladder::Ladder;
use crate::policy::load::Load;
use crate::policy::paths::Part as PathPart;
use crate::policy::rate_limit::{RateLimit, Rule};

/// Kinds of reads whose times are measured apart: each named route's, the tables', and changes of the configuration.
const KINDS: usize = ROUTES + 2;

/// What is remembered of the back.
#[derive(Default)]
pub(super) struct Pressure {
    pub(super) load: Load<KINDS>,
    turns: Turns,
    breakers: Breakers<ROUTES>,
    rate: RateLimit<RATE_CLIENTS>,
    pub(super) ladder: Ladder,
    /// Requests that had been shed when the ladder was looked at last.
    pub(super) shed_before: u64,
    /// Public slots that were in use when they were counted last, and until when that may be told.
    pool: Cell<(usize, Micros)>,
}

/// How long the number of slots in use may be told without counting again: it weighs where requests wait for 20 ms and more.
const POOL_AGE: Micros = MS;

const _: () = assert!(size_of::<Pressure>() <= PRESSURE_BYTES);

impl Pressure {
    /// Other routes stand in the places of these.
    pub(super) fn forget_routes(&mut self) {
        self.load.forget_reads();
        self.breakers.forget_routes();
    }
}

/// Where a task's times are kept.
pub(super) const fn kind_of(task: Task) -> usize {
    match task {
        Task::Route(place) => place as usize,
        Task::Tables => ROUTES,
        Task::Change(_) => ROUTES + 1,
    }
}

/// The route whose breakers a task is asked by.
const fn route_of(task: Task) -> Option<usize> {
    match task {
        Task::Route(place) => Some(place as usize),
        Task::Tables | Task::Change(_) => None,
    }
}

impl<N: Net> Front<N> {
    /// What kind of request a task makes.
    pub(super) fn class(&self, task: Task) -> Class {
        match task {
            Task::Change(_) => Class::Operators,
            Task::Tables => Class::Ordinary,
            Task::Route(place) => {
                let route = &self.setup.config.routes()[usize::from(place)];
                match (route.verb.writes(), route.critical) {
                    (true, _) => Class::Write,
                    (false, true) => Class::Critical,
                    (false, false) => Class::Ordinary,
                }
            }
        }
    }

    /// After how many seconds the client of a request may ask again, if it has asked too often. Operators' pages are not counted.
    pub(super) fn over_rate(&mut self, index: u16) -> Option<u16> {
        let limits = &self.setup.config.limits;
        let rule = Rule { per_minute: limits.rate_per_minute, burst: limits.burst };
        let slot = self.slots.peek(index);
        if rule.per_minute == 0 || slot.listening == Listening::Ops {
            return None;
        }
        let exchange = slot.exchange.as_ref()?;
        if let Route::Ops(_) = Route::of(exchange.request().path(exchange.current())) {
            return None;
        }
        self.pressure.rate.ask(self.asking(index), rule, self.now)
    }

    /// A request that the cache has no answer for, as admission sees it. `current` is the state that its answer could be known by.
    pub(super) fn needs_back(&mut self, index: u16, current: Option<Stamp>) -> Asked {
        let (task, key) = (self.slots.peek(index).task, self.slots.peek(index).key);
        let class = self.class(task);
        let mut state = self.state(index, class, task);
        if matches!(class, Class::Ordinary | Class::Write) && admission::share(&state) > 0 {
            state.turn = self.pressure.turns.peek();
            self.pressure.turns.pass();
        }
        Asked::Back {
            class,
            old: key != 0 && self.has_old(key),
            joinable: current.is_some_and(|current| self.joinable(index, current)),
            state,
        }
    }

    fn has_old(&mut self, key: Key) -> bool {
        self.has_part(PathPart::Cache) && self.edge(PathPart::Cache, false, |front| front.cache.has_old(key, front.now))
    }

    fn state(&self, index: u16, class: Class, task: Task) -> admission::State {
        let limits = &self.setup.config.limits;
        let (load, now) = (&self.pressure.load, self.now);
        let (waiting, spared, wait) = if class == Class::Write {
            let read = self.queue.cost() / self.queue.len().max(1) as Micros;
            (self.writes.len(), BATCH, load.wait_of_write(self.writes.len(), BATCH, read, now))
        } else {
            let behind_all = load.wait_of_read(self.queue.len(), self.queue.cost(), now);
            // Nobody is shed before that, so who exactly comes first need not be counted.
            let wait = if behind_all <= admission::POOL_WAIT.min(limits.shed_wait_ms * MS) {
                behind_all
            } else {
                let (client, cost) = (self.slots.peek(index).client.account(index), load.read(kind_of(task)));
                let ahead = self.queue.ahead_of(client, cost, class != Class::Ordinary);
                load.wait_of_read(ahead.reads, ahead.cost, now)
            };
            (self.queue.ordinary(), admission::SPARED_READS, wait)
        };
        admission::State {
            draining: self.draining_since.is_some(),
            heap_in_reserve: self.heap_in_reserve,
            broken: self.pressure.breakers.rest(route_of(task), now),
            waiting,
            spared,
            wait,
            begin: limits.shed_wait_ms * MS,
            patience: limits.queue_ms * MS,
            pool: (self.recent_pool_use(), SLOTS),
            turn: 0,
        }
    }

    /// What [`Front::pool_use`] gave within the last millisecond: each request asks, and counting looks at every slot.
    fn recent_pool_use(&self) -> usize {
        let (pool, until) = self.pressure.pool.get();
        if self.now < until {
            return pool;
        }
        let pool = self.pool_use();
        self.pressure.pool.set((pool, self.now + POOL_AGE));
        pool
    }

    /// Public slots that could not be had by closing an idle connection.
    pub(super) fn pool_use(&self) -> usize {
        let reclaimable = (0..SLOTS as u16).filter(|&index| self.slots.is_reclaimable(index)).count();
        SLOTS - self.slots.free(Part::Public) - reclaimable
    }

    /// Does with a request that needs the back what was decided.
    pub(super) fn settle(&mut self, index: u16, decision: Decision) {
        let task = self.slots.peek(index).task;
        match decision {
            Decision::Join => {
                // When the part falls after it had joined, it waits already for a query of its own.
                if !self.join(index) && self.slots.peek(index).state != State::Queued {
                    let asked = self.needs_back(index, None);
                    self.settle(index, admission::decide(asked));
                }
            }
            Decision::Queue => {
                self.pressure.breakers.pass(route_of(task), self.now);
                match self.class(task) {
                    Class::Write => self.enqueue_write(index, self.now),
                    _ => self.enqueue(index, self.now, self.now),
                }
            }
            Decision::Old(why) => {
                self.count_away(task, why);
                if !self.answer_old(index) {
                    self.answer_away(index, why, 1);
                }
            }
            Decision::Away(why, seconds) => {
                self.count_away(task, why);
                self.answer_away(index, why, seconds);
            }
            Decision::Cache | Decision::Stale => debug_assert!(false, "what the cache has is answered from it"),
        }
    }

    fn count_away(&mut self, task: Task, why: Why) {
        self.refuse(match why {
            Why::Draining => Refusal::Draining,
            Why::HeapReserve => Refusal::HeapReserve,
            Why::Broken => Refusal::BreakerOpen,
            Why::Shed => Refusal::Shed,
        });
        if why == Why::Shed {
            self.metrics.shed[self.class(task) as usize] += 1;
        }
    }

    fn answer_away(&mut self, index: u16, why: Why, seconds: u16) {
        let (slug, title) = match why {
            Why::Draining => ("stopping", "The server is stopping"),
            Why::HeapReserve => ("heap-reserve", "The server is out of memory"),
            Why::Broken => ("breaker-open", "The database keeps failing here"),
            Why::Shed => ("overloaded", "More is asked than the database can do"),
        };
        self.answer_problem(index, self.kind(index), &unavailable(slug, title, seconds));
    }

    /// Whether a waiting job may no longer run, because its breaker has opened meanwhile; then it is answered.
    pub(super) fn is_broken(&self, task: Task) -> bool {
        !matches!(task, Task::Change(_)) && self.pressure.breakers.is_open(route_of(task), self.now)
    }

    /// Answers a request that waited, and whose breaker has opened meanwhile.
    pub(super) fn answer_broken(&mut self, index: u16) {
        let task = self.slots.peek(index).task;
        self.count_away(task, Why::Broken);
        if !self.answer_old(index) {
            let rest = self.pressure.breakers.rest(route_of(task), self.now).unwrap_or_default();
            self.answer_away(index, Why::Broken, admission::seconds(rest));
        }
    }

    /// Takes note of how the back ended what it was asked.
    pub(super) fn note_end(&mut self, task: Task, outcome: &Outcome) {
        let ended = match outcome {
            Outcome::Rows(..) => Ended::Well,
            Outcome::Problem(problem) => match problem.slug {
                "database-io" => Ended::Failed(Cause::Io),
                "database-corrupt" => Ended::Failed(Cause::Corrupt),
                "query-timeout" => Ended::Failed(Cause::Timeout),
                "query-failed" | "database-error" => {
                    self.metrics.refused_statements += 1;
                    Ended::Well
                }
                // The loop tries to open it ten times a second.
                "no-database" => return,
                _ => Ended::Well,
            },
            Outcome::Busy | Outcome::Abandoned | Outcome::Changed => return,
        };
        self.note_ended(task, ended);
    }

    /// A write is on disk.
    pub(super) fn note_written(&mut self, task: Task) {
        self.note_ended(task, Ended::Well);
    }

    /// A sync failed: what it was for is not known to be on disk.
    pub(super) fn note_lost(&mut self) {
        self.note_ended(Task::Tables, Ended::Failed(Cause::Io));
    }

    fn note_ended(&mut self, task: Task, ended: Ended) {
        let recovery = self.setup.config.limits.breaker_ms * MS;
        match self.pressure.breakers.ended(route_of(task), ended, recovery, self.now) {
            Change::Nothing => {}
            Change::Opened(cause) => {
                log::warn!("what failed repeatedly is left alone for {} s (breaker, {})", recovery / 1_000_000, cause.label());
            }
            Change::Closed(cause) => log::info!("what failed works again (breaker, {})", cause.label()),
        }
    }

    /// The back has another connection to the database.
    pub(super) fn note_reopened(&mut self) {
        self.pressure.breakers.reopened(self.now);
    }

    /// How long a request without any before it of its own client would wait if it came now.
    pub(super) fn expected_wait(&self) -> Micros {
        self.pressure.load.wait_of_read(self.queue.len(), self.queue.cost(), self.now)
    }

    /// Fills in the readings that operators see of all this.
    pub(super) fn note_pressure(&mut self) {
        let (breakers, now) = (&self.pressure.breakers, self.now);
        let (states, opened) = (breakers.states(), breakers.opened());
        let shown = Cause::ALL.map(|cause| BreakerUse {
            cause: cause.label(),
            state: states[cause as usize],
            opened: opened[cause as usize],
        });
        let rest = breakers.longest_rest(now).unwrap_or_default();
        let (wait, pool) = (self.expected_wait(), self.pool_use());
        let readings = &mut self.readings.pressure;
        readings.breakers = shown;
        readings.breaker_rest_micros = rest;
        readings.shed = Class::ALL.map(|class| (class.label(), self.metrics.shed[class as usize]));
        readings.queue_wait_micros = wait;
        readings.pool = (pool as u64, SLOTS as u64);
        let ladder = &self.pressure.ladder;
        (readings.step, readings.step_name) = (ladder.step() as u8, ladder.step().name());
        let ago = now.saturating_sub(ladder.since()) / 1_000_000;
        readings.since = self.unix.saturating_sub(ago);
        readings.causes = ladder.causes().map(|cause| cause.name()).collect();
        readings.critical_cache_bytes = self.cache.critical_bytes().0;
        readings.rate_limited = self.pressure.rate.limited();
        readings.rate_shared = self.pressure.rate.without_place();
    }

    /// When what waits now will have been worked off, in whole seconds: what Retry-After says to who waited in vain.
    pub(super) fn retry_after(&self) -> u16 {
        admission::seconds(self.expected_wait())
    }
}
