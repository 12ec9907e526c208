//! What the pages say of the three paths: which is in use, falls from each, and the drills that force them.

use core::fmt::{self, Write};

use super::falls::{Fall, Path};
use super::metrics::Metrics;
use super::text::{counts, head, single};

/// The most drills that are shown.
pub const DRILLS: usize = 15;

/// A drill as it stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct DrillUse {
    /// Its name.
    pub name: &'static str,
    /// Until when it is armed, in Unix seconds.
    pub armed_until: Option<u64>,
    /// How often it has acted.
    pub acted: u64,
    /// When it was last ordered, in Unix seconds.
    pub drilled_at: Option<u64>,
}

/// The paths and the drills.
#[derive(Clone, Copy, Debug, Default)]
pub struct Paths {
    /// The path in use.
    pub path: Path,
    /// The optimised path's parts, each with how it stands: `on`, `resting` after a fall, `probing` before it is trusted again, `off`.
    pub parts: [(&'static str, &'static str); 4],
    /// The drills.
    pub drills: [DrillUse; DRILLS],
}

pub(super) fn put_metrics(paths: &Paths, metrics: &Metrics, out: &mut impl Write) -> fmt::Result {
    head(out, "flagstone_path", "gauge", "The path in use; a part of the optimised path that is off makes it plain.")?;
    for path in Path::ALL {
        writeln!(out, "flagstone_path{{path=\"{}\"}} {}", path.label(), u8::from(path == paths.path))?;
    }
    head(out, "flagstone_falls_total", "counter", "Falls from one path to a lower one.")?;
    for (fall, count) in Fall::ALL.iter().zip(metrics.falls) {
        let (from, to, reason) = fall.labels();
        writeln!(out, "flagstone_falls_total{{from=\"{from}\",to=\"{to}\",reason=\"{reason}\"}} {count}")?;
    }
    single(out, "flagstone_emergency_answers_total", "counter", "Answers from static bytes.", metrics.emergency_answers)
}

pub(super) fn put_status(paths: &Paths, metrics: &Metrics, out: &mut impl Write) -> fmt::Result {
    write!(out, r#""path":{{"in_use":"{}""#, paths.path.label())?;
    for (name, state) in paths.parts {
        write!(out, r#","{name}":"{state}""#)?;
    }
    out.write_str("},")?;
    let of = |wanted: &str| {
        let falls = Fall::ALL.iter().zip(metrics.falls).filter(|(fall, _)| fall.labels().0 == wanted);
        falls.map(|(_, count)| count).sum()
    };
    let from = ["cache", "flight", "batch", "warming", "optimised", "plain", "front"].map(|name| (name, of(name)));
    counts(out, "falls", from.into_iter().chain([("emergency", metrics.emergency_answers)]))?;
    out.write_str(r#""drills":["#)?;
    for (at, drill) in paths.drills.iter().enumerate() {
        let DrillUse { name, acted, .. } = drill;
        let comma = if at == 0 { "" } else { "," };
        write!(out, r#"{comma}{{"name":"{name}","armed_until":{},"acted":{acted},"#, Time(drill.armed_until))?;
        write!(out, r#""drilled_at":{}}}"#, Time(drill.drilled_at))?;
    }
    out.write_str("],")
}

/// Unix seconds, or null.
struct Time(Option<u64>);

impl fmt::Display for Time {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self.0 {
            Some(seconds) => write!(out, "{seconds}"),
            None => out.write_str("null"),
        }
    }
}
