//! `/-/metrics`: what is said there and in which order; each member is written in the file of its part.

use core::fmt::{self, Write};

use super::snapshot::Snapshot;
use super::text::{head, single};
use super::{
    alerts, cache_pages, configuration_pages, database_pages, fall_pages, memory_pages, pressure_pages, request_pages,
    route_pages, sandbox_pages, system_pages, write_pages,
};
use crate::budget;

/// Every metric.
pub(super) fn put(all: &Snapshot, out: &mut impl Write) -> fmt::Result {
    head(out, "flagstone_build_info", "gauge", "Version, preset and processor of this binary; always 1.")?;
    let (version, preset) = (env!("CARGO_PKG_VERSION"), budget::PRESET);
    let target = std::env::consts::ARCH;
    writeln!(out, "flagstone_build_info{{version=\"{version}\",preset=\"{preset}\",target=\"{target}\"}} 1")?;
    request_pages::put_answers(all, out)?;
    route_pages::put_metrics(all.routes, out)?;
    let (failed, refused) = all.wrong_tokens;
    single(out, "flagstone_wrong_tokens_total", "counter", "Tokens that nobody has.", failed)?;
    single(
        out,
        "flagstone_token_attempts_refused_total",
        "counter",
        "Tokens that were not looked at after wrong ones.",
        refused,
    )?;
    request_pages::put_connections(all, out)?;
    pressure_pages::put_metrics(&all.readings.pressure, out)?;
    cache_pages::put_metrics(&all.cache, out)?;
    fall_pages::put_metrics(&all.paths, all.metrics, out)?;
    database_pages::put_metrics(all, out)?;
    memory_pages::put_metrics(all, out)?;
    write_pages::put_metrics(all.metrics, all.readings, all.uptime_seconds, out)?;
    configuration_pages::put_metrics(&all.readings.configuration, all.flags, out)?;
    system_pages::put_metrics(all.readings, out)?;
    sandbox_pages::put_metrics(&all.readings.sandbox, out)?;
    alerts::put_metrics(all.alerts, out)?;
    memory_pages::put_process(all, out)
}
