//! What becomes of each request: a reply, a failure, or another attempt. Every close of the driver is decided here.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use super::{Driver, RETRY, RETRY_FULL};
use crate::load::report::{Fault, Tally};
use crate::load::response::{End, Reply};

impl Driver<'_> {
    /// Takes the replies out of the buffer. False when the connection was closed on the way.
    pub(super) fn replies(&mut self, index: usize, count: usize, now: Instant) -> bool {
        let mut at = 0;
        while at < count {
            let connection = &mut self.connections[index];
            let fed = connection.parser.feed(&self.buffer[at..count], self.options.head_only, |_| {});
            let asked = !connection.in_flight.is_empty();
            let reply = match fed {
                Ok((used, reply)) => {
                    at += used;
                    reply
                }
                Err(_) => {
                    self.lost(index, Fault::Malformed, None);
                    return false;
                }
            };
            if !asked {
                // A refusal on accept, perhaps: its status tells more than its existence.
                if let Some(reply) = reply {
                    *self.tally.statuses.entry(reply.status).or_default() += 1;
                }
                self.tally.fault(Fault::Unsolicited, 1);
                self.close(index, Some(now + RETRY));
                return false;
            }
            if let Some(reply) = reply
                && !self.answered(index, reply, now)
            {
                return false;
            }
        }
        true
    }

    /// Accounts for one reply. False when the connection is closed after it.
    pub(super) fn answered(&mut self, index: usize, reply: Reply, now: Instant) -> bool {
        let connection = &mut self.connections[index];
        let request = connection.in_flight.pop_front().expect("the caller saw a request in flight");
        self.in_flight -= 1;
        self.last_reply = Some(now);
        self.tally.body_bytes += reply.body_bytes;
        *self.tally.statuses.entry(reply.status).or_default() += 1;
        self.tally.latency.saturating_record(nanoseconds(now.saturating_duration_since(request.due)));
        if self.options.rate.is_some() {
            self.tally.lag.saturating_record(nanoseconds(request.sent.saturating_duration_since(request.due)));
        }
        if !reply.close && self.options.keep_alive {
            return true;
        }
        if self.options.keep_alive {
            self.tally.announced_closes += 1;
        }
        self.give_back(index);
        self.close(index, None);
        self.fill(index, now);
        false
    }

    /// Requests behind an announced close were not looked at by the server and are sent again (RFC 9112 §9.3.2).
    pub(super) fn give_back(&mut self, index: usize) {
        let unanswered = self.connections[index].in_flight.drain(..);
        self.in_flight -= unanswered.len() as u64;
        if let Some(schedule) = &mut self.schedule {
            unanswered.for_each(|request| schedule.give_back(request.due));
        }
    }

    /// The server closed in order.
    pub(super) fn ended(&mut self, index: usize) {
        let now = Instant::now();
        let connection = &mut self.connections[index];
        match connection.parser.end() {
            End::Complete(reply) if !connection.in_flight.is_empty() => {
                self.answered(index, reply, now);
            }
            End::Between if connection.in_flight.is_empty() => {
                self.tally.idle_closes += 1;
                self.close(index, None);
                self.fill(index, now);
            }
            End::InBody => self.lost(index, Fault::ShortBody, None),
            End::Between | End::Complete(_) | End::InHead => self.lost(index, Fault::ClosedEarly, None),
        }
    }

    /// The connection is of no use any more: each request on it has failed. Of a short body or a malformed reply only
    /// the first request is the victim; those behind it were closed upon.
    pub(super) fn lost(&mut self, index: usize, fault: Fault, error: Option<&io::Error>) {
        let now = Instant::now();
        let victims = self.connections[index].in_flight.len() as u64;
        match fault {
            Fault::ShortBody | Fault::Malformed => {
                self.tally.fault(fault, 1);
                self.tally.fault(Fault::ClosedEarly, victims.saturating_sub(1));
            }
            _ => self.tally.fault(fault, victims.max(1)),
        }
        if let Some(error) = error {
            self.tally.example = Some(error.to_string());
        }
        self.in_flight -= victims;
        self.connections[index].in_flight.clear();
        self.close(index, Some(now + RETRY));
    }

    pub(super) fn connect_failed(&mut self, index: usize, error: &io::Error) {
        self.handshakes -= 1;
        if error.kind() == ErrorKind::WouldBlock {
            // A unix server's accept queue is full: the requests wait, as they would in a TCP handshake.
            self.give_back(index);
            return self.close(index, Some(Instant::now() + RETRY_FULL));
        }
        let fault = match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => Fault::ConnectRefused,
            _ => Fault::ConnectFailed,
        };
        self.lost(index, fault, Some(error));
    }

    /// Settles the accounts of what is still open.
    pub(super) fn finish(mut self, start: Instant, interrupted: bool) -> Tally {
        let now = Instant::now();
        if !interrupted {
            self.tally.fault(Fault::Timeout, self.in_flight);
            let unsent = self.schedule.as_ref().map_or(0, |schedule| schedule.unsent(now));
            self.tally.fault(Fault::Unsent, unsent);
        }
        self.tally.interrupted = interrupted;
        self.tally.elapsed = self.last_reply.unwrap_or(now).saturating_duration_since(start);
        self.tally
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).max(1)
}
