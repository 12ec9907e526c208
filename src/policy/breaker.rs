//! Whether what keeps failing is asked again: open after repeated failures, half-open for a few probes after a while, then closed or open again.
//!
//! Load is shed in proportion (`admission`); this is for what fails however little is asked. What a failure condemns depends on its cause: an
//! I/O error speaks of the disk under everything, so it counts for the whole back; a damaged page or a query that takes too long
//! speaks of what the route reads, so each route has breakers of its own. Tables have none: their filters are the clients', and three
//! bad ones must not close a table for everybody. A database that is not there is asked for ten times a second by the loop
//! itself, and needs no breaker beside that.

/// Microseconds, as in `job.rs`; policies import nothing from above them.
type Micros = u64;

/// Probes that a half-open breaker lets through, all of which must succeed.
pub const PROBES: u8 = 3;
/// A probe that was let through and of which nothing was heard for so long (its client went) is given up: others are let through.
const PROBE_TIME: Micros = 10_000_000;

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The disk: reads or syncs fail.
    Io,
    /// The database is damaged where a route reads.
    Corrupt,
    /// A route's query is stopped at its limit.
    Timeout,
}

impl Cause {
    /// All, in the order of their numbers.
    pub const ALL: [Cause; 3] = [Cause::Io, Cause::Corrupt, Cause::Timeout];

    /// The label's value in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Cause::Io => "io",
            Cause::Corrupt => "corrupt",
            Cause::Timeout => "timeout",
        }
    }

    /// Failures in a row that open the breaker. A timeout has cost the whole of its limit, seconds of everybody's back; the others cost little.
    pub const fn failures(self) -> u8 {
        match self {
            Cause::Io | Cause::Corrupt => 5,
            Cause::Timeout => 3,
        }
    }
}

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All are let through; so many have failed in a row.
    Closed {
        /// Failures since the last success.
        failed: u8,
    },
    /// None is, until then.
    Open {
        /// When it becomes half-open.
        until: Micros,
    },
    /// A few are.
    HalfOpen {
        /// Let through since `since`.
        probes: u8,
        /// Of them that succeeded.
        good: u8,
        /// When the first of them was let through, or the breaker became half-open.
        since: Micros,
    },
}

impl State {
    /// 0 closed, 1 half-open, 2 open.
    pub const fn number(self) -> u8 {
        match self {
            State::Closed { .. } => 0,
            State::HalfOpen { .. } => 1,
            State::Open { .. } => 2,
        }
    }
}

/// One breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Breaker(State);

impl Breaker {
    const CLOSED: Breaker = Breaker(State::Closed { failed: 0 });

    /// How long nobody is let through; `None` when the next one may pass.
    fn rest(self, now: Micros) -> Option<Micros> {
        match self.0 {
            State::Open { until } if now < until => Some(until - now),
            State::HalfOpen { probes, since, .. } if probes >= PROBES && now < since + PROBE_TIME => {
                Some(since + PROBE_TIME - now)
            }
            _ => None,
        }
    }

    /// One that `rest` let pass does.
    fn pass(&mut self, now: Micros) {
        match &mut self.0 {
            State::Closed { .. } => {}
            State::Open { .. } => self.0 = State::HalfOpen { probes: 1, good: 0, since: now },
            State::HalfOpen { probes, since, .. } if *probes < PROBES => {
                *probes += 1;
                *since = if *probes == 1 { now } else { *since };
            }
            State::HalfOpen { good, .. } => self.0 = State::HalfOpen { probes: 1, good: *good, since: now },
        }
    }

    /// Whether it closed by that.
    fn succeeded(&mut self) -> bool {
        match &mut self.0 {
            State::Closed { failed } => *failed = 0,
            // It began before the failures did.
            State::Open { .. } => {}
            State::HalfOpen { good, .. } => {
                *good += 1;
                if *good >= PROBES {
                    *self = Breaker::CLOSED;
                    return true;
                }
            }
        }
        false
    }

