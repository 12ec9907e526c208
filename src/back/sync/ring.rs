//! An io_uring that can sync files and do nothing else. Knows the kernel and the turns, not SQLite.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use io_uring::register::Restriction;
use io_uring::squeue::Flags;
use io_uring::types::{Fd, FsyncFlags, Timespec};
use io_uring::{IoUring, opcode};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec as PollTime, eventfd, poll};
use rustix::io::Errno;

use super::super::turns;
use super::Why;
use crate::job::Micros;

/// One sync at a time, and before it a drill's delay.
const ENTRIES: u32 = 2;
/// What the ring maps: a page for both queues and one for the entries; shared, so it counts neither as data nor as anonymous.
pub const SHARED_BYTES: usize = 2 * 4096;
/// What else the kernel keeps for it: its worker's stack (16 KiB), and the worker's task, the ring's context and an eventfd (27 KiB of slab,
/// the mean of 200 on Linux 6.18). The worker stays for as long as the ring does; it is a thread of the process, `iou-wrk-PID`.
pub const KERNEL_BYTES: usize = 48 * 1024;
const _: () = assert!(SHARED_BYTES + KERNEL_BYTES == crate::budget::KERNEL_RING_BYTES, "the sheet has the ring");
/// How often submitting is tried anew while the kernel is short of something; each time after a wait of a millisecond.
const ATTEMPTS: u32 = 1000;
/// The longest sleep before another look, where nobody has turns. The eventfd ends it; the bound is for a wake-up that never came.
const NAP: PollTime = PollTime { tv_sec: 1, tv_nsec: 0 };
/// How often the trial at set-up looks before the ring is found unfit.
const TRIAL_NAPS: u32 = 5;
/// The delay's place in the completion queue; syncs are numbered from 1.
const DELAY: u64 = 0;

/// The ring, with the eventfd that tells of completions.
pub struct Ring {
    ring: IoUring,
    event: OwnedFd,
    /// Of the latest sync, which names its completion.
    serial: u64,
}

/// What became of a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The data is on the disk.
    Done,
    /// The kernel tried and said this.
    Failed(Errno),
    /// The kernel did not try.
    NotStarted,
    /// The ring takes no more work; it did not try either.
    Broken(Errno),
}

impl Ring {
    /// A ring of which the kernel takes syncs and timeouts alone, tried once, so that its worker exists before the memory is sealed.
    ///
    /// # Errors
    /// The step that failed.
    pub fn new() -> Result<Ring, Why> {
        let refused = |step: &'static str| move |error: std::io::Error| Why::Refused(step, errno_of(&error));
        let ring = IoUring::builder().setup_r_disabled().dontfork().build(ENTRIES).map_err(refused("io_uring_setup"))?;
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|errno| Why::Refused("eventfd", errno))?;
        let submitter = ring.submitter();
        submitter.register_eventfd(event.as_raw_fd()).map_err(refused("registering the eventfd"))?;
        // One worker is enough for one sync at a time; a kernel before 5.15 knows no bound, and makes one all the same.
        let _ = submitter.register_iowq_max_workers(&mut [1, 1]);
        let mut allowed = [
            Restriction::sqe_op(opcode::Fsync::CODE),
            Restriction::sqe_op(opcode::Timeout::CODE),
            Restriction::sqe_flags_allowed(Flags::IO_HARDLINK.bits()),
        ];
        submitter.register_restrictions(&mut allowed).map_err(refused("restricting the ring"))?;
        submitter.register_enable_rings().map_err(refused("enabling the ring"))?;
        let mut ring = Ring { ring, event, serial: 0 };
        ring.trial()?;
        Ok(ring)
    }

    /// Readable from a completion until [`Ring::sync`] has seen it.
    pub fn completion_fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }

    /// Syncs the data of a file, and of its metadata what is needed to read it back (the size is, the time is not), as fdatasync(2).
    /// The front has turns of at most `wait` until the kernel answers; where no job runs this thread sleeps.
    pub fn sync(&mut self, fd: RawFd, delay_ms: u32, wait: Micros) -> Ended {
        // Read by the kernel while it takes the entries, which it has done, or never will, when this returns.
        let delay = Timespec::from(Duration::from_millis(u64::from(delay_ms)));
        self.serial += 1;
        let timeout = (delay_ms > 0).then_some(&delay);
        if let Err(errno) = self.submit(fd, timeout) {
            return Ended::Broken(errno);
        }
        let mut result = None;
        while !turns::pause_until(wait, || self.take(&mut result)) && !self.take(&mut result) {
            self.nap();
        }
        self.hush();
        ended(result.unwrap_or_default())
    }

    /// Hands the kernel the entries of one sync.
    fn submit(&mut self, fd: RawFd, delay: Option<&Timespec>) -> Result<(), Errno> {
        // A hard link holds when its first half ends in ETIME, which is how a delay ends.
        let delay = delay.map(|time| opcode::Timeout::new(time).build().flags(Flags::IO_HARDLINK).user_data(DELAY));
        let fsync = opcode::Fsync::new(Fd(fd)).flags(FsyncFlags::DATASYNC).build().user_data(self.serial);
        for entry in delay.iter().chain([&fsync]) {
            // SAFETY: a sync borrows no memory, and the timeout's time outlives the submission: `sync` holds it.
            unsafe { self.ring.submission().push(entry) }.map_err(|_| Errno::BUSY)?;
        }
        let mut last = Errno::AGAIN;
        for _ in 0..ATTEMPTS {
            match self.ring.submit() {
                Ok(_) if self.ring.submission().is_empty() => return Ok(()),
                Ok(_) => {}
                Err(error) => last = errno_of(&error),
            }
            match last {
                Errno::INTR => {}
                Errno::AGAIN | Errno::BUSY | Errno::NOMEM => wait_a_little(),
                _ => break,
            }
        }
        Err(last)
    }

    /// Whether the latest sync is complete; its result is put down once.
    fn take(&mut self, result: &mut Option<i32>) -> bool {
        let serial = self.serial;
        for completion in self.ring.completion() {
            if completion.user_data() == serial {
                *result = Some(completion.result());
            }
        }
        result.is_some()
    }

    /// Sleeps until a completion.
    fn nap(&self) {
        // An error is a signal: there is another look in any case.
        let _ = poll(&mut [PollFd::new(&self.event, PollFlags::IN)], Some(&NAP));
        self.hush();
    }

    /// Empties the eventfd.
    fn hush(&self) {
        // It is empty already when the completion was seen before the kernel told of it: one wake-up too many then, later.
        let _ = rustix::io::read(self.event.as_fd(), &mut [0; 8]);
    }

    /// Syncs what cannot be synced, which shows that the kernel takes the entry, runs it in a worker and tells of it.
    fn trial(&mut self) -> Result<(), Why> {
        self.serial += 1;
        let fd = self.event.as_raw_fd();
        self.submit(fd, None).map_err(Why::Broken)?;
        let mut result = None;
        for _ in 0..TRIAL_NAPS {
            if self.take(&mut result) {
                break;
            }
            self.nap();
        }
        self.hush();
        if result.map(ended) == Some(Ended::Failed(Errno::INVAL)) { Ok(()) } else { Err(Why::Unfit) }
    }
}

