//! Choices that a seed repeats: splitmix64.

use std::time::Duration;

/// A sequence of choices.
pub struct Random(u64);

impl Random {
    /// The sequence number `stream` of `seed`: processes and threads take one each.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03));
        random.next();
        random
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True `percent` times of a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// A pause between `least` and `most`, in microseconds; short ones are as likely as long ones.
    pub fn pause(&mut self, least: u64, most: u64) -> Duration {
        let span = (most / least.max(1)).max(2);
        let top = least.max(1) << self.below(u64::from(span.ilog2()) + 1);
        Duration::from_micros((top + self.below(top)).clamp(least, most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_choices_and_pauses_stay_in_range() {
        let choices = |seed, stream| {
            let mut random = Random::new(seed, stream);
            [random.next(), random.next(), random.next()]
        };
        assert_eq!(choices(7, 1), choices(7, 1));
        assert_ne!(choices(7, 1), choices(7, 2));
        assert_ne!(choices(7, 1), choices(8, 1));
        let mut random = Random::new(1, 1);
        for _ in 0..1000 {
            let pause = random.pause(100, 5000).as_micros();
            assert!((100..=5000).contains(&pause), "{pause}");
        }
    }
}
