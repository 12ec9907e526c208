//! The shim under SQLite, on files of its own. Counters, faults and the ring are a thread's, and each test has a thread.

use std::os::fd::RawFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use super::faults::{Faults, WriteError};
use super::*;
use crate::back::sync::{self, SyncMode, Why};
use crate::budget::TEMP_FILE_BYTES;
use crate::job::Go;

#[test]
fn a_spilled_sort_is_counted_and_bounded_and_a_sleep_is_a_turn() {
    // Any connection initialises SQLite; those of other tests keep their VFS.
    drop(Connection::open_in_memory().unwrap());
    install().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let conn = Connection::open(folder.path().join("x.db")).unwrap();
    conn.execute_batch("PRAGMA temp_store = 1; PRAGMA cache_size = 10").unwrap();
    let before = temporary_bytes();
    let sort = |rows: i64| -> rusqlite::Result<i64> {
        let mut sorted = conn.prepare(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?1)
            SELECT i, hex(zeroblob(1000)) || ((i * 7919) % 10007) AS filler FROM n ORDER BY filler",
        )?;
        let mut rows = sorted.query([rows])?;
        let mut count = 0;
        while rows.next()?.is_some() {
            count += 1;
        }
        Ok(count)
    };
    assert_eq!(sort(5000), Ok(5000));
    let written = temporary_bytes() - before;
    assert!(written > 5_000_000, "{written} bytes spilled");
    let error = sort(TEMP_FILE_BYTES as i64 / 1000).expect_err("the quota is smaller");
    assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DiskFull));
    assert_eq!(sort(10), Ok(10), "the connection works on");

    let mut waits = Vec::new();
    let mut turn = |wait: Micros| {
        waits.push(wait);
        Go::On
    };
    turns::with_turns(&conn, Instant::now(), Micros::MAX, &mut turn, |_| {
        // SAFETY: our own xSleep, which looks at none of the structure.
        assert_eq!(unsafe { sleep(ptr::null_mut(), 3000) }, 3000);
    });
    assert!(waits.iter().any(|&wait| wait > 2000), "{waits:?}");
}

/// Runs a body once with the ring, where this kernel has one, and once with plain syncs.
fn each_way(body: impl Fn(SyncMode)) {
    drop(Connection::open_in_memory().unwrap());
    install().unwrap();
    match sync::set_up() {
        SyncMode::IoUring => body(SyncMode::IoUring),
        plain => eprintln!("without the ring: {plain}"),
    }
    sync::shut_down();
    sync::reopened();
    faults::set(Faults::default());
    body(SyncMode::Plain(Why::Off));
}

/// A connection that writes; in WAL mode the WAL's header is on the disk already.
fn writer(path: &Path, mode: &str) -> Connection {
    let conn = Connection::open(path).unwrap();
    let setup = format!(
        "PRAGMA journal_mode = {mode}; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
        CREATE TABLE IF NOT EXISTS t(a, b); INSERT INTO t VALUES (0, 'first')"
    );
    conn.execute_batch(&setup).unwrap();
    conn
}

fn insert(conn: &Connection) -> rusqlite::Result<usize> {
    conn.execute("INSERT INTO t VALUES (1, hex(zeroblob(10)))", [])
}

fn count(conn: &Connection) -> i64 {
    conn.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
}

/// What was counted within a body.
fn counted<R>(body: impl FnOnce() -> R) -> (R, Counters) {
    let before = counters();
    let result = body();
    let after = counters();
    let difference = Counters {
        syncs: after.syncs - before.syncs,
        ring_syncs: after.ring_syncs - before.ring_syncs,
        failed_syncs: after.failed_syncs - before.failed_syncs,
        sync_micros: after.sync_micros - before.sync_micros,
        longest_sync_micros: after.longest_sync_micros,
        database_bytes: after.database_bytes - before.database_bytes,
        wal_bytes: after.wal_bytes - before.wal_bytes,
        journal_bytes: after.journal_bytes - before.journal_bytes,
        temporary_bytes: after.temporary_bytes - before.temporary_bytes,
        slept_micros: after.slept_micros - before.slept_micros,
    };
    (result, difference)
}

