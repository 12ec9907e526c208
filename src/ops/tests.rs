//! Every page at its longest fits its buffer, and shows each monitor of the register where the machine has everything.

use serde_json::Value;

use super::alerts::AlertUse;
use super::configuration_pages::FlagUse;
use super::fall_pages::{DrillUse, Paths};
use super::falls::Fall;
use super::metrics::{CloseReason, Durations, GapCause, Metrics, Refusal, RouteKind, STATUSES};
use super::readings::{Configuration, Readings, VERSION_BYTES, VERSIONS};
use super::risks::{ROWS, RiskUse};
use super::route_pages::RouteUse;
use super::snapshot::{Cache, Snapshot, Use};
use super::system::{Cgroup, Holder, Pin, Pressure, Space, System, Throttled, Wal};
use super::{pages, pressure_pages};
use crate::budget::{OPS_ANSWER_BYTES, ROUTES};
use crate::front::slots::State;
use crate::memory::sink::{Full, Sink};
use crate::policy::alert::{Alert, Level};
use crate::policy::drill::Drill;
use crate::policy::flags::Flag;

/// Characters of the longest number: bytes through a network card of 10 Gbit/s for three months.
const LONGEST_NUMBER: usize = 16;

/// Takes everything.
struct Endless(Vec<u8>);

impl Sink for Endless {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

fn metrics() -> Metrics {
    let durations = || Durations { buckets: [1; 15], sum: 1 };
    Metrics {
        answers: [[1; STATUSES.len()]; RouteKind::ALL.len()],
        durations: durations(),
        queue_waits: durations(),
        closed: [1; CloseReason::ALL.len()],
        refused: [1; Refusal::ALL.len()],
        falls: [1; Fall::ALL.len()],
        longest_gap: [1; GapCause::ALL.len()],
        ..Metrics::new()
    }
}

/// A machine that has everything.
fn system() -> System {
    let pressure = Some(Pressure { some: 1234, full: 1 });
    let space = Some(Space { free_bytes: 1, total_bytes: 2 });
    System {
        memory_pressure: pressure,
        io_pressure: pressure,
        cpu_pressure: pressure,
        cgroup_pressure: pressure,
        cgroup: Some(Cgroup { used_bytes: 1, limit_bytes: Some(2) }),
        database_space: space,
        state_space: space,
        temperature: Some(1),
        throttled: Some(Throttled(1)),
        under_voltage: Some(false),
        wal: Some(Wal { frames: 2, copied: 1, marks: [0; 5] }),
        wal_holders: None,
        wal_pin: Some(Pin { seconds: 1, holder: Some(Holder { pid: 1, name: [b'x'; 16] }) }),
        rss_anon_slope: Some(-1),
    }
}

/// A server at the ladder's longest word, with every breaker open.
fn hard_pressed() -> pressure_pages::Pressure {
    pressure_pages::Pressure {
        step: 4,
        step_name: "last_word",
        causes: ["longest cause"; 9].into_iter().collect(),
        breakers: ["io", "corrupt", "timeout"].map(|cause| pressure_pages::BreakerUse { cause, state: 2, opened: 1 }),
        shed: ["operators", "critical", "ordinary", "write"].map(|class| (class, 1)),
        pool: (1, 1),
        ..pressure_pages::Pressure::default()
    }
}

fn readings() -> Readings {
    let long = |bytes: usize| "\"".repeat(bytes);
    let configuration = Configuration {
        present: true,
        last_successful: false,
        error: long(200).as_str().try_into().unwrap(),
        versions: (0..VERSIONS).map(|_| long(VERSION_BYTES).as_str().try_into().unwrap()).collect(),
        ..Configuration::default()
    };
    Readings { configuration, system: system(), pressure: hard_pressed(), ..Readings::default() }
}

fn with_everything(test: impl FnOnce(&Snapshot)) {
    let (metrics, readings) = (metrics(), readings());
    let path = format!("/{}", "\"".repeat(200));
    let routes = vec![RouteUse { method: "DELETE", path: &path, answers: [1; 4] }; ROUTES];
    let flags = Flag::ALL.map(|flag| FlagUse {
        name: flag.name(),
        configured: Some(100),
        set: Some(99),
        forced_off: false,
        asked: 2,
        on: 1,
        doubtful: 1,
        drift: Some(10_000),
    });
    let alerts = Alert::ALL.map(|alert| {
        let rule = alert.rule();
        let worst = Level::ALL.into_iter().rev().find(|&level| rule.thresholds[level as usize].is_some());
        AlertUse {
            name: rule.name,
            unit: rule.unit.name(),
            levels: Level::ALL.map(|level| (level.name(), rule.thresholds[level as usize], worst == Some(level))),
            since: 1,
            value: Some(1),
            wrong: rule.wrong,
            doing: rule.doing,
        }
    });
    let uses: Vec<Use> = ["public slots", "slots of one client", "cache blocks", "cache entries"]
        .into_iter()
        .chain(["a part with a name of twenty-nine"; 8])
        .map(|name| Use { name, unit: "statements", limit: 1, now: 1, high: 1 })
        .collect();
    let paths = Paths {
        parts: ["cache", "flight", "batch", "warming"].map(|part| (part, "resting")),
        drills: Drill::ALL.map(|drill| DrillUse { name: drill.name(), armed_until: Some(1), acted: 1, drilled_at: Some(1) }),
        ..Paths::default()
    };
    test(&Snapshot {
        metrics: &metrics,
        readings: &readings,
        connections: &State::LABELS.map(|label| (label, 1)),
        cache: Cache {
            requests: ["hit", "miss", "bypass", "joined"].map(|name| (name, 1)),
            gone: ["stale", "expired", "evicted", "damaged"].map(|name| (name, 1)),
            ..Cache::default()
        },
        uses: &uses,
        queued: 1,
        oldest_wait_micros: 1,
        log_dropped: 1,
        routes: &routes,
        wrong_tokens: (1, 1),
        flags: &flags,
        alerts: &alerts,
        risks: &[RiskUse { acted_at: Some(1), acting: true }; ROWS.len()],
        paths,
        draining: false,
        uptime_seconds: 1,
    });
}

/// A page's length if each of its numbers were the longest; in the metrics' text they end the lines.
fn longest(name: &str, text: &str) -> usize {
    let grown = |number: &str| LONGEST_NUMBER.saturating_sub(number.len());
    let more: usize = match name {
        "metrics" => {
            text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit(' ').next()).map(grown).sum()
        }
        _ => text.split([':', ',', '[', ']', '{', '}']).filter(|word| word.parse::<f64>().is_ok()).map(grown).sum(),
    };
    text.len() + more
}

