//! Which state the database is in, read without a query: the back's half of cache coherence.
//!
//! In WAL mode every commit, by whichever process, changes the wal-index header; it is read from SQLite's own mapping. Outside of it every
//! commit changes the counter in the database's header; it is read through SQLite's own file handle. Nothing here opens or closes any of
//! the database's files: that would take SQLite's locks on them away.
//!
//! A stamp must not be newer than the rows that it is put on. In WAL mode it is read *before* their read transaction begins; outside of it
//! *within* that transaction, whose SHARED lock keeps every commit out. The two functions refuse to be called at the other's time.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::thread::{self, ThreadId};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ffi};

use super::statement::Statement;
use crate::job::{Current, Stamp, StampMode};
use crate::ops::system::Wal;

/// 64-bit words in one copy of the wal-index header.
const WORDS: usize = 6;
/// Bytes in a region of the wal-index, the same in every build of SQLite (WALINDEX_PGSZ).
const REGION_BYTES: c_int = 32 * 1024;
/// The database that this connection has opened.
const MAIN: &CStr = c"main";

/// Where the checkpoints' record begins, in words: nBackfill and five read marks of 32 bits each (walformat, "WAL-Index Header").
const CHECKPOINTS: usize = 2 * WORDS;

/// Both copies of the wal-index header, as other processes write them: copy 1 first, a barrier, then copy 0. Behind them, how far
/// checkpoints and readers are.
type Headers = [AtomicU64; CHECKPOINTS + 3];

/// Where the state's name is read.
#[derive(Clone, Copy)]
enum Source {
    /// Nowhere any more: the connection is closed, or about to be.
    Closed,
    /// Nowhere: the mode is not known, or is one that tells nothing.
    Unknown,
    /// In SQLite's mapping of the wal-index.
    Wal(NonNull<Headers>),
    /// In the database's header, by SQLite's handle.
    Rollback(NonNull<ffi::sqlite3_file>),
    /// Nobody may write.
    Constant,
}

/// A generation for each opening, and for each change that was seen: the numbers of one connection are never another's.
static GENERATIONS: AtomicU64 = AtomicU64::new(0);

fn next_generation() -> u64 {
    GENERATIONS.fetch_add(1, Ordering::Relaxed)
}

/// What back and front share of one connection.
struct Shared {
    source: Cell<Source>,
    /// What was read last. A header may come back as it was (recovery sets its counter to 0, a rollback takes a counter back):
    /// each change that was seen begins a generation, so a name never comes back.
    seen: Cell<(StampMode, [u64; WORDS])>,
    generation: Cell<u64>,
    /// The one thread that may close the connection.
    thread: ThreadId,
}

impl Shared {
    fn new() -> Shared {
        Shared {
            source: Cell::new(Source::Unknown),
            seen: Cell::new((StampMode::Constant, [0; WORDS])),
            generation: Cell::new(next_generation()),
            thread: thread::current().id(),
        }
    }

    fn name(&self, mode: StampMode, words: [u64; WORDS]) -> Stamp {
        if self.seen.get() != (mode, words) {
            self.seen.set((mode, words));
            self.generation.set(next_generation());
        }
        Stamp::new(mode, self.generation.get(), words)
    }

    /// Both copies, when they agree and are in use: then no commit is half-way.
    fn whole(&self, headers: NonNull<Headers>) -> Option<Stamp> {
        let first = load(headers, 0);
        // SQLite writes copy 1 before copy 0, so they are read the other way round.
        fence(Ordering::Acquire);
        let second = load(headers, 1);
        fence(Ordering::Acquire);
        let initialized = first[1].to_ne_bytes()[4] != 0;
        (first == second && initialized).then(|| self.name(StampMode::Wal, first))
    }
}

impl Current for Shared {
    fn current(&self) -> Option<Stamp> {
        match self.source.get() {
            Source::Closed | Source::Unknown => None,
            Source::Wal(headers) => {
                // What told us to look (a request's bytes) came before what we see.
                fence(Ordering::Acquire);
                // Copy 0 is the last to be written: a commit that has finished is in it. Half-written it differs from all stamps.
                Some(self.name(StampMode::Wal, load(headers, 0)))
            }
            Source::Rollback(file) => counter(file).map(|words| self.name(StampMode::Rollback, words)),
            Source::Constant => Some(self.name(StampMode::Constant, [0; WORDS])),
        }
    }

    fn wal(&self) -> Option<Wal> {
        let Source::Wal(headers) = self.source.get() else { return None };
        let frames = Stamp::new(StampMode::Wal, 0, load(headers, 0)).wal_frames();
        let [copied, first, second, third, fourth, fifth] = checkpoints(headers);
        Some(Wal { frames, copied, marks: [first, second, third, fourth, fifth] })
    }
}

