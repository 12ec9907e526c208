//! Under a service manager: what it is told, the sockets that it hands over, its journal, and the start after crashes.

mod configured;
#[path = "unit/handed_over.rs"]
mod handed_over;
#[path = "unit/journal.rs"]
mod journal;
#[path = "unit/notified.rs"]
mod notified;
#[path = "unit/safe.rs"]
mod safe;
mod server;

const SQL: &str =
    "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'one'), (2, 'two');";
