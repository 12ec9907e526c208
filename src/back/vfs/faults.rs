//! Faults on demand, for tests and drills: slow or failed syncs, reads and writes. Off unless somebody sets them; the files stay whole.
//!
//! They are of the thread that sets them, which is the one that uses SQLite.

use std::cell::Cell;
use std::ffi::c_int;
use std::time::{Duration, Instant};

use rusqlite::ffi;

use crate::job;

/// What goes wrong; the default is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Every sync takes this much longer, in milliseconds.
    pub sync_delay_ms: u32,
    /// Every so many syncs one fails with an I/O error; 0 is never. The data is synced all the same.
    pub fail_sync_every: u32,
    /// Every so many writes one fails, whatever the file; 0 is never. Nothing of it is written.
    pub fail_write_every: u32,
    /// How writes fail.
    pub write_error: WriteError,
    /// Every read of a file that is not temporary takes this much longer, in milliseconds.
    pub read_delay_ms: u32,
    /// Every so many of those reads one fails; 0 is never. Nothing is read.
    pub fail_read_every: u32,
}

/// What a failed write says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteError {
    /// The device failed.
    #[default]
    Io,
    /// The disk is full.
    Full,
}

#[derive(Clone, Copy)]
struct State {
    faults: Faults,
    syncs: u32,
    writes: u32,
    reads: u32,
    /// When they end by themselves.
    until: Option<Instant>,
}

thread_local! {
    static STATE: Cell<State> = const {
        Cell::new(State {
            faults: NONE,
            syncs: 0,
            writes: 0,
            reads: 0,
            until: None,
        })
    };
}

const NONE: Faults = Faults {
    sync_delay_ms: 0,
    fail_sync_every: 0,
    fail_write_every: 0,
    write_error: WriteError::Io,
    read_delay_ms: 0,
    fail_read_every: 0,
};

/// Sets the faults and counts anew; `Faults::default()` ends them. What a failed sync left behind stays until the database is reopened.
pub fn set(faults: Faults) {
    STATE.set(State { faults, syncs: 0, writes: 0, reads: 0, until: None });
}

/// Sets what a drill orders; it ends with its time, whoever forgets it.
pub fn obey(ordered: job::Faults) {
    let job::Faults { sync_delay_ms, read_delay_ms, io_errors, disk_full, within } = ordered;
    let faults = Faults {
        sync_delay_ms,
        read_delay_ms,
        fail_read_every: u32::from(io_errors),
        fail_write_every: u32::from(io_errors || disk_full),
        write_error: if disk_full { WriteError::Full } else { WriteError::Io },
        ..NONE
    };
    STATE.set(State { faults, syncs: 0, writes: 0, reads: 0, until: Some(Instant::now() + Duration::from_micros(within)) });
}

/// The state, without what has ended; `None` where nothing goes wrong.
fn state() -> Option<State> {
    let state = STATE.get();
    if state.faults == NONE {
        return None;
    }
    if state.until.is_some_and(|until| Instant::now() >= until) {
        set(NONE);
        return None;
    }
    Some(state)
}

/// The faults as they are set.
pub fn get() -> Faults {
    STATE.get().faults
}

/// Whether this is one of every so many.
fn due(count: &mut u32, every: u32) -> bool {
    if every == 0 {
        return false;
    }
    *count += 1;
    if *count >= every {
        *count = 0;
        return true;
    }
    false
}

/// How long this sync is to take at least, in milliseconds, and whether it is to fail.
pub(super) fn next_sync() -> (u32, bool) {
    let Some(mut state) = state() else { return (0, false) };
    let fails = due(&mut state.syncs, state.faults.fail_sync_every);
    STATE.set(state);
    (state.faults.sync_delay_ms, fails)
}

/// SQLite's code if this write is to fail.
pub(super) fn next_write() -> Option<c_int> {
    let mut state = state()?;
    let fails = due(&mut state.writes, state.faults.fail_write_every);
    STATE.set(state);
    fails.then_some(match state.faults.write_error {
        WriteError::Io => ffi::SQLITE_IOERR_WRITE,
        WriteError::Full => ffi::SQLITE_FULL,
    })
}

/// How much longer this read is to take, in milliseconds, and SQLite's code if it is to fail.
pub(super) fn next_read() -> (u32, Option<c_int>) {
    let Some(mut state) = state() else { return (0, None) };
    let fails = due(&mut state.reads, state.faults.fail_read_every);
    STATE.set(state);
    (state.faults.read_delay_ms, fails.then_some(ffi::SQLITE_IOERR_READ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_of_every_n_fails_and_none_by_default() {
        let pattern = |every: u32| -> Vec<bool> {
            set(Faults { fail_sync_every: every, fail_write_every: every, ..Faults::default() });
            (0..6)
                .map(|_| {
                    let (_, fails) = next_sync();
                    assert_eq!(next_write(), fails.then_some(ffi::SQLITE_IOERR_WRITE));
                    fails
                })
                .collect()
        };
        assert_eq!(pattern(0), [false; 6]);
        assert_eq!(pattern(1), [true; 6]);
        assert_eq!(pattern(2), [false, true, false, true, false, true]);
        assert_eq!(pattern(4), [false, false, false, true, false, false]);
        set(Faults { sync_delay_ms: 7, fail_write_every: 1, write_error: WriteError::Full, ..Faults::default() });
        assert_eq!((next_sync(), next_write()), ((7, false), Some(ffi::SQLITE_FULL)));
        assert_eq!(next_read(), (0, None));
        set(Faults::default());
    }

    #[test]
    fn what_a_drill_orders_ends_with_its_time() {
        let ordered = job::Faults { sync_delay_ms: 3, read_delay_ms: 5, io_errors: true, disk_full: false, within: 60_000_000 };
        obey(ordered);
        assert_eq!((next_sync(), next_write()), ((3, false), Some(ffi::SQLITE_IOERR_WRITE)));
        assert_eq!(next_read(), (5, Some(ffi::SQLITE_IOERR_READ)));
        obey(job::Faults { disk_full: true, io_errors: false, ..ordered });
        assert_eq!((next_read(), next_write()), ((5, None), Some(ffi::SQLITE_FULL)));
        obey(job::Faults { within: 0, ..ordered });
        assert_eq!((next_sync(), next_read(), next_write()), ((0, false), (0, None), None));
        assert_eq!(get(), Faults::default(), "and is forgotten");
    }
}
