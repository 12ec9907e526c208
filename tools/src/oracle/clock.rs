//! CLOCK_MONOTONIC: one clock for all processes of a run.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the origin of a run.
pub type Nanos = i64;

/// Where a run's times count from.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The clock's own reading at the origin.
    pub origin: Nanos,
}

impl Clock {
    /// Counts from now.
    pub fn start() -> Self {
        Self { origin: reading() }
    }

    /// Now.
    pub fn now(self) -> Nanos {
        reading() - self.origin
    }
}

fn reading() -> Nanos {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
