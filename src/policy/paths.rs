//! Which parts of the optimised path are in use: one that falls rests, is probed, and comes back by itself.
//!
//! ```text
//!        fall                rest over            enough uses went well
//!   On ────────> Resting ───────────────> Probing ─────────────────────> On
//!                   ^                        │ fall: a rest twice as long
//!                   └────────────────────────┘
//! ```
//!
//! Every part answers like the plain path beneath it, only cheaper: while one rests nothing is lost but time.

/// Microseconds, as in `job.rs`; policies import nothing from above them.
type Micros = u64;

/// The rest after a first fall.
pub const REST: Micros = 1_000_000;
/// The longest rest: what falls again and again is tried so seldom.
pub const REST_MAX: Micros = 32_000_000;
/// Uses that must go well before a part is trusted again.
pub const PROBES: u32 = 8;
/// A part that has been trusted for so long starts anew with the shortest rest.
pub const CALM: Micros = 60_000_000;

/// A part of the optimised path that can fall by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The cache of answers: without it each is made.
    Cache,
    /// Single flight: without it equal requests each have a query.
    Flight,
    /// Group commit: without it each write has a transaction.
    Batch,
    /// Warming: without it critical answers are made when they are asked for.
    Warming,
}

impl Part {
    /// All of them, in the order of their numbers.
    pub const ALL: [Part; 4] = [Part::Cache, Part::Flight, Part::Batch, Part::Warming];

    /// Its name in pages.
    pub const fn name(self) -> &'static str {
        match self {
            Part::Cache => "cache",
            Part::Flight => "flight",
            Part::Batch => "batch",
            Part::Warming => "warming",
        }
    }
}

/// How a part stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// In use.
    On,
    /// Not in use after a fall, until then.
    Resting(Micros),
    /// In use, and not yet trusted: so many uses must go well.
    Probing(u32),
}

#[derive(Clone, Copy, Debug)]
struct State {
    standing: Standing,
    /// The last rest.
    rest: Micros,
    /// Since when it has been trusted.
    trusted: Micros,
}

/// The parts, by their numbers.
#[derive(Clone, Debug)]
pub struct Paths<const N: usize> {
    states: [State; N],
    /// How many are not trusted: where all are, nothing else is looked at.
    doubtful: usize,
}

impl<const N: usize> Paths<N> {
    /// All in use.
    pub const fn new() -> Paths<N> {
        Paths { states: [State { standing: Standing::On, rest: 0, trusted: 0 }; N], doubtful: 0 }
    }

    /// Whether a part is to be used; a rest that is over makes it a probe.
    #[inline]
    pub fn in_use(&mut self, part: usize, now: Micros) -> bool {
        self.doubtful == 0 || self.doubtful_in_use(part, now)
    }

    fn doubtful_in_use(&mut self, part: usize, now: Micros) -> bool {
        let state = &mut self.states[part];
        match state.standing {
            Standing::Resting(until) if now < until => false,
            Standing::Resting(_) => {
                state.standing = Standing::Probing(PROBES);
                true
            }
            Standing::On | Standing::Probing(_) => true,
        }
    }

    /// A use of a part went well.
    #[inline]
    pub fn worked(&mut self, part: usize, now: Micros) {
        if self.doubtful > 0 {
            self.probed(part, now);
        }
    }

    fn probed(&mut self, part: usize, now: Micros) {
        let state = &mut self.states[part];
        match state.standing {
            Standing::Probing(left @ 2..) => state.standing = Standing::Probing(left - 1),
            Standing::Probing(_) => {
                *state = State { standing: Standing::On, trusted: now, ..*state };
                self.doubtful -= 1;
            }
            Standing::On | Standing::Resting(_) => {}
        }
    }

    /// A part fell; how long it rests.
    pub fn fall(&mut self, part: usize, now: Micros) -> Micros {
        let state = &mut self.states[part];
        let twice = (2 * state.rest).clamp(REST, REST_MAX);
        state.rest = match state.standing {
            Standing::On if now >= state.trusted + CALM => REST,
            Standing::On | Standing::Probing(_) => twice,
            // What was under way when it fell may fall too.
            Standing::Resting(_) => state.rest,
        };
        self.doubtful += usize::from(state.standing == Standing::On);
        state.standing = Standing::Resting(now + state.rest);
        state.rest
    }

