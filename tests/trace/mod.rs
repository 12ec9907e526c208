//! Counts the system calls of a running process by ptrace(2), and tells which of them could have grown it.
//!
//! All of a tracee's stops belong to the thread that seized it, so a thread of its own attaches, counts and lets go.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unnecessary_cast, reason = "musl has ptrace's requests signed")]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

/// Since Linux 5.3, and missing from some libc crates.
const GET_SYSCALL_INFO: u32 = 0x420e;
/// `PTRACE_SYSCALL_INFO_ENTRY`.
const ENTRY: u64 = 1;
/// The stop signal of a system call under `PTRACE_O_TRACESYSGOOD`.
const SYSCALL_STOP: i32 = libc::SIGTRAP | 0x80;

/// What a process called while it was watched.
#[derive(Debug, Default)]
pub struct Calls {
    /// How often, by system call number.
    pub counts: BTreeMap<u64, u64>,
    /// The calls that ask for memory, with their arguments.
    pub growing: Vec<String>,
    /// Shared mappings of a wal-index: allowed, and on the sheet.
    pub wal_index_maps: u64,
    /// Paths that were opened for writing or creation.
    pub created: Vec<String>,
    /// Bytes asked to be written at offsets: SQLite's way.
    pub written_at: u64,
}

impl Calls {
    /// How often the system call `number` was made.
    pub fn count(&self, number: libc::c_long) -> u64 {
        self.counts.get(&(number as u64)).copied().unwrap_or(0)
    }

    /// All calls together.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    fn note(&mut self, pid: i32, number: u64, arguments: [u64; 6]) {
        *self.counts.entry(number).or_default() += 1;
        let number = number as libc::c_long;
        let [first, second, third, fourth, fifth, _] = arguments;
        if number == libc::SYS_mmap {
            let shared = fourth & libc::MAP_SHARED as u64 != 0;
            let file = std::fs::read_link(format!("/proc/{pid}/fd/{fifth}")).unwrap_or_default();
            if shared && file.to_string_lossy().ends_with("-shm") {
                self.wal_index_maps += 1;
            } else {
                self.growing.push(format!("mmap of {second} bytes, protection {third}, flags {fourth:#x}, {}", file.display()));
            }
        } else if number == libc::SYS_mremap {
            self.growing.push(format!("mremap from {second} to {third} bytes"));
        } else if number == libc::SYS_brk {
            self.growing.push(format!("brk to {first:#x}"));
        } else if number == libc::SYS_openat && third & (libc::O_CREAT | libc::O_WRONLY | libc::O_RDWR) as u64 != 0 {
            self.created.push(text_at(pid, second));
        } else if number == libc::SYS_pwrite64 {
            self.written_at += third;
        }
    }
}

/// The text that ends in a zero at `address` of the process, which is stopped.
fn text_at(pid: i32, address: u64) -> String {
    let mut bytes = [0; 256];
    let count =
        std::fs::File::open(format!("/proc/{pid}/mem")).and_then(|memory| memory.read_at(&mut bytes, address)).unwrap_or(0);
    let end = bytes[..count].iter().position(|&byte| byte == 0).unwrap_or(count);
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// A process that is watched.
pub struct Tracer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Calls>>,
}

impl Tracer {
    /// Begins to watch the process, which must have one thread.
    ///
    /// # Errors
    /// What ptrace gave: most often that it is not permitted here.
    pub fn attach(pid: u32) -> io::Result<Tracer> {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let (attached, result) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let pid = pid as i32;
            let begun = seize(pid);
            let failed = begun.as_ref().err().map(|error| io::Error::new(error.kind(), error.to_string()));
            // Nobody listens any more only when the test has ended.
            let _ = attached.send(failed);
            begun.and_then(|()| watch(pid, &asked))
        });
        match result.recv() {
            Ok(None) => Ok(Tracer { stop, thread }),
            Ok(Some(error)) => Err(error),
            Err(_) => Err(io::Error::other("the watching thread ended")),
        }
    }

    /// Waits until the process has ended by itself; what it called.
    pub fn ended(self) -> Calls {
        self.thread.join().expect("the watching thread lives").expect("ptrace goes on as it began")
    }

    /// Lets the process go at its next system call; what it called.
    pub fn detach(self) -> Calls {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("the watching thread lives").expect("ptrace goes on as it began")
    }
}

fn seize(pid: i32) -> io::Result<()> {
    request(libc::PTRACE_SEIZE as u32, pid, 0, libc::PTRACE_O_TRACESYSGOOD as usize)?;
    request(libc::PTRACE_INTERRUPT as u32, pid, 0, 0)?;
    wait(pid)?;
    request(libc::PTRACE_SYSCALL as u32, pid, 0, 0)?;
    Ok(())
}

fn watch(pid: i32, stop: &AtomicBool) -> io::Result<Calls> {
    let mut calls = Calls::default();
    loop {
        let status = wait(pid)?;
        if !libc::WIFSTOPPED(status) {
            return Ok(calls);
        }
        let signal = libc::WSTOPSIG(status);
        if signal == SYSCALL_STOP {
            let mut info = [0_u64; 11];
            request(GET_SYSCALL_INFO, pid, size_of_val(&info), info.as_mut_ptr() as usize)?;
            // The struct begins with `op` in one byte and has number and arguments from its byte 24 on.
            if info[0] & 0xff == ENTRY {
                let [_, _, _, number, arguments @ ..] = info;
                let [a, b, c, d, e, f, _] = arguments;
                calls.note(pid, number, [a, b, c, d, e, f]);
            }
        }
        // A real signal is passed on; the stops of ptrace itself are not.
        let pass = if signal == SYSCALL_STOP || status >> 16 != 0 { 0 } else { signal as usize };
        if stop.load(Ordering::SeqCst) {
            request(libc::PTRACE_DETACH as u32, pid, 0, pass)?;
            return Ok(calls);
        }
        request(libc::PTRACE_SYSCALL as u32, pid, 0, pass)?;
    }
}

fn wait(pid: i32) -> io::Result<i32> {
    let mut status = 0;
    loop {
        // SAFETY: the pointer is to a live integer.
        let result = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
        if result == pid {
            return Ok(status);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn request(what: u32, pid: i32, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: of the requests made here only GET_SYSCALL_INFO writes, to `data`, no more than `address` bytes, which the caller has there.
    let result = unsafe { libc::ptrace(what as _, pid, address as *mut c_void, data as *mut c_void) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
