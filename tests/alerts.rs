//! Alerts and the risk register on a live server: what is wrong is told once and everywhere, every monitor exists, every page fits.

#[path = "configured/mod.rs"]
mod configured;
mod server;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use configured::{Log, route, toml};
use flagstone::policy::alert::{Alert, Level};
use serde_json::Value;
use server::{Server, Start};

const SQL: &str = "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);
    WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 500) INSERT INTO t SELECT i, 'value ' || i FROM c;";

fn served() -> Server {
    let routes = route("/api/t", "SELECT * FROM t WHERE id = :id", "params = { id = { type = \"integer\" } }")
        + "\n[[route]]\nmethod = \"POST\"\npath = \"/api/t\"\nsql = \"INSERT INTO t(v) VALUES (:v)\"\nauth = \"admin\"\n";
    configured::start(SQL, &toml("", &routes)).run()
}

/// Series to value of the metrics page.
fn metrics(server: &Server) -> BTreeMap<String, f64> {
    let text = server.operate("GET", "/-/metrics", "").text();
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    lines.map(|(series, value)| (series.to_string(), value.parse().expect("a number"))).collect()
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().expect("an array").iter().map(|item| item.as_str().expect("a string")).collect()
}

#[test]
fn every_monitor_of_the_register_is_live_or_says_why_not() {
    let server = served();
    let risks = server.operate("GET", "/-/risks", "").json();
    let metrics = metrics(&server);
    let alerts: Vec<&str> = Alert::ALL.iter().map(|alert| alert.rule().name).collect();
    let rows = risks.as_array().unwrap();
    assert_eq!(rows.len(), 12);
    let mut covered = 0;
    for row in rows {
        let live = strings(&row["monitors"]);
        covered += usize::from(!live.is_empty());
        for monitor in &live {
            let exact = metrics.get(*monitor);
            let family =
                || metrics.iter().find(|(series, _)| series.starts_with(&format!("{monitor}{{"))).map(|(_, value)| value);
            assert!(exact.or_else(family).is_some(), "{monitor} of {} is not on the metrics page", row["name"]);
            assert!(row["readings"][*monitor].is_number(), "{monitor}: {row}");
        }
        for (monitor, why) in row["absent"].as_object().unwrap() {
            let may = flagstone::ops::risks::why_absent(monitor);
            assert_eq!(may, why.as_str(), "{monitor} of {} has to be there", row["name"]);
        }
        for alert in strings(&row["alerts"]) {
            assert!(alerts.contains(&alert), "{alert} of {}", row["name"]);
        }
        assert!(["ok", "watch", "acting"].contains(&row["state"].as_str().unwrap()), "{row}");
        assert!(["resources", "availability", "correctness", "operations"].contains(&row["category"].as_str().unwrap()), "{row}");
        assert_eq!(row["score"], row["impact"].as_u64().unwrap() * row["probability"].as_u64().unwrap());
    }
    assert!(covered * 100 >= rows.len() * 95, "{covered} of {} rows have a live monitor", rows.len());
    let coverage = server.status()["risk_coverage"].clone();
    for part in ["total", "resources", "availability", "correctness", "operations"] {
        assert_eq!(coverage[part], 1, "{coverage}");
    }
}

#[test]
fn an_answer_that_acts_is_seen_in_its_row() {
    let server = Server::with(
        "CREATE TABLE t(a); CREATE VIEW forever AS WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT count(*) AS n FROM c;",
    );
    let row = |name: &str| {
        let rows = server.operate("GET", "/-/risks", "").json();
        rows.as_array().unwrap().iter().find(|row| row["name"] == name).cloned().unwrap()
    };
    assert_eq!(
        (&row("database lock contention")["state"], &row("database lock contention")["acted_at"]),
        (&"ok".into(), &Value::Null)
    );
    assert_eq!(server.get("/tables/forever").status, 504);
    server::wait_for("the limit is seen to act", || row("database lock contention")["state"] == "acting");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let acted = row("database lock contention")["acted_at"].as_u64().unwrap();
    assert!(now.abs_diff(acted) < 60, "{acted} and {now}");
}