/// SQLite's handles of a connection's database and its journal or WAL.
fn handles(conn: &Connection) -> [*mut sqlite3_file; 2] {
    [ffi::SQLITE_FCNTL_FILE_POINTER, ffi::SQLITE_FCNTL_JOURNAL_POINTER].map(|which| {
        let mut file: *mut sqlite3_file = ptr::null_mut();
        // SAFETY: the connection is open; both operations write one pointer.
        unsafe { ffi::sqlite3_file_control(conn.handle(), c"main".as_ptr(), which, (&raw mut file).cast()) };
        file
    })
}

fn named(fd: RawFd) -> std::path::PathBuf {
    std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap()
}

#[test]
fn a_commit_in_wal_mode_syncs_the_wal_exactly_once_and_nothing_else() {
    each_way(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let conn = writer(&folder.path().join("x.db"), "WAL");
        let by_ring = u64::from(mode == SyncMode::IoUring);
        for _ in 0..3 {
            let (result, counted) = counted(|| insert(&conn));
            result.unwrap();
            assert_eq!((counted.syncs, counted.ring_syncs, counted.failed_syncs), (1, by_ring, 0));
            // A frame is its header of 24 bytes and a page of 4096.
            assert_eq!((counted.wal_bytes, counted.database_bytes, counted.journal_bytes), (4096 + 24, 0, 0));
            assert!(counted.sync_micros > 0 && counted.longest_sync_micros > 0);
        }
        let (_, counted) = counted(|| conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap());
        assert!(counted.database_bytes >= 2 * 4096, "{counted:?}");
        assert_eq!(counted.wal_bytes, 0);
        // The WAL before its pages go into the database, and the database before the WAL is cut.
        assert_eq!((counted.syncs, counted.ring_syncs), (2, 2 * by_ring));
        assert_eq!(counted.failed_syncs, 0);
    });
}

#[test]
fn a_read_syncs_nothing_and_a_commit_without_full_neither() {
    each_way(|_| {
        let folder = tempfile::tempdir().unwrap();
        let conn = writer(&folder.path().join("x.db"), "WAL");
        let (_, counted) = counted(|| {
            count(&conn);
            conn.execute_batch("PRAGMA synchronous = NORMAL").unwrap();
            insert(&conn).unwrap();
        });
        assert_eq!((counted.syncs, counted.wal_bytes), (0, 4096 + 24));
    });
}

#[test]
fn a_rollback_journal_is_synced_before_the_database() {
    each_way(|mode| {
        let folder = tempfile::tempdir().unwrap();
        for (number, journal) in ["DELETE", "TRUNCATE", "PERSIST"].into_iter().enumerate() {
            let conn = writer(&folder.path().join(format!("{number}.db")), journal);
            let (result, counted) = counted(|| insert(&conn));
            result.unwrap();
            assert!(counted.journal_bytes > 4096 && counted.database_bytes >= 4096, "{journal}: {counted:?}");
            assert_eq!((counted.wal_bytes, counted.failed_syncs), (0, 0), "{journal}");
            assert!(counted.syncs >= 2, "{journal}: {counted:?}");
            assert_eq!(counted.ring_syncs, if mode == SyncMode::IoUring { counted.syncs } else { 0 }, "{journal}");
            assert_eq!(count(&conn), 2);
            assert_eq!(conn.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)), Ok("ok".into()));
        }
    });
}

