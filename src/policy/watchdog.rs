//! When a service manager's watchdog is fed: by each pass of the loop, and from inside a piece of work for as long as that is within its time.
//! Times are microseconds since the start.

/// How long work without a deadline of its own may take: a checkpoint, the syncs of a batch, checking a configuration. A worn card was seen to
/// take ten seconds for one sync.
pub const WITHOUT_DEADLINE: u64 = 60_000_000;

/// The state: nothing is fed where nobody watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watchdog {
    /// Half of what the service manager waits.
    half: Option<u64>,
    next: u64,
    /// When the present work should be over.
    until: u64,
}

impl Watchdog {
    /// A watchdog that ends the process when it has not been fed for `interval`.
    pub const fn new(interval: Option<u64>) -> Watchdog {
        let half = match interval {
            Some(interval) => Some(interval / 2),
            None => None,
        };
        Watchdog { half, next: 0, until: u64::MAX }
    }

    /// The loop has come around: what it does next may be anything.
    pub const fn pass(&mut self, now: u64) {
        self.until = now.saturating_add(WITHOUT_DEADLINE);
    }

    /// A job begins, which should be over by `deadline`.
    pub const fn work(&mut self, deadline: u64) {
        self.until = deadline;
    }

    /// Whether it is to be fed now; at most once in half of its interval.
    pub fn is_due(&mut self, now: u64) -> bool {
        let due = self.next_at(now).is_some_and(|next| next <= now);
        if due {
            self.next = now + self.half.unwrap_or_default();
        }
        due
    }

    /// When it is to be fed next, as far as that is known.
    pub const fn next_at(&self, now: u64) -> Option<u64> {
        if self.half.is_some() && now <= self.until { Some(self.next) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_fed_twice_an_interval_and_not_more_often() {
        let mut watchdog = Watchdog::new(Some(1000));
        watchdog.pass(0);
        let fed: Vec<u64> = (0..2000).step_by(100).filter(|&now| watchdog.is_due(now)).collect();
        assert_eq!(fed, [0, 500, 1000, 1500]);
        assert_eq!(watchdog.next_at(1999), Some(2000));
    }

    #[test]
    fn work_beyond_its_deadline_starves_it_and_the_next_pass_does_not() {
        let mut watchdog = Watchdog::new(Some(1000));
        watchdog.work(3000);
        let fed: Vec<u64> = (0..9000).step_by(500).filter(|&now| watchdog.is_due(now)).collect();
        assert_eq!(fed, [0, 500, 1000, 1500, 2000, 2500, 3000]);
        watchdog.pass(9000);
        assert!(watchdog.is_due(9000) && watchdog.is_due(9000 + WITHOUT_DEADLINE));
        assert!(!watchdog.is_due(9001 + WITHOUT_DEADLINE + 500), "work without a deadline has one all the same");
    }

    #[test]
    fn nobody_is_fed_where_nobody_watches() {
        let mut watchdog = Watchdog::new(None);
        assert!(!watchdog.is_due(0) && !watchdog.is_due(u64::MAX));
        assert_eq!(watchdog.next_at(0), None);
    }
}
