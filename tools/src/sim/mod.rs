//! The deterministic simulation: the real front, driven from a seed over a simulated network, clock and back.
//!
//! [`run`] drives one front as `event_loop.rs` does and checks after every call what must hold ([`check`]). The same seed gives the
//! same run, so that whatever it finds can be seen again with `--seed N --verbose`.

mod actor;
mod back;
mod check;
pub mod command;
mod database;
mod ledger;
mod network;
mod objections;
pub mod options;
mod random;
mod reasons;
mod request;
mod scenario;
#[cfg(test)]
mod tests;
mod world;

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use flagstone::back::turns::GAP;
use flagstone::budget::ANSWER_BYTES;
use flagstone::config::Config;
use flagstone::front::cache::Counts;
use flagstone::front::slots::Listening;
use flagstone::front::{Front, Regions, Setup, Wait, Work};
use flagstone::http::etag::TagKey;
use flagstone::job::{Go, Job, Micros, Outcome, Reply};
use flagstone::ops::falls::Fall;
use flagstone::ops::metrics::{CloseReason, Refusal};
use flagstone::policy::drill::Drill;
use flagstone::policy::hosts::Hosts;

use check::{Checker, Step};
use database::SimCurrent;
use network::SimNet;
use options::{Fault, Options, Plant};
use scenario::Fairness;
use world::{MACHINE, Shared, World};

/// The memory that one front after the other runs in.
pub struct Memory {
    regions: Option<Regions>,
    reply: Reply,
}

impl Memory {
    pub fn new() -> Memory {
        Memory { regions: None, reply: Reply::new(vec![0; ANSWER_BYTES].leak()) }
    }
}

/// A count of the cache.
type Count = fn(&Counts) -> u64;
/// What is told of the cache, by name.
pub const CACHE: [(&str, Count); 8] = [
    ("hits", |counts| counts.hits),
    ("misses", |counts| counts.misses),
    ("bypasses", |counts| counts.bypasses),
    ("joined", |counts| counts.joined),
    ("inserted", |counts| counts.inserted),
    ("stale", |counts| counts.stale),
    ("refused", |counts| counts.refused),
    ("verified", |counts| counts.verified),
];

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    pub steps: usize,
    pub connections: u64,
    pub answers: u64,
    pub jobs: u64,
    pub micros: Micros,
    /// Connections ended by reason.
    pub closed: [u64; CloseReason::ALL.len()],
    /// Refusals by reason.
    pub refused: [u64; Refusal::ALL.len()],
    /// The fewest output blocks that were ever free in one of the runs.
    pub least_free: usize,
    /// What the cache counted.
    pub cache: [u64; CACHE.len()],
    /// Falls to a lower path.
    pub falls: [u64; Fall::ALL.len()],
    /// Seconds on each step of the ladder.
    pub ladder: [u64; 5],
}

impl Report {
    pub const NONE: Report = Report {
        steps: 0,
        connections: 0,
        answers: 0,
        jobs: 0,
        micros: 0,
        closed: [0; CloseReason::ALL.len()],
        refused: [0; Refusal::ALL.len()],
        least_free: usize::MAX,
        cache: [0; CACHE.len()],
        falls: [0; Fall::ALL.len()],
        ladder: [0; 5],
    };

    pub fn add(&mut self, other: Report) {
        self.steps += other.steps;
        self.connections += other.connections;
        self.answers += other.answers;
        self.jobs += other.jobs;
        self.micros += other.micros;
        self.closed.iter_mut().zip(other.closed).for_each(|(sum, more)| *sum += more);
        self.refused.iter_mut().zip(other.refused).for_each(|(sum, more)| *sum += more);
        self.least_free = self.least_free.min(other.least_free);
        self.cache.iter_mut().zip(other.cache).for_each(|(sum, more)| *sum += more);
        self.falls.iter_mut().zip(other.falls).for_each(|(sum, more)| *sum += more);
        self.ladder.iter_mut().zip(other.ladder).for_each(|(sum, more)| *sum += more);
    }
}

/// Runs one seed.
///
/// # Errors
/// What was found, with the time in the run.
pub fn run(seed: u64, options: Options, memory: &mut Memory) -> Result<Report, String> {
    objections::listen();
    let regions = memory.regions.take().unwrap_or_else(Regions::leaked);
    let reply = &mut memory.reply;
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let mut simulation = Simulation::new(seed, options, regions, reply);
        simulation.serve();
        simulation.end()
    }));
    match ran {
        Ok((report, regions)) => {
            memory.regions = Some(regions);
            Ok(report)
        }
        Err(payload) => Err(message(payload.as_ref())),
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_else(|| "a panic".to_owned())
}

struct Simulation<'r> {
    front: Front<SimNet>,
    world: Shared,
    checker: Checker,
    reply: &'r mut Reply,
    fairness: Option<Fairness>,
    steps: usize,
    next_tick: Micros,
    /// Seconds on each step of the ladder.
    ladder: [u64; 5],
}

