//! The risk register, live: what could go wrong, what watches it, what answers it and when it last did. `/-/risks`.
//!
//! A monitor is a series of `/-/metrics`, and its value here is read from that page itself: what is not there is not watched.

mod register;

use core::fmt::{self, Write};

pub use register::{Category, ROWS, Row};

use super::metrics_page;
use super::snapshot::Snapshot;
use super::system::absent;
use super::text::{OrNull, Quoted, Text};
use crate::memory::sink::{Full, Sink};

/// The longest line of the metrics page that a monitor may be.
const LINE_BYTES: usize = 192;
/// Digits of a value.
const VALUE_BYTES: usize = 24;

/// How a risk stands, beside its monitors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RiskUse {
    /// When its answer last acted, in seconds since 1970.
    pub acted_at: Option<u64>,
    /// Whether that is so recent that it is still at it.
    pub acting: bool,
}

type Value = heapless::String<VALUE_BYTES>;
type Found = [[Option<Value>; register::MONITORS]; ROWS.len()];

/// Reads the monitors' values from the metrics page as it is written.
struct Scan {
    line: heapless::Vec<u8, LINE_BYTES>,
    /// The line is longer than any monitor's.
    skipped: bool,
    found: Found,
}

impl Scan {
    fn of(all: &Snapshot) -> Found {
        let mut scan = Scan { line: heapless::Vec::new(), skipped: false, found: Default::default() };
        let written = metrics_page::put(all, &mut Text(&mut scan));
        debug_assert!(written.is_ok(), "it takes everything");
        scan.found
    }

    fn end_of_line(&mut self) {
        let whole = !std::mem::take(&mut self.skipped);
        if let Ok(line) = core::str::from_utf8(&self.line)
            && whole
            && let Some((series, value)) = line.rsplit_once(' ')
            && !line.starts_with('#')
        {
            for (row, found) in ROWS.iter().zip(&mut self.found) {
                for (_, place) in row.monitors.iter().zip(found).filter(|(monitor, _)| is_of(series, monitor)) {
                    *place = Value::try_from(value).ok();
                }
            }
        }
        self.line.clear();
    }
}

/// Whether a series is the monitored one.
fn is_of(series: &str, monitor: &str) -> bool {
    let rest = series.strip_prefix(monitor);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('{') && !monitor.ends_with('}'))
}

impl Sink for Scan {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (text, ends) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
            self.skipped |= self.line.extend_from_slice(text).is_err();
            if ends {
                self.end_of_line();
            }
        }
        Ok(())
    }
}

/// `/-/risks`: all rows.
pub(super) fn put(all: &Snapshot, out: &mut impl Write) -> fmt::Result {
    let found = Scan::of(all);
    out.write_str("[")?;
    for (at, ((row, risk), found)) in ROWS.iter().zip(all.risks).zip(&found).enumerate() {
        out.write_str(if at == 0 { "" } else { "," })?;
        put_row(row, risk, found, all, out)?;
    }
    out.write_str("]")
}

