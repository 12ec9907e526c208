//! Drills that panic: each part of the optimised path falls to the plain one for the same request, the plain path to static bytes, and
//! everything comes back.

use std::io::Write;
use std::net::TcpStream;

use serde_json::Value;

use crate::scene::{ROWS, answers, drill, falls, path, scene, seen};
use crate::server::{Answer, read_answer, wait_for};

fn ask(stream: &mut TcpStream, method: &str, target: &str, body: &str) {
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let text = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{form}Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).expect("it is taken");
}

fn answer(stream: &mut TcpStream) -> Answer {
    read_answer(stream, false).expect("an answer")
}

fn part(status: &Value, name: &str) -> String {
    status["path"][name].as_str().expect("a part").to_string()
}

fn is_emergency(answer: &Answer) {
    assert_eq!((answer.status, answer.field("retry-after"), answer.field("connection")), (500, Some("1"), Some("close")));
    assert_eq!(answer.json()["type"], "tag:flagstone,2026:internal");
}

#[test]
fn a_cache_that_panics_is_left_out_made_anew_and_used_again() {
    let server = scene();
    let before = answers(&server, "/plain");
    assert_eq!(answers(&server, "/plain").field("x-cache"), Some("hit"));
    drill(&server, "cache-panic", "");
    let fallen = answers(&server, "/plain");
    assert_eq!((fallen.field("etag"), fallen.field("x-cache")), (before.field("etag"), Some("bypass")));
    let status = server.status();
    assert_eq!((falls(&status, "cache"), part(&status, "cache").as_str()), (1, "resting"), "{status}");
    assert_eq!((path(&server).as_str(), seen(&server, "cache-panic")["acted"].as_u64()), ("plain", Some(1)));
    assert_eq!(server.metric("flagstone_use{part=\"cache entries\"}"), 0.0, "nothing of it is trusted");
    assert_eq!(answers(&server, "/critical").field("x-cache"), Some("bypass"));
    server.wait_for_status("it is tried again", |status| part(status, "cache") == "probing");
    wait_for("it keeps and gives", || answers(&server, "/plain").field("x-cache") == Some("hit"));
    wait_for("it is trusted", || {
        answers(&server, "/critical");
        part(&server.status(), "cache") == "on"
    });
    assert_eq!((path(&server).as_str(), answers(&server, "/plain").field("etag")), ("optimised", before.field("etag")));
}

#[test]
fn a_cache_that_panics_again_and_again_rests_longer_and_nobody_has_less() {
    let server = scene();
    drill(&server, "cache-panic", "count=3&seconds=60");
    let status = server.wait_for_status("three falls", |status| {
        answers(&server, "/plain");
        falls(status, "cache") == 3
    });
    assert_eq!(falls(&status, "emergency"), 0);
    // The third rest is of four seconds.
    wait_for("it came back", || {
        answers(&server, "/critical");
        part(&server.status(), "cache") == "on"
    });
}

