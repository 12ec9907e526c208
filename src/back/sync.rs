//! Syncs of the database's files by an io_uring, so that the front has its turns while the disk works; and what became of them.
//!
//! SQLite waits for its xSync, inside a COMMIT say, so nothing else may happen to the connection until it returns. Turns may be given there
//! all the same: a turn belongs to the front, which never calls SQLite, and a nested turn starts no job.
//!
//! Everything here belongs to the thread that uses SQLite, of which the server has one.

mod ring;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem::ManuallyDrop;
use std::os::fd::RawFd;

use rustix::io::Errno;

use ring::{Ended, Ring};
pub use ring::{KERNEL_BYTES, SHARED_BYTES};

use crate::job::Micros;

/// How long a turn within a sync may wait when the front's poll does not know [`completion_fd`].
const BLIND_WAIT: Micros = 1000;
/// And when it does: it wakes at the completion, so the bound is for the front's own sake.
const WOKEN_WAIT: Micros = 100_000;

/// How files are synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// By the ring: the front has turns meanwhile.
    IoUring,
    /// By SQLite's own VFS: everything waits for the disk.
    Plain(Why),
}

/// Why there is no ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nobody set one up, or it was shut down.
    Off,
    /// The kernel refused this step of setting it up.
    Refused(&'static str, Errno),
    /// It did not do its first work as it should.
    Unfit,
    /// It took no more work.
    Broken(Errno),
}

impl fmt::Display for SyncMode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SyncMode::IoUring => write!(out, "io_uring"),
            SyncMode::Plain(Why::Off) => write!(out, "plain"),
            SyncMode::Plain(Why::Refused(step, errno)) => {
                write!(out, "plain, because the kernel has no io_uring for us ({step}: {errno})")
            }
            SyncMode::Plain(Why::Unfit) => write!(out, "plain, because the kernel's io_uring failed its trial"),
            SyncMode::Plain(Why::Broken(errno)) => write!(out, "plain, because the io_uring took no more work ({errno})"),
        }
    }
}

struct State {
    /// Never dropped with its thread: a destructor would have to be registered, which allocates.
    ring: RefCell<ManuallyDrop<Option<Ring>>>,
    /// Apart from the ring, because turns ask while it is borrowed.
    mode: Cell<SyncMode>,
    completion: Cell<Option<RawFd>>,
    wait: Cell<Micros>,
    failed: Cell<bool>,
}

thread_local! {
    static STATE: State = const {
        State {
            ring: RefCell::new(ManuallyDrop::new(None)),
            mode: Cell::new(SyncMode::Plain(Why::Off)),
            completion: Cell::new(None),
            wait: Cell::new(BLIND_WAIT),
            failed: Cell::new(false),
        }
    };
}

/// Sets the ring up for this thread and tries it; to be called before the memory is sealed. Without one the syncs are SQLite's own.
pub fn set_up() -> SyncMode {
    shut_down();
    STATE.with(|state| {
        match (Ring::new(), state.ring.try_borrow_mut()) {
            (Ok(ring), Ok(mut place)) => {
                state.completion.set(Some(ring.completion_fd()));
                state.mode.set(SyncMode::IoUring);
                **place = Some(ring);
            }
            (Err(why), _) => state.mode.set(SyncMode::Plain(why)),
            // From within a sync, whose ring stays.
            (Ok(_), Err(_)) => {}
        }
        state.mode.get()
    })
}

/// Gives the ring back; syncs are SQLite's own from here on. Does nothing within a sync.
pub fn shut_down() {
    STATE.with(|state| {
        if let Ok(mut ring) = state.ring.try_borrow_mut() {
            **ring = None;
            state.completion.set(None);
            state.mode.set(SyncMode::Plain(Why::Off));
            state.wait.set(BLIND_WAIT);
        }
    });
}

/// How this thread's files are synced.
pub fn mode() -> SyncMode {
    STATE.with(|state| state.mode.get())
}

/// An eventfd that becomes readable when a sync is complete: the front's poll watches it, and then says so by [`front_is_woken`].
/// It is emptied here, never by the front, and closed by [`shut_down`].
pub fn completion_fd() -> Option<RawFd> {
    STATE.with(|state| state.completion.get())
}

/// Whether the front's poll watches [`completion_fd`]: turns within a sync may then wait for longer than a millisecond at a time.
pub fn front_is_woken(woken: bool) {
    STATE.with(|state| state.wait.set(if woken { WOKEN_WAIT } else { BLIND_WAIT }));
}

/// Whether a sync failed since the database was opened. From then on every sync fails: the kernel reports a failed write once and may
/// forget the page, so a later sync that succeeds says nothing about it.
pub fn failed() -> bool {
    STATE.with(|state| state.failed.get())
}

/// Forgets a failed sync; for who has closed every connection and opens the database anew.
pub fn reopened() {
    STATE.with(|state| state.failed.set(false));
}

/// Remembers a failed sync.
pub(super) fn fail() {
    if !STATE.with(|state| state.failed.replace(true)) {
        log::error!("a sync of the database's files failed: no write is acknowledged until it is opened anew");
    }
}

/// Syncs a file's data, after a delay in milliseconds that a drill asks for. `None` when nothing was done: the caller's plain sync is next.
/// A second sync while one runs, which cannot be, would be `None` too.
pub(super) fn data(fd: RawFd, delay_ms: u32) -> Option<Result<(), Errno>> {
    STATE.with(|state| {
        let mut place = state.ring.try_borrow_mut().ok()?;
        match (**place).as_mut()?.sync(fd, delay_ms, state.wait.get()) {
            Ended::Done => Some(Ok(())),
            Ended::Failed(errno) => Some(Err(errno)),
            Ended::NotStarted => None,
            Ended::Broken(errno) => {
                log::error!("the io_uring takes no more syncs ({errno}): they are plain from here on");
                state.completion.set(None);
                state.mode.set(SyncMode::Plain(Why::Broken(errno)));
                **place = None;
                None
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_without_a_ring_says_so_and_leaves_the_sync_to_the_caller() {
        assert_eq!((mode(), completion_fd()), (SyncMode::Plain(Why::Off), None));
        assert_eq!(data(0, 0), None);
        assert_eq!(mode().to_string(), "plain");
    }

    #[test]
    fn a_ring_that_is_shut_down_can_be_set_up_again() {
        for _ in 0..3 {
            if set_up() != SyncMode::IoUring {
                eprintln!("skipped: {}", mode());
                return;
            }
            let file = tempfile::tempfile().unwrap();
            let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
            assert_eq!(data(fd, 0), Some(Ok(())));
            // An eventfd has nothing to sync, and a closed descriptor is none: the kernel's answer comes through.
            assert_eq!(data(completion_fd().unwrap(), 0), Some(Err(Errno::INVAL)));
            assert_eq!(data(-1, 0), Some(Err(Errno::BADF)));
            shut_down();
            assert_eq!((mode(), completion_fd()), (SyncMode::Plain(Why::Off), None));
        }
    }

    #[test]
    fn a_failure_stays_until_the_database_is_opened_anew() {
        assert!(!failed());
        fail();
        assert!(failed());
        reopened();
        assert!(!failed());
    }
}
