//! The load driver: options, the event loop, the replies' parser, the report.

pub mod connection;
pub mod driver;
pub mod head;
pub mod options;
pub mod report;
pub mod response;
pub mod schedule;
pub mod target;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::atomic::AtomicBool;

use self::driver::Driver;
use self::options::Options;
use self::report::Tally;
use crate::machine;

/// Descriptors that are not connections: standard streams, poll, timer, the readings of a server's process.
const DESCRIPTORS_BESIDE: u64 = 32;

/// Runs one load. `tick` is called about every 20 ms from within.
pub fn run(options: &Options, stop: &AtomicBool, tick: impl FnMut()) -> io::Result<Tally> {
    let limit = machine::raise_descriptors();
    let needed = options.connections as u64 + DESCRIPTORS_BESIDE;
    if needed > limit {
        return Err(io::Error::other(format!(
            "{} connections need {needed} descriptors, and the hard limit is {limit}; try -c {}, or raise it (ulimit -Hn)",
            options.connections,
            limit.saturating_sub(DESCRIPTORS_BESIDE),
        )));
    }
    Driver::new(options, stop)?.run(tick)
}
