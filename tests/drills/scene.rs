//! A server to drill: a critical route, a plain one, a slow one and a write; and what the pages say of falls.

use serde_json::Value;

use crate::configured::{route, start, toml};
use crate::server::{Answer, Server};

const SQL: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);
    INSERT INTO t VALUES (1, 'one'), (2, 'two');
    CREATE TABLE log(id INTEGER PRIMARY KEY, v TEXT);";

/// The body of `/critical` and of `/plain`.
pub const ROWS: &str = r#"[{"id":1,"v":"one"},{"id":2,"v":"two"}]"#;

pub fn config() -> String {
    let slow =
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 400000) SELECT count(*) AS n, :x AS x FROM c";
    let routes = [
        route("/critical", "SELECT id, v FROM t ORDER BY id", "critical = true"),
        route("/plain", "SELECT id, v FROM t ORDER BY id", ""),
        route("/kept", "SELECT count(*) AS n FROM log", "stale_if_error = \"60s\""),
        route("/slow", slow, ""),
        route("/log", "INSERT INTO log(v) VALUES (:v)", "method = \"POST\""),
    ];
    toml("", &format!("[tables]\nexpose = \"*\"\n{}", routes.concat()))
}

pub fn scene() -> Server {
    start(SQL, &config()).run()
}

/// Orders a drill.
pub fn drill(server: &Server, name: &str, body: &str) -> Answer {
    let answer = server.operate("POST", &format!("/-/drill/{name}"), body);
    assert_eq!(answer.status, 202, "{name} {body}: {}", answer.text());
    answer
}

/// Falls of a part, as the status tells.
pub fn falls(status: &Value, from: &str) -> u64 {
    status["falls"][from].as_u64().unwrap_or_else(|| panic!("falls of {from} in {status}"))
}

/// A drill's row of the status.
pub fn seen(server: &Server, name: &str) -> Value {
    let status = server.status();
    let drills = status["drills"].as_array().expect("drills");
    drills.iter().find(|drill| drill["name"] == name).unwrap_or_else(|| panic!("{name} in {status}")).clone()
}

/// The path in use.
pub fn path(server: &Server) -> String {
    let page = server.operate("GET", "/-/metrics", "").text();
    let mut in_use = page.lines().filter_map(|line| line.strip_prefix("flagstone_path{path=\"")?.strip_suffix("\"} 1"));
    let path = in_use.next().expect("a path is in use").to_string();
    assert_eq!(in_use.next(), None, "one at a time");
    path
}

/// Asserts that a route answers with its rows.
pub fn answers(server: &Server, target: &str) -> Answer {
    let answer = server.get(target);
    assert_eq!((answer.status, answer.text().as_str()), (200, ROWS), "{target}");
    answer
}
