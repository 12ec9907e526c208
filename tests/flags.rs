//! Flags at run time: set, refused, told; stable for a client, monotone as a share rises; and what each switches off.

mod configured;
mod server;

use std::collections::BTreeSet;
use std::io::Write;

use configured::{ask_from, route, start, toml};
use serde_json::{Value, json};
use server::{Server, read_answer, wait_for};

const SQL: &str = "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'one');";
const NAMES: [&str; 4] = ["cache", "batching", "single_flight", "warming"];
/// Clients that have an address of their own: all but 127.0.0.1, whom many share.
const CLIENTS: std::ops::RangeInclusive<u8> = 2..=254;

fn with(flags: &str) -> Server {
    let slow =
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 400000) SELECT count(*) AS n, :x AS x FROM c";
    let routes = [route("/r", "SELECT v FROM t", ""), route("/slow", slow, "")].concat();
    start(SQL, &toml("", &format!("[flags]\n{flags}\n[tables]\nexpose = \"*\"\n{routes}"))).run()
}

fn put(server: &Server, name: &str, value: &str) {
    let answer = server.operate("PUT", &format!("/-/flags/{name}"), value);
    assert_eq!(answer.status, 200, "{name} {value}: {}", answer.text());
}

/// What /-/flags says of a flag.
fn flag(server: &Server, name: &str) -> Value {
    let all = server.operate("GET", "/-/flags", "").json();
    let found = all.as_array().expect("flags").iter().find(|flag| flag["name"] == name);
    found.unwrap_or_else(|| panic!("{name} in {all}")).clone()
}

/// The clients whose answers come from the cache.
fn cached(server: &Server) -> BTreeSet<u8> {
    let of = |client| ask_from(client, server.address, "GET", "/r", &[]).field("x-cache").expect("a field").to_string();
    // Whoever may have it finds what the first of them has left there.
    CLIENTS.filter(|&client| of(client) != "bypass").collect()
}

#[test]
fn flags_are_shown_and_set() {
    let server = with("cache = \"25%\"\nwarming = false");
    let all = server.operate("GET", "/-/flags", "");
    let names: Vec<_> = all.json().as_array().expect("flags").iter().map(|flag| flag["name"].clone()).collect();
    assert_eq!(names, NAMES);
    for (name, configured) in NAMES.into_iter().zip(["25%", "100%", "100%", "0%"]) {
        let flag = flag(&server, name);
        assert_eq!((&flag["configured"], &flag["set"], &flag["wanted"]), (&json!(configured), &Value::Null, &json!(configured)));
    }
    for name in NAMES {
        for (value, shown) in [
            ("on", "100%"),
            ("off", "0%"),
            ("25%", "25%"),
            ("0%", "0%"),
            ("100%", "100%"),
            ("\"on\"", "100%"),
            ("\"7%\"", "7%"),
            (" off\n", "0%"),
        ] {
            put(&server, name, value);
            let flag = flag(&server, name);
            assert_eq!((&flag["set"], &flag["wanted"]), (&json!(shown), &json!(shown)), "{name} {value}");
            let ratio = shown.trim_end_matches('%').parse::<f64>().expect("a number") / 100.0;
            assert_eq!(server.metric(&format!("flagstone_flag_wanted_ratio{{flag=\"{name}\"}}")), ratio);
        }
        put(&server, name, "configured");
        let flag = flag(&server, name);
        assert_eq!((&flag["set"], &flag["wanted"]), (&Value::Null, &flag["configured"]));
    }
    let answer = server.operate("PUT", "/-/flags/cache", "50%");
    assert_eq!(answer.json().as_array().expect("all of them, as they are now")[0]["set"], "50%");
}

