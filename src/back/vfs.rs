//! A thin shim over SQLite's own VFS: its sleeps and syncs become turns for the front, temporary files have a quota, and what is written is
//! counted.
//!
//! The shim is a copy of the default VFS with `xSleep` and `xOpen` of our own. Files stay the default VFS's files, with our own `xWrite` and
//! `xSync`, see [`files`].
#![allow(unsafe_code)]

mod counters;
pub mod faults;
mod files;
#[cfg(test)]
mod tests;

use std::ffi::{c_char, c_int};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_vfs};

use super::turns;
use crate::job::Micros;

pub use counters::{Counters, counters};

/// The registered copy, and what it was copied from.
static SHIM: AtomicPtr<sqlite3_vfs> = AtomicPtr::new(ptr::null_mut());
static BASE: AtomicPtr<sqlite3_vfs> = AtomicPtr::new(ptr::null_mut());
/// Held while they are set: a second copy would be made from the first.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Bytes written to temporary files since the start.
pub fn temporary_bytes() -> u64 {
    counters().temporary_bytes
}

/// Time in microseconds that SQLite wanted to sleep and the front had instead.
pub fn slept_micros() -> Micros {
    counters().slept_micros
}

/// Makes the shim the default VFS; SQLite must be initialised. Called again after each initialisation, which puts its own VFS first.
///
/// # Errors
/// SQLite's code when there is no VFS, or it does not take ours.
pub fn install() -> Result<(), c_int> {
    let _alone = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut shim = SHIM.load(Relaxed);
    if shim.is_null() {
        // SAFETY: SQLite is initialised; null asks for the default VFS, which lives as long as the process.
        let base = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
        if base.is_null() {
            return Err(ffi::SQLITE_ERROR);
        }
        // SAFETY: a registered VFS is a valid, plain structure; the copy keeps its pAppData, which is all that its functions look at.
        let copy = unsafe { ptr::read(base) };
        let copy = sqlite3_vfs {
            zName: c"flagstone".as_ptr(),
            pNext: ptr::null_mut(),
            szOsFile: files::with_tail(copy.szOsFile),
            xSleep: Some(sleep),
            xOpen: Some(open),
            ..copy
        };
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
    counters::slept(micros);
    if !turns::pause(micros) {
        std::thread::sleep(std::time::Duration::from_micros(micros));
    }
    micros as c_int
}

/// xOpen: the default VFS's, then our methods on the file.
unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs, name: *const c_char, file: *mut sqlite3_file, flags: c_int, out: *mut c_int,
) -> c_int {
    // SAFETY: BASE was set by `install`, before SQLite could know this function, to a VFS that lives for ever.
    let Some(base_open) = (unsafe { (*BASE.load(Relaxed)).xOpen }) else { return ffi::SQLITE_CANTOPEN };
    // SAFETY: the arguments are SQLite's own; `vfs` is our copy, whose pAppData is the original's.
    let code = unsafe { base_open(vfs, name, file, flags, out) };
    if code == ffi::SQLITE_OK {
        // SAFETY: xOpen succeeded, so `file` is an open file with its methods set; SQLite made it as large as our copy says.
        unsafe { files::adopt(file, name, flags) };
    }
    code
}
