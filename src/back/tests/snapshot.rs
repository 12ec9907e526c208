//! The state's name against every way in which other processes change the database, or do not.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::other::Other;
use crate::back::open::{How, open};
use crate::back::snapshot::Snapshot;
use crate::job::{Current, Stamp};

const SCHEMA: &str = "CREATE TABLE n(i INTEGER); INSERT INTO n VALUES (0); CREATE TABLE t(a INTEGER PRIMARY KEY, b BLOB)";
/// Writes more pages than the writer's cache holds, so that they reach the file before any commit.
const SPILL: &str = "PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN IMMEDIATE; INSERT INTO t(b) WITH RECURSIVE \
    k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k LIMIT 400) SELECT randomblob(3000) FROM k; UPDATE n SET i = i + 1000";

struct Database {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn database(mode: &str) -> Database {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(&format!("PRAGMA auto_vacuum = incremental; PRAGMA journal_mode = {mode}; {SCHEMA}")).unwrap();
    Database { _folder: folder, path }
}

fn ours(path: &Path, immutable: bool) -> Connection {
    open(path, How { immutable, writable: false, page_slots: 100, page_bytes: 4096 }).unwrap()
}

fn value(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("SELECT i FROM n", [], |row| row.get(0))
}

/// A snapshot after the first read, as the back makes it.
fn snapshot(conn: &Connection) -> (Snapshot<'_>, Rc<dyn Current>) {
    value(conn).unwrap();
    let snapshot = Snapshot::new(conn);
    snapshot.examine();
    let freshness = snapshot.freshness();
    (snapshot, freshness)
}

fn some(freshness: &Rc<dyn Current>) -> Stamp {
    freshness.current().expect("the mode is known")
}

/// Reads a value with its stamp, as the back does; `None` where a writer is in the way.
fn read(conn: &Connection, snapshot: &Snapshot) -> Option<(i64, Stamp)> {
    let before = snapshot.before();
    let around = snapshot.needs_transaction().then(|| conn.unchecked_transaction().unwrap());
    let value = value(conn).ok()?;
    let stamp = before.or_else(|| snapshot.within());
    drop(around);
    Some((value, stamp?))
}

#[test]
fn every_kind_of_commit_by_another_process_is_seen() {
    const COMMITS: &[&str] = &[
        "INSERT INTO t(b) VALUES (zeroblob(9000))",
        "UPDATE n SET i = i + 1",
        "BEGIN; INSERT INTO t(b) VALUES (1); SAVEPOINT s; INSERT INTO t(b) VALUES (2); ROLLBACK TO s; COMMIT",
        "CREATE TABLE late(a)",
        "ALTER TABLE late ADD COLUMN b",
        "DROP TABLE late",
        "DELETE FROM t",
        "PRAGMA incremental_vacuum",
        "PRAGMA user_version = 7",
        "VACUUM",
    ];
    for mode in ["wal", "delete", "truncate", "persist"] {
        let database = database(mode);
        let conn = ours(&database.path, false);
        let (_snapshot, freshness) = snapshot(&conn);
        let mut other = Other::new(&database.path);
        other.done(&format!("PRAGMA journal_mode = {mode}"));
        for sql in COMMITS {
            let before = some(&freshness);
            assert_eq!(some(&freshness), before);
            other.done(sql);
            assert_ne!(some(&freshness), before, "{mode}: {sql}");
        }
    }
}

#[test]
fn reads_rollbacks_and_spilled_writes_are_no_commits() {
    let database = database("wal");
    let conn = ours(&database.path, false);
    let (_snapshot, freshness) = snapshot(&conn);
    let mut other = Other::new(&database.path);
    other.done("UPDATE n SET i = 1");
    let before = some(&freshness);
    let wal = || std::fs::metadata(format!("{}-wal", database.path.display())).unwrap().len();
    let small = wal();
    for sql in [
        "SELECT count(*) FROM t, n",
        "BEGIN; SELECT * FROM n; COMMIT",
        "BEGIN IMMEDIATE; COMMIT",
        "BEGIN IMMEDIATE; UPDATE n SET i = 9; ROLLBACK",
        "PRAGMA integrity_check",
        SPILL,
    ] {
        other.done(sql);
        assert_eq!(some(&freshness), before, "{sql}");
    }
    assert!(wal() > small + 100_000, "the writes have been spilled: {small} to {} bytes", wal());
    assert_eq!(value(&conn), Ok(1));
    other.done("ROLLBACK");
    assert_eq!(some(&freshness), before);
    other.done(SPILL);
    other.done("COMMIT");
    assert_ne!(some(&freshness), before);
    assert_eq!(value(&conn), Ok(1001));
}

#[test]
fn a_rollback_outside_of_wal_mode_brings_no_name_back_wrongly() {
    let database = database("delete");
    let conn = ours(&database.path, false);
    let (snapshot, freshness) = snapshot(&conn);
    let mut other = Other::new(&database.path);
    let (_, before) = read(&conn, &snapshot).unwrap();
    assert_eq!(some(&freshness), before);
    other.done(SPILL);
    assert!(read(&conn, &snapshot).is_none(), "a writer that spills locks readers out");
    other.done("ROLLBACK");
    assert_eq!(read(&conn, &snapshot).unwrap().0, 0);
    other.done(SPILL);
    other.done("COMMIT");
    let (value, stamp) = read(&conn, &snapshot).unwrap();
    assert_eq!((value, Some(stamp)), (1000, freshness.current()));
    assert_ne!(stamp, before);
}

#[test]
fn no_checkpoint_hides_a_commit() {
    let database = database("wal");
    let conn = ours(&database.path, false);
    let (snapshot, freshness) = snapshot(&conn);
    let mut other = Other::new(&database.path);
    let mut all = vec![some(&freshness)];
    for turn in 1..=3 {
        for kind in ["PASSIVE", "FULL", "RESTART", "TRUNCATE"] {
            other.done("UPDATE n SET i = i + 1");
            assert!(!all.contains(&some(&freshness)), "{kind} {turn}");
            all.push(some(&freshness));
            other.done(&format!("PRAGMA wal_checkpoint({kind})"));
            let after = some(&freshness);
            assert!(!all[..all.len() - 1].contains(&after), "{kind} {turn}: the name of a state before the commit");
            let (value, stamp) = read(&conn, &snapshot).unwrap();
            assert_eq!((value, stamp), (all.len() as i64 - 1, after));
        }
    }
}

#[test]
fn three_hundred_of_three_hundred_commits_are_seen() {
    for mode in ["wal", "delete"] {
        let database = database(mode);
        let conn = ours(&database.path, false);
        let (_snapshot, freshness) = snapshot(&conn);
        let mut other = Other::new(&database.path);
        other.done("PRAGMA synchronous = OFF");
        let mut last = some(&freshness);
        for commit in 0..300 {
            other.done("UPDATE n SET i = i + 1");
            let now = some(&freshness);
            assert_ne!(now, last, "{mode}: commit {commit}");
            last = now;
        }
    }
}

/// The heart of it, with a writer at full speed: a cache of all that was ever read never answers with what was not so.
#[test]
fn one_name_is_one_state_while_another_process_writes() {
    for mode in ["wal", "delete"] {
        let database = database(mode);
        let conn = ours(&database.path, false);
        let (snapshot, freshness) = snapshot(&conn);
        let mut other = Other::new(&database.path);
        other.done("PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 20");
        let mut cache: HashMap<String, i64> = HashMap::new();
        let (mut hits, mut commits, mut seen) = (0, 0, 0);
        let deadline = Instant::now() + Duration::from_secs(60);
        while cache.len() < 200 || hits < 20 {
            assert!(Instant::now() < deadline, "{mode}: {} states and {hits} hits seen", cache.len());
            other.send("!commits 300");
            commits += 300;
            while seen < commits {
                let hit = freshness.current();
                let cached = hit.and_then(|name| cache.get(&format!("{name:?}")).copied());
                let Some((value, stamp)) = read(&conn, &snapshot) else { continue };
                seen = value;
                if freshness.current() == hit {
                    // Nothing was committed around the read.
                    hits += u32::from(cached.is_some());
                    assert_eq!(cached.unwrap_or(value), value, "{mode}: {hit:?}");
                }
                cache.insert(format!("{stamp:?}"), value);
            }
            other.answer().unwrap();
            let (value, stamp) = read(&conn, &snapshot).expect("nobody writes now");
            assert_eq!(freshness.current(), Some(stamp));
            assert_eq!(other.done("SELECT i FROM n"), format!("Integer({value})"));
        }
    }
}

#[test]
fn a_stamp_is_refused_where_it_could_be_newer_than_the_rows() {
    for (mode, wal) in [("wal", true), ("delete", false)] {
        let database = database(mode);
        let conn = ours(&database.path, false);
        let (snapshot, _freshness) = snapshot(&conn);
        assert_eq!(snapshot.needs_transaction(), !wal);
        assert_eq!(snapshot.before().is_some(), wal);
        assert_eq!(snapshot.within(), None);
        let transaction = conn.unchecked_transaction().unwrap();
        assert_eq!(snapshot.before().is_some(), wal, "BEGIN alone begins nothing");
        assert_eq!(snapshot.within(), None, "and locks nothing");
        assert_eq!(conn.query_row("SELECT count(*) FROM t", [], |row| row.get(0)), Ok(0));
        assert_eq!(snapshot.before(), None);
        assert_eq!(snapshot.within().is_some(), !wal, "a statement that has ended leaves its lock to the transaction");
        drop(transaction);
    }
}

#[test]
fn writers_that_are_killed_leave_no_wrong_name() {
    let database = database("wal");
    let conn = ours(&database.path, false);
    let (snapshot, freshness) = snapshot(&conn);
    let mut killed = Other::new(&database.path);
    killed.done("UPDATE n SET i = 1");
    let before = some(&freshness);
    killed.done(SPILL);
    killed.kill();
    assert_eq!(some(&freshness), before, "nothing was committed");
    assert_eq!(read(&conn, &snapshot), Some((1, before)));
    let mut other = Other::new(&database.path);
    other.done("UPDATE n SET i = 2");
    assert_ne!(some(&freshness), before);
    assert_eq!(read(&conn, &snapshot).unwrap().0, 2);

    // Killed between the two copies of the header.
    let before = some(&freshness);
    other.done("!shm tear");
    other.kill();
    assert_eq!(some(&freshness), before, "the commit has not come through");
    assert_eq!(snapshot.before(), None, "what we read now begins with a recovery");
    assert_eq!(value(&conn), Ok(2));
    assert_ne!(some(&freshness), before, "recovery counts from 0 again");
    assert_eq!(read(&conn, &snapshot), Some((2, some(&freshness))));
    Other::new(&database.path).done("UPDATE n SET i = 3");
    let (value, stamp) = read(&conn, &snapshot).unwrap();
    assert_eq!((value, Some(stamp)), (3, freshness.current()));
}

#[test]
fn a_header_that_comes_back_is_another_name() {
    let database = database("wal");
    let conn = ours(&database.path, false);
    let (_snapshot, freshness) = snapshot(&conn);
    let mut other = Other::new(&database.path);
    other.done("UPDATE n SET i = 1");
    let before = some(&freshness);
    other.done("!shm save");
    other.done("UPDATE n SET i = 2");
    assert_ne!(some(&freshness), before);
    other.done("!shm restore");
    assert_ne!(some(&freshness), before, "the same 48 bytes");
}

#[test]
fn a_switch_to_wal_is_noticed_and_one_from_it_is_refused() {
    let database = database("delete");
    let conn = ours(&database.path, false);
    let (snapshot, freshness) = snapshot(&conn);
    let rollback = some(&freshness);
    assert!(!snapshot.is_lost());
    let mut other = Other::new(&database.path);
    assert_eq!(other.done("PRAGMA journal_mode = wal"), r#"Text([119, 97, 108])"#);
    other.done("UPDATE n SET i = 1");
    assert_eq!(freshness.current(), None, "the header says another mode");
    assert!(snapshot.is_lost());
    snapshot.examine();
    assert_eq!(freshness.current(), None, "SQLite learns of it when it reads");
    assert!(read(&conn, &snapshot).is_none(), "rows of the change are not stamped");
    assert_eq!(value(&conn), Ok(1));
    snapshot.examine();
    assert!(!snapshot.is_lost());
    let wal = some(&freshness);
    assert_ne!(wal, rollback);
    assert_eq!(read(&conn, &snapshot), Some((1, wal)));
    other.done("UPDATE n SET i = 2");
    assert_ne!(some(&freshness), wal);
    other.run("PRAGMA busy_timeout = 0; PRAGMA journal_mode = delete").expect_err("our lock on the database forbids it");
    other.done("UPDATE n SET i = 3");
    assert_eq!(read(&conn, &snapshot).unwrap(), (3, some(&freshness)));
}

#[test]
fn an_immutable_database_has_one_name_an_opening() {
    for mode in ["wal", "delete"] {
        let database = database(mode);
        let conn = ours(&database.path, true);
        let (snapshot, freshness) = snapshot(&conn);
        let name = some(&freshness);
        assert_eq!(read(&conn, &snapshot), Some((0, name)));
        assert_eq!(some(&freshness), name);
        let files = std::fs::read_dir(database.path.parent().unwrap()).unwrap().count();
        assert_eq!(files, 1, "no -shm was made");
        drop(snapshot);
        drop(conn);
        let conn = ours(&database.path, true);
        let (_snapshot, freshness) = self::snapshot(&conn);
        assert_ne!(some(&freshness), name, "{mode}: another opening, another generation");
    }
}

#[test]
fn an_opening_shares_no_name_with_the_one_before() {
    for mode in ["wal", "delete"] {
        let database = database(mode);
        // Keeps the wal-index as it is between ours.
        let mut other = Other::new(&database.path);
        other.done("UPDATE n SET i = 1");
        let mut names = Vec::new();
        for _ in 0..3 {
            let conn = ours(&database.path, false);
            let (_snapshot, freshness) = snapshot(&conn);
            assert!(!names.contains(&some(&freshness)));
            names.push(some(&freshness));
        }
    }
}

#[test]
fn a_handle_outlives_its_connection_and_says_nothing() {
    for (mode, immutable) in [("wal", false), ("delete", false), ("delete", true)] {
        let database = database(mode);
        let conn = ours(&database.path, immutable);
        let (snapshot, freshness) = snapshot(&conn);
        assert!(freshness.current().is_some());
        drop(snapshot);
        assert_eq!(freshness.current(), None);

        // A snapshot that is leaked does not leave the handle to a closed connection.
        let (snapshot, leaked) = self::snapshot(&conn);
        assert!(leaked.current().is_some());
        std::mem::forget(snapshot);
        drop(conn);
        assert_eq!(leaked.current(), None);
    }
    let memory = Connection::open_in_memory().unwrap();
    memory.execute_batch(SCHEMA).unwrap();
    assert_eq!(snapshot(&memory).1.current(), None, "a database in memory has neither");
}

#[test]
fn a_thousand_looks_leave_our_locks_where_they_were() {
    let database = database("wal");
    let conn = ours(&database.path, false);
    let (snapshot, freshness) = snapshot(&conn);
    assert!(locks_on(&database.path, "-shm", 128), "SQLite's own lock, before");
    for _ in 0..1000 {
        assert!(freshness.current().is_some() && snapshot.before().is_some());
        snapshot.examine();
    }
    assert!(locks_on(&database.path, "-shm", 128));
    let mut other = Other::new(&database.path);
    other.done("UPDATE n SET i = 5");
    drop(other);
    let wal = std::fs::metadata(format!("{}-wal", database.path.display())).map(|wal| wal.len());
    assert!(wal.is_ok_and(|bytes| bytes > 0), "another process that closes last leaves us our WAL");
    assert_eq!(read(&conn, &snapshot), Some((5, some(&freshness))));
}

/// Whether this process holds a lock on that byte (/proc/locks: "1: POSIX ADVISORY READ pid major:minor:inode first last").
fn locks_on(path: &Path, suffix: &str, byte: u64) -> bool {
    use std::os::unix::fs::MetadataExt;
    let inode = std::fs::metadata(format!("{}{suffix}", path.display())).unwrap().ino();
    let (inode, process) = (format!(":{inode}"), std::process::id().to_string());
    let listed = || {
        std::fs::read_to_string("/proc/locks").unwrap().lines().any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
            fields.get(4) == Some(&process.as_str())
                && fields.get(5).is_some_and(|file| file.ends_with(&inode))
                && number(6).is_some_and(|first| first <= byte)
                && number(7).unwrap_or(u64::MAX) >= byte
        })
    };
    // The list is read in pieces: while others lock and unlock, a piece may miss a line.
    (0..100).any(|_| listed())
}

