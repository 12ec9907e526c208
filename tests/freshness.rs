//! Asking which state the database is in allocates nothing: in a binary of its own, because every allocation of the process counts.

mod counting;

use std::rc::Rc;
use std::time::Instant;

use counting::allocations;
use flagstone::back::open::{How, open};
use flagstone::back::{Back, Workspace};
use flagstone::config::Config;
use rusqlite::Connection;

#[test]
fn a_look_at_the_databases_state_allocates_nothing() {
    let workspace = Workspace::take().expect("the first to take it");
    for (mode, immutable) in [("wal", false), ("delete", false), ("delete", true)] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.db");
        let writer = Connection::open(&path).expect("a new database");
        writer.execute_batch(&format!("PRAGMA journal_mode = {mode}; CREATE TABLE t(a)")).expect("a table");
        let conn = open(&path, How { immutable, writable: false, page_slots: 100, page_bytes: 4096 }).expect("it opens");
        let back = Back::new(&conn, workspace, [7; 16], Instant::now(), Rc::new(Config::new())).expect("a schema");
        let freshness = back.freshness();
        let mut last = freshness.current();
        for turn in 0..10 {
            let before = allocations();
            for _ in 0..100 {
                assert!(freshness.current().is_some());
            }
            assert_eq!(allocations(), before, "{mode}");
            assert_eq!(freshness.current() != last, turn > 0 && !immutable, "{mode}");
            last = freshness.current();
            writer.execute_batch("INSERT INTO t VALUES (1)").expect("a commit");
        }
    }
}
