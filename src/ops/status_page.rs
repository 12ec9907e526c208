//! `/-/status`: what is said there and in which order; each member is written in the file of its part.

use core::fmt::{self, Write};

use super::snapshot::Snapshot;
use super::text::counts;
use super::{
    alerts, cache_pages, configuration_pages, database_pages, fall_pages, memory_pages, pressure_pages, request_pages, risks,
    sandbox_pages, system_pages, write_pages,
};
use crate::budget;

/// The whole object.
pub(super) fn put(all: &Snapshot, out: &mut impl Write) -> fmt::Result {
    let (metrics, readings) = (all.metrics, all.readings);
    let (version, preset) = (env!("CARGO_PKG_VERSION"), budget::PRESET);
    let state = if all.draining { "stopping" } else { "serving" };
    write!(out, r#"{{"version":"{version}","preset":"{preset}","state":"{state}","uptime_seconds":{},"#, all.uptime_seconds)?;
    request_pages::put_status(all, out)?;
    pressure_pages::put_status(&readings.pressure, out)?;
    cache_pages::put_status(all, out)?;
    fall_pages::put_status(&all.paths, metrics, out)?;
    database_pages::put_status(all, out)?;
    write_pages::put_status(metrics, readings, all.uptime_seconds, out)?;
    let (failed, refused) = all.wrong_tokens;
    counts(out, "tokens", [("failed", failed), ("refused", refused)].into_iter())?;
    configuration_pages::put_status(&readings.configuration, all.flags, out)?;
    sandbox_pages::put_status(&readings.sandbox, out)?;
    memory_pages::put_status(readings, out)?;
    system_pages::put_status(readings, out)?;
    alerts::put_member(all.alerts, out)?;
    out.write_str(",")?;
    risks::put_coverage(all, out)?;
    write!(
        out,
        r#""turns":{},"nested_turns":{},"jobs":{},"panics":{},"log_lines_dropped":{}}}"#,
        metrics.turns, metrics.nested_turns, metrics.jobs, metrics.panics, all.log_dropped
    )
}
