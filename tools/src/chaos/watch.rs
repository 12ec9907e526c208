//! Who watches the operators' pages while something is broken: by what it is seen, and when; and the process's memory.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::operator::{Metrics, Operator};
use super::probe::Shared;
use super::register::Risk;

/// Between two looks.
const PACE: Duration = Duration::from_millis(50);
/// Looks at the metrics for one at the pages of JSON.
const PAGES_EVERY: u32 = 4;

/// By what something is to be seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sign {
    /// A metric, summed over the series with these labels, is so much more than before.
    Rise(&'static str, &'static [&'static str], f64),
    /// It is so much at least.
    Reach(&'static str, &'static [&'static str], f64),
    /// An alert of this name shows that did not before.
    Alert(&'static str),
    /// The register says that the risk's answer acted, or that it is no longer well.
    Acted(Risk),
    /// The register says that the risk's answer was drilled.
    Drilled(Risk),
    /// A drill of this name has acted more often than before.
    Drill(&'static str),
    /// A number on the status page, by its JSON pointer, is so much more than before.
    Status(&'static str, f64),
}

impl std::fmt::Display for Sign {
    fn fmt(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Rise(name, labels, _) | Self::Reach(name, labels, _) if labels.is_empty() => write!(to, "{name}"),
            Self::Rise(name, labels, _) | Self::Reach(name, labels, _) => write!(to, "{name}{{{}}}", labels.join(",")),
            Self::Alert(name) => write!(to, "alert {name}"),
            Self::Acted(risk) => write!(to, "register: {}", risk.name()),
            Self::Drilled(risk) => write!(to, "register: {} drilled", risk.name()),
            Self::Drill(name) => write!(to, "status /drills: {name}"),
            Self::Status(pointer, _) => write!(to, "status {pointer}"),
        }
    }
}

/// All that was read at one look.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// The metrics.
    pub metrics: Metrics,
    /// `/-/status`.
    pub status: Value,
    /// `/-/alerts`; null where there is no such page.
    pub alerts: Value,
    /// `/-/risks`.
    pub risks: Value,
}

/// A sign that is looked for.
#[derive(Clone, Debug)]
pub struct Sought {
    /// Which.
    pub sign: Sign,
    /// When it was seen.
    pub seen: Option<Instant>,
}

struct Armed {
    before: Look,
    /// Unix seconds.
    since: f64,
    signs: Vec<Sought>,
}

/// The watch; one thread looks, others ask it.
pub struct Watch {
    armed: Mutex<Option<Armed>>,
    last: Mutex<Look>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic of another thread leaves no half of a look behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// Nothing is looked for yet.
    pub fn new() -> Self {
        Self { armed: Mutex::new(None), last: Mutex::new(Look::default()) }
    }

    /// From now on these signs are looked for, against what is read now.
    pub fn arm(&self, operator: &Operator, signs: &[Sign]) {
        let mut before = self.last();
        let _ = look(operator, &mut before, true);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        let signs = signs.iter().map(|&sign| Sought { sign, seen: None }).collect();
        *locked(&self.armed) = Some(Armed { before, since, signs });
    }

    /// What was seen.
    pub fn sought(&self) -> Vec<Sought> {
        locked(&self.armed).as_ref().map(|armed| armed.signs.clone()).unwrap_or_default()
    }

    /// Whether every sign was.
    pub fn all_seen(&self) -> bool {
        self.sought().iter().all(|sought| sought.seen.is_some())
    }

    /// The last look.
    pub fn last(&self) -> Look {
        locked(&self.last).clone()
    }

    /// Looks until the end.
    pub fn run(&self, shared: &Shared, operator: &Operator) {
        for turn in 0.. {
            if shared.stopped() {
                return;
            }
            let mut now = self.last();
            if look(operator, &mut now, turn % PAGES_EVERY == 0).is_ok() {
                if let Some(armed) = locked(&self.armed).as_mut() {
                    let at = Instant::now();
                    for sought in armed.signs.iter_mut().filter(|sought| sought.seen.is_none()) {
                        if shows(sought.sign, &armed.before, &now, armed.since) {
                            sought.seen = Some(at);
                        }
                    }
                }
                *locked(&self.last) = now;
            }
            std::thread::sleep(PACE);
        }
    }
}

fn look(operator: &Operator, into: &mut Look, with_pages: bool) -> std::io::Result<()> {
    into.metrics = operator.metrics()?;
    if with_pages {
        into.status = operator.page("/-/status")?.unwrap_or_default();
        into.alerts = operator.page("/-/alerts")?.unwrap_or_default();
        into.risks = operator.page("/-/risks")?.unwrap_or_default();
    }
    Ok(())
}

/// The register's row of a risk.
pub fn row_of(risks: &Value, risk: Risk) -> Option<&Value> {
    risks.as_array()?.iter().find(|row| row["name"] == risk.name())
}

/// Whether a look has the sign, compared with the one before.
pub fn shows(sign: Sign, before: &Look, now: &Look, since: f64) -> bool {
    // The register's times are whole seconds.
    let is_since = |value: &Value| value.as_f64().is_some_and(|at| at >= since.floor());
    let number = |look: &Look, pointer| look.status.pointer(pointer).and_then(Value::as_f64);
    match sign {
        Sign::Rise(name, labels, by) => {
            let was = before.metrics.sum(name, labels).unwrap_or(0.0);
            now.metrics.sum(name, labels).is_some_and(|is| is >= was + by)
        }
        Sign::Reach(name, labels, least) => now.metrics.sum(name, labels).is_some_and(|is| is >= least),
        Sign::Alert(name) => {
            let shown = |look: &Look| look.alerts.as_array().is_some_and(|all| all.iter().any(|one| one["name"] == name));
            shown(now) && !shown(before)
        }
        Sign::Acted(risk) => {
            let state = |look: &Look| row_of(&look.risks, risk).and_then(|row| row["state"].as_str().map(str::to_owned));
            let (was, is) = (state(before), state(now));
            // A state that was there before tells nothing.
            let worse = is != was && is.is_some_and(|is| is != "ok");
            worse || row_of(&now.risks, risk).is_some_and(|row| is_since(&row["acted_at"]))
        }
        Sign::Drilled(risk) => row_of(&now.risks, risk).is_some_and(|row| is_since(&row["drilled_at"])),
        Sign::Drill(name) => {
            let acted = |look: &Look| {
                let drill = look.status["drills"].as_array()?.iter().find(|drill| drill["name"] == name)?;
                drill["acted"].as_f64()
            };
            acted(now).unwrap_or(0.0) > acted(before).unwrap_or(0.0)
        }
        Sign::Status(pointer, by) => {
            let was = number(before, pointer).unwrap_or(0.0);
            number(now, pointer).is_some_and(|is| is >= was + by)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(metrics: &str, alerts: Value, risks: Value) -> Look {
        Look { metrics: Metrics::parse(metrics), status: json!({"a": {"b": 3}}), alerts, risks }
    }

    #[test]
    fn a_sign_shows_when_it_is_there_and_not_before() {
        let risks = |state: &str, acted: Value| json!([{"name": "cache poisoning", "state": state, "acted_at": acted, "drilled_at": null}]);
        let calm = of("m 2\n", json!([]), risks("ok", Value::Null));
        let loud = of("m 3\n", json!([{"name": "hit_rate"}]), risks("acting", json!(1_000)));
        let all = [Sign::Rise("m", &[], 1.0), Sign::Reach("m", &[], 3.0), Sign::Acted(Risk::Poisoning)];
        for sign in all {
            assert!(shows(sign, &calm, &loud, 1_000.5), "{sign}");
            assert!(!shows(sign, &calm, &calm, 1_000.5), "{sign}");
        }
        // An answer that acted before this, and is well again.
        let old = of("m 2\n", json!([]), risks("ok", json!(900)));
        assert!(!shows(Sign::Acted(Risk::Poisoning), &calm, &old, 1_000.5));
        assert!(all[2..].iter().all(|&sign| !shows(sign, &loud, &loud, 1_001.5)), "what was there before is no sign");
        assert!(!shows(Sign::Drilled(Risk::Poisoning), &calm, &loud, 0.0));
        assert!(!shows(Sign::Acted(Risk::Memory), &calm, &loud, 0.0));
        assert!(!shows(Sign::Status("/a/b", 1.0), &calm, &loud, 0.0) && !shows(Sign::Rise("n", &[], 1.0), &calm, &loud, 0.0));
    }
}
