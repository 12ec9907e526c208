//! What counters have gained lately, and the highest of a reading: both over the last few steps of time.

/// Microseconds, as in `job.rs`; policies import nothing from above them.
type Micros = u64;

/// `K` counters over the last `N` steps.
#[derive(Clone, Debug)]
pub struct Gains<const K: usize, const N: usize> {
    /// As they were at the ends of the last steps.
    past: [[u64; K]; N],
    at: usize,
    now: [u64; K],
    step: Micros,
    next_at: Micros,
}

impl<const K: usize, const N: usize> Gains<K, N> {
    /// All zero, as counters are at the start.
    pub const fn new(step: Micros) -> Gains<K, N> {
        Gains { past: [[0; K]; N], at: 0, now: [0; K], step, next_at: 0 }
    }

    /// Shows the counters as they are.
    pub fn show(&mut self, counters: [u64; K], now: Micros) {
        self.now = counters;
        if now >= self.next_at {
            self.past[self.at] = counters;
            self.at = (self.at + 1) % N;
            self.next_at = now + self.step;
        }
    }

    /// What a counter has gained within the window; a counter that began anew counts from 0.
    pub fn of(&self, counter: usize) -> u64 {
        let (now, then) = (self.now[counter], self.past[self.at][counter]);
        now.checked_sub(then).unwrap_or(now)
    }
}

/// The highest reading of the last `N` steps.
#[derive(Clone, Copy, Debug)]
pub struct Peak<const N: usize> {
    past: [u64; N],
    at: usize,
    step: Micros,
    next_at: Micros,
}

impl<const N: usize> Peak<N> {
    /// Nothing yet.
    pub const fn new(step: Micros) -> Peak<N> {
        Peak { past: [0; N], at: 0, step, next_at: 0 }
    }

    /// Shows a reading.
    pub fn show(&mut self, reading: u64, now: Micros) {
        if now >= self.next_at {
            self.at = (self.at + 1) % N;
            self.past[self.at] = 0;
            self.next_at = now + self.step;
        }
        self.past[self.at] = self.past[self.at].max(reading);
    }

    /// The highest.
    pub fn get(&self) -> u64 {
        self.past.iter().copied().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gain_is_forgotten_after_the_window() {
        let mut gains: Gains<2, 3> = Gains::new(10);
        for (now, counters, gained) in [
            (0, [0, 5], [0, 5]),
            (5, [1, 5], [1, 5]),
            (10, [1, 5], [1, 5]),
            (20, [4, 5], [4, 0]), // what was shown at 0 is the oldest now
            (30, [4, 5], [3, 0]),
            (39, [4, 6], [3, 1]),
            (40, [4, 6], [0, 1]),
            (50, [2, 6], [2, 1]), // began anew
        ] {
            gains.show(counters, now);
            assert_eq!([gains.of(0), gains.of(1)], gained, "at {now}");
        }
    }

    #[test]
    fn a_peak_is_forgotten_after_the_window() {
        let mut peak: Peak<3> = Peak::new(10);
        for (now, reading, highest) in
            [(0, 5, 5), (5, 9, 9), (10, 1, 9), (20, 2, 9), (30, 3, 3), (40, 0, 3), (60, 0, 3), (70, 0, 0)]
        {
            peak.show(reading, now);
            assert_eq!(peak.get(), highest, "at {now}");
        }
    }
}