fn put_row(row: &Row, risk: &RiskUse, found: &[Option<Value>], all: &Snapshot, out: &mut impl Write) -> fmt::Result {
    let Row { name, impact, probability, answer, .. } = row;
    let (score, level, category) = (row.score(), row.level(), row.category.name());
    write!(out, r#"{{"name":"{name}","impact":{impact},"probability":{probability},"score":{score},"level":"{level}","#)?;
    write!(out, r#""category":"{category}","monitors":["#)?;
    let live = || row.monitors.iter().zip(found).filter_map(|(monitor, value)| Some((*monitor, value.as_ref()?)));
    for (at, (monitor, _)) in live().enumerate() {
        write!(out, "{}{}", if at == 0 { "" } else { "," }, Quoted(monitor))?;
    }
    out.write_str("],\"readings\":{")?;
    for (at, (monitor, value)) in live().enumerate() {
        write!(out, "{}{}:{value}", if at == 0 { "" } else { "," }, Quoted(monitor))?;
    }
    out.write_str("},\"absent\":{")?;
    let missing = row.monitors.iter().zip(found).filter(|(_, value)| value.is_none());
    for (at, (monitor, _)) in missing.enumerate() {
        let why = why_absent(monitor).unwrap_or("not counted");
        write!(out, "{}{}:\"{why}\"", if at == 0 { "" } else { "," }, Quoted(monitor))?;
    }
    let wrong = all.alerts.iter().any(|alert| alert.level().is_some() && row.alerts.contains(&alert.name));
    let state = if risk.acting {
        "acting"
    } else if wrong {
        "watch"
    } else {
        "ok"
    };
    write!(out, r#"}},"state":"{state}","alerts":["#)?;
    put_names(row.alerts, out)?;
    write!(out, r#"],"answer":"{answer}","acted_at":{},"#, OrNull(risk.acted_at))?;
    let of_it = all.paths.drills.iter().filter(|drill| row.drills.contains(&drill.name));
    let drilled = of_it.filter_map(|drill| drill.drilled_at).max();
    write!(out, r#""drilled_at":{},"drills":["#, OrNull(drilled))?;
    put_names(row.drills, out)?;
    out.write_str("]}")
}

fn put_names(names: &[&str], out: &mut impl Write) -> fmt::Result {
    for (at, name) in names.iter().enumerate() {
        write!(out, "{}\"{name}\"", if at == 0 { "" } else { "," })?;
    }
    Ok(())
}

/// Why a series need not be on the metrics page; `None` for one that has to be.
pub fn why_absent(series: &str) -> Option<&'static str> {
    const REASONS: &[(&str, &str)] = &[
        ("flagstone_pressure_ratio{resource=\"memory\",scope=\"cgroup\"", absent::CGROUP_PRESSURE),
        ("flagstone_pressure_ratio", absent::PRESSURE),
        ("flagstone_cgroup_memory", absent::CGROUP),
        ("flagstone_disk_", absent::SPACE),
        ("flagstone_temperature_celsius", absent::TEMPERATURE),
        ("flagstone_throttled", absent::THROTTLED),
        ("flagstone_under_voltage", absent::UNDER_VOLTAGE),
        ("flagstone_wal_frames", absent::WAL),
        ("flagstone_wal_copied_frames", absent::WAL),
        ("flagstone_wal_pinned_seconds", absent::WAL),
        ("flagstone_rss_anon_slope_bytes_per_second", absent::SLOPE),
        ("flagstone_config_", "started without a configuration file"),
        ("flagstone_alert_reading{name=\"hit_rate\"}", "fewer than 200 cacheable requests in five minutes"),
        ("flagstone_alert_reading{name=\"failed_connections\"}", "fewer than 20 connections ended in five minutes"),
        ("flagstone_alert_reading{name=\"flag_drift\"}", "no flag has been asked for long enough"),
        ("flagstone_alert_reading{name=\"cache_", "built without a cache"),
    ];
    REASONS.iter().find(|(prefix, _)| series.starts_with(prefix)).map(|(_, why)| *why)
}

/// A member of the status page: the share of the rows that have a live monitor, in all and by category.
pub(super) fn put_coverage(all: &Snapshot, out: &mut impl Write) -> fmt::Result {
    let found = Scan::of(all);
    let share = |category: Option<Category>| {
        let of_it = || ROWS.iter().zip(&found).filter(|(row, _)| category.is_none_or(|category| row.category == category));
        let covered = of_it().filter(|(_, found)| found.iter().any(Option::is_some)).count();
        covered * 1000 / of_it().count().max(1)
    };
    write!(out, r#""risk_coverage":{{"total":{}"#, super::text::Thousandths(share(None) as i64))?;
    for category in Category::ALL {
        write!(out, ",\"{}\":{}", category.name(), super::text::Thousandths(share(Some(category)) as i64))?;
    }
    out.write_str("},")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_however_they_come() {
        let mut scan = Scan { line: heapless::Vec::new(), skipped: false, found: Default::default() };
        let name = ROWS[0].monitors[0];
        let long = "x".repeat(2 * LINE_BYTES);
        let text = format!("# HELP {name} 1\n{long}{name} 7\n{name}_more 8\n{name} 9\nend 1\n");
        for piece in text.as_bytes().chunks(7) {
            scan.put(piece).unwrap();
        }
        assert_eq!(scan.found[0][0].as_deref(), Some("9"));
        assert!(scan.line.is_empty());
    }

    #[test]
    fn the_register_is_the_specifications() {
        let scores: Vec<(&str, u8, &str)> = ROWS.iter().map(|row| (row.name, row.score(), row.level())).collect();
        assert_eq!(
            scores,
            [
                ("memory exhaustion", 25, "critical"),
                ("cache memory bloat", 20, "critical"),
                ("connection pool exhaustion", 16, "critical"),
                ("ARM64 trouble", 16, "critical"),
                ("fallback failure", 15, "high"),
                ("batching deadlock", 12, "high"),
                ("flag misconfiguration", 12, "high"),
                ("connection leak", 9, "medium"),
                ("configuration drift", 9, "medium"),
                ("database lock contention", 8, "medium"),
                ("legacy integration", 8, "medium"),
                ("cache poisoning", 6, "medium"),
            ]
        );
        for row in ROWS {
            assert!(!row.monitors.is_empty() && row.monitors.len() <= register::MONITORS, "{}", row.name);
            assert!(row.monitors.iter().any(|monitor| why_absent(monitor).is_none()), "{} is watched on every machine", row.name);
            assert!(row.monitors.iter().all(|monitor| monitor.len() + VALUE_BYTES < LINE_BYTES), "{}", row.name);
            assert!(!row.answer.contains(['"', '\\']), "{}: stands in JSON as it is", row.name);
        }
    }
}
