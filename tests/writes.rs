//! Routes that write, over real sockets: what they answer, what they share a sync with, and that nothing is ever half-done.

#[path = "writes/answers.rs"]
mod answers;
#[path = "writes/cached.rs"]
mod cached;
mod configured;
#[path = "writes/ends.rs"]
mod ends;
#[path = "writes/group.rs"]
mod group;
#[path = "writes/idempotent.rs"]
mod idempotent;
#[path = "writes/locked.rs"]
mod locked;
#[path = "writes/memory.rs"]
mod memory;
#[path = "writes/refused.rs"]
mod refused;
#[path = "writes/replaced.rs"]
mod replaced;
mod server;
#[path = "writes/start.rs"]
mod start;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use configured::{open, route, serve, toml};
use serde_json::Value;
use server::{Answer, Server, connect, read_answer};

/// A log without rules, things with every rule, and a table that nobody writes; in WAL mode.
const SQL: &str = "PRAGMA journal_mode = WAL;
    CREATE TABLE log(id INTEGER PRIMARY KEY, a);
    CREATE TABLE things(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, price REAL CHECK (price >= 0), kind INTEGER REFERENCES kinds);
    CREATE TABLE kinds(id INTEGER PRIMARY KEY, name TEXT) STRICT;
    INSERT INTO kinds VALUES (1, 'one'), (2, 'two');
    CREATE TABLE other(a);
    INSERT INTO other VALUES ('untouched');
    CREATE TRIGGER no_nine BEFORE INSERT ON log WHEN NEW.a = 9 BEGIN SELECT RAISE(ABORT, 'nine is refused'); END;
    CREATE TRIGGER all_or_nothing BEFORE INSERT ON log WHEN NEW.a = 99 BEGIN SELECT RAISE(ROLLBACK, 'rolls back'); END;";

/// Header fields of a request.
type Fields<'f> = &'f [(&'f str, &'f str)];

/// A `[[route]]` that writes.
fn writes(method: &str, path: &str, sql: &str, more: &str) -> String {
    route(path, sql, &format!("method = \"{method}\"\n{more}"))
}

/// The write that most tests make, and the read that shows it.
fn log_routes() -> String {
    writes("POST", "/log", "INSERT INTO log(a) VALUES (:a)", "") + &route("/log", "SELECT a FROM log ORDER BY id", "")
}

/// A server of [`SQL`] with these routes.
fn with(routes: &str) -> Server {
    serve(SQL, &toml("", routes))
}

/// The same, logging nothing: a log line may allocate.
fn serve_quietly(routes: &str) -> Server {
    configured::start(SQL, &toml("", routes)).environment("RUST_LOG", "warn").run()
}

/// One write over a connection of its own; a body is JSON unless a field says otherwise.
fn write(server: &Server, method: &str, target: &str, fields: Fields, body: &str) -> Answer {
    let mut stream = ask(server.address, method, target, fields, body);
    read_answer(&mut stream, false).expect("an answer")
}

/// A write whose answer is left for later.
fn ask(address: SocketAddr, method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> TcpStream {
    let mut stream = connect(address);
    stream.write_all(text(method, target, &[fields, &[("Connection", "close")]].concat(), body).as_bytes()).expect("it is taken");
    stream
}

/// A request's text.
fn text(method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
    if !body.is_empty() || method == "POST" {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    if !body.is_empty() && !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        text.push_str("Content-Type: application/json\r\n");
    }
    for (name, value) in fields {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text + "\r\n" + body
}

fn post(server: &Server, target: &str, body: &str) -> Answer {
    write(server, "POST", target, &[], body)
}

/// What another process reads.
fn look(server: &Server, sql: &str) -> String {
    open(&server.database()).query_row(sql, [], |row| row.get(0)).expect("a text")
}

/// All that the log holds, as another process reads it.
fn log(server: &Server) -> String {
    look(server, "SELECT coalesce(group_concat(a, ' '), '') FROM (SELECT a FROM log ORDER BY id)")
}

/// The slug of a problem's type, after its form has been checked.
fn slug(answer: &Answer) -> String {
    assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{}", answer.text());
    assert!(answer.body.len() < 512);
    let problem = answer.json();
    assert_eq!(problem["status"], answer.status);
    problem["type"].as_str().and_then(|kind| kind.strip_prefix("tag:flagstone,2026:")).expect("a type of ours").to_string()
}

/// A number in the status, 0 where there is none.
fn number(status: &Value, pointer: &str) -> u64 {
    status.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer} in {status}"))
}
