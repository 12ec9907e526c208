//! The emergency answer, from static bytes, when a panic or a drill leaves nothing else; and what becomes of a connection whose serving
//! panicked.
//!
//! Nothing is formatted here, and nothing is asked of the parts that may be broken, but for room in the connection's output: without that
//! the bytes go to the socket at once.

use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Front;
use super::net::Net;
use super::slots::{NEVER, State};
use crate::http::request::Method;
use crate::job::Task;
use crate::memory::Chain;
use crate::ops::falls::Fall;
use crate::ops::metrics::{CloseReason, RouteKind};

/// An answer that is ready: its status, its head, its body.
pub(super) struct Static {
    status: u16,
    head: &'static [u8],
    body: &'static [u8],
    /// Why the connection ends with it.
    reason: CloseReason,
}

/// Builds a [`Static`] with the length of its body counted by the compiler.
macro_rules! answer {
    ($status:literal, $line:literal, $reason:expr, $length:literal, $body:literal) => {{
        const BODY: &str = $body;
        const _: () = assert!(BODY.len() == $length, "Content-Length is the body's");
        Static {
            status: $status,
            head: concat!(
                "HTTP/1.1 ",
                $line,
                "\r\ncontent-type: application/problem+json\r\ncontent-length: ",
                $length,
                "\r\ncache-control: no-store\r\nretry-after: 1\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
            )
            .as_bytes(),
            body: BODY.as_bytes(),
            reason: $reason,
        }
    }};
}

/// A panic was caught.
pub(super) const PANICKED: Static = answer!(
    500,
    "500 Internal Server Error",
    CloseReason::Panicked,
    161,
    r#"{"type":"tag:flagstone,2026:internal","title":"An internal error","status":500,"detail":"The server's log says more.","hint":"try again; if it stays, report it"}"#
);

/// Neither path answers.
pub(super) const LAST_WORD: Static = answer!(
    503,
    "503 Service Unavailable",
    CloseReason::Refused,
    116,
    r#"{"type":"tag:flagstone,2026:last-word","title":"Nothing can be answered now","status":503,"hint":"try again in 1 s"}"#
);

/// A panic was caught while a write was answered, which is on disk, or was refused: nobody can tell any more.
const UNCERTAIN: Static = answer!(
    503,
    "503 Service Unavailable",
    CloseReason::Panicked,
    180,
    r#"{"type":"tag:flagstone,2026:write-uncertain","title":"The write may or may not be there","status":503,"hint":"look whether it is there; an Idempotency-Key makes trying again safe"}"#
);

/// How far the answer to the request that is being served has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// No request, or it waits for its answer elsewhere, or has it.
    #[default]
    Nothing,
    /// It is being answered, and no byte of that is out.
    Asked,
    /// Bytes of its answer are on their way.
    Begun,
}

impl<N: Net> Front<N> {
    /// Serves a connection. A panic in that ends this connection and nothing else: with the emergency answer, where its answer has not begun.
    #[inline]
    pub(super) fn serve(&mut self, index: u16, stage: Stage, body: impl FnOnce(&mut Front<N>)) {
        (self.serving, self.stage) = (Some(index), stage);
        if catch_unwind(AssertUnwindSafe(|| body(self))).is_err() {
            self.rescue();
        }
        (self.serving, self.stage) = (None, Stage::Nothing);
    }

    /// After a caught panic: ends the connection that was being served, whose state is not to be trusted, and looks at all others again,
    /// because what they had to tell may be lost.
    #[cold]
    pub fn rescue(&mut self) {
        self.metrics.panics += 1;
        let stage = std::mem::take(&mut self.stage);
        if let Some(index) = self.serving.take()
            && self.slots.peek(index).state != State::Free
        {
            log::error!("a panic while slot {index} was served: it is closed");
            self.note_fall(Fall::FrontPanic);
            if catch_unwind(AssertUnwindSafe(|| self.end_served(index, stage))).is_err() {
                self.metrics.panics += 1;
                // Its blocks may be what is broken: they are lost rather than given back.
                self.slots.at(index).out = Chain::EMPTY;
                self.close(index, CloseReason::Panicked);
            }
        }
        self.joined = self.slots.places().filter(|&index| self.slots.peek(index).state == State::Joined).count();
        self.look_at_all();
    }

    fn end_served(&mut self, index: u16, stage: Stage) {
        let slot = self.slots.peek(index);
        let (state, key) = (slot.state, slot.key);
        let began_to_ask = slot.exchange.as_ref().is_some_and(|exchange| exchange.filled > exchange.start);
        if stage == Stage::Begun || (stage == Stage::Nothing && !(state.reads() && began_to_ask)) {
            return self.close(index, CloseReason::Panicked);
        }
        if state == State::Queued {
            self.dequeue(index);
        }
        let now = self.now;
        self.slots.at(index).enter(State::Running, now, NEVER);
        if state == State::Queued {
            self.promote_joiner(key);
        }
        self.stage = stage;
        // With the back's outcome at hand: before, nothing of it can be there.
        let answer = if state == State::Running && self.writes_something(index) { &UNCERTAIN } else { &PANICKED };
        self.answer_emergency(index, RouteKind::Other, answer);
    }

    fn writes_something(&self, index: u16) -> bool {
        match self.slots.peek(index).task {
            Task::Route(place) => self.setup.config.routes().get(usize::from(place)).is_some_and(|route| route.verb.writes()),
            Task::Tables | Task::Change(_) => false,
        }
    }

    /// Answers from static bytes, behind what stands in the connection's output already, and ends the connection.
    pub(super) fn answer_emergency(&mut self, index: u16, kind: RouteKind, answer: &Static) {
        let slot = self.slots.peek(index);
        let head_only = slot.exchange.as_ref().is_some_and(|exchange| exchange.request().method == Method::Head);
        let body = if head_only { b"" } else { answer.body };
        let asked = std::mem::replace(&mut self.stage, Stage::Begun) == Stage::Asked;
        self.metrics.emergency_answers += 1;
        self.metrics.answered(kind, answer.status);
        if asked {
            self.step_over(index);
        }
        let slot = self.slots.at(index);
        if self.output.needed(&slot.out, answer.head.len() + body.len()) <= self.output.free() {
            // There is room.
            let _ = self.output.push(&mut slot.out, answer.head).and_then(|()| self.output.push(&mut slot.out, body));
        } else if slot.out.is_empty()
            && let Some(socket) = slot.socket.as_mut()
        {
            // What the socket does not take now is lost with the connection.
            self.metrics.writes += 1;
            if let Ok(count) = self.net.write(socket, &[IoSlice::new(answer.head), IoSlice::new(body)]) {
                self.metrics.sent_bytes += count as u64;
            }
        }
        self.set_closing(index, answer.reason);
        self.flush(index);
    }

    /// Closes the connections that wait for work which nobody does: between two jobs there is none.
    pub fn close_lost(&mut self) {
        self.running = None;
        for index in self.slots.places() {
            if self.slots.peek(index).state == State::Running {
                self.close(index, CloseReason::Panicked);
            }
        }
    }

    /// Whatever the events of this turn were, every connection and listener is ready to be looked at.
    fn look_at_all(&mut self) {
        for index in self.slots.places() {
            let slot = self.slots.at(index);
            if slot.state != State::Free && slot.socket.is_some() {
                (slot.readable, slot.writable) = (true, true);
                self.mark_ready(index);
            }
        }
        for listener in &mut self.listeners {
            listener.wake();
        }
    }
}