#[test]
fn every_page_at_its_longest_fits() {
    type Put = fn(&Snapshot, &mut Endless) -> Result<(), Full>;
    let all: [(&str, Put); 7] = [
        ("metrics", |all, sink| pages::put_metrics(all, sink)),
        ("status", |all, sink| pages::put_status(all, sink)),
        ("budget", |all, sink| pages::put_budget(all, sink)),
        ("alerts", |all, sink| pages::put_alerts(all, sink)),
        ("risks", |all, sink| pages::put_risks(all, sink)),
        ("flags", |all, sink| pages::put_flags(all, sink)),
        ("health", |all, sink| pages::put_health(all, true, true, sink)),
    ];
    with_everything(|snapshot| {
        for (name, put) in all {
            let mut page = Endless(Vec::new());
            put(snapshot, &mut page).unwrap();
            let text = String::from_utf8(page.0).unwrap();
            let length = longest(name, &text);
            println!("{name}: {length} bytes of {OPS_ANSWER_BYTES}");
            assert!(length <= OPS_ANSWER_BYTES, "{name}: {length} bytes of {OPS_ANSWER_BYTES}");
            if name != "metrics" {
                let _: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
            }
        }
    });
}

#[test]
fn where_the_machine_has_everything_every_monitor_is_live() {
    with_everything(|snapshot| {
        let mut page = Endless(Vec::new());
        pages::put_risks(snapshot, &mut page).unwrap();
        let rows: Value = serde_json::from_slice(&page.0).unwrap();
        for (row, wanted) in rows.as_array().unwrap().iter().zip(&ROWS) {
            assert_eq!(row["absent"], serde_json::json!({}), "{}", wanted.name);
            assert_eq!(row["monitors"], serde_json::json!(wanted.monitors), "{}", wanted.name);
            assert_eq!(row["state"], "acting");
        }
        assert_eq!(rows[0]["drilled_at"], 1);
        for drill in Drill::ALL {
            assert!(ROWS.iter().any(|row| row.drills.contains(&drill.name())), "{} is a drill of no risk", drill.name());
        }
        let drills = Drill::ALL.map(Drill::name);
        assert!(ROWS.iter().flat_map(|row| row.drills).all(|drill| drills.contains(drill)), "every drill is one");
    });
}
