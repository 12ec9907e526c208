//! Writing: one writev for all that is ready, and what the socket does not take waits in blocks.

use std::io::{ErrorKind, IoSlice};

use super::emergency::Stage;
use super::net::Net;
use super::slots::{NEVER, STALLED, Slot, State};
use super::{Front, MS};
use crate::budget::OUTPUT_BLOCK_BYTES;
use crate::job::Micros;
use crate::memory::{Blocks, Full};
use crate::ops::metrics::{CloseReason, Metrics};

/// Slices of one writev: 256 KiB of output, more than any socket takes at once.
const SLICES: usize = 64;
/// A client that takes this much within the write time is slow but alive.
const PROGRESS_BYTES: usize = OUTPUT_BLOCK_BYTES;

impl<N: Net> Front<N> {
    /// Sends what was held back for a pipelined companion that did not come in time.
    pub(super) fn flush_dirty(&mut self) {
        if !self.dirty.is_empty() {
            // A long step of the running query may lie behind: write deadlines begin now, not before it.
            self.now = self.net.now();
        }
        for _ in 0..self.dirty.len() {
            let Some(index) = self.dirty.pop_front() else { break };
            self.slots.at(index).in_dirty = false;
            if self.slots.peek(index).state != State::Free {
                self.serve(index, Stage::Begun, |front| {
                    front.flush(index);
                });
            }
        }
    }

    /// Writes what is queued; returns whether the connection is still there.
    pub(super) fn flush(&mut self, index: u16) -> bool {
        loop {
            let slot = self.slots.at(index);
            if slot.out.is_empty() || !slot.writable {
                break;
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.output.slices(&slot.out, usize::MAX, &mut slices);
            let offered: usize = slices[..count].iter().map(|slice| slice.len()).sum();
            let Some(socket) = slot.socket.as_mut() else { break };
            let written = self.net.write(socket, &slices[..count]);
            self.metrics.writes += 1;
            match written {
                Ok(sent) => {
                    self.output.consume(&mut slot.out, sent);
                    slot.taken += sent;
                    slot.writable = sent == offered;
                    self.metrics.sent_bytes += sent as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => slot.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.close(index, CloseReason::Reset);
                    return false;
                }
            }
        }
        self.after_flush(index)
    }

    /// Sets or lifts the write deadline, and ends a connection that only waited for its output to be taken. While a client takes its
    /// answers that is the only deadline: the time of its next request begins when it has them.
    fn after_flush(&mut self, index: u16) -> bool {
        let (now, write) = (self.now, self.setup.config.limits.write_ms * MS);
        let slot = self.slots.at(index);
        if slot.out.is_empty() {
            if slot.only_writes() {
                // Its time to go on begins when it has what it waited for.
                let within = slot.deadline - slot.since;
                slot.enter(slot.state, now, within);
                self.next_timer = self.next_timer.min(slot.deadline);
            }
            slot.answers = 0;
            slot.taken = 0;
            slot.write_deadline = NEVER;
            if let State::Closing(reason) = slot.state {
                return self.end(index, reason);
            }
        } else if slot.write_deadline == NEVER || slot.taken >= PROGRESS_BYTES {
            slot.taken = 0;
            slot.write_deadline = now + write;
            self.next_timer = self.next_timer.min(now + write);
        }
        true
    }

    /// Ends the connection that keeps the most output of those whose clients have taken too little for a while: a slow client loses its own
    /// place, and nobody else's. Whether there was one.
    pub(super) fn close_slowest(&mut self, index: u16) -> bool {
        let write = self.setup.config.limits.write_ms * MS;
        let is_slow = |slot: &Slot<N::Socket>| {
            slot.write_deadline != NEVER && !slot.out.is_empty() && self.now + write >= slot.write_deadline + STALLED
        };
        let slow = self.slots.places().filter(|&other| other != index && is_slow(self.slots.peek(other)));
        let slowest = slow.max_by_key(|&other| self.slots.peek(other).out.len());
        if let Some(slowest) = slowest {
            self.close(slowest, CloseReason::TooSlow);
        }
        slowest.is_some()
    }

    /// The answer is out and the connection is to end: at once when the client has nothing unread under way, else after a FIN and a while
    /// of discarding, because closing over unread bytes resets the connection and may take the answer away from the client.
    fn end(&mut self, index: u16, reason: CloseReason) -> bool {
        let slot = self.slots.at(index);
        let unread = slot.readable || slot.exchange.as_ref().is_some_and(|exchange| exchange.filled > exchange.start);
        if reason != CloseReason::Rejected && !unread {
            self.close(index, reason);
            return false;
        }
        let (now, linger): (Micros, Micros) = (self.now, self.setup.config.limits.linger_ms * MS);
        slot.enter(State::Lingering(reason), now, linger);
        if let Some(socket) = slot.socket.as_mut() {
            self.net.finish_writing(socket);
        }
        self.next_timer = self.next_timer.min(now + linger);
        self.mark_ready(index);
        true
    }
}

/// Puts slices together at the beginning of `into`, which holds them, where one piece costs less to copy than several cost the kernel to
/// look at; their length.
pub(super) fn join(slices: &[IoSlice], into: &mut [u8]) -> usize {
    let mut end = 0;
    for slice in slices {
        into[end..end + slice.len()].copy_from_slice(slice);
        end += slice.len();
    }
    end
}

/// Sends bytes that stand ready: `at_once` when nothing asked behind them could share the call and nothing stands before them, and what the
/// socket does not take by way of the output queue. Whether the connection is still there.
///
/// # Errors
/// [`Full`] when the queue has no room for the rest; the caller looks before.
pub(super) fn send_ready<N: Net>(
    net: &mut N, output: &mut Blocks<OUTPUT_BLOCK_BYTES>, metrics: &mut Metrics, slot: &mut Slot<N::Socket>, slices: &[IoSlice],
    at_once: bool,
) -> Result<bool, Full> {
    let total: usize = slices.iter().map(|slice| slice.len()).sum();
    let mut sent = 0;
    if slot.out.is_empty()
        && slot.writable
        && at_once
        && let Some(socket) = slot.socket.as_mut()
    {
        metrics.writes += 1;
        match net.write(socket, slices) {
            Ok(count) => {
                sent = count;
                slot.writable = sent == total;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => slot.writable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Ok(false),
        }
        metrics.sent_bytes += sent as u64;
    }
    if sent < total {
        for slice in slices {
            let skip = sent.min(slice.len());
            sent -= skip;
            output.push(&mut slot.out, &slice[skip..])?;
        }
        slot.answers = slot.answers.saturating_add(1);
    }
    Ok(true)
}
