//! Servers with a configuration: tokens that the tests know, and other processes on the same database.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::Path;

use flagstone::policy::credentials;

use crate::server::{Server, Start};

/// The token of operators.
pub const ADMIN: &str = "admin-0123456789";
/// A token that some routes ask for.
pub const DISPLAY: &str = "display-0123456789";
/// A token that others ask for.
pub const SENSOR: &str = "sensor-0123456789";

/// A configuration with `top` before its first section, the tokens above, and `rest` behind them.
pub fn toml(top: &str, rest: &str) -> String {
    let mut text = format!("ops_auth = \"admin\"\n{top}\n[tokens]\n");
    for (name, token) in [("admin", ADMIN), ("display", DISPLAY), ("sensor", SENSOR)] {
        let digest: String = credentials::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        text.push_str(&format!("{name} = \"sha256:{digest}\"\n"));
    }
    text + rest
}

/// A `[[route]]` with these lines.
pub fn route(path: &str, sql: &str, more: &str) -> String {
    format!("\n[[route]]\npath = \"{path}\"\nsql = \"\"\"{sql}\"\"\"\n{more}\n")
}

/// A server with a database made by `sql` and a configuration.
pub fn start(sql: &str, toml: &str) -> Start {
    Start::new().sql(sql).config(toml).operator(ADMIN)
}

/// The same, running.
pub fn serve(sql: &str, toml: &str) -> Server {
    start(sql, toml).run()
}

/// Another process's write, committed when this returns: the sqlite3 library in this process has no lock of the server's.
pub fn write(server: &Server, sql: &str) {
    open(&server.database()).execute_batch(sql).expect("the test's SQL");
}

/// Another process's connection.
pub fn open(path: &Path) -> rusqlite::Connection {
    let conn = rusqlite::Connection::open(path).expect("a database");
    conn.busy_timeout(crate::server::DEADLINE).expect("a connection");
    conn
}
