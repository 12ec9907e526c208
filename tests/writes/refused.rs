//! What is refused, with what status, and that nothing of it is written.

use std::io::Write;

use super::{Fields, SQL, log, look, post, slug, text, with, write, writes};
use crate::configured::{SENSOR, route, serve, toml};
use crate::server::read_answer;

#[test]
fn a_violated_rule_is_named_and_nothing_is_written() {
    let things = "INSERT INTO log(a) VALUES ('before'); INSERT INTO things(name, price, kind) VALUES (:name, :price, :kind)";
    let more = "params = { kind = { type = \"integer\", default = 1 } }";
    let server = with(
        &[
            writes("POST", "/things", things, more),
            writes("POST", "/kinds", "INSERT INTO log(a) VALUES ('before'); INSERT INTO kinds VALUES (:id, :name)", ""),
            writes("POST", "/log", "INSERT INTO log(a) VALUES ('before'); INSERT INTO log(a) VALUES (:a)", ""),
        ]
        .concat(),
    );
    assert_eq!(post(&server, "/things", r#"{"name": "a", "price": 1}"#).status, 204);
    let cases = [
        ("/things", r#"{"name": "a", "price": 1}"#, 409, "constraint-unique", "things.name"),
        ("/kinds", r#"{"id": 1, "name": "x"}"#, 409, "constraint-primary-key", "kinds.id"),
        ("/things", r#"{"name": null, "price": 1}"#, 422, "constraint-not-null", "things.name"),
        ("/things", r#"{"name": "b", "price": -1}"#, 422, "constraint-check", "price >= 0"),
        ("/things", r#"{"name": "b", "price": 1, "kind": 77}"#, 422, "constraint-foreign-key", ""),
        ("/kinds", r#"{"id": 3, "name": {"a": 1}}"#, 204, "", ""),
        ("/kinds", r#"{"id": "x", "name": "y"}"#, 422, "constraint-type", ""),
        ("/log", r#"{"a": 9}"#, 422, "constraint-trigger", "nine is refused"),
    ];
    for (target, body, status, kind, detail) in cases {
        let answer = post(&server, target, body);
        assert_eq!(answer.status, status, "{target} {body}: {}", answer.text());
        if status != 204 {
            assert_eq!(slug(&answer), kind, "{target} {body}: {}", answer.text());
            assert!(answer.json()["detail"].as_str().is_some_and(|text| text.contains(detail)), "{}", answer.text());
        }
    }
    assert_eq!(log(&server), "before before", "one for each that succeeded");
}

#[test]
fn a_request_that_means_nothing_is_told_so() {
    let one = "INSERT INTO log(a) VALUES (:a)";
    let typed = "params = { a = { type = \"integer\", min = 1, max = 5 } }";
    let server = with(&[writes("POST", "/log", one, ""), writes("POST", "/typed", one, typed)].concat());
    let json: &[(&str, &str)] = &[("Content-Type", "application/json")];
    let cases: &[(&str, Fields, &str, u16, &str)] = &[
        ("/log", json, "{}", 400, "missing-parameter"),
        ("/log", &[], "", 400, "missing-parameter"),
        ("/log", json, r#"{"a": 1, "b": 2}"#, 400, "unknown-parameter"),
        ("/log?b=1", json, r#"{"a": 1}"#, 400, "unknown-parameter"),
        ("/log", json, "nonsense", 400, "malformed-body"),
        ("/log", json, "7", 400, "malformed-body"),
        ("/typed", json, r#"{"a": 6}"#, 400, "parameter-out-of-range"),
        ("/typed", json, r#"{"a": "x"}"#, 400, "malformed-parameter"),
        ("/typed", json, r#"{"a": 1.5}"#, 400, "malformed-parameter"),
        ("/log", &[("Content-Type", "text/plain")], "a=1", 415, "unsupported-media-type"),
        ("/log", &[("Content-Type", "multipart/form-data; boundary=x")], "--x--", 415, "unsupported-media-type"),
        (
            "/log",
            &[("Content-Type", "application/json"), ("Content-Encoding", "gzip")],
            "xxxx",
            415,
            "unsupported-content-coding",
        ),
        ("/log", &[("Content-Type", "application/json"), ("Content-Encoding", "Identity")], "{}", 400, "missing-parameter"),
        ("/nowhere", json, r#"{"a": 1}"#, 404, "not-found"),
    ];
    for (target, fields, body, status, kind) in cases {
        let answer = write(&server, "POST", target, fields, body);
        assert_eq!((answer.status, slug(&answer).as_str()), (*status, *kind), "{target} {body}: {}", answer.text());
    }
    let untyped = text("POST", "/log", &[("X", "y")], r#"{"a": 1}"#).replace("Content-Type: application/json\r\n", "");
    let mut stream = server.connect();
    stream.write_all(untyped.as_bytes()).expect("it is taken");
    assert_eq!(read_answer(&mut stream, false).expect("an answer").status, 415, "a body without a Content-Type");
    assert_eq!(log(&server), "");
}

#[test]
fn a_body_beyond_the_limit_is_refused_before_it_is_read() {
    let server = with(&writes("POST", "/log", "INSERT INTO log(a) VALUES (:a)", ""));
    let most = server.setting("BODY_BYTES");
    let head = format!(
        "POST /log HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        most + 1
    );
    let mut stream = server.connect();
    stream.write_all(head.as_bytes()).expect("it is taken");
    let answer = read_answer(&mut stream, false).expect("an answer");
    assert_eq!((answer.status, answer.field("connection")), (413, Some("close")));
    // Chunked, it is known only as it comes.
    let mut stream = server.connect();
    let head = "POST /log HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("it is taken");
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(4096));
    for _ in 0..=most / 4096 {
        // Refused in the middle of it, the rest may meet a closed connection.
        if stream.write_all(chunk.as_bytes()).is_err() {
            break;
        }
    }
    assert_eq!(read_answer(&mut stream, false).expect("an answer").status, 413);
    let good = "5\r\n{\"a\":\r\n6\r\n\"yes\"}\r\n0\r\n\r\n";
    let mut stream = server.connect();
    stream.write_all([head, good].concat().as_bytes()).expect("it is taken");
    assert_eq!((read_answer(&mut stream, false).expect("an answer").status, log(&server)), (204, "yes".into()));
}

#[test]
fn a_path_that_is_only_written_is_read_with_a_405_and_says_how() {
    let routes = [
        writes("POST", "/both", "INSERT INTO log(a) VALUES (:a)", ""),
        writes("DELETE", "/both", "DELETE FROM log", ""),
        writes("PUT", "/put/:id", "UPDATE log SET a = :a WHERE id = :id", ""),
        route("/get", "SELECT 1", ""),
    ];
    let server = with(&routes.concat());
    let cases = [
        ("GET", "/both", 405, Some("POST, DELETE, OPTIONS")),
        ("HEAD", "/both", 405, Some("POST, DELETE, OPTIONS")),
        ("PUT", "/both", 405, Some("POST, DELETE, OPTIONS")),
        ("GET", "/put/1", 405, Some("PUT, OPTIONS")),
        ("POST", "/get", 405, Some("GET, HEAD, OPTIONS")),
        ("OPTIONS", "/both", 204, Some("POST, DELETE, OPTIONS")),
        ("DELETE", "/both", 204, None),
    ];
    for (method, target, status, allow) in cases {
        let answer = server.request(method, target, &[]);
        assert_eq!((answer.status, answer.field("allow")), (status, allow), "{method} {target}");
    }
}

#[test]
fn a_token_is_asked_for_before_anything_else() {
    let auth = writes("POST", "/log", "INSERT INTO log(a) VALUES (:a)", "auth = \"sensor\"");
    let server = serve(SQL, &toml("", &auth));
    let bearer = |token: &str| format!("Bearer {token}");
    for (authorization, body, status) in [
        (None, r#"{"a": 1}"#, 401),
        (Some(bearer("wrong-0123456789")), r#"{"a": 1}"#, 401),
        (Some(bearer(crate::configured::DISPLAY)), r#"{"a": 1}"#, 403),
        (None, "nonsense", 401),
        (Some(bearer(SENSOR)), "nonsense", 400),
        (Some(bearer(SENSOR)), r#"{"a": "yes"}"#, 204),
    ] {
        let fields: Vec<(&str, &str)> = authorization.iter().map(|value| ("Authorization", value.as_str())).collect();
        let answer = write(&server, "POST", "/log", &fields, body);
        let unlike = answer.status == 401 && status == 403;
        assert!(answer.status == status || unlike, "{authorization:?} {body}: {} {}", answer.status, answer.text());
    }
    assert_eq!(log(&server), "yes");
}

#[test]
fn another_sites_page_may_not_write() {
    let server = with(&super::log_routes());
    for (name, value, status) in [
        ("Origin", "https://evil.example", 403),
        ("Sec-Fetch-Site", "cross-site", 403),
        ("Origin", "null", 403),
        ("Sec-Fetch-Site", "same-origin", 204),
    ] {
        let answer = write(&server, "POST", "/log", &[(name, value)], r#"{"a": 1}"#);
        assert_eq!(answer.status, status, "{name}: {value}");
    }
    assert_eq!(log(&server), "1");
}

#[test]
fn a_write_that_takes_too_long_is_stopped_and_leaves_nothing() {
    let slow = "INSERT INTO log(a) VALUES ('slow'); INSERT INTO log(a)
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0";
    let routes = writes("POST", "/slow", slow, "") + &super::log_routes();
    let server = serve(SQL, &toml("", &format!("[limits]\nroute_query = \"300ms\"\n{routes}")));
    let answer = post(&server, "/slow", "");
    assert_eq!((answer.status, slug(&answer).as_str()), (504, "write-timeout"));
    assert_eq!(post(&server, "/log", r#"{"a": "quick"}"#).status, 204);
    assert_eq!(look(&server, "SELECT group_concat(a) FROM log"), "quick");
}