    /// Whether it opened by that.
    fn failed(&mut self, most: u8, recovery: Micros, now: Micros) -> bool {
        match &mut self.0 {
            State::Closed { failed } => {
                *failed += 1;
                if *failed < most {
                    return false;
                }
            }
            State::HalfOpen { .. } => {}
            State::Open { .. } => return false,
        }
        self.0 = State::Open { until: now + recovery };
        true
    }
}

/// How what was asked of the back ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By an answer, be it a 404: the back works.
    Well,
    /// By this.
    Failed(Cause),
}

/// What a failure changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that anybody need know.
    Nothing,
    /// A breaker opened.
    Opened(Cause),
    /// A breaker closed again.
    Closed(Cause),
}

/// The breakers of the back and of at most `ROUTES` routes.
#[derive(Debug)]
pub struct Breakers<const ROUTES: usize> {
    back: Breaker,
    routes: [[Breaker; 2]; ROUTES],
    /// How often each cause has opened one.
    opened: [u64; Cause::ALL.len()],
}

/// The causes that routes have breakers for.
const OF_ROUTES: [Cause; 2] = [Cause::Corrupt, Cause::Timeout];

impl<const ROUTES: usize> Breakers<ROUTES> {
    /// All closed.
    pub const fn new() -> Self {
        Breakers { back: Breaker::CLOSED, routes: [[Breaker::CLOSED; 2]; ROUTES], opened: [0; Cause::ALL.len()] }
    }

    /// How long nothing of a route (`None`: of the tables) is let through to the back, if so.
    pub fn rest(&self, route: Option<usize>, now: Micros) -> Option<Micros> {
        let own = route.and_then(|route| self.routes[route].iter().filter_map(|breaker| breaker.rest(now)).max());
        self.back.rest(now).max(own)
    }

    /// A request that [`Breakers::rest`] let pass goes to the back. Half-open breakers count it as a probe.
    pub fn pass(&mut self, route: Option<usize>, now: Micros) {
        self.back.pass(now);
        for breaker in route.map(|route| &mut self.routes[route]).into_iter().flatten() {
            breaker.pass(now);
        }
    }

    /// Whether what waits for the back is to be sent away after all, because a breaker has opened since it was let through.
    pub fn is_open(&self, route: Option<usize>, now: Micros) -> bool {
        let open = |breaker: &Breaker| matches!(breaker.0, State::Open { until } if now < until);
        open(&self.back) || route.is_some_and(|route| self.routes[route].iter().any(open))
    }

    /// Takes note of how a request of a route ended; a breaker that opens stays so for `recovery`.
    pub fn ended(&mut self, route: Option<usize>, ended: Ended, recovery: Micros, now: Micros) -> Change {
        let failed = match ended {
            Ended::Well => None,
            Ended::Failed(cause) => Some(cause),
        };
        let (mut opened, mut closed) = (false, [false; Cause::ALL.len()]);
        match failed {
            Some(Cause::Io) => opened |= self.back.failed(Cause::Io.failures(), recovery, now),
            // A damaged page, or a long query: the disk gave what was asked of it.
            _ => closed[Cause::Io as usize] = self.back.succeeded(),
        }
        if let Some(route) = route {
            for (breaker, cause) in self.routes[route].iter_mut().zip(OF_ROUTES) {
                match failed {
                    Some(own) if own == cause => opened |= breaker.failed(cause.failures(), recovery, now),
                    // What fails otherwise tells nothing of this cause.
                    Some(_) => {}
                    None => closed[cause as usize] = breaker.succeeded(),
                }
            }
        }
        if let (Some(cause), true) = (failed, opened) {
            self.opened[cause as usize] += 1;
            return Change::Opened(cause);
        }
        if closed == [false; Cause::ALL.len()] {
            return Change::Nothing;
        }
        // That was the last of its cause: worth telling.
        let after = self.states();
        let last = Cause::ALL.into_iter().find(|&cause| closed[cause as usize] && after[cause as usize] == 0);
        last.map_or(Change::Nothing, Change::Closed)
    }

    /// The database was opened anew: what the connection before it met may be over, so probes are let through at once.
    pub fn reopened(&mut self, now: Micros) {
        for breaker in std::iter::once(&mut self.back).chain(self.routes.as_flattened_mut()) {
            if let State::Open { .. } = breaker.0 {
                breaker.0 = State::HalfOpen { probes: 0, good: 0, since: now };
            }
        }
    }

