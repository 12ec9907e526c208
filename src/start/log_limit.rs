//! The limit of repeated log lines, for this process: errors and warnings only, since those come by themselves; the rest is somebody's doing.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use crate::budget::LOG_SITES;
use crate::policy::log_limit::LogLimit;

static LIMIT: Mutex<LogLimit<LOG_SITES>> = Mutex::new(LogLimit::new());
const _: () = assert!(size_of::<LogLimit<LOG_SITES>>() <= crate::budget::LOG_LIMIT_BYTES, "LOG_LIMIT_BYTES holds the limit");

/// The lines that tell of others are not limited themselves.
const TOLD: &str = "left_out";

fn limit() -> MutexGuard<'static, LogLimit<LOG_SITES>> {
    LIMIT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> u64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    FIRST.get_or_init(Instant::now).elapsed().as_micros() as u64
}

/// Whether a line is to be written.
pub fn admits(record: &log::Record<'_>) -> bool {
    if record.level() > log::Level::Warn || record.target() == TOLD {
        return true;
    }
    let site = (record.file_static().unwrap_or_default(), record.line().unwrap_or_default());
    limit().ask(site, now(), *record.args())
}

/// Tells of the lines that were left out in windows that are over; to be called about once a second.
pub fn tell() {
    tell_as_of(now());
}

/// Tells of all that were left out: nobody will later.
pub fn tell_all() {
    tell_as_of(u64::MAX);
}

fn tell_as_of(now: u64) {
    loop {
        // Not while the lock is held: the line comes by here.
        let left_out = limit().take_left_out(now);
        let Some(left_out) = left_out else { break };
        log::warn!(target: TOLD, "{} more lines within a minute like: {}", left_out.lines, left_out.like);
    }
}

/// Lines left out since the start.
pub fn left_out() -> u64 {
    limit().left_out()
}