#[test]
fn joins_that_panic_end_in_queries_of_their_own() {
    let server = scene();
    drill(&server, "flight-panic", "");
    let status = server.status();
    let mut streams: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for stream in &mut streams {
        ask(stream, "GET", "/slow?x=1", "");
    }
    for stream in &mut streams {
        let answer = answer(stream);
        assert_eq!((answer.status, answer.text().as_str()), (200, r#"[{"n":400000,"x":"1"}]"#));
    }
    let after = server.status();
    assert_eq!((falls(&after, "flight"), falls(&after, "emergency")), (1, 0), "{after}");
    assert!(after["jobs"].as_u64() > status["jobs"].as_u64().map(|jobs| jobs + 1), "{after}");
    assert_eq!(after["connections"]["joined"], 0);
    server.wait_for_status("it is tried again", |status| part(status, "flight") != "resting");
}

#[test]
fn a_batch_that_panics_is_written_one_by_one() {
    let server = scene();
    drill(&server, "batch-panic", "seconds=60");
    let mut acknowledged = 0;
    // Writes that come while one is on its way to the disk wait together.
    drill(&server, "slow-sync", "ms=100&seconds=60");
    while falls(&server.status(), "batch") == 0 {
        let mut streams: Vec<_> = (0..8).map(|_| server.connect()).collect();
        for stream in &mut streams {
            ask(stream, "POST", "/log", "v=x");
        }
        for stream in &mut streams {
            assert_eq!(answer(stream).status, 204, "the plain path writes it");
            acknowledged += 1;
        }
    }
    drill(&server, "slow-sync", "seconds=0");
    let status = server.status();
    assert_eq!((falls(&status, "batch"), falls(&status, "emergency"), falls(&status, "plain")), (1, 0, 0), "{status}");
    let rows: i64 =
        crate::configured::open(&server.database()).query_row("SELECT count(*) FROM log", [], |row| row.get(0)).expect("a count");
    assert_eq!(rows, acknowledged, "each once");
    assert_eq!(status["database"]["reopens"], 0);
    server.wait_for_status("it is tried again", |status| part(status, "batch") != "resting");
}

#[test]
fn a_single_write_that_panics_is_told_and_leaves_nothing() {
    let server = scene();
    drill(&server, "plain-panic", "");
    let mut stream = server.connect();
    ask(&mut stream, "POST", "/log", "v=x");
    is_emergency(&answer(&mut stream));
    let mut stream = server.connect();
    ask(&mut stream, "POST", "/log", "v=y");
    assert_eq!(answer(&mut stream).status, 204);
    let only: String =
        crate::configured::open(&server.database()).query_row("SELECT v FROM log", [], |row| row.get(0)).expect("a row");
    assert_eq!(only, "y");
    assert_eq!((falls(&server.status(), "plain"), falls(&server.status(), "emergency")), (1, 1));
}

#[test]
fn a_job_that_panics_is_answered_from_static_bytes_or_from_an_old_answer() {
    let server = scene();
    assert_eq!(server.get("/kept").text(), r#"[{"n":0}]"#);
    crate::configured::write(&server, "INSERT INTO log(v) VALUES ('more')");
    drill(&server, "plain-panic", "count=2");
    let stale = server.get("/kept");
    assert_eq!((stale.status, stale.text().as_str(), stale.field("x-cache")), (200, r#"[{"n":0}]"#, Some("stale")));
    let failed = server.get("/tables/t");
    is_emergency(&failed);
    assert_eq!(server.get("/tables/t").json().as_array().map(Vec::len), Some(2), "the next one works");
    assert_eq!(server.get("/kept").text(), r#"[{"n":1}]"#);
    let status = server.status();
    assert_eq!((falls(&status, "plain"), falls(&status, "emergency")), (2, 1), "{status}");
    assert_eq!(server.metric("flagstone_falls_total{from=\"plain\",to=\"emergency\",reason=\"panic\"}"), 2.0);
    let mut stream = server.connect();
    drill(&server, "plain-panic", "");
    stream.write_all(b"HEAD /tables/t?limit=7 HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it is taken");
    let head = read_answer(&mut stream, true).expect("an answer");
    assert_eq!((head.status, head.body.len()), (500, 0));
}

#[test]
fn a_panic_in_the_front_costs_its_connection_an_answer_and_nobody_else_anything() {
    let server = scene();
    answers(&server, "/critical");
    let mut other = server.connect();
    ask(&mut other, "GET", "/critical", "");
    assert_eq!(answer(&mut other).text(), ROWS);
    drill(&server, "front-panic", "count=1");
    let mut stream = server.connect();
    // Two at once: the first is answered before the panic, the second after it not at all.
    let twice = "GET /-/health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /critical HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(twice.as_bytes()).expect("it is taken");
    assert_eq!(answer(&mut stream).status, 200);
    is_emergency(&answer(&mut stream));
    ask(&mut other, "GET", "/critical", "");
    assert_eq!(answer(&mut other).text(), ROWS, "a neighbour's connection stays");
    assert_eq!(falls(&server.status(), "front"), 1);
    drop(stream);
    server.wait_for_status("it is closed", |status| status["closed"]["panicked"] == 1);
}

#[test]
fn warming_that_panics_leaves_answers_to_who_asks_for_them() {
    let server = scene();
    drill(&server, "warming-panic", "seconds=60");
    crate::configured::write(&server, "INSERT INTO log(v) VALUES ('x')");
    server.wait_for_status("it fell", |status| falls(status, "warming") == 1);
    answers(&server, "/critical");
    crate::configured::write(&server, "INSERT INTO log(v) VALUES ('y')");
    let warmed = |status: &Value| status["cache"]["warmed"].as_u64().expect("a number");
    let before = warmed(&server.status());
    server.wait_for_status("it warms again", |status| warmed(status) > before);
    assert_eq!(answers(&server, "/critical").field("x-cache"), Some("hit"));
}

#[test]
fn flipped_bits_are_never_answered() {
    let server = scene();
    let before = answers(&server, "/plain");
    answers(&server, "/critical");
    drill(&server, "cache-flip", "count=2&seconds=60");
    let status = server.wait_for_status("both are found", |status| {
        assert_eq!(answers(&server, "/plain").field("etag"), before.field("etag"));
        answers(&server, "/critical");
        status["cache_gone"]["damaged"] == 2
    });
    assert_eq!(falls(&status, "emergency"), 0);
    // The third is one too many: the cache is emptied and rests.
    drill(&server, "cache-flip", "seconds=60");
    let status = server.wait_for_status("it rests", |status| {
        answers(&server, "/plain");
        answers(&server, "/critical");
        part(status, "cache") == "resting"
    });
    assert_eq!((falls(&status, "cache"), path(&server).as_str()), (1, "plain"), "{status}");
}

#[test]
fn without_the_optimised_path_every_answer_is_made_and_is_the_same() {
    let server = scene();
    let before = answers(&server, "/plain");
    drill(&server, "fall", "seconds=60");
    for _ in 0..3 {
        let plain = answers(&server, "/plain");
        assert_eq!((plain.field("etag"), plain.field("x-cache")), (before.field("etag"), Some("bypass")));
        let tag = plain.field("etag").expect("a tag").to_string();
        assert_eq!(server.request("GET", "/plain", &[("If-None-Match", &tag)]).status, 304);
    }
    assert_eq!(path(&server), "plain");
    drill(&server, "fall", "seconds=0");
    assert_eq!((answers(&server, "/plain").field("x-cache"), path(&server).as_str()), (Some("hit"), "optimised"));
}

#[test]
fn the_last_word_is_static_and_health_gets_through() {
    let server = scene();
    drill(&server, "last-word", "seconds=60");
    for target in ["/critical", "/", "/tables/t", "/slow"] {
        let last = server.get(target);
        assert_eq!((last.status, last.field("retry-after")), (503, Some("1")), "{target}");
        assert_eq!(last.json()["type"], "tag:flagstone,2026:last-word");
    }
    assert_eq!([server.get("/-/health").status, server.get("/-/ready").status], [200, 503]);
    assert_eq!((path(&server).as_str(), server.get("/nowhere").status), ("emergency", 404));
    let status = server.status();
    assert_eq!((falls(&status, "optimised"), falls(&status, "plain"), falls(&status, "emergency")), (1, 0, 4), "{status}");
    drill(&server, "last-word", "seconds=0");
    answers(&server, "/critical");
    assert_eq!((path(&server).as_str(), server.get("/-/ready").status), ("optimised", 200));
}
