//! What the operators' pages say of the cache.

use core::fmt::{self, Write};

use super::snapshot::{Cache, Snapshot};
use super::text::{counts, head, single};

/// Metrics of it.
pub(super) fn put_metrics(cache: &Cache, out: &mut impl Write) -> fmt::Result {
    head(out, "flagstone_cache_requests_total", "counter", "Requests for data, by what the cache did for them.")?;
    for (result, count) in cache.requests {
        writeln!(out, "flagstone_cache_requests_total{{result=\"{result}\"}} {count}")?;
    }
    head(out, "flagstone_cache_gone_total", "counter", "Entries that left the cache, by reason.")?;
    for (reason, count) in cache.gone {
        writeln!(out, "flagstone_cache_gone_total{{reason=\"{reason}\"}} {count}")?;
    }
    single(out, "flagstone_cache_inserted_total", "counter", "Answers that entered the cache.", cache.inserted)?;
    single(
        out,
        "flagstone_cache_refused_total",
        "counter",
        "Answers too large for the cache, or made while it rested.",
        cache.refused,
    )?;
    let repeated = "Hits whose bytes were an earlier request's, and were not read again.";
    single(out, "flagstone_cache_repeated_total", "counter", repeated, cache.repeated)?;
    const LARGEST: &str = "The largest answer that ever entered, with its head.";
    single(out, "flagstone_cache_largest_entry_bytes", "gauge", LARGEST, cache.largest_bytes)?;
    single(out, "flagstone_cache_verified_total", "counter", "Entries whose checksum was verified.", cache.verified)?;
    single(
        out,
        "flagstone_cache_on",
        "gauge",
        "Whether the cache is in use; it rests after damaged entries.",
        u64::from(cache.on),
    )
}

/// Members of the status page.
pub(super) fn put_status(all: &Snapshot, out: &mut impl Write) -> fmt::Result {
    counts(
        out,
        "cache",
        all.cache.requests.into_iter().chain([
            ("inserted", all.cache.inserted),
            ("refused", all.cache.refused),
            ("warmed", all.metrics.warmed),
        ]),
    )?;
    counts(out, "cache_gone", all.cache.gone.into_iter())
}
