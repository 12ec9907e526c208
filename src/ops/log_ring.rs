//! The log's way out: lines go into a fixed ring, and the ring goes to stderr only when stderr takes it at once.
//!
//! A full pipe, a stopped terminal or a slow journal therefore never stops the server: the ring fills, further lines are dropped
//! and counted, and the first line after that says how many.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::budget::LOG_BYTES;

/// A pipe that polls writable takes this much without blocking (pipe(7), PIPE_BUF).
const AT_ONCE: usize = 4096;

struct Ring {
    bytes: [u8; LOG_BYTES],
    start: usize,
    len: usize,
    dropped: u64,
    dropped_unsaid: u64,
}

static RING: Mutex<Ring> = Mutex::new(Ring { bytes: [0; LOG_BYTES], start: 0, len: 0, dropped: 0, dropped_unsaid: 0 });

impl Ring {
    /// Appends a whole line or drops it.
    fn line(&mut self, line: &[u8]) {
        if self.dropped_unsaid > 0 {
            let mut note: heapless::String<64> = heapless::String::new();
            let fits =
                core::fmt::Write::write_fmt(&mut note, format_args!("[{} log lines dropped]\n", self.dropped_unsaid)).is_ok();
            if fits && LOG_BYTES - self.len >= note.len() + line.len() {
                self.append(note.as_bytes());
                self.dropped_unsaid = 0;
            }
        }
        if LOG_BYTES - self.len < line.len() || self.dropped_unsaid > 0 {
            self.dropped += 1;
            self.dropped_unsaid += 1;
        } else {
            self.append(line);
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        let end = (self.start + self.len) % LOG_BYTES;
        let first = bytes.len().min(LOG_BYTES - end);
        self.bytes[end..end + first].copy_from_slice(&bytes[..first]);
        self.bytes[..bytes.len() - first].copy_from_slice(&bytes[first..]);
        self.len += bytes.len();
    }

    fn front(&self) -> &[u8] {
        let count = self.len.min(LOG_BYTES - self.start).min(AT_ONCE);
        &self.bytes[self.start..self.start + count]
    }

    fn drop_front(&mut self, count: usize) {
        self.start = (self.start + count) % LOG_BYTES;
        self.len -= count;
    }
}

/// The writer behind env_logger: one `write` is one line.
#[derive(Clone, Copy, Debug)]
pub struct RingWriter;

impl Write for RingWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        RING.lock().unwrap_or_else(PoisonError::into_inner).line(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes to `out` what it takes without blocking; returns whether anything is left.
pub fn flush(out: impl AsFd) -> bool {
    let mut ring = RING.lock().unwrap_or_else(PoisonError::into_inner);
    while ring.len > 0 {
        let mut poll = [PollFd::new(&out, PollFlags::OUT)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        match rustix::event::poll(&mut poll, Some(&now)) {
            Ok(1) if poll[0].revents().contains(PollFlags::OUT) => {}
            _ => break,
        }
        match rustix::io::write(&out, ring.front()) {
            Ok(count) if count > 0 => ring.drop_front(count),
            _ => break,
        }
    }
    ring.len > 0
}

/// Forgets what nobody has been shown yet, and that lines were dropped.
pub fn discard() {
    let mut ring = RING.lock().unwrap_or_else(PoisonError::into_inner);
    (ring.len, ring.dropped, ring.dropped_unsaid) = (0, 0, 0);
}

/// Lines dropped since the start because stderr did not take them.
pub fn dropped() -> u64 {
    RING.lock().unwrap_or_else(PoisonError::into_inner).dropped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_pipe_drops_lines_and_says_how_many_afterwards() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let line = [b'x'; 999];
        let mut log = RingWriter;
        for _ in 0..(LOG_BYTES + 200_000) / 1000 {
            log.write_all(&line).unwrap();
            log.write_all(b"\n").unwrap();
            assert!(flush(&writer) || dropped() == 0);
        }
        assert!(dropped() > 0, "the pipe of 64 KiB and the ring are full");
        let mut taken = vec![0; 1 << 20];
        let mut text = Vec::new();
        log.write_all(b"the last line\n").unwrap();
        for _ in 0..100 {
            let left = flush(&writer);
            let count = rustix::io::read(&reader, &mut taken).unwrap();
            text.extend_from_slice(&taken[..count]);
            log.write_all(b"after\n").unwrap();
            if !left && text.ends_with(b"after\n") {
                break;
            }
        }
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("log lines dropped]\n"), "{}", &text[text.len().saturating_sub(300)..]);
    }
}