#[test]
fn every_file_of_every_connection_is_known_by_its_own_descriptor() {
    each_way(|_| {
        let folder = tempfile::tempdir().unwrap().keep().canonicalize().unwrap();
        let paths = ["a.db", "b.db"].map(|name| folder.join(name));
        // Two of one file, whose descriptors are two.
        let opened = [&paths[0], &paths[1], &paths[1]].map(|path| (writer(path, "WAL"), path));
        let mut seen = Vec::new();
        for (conn, path) in &opened {
            insert(conn).unwrap();
            let wal = path.with_extension("db-wal");
            for (file, name) in handles(conn).into_iter().zip([*path, &wal]) {
                // SAFETY: both files are open, and the shim opened them.
                let fd = unsafe { files::known(file) }.0.expect("the structure is the one we know");
                assert_eq!(&named(fd), name);
                assert!(!seen.contains(&fd), "{fd} twice in {seen:?}");
                seen.push(fd);
            }
        }
        assert_eq!((count(&opened[0].0), count(&opened[1].0)), (2, 4));
        std::fs::remove_dir_all(&folder).unwrap();
    });
}

#[test]
fn the_folder_of_a_new_wal_is_synced_with_it() {
    each_way(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let conn = Connection::open(folder.path().join("x.db")).unwrap();
        conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; CREATE TABLE t(a, b)").unwrap();
        let [_, wal] = handles(&conn);
        // SAFETY: the WAL is open, and the shim opened it; here and below.
        assert!(unsafe { files::known(wal) }.1, "nothing is synced yet");
        conn.execute_batch("PRAGMA synchronous = FULL").unwrap();
        let (result, counted) = counted(|| insert(&conn));
        result.unwrap();
        // SAFETY: as above.
        assert!(!unsafe { files::known(wal) }.1, "SQLite's own VFS has synced the folder");
        assert_eq!((counted.syncs, counted.ring_syncs), (1, u64::from(mode == SyncMode::IoUring)));
    });
}

/// A front that does nothing but wait, as its poll would, and remembers what woke it.
#[derive(Default)]
struct Front {
    turns: u32,
    woken: u32,
}

impl Front {
    fn turn(&mut self, wait: Micros) -> Go {
        self.turns += 1;
        let time = rustix::event::Timespec { tv_sec: 0, tv_nsec: wait as i64 * 1000 };
        match sync::completion_fd() {
            Some(fd) => {
                // SAFETY: the ring, which owns it, is not shut down in a turn.
                let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
                let mut watched = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
                self.woken += u32::from(rustix::event::poll(&mut watched, Some(&time)) == Ok(1));
            }
            None => std::thread::sleep(Duration::from_micros(wait)),
        }
        Go::On
    }
}

#[test]
fn the_front_has_turns_while_a_slow_disk_syncs() {
    each_way(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let conn = writer(&folder.path().join("x.db"), "WAL");
        for (woken, least) in [(false, 20), (true, 1)] {
            sync::front_is_woken(woken);
            faults::set(Faults { sync_delay_ms: 60, ..Faults::default() });
            let mut front = Front::default();
            let turn = &mut |wait| front.turn(wait);
            let begun = Instant::now();
            let ((result, counted), took) =
                turns::with_turns(&conn, Instant::now(), Micros::MAX, turn, |_| counted(|| insert(&conn)));
            result.unwrap();
            assert!(begun.elapsed() >= Duration::from_millis(60));
            assert!(counted.longest_sync_micros >= 60_000 && counted.syncs == 1, "{counted:?}");
            assert!(front.turns >= least, "{} turns", front.turns);
            assert!(took.longest_gap < 50_000, "the delay is no gap: {took:?}");
            if mode == SyncMode::IoUring {
                assert!(front.woken >= 1, "the completion ends the turn's wait");
            }
        }
        faults::set(Faults::default());
    });
}

