//! What single answers look like: versions, forms of the target, methods, hosts, media, operators' pages, unix sockets.

use std::io::Write;
use std::os::unix::net::UnixStream;

use crate::SQL;
use crate::server::{Answer, DEADLINE, Server, Start, read_answer};
use crate::wire::{Wire, get};

/// Sends a whole request and reads its answer, then the end of the stream after a half-close.
fn raw(server: &Server, request: &str) -> Answer {
    let mut wire = Wire::to(server.address);
    wire.send(request);
    let answer = wire.try_answer(request.starts_with("HEAD")).expect("an answer");
    wire.half_close();
    wire.ends(request);
    answer
}

fn is_problem(answer: &Answer, status: u16, slug: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.field("content-type"), Some("application/problem+json"));
    assert_eq!(answer.json()["type"], format!("tag:flagstone,2026:{slug}"));
    assert_eq!(answer.json()["status"], status);
    assert!(answer.json()["title"].as_str().is_some_and(|title| !title.is_empty()));
    assert!(answer.body.len() < 512);
    assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
}

#[test]
fn http_1_0_closes_unless_it_asks_to_be_kept() {
    let server = Server::with(SQL);
    let mut wire = Wire::to(server.address);
    wire.send("GET /tables/sensors/1 HTTP/1.0\r\n\r\n");
    let answer = wire.answer();
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    wire.ends("1.0");
    let mut wire = Wire::to(server.address);
    for _ in 0..3 {
        wire.send("GET /tables/sensors/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let answer = wire.answer();
        assert_eq!((answer.status, answer.field("connection")), (200, Some("keep-alive")));
    }
}

#[test]
fn versions_and_methods_that_are_not_ours_are_told() {
    let server = Server::with(SQL);
    assert_eq!(raw(&server, "GET /tables HTTP/1.7\r\nHost: localhost\r\n\r\n").status, 200);
    is_problem(&raw(&server, "GET / HTTP/2.0\r\nHost: localhost\r\n\r\n"), 505, "unsupported-version");
    is_problem(&raw(&server, "BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 501, "unknown-method");
    is_problem(&raw(&server, "get / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 501, "unknown-method");
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for target in ["/", "/tables", "/tables/sensors", "/tables/sensors/1", "/-/health"] {
            let answer = raw(&server, &format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{{}}"));
            is_problem(&answer, 405, "method-not-allowed");
            assert_eq!(answer.field("allow"), Some("GET, HEAD, OPTIONS"));
            assert_eq!(answer.field("connection"), None, "a body that was read closes nothing");
        }
    }
}

#[test]
fn options_tells_what_is_allowed() {
    let server = Server::with(SQL);
    for target in ["*", "/", "/tables/sensors", "/tables/sensors/1"] {
        let answer = raw(&server, &format!("OPTIONS {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!((answer.status, answer.field("allow")), (204, Some("GET, HEAD, OPTIONS")), "{target}");
        assert_eq!(answer.field("content-length"), None, "RFC 9110 section 8.6");
    }
    is_problem(&raw(&server, "OPTIONS /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"), 404, "not-found");
}

#[test]
fn absolute_form_is_accepted_and_its_authority_replaces_host() {
    let server = Server::with(SQL);
    let absolute = |target: &str, host: &str| raw(&server, &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!(absolute("http://localhost:8080/tables/sensors/1", "evil.example").status, 200);
    is_problem(&absolute("http://evil.example/tables/sensors/1", "localhost"), 421, "wrong-host");
    assert_eq!(absolute("http://127.0.0.1", "localhost").status, 200);
}

#[test]
fn only_hosts_of_this_machine_are_answered_for() {
    let server = Server::with(SQL);
    let name = flagstone::start::block::hostname();
    let own = [name.clone(), format!("{name}.local"), format!("{name}:8080")];
    let named = if name.is_empty() { &[][..] } else { &own[..] };
    let always = ["localhost", "LOCALHOST:1", "127.0.0.1", "10.1.2.3:80", "[::1]:8080"].map(String::from);
    for host in always.iter().chain(named) {
        assert_eq!(raw(&server, &format!("GET /tables HTTP/1.1\r\nHost: {host}\r\n\r\n")).status, 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io"] {
        is_problem(&raw(&server, &format!("GET /tables HTTP/1.1\r\nHost: {host}\r\n\r\n")), 421, "wrong-host");
        // Before the path, the method and the operators' pages are looked at.
        is_problem(&raw(&server, &format!("GET /-/status HTTP/1.1\r\nHost: {host}\r\n\r\n")), 421, "wrong-host");
        is_problem(&raw(&server, &format!("OPTIONS * HTTP/1.1\r\nHost: {host}\r\n\r\n")), 421, "wrong-host");
    }
}

#[test]
fn head_is_get_without_its_body() {
    let server = Server::with(SQL);
    for target in
        ["/", "/tables", "/tables/sensors", "/tables/many?limit=2", "/tables/sensors/1", "/tables/sensors/9", "/nowhere"]
    {
        let ask =
            |method: &str, field: &str| raw(&server, &format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{field}\r\n"));
        // `raw` sees to it that nothing follows the head.
        let (got, head) = (ask("GET", ""), ask("HEAD", ""));
        assert_eq!(head.status, got.status);
        let but_date = |answer: &Answer| {
            answer.fields.iter().filter(|(name, _)| !matches!(name.as_str(), "date" | "x-cache")).cloned().collect::<Vec<_>>()
        };
        assert_eq!(but_date(&head), but_date(&got), "{target}");
        assert_eq!(got.field("content-length"), Some(got.body.len().to_string().as_str()), "{target}");
        let tag = head.field("etag").unwrap_or("\"none\"");
        assert_eq!(ask("HEAD", &format!("If-None-Match: {tag}\r\n")).status, if got.status == 200 { 304 } else { got.status });
    }
}

#[test]
fn every_answer_has_its_date_and_every_table_its_vary_and_tag() {
    let server = Server::with(SQL);
    for target in ["/", "/tables", "/tables/sensors", "/tables/sensors/1"] {
        let answer = server.get(target);
        assert_eq!(answer.field("vary"), Some("Accept, Origin, Authorization"), "{target}");
        assert_eq!(answer.field("cache-control"), Some("no-cache"), "{target}");
        let tag = answer.field("etag").expect("a tag");
        assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() == 34, "{tag} is strong and has 128 bits");
    }
    for target in ["/", "/tables/sensors", "/nowhere", "/-/health", "/tables/sensors?limit=0"] {
        let answer = server.get(target);
        let date = answer.field("date").expect("a date");
        assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
    }
}

#[test]
fn what_the_client_does_not_accept_is_a_406() {
    let server = Server::with(SQL);
    for target in ["/tables/sensors", "/tables/sensors/1", "/tables"] {
        let answer = server.request("GET", target, &[("Accept", "application/xml")]);
        assert_eq!(answer.status, 406, "{target}: {}", answer.text());
        assert_eq!(answer.field("content-type"), Some("application/problem+json"));
        assert!(answer.json()["allowed"].is_array() || answer.json()["allowed"].is_string(), "{}", answer.text());
    }
    assert_eq!(server.request("GET", "/", &[("Accept", "text/html")]).field("content-type"), Some("text/html; charset=utf-8"));
}

#[test]
fn a_client_that_waits_for_100_gets_it_once_and_only_then() {
    let server = Server::with(SQL);
    let head = |extra: &str| format!("POST /tables HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n{extra}\r\n");
    for (extra, body) in [("Content-Length: 5\r\n", "hello"), ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n")] {
        let mut wire = Wire::to(server.address);
        wire.send(head(extra));
        assert_eq!(wire.answer().status, 100);
        wire.send(body);
        assert_eq!(wire.answer().status, 405);
        // With its body beside it, and without one, nobody waits.
        wire.send(format!("{}{body}", head(extra)));
        assert_eq!(wire.answer().status, 405);
        wire.send(head("Content-Length: 0\r\n"));
        assert_eq!(wire.answer().status, 405);
        wire.half_close();
        wire.ends("100-continue");
    }
    // A body that is too large is refused instead of asked for.
    let large = head(&format!("Content-Length: {}\r\n", flagstone::budget::BODY_BYTES + 1));
    let mut wire = Wire::to(server.address);
    wire.send(large);
    assert_eq!(wire.answer().status, 413);
    wire.ends("too large");
    is_problem(&raw(&server, "GET / HTTP/1.1\r\nHost: localhost\r\nExpect: 200-ok\r\n\r\n"), 417, "expectation");
}

#[test]
fn a_body_half_sent_behind_its_100_is_waited_for() {
    let server = Server::with(SQL);
    let mut wire = Wire::to(server.address);
    wire.send(format!(
        "{}POST /tables HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        get("/-/health")
    ));
    assert_eq!(wire.answer().status, 200, "the answer before it comes first");
    assert_eq!(wire.answer().status, 100);
    wire.send("hel");
    wire.send("lo");
    assert_eq!(wire.answer().status, 405);
}

#[test]
fn operators_pages_are_for_direct_requests_of_this_machine_and_for_their_own_listener() {
    let server = Start::new().sql(SQL).arguments(&["--ops", "unix:"]).folder_argument("ops.sock").run();
    let pages = ["/-/status", "/-/metrics", "/-/budget", "/metrics"];
    for page in pages {
        assert_eq!(server.get(page).status, 200, "{page}");
        for field in ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"] {
            is_problem(&server.request("GET", page, &[(field, "for=10.0.0.1")]), 403, "operators-only");
        }
    }
    for page in ["/-/health", "/-/ready"] {
        let foreign = server.request("GET", page, &[("X-Forwarded-For", "10.0.0.1")]);
        assert_eq!(foreign.status, 200);
        assert!(foreign.body.len() < 100 && foreign.json()["components"].is_null(), "{}", foreign.text());
        assert_eq!(server.get(page).json()["components"]["database"], "ok");
    }
    let ops = |target: &str, field: &str| unix(&server.folder.path().join("ops.sock"), target, field);
    for page in pages.iter().chain(&["/-/health", "/-/ready"]) {
        assert_eq!(ops(page, "X-Forwarded-For: 10.0.0.1\r\n").status, 200, "{page}");
    }
    is_problem(&ops("/tables/sensors", ""), 404, "not-found");
}

#[test]
fn a_unix_socket_serves_like_a_port() {
    let server = Start::new().sql(SQL).arguments(&["-l", "unix:"]).folder_argument("public.sock").run();
    let path = server.folder.path().join("public.sock");
    assert_eq!(unix(&path, "/tables/sensors/1", "").text(), r#"{"id":1,"name":"roof"}"#);
    assert_eq!(unix(&path, "/-/status", "").status, 200, "its peers are of this machine");
    assert_eq!(unix(&path, "/-/status", "X-Forwarded-For: 10.0.0.1\r\n").status, 403);
    is_problem(&unix(&path, "/tables/sensors?limit=0", ""), 400, "malformed-parameter");
    let mut server = server;
    server.signal(rustix::process::Signal::TERM);
    assert!(server.wait().success());
    assert!(!path.exists(), "the socket's file goes with the server");
}

fn unix(path: &std::path::Path, target: &str, fields: &str) -> Answer {
    let mut stream = UnixStream::connect(path).expect("the server accepts");
    stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").expect("the server takes it");
    read_answer(&mut stream, false).expect("an answer")
}