/// One copy of the header; torn where a writer is at work.
fn load(headers: NonNull<Headers>, copy: usize) -> [u64; WORDS] {
    // SAFETY: `Snapshot::map` got the address from SQLite, which keeps the region mapped until the connection closes, and `revoke` takes
    // it out of every hand before that. It is page-aligned, 32 KiB long, and everybody writes it in place, so atomics are the way to read it.
    let headers = unsafe { headers.as_ref() };
    let mut words = [0; WORDS];
    for (word, shared) in words.iter_mut().zip(&headers[copy * WORDS..]) {
        *word = shared.load(Ordering::Relaxed);
    }
    words
}

/// nBackfill and the read marks; each is one that somebody wrote, and together they need not be of one moment.
fn checkpoints(headers: NonNull<Headers>) -> [u32; 6] {
    // SAFETY: as in `load`.
    let headers = unsafe { headers.as_ref() };
    let mut fields = [0; 6];
    for (pair, shared) in fields.chunks_exact_mut(2).zip(&headers[CHECKPOINTS..]) {
        let bytes = shared.load(Ordering::Relaxed).to_ne_bytes();
        let [a, b, c, d, e, f, g, h] = bytes;
        pair.copy_from_slice(&[u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h])]);
    }
    fields
}

/// The change counter and the format versions; `None` when they say that the mode is not rollback, or cannot be read.
fn counter(file: NonNull<ffi::sqlite3_file>) -> Option<[u64; WORDS]> {
    // Bytes 16 to 32, so that the counter at 24 is copied by the kernel as part of one aligned word and does not tear.
    const FIRST: usize = 16;
    let mut head = [0_u64; 2];
    // SAFETY: the address came from SQLite and stays an open file until the connection closes; `revoke` runs before that.
    let methods = unsafe { (*file.as_ptr()).pMethods };
    // SAFETY: a method table lives as long as the process; null, for a file that is not open, gives `None`.
    let read = unsafe { methods.as_ref() }?.xRead?;
    // SAFETY: the file is open, as above; `head` has room for 16 bytes. xRead takes no lock and closes nothing.
    let code = unsafe { read(file.as_ptr(), head.as_mut_ptr().cast(), size_of_val(&head) as c_int, FIRST as i64) };
    let version = head[0].to_ne_bytes();
    let rollback = version[18 - FIRST] == 1 && version[19 - FIRST] == 1;
    // The counter, and the size in pages beside it.
    (code == ffi::SQLITE_OK && rollback).then(|| [head[1], 0, 0, 0, 0, 0])
}

/// Taken by SQLite when it closes the connection, before it unmaps or closes anything.
unsafe extern "C" fn revoke(shared: *mut c_void) {
    let shared = shared.cast_const().cast::<Shared>();
    // SAFETY: `Snapshot::new` gave the connection this pointer with a count of its own; the field never changes.
    if unsafe { (*shared).thread } != thread::current().id() {
        // Handles that another thread may be reading from cannot be taken back.
        std::process::abort();
    }
    // SAFETY: as above; SQLite calls this once, so the count is given back once.
    let shared = unsafe { Rc::from_raw(shared) };
    shared.source.set(Source::Closed);
}

/// The back's way to the names of the states of one connection's database.
pub struct Snapshot<'c> {
    conn: &'c Connection,
    shared: Rc<Shared>,
}

