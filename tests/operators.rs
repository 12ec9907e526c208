//! Operators' pages: who may see them, that their numbers are true, and that Prometheus reads them.

mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;
use server::{Answer, Server, Start};

const SQL: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);
    WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 500) INSERT INTO t SELECT i, 'value ' || i FROM c;
    CREATE VIEW forever AS WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT count(*) AS n FROM c;";

const FORWARDED: (&str, &str) = ("X-Forwarded-For", "203.0.113.9");

fn forwarded(server: &Server, target: &str) -> Answer {
    server.request("GET", target, &[FORWARDED])
}

/// Name with labels to value; checks the text format (0.0.4) on the way.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let (mut kinds, mut helped, mut found) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
    let mut family_of_last = String::new();
    let mut families_done = BTreeSet::new();
    assert!(text.ends_with('\n'), "the last line ends");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a name and a text");
            assert!(helped.insert(name.to_string()) && !help.is_empty(), "{line}");
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a type");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(kinds.insert(name.to_string(), kind.to_string()).is_none(), "{line} comes twice");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
        let value: f64 =
            if value == "+Inf" { f64::INFINITY } else { value.parse().unwrap_or_else(|_| panic!("no number: {line}")) };
        let name = series.split('{').next().expect("a name");
        let first = name.bytes().next().expect("a letter");
        assert!(first.is_ascii_alphabetic() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{line}");
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .filter_map(|suffix| name.strip_suffix(suffix))
            .find(|family| kinds.get(*family).is_some_and(|kind| kind == "histogram"))
            .unwrap_or(name);
        let kind = kinds.get(family).unwrap_or_else(|| panic!("no TYPE before {line}"));
        assert!(helped.contains(family), "no HELP before {line}");
        assert_eq!(kind == "counter", family.ends_with("_total"), "{line}");
        if family != family_of_last {
            assert!(families_done.insert(family.to_string()), "{family} is not in one piece");
            family_of_last = family.to_string();
        }
        if let Some(labels) = series.strip_prefix(name).filter(|labels| !labels.is_empty()) {
            let labels = labels.strip_prefix('{').and_then(|labels| labels.strip_suffix('}')).unwrap_or_else(|| panic!("{line}"));
            for label in labels.split("\",") {
                let (key, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
                assert!(!key.is_empty() && !value.trim_end_matches('"').contains('"'), "{line}");
            }
        }
        assert!(found.insert(series.to_string(), value).is_none(), "{series} comes twice");
    }
    found
}

