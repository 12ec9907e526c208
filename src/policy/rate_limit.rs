//! How many requests a client may make in a time, where the configuration says so: a token bucket for each client, in a fixed table.
//!
//! A bucket is one time: when it would be full again (the generic cell rate algorithm, ITU-T I.371). One that is full tells nothing and is
//! forgotten, so the table holds those clients alone that have asked within the last `burst` requests' time. When it is full of them, all
//! others share one bucket: a flood of addresses is slowed down as one client is, and frees nobody.

use super::clients::Client;

/// Microseconds, as in `job.rs`; policies import nothing from above them.
type Micros = u64;

const MINUTE: Micros = 60_000_000;
const SECOND: Micros = 1_000_000;

/// What is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Requests a minute in the long run; 0 for any number.
    pub per_minute: u32,
    /// Requests that may come at once.
    pub burst: u32,
}

impl Rule {
    /// The time that one request takes out of a bucket.
    const fn interval(self) -> Micros {
        let interval = MINUTE / if self.per_minute == 0 { 1 } else { self.per_minute as Micros };
        if interval == 0 { 1 } else { interval }
    }
}

/// The buckets of `N` clients, and one for all others.
#[derive(Debug)]
pub struct RateLimit<const N: usize> {
    buckets: heapless::Vec<(Client, Micros), N>,
    shared: Micros,
    limited: u64,
    without_place: u64,
}

impl<const N: usize> RateLimit<N> {
    /// All full.
    pub const fn new() -> Self {
        RateLimit { buckets: heapless::Vec::new(), shared: 0, limited: 0, without_place: 0 }
    }

    /// Takes one request out of the client's bucket; when there is none in it, after how many whole seconds (1 to 60) there is.
    pub fn ask(&mut self, client: Client, rule: Rule, now: Micros) -> Option<u16> {
        if rule.per_minute == 0 || client == Client::Exempt {
            return None;
        }
        let full = self.bucket(client, now);
        let (interval, burst) = (rule.interval(), Micros::from(rule.burst.max(1)));
        let then = (*full).max(now) + interval;
        // What is in the bucket is what is not missing to its being full.
        let late = then.saturating_sub(now + burst * interval);
        if late == 0 {
            *full = then;
            return None;
        }
        self.limited += 1;
        Some(late.div_ceil(SECOND).clamp(1, 60) as u16)
    }

    /// Requests that were refused.
    pub const fn limited(&self) -> u64 {
        self.limited
    }

    /// Requests that were asked of the shared bucket.
    pub const fn without_place(&self) -> u64 {
        self.without_place
    }

    /// Clients with a bucket of their own that was not full when it was last looked at.
    pub fn clients(&self) -> usize {
        self.buckets.len()
    }

    fn bucket(&mut self, client: Client, now: Micros) -> &mut Micros {
        if let Some(at) = self.buckets.iter().position(|(owner, _)| *owner == client) {
            return &mut self.buckets[at].1;
        }
        if self.buckets.is_full() {
            self.buckets.retain(|&(_, full)| full > now);
        }
        if self.buckets.push((client, now)).is_err() {
            self.without_place += 1;
            return &mut self.shared;
        }
        let last = self.buckets.len() - 1;
        &mut self.buckets[last].1
    }
}

impl<const N: usize> Default for RateLimit<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULE: Rule = Rule { per_minute: 120, burst: 4 };

    #[test]
    fn a_burst_passes_then_the_rate_and_the_wait_that_is_told_is_long_enough() {
        let mut limit: RateLimit<2> = RateLimit::new();
        let one = Client::V4(1);
        assert_eq!([0; 5].map(|_| limit.ask(one, RULE, 0)), [None, None, None, None, Some(1)]);
        let cases = [(499_999, Some(1)), (500_000, None), (500_000, Some(1)), (1_500_000, None), (1_500_000, None)];
        for (now, wanted) in cases {
            assert_eq!(limit.ask(one, RULE, now), wanted, "at {now}");
        }
        assert_eq!(limit.ask(Client::V4(2), RULE, 1_500_000), None, "another has its own");
        assert_eq!(limit.limited(), 3);
        let slow = Rule { per_minute: 1, burst: 1 };
        let mut limit: RateLimit<2> = RateLimit::new();
        assert_eq!((limit.ask(one, slow, 0), limit.ask(one, slow, 0), limit.ask(one, slow, 60_000_000)), (None, Some(60), None));
    }

    #[test]
    fn off_and_exempt_are_never_limited() {
        let mut limit: RateLimit<1> = RateLimit::new();
        for _ in 0..100 {
            assert_eq!(limit.ask(Client::V4(1), Rule { per_minute: 0, burst: 1 }, 0), None);
            assert_eq!(limit.ask(Client::Exempt, Rule { per_minute: 1, burst: 1 }, 0), None);
        }
        assert_eq!((limit.clients(), limit.limited()), (0, 0));
    }

    #[test]
    fn a_full_table_makes_the_rest_share_and_full_buckets_make_room() {
        let mut limit: RateLimit<2> = RateLimit::new();
        for client in [1, 2] {
            assert_eq!(limit.ask(Client::V4(client), RULE, 0), None);
        }
        let shared: Vec<_> = (3..8).map(|client| limit.ask(Client::V4(client), RULE, 0)).collect();
        assert_eq!(shared, [None, None, None, None, Some(1)]);
        assert_eq!((limit.without_place(), limit.ask(Client::V4(1), RULE, 0)), (5, None));
        assert_eq!([0; 4].map(|_| limit.ask(Client::V4(9), RULE, 500_000)), [None; 4], "its own, in the place of 2");
    }

    proptest! {
        #[test]
        fn no_time_holds_more_than_its_share_and_a_burst(
            per_minute in 1..100_000_u32, burst in 1..20_u32, steps in prop::collection::vec((0..4_u32, 0..2_000_000_u64), 1..300),
        ) {
            let (rule, mut limit) = (Rule { per_minute, burst }, RateLimit::<8>::new());
            let (mut now, mut served) = (0, vec![Vec::new(); 4]);
            for (client, passed) in steps {
                now += passed / 16;
                if let Some(seconds) = limit.ask(Client::V4(client), rule, now) {
                    let mut later = RateLimit::<8>::new();
                    later.buckets.clone_from(&limit.buckets);
                    prop_assert_eq!(later.ask(Client::V4(client), rule, now + u64::from(seconds) * SECOND), None, "as it was told");
                } else {
                    served[client as usize].push(now);
                }
            }
            for times in served {
                for (at, &from) in times.iter().enumerate() {
                    for (count, &to) in times[at..].iter().enumerate() {
                        prop_assert!((count as u64) < u64::from(burst) + (to - from) / rule.interval());
                    }
                }
            }
        }
    }
}