impl<'c> Snapshot<'c> {
    /// Names nothing before [`Snapshot::examine`]. A second one for the same connection puts the first out of use. Connections with one
    /// must be closed by the thread that made it: the process aborts otherwise.
    pub fn new(conn: &'c Connection) -> Snapshot<'c> {
        let shared = Rc::new(Shared::new());
        let counted = Rc::into_raw(Rc::clone(&shared)).cast_mut().cast();
        // SAFETY: the connection is open. SQLite calls `revoke` with the pointer once: when it closes, at a second call, or now, when
        // there is no memory; so the pointers in `source` are gone before they dangle, even if this snapshot is leaked.
        let code = unsafe { ffi::sqlite3_set_clientdata(conn.handle(), c"flagstone".as_ptr(), counted, Some(revoke)) };
        if code != ffi::SQLITE_OK {
            log::error!("no cache: SQLite has no memory for the connection's record");
        }
        Snapshot { conn, shared }
    }

    /// What the front compares; it stays valid when the mode changes, and says `None` for ever when the connection is closed.
    pub fn freshness(&self) -> Rc<dyn Current> {
        self.shared.clone()
    }

    /// Whether there is something to find out: the mode is unknown, or not any more what it was.
    pub fn is_lost(&self) -> bool {
        self.shared.current().is_none()
    }

    /// Finds out where the state's name is read. Call it outside of transactions, after a read: SQLite learns the mode from one.
    pub fn examine(&self) {
        if !matches!(self.shared.source.get(), Source::Closed) {
            self.shared.source.set(self.find().unwrap_or(Source::Unknown));
        }
    }

    /// Whether rows need a transaction around them so that [`Snapshot::within`] can be asked.
    pub fn needs_transaction(&self) -> bool {
        matches!(self.shared.source.get(), Source::Rollback(_))
    }

    /// Whether jobs may share a read transaction: elsewhere it would keep writers out.
    pub fn is_shareable(&self) -> bool {
        matches!(self.shared.source.get(), Source::Wal(_) | Source::Constant)
    }

    /// The stamp for rows whose read transaction has yet to begin; `None` within one, at a commit, and outside of WAL mode.
    pub fn before(&self) -> Option<Stamp> {
        match self.shared.source.get() {
            Source::Wal(headers) if self.transaction() == ffi::SQLITE_TXN_NONE => self.shared.whole(headers),
            Source::Constant => self.shared.current(),
            _ => None,
        }
    }

    /// The stamp for rows whose read transaction has begun and not ended; `None` when there is none, and in WAL mode.
    pub fn within(&self) -> Option<Stamp> {
        match self.shared.source.get() {
            Source::Rollback(_) if self.transaction() == ffi::SQLITE_TXN_READ => self.shared.current(),
            _ => None,
        }
    }

    /// The state's name under our own write lock, which keeps every other commit out; `None` without it, and outside of WAL mode.
    pub fn locked(&self) -> Option<Stamp> {
        match self.shared.source.get() {
            Source::Wal(headers) if self.transaction() == ffi::SQLITE_TXN_WRITE => self.shared.whole(headers),
            _ => None,
        }
    }

    fn transaction(&self) -> c_int {
        // SAFETY: the connection is open, and the name is a C string.
        unsafe { ffi::sqlite3_txn_state(self.conn.handle(), MAIN.as_ptr()) }
    }

    fn find(&self) -> Option<Source> {
        if self.promised_immutable() {
            return Some(Source::Constant);
        }
        let file = self.file()?;
        match (self.pragma_is("PRAGMA journal_mode", b"wal"), self.pragma_is("PRAGMA locking_mode", b"normal")) {
            // On any other connection asking for the wal-index would create a -shm.
            (Some(true), Some(true)) => Self::map(file).map(Source::Wal),
            (Some(false), _) => Some(Source::Rollback(file)),
            _ => None,
        }
    }

    /// Whether the path said `immutable=1`. A file system that is mounted read-only promises less: others may write to it elsewhere.
    fn promised_immutable(&self) -> bool {
        // SAFETY: the connection is open, and the name is a C string.
        let path = unsafe { ffi::sqlite3_db_filename(self.conn.handle(), MAIN.as_ptr()) };
        // SAFETY: the path is one that SQLite made, which is what this function asks for; null is allowed.
        let immutable = unsafe { ffi::sqlite3_uri_boolean(path, c"immutable".as_ptr(), 0) };
        immutable != 0
    }

    /// SQLite's handle of the database's file; `None` for a database in memory.
    fn file(&self) -> Option<NonNull<ffi::sqlite3_file>> {
        let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
        let out: *mut *mut ffi::sqlite3_file = &mut file;
        // SAFETY: the connection is open; this operation writes one pointer to `out`.
        let code =
            unsafe { ffi::sqlite3_file_control(self.conn.handle(), MAIN.as_ptr(), ffi::SQLITE_FCNTL_FILE_POINTER, out.cast()) };
        let file = NonNull::new(file).filter(|_| code == ffi::SQLITE_OK)?;
        // SAFETY: the pointer came from SQLite just now, so the structure is there, open or not.
        let methods = unsafe { (*file.as_ptr()).pMethods };
        (!methods.is_null()).then_some(file)
    }

    /// The wal-index's headers. Never extends the file; `None` when SQLite has built an index of its own in memory, because
    /// the -shm may not be written and nobody else keeps it.
    fn map(file: NonNull<ffi::sqlite3_file>) -> Option<NonNull<Headers>> {
        // SAFETY: the file is open, so its methods are a valid table that lives as long as the process.
        let methods = unsafe { (*file.as_ptr()).pMethods.as_ref() }?;
        let map = methods.xShmMap.filter(|_| methods.iVersion >= 2)?;
        let mut region: *mut c_void = ptr::null_mut();
        // SAFETY: the connection is in WAL mode and has the region mapped already; the arguments are those that SQLite itself passes.
        let code = unsafe { map(file.as_ptr(), 0, REGION_BYTES, 0, &mut region) };
        let mapped = matches!(code, ffi::SQLITE_OK | ffi::SQLITE_READONLY);
        NonNull::new(region.cast::<Headers>()).filter(|headers| mapped && headers.is_aligned())
    }

    /// Whether a pragma's answer is `word`.
    fn pragma_is(&self, pragma: &str, word: &[u8]) -> Option<bool> {
        let mut statement = Statement::prepare(self.conn, pragma).ok()?;
        let mut rows = statement.rows();
        let row = rows.next().ok()??;
        Some(row.value(0) == ValueRef::Text(word))
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        self.shared.source.set(Source::Closed);
    }
}