/// What a completion's result means.
fn ended(result: i32) -> Ended {
    if result >= 0 {
        return Ended::Done;
    }
    match Errno::from_raw_os_error(-result) {
        // Without a worker the kernel cancels; the other is what a restricted ring says to what it does not take.
        Errno::CANCELED | Errno::ACCESS => Ended::NotStarted,
        errno => Ended::Failed(errno),
    }
}

/// A millisecond for the front, or asleep.
fn wait_a_little() {
    if !turns::pause(1000) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// The ring, or a word about why this kernel has none.
    fn ring() -> Option<Ring> {
        Ring::new().inspect_err(|why| eprintln!("skipped: {why:?}")).ok()
    }

    #[test]
    fn the_kernel_takes_nothing_from_it_but_syncs_and_delays() {
        let Some(mut ring) = ring() else { return };
        let mut byte = [0u8; 1];
        let forbidden = [
            opcode::Nop::new().build(),
            opcode::Read::new(Fd(ring.event.as_raw_fd()), byte.as_mut_ptr(), 1).build(),
            opcode::Close::new(Fd(ring.event.as_raw_fd())).build(),
            opcode::Fsync::new(Fd(ring.event.as_raw_fd())).build().flags(Flags::IO_DRAIN),
        ];
        for entry in forbidden {
            ring.serial += 1;
            // SAFETY: `byte` outlives the loop, and the kernel refuses the entry while it takes it.
            unsafe { ring.ring.submission().push(&entry.user_data(ring.serial)) }.unwrap();
            ring.ring.submit().unwrap();
            let mut result = None;
            assert!(ring.take(&mut result), "refused at once");
            assert_eq!(result.map(ended), Some(Ended::NotStarted));
        }
        assert!(ring.ring.submitter().register_files(&[0]).is_err(), "nor may it be changed any more");
    }

    #[test]
    fn a_delay_comes_before_the_sync_and_the_sync_comes_all_the_same() {
        let Some(mut ring) = ring() else { return };
        let file = tempfile::tempfile().unwrap();
        for delay in [0, 30, 0, 20] {
            let begun = Instant::now();
            assert_eq!(ring.sync(file.as_raw_fd(), delay, 1000), Ended::Done);
            assert!(begun.elapsed() >= Duration::from_millis(delay.into()), "{:?}", begun.elapsed());
        }
        assert_eq!(ring.sync(-1, 10, 1000), Ended::Failed(Errno::BADF));
    }
}
