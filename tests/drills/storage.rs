//! Drills of the disk, the clock and the machine: a slow or failing card, a full one, a short memory, a clock that jumps.

use std::io::Write;
use std::time::{Duration, Instant, SystemTime};

use crate::scene::{ROWS, answers, drill, falls, path, scene, seen};
use crate::server::{Answer, Server, read_answer, wait_for};

/// How much longer a sync or a read takes here: long beside what a busy machine does to everything.
const SLOW: Duration = Duration::from_millis(1000);

fn post(server: &Server, value: &str) -> Answer {
    let body = format!("v={value}");
    let mut stream = server.connect();
    let text = format!(
        "POST /log HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).expect("it is taken");
    read_answer(&mut stream, false).expect("an answer")
}

fn rows(server: &Server) -> i64 {
    crate::configured::open(&server.database()).query_row("SELECT count(*) FROM log", [], |row| row.get(0)).expect("a count")
}

#[test]
fn a_slow_sync_delays_writes_and_nobody_else() {
    let server = scene();
    answers(&server, "/critical");
    assert_eq!(post(&server, "before").status, 204);
    answers(&server, "/critical");
    drill(&server, "slow-sync", &format!("ms={}&seconds=30", SLOW.as_millis()));
    let began = Instant::now();
    let mut longest = Duration::ZERO;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (post(&server, "slow").status, began.elapsed()));
        while !writer.is_finished() {
            let asked = Instant::now();
            let answer = server.get("/critical");
            assert_eq!((answer.status, answer.text().as_str()), (200, ROWS));
            assert_eq!(server.get("/-/health").status, 200);
            longest = longest.max(asked.elapsed());
        }
        let (status, took) = writer.join().expect("a writer");
        assert_eq!(status, 204);
        assert!(took >= SLOW, "acknowledged before it was on disk: {took:?}");
    });
    assert!(longest < SLOW * 3 / 4, "cached answers waited for the disk: {longest:?}");
    drill(&server, "slow-sync", "seconds=0");
    assert_eq!(post(&server, "after").status, 204);
    assert_eq!(rows(&server), 3);
}

#[test]
fn a_slow_read_delays_its_query_and_nobody_else() {
    let server = scene();
    answers(&server, "/critical");
    drill(&server, "slow-read", &format!("ms={}&seconds=30", SLOW.as_millis()));
    let began = Instant::now();
    let mut longest = Duration::ZERO;
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| (server.get("/kept").status, began.elapsed()));
        while !reader.is_finished() {
            let asked = Instant::now();
            answers(&server, "/critical");
            longest = longest.max(asked.elapsed());
        }
        let (status, took) = reader.join().expect("a reader");
        assert_eq!(status, 200);
        assert!(took >= SLOW, "{took:?}");
    });
    assert!(longest < SLOW * 3 / 4, "cached answers waited for a read: {longest:?}");
    drill(&server, "slow-read", "seconds=0");
    let began = Instant::now();
    assert_eq!(server.get("/tables/log").status, 200);
    assert!(began.elapsed() < SLOW);
}

#[test]
fn failing_reads_and_writes_are_told_and_pass() {
    let server = scene();
    answers(&server, "/critical");
    let tagged = answers(&server, "/plain");
    drill(&server, "io-error", "seconds=30");
    let failed = server.get("/tables/t");
    assert!(failed.status >= 500, "{failed:?}");
    assert!(post(&server, "lost").status >= 500);
    // What is cached is still true.
    assert_eq!(answers(&server, "/critical").field("x-cache"), Some("hit"));
    drill(&server, "io-error", "seconds=0");
    wait_for("reads work again", || server.get("/tables/t").status == 200);
    wait_for("writes work again", || post(&server, "kept").status == 204);
    let again = answers(&server, "/plain");
    assert_eq!(again.field("etag"), tagged.field("etag"));
    assert_eq!(rows(&server), 1, "nothing of what failed is there");
}

