//! Accepting: in batches, into the part of the table that fits, and otherwise a clear no from the reserve.

use std::io::IoSlice;

use super::net::{Accepted, Net, Peer};
use super::slots::{Listening, NEVER, Part, State};
use super::{Front, MS};
use crate::job::Micros;
use crate::ops::metrics::{CloseReason, Refusal};
use crate::policy::admission::{self, Newcomer, Seat};
use crate::policy::clients::Client;

/// Connections accepted from one listener in one turn; more wait in the kernel's queue for the next.
const ACCEPTS_PER_TURN: usize = 32;
/// How long a listener rests when descriptors have run out.
const DESCRIPTOR_PAUSE: Micros = 100 * MS;

/// A listener as the front sees it.
pub(super) struct Listener {
    kind: Listening,
    ready: bool,
    paused_until: Micros,
}

impl Listener {
    pub(super) const fn new(kind: Listening) -> Listener {
        // Ready from the start: what came before the registration gives no edge.
        Listener { kind, ready: true, paused_until: 0 }
    }

    pub(super) fn wake(&mut self) {
        self.ready = true;
    }

    pub(super) fn ready_at(&self, now: Micros) -> bool {
        self.ready && self.paused_until <= now
    }

    pub(super) fn is_awake(&self) -> bool {
        self.ready
    }

    pub(super) fn paused_until(&self) -> Option<Micros> {
        (self.ready && self.paused_until > 0).then_some(self.paused_until)
    }
}

impl<N: Net> Front<N> {
    /// Accepts from every listener that may have connections.
    pub(super) fn accept_all(&mut self) {
        for at in 0..self.listeners.len() {
            if self.listeners[at].ready_at(self.now) {
                self.listeners[at].paused_until = 0;
                self.accept_batch(at);
            }
        }
    }

    fn accept_batch(&mut self, at: usize) {
        for _ in 0..ACCEPTS_PER_TURN {
            match self.net.accept(at) {
                Accepted::Connection(socket, peer) => self.admit(socket, peer, self.listeners[at].kind),
                Accepted::Aborted => {}
                Accepted::Empty => {
                    self.listeners[at].ready = false;
                    return;
                }
                Accepted::NoDescriptor => {
                    self.metrics.accept_failures += 1;
                    self.refuse(Refusal::NoDescriptor);
                    let length = self.put_refusal(NO_SLOT);
                    self.net.turn_away(at, &self.head[..length]);
                    self.listeners[at].paused_until = self.now + DESCRIPTOR_PAUSE;
                    return;
                }
            }
        }
    }

    /// Gives a new connection a slot, or tells it why not.
    pub(super) fn admit(&mut self, socket: N::Socket, peer: Peer, listening: Listening) {
        self.metrics.accepted += 1;
        let peer = match peer {
            Peer::Tcp(address) => Some(address.ip().to_canonical()),
            Peer::Unix => None,
        };
        let local = peer.is_none_or(|peer| peer.is_loopback());
        let client = match peer {
            // A proxy stands for many.
            Some(address) if !self.setup.config.trusted_proxies.contains(&address) => Client::of((address, 0).into()),
            _ => Client::Exempt,
        };
        let counted = if listening == Listening::Ops { Client::Exempt } else { client };
        let under_cap = self.clients.enter(counted, self.setup.config.limits.slots_per_client);
        let index = match admission::seat(self.newcomer(listening, counted, under_cap)) {
            Seat::ClientCap => return self.turn_away(socket, Refusal::ClientCap, CLIENT_CAP),
            Seat::Public => self.slots.take(Part::Public),
            Seat::Reserve => self.slots.take(Part::Ops),
            Seat::Reclaimed => self.reclaim(listening, counted),
            Seat::Full => None,
        };
        let Some(index) = index else {
            self.clients.leave(counted);
            return self.turn_away(socket, Refusal::SlotsFull, NO_SLOT);
        };
        let (now, first_byte) = (self.now, self.setup.config.limits.first_byte_ms * MS);
        let slot = self.slots.at(index);
        slot.socket = Some(socket);
        (slot.client, slot.peer, slot.local, slot.listening) = (counted, peer, local, listening);
        // The request often stands behind the handshake already: one read tells, and its absence costs one call a connection.
        (slot.readable, slot.writable) = (true, true);
        slot.enter(State::FirstByte, now, first_byte);
        self.next_timer = self.next_timer.min(now + first_byte);
        self.register(index);
    }

