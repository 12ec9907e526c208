//! The files that the shim opens: the default VFS's, each with a method table of ours and a few words of ours behind it.
//!
//! A table is a copy of the one that the default VFS gave the file, with `xRead`, `xWrite` and `xSync` exchanged, so locks, shared memory and file
//! controls stay what they were and get the structure that they know. What the two need to know of a file stands in the same allocation:
//! the shim asks SQLite for a larger structure than the default VFS does, so nothing is looked up and nothing allocated.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::fd::{BorrowedFd, RawFd};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs};
use rustix::fs::{fstat, stat};

use super::super::{sync, turns};
use super::{counters, faults};
use crate::budget::TEMP_FILE_BYTES;
use crate::job::Micros;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The database.
    Database,
    /// Its write-ahead log.
    Wal,
    /// A rollback journal, or the one that names several.
    Journal,
    /// What SQLite deletes when it closes it.
    Temporary,
}

impl Kind {
    fn of(flags: c_int) -> Kind {
        const JOURNALS: c_int = ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL;
        match flags {
            _ if flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0 => Kind::Temporary,
            _ if flags & ffi::SQLITE_OPEN_MAIN_DB != 0 => Kind::Database,
            _ if flags & ffi::SQLITE_OPEN_WAL != 0 => Kind::Wal,
            _ if flags & JOURNALS != 0 => Kind::Journal,
            _ => Kind::Temporary,
        }
    }
}

/// A method table of the default VFS and our copy of it.
struct Methods {
    base: &'static sqlite3_io_methods,
    copy: sqlite3_io_methods,
}

/// A table for each of SQLite's locking styles that Linux has: POSIX locks, none, a lock file. A file of a fifth would keep its own: plain
/// and uncounted rather than wrong.
static TABLES: [OnceLock<Methods>; 4] = [const { OnceLock::new() }; 4];

