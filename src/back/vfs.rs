//! A thin shim over SQLite's own VFS: its sleeps become turns for the front, and temporary files have a quota and are counted.
//!
//! The shim is a copy of the default VFS with `xSleep` and `xOpen` of our own. Files stay the default VFS's files; those that
//! SQLite deletes at close get a copy of their method table with an `xWrite` of our own in it.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs};

use super::turns;
use crate::budget::TEMP_FILE_BYTES;
use crate::job::Micros;

/// The registered copy, and what it was copied from.
static SHIM: AtomicPtr<sqlite3_vfs> = AtomicPtr::new(ptr::null_mut());
static BASE: AtomicPtr<sqlite3_vfs> = AtomicPtr::new(ptr::null_mut());
/// The method table of temporary files, and what it was copied from. All temporary files have the same one: they are never locked.
static TEMP_METHODS: AtomicPtr<sqlite3_io_methods> = AtomicPtr::new(ptr::null_mut());
static TEMP_BASE: AtomicPtr<sqlite3_io_methods> = AtomicPtr::new(ptr::null_mut());
static TEMP_WRITTEN: AtomicU64 = AtomicU64::new(0);
static SLEPT: AtomicU64 = AtomicU64::new(0);

/// Bytes written to temporary files since the start.
pub fn temporary_bytes() -> u64 {
    TEMP_WRITTEN.load(Relaxed)
}

/// Time in microseconds that SQLite wanted to sleep and the front had instead.
pub fn slept_micros() -> Micros {
    SLEPT.load(Relaxed)
}

/// Makes the shim the default VFS; SQLite must be initialised. Called again after each initialisation, which puts its own VFS first.
///
/// # Errors
/// SQLite's code when there is no VFS, or it does not take ours.
pub fn install() -> Result<(), c_int> {
    let mut shim = SHIM.load(Relaxed);
    if shim.is_null() {
        // SAFETY: SQLite is initialised; null asks for the default VFS, which lives as long as the process.
        let base = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
        if base.is_null() {
            return Err(ffi::SQLITE_ERROR);
        }
        // SAFETY: a registered VFS is a valid, plain structure; the copy keeps its pAppData, which is all that its functions look at.
        let copy = unsafe { ptr::read(base) };
        let copy =
            sqlite3_vfs { zName: c"flagstone".as_ptr(), pNext: ptr::null_mut(), xSleep: Some(sleep), xOpen: Some(open), ..copy };
        shim = Box::into_raw(Box::new(copy));
        BASE.store(base, Relaxed);
        SHIM.store(shim, Relaxed);
    }
    // SAFETY: the structure lives for ever; registering it again only moves it to the front.
    match unsafe { ffi::sqlite3_vfs_register(shim, 1) } {
        ffi::SQLITE_OK => Ok(()),
        code => Err(code),
    }
}

/// xSleep: the front has the time, in this job's turns; without a job (at start) it is a sleep.
unsafe extern "C" fn sleep(_: *mut sqlite3_vfs, micros: c_int) -> c_int {
    let micros = micros.max(0) as Micros;
    SLEPT.fetch_add(micros, Relaxed);
    if !turns::pause(micros) {
        std::thread::sleep(std::time::Duration::from_micros(micros));
    }
    micros as c_int
}

/// xOpen: the default VFS's, then our method table where the file is a temporary one.
unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs, name: *const c_char, file: *mut sqlite3_file, flags: c_int, out: *mut c_int,
) -> c_int {
    // SAFETY: BASE was set by `install`, before SQLite could know this function, to a VFS that lives for ever.
    let Some(base_open) = (unsafe { (*BASE.load(Relaxed)).xOpen }) else { return ffi::SQLITE_CANTOPEN };
    // SAFETY: the arguments are SQLite's own; `vfs` is our copy, whose pAppData is the original's.
    let code = unsafe { base_open(vfs, name, file, flags, out) };
    if code == ffi::SQLITE_OK && flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0 {
        // SAFETY: xOpen succeeded, so `file` is an open file with its methods set.
        unsafe { watch(file) };
    }
    code
}

/// Exchanges a temporary file's method table for our copy of it.
///
/// # Safety
/// `file` is open.
unsafe fn watch(file: *mut sqlite3_file) {
    // SAFETY: the caller's promise.
    let methods = unsafe { (*file).pMethods };
    if methods.is_null() {
        return;
    }
    if TEMP_METHODS.load(Relaxed).is_null() {
        // SAFETY: an open file's method table is a valid, plain structure that lives for ever.
        let copy = sqlite3_io_methods { xWrite: Some(write), ..unsafe { ptr::read(methods) } };
        TEMP_BASE.store(methods.cast_mut(), Relaxed);
        TEMP_METHODS.store(Box::into_raw(Box::new(copy)), Relaxed);
    }
    // A temporary file of another kind keeps its own methods: uncounted rather than wrong.
    if ptr::eq(TEMP_BASE.load(Relaxed), methods) {
        // SAFETY: the caller's promise; the copy differs from the table it replaces in xWrite alone.
        unsafe { (*file).pMethods = TEMP_METHODS.load(Relaxed) };
    }
}

/// xWrite of temporary files: the default VFS's within the quota, "disk full" beyond it.
unsafe extern "C" fn write(file: *mut sqlite3_file, bytes: *const c_void, count: c_int, offset: sqlite3_int64) -> c_int {
    if offset.saturating_add(i64::from(count)) > TEMP_FILE_BYTES as i64 {
        return ffi::SQLITE_FULL;
    }
    TEMP_WRITTEN.fetch_add(count.max(0) as u64, Relaxed);
    // SAFETY: TEMP_BASE was set before this function could be reached, to a table that lives for ever.
    let Some(base_write) = (unsafe { (*TEMP_BASE.load(Relaxed)).xWrite }) else { return ffi::SQLITE_IOERR_WRITE };
    // SAFETY: the arguments are SQLite's own, for a file that the default VFS opened.
    unsafe { base_write(file, bytes, count, offset) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Go;
    use rusqlite::Connection;
    use std::time::Instant;

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
}