    fn register(&mut self, index: u16) {
        let id = self.slots.id(index);
        let slot = self.slots.at(index);
        let registered = slot.socket.as_ref().map_or(Ok(()), |socket| self.net.register(socket, id));
        if let Err(error) = registered {
            log::error!("a connection could not be watched: {error}");
            self.close(index, CloseReason::Reset);
        } else {
            self.mark_ready(index);
        }
    }

    /// A connection as admission sees it.
    fn newcomer(&self, listening: Listening, client: Client, under_cap: bool) -> Newcomer {
        let public_free = self.slots.free(Part::Public) > 0;
        Newcomer {
            operators: listening == Listening::Ops,
            under_cap,
            public_free,
            reserve_free: self.slots.free(Part::Ops) > 0,
            reclaimable: !public_free && self.makes_room(listening, client).is_some(),
        }
    }

    fn makes_room(&self, listening: Listening, client: Client) -> Option<u16> {
        // It is counted already.
        let others = usize::from(self.clients.of(client)).saturating_sub(1);
        self.slots.makes_room(listening, client, others, self.now)
    }

    /// Closes the connection that is to make room for a newcomer; its slot.
    fn reclaim(&mut self, listening: Listening, client: Client) -> Option<u16> {
        let index = self.makes_room(listening, client)?;
        let reason = if self.slots.peek(index).owes_request() { CloseReason::TooSlow } else { CloseReason::Reclaimed };
        self.close(index, reason);
        self.slots.take(Part::of(usize::from(index)))
    }

    /// Puts a ready-made refusal with its date into the front's buffer; its length.
    fn put_refusal(&mut self, answer: Ready) -> usize {
        let date = self.date.at(self.net.unix_time());
        let mut length = 0;
        for part in [answer.line.as_bytes(), b"date: ", date, answer.rest.as_bytes()] {
            self.head[length..length + part.len()].copy_from_slice(part);
            length += part.len();
        }
        length
    }

    /// Sends a ready-made refusal; from a slot of the reserve while there is one, so that the client surely gets it.
    fn turn_away(&mut self, mut socket: N::Socket, refusal: Refusal, answer: Ready) {
        self.refuse(refusal);
        let length = self.put_refusal(answer);
        let sent = self.net.write(&mut socket, &[IoSlice::new(&self.head[..length])]);
        self.metrics.writes += 1;
        self.net.finish_writing(&mut socket);
        // Taken only when it is used: a slot that is taken and dropped is lost.
        let Some(index) = sent.ok().and_then(|_| self.slots.take(Part::Refusal)) else {
            self.metrics.closed[CloseReason::Refused as usize] += 1;
            return;
        };
        let (now, linger) = (self.now, self.setup.config.limits.linger_ms * MS);
        let slot = self.slots.at(index);
        slot.socket = Some(socket);
        slot.client = Client::Exempt;
        (slot.readable, slot.write_deadline) = (true, NEVER);
        slot.enter(State::Lingering(CloseReason::Refused), now, linger);
        self.next_timer = self.next_timer.min(now + linger);
        self.register(index);
    }
}

/// A ready-made answer; only the date between its parts is missing.
#[derive(Clone, Copy)]
pub(super) struct Ready {
    line: &'static str,
    rest: &'static str,
}

macro_rules! refusal {
    ($status:literal, $retry:literal, $body:literal, $length:literal) => {{
        const _: () = assert!($body.len() == $length, "content-length is the body's");
        Ready {
            line: concat!("HTTP/1.1 ", $status, "\r\n"),
            rest: concat!(
                "\r\ncontent-type: application/problem+json\r\ncontent-length: ",
                $length,
                "\r\nretry-after: ",
                $retry,
                "\r\ncache-control: no-store\r\nconnection: close\r\n\r\n",
                $body
            ),
        }
    }};
}

/// Every slot is taken and none is idle. A slot frees within the deadlines of the slowest client, mostly at once.
const NO_SLOT: Ready = refusal!(
    "503 Service Unavailable",
    1,
    r#"{"type":"tag:flagstone,2026:slots-full","title":"All connection slots are taken","status":503,"detail":"No slot is idle either.","hint":"Try again in a second."}"#,
    161
);

const CLIENT_CAP: Ready = refusal!(
    "429 Too Many Requests",
    1,
    r#"{"type":"tag:flagstone,2026:client-cap","title":"Too many connections from one address","status":429,"detail":"This address has as many connections open as one client may.","hint":"Reuse a connection (keep-alive), or close one."}"#,
    229
);
