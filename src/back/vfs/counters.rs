//! What the shim counts: bytes by the kind of file, and syncs.
//!
//! The numbers are the thread's: one thread uses SQLite, and it is the one that shows them.

use std::cell::Cell;

use super::files::Kind;
use crate::job::Micros;

/// What was done since the start. Only ever rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Syncs of files that were asked of the kernel.
    pub syncs: u64,
    /// Those of them in which the front had its turns.
    pub ring_syncs: u64,
    /// Those that failed, and those that were refused because one had failed before.
    pub failed_syncs: u64,
    /// Time that all of them took, in microseconds: what SQLite waited, with what a turn was late.
    pub sync_micros: Micros,
    /// The longest of them, in microseconds.
    pub longest_sync_micros: Micros,
    /// Bytes written to the database itself.
    pub database_bytes: u64,
    /// Bytes written to its WAL.
    pub wal_bytes: u64,
    /// Bytes written to rollback journals.
    pub journal_bytes: u64,
    /// Bytes written to temporary files.
    pub temporary_bytes: u64,
    /// Time in microseconds that SQLite wanted to sleep and the front had instead.
    pub slept_micros: Micros,
}

thread_local! {
    static COUNTERS: Cell<Counters> = const {
        Cell::new(Counters {
            syncs: 0,
            ring_syncs: 0,
            failed_syncs: 0,
            sync_micros: 0,
            longest_sync_micros: 0,
            database_bytes: 0,
            wal_bytes: 0,
            journal_bytes: 0,
            temporary_bytes: 0,
            slept_micros: 0,
        })
    };
}

/// The counters as they are now.
pub fn counters() -> Counters {
    COUNTERS.get()
}

fn count(change: impl FnOnce(&mut Counters)) {
    let mut counters = COUNTERS.get();
    change(&mut counters);
    COUNTERS.set(counters);
}

/// Bytes were written to a file.
pub(super) fn wrote(kind: Kind, bytes: u64) {
    count(|counters| match kind {
        Kind::Database => counters.database_bytes += bytes,
        Kind::Wal => counters.wal_bytes += bytes,
        Kind::Journal => counters.journal_bytes += bytes,
        Kind::Temporary => counters.temporary_bytes += bytes,
    });
}

/// A sync took so long.
pub(super) fn synced(micros: Micros, by_ring: bool, failed: bool) {
    count(|counters| {
        counters.syncs += 1;
        counters.ring_syncs += u64::from(by_ring);
        counters.failed_syncs += u64::from(failed);
        counters.sync_micros += micros;
        counters.longest_sync_micros = counters.longest_sync_micros.max(micros);
    });
}

/// A sync was not tried, because one failed before.
pub(super) fn refused() {
    count(|counters| counters.failed_syncs += 1);
}

/// SQLite wanted to sleep.
pub(super) fn slept(micros: Micros) {
    count(|counters| counters.slept_micros += micros);
}
