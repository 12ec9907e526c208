//! Idempotency-Key: the answer is kept with the write, and is given again, also by another server on the same database.

use std::io::Write;

use super::{SQL, ask, log, look, slug, text, with, write, writes};
use crate::configured::{start, toml};
use crate::server::{Answer, Server, Start, read_answer};

fn routes() -> String {
    let more = "idempotent = true";
    [
        writes("POST", "/log", "INSERT INTO log(a) VALUES (:a) RETURNING id, a", more),
        writes("POST", "/other", "INSERT INTO log(a) VALUES (:a)", more),
        writes("POST", "/p/:a", "INSERT INTO log(a) VALUES (:a)", more),
        writes("POST", "/plain", "INSERT INTO log(a) VALUES (:a)", ""),
    ]
    .concat()
}

fn with_key(server: &Server, target: &str, key: &str, body: &str) -> Answer {
    write(server, "POST", target, &[("Idempotency-Key", key)], body)
}

fn replayed(answer: &Answer) -> bool {
    answer.field("idempotency-replayed") == Some("true")
}

#[test]
fn the_same_request_is_written_once_and_answered_alike() {
    let server = with(&routes());
    let first = with_key(&server, "/log", "k1", r#"{"a": "x"}"#);
    assert_eq!((first.status, first.text().as_str(), replayed(&first)), (201, r#"[{"id":1,"a":"x"}]"#, false));
    for _ in 0..3 {
        let again = with_key(&server, "/log", "k1", r#"{"a": "x"}"#);
        assert_eq!((again.status, &again.body, replayed(&again)), (201, &first.body, true));
        assert_eq!(again.field("content-type"), first.field("content-type"));
    }
    let reused = with_key(&server, "/log", "k1", r#"{"a": "y"}"#);
    assert_eq!((reused.status, slug(&reused).as_str()), (422, "idempotency-key-reused"));
    // A key belongs to a route, and says nothing at a route that keeps none.
    assert_eq!(with_key(&server, "/other", "k1", r#"{"a": "z"}"#).status, 204);
    let silent = with_key(&server, "/other", "k1", r#"{"a": "z"}"#);
    assert_eq!((silent.status, replayed(&silent), silent.body.len()), (204, true, 0));
    assert_eq!(with_key(&server, "/p/1", "k2", "").status, 204);
    assert_eq!(with_key(&server, "/p/2", "k2", "").status, 422, "another path");
    assert_eq!(
        [with_key(&server, "/plain", "k1", r#"{"a": 1}"#).status, with_key(&server, "/plain", "k1", r#"{"a": 2}"#).status],
        [204; 2]
    );
    assert_eq!(write(&server, "POST", "/other", &[], r#"{"a": 3}"#).status, 204, "a key is not asked for");
    assert_eq!(log(&server), "x z 1 1 2 3");
    for key in ["", "a b", "ü", &"k".repeat(256)] {
        let answer = with_key(&server, "/log", key, r#"{"a": "never"}"#);
        assert_eq!((answer.status, slug(&answer).as_str()), (400, "bad-idempotency-key"), "{key}");
    }
    let twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")];
    assert_eq!(write(&server, "POST", "/log", &twice, r#"{"a": "never"}"#).status, 400);
    assert_eq!(with_key(&server, "/log", &"k".repeat(255), r#"{"a": "long"}"#).status, 201);
}

#[test]
fn an_error_is_not_kept() {
    let server = with(&routes());
    assert_eq!(with_key(&server, "/log", "k", r#"{"a": 9}"#).status, 422, "the trigger refuses nine");
    let other = with_key(&server, "/log", "k", r#"{"a": 8}"#);
    assert_eq!((other.status, replayed(&other)), (201, false), "so the key is free");
    assert_eq!(log(&server), "8");
}

#[test]
fn a_kept_answer_survives_a_restart_and_a_kill() {
    let config = toml("", &routes());
    let server = start(SQL, &config).run();
    let first = with_key(&server, "/log", "k", r#"{"a": "x"}"#);
    assert_eq!(first.status, 201);
    // `folder_of` kills it.
    let next = Start::new().folder_of(server);
    let database = next.folder().join("data.db");
    let server = next.database(&database).config(&config).run();
    let again = with_key(&server, "/log", "k", r#"{"a": "x"}"#);
    assert_eq!((again.status, &again.body, replayed(&again)), (201, &first.body, true));
    assert_eq!(with_key(&server, "/log", "k", r#"{"a": "y"}"#).status, 422);
    assert_eq!(log(&server), "x");
}

#[test]
fn two_of_one_key_at_the_same_time_are_one_write() {
    let server = with(&routes());
    server.freeze();
    let asked: Vec<_> =
        (0..8).map(|_| ask(server.address, "POST", "/log", &[("Idempotency-Key", "k")], r#"{"a": "x"}"#)).collect();
    // And in one connection behind each other.
    let mut stream = server.connect();
    stream
        .write_all(text("POST", "/log", &[("Idempotency-Key", "k")], r#"{"a": "x"}"#).repeat(2).as_bytes())
        .expect("it is taken");
    server.thaw();
    let mut answers: Vec<Answer> =
        asked.into_iter().map(|mut stream| read_answer(&mut stream, false).expect("an answer")).collect();
    answers.extend((0..2).map(|_| read_answer(&mut stream, false).expect("an answer")));
    assert!(answers.iter().all(|answer| (answer.status, &answer.body) == (201, &answers[0].body)), "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| !replayed(answer)).count(), 1);
    assert_eq!(log(&server), "x");
    assert_eq!(look(&server, "SELECT '' || count(*) FROM flagstone_idempotency"), "1");
}
