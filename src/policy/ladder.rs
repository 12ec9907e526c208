//! How hard pressed the server is, in five steps, by readings that are taken once a second.
//!
//! Each reading asks for a step; the ladder stands on the highest that any asks for, at once, and leaves it when none has asked for it for a while.
//! A reading that is on a step asks for it until it is clearly below where the step begins. So a reading that trembles at a threshold moves nothing,
//! worse readings never mean a lower step, and there is no history that calm readings do not end: nothing is remembered but when each step
//! was asked for last.

/// Microseconds, as in `job.rs`; policies import nothing from above them.
type Micros = u64;

const MS: Micros = 1000;
const SECOND: Micros = 1_000_000;

/// With more of the machine's memory available than this its use asks for no step below the emergency: 60 % of 16 GB is no shortage.
const PLENTY: u64 = 1 << 30;
/// The calm that ends each step, in the order of [`Step::ALL`]; that of the emergency is longer because giving memory back and taking it
/// again is dear.
const CALM: [Micros; 5] = [0, 5 * SECOND, 5 * SECOND, 10 * SECOND, 2 * SECOND];
/// With calm readings the ladder stands on its lowest step after so long.
pub const LONGEST_CALM: Micros = 10 * SECOND;

/// The steps, from full service to the last word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Everything.
    #[default]
    Normal,
    /// No warming; keep-alive is short.
    Busy,
    /// Requests that need the back are shed in proportion (`admission` does that, at any time).
    Shedding,
    /// The cache holds critical answers alone, its other pages are the kernel's.
    Emergency,
    /// A static 503 for everything but health.
    LastWord,
}

impl Step {
    /// All, from the lowest.
    pub const ALL: [Step; 5] = [Step::Normal, Step::Busy, Step::Shedding, Step::Emergency, Step::LastWord];

    /// Its name on pages and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Step::Normal => "normal",
            Step::Busy => "busy",
            Step::Shedding => "shedding",
            Step::Emergency => "emergency",
            Step::LastWord => "last_word",
        }
    }
}

/// What asks for a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Critical answers leave little of the cache to others.
    Cache,
    /// Slots that cannot be reclaimed.
    Pool,
    /// The wait for the back.
    QueueWait,
    /// Requests were shed.
    Shed,
    /// The machine's memory.
    SystemMemory,
    /// Our own memory, against the sheet.
    OwnMemory,
    /// The control group's memory, against its limit.
    Cgroup,
    /// Time in which tasks stood still for want of memory (PSI).
    Stalls,
    /// Both paths to the data failed.
    Paths,
}

impl Cause {
    /// All, in the order of their numbers.
    pub const ALL: [Cause; 9] = [
        Cause::Cache,
        Cause::Pool,
        Cause::QueueWait,
        Cause::Shed,
        Cause::SystemMemory,
        Cause::OwnMemory,
        Cause::Cgroup,
        Cause::Stalls,
        Cause::Paths,
    ];

    /// Its name on pages.
    pub const fn name(self) -> &'static str {
        match self {
            Cause::Cache => "cache",
            Cause::Pool => "pool",
            Cause::QueueWait => "queue_wait",
            Cause::Shed => "shed",
            Cause::SystemMemory => "system_memory",
            Cause::OwnMemory => "own_memory",
            Cause::Cgroup => "cgroup_memory",
            Cause::Stalls => "memory_stalls",
            Cause::Paths => "paths",
        }
    }
}

/// One second's readings. What could not be read is zero, and asks for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Bytes of critical answers in the cache, and all that it has.
    pub cache: (u64, u64),
    /// Public slots that cannot be reclaimed, and all.
    pub pool: (u64, u64),
    /// How long a request that came now would wait for the back.
    pub queue_wait: Micros,
    /// Requests were shed since the last look.
    pub shed: bool,
    /// The machine's memory in bytes: in use, and all.
    pub system: (u64, u64),
    /// Our own anonymous memory in bytes, and what the sheet says.
    pub own: (u64, u64),
    /// The control group's memory in bytes, without what the kernel can drop, and its limit.
    pub cgroup: (u64, u64),
    /// Of the last ten seconds, the share in which some task, and in which all of them, stood still for memory; in thousandths.
    pub stalls: (u64, u64),
    /// Both paths to the data failed.
    pub paths_failed: bool,
}

