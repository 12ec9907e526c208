//! The operators' pages, each written into a fixed buffer.

use core::fmt::Write;

use super::readings::Configuration;
use super::snapshot::Snapshot;
use super::text::Text;
use super::{alerts, budget_page, configuration_pages, health_page, metrics_page, risks, status_page};
use crate::memory::sink::{Full, Sink};

/// `/-/metrics`: Prometheus text format 0.0.4.
///
/// # Errors
/// [`Full`] when the sink is.
pub fn put_metrics(all: &Snapshot, sink: &mut impl Sink) -> Result<(), Full> {
    metrics_page::put(all, &mut Text(sink)).map_err(|_| Full)
}

/// `/-/status`: the same and more, as JSON.
///
/// # Errors
/// [`Full`] when the sink is.
pub fn put_status(all: &Snapshot, sink: &mut impl Sink) -> Result<(), Full> {
    status_page::put(all, &mut Text(sink)).map_err(|_| Full)
}

/// `/-/budget`: every limit, its use now, its high-water mark; the sheet; the build constants.
///
/// # Errors
/// [`Full`] when the sink is.
pub fn put_budget(all: &Snapshot, sink: &mut impl Sink) -> Result<(), Full> {
    budget_page::put(all, &mut Text(sink)).map_err(|_| Full)
}

/// `/-/alerts`: what is wrong now, since when, and what is done about it.
///
/// # Errors
/// [`Full`] when the sink is.
pub fn put_alerts(all: &Snapshot, sink: &mut impl Sink) -> Result<(), Full> {
    alerts::put(all.alerts, &mut Text(sink)).map_err(|_| Full)
}

/// `/-/risks`: the register, live.
///
/// # Errors
/// [`Full`] when the sink is.
pub fn put_risks(all: &Snapshot, sink: &mut impl Sink) -> Result<(), Full> {
    risks::put(all, &mut Text(sink)).map_err(|_| Full)
}

/// `/-/flags`: what is wanted, said at run time and seen of each flag.
///
/// # Errors
/// [`Full`] when the sink is.
pub fn put_flags(all: &Snapshot, sink: &mut impl Sink) -> Result<(), Full> {
    configuration_pages::put_flags(all.flags, &mut Text(sink)).map_err(|_| Full)
}

/// What a change of the configuration is answered with.
///
/// # Errors
/// [`Full`] when the sink is.
pub fn put_version(running: &Configuration, sink: &mut impl Sink) -> Result<(), Full> {
    let Configuration { number, hash, since, .. } = running;
    write!(Text(sink), r#"{{"version":{number},"hash":"{hash:016x}","since":{since}}}"#).map_err(|_| Full)
}

/// `/-/health` and `/-/ready`: under 100 bytes for everybody, each component's state for operators.
///
/// # Errors
/// [`Full`] when the sink is.
pub fn put_health(all: &Snapshot, good: bool, details: bool, sink: &mut impl Sink) -> Result<(), Full> {
    health_page::put(all, good, details, &mut Text(sink)).map_err(|_| Full)
}
