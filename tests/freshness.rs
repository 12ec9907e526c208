//! Asking which state the database is in allocates nothing: in a binary of its own, because every allocation of the process counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use flagstone::back::open::{How, open};
use flagstone::back::{Back, Workspace};
use flagstone::config::Config;
use rusqlite::Connection;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is the system allocator's; here is only counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

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
            let before = ALLOCATIONS.load(Relaxed);
            for _ in 0..100 {
                assert!(freshness.current().is_some());
            }
            assert_eq!(ALLOCATIONS.load(Relaxed), before, "{mode}");
            assert_eq!(freshness.current() != last, turn > 0 && !immutable, "{mode}");
            last = freshness.current();
            writer.execute_batch("INSERT INTO t VALUES (1)").expect("a commit");
        }
    }
}