impl<'r> Simulation<'r> {
    fn new(seed: u64, options: Options, regions: Regions, reply: &'r mut Reply) -> Simulation<'r> {
        let world = Rc::new(RefCell::new(World::new(seed, options)));
        let fairness = scenario::people(&mut world.borrow_mut(), seed);
        let setup = Setup {
            listeners: [Listening::Public, Listening::Ops].into_iter().collect(),
            config: Rc::new(Config::new()),
            tag_key: TagKey([7; 16]),
            hosts: Hosts::new("sim"),
        };
        let mut front = Front::new(SimNet { world: Rc::clone(&world) }, setup, regions);
        front.readings.database.ready = true;
        front.set_freshness(Some(Rc::new(SimCurrent { world: Rc::clone(&world) })));
        Simulation { front, world, checker: Checker::new(), reply, fairness, steps: 0, next_tick: 0, ladder: [0; 5] }
    }

    /// The loop of `event_loop::serve`, with a check after every call.
    fn serve(&mut self) {
        while !self.front.drained() && self.steps < self.world.borrow().options.steps && !self.is_over() {
            self.plant_panic();
            self.turn(Wait::UntilEvent);
            if self.front.now() >= self.next_tick {
                self.tick();
            }
            while let Some(Work::Job(job)) = self.front.next_work() {
                self.checker.running = Some(job.slot);
                self.check(Step::NextJob);
                self.run_job(job);
                if self.front.turn_is_due(GAP) {
                    self.turn(Wait::No);
                }
            }
        }
    }

    /// What is read once a second, and what the ladder makes of it.
    fn tick(&mut self) {
        let process = &mut self.front.readings.process;
        (process.system_total_bytes, process.system_available_bytes) = (MACHINE, self.world.borrow_mut().available());
        self.front.tick();
        let (now, step) = (self.front.now(), self.front.readings.pressure.step);
        self.next_tick = now + 1_000_000;
        let mut world = self.world.borrow_mut();
        world.busy_until = match (step > 0, world.busy_until) {
            // A long query may keep the next look waiting.
            (true, _) => Some(Micros::MAX),
            (false, Some(Micros::MAX)) => Some(now),
            (false, before) => before,
        };
        drop(world);
        self.ladder[usize::from(step)] += 1;
        // No table is critical, so nothing of the cache is left.
        assert!(step < 3 || self.front.audit_cache().entries == 0, "at {now}: answers are kept in an emergency");
    }

    fn is_over(&self) -> bool {
        let world = self.world.borrow();
        world.actors.iter().all(|actor| actor.done) && self.front.audit().slots_in_use == 0
    }

    fn turn(&mut self, wait: Wait) {
        self.front.turn(wait);
        self.check(Step::Turn);
    }

    /// The next use of a part of the front is to panic, now and then.
    fn plant_panic(&mut self) {
        let mut world = self.world.borrow_mut();
        if world.has(Fault::Panic) && world.random.one_in(400) {
            let parts = [Drill::CachePanic, Drill::FlightPanic, Drill::FrontPanic];
            self.front.plant(parts[world.random.range(0, 2) as usize]);
        }
    }

    fn check(&mut self, step: Step) {
        self.steps += 1;
        self.checker.check(step, &self.front, &mut self.world.borrow_mut());
    }

    fn run_job(&mut self, mut job: Job) {
        let Simulation { front, world, checker, reply, fairness, steps, .. } = self;
        if let Some(fairness) = fairness {
            fairness.judge(&job, &world.borrow());
        }
        let plant = world.borrow().options.plant;
        world.borrow().trace(|| format!("job for {:?}", job.slot));
        let ran = back::run(&job, reply, world, &mut || {
            *steps += 1;
            let jobs = front.metrics.jobs;
            let go = nested_turn(front, world, plant);
            assert_eq!(front.metrics.jobs, jobs, "at {}: a job was started while another runs", world.borrow().now);
            checker.check(Step::NestedTurn, front, &mut world.borrow_mut());
            go
        });
        checker.running = None;
        if plant == Some(Plant::ForgottenAnswer) && world.borrow_mut().random.one_in(20) {
            job.slot.generation += 1;
        }
        match ran {
            Some(outcome) => front.finish(job, outcome, reply),
            None => front.job_panicked(job.slot, job.exchange),
        }
        self.check(Step::Finish);
    }

    /// Checks what must be true when everybody has gone, and gives the memory back.
    fn end(self) -> (Report, Regions) {
        let Simulation { front, world, steps, ladder, .. } = self;
        let counts = front.audit_cache().counts;
        let report = Report {
            steps,
            connections: front.metrics.accepted,
            answers: front.metrics.answers_total(),
            jobs: front.metrics.jobs,
            micros: world.borrow().now,
            closed: front.metrics.closed,
            refused: front.metrics.refused,
            least_free: front.audit().blocks_least_free,
            cache: CACHE.map(|(_, count)| count(&counts)),
            ladder,
            falls: front.metrics.falls,
        };
        if front.audit().slots_in_use == 0 {
            check::all_is_home(&front);
            totals(&front, &world.borrow());
        }
        (report, front.into_regions())
    }
}

fn nested_turn(front: &mut Front<SimNet>, world: &Shared, plant: Option<Plant>) -> Go {
    let go = front.nested_turn(0);
    if plant == Some(Plant::NestedJob)
        && world.borrow_mut().random.one_in(50)
        && let Some(Work::Job(job)) = front.next_work()
    {
        front.finish(job, Outcome::Busy, &Reply::new(vec![0; ANSWER_BYTES].leak()));
    }
    go
}

/// The counters agree with what the network saw.
fn totals(front: &Front<SimNet>, world: &World) {
    let read: u64 = world.connections.iter().map(|connection| connection.ledger.read).sum();
    assert_eq!(front.metrics.received_bytes, read, "bytes counted as received, and read");
    let served = world.connections.iter().filter(|connection| connection.ledger.last != Some(ledger::Last::Refused));
    let (written, answers) = served.fold((0, 0), |(written, answers), connection| {
        (written + connection.ledger.written, answers + connection.ledger.answers)
    });
    assert_eq!(front.metrics.sent_bytes, written, "bytes counted as sent, and written");
    assert!(front.metrics.answers_total() >= answers, "{answers} answers were written, and fewer counted");
}