    /// How a part stands.
    pub const fn standing(&self, part: usize) -> Standing {
        self.states[part].standing
    }

    /// Whether every part is in use: one on probation is.
    pub fn all_in_use(&self, now: Micros) -> bool {
        self.states.iter().all(|state| !matches!(state.standing, Standing::Resting(until) if now < until))
    }
}

impl<const N: usize> Default for Paths<N> {
    fn default() -> Paths<N> {
        Paths::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: Micros = 1_000_000;

    fn probe(paths: &mut Paths<2>, part: usize, now: Micros) {
        for _ in 0..PROBES {
            assert!(paths.in_use(part, now));
            paths.worked(part, now);
        }
    }

    #[test]
    fn a_part_that_falls_rests_is_probed_and_comes_back() {
        let mut paths = Paths::<2>::new();
        assert!(paths.in_use(0, 0) && paths.all_in_use(0));
        assert_eq!(paths.fall(0, 5 * S), S);
        assert!(!paths.in_use(0, 6 * S - 1) && !paths.all_in_use(6 * S - 1));
        assert!(paths.in_use(1, 5 * S), "the other goes on");
        assert!(paths.in_use(0, 6 * S) && paths.all_in_use(6 * S));
        assert_eq!(paths.standing(0), Standing::Probing(PROBES));
        (1..PROBES).for_each(|_| paths.worked(0, 6 * S));
        assert_eq!(paths.standing(0), Standing::Probing(1));
        paths.worked(1, 6 * S);
        assert_eq!(paths.standing(0), Standing::Probing(1), "what worked was the other");
        paths.worked(0, 6 * S);
        assert_eq!((paths.standing(0), paths.doubtful), (Standing::On, 0));
    }

    #[test]
    fn each_fall_before_it_was_calm_rests_twice_as_long_up_to_a_bound() {
        let mut paths = Paths::<2>::new();
        let mut now = 100 * S;
        for rest in [1, 2, 4, 8, 16, 32, 32] {
            assert_eq!(paths.fall(0, now), rest * S);
            now += rest * S;
            assert!(paths.in_use(0, now));
        }
        probe(&mut paths, 0, now);
        assert_eq!(paths.fall(0, now + CALM - 1), REST_MAX, "trusted for too short");
        now += CALM + REST_MAX;
        probe(&mut paths, 0, now);
        assert_eq!(paths.fall(0, now + CALM), REST);
    }

    #[test]
    fn what_falls_while_it_rests_begins_its_rest_anew() {
        let mut paths = Paths::<2>::new();
        paths.fall(0, 0);
        assert_eq!(paths.fall(0, S / 2), S);
        assert!(!paths.in_use(0, S));
        assert!(paths.in_use(0, 3 * S / 2));
        probe(&mut paths, 0, 2 * S);
        assert_eq!(paths.doubtful, 0, "it fell twice and comes back once");
    }

    #[derive(Clone, Copy, Debug)]
    enum Event {
        Fall,
        Use(bool),
        Wait(Micros),
    }

    proptest! {
        #[test]
        fn nothing_leaves_a_part_off_for_good(
            events in prop::collection::vec(
                (0..2_usize, prop_oneof![
                    Just(Event::Fall), any::<bool>().prop_map(Event::Use), (0..70 * S).prop_map(Event::Wait)
                ]),
                0..60,
            )
        ) {
            let (mut paths, mut now) = (Paths::<2>::new(), 0);
            for (part, event) in events {
                match event {
                    Event::Fall => prop_assert!((REST..=REST_MAX).contains(&paths.fall(part, now))),
                    Event::Use(well) if paths.in_use(part, now) => match well {
                        true => paths.worked(part, now),
                        false => { paths.fall(part, now); }
                    },
                    Event::Use(_) => {}
                    Event::Wait(time) => now += time,
                }
                let doubtful = (0..2).filter(|&part| paths.standing(part) != Standing::On).count();
                prop_assert_eq!(paths.doubtful, doubtful);
            }
            now += REST_MAX;
            for part in 0..2 {
                probe(&mut paths, part, now);
                prop_assert_eq!(paths.standing(part), Standing::On);
            }
            prop_assert_eq!(paths.doubtful, 0);
        }
    }
}
