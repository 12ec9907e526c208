//! The sizes of a request: one below, at, and one above each limit.

use flagstone::budget::{BODY_BYTES, HEAD_BYTES, TARGET_BYTES};
use flagstone::http::request::FIELDS;

use crate::SQL;
use crate::server::Server;
use crate::wire::{Probe, Wire};

/// Sends a request; its status must be `status`, whether the connection goes on must follow from it, and the counter of refusals moves.
fn meets(server: &Server, probe: &mut Probe, what: &str, request: &str, status: u16) {
    let malformed = format!("flagstone_http_requests_total{{route=\"malformed\",code=\"{status}\"}}");
    let refused = matches!(status, 413 | 414 | 431);
    let before = if refused { counted(probe, &malformed) } else { 0 };
    let mut wire = Wire::to(server.address);
    wire.send(request);
    let answer = wire.answer();
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    if refused {
        assert!(answer.body.len() < 512 && answer.json()["type"].is_string());
        wire.ends(what);
        assert_eq!(counted(probe, &malformed), before + 1, "{what}");
    } else {
        assert_eq!(wire.ask("/-/health").status, 200, "{what} leaves the connection open");
    }
}

/// A labelled counter that is not shown before it has counted.
fn counted(probe: &mut Probe, name: &str) -> u64 {
    let shown = probe.has(name);
    if shown { probe.metric(name) } else { 0 }
}

#[test]
fn targets_up_to_the_limit_are_read() {
    let server = Server::with(SQL);
    let mut probe = Probe::of(&server);
    for (length, status) in [(TARGET_BYTES - 1, 200), (TARGET_BYTES, 200), (TARGET_BYTES + 1, 414), (HEAD_BYTES + 9, 414)] {
        let target = format!("/-/health?{}", "q".repeat(length - 10));
        meets(&server, &mut probe, "target", &format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"), status);
    }
}

#[test]
fn heads_up_to_the_limit_are_read() {
    let server = Server::with(SQL);
    let mut probe = Probe::of(&server);
    let bare = "GET /-/health HTTP/1.1\r\nHost: localhost\r\nX: \r\n\r\n".len();
    for (length, status) in [(HEAD_BYTES - 1, 200), (HEAD_BYTES, 200), (HEAD_BYTES + 1, 431), (4 * HEAD_BYTES, 431)] {
        let value = "v".repeat(length - bare);
        let request = format!("GET /-/health HTTP/1.1\r\nHost: localhost\r\nX: {value}\r\n\r\n");
        assert_eq!(request.len(), length);
        meets(&server, &mut probe, "head", &request, status);
    }
}

#[test]
fn fields_up_to_the_limit_are_read() {
    let server = Server::with(SQL);
    let mut probe = Probe::of(&server);
    assert_eq!(FIELDS, 64);
    for (count, status) in [(FIELDS - 1, 200), (FIELDS, 200), (FIELDS + 1, 431)] {
        let fields = "X: y\r\n".repeat(count - 1);
        meets(&server, &mut probe, "fields", &format!("GET /-/health HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"), status);
    }
}

#[test]
fn bodies_up_to_the_limit_are_read() {
    let server = Server::with(SQL);
    let mut probe = Probe::of(&server);
    for (length, status) in [(BODY_BYTES - 1, 405), (BODY_BYTES, 405), (BODY_BYTES + 1, 413)] {
        let body = "b".repeat(length);
        let counted = format!("POST /tables HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}");
        meets(&server, &mut probe, "a body with its length", &counted, status);
        let head = "POST /tables HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        meets(&server, &mut probe, "one chunk", &format!("{head}{length:x}\r\n{body}\r\n0\r\n\r\n"), status);
        let mut chunks = String::new();
        for chunk in body.as_bytes().chunks(7) {
            chunks.push_str(&format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap()));
        }
        meets(&server, &mut probe, "many chunks", &format!("{head}{chunks}0\r\n\r\n"), status);
    }
}

/// The largest of everything at once fills the buffer to its end, and what follows it in the pipeline is not lost.
#[test]
fn the_largest_request_and_its_followers_are_read() {
    let server = Server::with(SQL);
    let bare = "POST /tables HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nX: \r\n\r\n".len();
    let head = format!(
        "POST /tables HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nX: {}\r\n\r\n",
        "v".repeat(HEAD_BYTES - bare)
    );
    let body = format!("{BODY_BYTES:x}\r\n{}\r\n0\r\n\r\n", "b".repeat(BODY_BYTES));
    let mut wire = Wire::to(server.address);
    for _ in 0..3 {
        wire.send(format!("{head}{body}{head}{body}"));
        wire.send(crate::wire::HEALTH);
        for status in [405, 405, 200] {
            assert_eq!(wire.answer().status, status);
        }
    }
}

#[test]
fn pages_up_to_the_limit_are_given() {
    let server = Server::with(SQL);
    for (limit, status, rows) in [(999, 200, 999), (1000, 200, 1000), (1001, 400, 0)] {
        let answer = server.get(&format!("/tables/sensors?limit={limit}"));
        assert_eq!(answer.status, status, "{}", answer.text());
        if status == 200 {
            assert_eq!(answer.json().as_array().map(Vec::len), Some(rows));
        } else {
            assert_eq!(answer.json()["type"], "tag:flagstone,2026:malformed-parameter");
        }
    }
}
