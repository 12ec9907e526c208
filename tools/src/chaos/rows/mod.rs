//! The provocations.

mod arm64;
mod batches;
mod cache;
mod configuration;
mod connections;
mod disk;
mod drills;
mod legacy;
mod limits;
mod locks;
mod memory;
mod overload;
mod process;

use super::row::Row;

/// All rows, in the order in which they run.
pub fn all() -> impl Iterator<Item = &'static Row> {
    [
        connections::ROWS,
        cache::ROWS,
        locks::ROWS,
        configuration::ROWS,
        limits::ROWS,
        batches::ROWS,
        legacy::ROWS,
        disk::ROWS,
        memory::ROWS,
        process::ROWS,
        drills::ROWS,
        arm64::ROWS,
        overload::ROWS,
    ]
    .into_iter()
    .flatten()
}
