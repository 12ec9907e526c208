//! Another process holds the write lock: who waits, who is refused, and that reads do not care.

use std::time::{Duration, Instant};

use super::{SQL, ask, log, log_routes, number, slug};
use crate::configured::{open, serve, toml};
use crate::server::{Server, read_answer};

fn with(limits: &str) -> Server {
    serve(SQL, &toml("", &format!("[limits]\n{limits}\n{}", log_routes())))
}

/// Waits until the server has met the lock, after `before` earlier times.
fn has_met_the_lock(server: &Server, before: u64) -> u64 {
    let status = server.wait_for_status("the lock is met", |status| number(status, "/requests/busy_retries") > before);
    number(&status, "/requests/busy_retries")
}

#[test]
fn a_write_waits_for_a_lock_up_to_the_busy_timeout_and_is_refused_then() {
    let server = with("busy_timeout = \"300ms\"");
    let other = open(&server.database());
    other.execute_batch("BEGIN IMMEDIATE; INSERT INTO log(a) VALUES ('theirs')").expect("the lock");
    let began = Instant::now();
    let mut waiting: Vec<_> =
        (0..5).map(|number| ask(server.address, "POST", "/log", &[], &format!("{{\"a\": {number}}}"))).collect();
    has_met_the_lock(&server, 0);
    // Reads go on meanwhile, and see what is committed.
    let read = server.get("/log");
    assert_eq!((read.status, read.text().as_str()), (200, "[]"));
    assert_eq!(server.get("/-/health").status, 200);
    for stream in &mut waiting {
        let answer = read_answer(stream, false).expect("an answer");
        assert_eq!((answer.status, slug(&answer).as_str()), (503, "database-busy"), "{}", answer.text());
        assert!(answer.field("retry-after").is_some());
    }
    assert!(began.elapsed() >= Duration::from_millis(300), "not before the timeout");
    other.execute_batch("COMMIT").expect("ours");
    assert_eq!(log(&server), "theirs", "nothing of the refused is half-done");
    assert_eq!(super::post(&server, "/log", r#"{"a": "after"}"#).status, 204);
    assert_eq!(log(&server), "theirs after");
}

#[test]
fn a_write_succeeds_when_the_lock_is_released_in_time() {
    let server = with("busy_timeout = \"15s\"\nqueue = \"18s\"");
    let other = open(&server.database());
    other.execute_batch("BEGIN IMMEDIATE; INSERT INTO log(a) VALUES ('theirs')").expect("the lock");
    let mut waiting: Vec<_> =
        (0..5).map(|number| ask(server.address, "POST", "/log", &[], &format!("{{\"a\": {number}}}"))).collect();
    let met = has_met_the_lock(&server, 0);
    has_met_the_lock(&server, met + 3);
    server.wait_for_status("all wait", |status| {
        number(status, "/connections/queued") + number(status, "/connections/running") == 5
    });
    other.execute_batch("COMMIT").expect("ours");
    for stream in &mut waiting {
        assert_eq!(read_answer(stream, false).expect("an answer").status, 204);
    }
    let all = log(&server);
    let mut words: Vec<&str> = all.split(' ').collect();
    assert_eq!(words.remove(0), "theirs");
    words.sort_unstable();
    assert_eq!(words, ["0", "1", "2", "3", "4"]);
}
