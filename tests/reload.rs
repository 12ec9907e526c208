//! A configuration that changes under way: by signal, by request, by an edit; swapped whole or kept out, with a way back.

mod configured;
#[path = "reload/kept.rs"]
mod kept;
mod server;
#[path = "reload/swap.rs"]
mod swap;
#[path = "reload/torture.rs"]
mod torture;
#[path = "reload/ways.rs"]
mod ways;
mod wire;

use configured::{route, toml};
use serde_json::Value;
use server::{Server, wait_for};

const SQL: &str =
    "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'one'), (2, 'two');";

/// A configuration whose route says `word`.
fn saying(word: &str) -> String {
    toml("", &route("/r", &format!("SELECT '{word}' AS word FROM t LIMIT 1"), ""))
}

/// Puts a text in the file's place in one step.
fn put(server: &Server, text: impl AsRef<[u8]>) {
    let new = server.folder.path().join("flagstone.toml.new");
    std::fs::write(&new, text).expect("the test's folder");
    std::fs::rename(new, server.config_path()).expect("one folder");
}

/// What the route of [`saying`] says.
fn word(server: &Server) -> String {
    let answer = server.get("/r");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()[0]["word"].as_str().expect("a word").to_string()
}

/// The configuration's part of the status page.
fn seen(server: &Server) -> Value {
    server.status()["configuration"].clone()
}

/// Number, outcome, hash and changed keys of the versions on the status page, the newest first.
fn versions(server: &Server) -> Vec<(u64, String, String, String)> {
    let seen = seen(server);
    let lines = seen["versions"].as_array().expect("versions").iter().map(|line| line.as_str().expect("a line").to_string());
    let parts = |line: String| {
        let mut parts = line.splitn(5, ' ').map(str::to_string);
        let (number, _) = (parts.next(), parts.next());
        let mut next = || parts.next().unwrap_or_default();
        (number.and_then(|number| number.parse().ok()).expect("a number"), next(), next(), next())
    };
    lines.map(parts).collect()
}

/// Waits for some of the looks that the server takes at its file each second.
fn looks(server: &Server, count: u64) {
    let now = server.status()["uptime_seconds"].as_u64().expect("a number");
    wait_for("the server has looked", || server.status()["uptime_seconds"].as_u64() >= Some(now + count));
}

/// The files that are kept in the state directory.
fn state(server: &Server) -> std::path::PathBuf {
    let all = std::fs::read_dir(server.folder.path().join(".local/state/flagstone")).expect("a state directory");
    all.map(|entry| entry.expect("an entry").path()).next().expect("one database's")
}