    /// Other routes stand in the places of these.
    pub fn forget_routes(&mut self) {
        self.routes = [[Breaker::CLOSED; 2]; ROUTES];
    }

    /// By cause, how the worst of its breakers stands: 0 closed, 1 half-open, 2 open.
    pub fn states(&self) -> [u8; Cause::ALL.len()] {
        let worst = |at: usize| self.routes.iter().map(|route| route[at].0.number()).max().unwrap_or(0);
        [self.back.0.number(), worst(0), worst(1)]
    }

    /// By cause, how often one of its breakers opened.
    pub const fn opened(&self) -> [u64; Cause::ALL.len()] {
        self.opened
    }

    /// How long until the last of those that are open lets a probe through.
    pub fn longest_rest(&self, now: Micros) -> Option<Micros> {
        std::iter::once(&self.back).chain(self.routes.as_flattened()).filter_map(|breaker| breaker.rest(now)).max()
    }
}

impl<const ROUTES: usize> Default for Breakers<ROUTES> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: Micros = 1_000_000;
    const RECOVERY: Micros = 30 * S;

    fn fail(breakers: &mut Breakers<2>, route: Option<usize>, cause: Cause, times: u8, now: Micros) -> Change {
        (0..times).map(|_| breakers.ended(route, Ended::Failed(cause), RECOVERY, now)).last().unwrap_or(Change::Nothing)
    }

    fn ask(breakers: &mut Breakers<2>, route: Option<usize>, now: Micros) -> Option<Micros> {
        let rest = breakers.rest(route, now);
        if rest.is_none() {
            breakers.pass(route, now);
        }
        rest
    }

    #[test]
    fn an_io_error_counts_for_all_and_a_timeout_for_its_route() {
        let mut breakers: Breakers<2> = Breakers::new();
        assert_eq!(fail(&mut breakers, Some(0), Cause::Timeout, 2, 0), Change::Nothing);
        assert_eq!(fail(&mut breakers, Some(0), Cause::Timeout, 1, 0), Change::Opened(Cause::Timeout));
        assert_eq!([Some(0), Some(1), None].map(|route| breakers.rest(route, S)), [Some(29 * S), None, None]);
        assert_eq!(breakers.states(), [0, 0, 2]);
        fail(&mut breakers, Some(1), Cause::Io, 3, S);
        assert_eq!(fail(&mut breakers, None, Cause::Io, 2, S), Change::Opened(Cause::Io));
        assert_eq!([Some(0), Some(1), None].map(|route| breakers.rest(route, 2 * S)), [Some(29 * S); 3]);
        assert_eq!((breakers.states(), breakers.opened()), ([2, 0, 2], [1, 0, 1]));
        fail(&mut breakers, None, Cause::Timeout, 100, S);
        assert_eq!(breakers.opened(), [1, 0, 1], "a filter of a client's own closes no table");
    }

    #[test]
    fn a_success_in_between_takes_failures_back() {
        let mut breakers: Breakers<2> = Breakers::new();
        for _ in 0..10 {
            fail(&mut breakers, Some(0), Cause::Corrupt, 4, 0);
            breakers.ended(Some(0), Ended::Well, RECOVERY, 0);
            fail(&mut breakers, None, Cause::Io, 4, 0);
            breakers.ended(Some(1), Ended::Well, RECOVERY, 0);
        }
        assert_eq!(breakers.states(), [0; 3]);
        fail(&mut breakers, Some(0), Cause::Corrupt, 4, 0);
        breakers.ended(Some(1), Ended::Well, RECOVERY, 0);
        assert_eq!(
            fail(&mut breakers, Some(0), Cause::Corrupt, 1, 0),
            Change::Opened(Cause::Corrupt),
            "another's success is not its own"
        );
        assert_eq!((breakers.rest(Some(0), 0), breakers.rest(Some(1), 0)), (Some(RECOVERY), None));
    }

    #[test]
    fn after_thirty_seconds_three_probes_decide() {
        let mut breakers: Breakers<2> = Breakers::new();
        fail(&mut breakers, Some(0), Cause::Timeout, 3, 0);
        assert_eq!(ask(&mut breakers, Some(0), 30 * S - 1), Some(1));
        assert_eq!([0; 3].map(|_| ask(&mut breakers, Some(0), 30 * S)), [None; 3]);
        assert_eq!(ask(&mut breakers, Some(0), 31 * S), Some(PROBE_TIME - S), "a few, not all");
        assert_eq!(breakers.states(), [0, 0, 1]);
        assert_eq!(breakers.ended(Some(0), Ended::Well, RECOVERY, 31 * S), Change::Nothing);
        assert_eq!(breakers.ended(Some(0), Ended::Well, RECOVERY, 31 * S), Change::Nothing);
        assert_eq!(breakers.ended(Some(0), Ended::Well, RECOVERY, 31 * S), Change::Closed(Cause::Timeout));
        assert_eq!((ask(&mut breakers, Some(0), 31 * S), breakers.states()), (None, [0; 3]));
    }

    #[test]
    fn a_probe_that_fails_opens_it_again_and_one_that_is_lost_blocks_nothing() {
        let mut breakers: Breakers<2> = Breakers::new();
        fail(&mut breakers, Some(0), Cause::Timeout, 3, 0);
        assert_eq!(ask(&mut breakers, Some(0), 30 * S), None);
        assert_eq!(fail(&mut breakers, Some(0), Cause::Timeout, 1, 35 * S), Change::Opened(Cause::Timeout));
        assert_eq!(ask(&mut breakers, Some(0), 35 * S), Some(RECOVERY));
        assert!(breakers.is_open(Some(0), 64 * S) && !breakers.is_open(Some(1), 64 * S) && !breakers.is_open(Some(0), 65 * S));
        assert_eq!([0; 3].map(|_| ask(&mut breakers, Some(0), 65 * S)), [None; 3]);
        assert_eq!(ask(&mut breakers, Some(0), 75 * S - 1), Some(1));
        assert_eq!(ask(&mut breakers, Some(0), 75 * S), None);
    }

    #[test]
    fn a_database_that_was_opened_anew_is_probed_at_once() {
        let mut breakers: Breakers<2> = Breakers::new();
        fail(&mut breakers, Some(1), Cause::Io, 5, 0);
        breakers.reopened(S);
        assert_eq!((ask(&mut breakers, Some(0), S), breakers.states()), (None, [1, 0, 0]));
        fail(&mut breakers, Some(1), Cause::Io, 1, S);
        assert_eq!(breakers.rest(None, S), Some(RECOVERY));
        breakers.forget_routes();
        assert_eq!(breakers.rest(None, S), Some(RECOVERY), "other routes, and the same disk");
    }

    proptest! {
        #[test]
        fn no_history_leaves_it_shut(
            steps in prop::collection::vec((0..3_u8, 0..4_u8, 0..40 * S), 0..100),
        ) {
            let mut breakers: Breakers<2> = Breakers::new();
            let mut now = 0;
            for (route, what, passed) in steps {
                now += passed / 8;
                let route = usize::from(route).checked_sub(1);
                if ask(&mut breakers, route, now).is_none() && what < 4 {
                    let ended = match what {
                        0 => Ended::Well,
                        1 => Ended::Failed(Cause::Io),
                        2 => Ended::Failed(Cause::Corrupt),
                        _ => Ended::Failed(Cause::Timeout),
                    };
                    breakers.ended(route, ended, RECOVERY, now);
                }
                for route in [None, Some(0), Some(1)] {
                    // What is told is true: then somebody is let through.
                    if let Some(rest) = breakers.rest(route, now) {
                        prop_assert!(rest <= RECOVERY.max(PROBE_TIME));
                        prop_assert_eq!(breakers.rest(route, now + rest), None);
                    }
                }
            }
            for _ in 0..PROBES {
                for route in [None, Some(0), Some(1)] {
                    now += RECOVERY;
                    prop_assert_eq!(ask(&mut breakers, route, now), None);
                    breakers.ended(route, Ended::Well, RECOVERY, now);
                }
            }
            prop_assert_eq!(breakers.states(), [0; 3]);
        }
    }
}