#[test]
fn what_is_no_flag_and_no_value_is_refused_and_changes_nothing() {
    let server = with("");
    let before = server.operate("GET", "/-/flags", "").json();
    for value in [
        "",
        "maybe",
        "ON",
        "On",
        "101%",
        "1000%",
        "25",
        "-1%",
        "+5%",
        "2.5%",
        "1e1%",
        "%",
        "%25",
        "on off",
        "true",
        "{\"value\":\"on\"}",
        "null",
        "\u{ff11}%",
    ] {
        let refused = server.operate("PUT", "/-/flags/cache", value);
        assert_eq!(refused.status, 400, "{value:?}: {}", refused.text());
        let problem = refused.json();
        assert_eq!(
            (problem["type"].as_str(), problem["allowed"].as_str()),
            (Some("tag:flagstone,2026:malformed-flag"), Some("on, off, 25%, configured"))
        );
        assert!(problem["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{problem}");
    }
    for (name, hint) in [
        ("cach", "cache"),
        ("Cache", "cache"),
        ("single-flight", "single_flight"),
        ("warmin", "warming"),
        ("compression", ""),
        ("", ""),
        ("cache/", ""),
    ] {
        let refused = server.operate("PUT", &format!("/-/flags/{name}"), "on");
        assert_eq!(refused.status, 404, "{name}: {}", refused.text());
        let problem = refused.json();
        assert!(problem["hint"].as_str().unwrap_or_default().contains(hint), "{name}: {problem}");
        assert_eq!(problem["allowed"].as_str(), Some("cache, batching, single_flight, warming"), "{name}: {problem}");
    }
    assert_eq!(server.operate("GET", "/-/flags", "").json(), before);
    let huge = server.operate("PUT", "/-/flags/cache", &"x".repeat(20_000));
    assert_eq!(huge.status, 400);
    assert!(huge.body.len() < 512);
}

#[test]
fn a_share_is_the_same_clients_and_only_grows() {
    let server = with("cache = \"0%\"");
    assert_eq!(cached(&server), BTreeSet::new());
    let mut before = BTreeSet::new();
    for share in [1_u8, 10, 25, 50, 75, 99, 100] {
        put(&server, "cache", &format!("{share}%"));
        let now = cached(&server);
        assert_eq!(cached(&server), now, "a client stays where it is");
        assert!(now.is_superset(&before), "{share}%: {:?} lost it", before.difference(&now).collect::<Vec<_>>());
        let wanted = usize::from(share) * CLIENTS.len() / 100;
        assert!(now.len().abs_diff(wanted) <= CLIENTS.len() / 8, "{share}% of {} are {}", CLIENTS.len(), now.len());
        before = now;
    }
    assert_eq!(before.len(), CLIENTS.len());
    put(&server, "cache", "50%");
    let half = cached(&server);
    // Another server, and another time: the same clients.
    assert_eq!(cached(&with("cache = \"50%\"")), half);
    put(&server, "cache", "20%");
    assert!(cached(&server).is_subset(&half), "who goes first came last");
}

#[test]
fn a_proxys_clients_are_told_apart_by_its_word() {
    let server = with("cache = \"50%\"");
    let of = |last: u8, forwarded: &str| {
        let answer = ask_from(last, server.address, "GET", "/r", &[("X-Forwarded-For", forwarded)]);
        answer.field("x-cache").expect("a field") != "bypass"
    };
    let direct: Vec<bool> =
        (2..60).map(|last| ask_from(last, server.address, "GET", "/r", &[]).field("x-cache") != Some("bypass")).collect();
    let proxied: Vec<bool> = (2..60).map(|last| of(1, &format!("127.0.0.{last}"))).collect();
    assert_eq!(direct, proxied, "a trusted proxy's word is as good as the address");
    let (one, other) =
        (direct.iter().position(|on| *on).expect("half of them"), direct.iter().position(|on| !on).expect("half of them"));
    let address = |at: usize| u8::try_from(at + 2).expect("small");
    assert!(!of(address(other), &format!("127.0.0.{}", address(one))), "anybody else's is nothing");
}

#[test]
fn without_the_cache_every_answer_is_made() {
    let server = with("");
    for target in ["/r", "/tables/t", "/tables/t/1", "/tables", "/"] {
        let kept = server.get(target);
        assert_eq!((server.get(target).field("x-cache"), target), (Some("hit"), target));
        put(&server, "cache", "off");
        for _ in 0..3 {
            let made = server.get(target);
            assert_eq!(
                (made.field("x-cache"), &made.body, made.field("etag")),
                (Some("bypass"), &kept.body, kept.field("etag")),
                "{target}"
            );
            let tag = made.field("etag").expect("a tag").to_string();
            let unchanged = server.request("GET", target, &[("If-None-Match", &tag)]);
            assert_eq!((unchanged.status, unchanged.field("x-cache")), (304, Some("bypass")), "{target}");
        }
        put(&server, "cache", "on");
        assert_eq!((server.get(target).field("x-cache"), target), (Some("hit"), target), "what was kept is still true");
    }
    put(&server, "cache", "off");
    configured::write(&server, "UPDATE t SET v = 'two'");
    assert!(server.get("/r").text().contains("two"));
    put(&server, "cache", "on");
    let answer = server.get("/r");
    assert!(answer.text().contains("two") && answer.field("x-cache") == Some("miss"), "{answer:?}");
}

/// Asks for the same slow answer four times at once; how many joined another's query, and how many queries ran.
fn at_once(server: &Server, x: &str) -> (u64, u64) {
    let count =
        |status: &Value| (status["cache"]["joined"].as_u64().expect("a number"), status["jobs"].as_u64().expect("a number"));
    let before = count(&server.status());
    let mut streams: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for stream in &mut streams {
        stream.write_all(format!("GET /slow?x={x} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).expect("it is taken");
    }
    let answers: Vec<_> = streams.iter_mut().map(|stream| read_answer(stream, false).expect("an answer")).collect();
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == answers[0].body));
    let after = count(&server.status());
    (after.0 - before.0, after.1 - before.1)
}

#[test]
fn without_single_flight_each_request_has_a_query_of_its_own() {
    let server = with("");
    let (joined, jobs) = at_once(&server, "on");
    assert_eq!(jobs, 1, "they share a query, or find its answer: {joined} joined");
    assert!(joined > 0);
    put(&server, "single_flight", "off");
    // Those that come when the first has been answered find it in the cache.
    let (joined, jobs) = at_once(&server, "off");
    assert_eq!(joined, 0);
    assert!(jobs > 1, "{jobs}");
    put(&server, "single_flight", "configured");
    assert_eq!(at_once(&server, "again").1, 1);
}

#[test]
fn what_was_seen_is_counted() {
    let server = with("cache = \"25%\"");
    let asked = |name: &str, result: &str| {
        server.metric(&format!("flagstone_flag_evaluations_total{{flag=\"{name}\",result=\"{result}\"}}"))
    };
    let (on, off) = (asked("cache", "on"), asked("cache", "off"));
    let mut hits = 0.0;
    for client in CLIENTS {
        hits += f64::from(u8::from(ask_from(client, server.address, "GET", "/r", &[]).field("x-cache") != Some("bypass")));
    }
    assert_eq!((asked("cache", "on") - on, asked("cache", "off") - off), (hits, CLIENTS.len() as f64 - hits));
    assert_eq!(flag(&server, "cache")["drift_percent"], Value::Null, "too few to say");
    // A window is a thousand asks: all of one client, so all or nothing of a quarter.
    let mut wire = server.connect();
    wire.set_nodelay(true).expect("a socket");
    for _ in 0..1000 {
        wire.write_all(b"GET /r HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it is taken");
        assert_eq!(read_answer(&mut wire, false).expect("an answer").status, 200);
    }
    let drift = flag(&server, "cache")["drift_percent"].as_f64().expect("a window is over");
    assert!((15.0..=75.0).contains(&drift), "{drift}");
    put(&server, "cache", "on");
    assert_eq!(flag(&server, "cache")["drift_percent"], Value::Null, "another share, another window");
    for name in NAMES {
        assert_eq!(flag(&server, name)["doubtful"], 0, "{name}");
    }
}

#[test]
fn what_was_said_at_run_time_outlives_a_reload_and_no_restart() {
    let server = with("cache = \"on\"");
    put(&server, "cache", "off");
    let text = std::fs::read_to_string(server.config_path()).expect("the test's file");
    std::fs::write(server.config_path(), text.replace("cache = \"on\"", "cache = \"75%\"")).expect("the test's file");
    assert_eq!(server.operate("POST", "/-/reload", "").status, 200);
    let now = flag(&server, "cache");
    assert_eq!((&now["configured"], &now["set"]), (&json!("75%"), &json!("0%")));
    assert_eq!(server.get("/r").field("x-cache"), Some("bypass"));
    put(&server, "cache", "configured");
    wait_for("it is the configuration's", || flag(&server, "cache")["wanted"] == "75%");
}
