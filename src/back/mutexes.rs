//! SQLite's mutexes for a process in which one thread uses it: each sees that it is that thread, and locks nothing.
//!
//! SQLite takes a mutex around each allocation and each page that it looks up: twenty of them for one row by its key, two atomic operations
//! each. Its own mode without mutexes would do, but rusqlite refuses a library in that mode, since it cannot know of threads. Here a second
//! thread ends the process before it can do harm.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rusqlite::ffi::{self, sqlite3_mutex, sqlite3_mutex_methods};

thread_local! {
    /// Its address tells threads apart.
    static HERE: u8 = const { 0 };
}

/// The thread that may use SQLite: the one that called [`install`] last.
static OWNER: AtomicUsize = AtomicUsize::new(0);
/// What every mutex points to; nobody reads it.
static MUTEX: u64 = 0;

static METHODS: sqlite3_mutex_methods = sqlite3_mutex_methods {
    xMutexInit: Some(begin),
    xMutexEnd: Some(begin),
    xMutexAlloc: Some(alloc),
    xMutexFree: Some(leave),
    xMutexEnter: Some(enter),
    xMutexTry: Some(try_enter),
    xMutexLeave: Some(leave),
    xMutexHeld: None,
    xMutexNotheld: None,
};

/// Gives SQLite these mutexes for the calling thread; between `sqlite3_shutdown` and `sqlite3_initialize`. SQLite's code.
pub fn install() -> c_int {
    OWNER.store(here(), Relaxed);
    // SAFETY: SQLite is not initialised (the caller's contract, which SQLite's own checks back up); it copies the methods.
    unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_MUTEX, &raw const METHODS) }
}

fn here() -> usize {
    HERE.with(|here| std::ptr::from_ref(here).addr())
}

unsafe extern "C" fn begin() -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn alloc(_: c_int) -> *mut sqlite3_mutex {
    (&raw const MUTEX).cast_mut().cast()
}

unsafe extern "C" fn enter(_: *mut sqlite3_mutex) {
    if here() != OWNER.load(Relaxed) {
        // Two threads in SQLite without a lock between them is what must never be; nothing can be told from within C.
        std::process::abort();
    }
}

unsafe extern "C" fn try_enter(mutex: *mut sqlite3_mutex) -> c_int {
    // SAFETY: as SQLite called this.
    unsafe { enter(mutex) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn leave(_: *mut sqlite3_mutex) {}
