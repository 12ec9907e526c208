//! What is wrong now: `/-/alerts`, its metrics, and one line for whoever supervises the process.

use core::fmt::{self, Write};

use super::text::{OrNull, Thousandths, head};

/// An alert as it is shown; values are in thousandths of the unit.
#[derive(Clone, Copy, Debug)]
pub struct AlertUse {
    /// Its name.
    pub name: &'static str,
    /// What its value counts.
    pub unit: &'static str,
    /// Its levels: each with its name, its threshold if it has one, and whether it is the present one.
    pub levels: [(&'static str, Option<i64>, bool); 3],
    /// Since when something is wrong, in seconds since 1970.
    pub since: u64,
    /// What it is now, where it can be read.
    pub value: Option<i64>,
    /// What is wrong, in a few words.
    pub wrong: &'static str,
    /// What is done about it.
    pub doing: &'static str,
}

impl AlertUse {
    /// The present level and its threshold; `None` while all is well.
    pub fn level(&self) -> Option<(&'static str, i64)> {
        let (name, threshold, _) = self.levels.iter().find(|(_, _, on)| *on)?;
        Some((name, threshold.unwrap_or(0)))
    }
}

/// `/-/alerts`: an array of what is wrong.
pub(super) fn put(alerts: &[AlertUse], out: &mut impl Write) -> fmt::Result {
    out.write_str("[")?;
    let mut comma = "";
    for alert in alerts {
        let Some((level, threshold)) = alert.level() else { continue };
        let AlertUse { name, unit, since, wrong, doing, .. } = alert;
        write!(out, r#"{comma}{{"name":"{name}","level":"{level}","since":{since},"#)?;
        write!(out, r#""value":{},"threshold":{},"#, OrNull(alert.value.map(Thousandths)), Thousandths(threshold))?;
        write!(out, r#""unit":"{unit}","wrong":"{wrong}","doing":"{doing}"}}"#)?;
        comma = ",";
    }
    out.write_str("]")
}

/// Metrics of all: what each watches, and whether a level is on.
pub(super) fn put_metrics(alerts: &[AlertUse], out: &mut impl Write) -> fmt::Result {
    const READING: &str = "flagstone_alert_reading";
    head(out, READING, "gauge", "What each alert watches, in its own unit; what the machine does not tell is not there.")?;
    for alert in alerts {
        if let Some(value) = alert.value {
            writeln!(out, "{READING}{{name=\"{}\"}} {}", alert.name, Thousandths(value))?;
        }
    }
    const ALERT: &str = "flagstone_alert";
    head(out, ALERT, "gauge", "Whether something is wrong, by alert and level.")?;
    for alert in alerts {
        for (level, _, on) in alert.levels.iter().filter(|(_, threshold, _)| threshold.is_some()) {
            writeln!(out, "{ALERT}{{name=\"{}\",level=\"{level}\"}} {}", alert.name, u8::from(*on))?;
        }
    }
    Ok(())
}

/// A member of an object: the names of what is wrong, with their levels.
pub(super) fn put_member(alerts: &[AlertUse], out: &mut impl Write) -> fmt::Result {
    out.write_str("\"alerts\":{")?;
    let mut comma = "";
    for alert in alerts {
        if let Some((level, _)) = alert.level() {
            write!(out, "{comma}\"{}\":\"{level}\"", alert.name)?;
            comma = ",";
        }
    }
    out.write_str("}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ALERT: AlertUse = AlertUse {
        name: "system_memory",
        unit: "ratio",
        levels: [("warning", Some(590), false), ("high", Some(780), true), ("critical", None, false)],
        since: 1_700_000_000,
        value: Some(812),
        wrong: "short",
        doing: "less",
    };
    const CALM: AlertUse = AlertUse {
        name: "calm",
        levels: [("warning", Some(590), false), ("high", Some(780), false), ("critical", None, false)],
        value: None,
        ..ALERT
    };

    #[test]
    fn the_page_lists_what_is_wrong_and_nothing_else() {
        let mut text = String::new();
        put(&[CALM, ALERT, CALM], &mut text).unwrap();
        let wanted = json!([{"name": "system_memory", "level": "high", "since": 1_700_000_000, "value": 0.812, "threshold": 0.78,
            "unit": "ratio", "wrong": "short", "doing": "less"}]);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), wanted);
        text.clear();
        put(&[CALM], &mut text).unwrap();
        assert_eq!(text, "[]");
        text.clear();
        put_member(&[ALERT, CALM, ALERT], &mut text).unwrap();
        assert_eq!(text, r#""alerts":{"system_memory":"high","system_memory":"high"}"#);
    }

    #[test]
    fn metrics_have_a_line_for_each_level_that_there_is() {
        let mut text = String::new();
        put_metrics(&[ALERT, CALM], &mut text).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                "flagstone_alert_reading{name=\"system_memory\"} 0.812",
                "flagstone_alert{name=\"system_memory\",level=\"warning\"} 0",
                "flagstone_alert{name=\"system_memory\",level=\"high\"} 1",
                "flagstone_alert{name=\"calm\",level=\"warning\"} 0",
                "flagstone_alert{name=\"calm\",level=\"high\"} 0",
            ]
        );
    }
}
