//! What is wrong: readings against thresholds, with durations so that nothing flaps.
//!
//! A level comes on when its condition has held for the rule's `after`, and goes off when it has not held for `clear`. Prometheus says the same
//! with `for` and `keep_firing_for`; the rules file is made from the same table.

mod rules;

pub use rules::{Alert, Rule, Side, Unit};

/// Microseconds, as in `job.rs`; policies import nothing from above them.
type Micros = u64;

const S: Micros = 1_000_000;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Worth a look.
    Warning,
    /// Something is given up.
    High,
    /// Service is at stake.
    Critical,
}

impl Level {
    /// From the mildest on.
    pub const ALL: [Level; 3] = [Level::Warning, Level::High, Level::Critical];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Warning => "warning",
            Level::High => "high",
            Level::Critical => "critical",
        }
    }
}

/// A value for each alert, in thousandths of its unit; `None` where there is nothing to read.
pub type Values = [Option<i64>; Alert::ALL.len()];

/// One level's lamp: it turns when its condition has been the other for long enough.
#[derive(Clone, Copy, Debug)]
struct Lamp {
    on: bool,
    /// Since when its condition has not been what it shows.
    turning: Option<Micros>,
}

impl Lamp {
    const OFF: Lamp = Lamp { on: false, turning: None };

    /// Since when the condition that turned it has held, if it turned.
    fn look(&mut self, holds: bool, rule: &Rule, now: Micros) -> Option<Micros> {
        if holds == self.on {
            self.turning = None;
            return None;
        }
        let since = *self.turning.get_or_insert(now);
        let wait = if holds { rule.after } else { rule.clear };
        (now >= since + Micros::from(wait) * S).then(|| {
            *self = Lamp { on: holds, turning: None };
            since
        })
    }
}

/// One alert as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The worst of its levels that are on.
    pub level: Option<Level>,
    /// Since when something has been wrong; what it was before while nothing is.
    pub since: Micros,
    /// Its last value.
    pub value: Option<i64>,
}

/// An alert whose level has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub alert: Alert,
    /// What it was.
    pub from: Option<Level>,
    /// What it is.
    pub to: Option<Level>,
    /// The value that did it.
    pub value: Option<i64>,
}

/// All alerts.
#[derive(Clone, Debug)]
pub struct Alerts {
    lamps: [[Lamp; Level::ALL.len()]; Alert::ALL.len()],
    standing: [Standing; Alert::ALL.len()],
}

impl Alerts {
    /// Nothing is wrong yet.
    pub const fn new() -> Alerts {
        Alerts {
            lamps: [[Lamp::OFF; Level::ALL.len()]; Alert::ALL.len()],
            standing: [Standing { level: None, since: 0, value: None }; Alert::ALL.len()],
        }
    }

    /// Takes the values of this second; tells each change once.
    pub fn look(&mut self, values: &Values, now: Micros, mut told: impl FnMut(Change)) {
        for alert in Alert::ALL {
            let (rule, value) = (alert.rule(), values[alert as usize]);
            let mut since = None;
            for level in Level::ALL {
                let lamp = &mut self.lamps[alert as usize][level as usize];
                let turned = lamp.look(rule.holds(level, value), rule, now);
                since = since.or(turned);
            }
            let lamps = &self.lamps[alert as usize];
            let level = Level::ALL.into_iter().rev().find(|&level| lamps[level as usize].on);
            let standing = &mut self.standing[alert as usize];
            standing.value = value;
            if level != standing.level {
                let from = std::mem::replace(&mut standing.level, level);
                if from.is_none() {
                    standing.since = since.unwrap_or(now);
                }
                told(Change { alert, from, to: level, value });
            }
        }
    }

    /// How one stands.
    pub fn standing(&self, alert: Alert) -> Standing {
        self.standing[alert as usize]
    }

    /// The worst that is on; of equals the first in the table.
    pub fn worst(&self) -> Option<(Alert, Level)> {
        let on = Alert::ALL.into_iter().filter_map(|alert| Some((alert, self.standing(alert).level?)));
        on.rev().max_by_key(|(_, level)| *level)
    }
}

impl Default for Alerts {
    fn default() -> Alerts {
        Alerts::new()
    }
}

#[cfg(test)]
mod tests;
