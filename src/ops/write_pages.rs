//! What the operators' pages say of writes and of what they cost the card.

use core::fmt::{self, Write};

use super::metrics::Metrics;
use super::readings::Readings;
use super::text::{Seconds, counts, head, single};

/// Seconds of a day.
const DAY: u64 = 86_400;
/// A projection from less than this many seconds would be mostly the start.
const PROJECTED_FROM: u64 = 60;

/// What a day like the time so far writes to the card, in bytes; 0 until that can be said.
fn a_day(readings: &Readings, uptime: u64) -> u64 {
    if uptime < PROJECTED_FROM { 0 } else { readings.process.written_bytes.saturating_mul(DAY) / uptime }
}

/// Metrics of both.
pub(super) fn put_metrics(metrics: &Metrics, readings: &Readings, uptime: u64, out: &mut impl Write) -> fmt::Result {
    let disk = &readings.disk;
    for (name, help, value) in [
        ("flagstone_write_batches_total", "Batches of writes run.", metrics.batches),
        ("flagstone_writes_total", "Writes in them.", metrics.batched_writes),
        ("flagstone_write_commits_total", "Transactions committed for them.", metrics.commits),
        ("flagstone_write_replays_total", "Writes that ran again, alone, because their batch was lost.", metrics.replays),
        ("flagstone_checkpoints_total", "Checkpoints made.", metrics.checkpoints),
        ("flagstone_syncs_total", "Syncs of the database's files.", disk.syncs),
        ("flagstone_syncs_failed_total", "Those of them that failed.", disk.failed_syncs),
    ] {
        single(out, name, "counter", help, value)?;
    }
    head(out, "flagstone_sync_seconds_total", "counter", "Time that syncs took.")?;
    writeln!(out, "flagstone_sync_seconds_total {}", Seconds(disk.sync_micros))?;
    head(out, "flagstone_sync_longest_seconds", "gauge", "The longest sync.")?;
    writeln!(out, "flagstone_sync_longest_seconds {}", Seconds(disk.longest_sync_micros))?;
    let written = "flagstone_written_bytes_total";
    head(out, written, "counter", "Bytes written by SQLite, by file.")?;
    for (file, bytes) in disk.files() {
        writeln!(out, "{written}{{file=\"{file}\"}} {bytes}")?;
    }
    const CARD: &str = "Bytes that the kernel sent to the card for this process.";
    single(out, "flagstone_card_written_bytes_total", "counter", CARD, readings.process.written_bytes)?;
    const A_DAY: &str = "What a day like the time so far writes to the card; 0 in the first minute.";
    single(out, "flagstone_card_written_bytes_a_day", "gauge", A_DAY, a_day(readings, uptime))
}

/// A member of the status page.
pub(super) fn put_status(metrics: &Metrics, readings: &Readings, uptime: u64, out: &mut impl Write) -> fmt::Result {
    let disk = &readings.disk;
    let own = [
        ("batches", metrics.batches),
        ("writes", metrics.batched_writes),
        ("largest_batch", metrics.largest_batch),
        ("commits", metrics.commits),
        ("replays", metrics.replays),
        ("checkpoints", metrics.checkpoints),
        ("syncs", disk.syncs),
        ("ring_syncs", disk.ring_syncs),
        ("failed_syncs", disk.failed_syncs),
        ("sync_us", disk.sync_micros),
        ("longest_sync_us", disk.longest_sync_micros),
        ("card_bytes", readings.process.written_bytes),
        ("card_bytes_a_day", a_day(readings, uptime)),
    ];
    counts(out, "writes", own.into_iter())?;
    counts(out, "written_bytes", disk.files().into_iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_projected_from_a_minute_on() {
        let mut readings = Readings::default();
        readings.process.written_bytes = 1_000_000;
        assert_eq!((a_day(&readings, 59), a_day(&readings, 100), a_day(&readings, DAY)), (0, 864_000_000, 1_000_000));
    }
}