#[test]
fn health_and_readiness_are_short_in_public_and_detailed_near_by() {
    let server = Server::with(SQL);
    for target in ["/-/health", "/-/ready"] {
        for field in [FORWARDED, ("Forwarded", "for=203.0.113.9"), ("X-Real-IP", "203.0.113.9"), ("Via", "1.1 proxy")] {
            let public = server.request("GET", target, &[field]);
            assert_eq!((public.status, public.text().as_str()), (200, r#"{"status":"ok"}"#), "{target} with {field:?}");
            assert!(public.body.len() < 100);
        }
        let near = server.get(target);
        let components = near.json()["components"].clone();
        assert!(["loop", "database", "memory"].iter().all(|part| components[part] == "ok"), "{}", near.text());
        assert_eq!(near.field("cache-control"), Some("no-store"));
    }
    for target in ["/-/status", "/-/metrics", "/metrics", "/-/budget"] {
        let refused = forwarded(&server, target);
        assert_eq!((refused.status, &refused.json()["type"]), (403, &"tag:flagstone,2026:operators-only".into()), "{target}");
        assert_eq!(server.get(target).status, 200, "{target}");
    }
}

#[test]
fn readiness_tells_of_a_database_that_is_gone() {
    let server = Server::with(SQL);
    let rubbish = server.folder.path().join("rubbish");
    std::fs::write(&rubbish, "rubbish").unwrap();
    std::fs::rename(&rubbish, server.database()).unwrap();
    server::wait_for("it is not ready", || server.get("/-/ready").status == 503);
    let near = server.get("/-/ready").json();
    assert_eq!((&near["status"], &near["components"]["database"]), (&"unavailable".into(), &"unavailable".into()));
    let public = forwarded(&server, "/-/ready");
    assert_eq!((public.status, public.text().as_str()), (503, r#"{"status":"unavailable"}"#));
    assert_eq!(forwarded(&server, "/-/health").status, 200, "the process itself is well");
    assert_eq!(samples(&server.get("/metrics").text())["flagstone_database_ready"], 0.0);
}

#[test]
fn metrics_are_well_formed_and_move() {
    let server = Server::with(SQL);
    let page = server.get("/-/metrics");
    assert_eq!(page.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let before = samples(&page.text());
    for target in ["/tables/t", "/tables/t?limit=3", "/tables/t/1", "/tables", "/", "/nowhere", "/tables/none", "/tables/forever"]
    {
        server.get(target);
    }
    let tag = server.get("/tables/t").field("etag").unwrap().to_string();
    server.request("GET", "/tables/t", &[("If-None-Match", &tag)]);
    let after = samples(&server.get("/metrics").text());
    let moved = |series: &str| after.get(series).unwrap_or_else(|| panic!("{series}")) - before.get(series).unwrap_or(&0.0);
    for (series, least) in [
        ("flagstone_http_requests_total{route=\"rows\",code=\"200\"}", 3.0),
        ("flagstone_http_requests_total{route=\"rows\",code=\"304\"}", 1.0),
        ("flagstone_http_requests_total{route=\"rows\",code=\"404\"}", 1.0),
        ("flagstone_http_requests_total{route=\"rows\",code=\"504\"}", 1.0),
        ("flagstone_http_requests_total{route=\"row\",code=\"200\"}", 1.0),
        ("flagstone_http_requests_total{route=\"tables\",code=\"200\"}", 1.0),
        ("flagstone_http_requests_total{route=\"index\",code=\"200\"}", 1.0),
        ("flagstone_query_timeouts_total", 1.0),
        ("flagstone_jobs_total", 5.0),
        ("flagstone_job_seconds_total", 0.9),
        ("flagstone_http_request_duration_seconds_count", 10.0),
        ("flagstone_queue_wait_seconds_count", 5.0),
        ("flagstone_http_sent_bytes_total", 10_000.0),
        ("flagstone_http_received_bytes_total", 500.0),
        ("flagstone_connections_accepted_total", 10.0),
    ] {
        assert!(moved(series) >= least, "{series} moved by {}", moved(series));
    }
    assert!(moved("flagstone_http_requests_total{route=\"rows\",code=\"200\"}") == 3.0, "no more than was asked");
    for (series, value) in &before {
        let counts = series.split('{').next().unwrap().ends_with("_total") || series.contains("_bucket{");
        assert!(!counts || after[series] >= *value, "{series} went down");
    }
    // Never labelled by what a client sent.
    assert!(!after.keys().any(|series| series.contains("none") || series.contains("nowhere")), "{after:?}");
    for process in ["process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds", "process_max_fds"] {
        assert!(after[process] > 0.0, "{process}");
    }
}

#[test]
fn a_histograms_buckets_rise_to_its_count() {
    let server = Server::with(SQL);
    for _ in 0..20 {
        server.get("/tables/t");
    }
    let text = server.get("/metrics").text();
    let all = samples(&text);
    for name in ["flagstone_http_request_duration_seconds", "flagstone_queue_wait_seconds"] {
        // In the page's own order.
        let buckets: Vec<f64> = text
            .lines()
            .filter(|line| line.starts_with(&format!("{name}_bucket")))
            .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
            .collect();
        assert!(buckets.len() > 3 && buckets.is_sorted(), "{buckets:?}");
        assert_eq!(buckets.last(), all.get(&format!("{name}_count")));
        assert_eq!(all[&format!("{name}_bucket{{le=\"+Inf\"}}")], all[&format!("{name}_count")]);
    }
}

/// Prometheus's own linter, where it is installed.
#[test]
fn promtool_has_nothing_to_say() {
    let server = Server::with(SQL);
    server.get("/tables/t");
    let text = server.get("/-/metrics").text();
    samples(&text);
    let mut linter = Command::new("promtool");
    linter.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut linter) = linter.spawn() else { return };
    linter.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = linter.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && words.trim().is_empty(), "{words}");
}

fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer} in {value}"))
}

#[test]
fn status_says_what_is_going_on() {
    let server = Server::with(SQL);
    let before = server.status();
    assert_eq!((&before["state"], &before["version"]), (&"serving".into(), &env!("CARGO_PKG_VERSION").into()));
    for pointer in ["/requests/answered", "/requests/queued", "/requests/busy_retries", "/database/tables", "/database/bytes"] {
        number(&before, pointer);
    }
    for part in ["connections", "closed", "refused", "longest_gap_us", "memory"] {
        let members = before[part].as_object().unwrap_or_else(|| panic!("{part}"));
        assert!(!members.is_empty() && members.values().all(Value::is_u64), "{part}");
    }
    assert_eq!(number(&before, "/database/tables"), 2);
    assert!(number(&before, "/memory/rss_anon_bytes") <= number(&before, "/memory/sheet_process_bytes"), "the sheet holds");
    for _ in 0..5 {
        server.get("/tables/t?limit=1000");
    }
    let after = server.status();
    assert!(number(&after, "/requests/answered") >= number(&before, "/requests/answered") + 5);
    assert!(number(&after, "/cache/hit") >= 4, "the same was asked five times");
    server.wait_for_status("the readings of the next second", |status| number(status, "/database/statements") >= 1);
    assert_eq!(number(&after, "/panics"), 0);
}

#[test]
fn a_server_that_stood_still_says_so() {
    let server = Server::with(SQL);
    let gap = || number(&server.get("/-/status").json(), "/longest_gap_us/other");
    gap();
    server.freeze();
    // It may have meant to sleep for a second by itself.
    std::thread::sleep(std::time::Duration::from_millis(1600));
    server.thaw();
    let after = gap();
    assert!(after >= 500_000, "{after} us, where it was held up for 600,000");
}

#[test]
fn the_budget_lists_every_limit_its_use_and_its_high_water() {
    let server = Server::with(SQL);
    let held: Vec<_> = (0..5).map(|_| server.connect()).collect();
    server.wait_for_status("they are accepted", |status| {
        status["connections"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(state, _)| *state != "free")
            .filter_map(|(_, n)| n.as_u64())
            .sum::<u64>()
            >= 5
    });
    let budget = server.get("/-/budget").json();
    let uses = budget["use"].as_array().unwrap();
    let part = |name: &str| uses.iter().find(|part| part["name"] == name).unwrap_or_else(|| panic!("{name}"));
    for name in [
        "connections",
        "public slots",
        "slots of one client",
        "output blocks",
        "Rust heap",
        "SQLite heap",
        "SQLite pages",
        "statements",
    ] {
        let (limit, now, high) = (number(part(name), "/limit"), number(part(name), "/now"), number(part(name), "/high"));
        assert!(limit > 0 && now <= high && high <= limit, "{name}: {now} {high} {limit}");
    }
    assert!(number(part("connections"), "/now") >= 5);
    assert!(number(part("SQLite heap"), "/now") > 0 && number(part("Rust heap"), "/now") > 0);
    drop(held);
    server.wait_for_status("they are gone", |_| {
        let now = server.get("/-/budget").json();
        let connections = now["use"].as_array().unwrap().iter().find(|part| part["name"] == "connections").unwrap().clone();
        number(&connections, "/now") < 5 && number(&connections, "/high") >= 5
    });
    for sum in ["process", "kernel"] {
        let rows = budget[sum].as_array().unwrap();
        let total: u64 = rows.iter().map(|row| number(row, "/bytes")).sum();
        assert_eq!(total, number(&budget, &format!("/{sum}_bytes")), "{sum}");
        assert!(rows.iter().all(|row| row["name"].is_string() && row["sum"].is_string()));
    }
    assert!(number(&budget, "/memory_max_bytes") > number(&budget, "/process_bytes") + number(&budget, "/kernel_bytes"));
    let settings = budget["settings"].as_array().unwrap();
    assert!(settings.iter().any(|setting| setting["name"] == "FLAGSTONE_SLOTS" && setting["value"].is_u64()));
}

#[test]
fn the_operators_listener_serves_its_pages_to_anybody_and_no_tables() {
    let start = Start::new();
    let socket = start.folder().join("ops.sock");
    let server = start.arguments(&["--ops", &format!("unix:{}", socket.display())]).sql(SQL).run();
    let ask = |target: &str| {
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).expect("the socket");
        stream.set_read_timeout(Some(server::DEADLINE)).unwrap();
        let head =
            format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 203.0.113.9\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        server::read_answer(&mut stream, false).expect("an answer")
    };
    for target in ["/-/health", "/-/ready", "/-/status", "/-/metrics", "/metrics", "/-/budget"] {
        assert_eq!(ask(target).status, 200, "{target}");
    }
    assert!(ask("/-/ready").json()["components"].is_object(), "details for operators");
    for target in ["/", "/tables", "/tables/t"] {
        let refused = ask(target);
        assert_eq!((refused.status, &refused.json()["type"]), (404, &"tag:flagstone,2026:not-found".into()), "{target}");
    }
    assert!(server.block.contains(&format!("curl --unix-socket {}", socket.display())), "{}", server.block);
}
