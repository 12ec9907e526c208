//! What the operators' pages say of the database and of the one connection that works on it.

use core::fmt::{self, Write};

use super::metrics::GapCause;
use super::snapshot::Snapshot;
use super::text::{Seconds, counts, head, single};
use crate::budget;

/// Metrics of both.
pub(super) fn put_metrics(all: &Snapshot, out: &mut impl Write) -> fmt::Result {
    let metrics = all.metrics;
    single(out, "flagstone_queued_requests", "gauge", "Requests that wait for the database.", all.queued)?;
    single(out, "flagstone_jobs_total", "counter", "Jobs run on the database.", metrics.jobs)?;
    head(out, "flagstone_job_seconds_total", "counter", "Time spent in jobs.")?;
    writeln!(out, "flagstone_job_seconds_total {}", Seconds(metrics.job_micros))?;
    single(out, "flagstone_query_timeouts_total", "counter", "Queries stopped at their limit.", metrics.query_timeouts)?;
    single(out, "flagstone_abandoned_jobs_total", "counter", "Queries stopped because nobody waited.", metrics.abandoned_jobs)?;
    single(
        out,
        "flagstone_busy_retries_total",
        "counter",
        "Jobs put back because of another process's lock.",
        metrics.busy_retries,
    )?;
    let refused = "Queries that SQLite refused to prepare or to run.";
    single(out, "flagstone_refused_statements_total", "counter", refused, metrics.refused_statements)?;
    single(out, "flagstone_database_reopens_total", "counter", "Reopenings because the file was replaced.", metrics.reopens)?;
    single(out, "flagstone_panics_total", "counter", "Panics caught.", metrics.panics)?;
    single(out, "flagstone_turns_total", "counter", "Turns of the event loop.", metrics.turns)?;
    single(out, "flagstone_nested_turns_total", "counter", "Turns taken inside a running query.", metrics.nested_turns)?;
    head(out, "flagstone_longest_gap_seconds", "gauge", "The longest time between two turns, by cause.")?;
    for (cause, &gap) in GapCause::ALL.iter().zip(&metrics.longest_gap) {
        writeln!(out, "flagstone_longest_gap_seconds{{cause=\"{}\"}} {}", cause.label(), Seconds(gap))?;
    }
    let database = &all.readings.database;
    single(out, "flagstone_database_ready", "gauge", "Whether the database is open.", u64::from(database.ready))?;
    single(out, "flagstone_database_bytes", "gauge", "Size of the database file.", database.file_bytes)?;
    let shared = "Size of its wal-index, which this process maps.";
    single(out, "flagstone_wal_index_bytes", "gauge", shared, database.wal_index_bytes)?;
    single(out, "flagstone_wal_index_limit_bytes", "gauge", "What the sheet allows it.", budget::WAL_INDEX_KIB as u64 * 1024)?;
    single(out, "flagstone_wal_bytes", "gauge", "Size of its write-ahead log.", database.wal_bytes)?;
    let temporary = "flagstone_temporary_written_bytes_total";
    single(out, temporary, "counter", "Bytes written to temporary files of large sorts.", database.temporary_bytes)?;
    head(out, "flagstone_sqlite_sleep_seconds_total", "counter", "Time that SQLite waited for others and the front had.")?;
    writeln!(out, "flagstone_sqlite_sleep_seconds_total {}", Seconds(database.slept_micros))?;
    single(out, "flagstone_statements", "gauge", "Prepared statements held.", database.statements)
}

/// A member of the status page.
pub(super) fn put_status(all: &Snapshot, out: &mut impl Write) -> fmt::Result {
    counts(out, "longest_gap_us", GapCause::ALL.iter().zip(all.metrics.longest_gap).map(|(cause, gap)| (cause.label(), gap)))?;
    let database = &all.readings.database;
    counts(
        out,
        "database",
        [
            ("ready", u64::from(database.ready)),
            ("bytes", database.file_bytes),
            ("wal_bytes", database.wal_bytes),
            ("wal_index_bytes", database.wal_index_bytes),
            ("tables", database.tables),
            ("statements", database.statements),
            ("reopens", all.metrics.reopens),
        ]
        .into_iter(),
    )
}
