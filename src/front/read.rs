//! Driving a connection: read what is there, step by step through the requests in it, answer what needs no database.

use std::io::ErrorKind;

use super::emergency::Stage;
use super::net::Net;
use super::slots::{NEVER, Part, State};
use super::{Front, MS};
use crate::budget::PIPELINE;
use crate::http::request::{Phase, Step};
use crate::ops::metrics::CloseReason;

/// What a look at the socket came to.
enum Filled {
    Bytes,
    Nothing,
    End,
    Failed,
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl<N: Net> Front<N> {
    /// Takes a connection as far as it goes now. Bounded by `PIPELINE` answers; a connection with more is ready again.
    pub(super) fn drive(&mut self, index: u16) {
        match self.slots.peek(index).state {
            State::Lingering(reason) => return self.linger(index, reason),
            State::Refusing(refusal) => return self.hear(index, refusal),
            _ => {}
        }
        if self.slots.peek(index).state == State::Free || !self.flush_before_reading(index) {
            return;
        }
        // Each answer takes a step; reading takes a few more.
        for _ in 0..2 * PIPELINE {
            let slot = self.slots.peek(index);
            if !slot.state.reads() || usize::from(slot.answers) >= PIPELINE {
                break;
            }
            if !self.step(index) {
                if self.slots.peek(index).state != State::Free {
                    self.flush(index);
                }
                return;
            }
        }
        self.hold_or_flush(index);
        let slot = self.slots.peek(index);
        if slot.state.reads() && slot.out.is_empty() {
            self.mark_ready(index);
        }
    }

    /// While a client has not taken its answers nothing more is read from it. Answers of this same drive may wait for company.
    fn flush_before_reading(&mut self, index: u16) -> bool {
        let slot = self.slots.peek(index);
        if slot.out.is_empty() || (usize::from(slot.answers) < PIPELINE && slot.write_deadline == NEVER) {
            return true;
        }
        self.flush(index) && self.slots.peek(index).out.is_empty()
    }

    /// A request of this connection that stands in the queue will be answered in a moment: its answer joins those that are ready, in one
    /// writev. The next turn at the latest sends them.
    fn hold_or_flush(&mut self, index: u16) {
        let slot = self.slots.peek(index);
        if slot.out.is_empty() && !matches!(slot.state, State::Closing(_)) {
            return;
        }
        if slot.state == State::Queued && usize::from(slot.answers) < PIPELINE {
            self.mark_dirty(index);
        } else {
            self.flush(index);
        }
    }

    /// One step of one request; false when the connection waits for its client or has ended.
    fn step(&mut self, index: u16) -> bool {
        match self.answer_repeated(index) {
            Some(0) => {}
            Some(_) => return true,
            None => return false,
        }
        let slot = self.slots.at(index);
        let Some(exchange) = slot.exchange.as_mut() else { return false };
        match exchange.advance() {
            Step::NeedMore(phase) => {
                self.enter_phase(index, phase);
                match self.fill(index) {
                    Filled::Bytes => true,
                    Filled::Nothing => {
                        let slot = self.slots.peek(index);
                        let waits = matches!(slot.state, State::FirstByte | State::Idle) && slot.out.is_empty();
                        if waits && self.draining_since.is_some() {
                            self.close(index, CloseReason::Drained);
                        }
                        false
                    }
                    Filled::Failed => {
                        self.close(index, CloseReason::Reset);
                        false
                    }
                    Filled::End => {
                        self.input_ended(index);
                        false
                    }
                }
            }
            Step::Continue => {
                // When the blocks are full the client sends its body after its own short wait (RFC 9110 §10.1.1).
                let _ = self.output.push(&mut self.slots.at(index).out, CONTINUE);
                self.flush(index)
            }
            Step::Ready => {
                let now = self.now;
                self.slots.at(index).request_at = now;
                self.stage = Stage::Asked;
                self.answer_request(index);
                self.stage = Stage::Nothing;
                true
            }
            Step::Reject(reject) => {
                self.answer_reject(index, reject);
                true
            }
        }
    }

    fn enter_phase(&mut self, index: u16, phase: Phase) {
        let (now, idle, config) = (self.now, self.idle_time(), &self.setup.config.limits);
        let slot = self.slots.at(index);
        let (state, within) = match phase {
            Phase::FirstByte if slot.state == State::FirstByte => return,
            Phase::FirstByte => (State::Idle, idle),
            Phase::Head => (State::Head, config.head_ms * MS),
            Phase::Body => (State::Body, config.body_ms * MS),
        };
        if slot.state != state {
            slot.enter(state, now, within);
            let due = slot.deadline;
            self.next_timer = self.next_timer.min(due);
        }
    }

    fn fill(&mut self, index: u16) -> Filled {
        let slot = self.slots.at(index);
        let (Some(exchange), Some(socket)) = (slot.exchange.as_mut(), slot.socket.as_mut()) else { return Filled::Nothing };
        if !slot.readable {
            return Filled::Nothing;
        }
        let room = exchange.room();
        assert!(!room.is_empty(), "the reader rejects a request before it outgrows its buffer");
        let size = room.len();
        self.metrics.reads += 1;
        match self.net.read(socket, room) {
            Ok(0) => {
                slot.readable = false;
                Filled::End
            }
            Ok(count) => {
                exchange.filled += count;
                // A read shorter than its buffer has drained the socket; what comes later gives a new edge. With an end of stream
                // noted, one more read is needed to see it.
                slot.readable = count == size || slot.ended;
                self.metrics.received_bytes += count as u64;
                Filled::Bytes
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                slot.readable = false;
                Filled::Nothing
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Filled::Bytes,
            Err(_) => Filled::Failed,
        }
    }

    /// The client has closed its side. Half-close is legal: what it asked before is answered first.
    fn input_ended(&mut self, index: u16) {
        let slot = self.slots.at(index);
        let reason = match slot.state {
            State::FirstByte | State::Idle => CloseReason::ClientClosed,
            _ => CloseReason::CutShort,
        };
        if slot.out.is_empty() {
            self.close(index, reason);
        } else {
            let now = self.now;
            slot.enter(State::Closing(reason), now, NEVER);
        }
    }

    /// Discards what still comes on a connection whose answer is out, until its end, its deadline or a bound.
    fn linger(&mut self, index: u16, reason: CloseReason) {
        const READS: usize = 16;
        let mut waste = [0; 4096];
        for _ in 0..READS {
            let slot = self.slots.at(index);
            if !slot.readable {
                return;
            }
            let Some(socket) = slot.socket.as_mut() else { return };
            self.metrics.reads += 1;
            match self.net.read(socket, &mut waste) {
                Ok(0) => return self.close(index, reason),
                Ok(count) => {
                    slot.readable = count == waste.len() || slot.ended;
                    self.metrics.received_bytes += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => slot.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.close(index, reason),
            }
        }
        // 64 KiB in one turn: it is not about to end by itself, and refusals must not be a way to keep us reading.
        if Part::of(usize::from(index)) == Part::Refusal {
            self.close(index, reason);
        } else {
            self.mark_ready(index);
        }
    }
}
