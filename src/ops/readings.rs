//! Readings that the event loop carries from the back, the heap and the process to the operators' pages.

use super::system::System;
use crate::memory::heap;

/// How the database stands, as the back last saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Database {
    /// Whether it is open and answered its last job.
    pub ready: bool,
    /// Bytes of SQLite's heap in use.
    pub heap_bytes: u64,
    /// The most of it that was ever in use.
    pub heap_peak_bytes: u64,
    /// Largest single allocation.
    pub largest_bytes: u64,
    /// Page cache slots in use.
    pub pages: u64,
    /// The most of them that were ever in use.
    pub pages_peak: u64,
    /// Page cache slots.
    pub pages_total: u64,
    /// Bytes of pages that did not fit the slots and went to the heap, at most at once.
    pub pages_overflow_peak_bytes: u64,
    /// Bytes written to temporary files of large sorts since the start.
    pub temporary_bytes: u64,
    /// Time in microseconds that SQLite wanted to sleep for other processes, and the front had instead.
    pub slept_micros: u64,
    /// Prepared statements held.
    pub statements: u64,
    /// Tables and views in the catalog.
    pub tables: u64,
    /// Columns of them.
    pub columns: u64,
    /// Size of the database file, in bytes.
    pub file_bytes: u64,
    /// Size of its WAL, in bytes.
    pub wal_bytes: u64,
    /// Size of its wal-index, in bytes: shared memory that grows with the WAL, whoever writes it.
    pub wal_index_bytes: u64,
}

/// What SQLite's files cost, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// Syncs.
    pub syncs: u64,
    /// Those of them that went by the io_uring.
    pub ring_syncs: u64,
    /// Those of them that failed.
    pub failed_syncs: u64,
    /// Time that they took, in microseconds.
    pub sync_micros: u64,
    /// The longest of them.
    pub longest_sync_micros: u64,
    /// Bytes written to the database itself.
    pub database_bytes: u64,
    /// Bytes written to its WAL.
    pub wal_bytes: u64,
    /// Bytes written to rollback journals.
    pub journal_bytes: u64,
    /// Bytes written to temporary files.
    pub temporary_bytes: u64,
}

impl Disk {
    /// Bytes by file.
    pub fn files(&self) -> [(&'static str, u64); 4] {
        [
            ("database", self.database_bytes),
            ("wal", self.wal_bytes),
            ("journal", self.journal_bytes),
            ("temporary", self.temporary_bytes),
        ]
    }
}

/// The process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Resident memory, in bytes.
    pub rss_bytes: u64,
    /// Its anonymous part: what the sheet's process sum is compared with.
    pub rss_anon_bytes: u64,
    /// The same when the server became ready.
    pub ready_rss_anon_bytes: u64,
    /// Virtual memory, in bytes.
    pub virtual_bytes: u64,
    /// User and system time, in microseconds.
    pub cpu_micros: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// The most that may be open.
    pub descriptor_limit: u64,
    /// The machine's memory, in bytes; 0 where it could not be read.
    pub system_total_bytes: u64,
    /// How much of it could be had without swapping, in bytes.
    pub system_available_bytes: u64,
    /// Bytes that the kernel sent to storage for it.
    pub written_bytes: u64,
    /// Unix time of the start, in seconds.
    pub started_at: u64,
}

/// Versions of the configuration that the pages show.
pub const VERSIONS: usize = 8;
/// Bytes of a version's line; longer ones are not shown.
pub const VERSION_BYTES: usize = 256;

/// The configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Whether there is a file.
    pub present: bool,
    /// The running version's number.
    pub number: u64,
    /// Its file's hash.
    pub hash: u64,
    /// Since when it runs, in Unix seconds.
    pub since: u64,
    /// Whether the last attempt to load one succeeded.
    pub last_successful: bool,
    /// Attempts that failed.
    pub failures: u64,
    /// Why the last one did; empty when it did not.
    pub error: heapless::String<200>,
    /// Whether the file says something else than what runs.
    pub file_differs: bool,
    /// Whether versions outlive a restart.
    pub kept: bool,
    /// The last versions as in the audit, newest first.
    pub versions: heapless::Vec<heapless::String<VERSION_BYTES>, VERSIONS>,
}

/// Bytes of the reason why a part of the sandbox is off.
pub const REASON_BYTES: usize = 96;

/// One part of the sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Whether it is in force.
    pub on: bool,
    /// Why not; empty when it is.
    pub why: heapless::String<REASON_BYTES>,
}

/// What the process may no longer do, for good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// System calls beside the loop's few.
    pub seccomp: Part,
    /// Files elsewhere than in the folders that are served from.
    pub landlock: Part,
}

impl Sandbox {
    /// Both, by name.
    pub fn parts(&self) -> [(&'static str, &Part); 2] {
        [("seccomp", &self.seccomp), ("landlock", &self.landlock)]
    }
}

/// All that is read rather than counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// The database.
    pub database: Database,
    /// The process.
    pub process: Process,
    /// SQLite's files.
    pub disk: Disk,
    /// Rust's heap.
    pub heap: heap::Readings,
    /// The second heap, which configurations are read in.
    pub configuration_heap: heap::Readings,
    /// The configuration.
    pub configuration: Configuration,
    /// What surrounds the process.
    pub system: System,
    /// Log lines left out because they repeat.
    pub log_left_out: u64,
    /// The sandbox, as it was entered.
    pub sandbox: Sandbox,
    /// How hard pressed the server is.
    pub pressure: super::pressure_pages::Pressure,
}
