//! Whether a reading grows: the slope of a line through its last samples, by least squares.

/// Microseconds, as in `job.rs`; policies import nothing from above them.
type Micros = u64;

/// The last `N` samples, taken `step` apart.
#[derive(Clone, Copy, Debug)]
pub struct Slope<const N: usize> {
    samples: [u64; N],
    taken: usize,
    step: Micros,
    next_at: Micros,
}

impl<const N: usize> Slope<N> {
    const ENOUGH: () = assert!(N >= 2, "a line needs two points");

    /// No samples yet; one is taken every `step`.
    pub const fn new(step: Micros) -> Slope<N> {
        let () = Self::ENOUGH;
        Slope { samples: [0; N], taken: 0, step, next_at: 0 }
    }

    /// Shows a value; it is taken when a step has passed since the last.
    pub fn show(&mut self, value: u64, now: Micros) {
        if now >= self.next_at {
            self.samples[self.taken % N] = value;
            self.taken += 1;
            self.next_at = now + self.step;
        }
    }

    /// The growth in thousandths of the value's unit a second; `None` before there are `N` samples.
    pub fn milli_a_second(&self) -> Option<i64> {
        let oldest = self.taken.checked_sub(N)?;
        let base = i128::from(self.samples[oldest % N]);
        // With x = 2i - (N - 1), twice the distance from the middle, the sum of x is 0.
        let (mut products, mut squares) = (0_i128, 0_i128);
        for i in 0..N {
            let x = 2 * i as i128 - (N as i128 - 1);
            products += x * (i128::from(self.samples[(oldest + i) % N]) - base);
            squares += x * x;
        }
        // A step of x is half a step of time.
        let slope = products * 2 * 1000 * 1_000_000 / (squares * i128::from(self.step.max(1)));
        i64::try_from(slope).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: Micros = 1_000_000;

    #[test]
    fn a_line_has_its_slope_and_noise_has_none() {
        let mut slope: Slope<4> = Slope::new(10 * S);
        for (second, value, told) in [
            (0, 100, None),
            (5, 900, None), // not its turn
            (10, 200, None),
            (20, 300, None),
            (30, 400, Some(10_000)),
            (40, 500, Some(10_000)),
            (50, 500, Some(7_000)),
            (60, 500, Some(3_000)),
            (70, 500, Some(0)),
            (80, 400, Some(-3_000)),
        ] {
            slope.show(value, second * S);
            assert_eq!(slope.milli_a_second(), told, "at {second} s");
        }
    }

    proptest! {
        #[test]
        fn a_steady_growth_is_told_exactly_from_wherever_it_starts(base in 0_u64..1 << 40, a_step in 0_u64..1 << 20, skip in 0_u64..20) {
            let mut slope: Slope<9> = Slope::new(2 * S);
            for i in 0..9 + skip {
                slope.show(base + i * a_step, i * 2 * S);
            }
            prop_assert_eq!(slope.milli_a_second(), Some(a_step as i64 * 500));
        }
    }
}
