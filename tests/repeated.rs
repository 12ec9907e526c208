//! The same request again over one connection is answered without being read again, and as if it had been: the same bytes, what is true
//! now, counted alike, and nothing that meanwhile is decided otherwise.

mod configured;
mod server;
mod wire;

use configured::{DISPLAY, open, route, serve, toml};
use flagstone::budget::{PIPELINE, REPEAT_BYTES};
use server::{Answer, Server};
use wire::{Wire, get};

const SQL: &str = "PRAGMA journal_mode = WAL;
    CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'a'), (2, 'b');
    CREATE TABLE long(v); INSERT INTO long SELECT hex(zeroblob(400)) || value FROM json_each('[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]');";

fn start() -> Server {
    let routes = [
        route("/one", "SELECT v FROM t WHERE id = 1", ""),
        route("/long", "SELECT v FROM long", ""),
        route("/mine", "SELECT v FROM t", "auth = \"display\""),
    ]
    .concat();
    serve(SQL, &toml("", &format!("[tables]\nexpose = [\"t\"]\n{routes}")))
}

/// All of an answer but the date and where it came from.
fn told(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let mut fields = answer.fields.clone();
    fields.retain(|(name, _)| name != "date" && name != "x-cache");
    (answer.status, fields, answer.text())
}

#[test]
fn the_same_bytes_get_the_same_answer_whatever_they_are() {
    let server = start();
    let tag = server.get("/one").field("etag").expect("a tag").to_string();
    let requests = [
        get("/one"),
        get("/long"),
        get("/tables/t?id=eq.2"),
        get("/tables/t/1"),
        "HEAD /one HTTP/1.1\r\nHost: localhost\r\n\r\n".to_string(),
        "HEAD /long HTTP/1.1\r\nHost: localhost\r\n\r\n".to_string(),
        format!("GET /one HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {tag}\r\n\r\n"),
        "GET /one HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: \"other\"\r\n\r\n".to_string(),
        "GET /one?_format=csv HTTP/1.1\r\nHost: localhost\r\nAccept: text/csv\r\nX: 1\r\n\r\n".to_string(),
        "\r\nGET /one HTTP/1.1\r\nHost: localhost\r\n\r\n".to_string(),
        "GET /one HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".to_string(),
        "GET /one HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_string(),
        "GET /one HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi".to_string(),
        format!("GET /one HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(REPEAT_BYTES)),
        "GET /one HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n".to_string(),
        "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n".to_string(),
    ];
    for request in &requests {
        let head_only = request.contains("HEAD");
        let mut first = Wire::to(server.address);
        first.send(request);
        let expected = told(&first.try_answer(head_only).expect("an answer"));
        let mut wire = Wire::to(server.address);
        // Alone, several at once, and cut anywhere.
        for round in 0..3 {
            wire.send(request);
            assert_eq!(told(&wire.try_answer(head_only).expect("an answer")), expected, "{round}: {request:?}");
        }
        wire.send(request.repeat(2 * PIPELINE + 3));
        for at in 0..2 * PIPELINE + 3 {
            assert_eq!(told(&wire.try_answer(head_only).expect("an answer")), expected, "pipelined {at}: {request:?}");
        }
        for cut in [1, request.len() / 2, request.len() - 1] {
            wire.send(&request[..cut]);
            wire.send(&request[cut..]);
            assert_eq!(told(&wire.try_answer(head_only).expect("an answer")), expected, "cut at {cut}: {request:?}");
        }
    }
}

#[test]
fn what_comes_behind_it_is_read_for_itself() {
    let server = start();
    let mut wire = Wire::to(server.address);
    for _ in 0..3 {
        assert_eq!(wire.ask("/one").text(), r#"[{"v":"a"}]"#);
    }
    wire.send(
        [get("/one"), get("/one"), get("/tables/t/2"), get("/one"), "GET /one HTTP/1.1\r\nBad\r\n\r\n".to_string()].concat(),
    );
    for expected in [r#"[{"v":"a"}]"#, r#"[{"v":"a"}]"#, r#"{"id":2,"v":"b"}"#, r#"[{"v":"a"}]"#] {
        assert_eq!(wire.answer().text(), expected);
    }
    assert_eq!(wire.answer().status, 400);
    wire.ends("a request that cannot be read");
}

#[test]
fn a_commit_between_two_is_seen_by_the_second() {
    let server = start();
    let writer = open(&server.database());
    let mut wire = Wire::to(server.address);
    for round in 0..50 {
        writer.execute("UPDATE t SET v = ?1 WHERE id = 1", [round]).expect("a commit");
        for asked in 0..3 {
            assert_eq!(wire.ask("/one").text(), format!(r#"[{{"v":{round}}}]"#), "{asked}");
        }
    }
}

#[test]
fn repeated_requests_are_counted_like_others() {
    let server = start();
    let mut wire = Wire::to(server.address);
    wire.ask("/one");
    assert_eq!(wire.ask("/one").field("x-cache"), Some("hit"));
    let before = server.status();
    wire.send(get("/one").repeat(100));
    for _ in 0..100 {
        assert_eq!(wire.answer().field("x-cache"), Some("hit"));
    }
    let after = server.status();
    let moved = |member: &str, name: &str| after[member][name].as_u64().unwrap() - before[member][name].as_u64().unwrap();
    assert_eq!(moved("cache", "hit"), 100);
    assert_eq!(server.metric("flagstone_route_answers_total{method=\"GET\",path=\"/one\",kind=\"2xx\"}"), 102.0);
    assert_eq!(server.metric("flagstone_http_requests_total{route=\"named\",code=\"200\"}"), 102.0);
    let repeated = server.metric("flagstone_cache_repeated_total");
    assert!(repeated == 100.0, "they were not read again: {repeated}");
    assert!(server.metric("flagstone_cache_verified_total") >= 1.0, "one of 64 hits is looked at closely");
}

#[test]
fn what_is_decided_otherwise_meanwhile_holds_at_once() {
    let server = start();
    let mut wire = Wire::to(server.address);
    for _ in 0..3 {
        wire.ask("/one");
    }
    assert_eq!(wire.ask("/one").field("x-cache"), Some("hit"));
    assert_eq!(server.operate("PUT", "/-/flags/cache", "off").status, 200);
    assert_eq!(wire.ask("/one").field("x-cache"), Some("bypass"));
    assert_eq!(server.operate("PUT", "/-/flags/cache", "on").status, 200);
    for _ in 0..3 {
        wire.ask("/one");
    }
    assert_eq!(server.operate("DELETE", "/-/cache", "").status, 200);
    assert_eq!(wire.ask("/one").field("x-cache"), Some("miss"));
    wire.ask("/one");
    let text = std::fs::read_to_string(server.config_path()).expect("the file");
    std::fs::write(server.config_path(), text.replace("path = \"/one\"", "path = \"/uno\"")).expect("an edit");
    assert_eq!(server.operate("POST", "/-/reload", "").status, 200);
    assert_eq!(wire.ask("/one").status, 404, "the route has gone");
    assert_eq!(wire.ask("/uno").status, 200);
}

#[test]
fn a_slow_client_gets_every_repeated_answer_whole() {
    let server = start();
    let expected = server.get("/long").text();
    let mut wire = Wire::small(server.address);
    wire.ask("/long");
    wire.send(get("/long").repeat(10 * PIPELINE));
    for at in 0..10 * PIPELINE {
        assert_eq!(wire.answer().text(), expected, "{at}");
    }
}

#[test]
fn a_request_with_a_token_is_judged_each_time() {
    let server = start();
    let request = |token: &str| format!("GET /mine HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    let mut wire = Wire::to(server.address);
    for _ in 0..5 {
        wire.send(request(DISPLAY));
        assert_eq!(wire.answer().status, 200);
    }
    wire.send(request("display-0123456780"));
    assert_eq!(wire.answer().status, 401);
}