fn table(base: &'static sqlite3_io_methods) -> Option<&'static Methods> {
    let copy = sqlite3_io_methods { xRead: Some(read), xWrite: Some(write), xSync: Some(sync_file), ..*base };
    TABLES.iter().map(|place| place.get_or_init(|| Methods { base, copy })).find(|methods| ptr::eq(methods.base, base))
}

// SQLite's files stand at multiples of 8.
const _: () = assert!(align_of::<Tail>() <= 8);

/// What stands behind the default VFS's structure of a file.
#[derive(Clone, Copy)]
struct Tail {
    base: &'static sqlite3_io_methods,
    /// The file's descriptor, if it is known beyond doubt.
    fd: Option<RawFd>,
    kind: Kind,
    /// The file may be new, so SQLite's first sync of it is to sync its folder too.
    folder: bool,
}

/// How SQLite's unix VFS begins its structure of a file, `unixFile` in os_unix.c. It has no other way to a file's descriptor: nothing public
/// tells it, /proc/self/fd cannot tell two descriptors of one file apart, and opening the file anew would lose SQLite's locks on it when it is
/// closed. The version of SQLite is pinned; and [`descriptor`] believes no descriptor that is not this very file, so a structure that has
/// changed costs the turns, not the data.
#[repr(C)]
struct UnixFile {
    methods: *const sqlite3_io_methods,
    vfs: *mut sqlite3_vfs,
    inode: *mut c_void,
    h: c_int,
}

/// Where the tail begins: behind the default VFS's structure.
static TAIL_AT: AtomicUsize = AtomicUsize::new(0);

/// The size of a file's structure with our tail, from the size that the default VFS asks for.
pub(super) fn with_tail(base_bytes: c_int) -> c_int {
    let at = (base_bytes.max(0) as usize).max(size_of::<UnixFile>()).next_multiple_of(align_of::<Tail>());
    TAIL_AT.store(at, Relaxed);
    (at + size_of::<Tail>()) as c_int
}

/// # Safety
/// `file` has the size that [`with_tail`] gave.
unsafe fn tail(file: *mut sqlite3_file) -> *mut Tail {
    // SAFETY: the caller's promise.
    unsafe { file.cast::<u8>().add(TAIL_AT.load(Relaxed)).cast() }
}

/// Puts our methods on a file that was opened.
///
/// # Safety
/// `file` has the size that the shim asks for and was opened by the default VFS, with `name` and `flags`.
pub(super) unsafe fn adopt(file: *mut sqlite3_file, name: *const c_char, flags: c_int) {
    // SAFETY: an open file's method table lives for ever.
    let Some(base) = (unsafe { (*file).pMethods.as_ref::<'static>() }) else { return };
    let Some(methods) = table(base) else { return };
    let kind = Kind::of(flags);
    // SAFETY: the caller's promise.
    let fd = if kind == Kind::Temporary { None } else { unsafe { descriptor(file, name) } };
    let folder = flags & ffi::SQLITE_OPEN_CREATE != 0 && matches!(kind, Kind::Wal | Kind::Journal);
    // SAFETY: the caller's promise; the place is aligned, as SQLite's allocations and its files within them are, to 8.
    unsafe { tail(file).write(Tail { base, fd, kind, folder }) };
    // SAFETY: the copy differs from the table it replaces in three functions, for which the tail is there.
    unsafe { (*file).pMethods = &methods.copy };
}

/// The descriptor of an open file, if what SQLite's structure names is the file that bears the name.
///
/// # Safety
/// As [`adopt`].
unsafe fn descriptor(file: *mut sqlite3_file, name: *const c_char) -> Option<RawFd> {
    if name.is_null() {
        return None;
    }
    // SAFETY: the default VFS's structure is at least so large, see `with_tail`, and an int may hold anything.
    let fd = unsafe { (*file.cast::<UnixFile>()).h };
    // SAFETY: the name is a C string that SQLite made.
    let named = stat(unsafe { CStr::from_ptr(name) }).ok()?;
    if fd < 0 {
        return None;
    }
    // SAFETY: only asked what it is; if it is no descriptor the kernel says so.
    let opened = fstat(unsafe { BorrowedFd::borrow_raw(fd) }).ok()?;
    ((named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)).then_some(fd)
}

/// xRead: the default VFS's, but for drills. A slow read gives the front its turns; where there are none to give, it is not slow.
unsafe extern "C" fn read(file: *mut sqlite3_file, into: *mut c_void, count: c_int, offset: sqlite3_int64) -> c_int {
    // SAFETY: this method is on files that `adopt` has given their tail.
    let Tail { base, kind, .. } = unsafe { *tail(file) };
    if kind != Kind::Temporary {
        let (delay_ms, fails) = faults::next_read();
        if delay_ms > 0 {
            turns::pause(Micros::from(delay_ms) * 1000);
        }
        if let Some(code) = fails {
            return code;
        }
    }
    let Some(base_read) = base.xRead else { return ffi::SQLITE_IOERR_READ };
    // SAFETY: the arguments are SQLite's own, for a file that the default VFS opened.
    unsafe { base_read(file, into, count, offset) }
}

/// xWrite: the default VFS's, counted; for temporary files within the quota, "disk full" beyond it.
unsafe extern "C" fn write(file: *mut sqlite3_file, bytes: *const c_void, count: c_int, offset: sqlite3_int64) -> c_int {
    // SAFETY: this method is on files that `adopt` has given their tail.
    let Tail { base, kind, .. } = unsafe { *tail(file) };
    if kind == Kind::Temporary && offset.saturating_add(i64::from(count)) > TEMP_FILE_BYTES as i64 {
        return ffi::SQLITE_FULL;
    }
    if let Some(code) = faults::next_write() {
        return code;
    }
    let Some(base_write) = base.xWrite else { return ffi::SQLITE_IOERR_WRITE };
    // SAFETY: the arguments are SQLite's own, for a file that the default VFS opened.
    let code = unsafe { base_write(file, bytes, count, offset) };
    if code == ffi::SQLITE_OK {
        counters::wrote(kind, count.max(0) as u64);
    }
    code
}

/// xSync: by the ring where there is one, while the front has its turns; else the default VFS's. A failure is for good, see [`sync::failed`].
unsafe extern "C" fn sync_file(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: this method is on files that `adopt` has given their tail.
    let Tail { base, fd, folder, .. } = unsafe { *tail(file) };
    if sync::failed() {
        counters::refused();
        return ffi::SQLITE_IOERR_FSYNC;
    }
    let began = Instant::now();
    let (delay_ms, fails) = faults::next_sync();
    let by_ring = fd.and_then(|fd| sync::data(fd, delay_ms));
    let mut code = match by_ring {
        // SQLite's VFS syncs the folder with the file, once, and knows how; the file's data is on the disk by now.
        Some(Ok(())) if !folder => ffi::SQLITE_OK,
        Some(Err(_)) => ffi::SQLITE_IOERR_FSYNC,
        plain => {
            if plain.is_none() && delay_ms > 0 {
                delay(Duration::from_millis(delay_ms.into()));
            }
            // SAFETY: the arguments are SQLite's own, for a file that the default VFS opened.
            base.xSync.map_or(ffi::SQLITE_IOERR_FSYNC, |base_sync| unsafe { base_sync(file, flags) })
        }
    };
    if fails {
        code = ffi::SQLITE_IOERR_FSYNC;
    }
    if code == ffi::SQLITE_OK {
        // SAFETY: as above; nobody else has a reference to it.
        unsafe { (*tail(file)).folder = false };
    } else {
        sync::fail();
    }
    counters::synced(began.elapsed().as_micros() as Micros, by_ring.is_some(), code != ffi::SQLITE_OK);
    code
}

/// Lets a plain sync take longer, in turns for the front where there are any.
fn delay(by: Duration) {
    let end = Instant::now() + by;
    if !turns::pause_until(1000, || Instant::now() >= end) {
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
    }
}

/// The descriptor that the shim knows of a file, and whether SQLite's VFS has yet to sync its folder.
///
/// # Safety
/// The file is open, and the shim opened it.
#[cfg(test)]
pub(super) unsafe fn known(file: *mut sqlite3_file) -> (Option<RawFd>, bool) {
    /// `ctrlFlags` stands behind the descriptor and a byte for the lock.
    const CONTROL: usize = std::mem::offset_of!(UnixFile, h) + size_of::<c_int>() + 2;
    const DIRSYNC: u16 = 8;
    // SAFETY: the caller's promise; the default VFS's structure goes on behind what we know of it.
    unsafe { ((*tail(file)).fd, file.cast::<u8>().add(CONTROL).cast::<u16>().read() & DIRSYNC != 0) }
}

/// Lets the shim believe in another descriptor of a file.
///
/// # Safety
/// As [`known`].
#[cfg(test)]
pub(super) unsafe fn mistake(file: *mut sqlite3_file, fd: RawFd) {
    // SAFETY: the caller's promise; nobody else has a reference to the tail.
    unsafe { (*tail(file)).fd = Some(fd) };
}