#[test]
fn the_wal_tells_its_frames_its_copies_and_its_readers() {
    let database = database("wal");
    let (reader, writer) = (Connection::open(&database.path).unwrap(), Connection::open(&database.path).unwrap());
    let conn = ours(&database.path, false);
    let (_snapshot, freshness) = snapshot(&conn);
    writer.execute_batch("PRAGMA wal_autocheckpoint = 0; UPDATE n SET i = 1").unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM n").unwrap();
    let seen = freshness.wal().unwrap();
    writer.execute_batch("UPDATE n SET i = 2; PRAGMA wal_checkpoint(PASSIVE)").unwrap();
    let pinned = freshness.wal().unwrap();
    assert!(
        pinned.frames > seen.frames && pinned.copied == seen.frames,
        "copied as far as the reader reads: {seen:?} {pinned:?}"
    );
    assert!(pinned.marks[1..].contains(&seen.frames), "{pinned:?}");
    reader.execute_batch("COMMIT").unwrap();
    writer.execute_batch("PRAGMA wal_checkpoint(PASSIVE)").unwrap();
    let free = freshness.wal().unwrap();
    assert_eq!((free.frames, free.copied), (pinned.frames, pinned.frames));
    let other = super::snapshot::database("delete");
    let conn = ours(&other.path, false);
    assert_eq!(snapshot(&conn).1.wal(), None, "outside of WAL mode");
}
