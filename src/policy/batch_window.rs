//! When waiting writes become a batch: at once for a lone writer, and after a short wait for company where there was company before.
//!
//! A sync costs the same for one write as for many. Writers that wait for an answer before they write again come back together after a commit:
//! a window that stays open until as many have come as went gathers them, and nobody who is alone ever waits.

/// Microseconds, as in `job.rs`; policies import nothing from above them.
type Micros = u64;

/// The configured times and counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The fewest waiting writes that end a window early.
    pub least: usize,
    /// How long a window is open at most.
    pub window: Micros,
    /// How long a write waits at most.
    pub longest_wait: Micros,
    /// The most writes of a batch: so many end every window.
    pub most: usize,
}

/// The window behind the last batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchWindow {
    opened: Micros,
    /// Writes of the batch before it; no window opens behind fewer than two.
    size: usize,
}

impl BatchWindow {
    /// No batch yet.
    pub const fn new() -> BatchWindow {
        BatchWindow { opened: 0, size: 0 }
    }

    /// A batch of `size` writes was committed.
    pub fn committed(&mut self, size: usize, now: Micros) {
        *self = BatchWindow { opened: now, size };
    }

    /// From when on the `waiting` writes, the oldest of them since `oldest`, may be run; `None` when none waits.
    pub fn due(&self, waiting: usize, oldest: Micros, rule: Rule) -> Option<Micros> {
        let enough = self.size.max(rule.least).min(rule.most);
        match waiting {
            0 => None,
            _ if self.size < 2 || waiting >= enough => Some(oldest),
            _ => Some((self.opened + rule.window).min(oldest + rule.longest_wait)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { least: 5, window: 25_000, longest_wait: 50_000, most: 8 };

    #[test]
    fn a_lone_writer_never_waits_and_company_is_waited_for() {
        let after = |size| {
            let mut window = BatchWindow::new();
            window.committed(size, 1_000_000);
            window
        };
        // Size of the last batch, waiting, oldest, due.
        let cases: &[(usize, usize, Micros, Option<Micros>)] = &[
            (0, 0, 0, None),
            (0, 1, 70, Some(70)),
            (1, 1, 1_000_500, Some(1_000_500)),
            (1, 3, 1_000_500, Some(1_000_500)),
            (2, 0, 0, None),
            (2, 1, 1_000_500, Some(1_025_000)),
            (2, 4, 1_000_500, Some(1_025_000)),
            (2, 5, 1_000_500, Some(1_000_500)),
            (7, 6, 1_000_500, Some(1_025_000)),
            (7, 7, 1_000_500, Some(1_000_500)),
            // No batch is larger than the largest, so nobody waits for more.
            (9, 8, 1_000_500, Some(1_000_500)),
            // Came while the last batch ran.
            (2, 1, 960_000, Some(1_010_000)),
            // The window is long over.
            (2, 1, 2_000_000, Some(1_025_000)),
        ];
        for &(size, waiting, oldest, due) in cases {
            assert_eq!(after(size).due(waiting, oldest, RULE), due, "after {size}: {waiting} since {oldest}");
        }
    }
}
