//! A disk that fails under a commit, and a lock that goes to somebody else while a batch is replayed.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{c_int, c_void};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_io_methods};

use super::*;
use crate::back::vfs;

const SCHEMA: &str = "CREATE TABLE t(x UNIQUE)";

fn config() -> Config {
    let mut config = Config::new();
    add(&mut config, Verb::Post, "/t", "INSERT INTO t VALUES (:x) RETURNING x", Rows::One);
    add(&mut config, Verb::Post, "/rolls", "INSERT OR ROLLBACK INTO t VALUES (:x), (:x)", Rows::Many);
    config
}

fn x(value: usize) -> Ask {
    post("/t", &format!(r#"{{"x": {value}}}"#))
}

thread_local! {
    /// What the WAL's next writes and syncs answer, and how many of them.
    static WRITES: Cell<(c_int, u32)> = const { Cell::new((ffi::SQLITE_OK, 0)) };
    static SYNCS: Cell<(c_int, u32)> = const { Cell::new((ffi::SQLITE_OK, 0)) };
    static BASE: Cell<*const sqlite3_io_methods> = const { Cell::new(std::ptr::null()) };
}

fn next(faults: &Cell<(c_int, u32)>) -> Option<c_int> {
    let (code, left) = faults.get();
    faults.set((code, left.saturating_sub(1)));
    (left > 0).then_some(code)
}

unsafe extern "C" fn write(file: *mut sqlite3_file, bytes: *const c_void, count: c_int, offset: sqlite3_int64) -> c_int {
    // SAFETY: the file's own method, with SQLite's own arguments.
    WRITES.with(next).unwrap_or_else(|| unsafe { (*BASE.get()).xWrite.unwrap()(file, bytes, count, offset) })
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: as above.
    SYNCS.with(next).unwrap_or_else(|| unsafe { (*BASE.get()).xSync.unwrap()(file, flags) })
}

/// Puts the faulty methods under the connection's WAL, which must be open.
fn make_faulty(conn: &Connection) {
    let mut file: *mut sqlite3_file = std::ptr::null_mut();
    let out: *mut *mut sqlite3_file = &mut file;
    // SAFETY: the connection is open; the operation writes one pointer.
    let code =
        unsafe { ffi::sqlite3_file_control(conn.handle(), c"main".as_ptr(), ffi::SQLITE_FCNTL_JOURNAL_POINTER, out.cast()) };
    assert_eq!(code, ffi::SQLITE_OK);
    // SAFETY: an open file's methods are a plain structure that lives for ever; the copy is leaked.
    unsafe {
        let base = (*file).pMethods;
        assert!(!base.is_null(), "the WAL is open");
        BASE.set(base);
        (*file).pMethods =
            Box::leak(Box::new(sqlite3_io_methods { xWrite: Some(write), xSync: Some(sync), ..std::ptr::read(base) }));
    }
}

fn rows(path: &Path) -> String {
    committed(path, "SELECT group_concat(x) FROM t")
}

#[test]
fn a_commit_that_fails_once_costs_everybody_a_retry_and_nobody_an_error() {
    let work = workspace!();
    for code in [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_FULL, ffi::SQLITE_NOMEM, ffi::SQLITE_IOERR_SHMSIZE] {
        let database = database(SCHEMA);
        let conn = ours(&database.path);
        let mut server = Server::new(&conn, work, config());
        server.one(x(0));
        make_faulty(&conn);
        WRITES.set((code, 1));
        let (told, commit) = server.run(&[x(1), x(2), x(2), x(3)]);
        assert!(told.iter().map(|told| told.0).eq([201, 201, 409, 201]), "{code}: {told:?}");
        assert_eq!((commit.commits, commit.replays), (3, 4), "{code}");
        assert!(commit.only_ours);
        assert_eq!(rows(&database.path), "0,1,2,3");
        // Alone there is nobody to be spared; but for memory, which is freed and tried again.
        WRITES.set((code, 1));
        let told = server.one(x(4));
        let wanted = match code {
            ffi::SQLITE_FULL => (507, "disk-full"),
            ffi::SQLITE_NOMEM => (201, r#"{"x":4}"#),
            _ => (503, "database-io"),
        };
        assert_eq!((told.0, told.1.as_str()), wanted, "{told:?}");
        assert_eq!(server.one(x(5)).0, 201, "the connection works on");
    }
}

#[test]
fn a_disk_that_stays_broken_is_told_to_everybody() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let mut server = Server::new(&conn, work, config());
    server.one(x(0));
    make_faulty(&conn);
    WRITES.set((ffi::SQLITE_FULL, u32::MAX));
    let (told, commit) = server.run(&[x(1), x(2), x(0)]);
    assert!(told.iter().map(|told| told.0).eq([507, 507, 409]), "{told:?}");
    assert_eq!(commit.commits, 0);
    WRITES.set((ffi::SQLITE_OK, 0));
    assert_eq!(rows(&database.path), "0");
    assert_eq!(server.one(x(1)).0, 201);
}

#[test]
fn a_failed_sync_is_the_end_of_the_connection() {
    let work = workspace!();
    for count in [1, 4] {
        let database = database(SCHEMA);
        let conn = ours(&database.path);
        let mut server = Server::new(&conn, work, config());
        server.one(x(0));
        make_faulty(&conn);
        SYNCS.set((ffi::SQLITE_IOERR_FSYNC, 1));
        let asked: Vec<Ask> = (0..count).map(|number| x(if count == 1 { 1 } else { number })).collect();
        let mut batch = server.batch(&asked);
        assert_eq!(server.write(&mut batch), BatchEnd::Lost);
        let told = server.told(&batch);
        let uncertain = told.iter().filter(|told| (told.0, told.1.as_str()) == (503, "write-uncertain")).count();
        assert_eq!(uncertain, if count == 1 { 1 } else { 3 }, "{told:?}");
        assert!(count == 1 || told[0].1 == "later", "who was refused beside them is tried again");
        drop(server);
        drop(conn);
        // Opened anew it is whole: all of them are there, or none.
        let rows = rows(&database.path);
        assert!(["0", "0,1", "0,1,2,3"].contains(&rows.as_str()), "{rows}");
        let conn = ours(&database.path);
        let mut server = Server::new(&conn, work, config());
        assert_eq!(server.one(x(9)).0, 201);
    }
}

#[test]
fn a_deadline_that_passes_during_a_commit_takes_nothing_back() {
    let work = workspace!();
    // Any connection initialises SQLite, which the shim wants.
    drop(Connection::open_in_memory().unwrap());
    vfs::install().unwrap();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let mut server = Server::new(&conn, work, config());
    vfs::faults::set(vfs::faults::Faults { sync_delay_ms: 2, ..Default::default() });
    let (mut done, mut late) = (0, 0);
    // SQLite calls the progress handler once in 1,000 steps of all of a statement's runs, also at its very end. A COMMIT takes three,
    // and in its 1,000th run that end is behind the sync.
    for number in 0..1010 {
        match server.one(x(number).within(1500)) {
            (201, ..) => done += 1,
            (504, ..) => late += 1,
            other => panic!("{other:?}"),
        }
    }
    vfs::faults::set(vfs::faults::Faults::default());
    assert!(done > 500, "{done} done, {late} late: each is done before its sync, and late after it");
    assert_eq!(committed(&database.path, "SELECT CAST(count(*) AS TEXT) FROM t"), done.to_string());
}

/// Called when a transaction has been rolled back and its lock is free: the other connection takes it.
unsafe extern "C" fn take_lock(other: *mut c_void) {
    // SAFETY: the test registered a connection that outlives the hook's.
    let other = unsafe { &*other.cast_const().cast::<Connection>() };
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
}

#[test]
fn a_lock_that_is_lost_before_the_replays_puts_the_rest_back() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let other = other(&database.path);
    let mut server = Server::new(&conn, work, config());
    let pointer: *const Connection = &other;
    // SAFETY: the hook is taken off before `other` goes.
    unsafe { ffi::sqlite3_rollback_hook(conn.handle(), Some(take_lock), pointer.cast_mut().cast()) };
    let rolls = post("/rolls", r#"{"x": 1}"#);
    let (told, commit) = server.run(&[x(1), rolls, x(2)]);
    // SAFETY: no hook is always allowed.
    unsafe { ffi::sqlite3_rollback_hook(conn.handle(), None, std::ptr::null_mut()) };
    let short: Vec<(u16, &str)> = told.iter().map(|told| (told.0, told.1.as_str())).collect();
    assert_eq!(short, [(0, "later"), (409, "constraint-unique"), (0, "later")]);
    assert_eq!(commit.commits, 0);
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(rows(&database.path), "");
    assert_eq!(server.one(x(1)).0, 201);
}
