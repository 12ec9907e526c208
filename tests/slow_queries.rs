//! A slow query freezes nobody: what goes on while one runs, who waits, who is cut off, and SQLite's own limits.

mod server;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use serde_json::Value;
use server::{DEADLINE, Server, read_answer, wait_for};
use socket2::{Domain, Socket, Type};

/// `endless` runs into the limit; `heavy` takes a moment; the others each meet one of SQLite's limits.
fn sql() -> String {
    let deep = |of: &str| format!("{}x{} AS x FROM {of}", "abs(".repeat(600), ")".repeat(600));
    let wide = (0..60).map(|number| format!("SELECT {number} AS x")).collect::<Vec<_>>().join(" UNION ALL ");
    format!(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT);
         INSERT INTO t VALUES (1, 'one'), (2, 'two');
         CREATE VIEW endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS c FROM n;
         CREATE VIEW heavy AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200000) SELECT count(*) AS c FROM n;
         CREATE VIEW long AS SELECT zeroblob(2000000) AS x;
         CREATE VIEW pattern AS SELECT 'a' LIKE hex(zeroblob(2000)) AS x;
         CREATE VIEW half AS SELECT {};
         CREATE VIEW deep AS SELECT {};
         CREATE VIEW wide AS {wide};",
        deep("(SELECT id AS x FROM t)"),
        deep("half")
    )
}

fn send(stream: &mut TcpStream, target: &str) {
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the request is taken");
}

/// A connection from another loopback address: another client.
fn connect_from(server: &Server, source: Ipv4Addr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((source, 0)).into()).expect("loopback has many addresses");
    socket.connect(&server.address.into()).expect("the server accepts");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
    stream
}

fn number(status: &Value, pointer: &str) -> u64 {
    status.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer} in {status}"))
}

fn running(server: &Server) {
    server.wait_for_status("the query runs", |status| number(status, "/connections/running") == 1);
}

#[test]
fn while_a_query_runs_everything_that_needs_no_database_is_answered() {
    let server = Server::with(&sql());
    assert_eq!(server.get("/tables/t/1").field("x-cache"), Some("miss"));
    let mut slow = server.connect();
    send(&mut slow, "/tables/endless");
    running(&server);
    for (target, status) in [("/-/health", 200), ("/-/ready", 200), ("/nowhere", 404), ("/tables/t/1", 200), ("/metrics", 200)] {
        assert_eq!(server.get(target).status, status, "{target}");
    }
    assert_eq!(server.get("/tables/t/1").field("x-cache"), Some("hit"));
    assert_eq!(server.request("POST", "/tables/t", &[]).status, 405);
    assert_eq!(server.request("GET", "/tables/t", &[("Host", "evil.example")]).status, 400, "two hosts");
    let status = server.status();
    assert_eq!(number(&status, "/connections/running"), 1, "all that went on inside the query: {status}");
    assert!(number(&status, "/nested_turns") > 5);
    // One that needs the database waits, and has its turn.
    let mut waiting = server.connect();
    send(&mut waiting, "/tables/t/2");
    server.wait_for_status("it waits", |status| number(status, "/requests/queued") == 1);
    let stopped = read_answer(&mut slow, false).expect("an answer");
    assert_eq!((stopped.status, &stopped.json()["type"]), (504, &"tag:flagstone,2026:query-timeout".into()));
    assert_eq!(read_answer(&mut waiting, false).expect("an answer").status, 200);
}

#[test]
fn a_query_that_nobody_waits_for_is_interrupted_and_its_slot_is_free_at_once() {
    let server = Server::with(&sql());
    let mut slow = server.connect();
    send(&mut slow, "/tables/endless");
    running(&server);
    socket2::SockRef::from(&slow).set_linger(Some(std::time::Duration::ZERO)).expect("open");
    drop(slow);
    let status = server.wait_for_status("it is interrupted", |status| number(status, "/requests/abandoned") == 1);
    assert_eq!(number(&status, "/connections/running"), 0);
    assert_eq!(number(&status, "/requests/query_timeouts"), 0, "before its time");
    assert_eq!(server.get("/tables/t/1").status, 200);
}

#[test]
fn those_who_ask_the_same_share_one_query() {
    let server = Server::with(&sql());
    let mut first = server.connect();
    send(&mut first, "/tables/endless");
    running(&server);
    // All of these wait behind the endless one, so that they are there together.
    let mut same: Vec<TcpStream> = (0..5).map(|_| server.connect()).collect();
    for stream in &mut same {
        send(stream, "/tables/t?order=a&select=a,id");
    }
    let status = server.wait_for_status("they wait", |status| number(status, "/connections/joined") == 4);
    assert_eq!(number(&status, "/requests/queued"), 1, "one query for the five");
    let bodies: Vec<String> = same.iter_mut().map(|stream| read_answer(stream, false).expect("an answer").text()).collect();
    assert!(bodies.iter().all(|body| body == r#"[{"a":"one","id":1},{"a":"two","id":2}]"#), "{bodies:?}");
    assert_eq!(number(&server.status(), "/jobs"), 2);
}

#[test]
fn one_client_with_heavy_queries_does_not_starve_another() {
    let server = Server::with(&sql());
    let (hog, other) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3));
    let mut heavy: Vec<TcpStream> = (0..8).map(|_| connect_from(&server, hog)).collect();
    for (at, stream) in heavy.iter_mut().enumerate() {
        // Each another request: equal ones would share one query.
        send(stream, &format!("/tables/heavy?limit={}", at + 1));
    }
    server.wait_for_status("the hog waits for itself", |status| number(status, "/requests/queued") >= 5);
    let before = number(&server.status(), "/jobs");
    let mut light = connect_from(&server, other);
    send(&mut light, "/tables/t/1");
    assert_eq!(read_answer(&mut light, false).expect("an answer").status, 200);
    let between = number(&server.status(), "/jobs") - before;
    // The one that ran when it came, its own, and at most one more that began before it was read.
    assert!(between <= 4, "{between} jobs until the light one had its answer");
    for stream in &mut heavy {
        assert_eq!(read_answer(stream, false).expect("an answer").status, 200);
    }
}

#[test]
fn each_of_sqlites_limits_has_a_clear_answer() {
    let server = Server::with(&sql());
    for (view, slug, words) in [("long", "value-too-large", "longer than"), ("pattern", "query-failed", "pattern too complex")] {
        let answer = server.get(&format!("/tables/{view}"));
        assert_eq!((answer.status, &answer.json()["type"]), (500, &format!("tag:flagstone,2026:{slug}").into()), "{view}");
        assert!(answer.json()["detail"].as_str().is_some_and(|detail| detail.contains(words)), "{view}: {}", answer.text());
        assert_eq!(server.get("/tables/t/1").status, 200, "the connection is usable at once");
    }
    // What SQLite's own parser lets into a schema is served.
    assert_eq!(server.get("/tables/deep").json(), serde_json::json!([{"x": 1}, {"x": 2}]));
    assert_eq!(server.get("/tables/wide?limit=1000").json().as_array().map(Vec::len), Some(60));
    wait_for("nothing was left running", || number(&server.status(), "/connections/running") == 0);
}