impl Seen {
    /// The step that a cause asks for while the ladder stands on `step`.
    fn asks(&self, cause: Cause, step: Step) -> Step {
        use Step::{Busy, Emergency, LastWord, Normal, Shedding};
        // Where a step begins, in thousandths, and how far below that it ends.
        let of = |(part, whole): (u64, u64), back: u64, begins: [(Step, u64); 2]| {
            let thousandths = if whole == 0 { 0 } else { (u128::from(part) * 1000 / u128::from(whole)) as u64 };
            let asked = |&(asked, begin): &(Step, u64)| thousandths >= if step >= asked { begin - back } else { begin };
            begins.iter().rev().find(|begin| asked(begin)).map_or(Normal, |&(asked, _)| asked)
        };
        match cause {
            // More steps would not help: what fills it is never evicted for others, and goes on being given.
            Cause::Cache => of(self.cache, 50, [(Busy, 700), (Busy, 700)]),
            Cause::Pool => of(self.pool, 50, [(Busy, 700), (Busy, 700)]),
            Cause::QueueWait => {
                let begin = if step >= Busy { 100 * MS } else { 200 * MS };
                if self.queue_wait >= begin { Busy } else { Normal }
            }
            Cause::Shed => {
                if self.shed {
                    Shedding
                } else {
                    Normal
                }
            }
            Cause::SystemMemory => {
                let (used, total) = self.system;
                let short = total.saturating_sub(used) < PLENTY;
                match of(self.system, 100, [(Busy, 590), (Emergency, 880)]) {
                    Busy if !short => Normal,
                    asked => asked,
                }
            }
            // The sheet is nearly full by design, so who is within it must be able to come down.
            Cause::OwnMemory => of(self.own, 10, [(Busy, 1010), (Emergency, 1020)]),
            // A limit that leaves 4 MiB beside the sheet is nearly reached when all is well: what the sheet has is touched at the start.
            Cause::Cgroup => of(self.cgroup, 10, [(Busy, 950), (Emergency, 985)]),
            Cause::Stalls => {
                let (some, all) = self.stalls;
                let half = |step_wanted: Step, begin: u64| if step >= step_wanted { begin / 2 } else { begin };
                if all >= half(Emergency, 100) {
                    Emergency
                } else if some >= half(Busy, 100) {
                    Busy
                } else {
                    Normal
                }
            }
            Cause::Paths => {
                if self.paths_failed {
                    LastWord
                } else {
                    Normal
                }
            }
        }
    }
}

/// Where the server stands, and why.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ladder {
    step: Step,
    since: Micros,
    /// When each step was asked for last.
    asked: [Option<Micros>; Step::ALL.len()],
    /// What asks for more than the lowest step, by the last readings: a bit for each cause.
    causes: u16,
}

impl Ladder {
    /// On the lowest step.
    pub const fn new() -> Ladder {
        Ladder { step: Step::Normal, since: 0, asked: [None; Step::ALL.len()], causes: 0 }
    }

    /// Takes a second's readings; the step that holds now.
    pub fn look(&mut self, seen: &Seen, now: Micros) -> Step {
        self.causes = 0;
        for cause in Cause::ALL {
            let asked = seen.asks(cause, self.step);
            if asked > Step::Normal {
                self.causes |= 1 << cause as u16;
            }
            self.asked[asked as usize] = Some(now);
        }
        let step = Step::ALL.into_iter().rev().find(|&step| self.holds(step, now)).unwrap_or(Step::Normal);
        if step != self.step {
            (self.step, self.since) = (step, now);
        }
        step
    }

    /// Whether a step was asked for by the last readings, or so shortly before them that it is not over.
    pub fn holds(&self, step: Step, now: Micros) -> bool {
        self.asked[step as usize].is_some_and(|at| at == now || now < at + CALM[step as usize])
    }

