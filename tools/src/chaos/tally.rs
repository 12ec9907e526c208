//! What became of requests.

use std::collections::BTreeMap;
use std::time::Duration;

use super::question::Judgement;

/// Examples of wrong answers that are kept.
const EXAMPLES: usize = 3;

/// Sums of one client or of all.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests, those that found no connection too.
    pub tried: u64,
    /// Answered as they must be.
    pub served: u64,
    /// 503 and 429.
    pub shed: u64,
    /// Other refusals in good form, by status.
    pub refused: BTreeMap<u16, u64>,
    /// Without an answer: no connection, or one that ended.
    pub broken: u64,
    /// Answers that were not true.
    pub wrong: u64,
    /// The first of them.
    pub examples: Vec<String>,
    /// Times of the served ones, in microseconds.
    pub times: Times,
}

impl Tally {
    /// Counts an answer.
    pub fn add(&mut self, judgement: Judgement, time: Duration) {
        self.tried += 1;
        match judgement {
            Judgement::Served => {
                self.served += 1;
                self.times.add(time);
            }
            Judgement::Shed => self.shed += 1,
            Judgement::Refused(status) => *self.refused.entry(status).or_default() += 1,
            Judgement::Wrong(example) => {
                self.wrong += 1;
                if self.examples.len() < EXAMPLES {
                    self.examples.push(example);
                }
            }
        }
    }

    /// Counts requests without an answer.
    pub fn broke(&mut self, count: u64) {
        self.tried += count;
        self.broken += count;
    }

    /// Adds another's.
    pub fn merge(&mut self, other: Self) {
        self.tried += other.tried;
        self.served += other.served;
        self.shed += other.shed;
        self.broken += other.broken;
        self.wrong += other.wrong;
        for (status, count) in other.refused {
            *self.refused.entry(status).or_default() += count;
        }
        self.examples.extend(other.examples);
        self.examples.truncate(EXAMPLES);
        self.times.merge(&other.times);
    }
}

/// Bits of a time that are kept: 3 % exact.
const PRECISION: u32 = 5;
/// Buckets for all times up to an hour.
const BUCKETS: usize = 1024;

/// How often which time, roughly.
#[derive(Clone)]
pub struct Times {
    counts: Vec<u32>,
    /// The longest, exactly.
    pub longest: Duration,
}

impl std::fmt::Debug for Times {
    fn fmt(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(to, "Times(p99 {:?}, longest {:?})", self.quantile(0.99), self.longest)
    }
}

impl Default for Times {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], longest: Duration::ZERO }
    }
}

fn bucket(micros: u64) -> usize {
    let shift = (u64::BITS - micros.leading_zeros()).saturating_sub(PRECISION + 1);
    (((shift as u64) << PRECISION) + (micros >> shift)) as usize
}

/// The least time beyond a bucket.
fn bound(bucket: usize) -> u64 {
    let (shift, rest) = ((bucket >> PRECISION).saturating_sub(1), bucket as u64 + 1);
    if shift == 0 { rest } else { (rest - ((shift as u64) << PRECISION)) << shift }
}

impl Times {
    /// Counts one.
    pub fn add(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.counts[bucket(micros).min(BUCKETS - 1)] += 1;
        self.longest = self.longest.max(time);
    }

    fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.longest = self.longest.max(other.longest);
    }

    /// The time that this share of all does not exceed.
    pub fn quantile(&self, share: f64) -> Duration {
        let all: u64 = self.counts.iter().map(|&count| u64::from(count)).sum();
        let rank = (all as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (at, &count) in self.counts.iter().enumerate() {
            seen += u64::from(count);
            if seen >= rank {
                return Duration::from_micros(bound(at)).min(self.longest);
            }
        }
        self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_within_their_precision() {
        let mut times = Times::default();
        for micros in 1..=10_000 {
            times.add(Duration::from_micros(micros));
        }
        for (share, micros) in [(0.5, 5_000.0), (0.99, 9_900.0), (1.0, 10_000.0)] {
            let found = times.quantile(share).as_micros() as f64;
            assert!((micros..micros * 1.04).contains(&found), "{share}: {found}");
        }
        assert_eq!(times.longest, Duration::from_millis(10));
        times.add(Duration::from_secs(4000));
        assert_eq!(times.quantile(1.0), Duration::from_secs(4000));
    }

    #[test]
    fn every_time_falls_below_the_bound_of_its_bucket_alone() {
        for micros in (0..200).chain([1 << 20, (1 << 20) - 1, 3_599_999_999]) {
            let place = bucket(micros);
            assert!(micros < bound(place), "{micros}");
            assert!(place == 0 || micros >= bound(place - 1), "{micros}");
        }
    }

    #[test]
    fn sums_add_up() {
        let mut one = Tally::default();
        one.add(Judgement::Served, Duration::from_millis(2));
        one.add(Judgement::Refused(504), Duration::ZERO);
        let mut two = Tally::default();
        two.add(Judgement::Wrong("x".to_owned()), Duration::ZERO);
        two.add(Judgement::Shed, Duration::ZERO);
        two.broke(2);
        one.merge(two);
        assert_eq!((one.tried, one.served, one.shed, one.broken, one.wrong), (6, 1, 1, 2, 1));
        assert_eq!((one.refused[&504], one.examples.len()), (1, 1));
    }
}