#[test]
fn a_full_disk_refuses_writes_and_serves_reads() {
    let server = scene();
    drill(&server, "disk-full", "seconds=30");
    let full = post(&server, "lost");
    assert!(full.status >= 500, "{full:?}");
    answers(&server, "/critical");
    assert_eq!(server.get("/tables/t").status, 200);
    drill(&server, "disk-full", "seconds=0");
    wait_for("writes work again", || post(&server, "kept").status == 204);
    assert_eq!(rows(&server), 1);
}

#[test]
fn a_machine_short_of_memory_empties_the_cache_and_answers_all_the_same() {
    let server = scene();
    answers(&server, "/plain");
    assert_eq!((answers(&server, "/plain").field("x-cache"), path(&server).as_str()), (Some("hit"), "optimised"));
    wait_for("the critical answer is kept", || answers(&server, "/critical").field("x-cache") == Some("hit"));
    drill(&server, "memory", "seconds=60");
    let status = server.wait_for_status("the cache is cleared", |status| falls(status, "cache") == 1);
    assert_eq!(status["path"]["in_use"], "plain", "{status}");
    assert_eq!((&status["ladder"]["step"], &status["ladder"]["causes"][0]), (&"emergency".into(), &"system_memory".into()));
    assert_eq!(answers(&server, "/plain").field("x-cache"), Some("bypass"));
    assert_eq!(answers(&server, "/critical").field("x-cache"), Some("hit"), "critical answers stay");
    let forced = |server: &Server| server.operate("GET", "/-/flags", "").json()[3]["forced_off"].as_bool().expect("a flag");
    assert!(forced(&server), "nothing is made for nobody");
    drill(&server, "memory", "seconds=0");
    // The level waits for ten calm seconds.
    wait_for("the cache is in use again", || path(&server) == "optimised");
    let status = server.wait_for_status("it is normal again", |status| status["ladder"]["step"] == "normal");
    assert!(status["ladder"]["causes"].as_array().is_some_and(Vec::is_empty) && !forced(&server), "{status}");
    answers(&server, "/plain");
    assert_eq!(answers(&server, "/plain").field("x-cache"), Some("hit"));
}

/// The time of day as the server tells it, against ours, in seconds.
fn ahead(server: &Server) -> i64 {
    let date = server.get("/-/health").field("date").expect("a date").to_string();
    let parsed = Command::new("date").args(["-u", "-d", &date, "+%s"]).output().expect("date(1)");
    let told: i64 = String::from_utf8(parsed.stdout).expect("digits").trim().parse().expect("a number");
    told - SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs() as i64
}

use std::process::Command;

#[test]
fn a_clock_that_jumps_changes_what_is_told_and_nothing_else() {
    let server = scene();
    answers(&server, "/critical");
    for offset in [86_400_i64, -86_400] {
        drill(&server, "clock-jump", &format!("offset={offset}&seconds=30"));
        assert!(ahead(&server).abs_diff(offset) <= 2, "{}", ahead(&server));
        assert_eq!(answers(&server, "/critical").field("x-cache"), Some("hit"), "no entry lives by the time of day");
        assert_eq!(post(&server, "x").status, 204);
        drill(&server, "clock-jump", "seconds=0");
        assert!(ahead(&server).abs() <= 2);
        answers(&server, "/critical");
    }
    // The monotonic clock leaps over every deadline, entries' lifetimes too; it stays where it is.
    let uptime = |server: &Server| server.status()["uptime_seconds"].as_u64().expect("a number");
    drill(&server, "clock-jump", "offset=7200&monotonic=1&seconds=1");
    assert!(uptime(&server) >= 7200);
    answers(&server, "/critical");
    assert_eq!(post(&server, "y").status, 204);
    wait_for("the drill is over", || seen(&server, "clock-jump")["armed_until"].is_null());
    assert!(ahead(&server).abs() <= 2 && uptime(&server) >= 7200);
    answers(&server, "/critical");
    assert_eq!(answers(&server, "/critical").field("x-cache"), Some("hit"));
}