    /// The step that holds.
    pub const fn step(&self) -> Step {
        self.step
    }

    /// Since when.
    pub const fn since(&self) -> Micros {
        self.since
    }

    /// What asks for more than the lowest step, by the last readings.
    pub fn causes(&self) -> impl Iterator<Item = Cause> + '_ {
        Cause::ALL.into_iter().filter(|&cause| self.causes & 1 << cause as u16 != 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn on(step: Step, at: Micros) -> Ladder {
        let mut ladder = Ladder::new();
        let seen = match step {
            Step::Normal => Seen::default(),
            Step::Busy => Seen { pool: (7, 10), ..Seen::default() },
            Step::Shedding => Seen { shed: true, ..Seen::default() },
            Step::Emergency => Seen { own: (2, 1), ..Seen::default() },
            Step::LastWord => Seen { paths_failed: true, ..Seen::default() },
        };
        assert_eq!(ladder.look(&seen, at), step);
        ladder
    }

    #[test]
    fn each_reading_asks_for_the_step_that_the_numbers_say() {
        use Step::{Busy, Emergency, LastWord, Normal, Shedding};
        let none = Seen::default();
        let memory = |used, total| Seen { system: (used * MIB, total * MIB), ..none };
        let cases = [
            (none, Normal, Cause::Cache),
            (Seen { cache: (699, 1000), ..none }, Normal, Cause::Cache),
            (Seen { cache: (700, 1000), ..none }, Busy, Cause::Cache),
            (Seen { cache: (1000, 1000), ..none }, Busy, Cause::Cache),
            (Seen { pool: (34, 50), ..none }, Normal, Cause::Pool),
            (Seen { pool: (35, 50), ..none }, Busy, Cause::Pool),
            (Seen { queue_wait: 199 * MS, ..none }, Normal, Cause::QueueWait),
            (Seen { queue_wait: 200 * MS, ..none }, Busy, Cause::QueueWait),
            (Seen { shed: true, ..none }, Shedding, Cause::Shed),
            (memory(302, 512), Normal, Cause::SystemMemory),
            (memory(303, 512), Busy, Cause::SystemMemory),
            (memory(450, 512), Busy, Cause::SystemMemory),
            (memory(451, 512), Emergency, Cause::SystemMemory),
            (memory(12_000, 16_000), Normal, Cause::SystemMemory),
            (memory(14_100, 16_000), Emergency, Cause::SystemMemory),
            (Seen { own: (1009, 1000), ..none }, Normal, Cause::OwnMemory),
            (Seen { own: (1010, 1000), ..none }, Busy, Cause::OwnMemory),
            (Seen { own: (1020, 1000), ..none }, Emergency, Cause::OwnMemory),
            (Seen { cgroup: (949, 1000), ..none }, Normal, Cause::Cgroup),
            (Seen { cgroup: (950, 1000), ..none }, Busy, Cause::Cgroup),
            (Seen { cgroup: (985, 1000), ..none }, Emergency, Cause::Cgroup),
            (Seen { stalls: (99, 99), ..none }, Normal, Cause::Stalls),
            (Seen { stalls: (100, 0), ..none }, Busy, Cause::Stalls),
            (Seen { stalls: (300, 100), ..none }, Emergency, Cause::Stalls),
            (Seen { paths_failed: true, ..none }, LastWord, Cause::Paths),
        ];
        for (seen, step, cause) in cases {
            let mut ladder = Ladder::new();
            assert_eq!(ladder.look(&seen, SECOND), step, "{seen:?}");
            let causes: Vec<Cause> = ladder.causes().collect();
            assert_eq!(causes, if step == Normal { vec![] } else { vec![cause] }, "{seen:?}");
        }
    }

    #[test]
    fn an_emergency_begins_at_once_and_ends_after_a_while_of_calm() {
        let mut ladder = Ladder::new();
        let steps = [
            (0, 879, Step::Busy),
            (1, 880, Step::Emergency),
            (2, 800, Step::Emergency),
            (3, 779, Step::Emergency),
            (11, 779, Step::Emergency),
            (12, 779, Step::Busy),
            (13, 800, Step::Busy),
            (14, 880, Step::Emergency),
            (15, 100, Step::Emergency),
            (23, 100, Step::Emergency),
            (24, 100, Step::Normal),
            (25, 1000, Step::Emergency),
        ];
        for (second, used, step) in steps {
            let seen = Seen { system: (512_000 * used, 512_000_000), ..Seen::default() };
            assert_eq!(ladder.look(&seen, second * SECOND), step, "at {second} s");
        }
    }

    #[test]
    fn a_reading_that_trembles_moves_nothing() {
        let mut ladder = on(Step::Busy, 0);
        for second in 1..100 {
            let used = if second % 2 == 0 { 700 } else { 660 };
            assert_eq!(ladder.look(&Seen { pool: (used, 1000), ..Seen::default() }, second * SECOND), Step::Busy);
        }
        assert_eq!(ladder.since(), 0);
    }

    fn part() -> impl Strategy<Value = (u64, u64)> {
        (0..1100_u64, prop_oneof![1 => Just(0), 9 => Just(1000)])
    }

    fn readings() -> impl Strategy<Value = Seen> {
        let parts = (part(), part(), part(), part(), part());
        let rest = (0..1_000_000_u64, any::<bool>(), (0..300_u64, 0..300_u64), prop::bool::weighted(0.1));
        (parts, rest).prop_map(|((cache, pool, system, own, cgroup), (queue_wait, shed, stalls, paths_failed))| Seen {
            cache,
            pool,
            queue_wait,
            shed,
            system,
            own,
            cgroup,
            stalls,
            paths_failed,
        })
    }

    /// Readings that are in nothing better.
    fn worse(seen: Seen, by: u64) -> Seen {
        let more = |(part, whole): (u64, u64)| (part + by, whole);
        Seen {
            cache: more(seen.cache),
            pool: more(seen.pool),
            queue_wait: seen.queue_wait + by * MS,
            shed: seen.shed || by > 100,
            system: more(seen.system),
            own: more(seen.own),
            cgroup: more(seen.cgroup),
            stalls: (seen.stalls.0 + by, seen.stalls.1 + by),
            paths_failed: seen.paths_failed,
        }
    }

    proptest! {
        #[test]
        fn no_sequence_of_readings_leaves_it_stuck(history in prop::collection::vec((readings(), 0..4_000_000_u64), 0..60)) {
            let (mut ladder, mut now) = (Ladder::new(), 0);
            for (seen, passed) in history {
                now += passed;
                ladder.look(&seen, now);
            }
            let calm_since = now;
            while now <= calm_since + LONGEST_CALM {
                now += SECOND;
                ladder.look(&Seen::default(), now);
            }
            prop_assert_eq!(ladder.step(), Step::Normal);
            prop_assert_eq!(ladder.causes().count(), 0);
        }

        #[test]
        fn worse_readings_never_give_a_lower_step(
            history in prop::collection::vec((readings(), 0..4_000_000_u64), 0..30), seen in readings(), by in 0..500_u64,
        ) {
            let (mut ladder, mut now) = (Ladder::new(), 0);
            for (before, passed) in history {
                now += passed;
                ladder.look(&before, now);
            }
            let (mut one, mut other) = (ladder, ladder);
            prop_assert!(one.look(&seen, now + SECOND) <= other.look(&worse(seen, by), now + SECOND));
        }

        #[test]
        fn what_is_asked_for_is_given_at_once_and_nothing_is_held_without_having_been(
            history in prop::collection::vec((readings(), 0..4_000_000_u64), 1..60),
        ) {
            let (mut ladder, mut now, mut highest) = (Ladder::new(), 0, Step::Normal);
            for (seen, passed) in history {
                now += passed;
                let wanted = Cause::ALL.into_iter().map(|cause| seen.asks(cause, ladder.step())).max().unwrap();
                highest = highest.max(wanted);
                let step = ladder.look(&seen, now);
                prop_assert!(wanted <= step && step <= highest);
            }
        }
    }
}