#[test]
fn a_drill_is_seen_in_the_rows_of_what_it_provokes() {
    let server = served();
    let row = |name: &str| {
        let rows = server.operate("GET", "/-/risks", "").json();
        rows.as_array().unwrap().iter().find(|row| row["name"] == name).cloned().unwrap()
    };
    assert!(row("memory exhaustion")["drilled_at"].is_null());
    assert_eq!(server.operate("POST", "/-/drill/memory", r#"{"seconds":30}"#).status, 202);
    server::wait_for("its answer acts", || row("memory exhaustion")["state"] == "acting");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let memory = row("memory exhaustion");
    assert!(["drilled_at", "acted_at"].iter().all(|at| now.abs_diff(memory[at].as_u64().unwrap()) < 60), "{memory}");
    assert!(row("cache poisoning")["drilled_at"].is_null());
    server::wait_for("it is an alert", || server.operate("GET", "/-/health", "").json()["alerts"]["system_memory"] == "critical");
}

#[test]
fn what_is_wrong_is_told_everywhere_once_and_goes_again() {
    let (stderr, log) = Log::pipe();
    let server = configured::start(SQL, &toml("", &route("/api/t", "SELECT 1 AS a", ""))).stderr(stderr).run();
    let calm = server.operate("GET", "/-/alerts", "").json();
    assert!(calm.as_array().unwrap().iter().all(|alert| alert["name"] != "config_reload"), "{calm}");
    let file = server.folder.path().join("flagstone.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, good.clone() + "\n[nonsense]\n").unwrap();
    let found = |name: &str| {
        server.operate("GET", "/-/alerts", "").json().as_array().unwrap().iter().find(|alert| alert["name"] == name).cloned()
    };
    server::wait_for("the broken file is an alert", || found("config_reload").is_some());
    let alert = found("config_reload").unwrap();
    assert_eq!((&alert["level"], &alert["value"], &alert["threshold"]), (&"warning".into(), &1.into(), &1.into()), "{alert}");
    assert_eq!(alert["unit"], "state");
    assert!(alert["since"].is_u64() && !alert["doing"].as_str().unwrap().is_empty(), "{alert}");
    let health = server.operate("GET", "/-/health", "").json();
    assert_eq!((&health["status"], &health["alerts"]["config_reload"]), (&"ok".into(), &"warning".into()), "{health}");
    assert_eq!(server.status()["alerts"]["config_reload"], "warning");
    assert_eq!(metrics(&server)["flagstone_alert{name=\"config_reload\",level=\"warning\"}"], 1.0);
    let drift = server.operate("GET", "/-/risks", "").json();
    let row = drift.as_array().unwrap().iter().find(|row| row["name"] == "configuration drift").cloned().unwrap();
    assert!(row["state"] == "acting" || row["state"] == "watch", "{row}");
    std::fs::write(&file, good).unwrap();
    server::wait_for("it is over", || found("config_reload").is_none());
    assert_eq!(metrics(&server)["flagstone_alert{name=\"config_reload\",level=\"warning\"}"], 0.0);
    server::wait_for("both are in the log", || log.text().contains("alert config_reload: over"));
    let text = log.text();
    assert_eq!(text.matches("alert config_reload: warning: the last configuration was refused").count(), 1, "{text}");
    assert_eq!(text.matches("alert config_reload: over").count(), 1, "{text}");
}

#[test]
fn a_reader_that_pins_the_wal_is_told_with_its_process() {
    let server = served();
    let post = |v: &str| server.operate("POST", &format!("/api/t?v={v}"), "");
    assert_eq!(post("one").status, 204);
    let reader = configured::open(&server.database());
    reader.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
    assert_eq!(post("two").status, 204);
    server.wait_for_status("the pin is seen", |status| status["system"]["wal"]["pinned"]["reader"]["pid"] == std::process::id());
    let first = Instant::now();
    server.wait_for_status("it ages", |status| status["system"]["wal"]["pinned"]["seconds"].as_u64() >= Some(2));
    assert!(first.elapsed() >= Duration::from_millis(900), "a second takes a second");
    assert!(metrics(&server)["flagstone_wal_pinned_seconds"] >= 2.0);
    assert!(metrics(&server)["flagstone_alert_reading{name=\"wal_reader\"}"] >= 2.0);
    reader.execute_batch("COMMIT").unwrap();
    server.wait_for_status("it is gone", |status| status["system"]["wal"]["pinned"].is_null());
}

#[test]
fn the_pages_are_for_operators_alone() {
    let server = served();
    for target in ["/-/alerts", "/-/risks"] {
        assert_eq!(server.operate("GET", target, "").status, 200, "{target}");
        assert_eq!(server.get(target).status, 401, "{target}");
        assert_eq!(server.operate("GET", target, "").field("content-type"), Some("application/json"), "{target}");
    }
    let public = server.get("/-/health");
    assert_eq!(public.text(), r#"{"status":"ok"}"#, "nothing of the alerts");
}

#[test]
fn every_alert_has_its_levels_among_the_metrics() {
    let server = Start::new().sql(SQL).run();
    server::wait_for("there was a second", || metrics(&server).contains_key("flagstone_alert_reading{name=\"panics\"}"));
    let metrics = metrics(&server);
    let mut wanted = Vec::new();
    for alert in Alert::ALL {
        for level in Level::ALL {
            if alert.rule().thresholds[level as usize].is_some() {
                wanted.push(format!("flagstone_alert{{name=\"{}\",level=\"{}\"}}", alert.rule().name, level.name()));
            }
        }
    }
    let found: Vec<&String> = metrics.keys().filter(|series| series.starts_with("flagstone_alert{")).collect();
    wanted.sort();
    assert_eq!(found, wanted.iter().collect::<Vec<_>>());
}

/// The metrics that a PromQL expression names.
fn named(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("flagstone_") || word.starts_with("process_"))
}

#[test]
fn dashboard_and_rules_name_only_metrics_that_exist() {
    let server = served();
    server::wait_for("there was a second", || metrics(&server).contains_key("flagstone_alert_reading{name=\"panics\"}"));
    let metrics = metrics(&server);
    let exists = |name: &str| metrics.keys().any(|series| series == name || series.starts_with(&format!("{name}{{")));
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tools");
    let dashboard: Value = serde_json::from_slice(&std::fs::read(root.join("grafana/flagstone.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let mut expressions: Vec<String> = targets.map(|target| target["expr"].as_str().unwrap().to_string()).collect();
    let rules = std::fs::read_to_string(root.join("prometheus/flagstone.rules.yml")).unwrap();
    expressions.extend(rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).map(str::to_string));
    assert!(expressions.len() > 100, "both files are read");
    let mut names = 0;
    for expression in &expressions {
        for name in named(expression) {
            names += 1;
            let may_be_absent = flagstone::ops::risks::why_absent(name).is_some();
            assert!(exists(name) || may_be_absent, "{name} in {expression} is not on the metrics page");
        }
    }
    assert!(names > 100);
    // The alerts that they name are ours.
    let alerts: Vec<&str> = Alert::ALL.iter().map(|alert| alert.rule().name).collect();
    for expression in &expressions {
        for alert in expression.split("name=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(alerts.contains(&alert), "{alert} in {expression}");
        }
    }
}

/// The thresholds that the dashboard draws are those of the alerts.
#[test]
fn the_dashboard_draws_the_alerts_thresholds() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/grafana/flagstone.json");
    let dashboard: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let drawn = [
        ("Pool use", Alert::PoolUse),
        ("Wait for the database", Alert::QueueWait),
        ("The machine's memory in use", Alert::SystemMemory),
        ("Kept by a reader", Alert::WalReader),
        ("A sync takes", Alert::SlowSyncs),
        ("Board", Alert::Temperature),
        ("Worst gap of a minute", Alert::LoopGap),
    ];
    for panel in dashboard["panels"].as_array().unwrap() {
        let steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"].as_array().unwrap();
        let steps: Vec<f64> = steps.iter().filter_map(|step| step["value"].as_f64()).collect();
        let title = panel["title"].as_str().unwrap();
        let alert = drawn.iter().find(|(drawn, _)| *drawn == title).map(|(_, alert)| alert.rule());
        let thresholds = alert.map_or([None; 3], |rule| rule.thresholds);
        let wanted: Vec<f64> = thresholds.iter().flatten().map(|&threshold| threshold as f64 / 1000.0).collect();
        assert_eq!(steps, wanted, "{title}");
    }
}

/// Prometheus's own checks of the rules, where they are installed.
#[test]
fn promtool_takes_the_rules_and_their_tests() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/prometheus");
    for arguments in [["check", "rules", "flagstone.rules.yml"], ["test", "rules", "flagstone.test.yml"]] {
        let ran = std::process::Command::new("promtool").args(arguments).current_dir(&folder).output();
        let Ok(said) = ran else { return };
        let words = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{words}");
    }
}
