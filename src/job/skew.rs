//! How far our own clocks stand from the machine's: nothing, but for a drill. The machine's clocks are never touched.
//!
//! Both halves tell the time by these, so that a deadline which one sets means the same to the other. The process has one thread that tells the time.

use core::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use super::Micros;

static MONOTONIC: AtomicU64 = AtomicU64::new(0);
static WALL: AtomicI64 = AtomicI64::new(0);

/// What is added to the machine's monotonic clock. It only grows.
#[inline]
pub fn monotonic() -> Micros {
    MONOTONIC.load(Relaxed)
}

/// Lets the monotonic clock jump forward.
pub fn jump(by: Micros) {
    MONOTONIC.fetch_add(by, Relaxed);
}

/// The time of day that we tell, in seconds since 1970, from the machine's.
#[inline]
pub fn told(unix: u64) -> u64 {
    unix.saturating_add_signed(WALL.load(Relaxed))
}

/// Lets the time of day that we tell be off by so many seconds; 0 ends that.
pub fn set_wall(seconds: i64) {
    WALL.store(seconds, Relaxed);
}
