//! Deadlines: what happens when a state's time is over.

use super::emergency::Stage;
use super::net::Net;
use super::slots::{NEVER, State};
use super::{Front, MS};
use crate::job::Micros;
use crate::ops::metrics::CloseReason;

/// Deadlines are kept to this: with thousands of slots one walk over the table serves all that fell due meanwhile.
const GRAIN: Micros = 20 * MS;

impl<N: Net> Front<N> {
    /// Ends what is due and finds the next deadline. Bounded by the number of slots.
    pub(super) fn expire(&mut self) {
        let now = self.now;
        let drained = self.draining_since.is_some_and(|since| now >= since + self.setup.config.limits.drain_ms * MS);
        for index in self.slots.places() {
            let slot = self.slots.peek(index);
            if slot.state == State::Free {
                continue;
            }
            if drained {
                self.close(index, CloseReason::Drained);
            } else if slot.write_deadline <= now {
                self.serve(index, Stage::Begun, |front| front.expire_output(index));
            } else if slot.due() <= now {
                let asked = matches!(slot.state, State::Queued | State::Joined);
                let stage = if asked { Stage::Asked } else { Stage::Nothing };
                self.serve(index, stage, |front| front.expire_state(index));
            }
        }
        let next = self.slots.places().map(|index| self.slots.peek(index).due()).min().unwrap_or(NEVER);
        let drain = self.draining_since.map_or(NEVER, |since| since + self.setup.config.limits.drain_ms * MS);
        self.next_timer = match next.min(drain) {
            NEVER => NEVER,
            due => due.max(now + GRAIN),
        };
    }

    /// The kernel reports space late, when a third of a send buffer is free: a client that takes its answer slowly but steadily is found out
    /// by trying once more.
    fn expire_output(&mut self, index: u16) {
        self.slots.at(index).writable = true;
        if !self.flush(index) {
            return;
        }
        if self.slots.peek(index).write_deadline <= self.now {
            self.close(index, CloseReason::WriteTimeout);
        } else {
            // What it has asked meanwhile was left unread until it had its answers, and no edge will tell of it again.
            self.mark_ready(index);
        }
    }

    fn expire_state(&mut self, index: u16) {
        match self.slots.peek(index).state {
            State::Free | State::Running => {}
            State::FirstByte => self.close(index, CloseReason::FirstByteTimeout),
            State::Idle => self.close(index, CloseReason::IdleTimeout),
            State::Head => self.answer_timeout(index, CloseReason::HeadTimeout),
            State::Body => self.answer_timeout(index, CloseReason::BodyTimeout),
            State::Queued => {
                self.dequeue(index);
                let key = self.slots.peek(index).key;
                self.answer_queue_timeout(index);
                self.drive(index);
                self.promote_joiner(key);
            }
            State::Joined => {
                self.joined -= 1;
                self.answer_queue_timeout(index);
                self.drive(index);
            }
            State::Refusing(refusal) => self.answer_turned_away(index, refusal, b""),
            State::Closing(reason) | State::Lingering(reason) => self.close(index, reason),
        }
    }
}
