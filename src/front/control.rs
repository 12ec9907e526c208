//! What an operator changes while the server runs, and needs no back for.

use super::Front;
use super::net::Net;
use super::slots::State;
use crate::api::problem::Problem;
use crate::api::route::Ops;
use crate::memory::sink::Sink;
use crate::ops::metrics::{CloseReason, RouteKind};

impl<N: Net> Front<N> {
    /// Does it, and says what was done.
    pub(super) fn answer_control(&mut self, index: u16, control: Ops) {
        match control {
            Ops::Cache => {
                let entries = self.cache.entries();
                self.cache.clear();
                log::info!("an operator cleared the cache: {entries} entries");
                self.answer_done(index, "dropped", entries);
            }
            Ops::ResetPool => {
                let closed = self.close_idle(index);
                log::info!("an operator reset the connection pool: {closed} idle connections closed");
                self.answer_done(index, "closed", closed);
            }
            _ => self.answer_problem(index, RouteKind::Ops, &Problem::no_route(false)),
        }
    }

    /// Ends every connection but `index` that waits for its client's next request.
    fn close_idle(&mut self, index: u16) -> usize {
        let mut closed = 0;
        for other in self.slots.places().filter(|&other| other != index) {
            let slot = self.slots.peek(other);
            if matches!(slot.state, State::Idle | State::FirstByte) && slot.out.is_empty() && !slot.readable {
                self.close(other, CloseReason::Reclaimed);
                closed += 1;
            }
        }
        closed
    }

    fn answer_done(&mut self, index: u16, what: &str, count: usize) {
        self.page.len = 0;
        let mut digits = itoa::Buffer::new();
        let parts: [&[u8]; 5] = [b"{\"", what.as_bytes(), b"\":", digits.format(count).as_bytes(), b"}"];
        let put = parts.iter().try_for_each(|part| self.page.put(part));
        debug_assert!(put.is_ok(), "a page holds a short object");
        self.answer_rendered(index, 200);
    }
}