#[test]
fn completions_that_were_seen_wake_nobody_later() {
    each_way(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let conn = writer(&folder.path().join("x.db"), "WAL");
        let mut front = Front::default();
        let turn = &mut |wait| front.turn(wait);
        turns::with_turns(&conn, Instant::now(), Micros::MAX, turn, |_| (0..20).for_each(|_| assert_eq!(insert(&conn), Ok(1))));
        assert_eq!(count(&conn), 21);
        assert_eq!(sync::completion_fd().is_some(), mode == SyncMode::IoUring);
        let Some(fd) = sync::completion_fd() else { return };
        let mut left = [0; 8];
        // SAFETY: the ring is still set up.
        let read = rustix::io::read(unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) }, &mut left);
        // The kernel may tell of a completion after it was seen.
        assert!(read == Err(rustix::io::Errno::AGAIN) || u64::from_ne_bytes(left) <= 2, "{left:?}");
    });
}

#[test]
fn a_failed_sync_fails_the_commit_and_every_sync_until_the_database_is_opened_anew() {
    for journal in ["WAL", "DELETE"] {
        each_way(|_| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x.db");
            let conn = writer(&path, journal);
            assert!(!sync::failed());
            faults::set(Faults { fail_sync_every: 1, ..Faults::default() });
            let (result, failing) = counted(|| insert(&conn));
            let error = result.expect_err("the sync failed");
            assert_eq!(error.sqlite_error_code(), Some(ErrorCode::SystemIoFailure));
            assert_eq!(error.sqlite_error().unwrap().extended_code, ffi::SQLITE_IOERR_FSYNC);
            assert!(sync::failed() && failing.failed_syncs >= 1);

            faults::set(Faults::default());
            let (result, counted) = counted(|| insert(&conn));
            assert!(result.is_err(), "the disk is well again, but what it lost is not known");
            assert_eq!(counted.syncs, 0, "the kernel is not asked");
            assert!(counted.failed_syncs >= 1);
            drop(conn);

            sync::reopened();
            let conn = writer(&path, journal);
            assert!(!sync::failed());
            insert(&conn).unwrap();
            assert_eq!(conn.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)), Ok("ok".into()));
            // The one whose sync only seemed to fail may be there or not.
            assert!((3..=4).contains(&count(&conn)), "{}", count(&conn));
        });
    }
}

#[test]
fn what_the_kernel_says_of_a_sync_in_the_ring_reaches_sqlite() {
    each_way(|mode| {
        let folder = tempfile::tempdir().unwrap();
        let conn = writer(&folder.path().join("x.db"), "WAL");
        let Some(unfit) = sync::completion_fd() else { return };
        assert_eq!(mode, SyncMode::IoUring);
        let [_, wal] = handles(&conn);
        // SAFETY: the WAL is open, and the shim opened it. An eventfd cannot be synced.
        unsafe { files::mistake(wal, unfit) };
        let error = insert(&conn).expect_err("EINVAL");
        assert_eq!(error.sqlite_error().unwrap().extended_code, ffi::SQLITE_IOERR_FSYNC);
        assert!(sync::failed());
    });
}

#[test]
fn a_failed_write_fails_its_commit_and_the_next_one_succeeds() {
    let cases = [(WriteError::Io, ErrorCode::SystemIoFailure), (WriteError::Full, ErrorCode::DiskFull)];
    for (journal, (write_error, code)) in ["WAL", "DELETE"].into_iter().flat_map(|journal| cases.map(|case| (journal, case))) {
        each_way(|_| {
            let folder = tempfile::tempdir().unwrap();
            let conn = writer(&folder.path().join("x.db"), journal);
            faults::set(Faults { fail_write_every: 2, write_error, ..Faults::default() });
            let (result, counted) = counted(|| insert(&conn));
            assert_eq!(result.expect_err("a write failed").sqlite_error_code(), Some(code), "{journal}");
            assert_eq!(counted.database_bytes, 0, "{journal}");
            faults::set(Faults::default());
            assert_eq!(count(&conn), 1, "{journal}");
            insert(&conn).unwrap();
            assert_eq!(count(&conn), 2, "{journal}");
            assert!(!sync::failed(), "a failed write is the writer's affair");
        });
    }
}
