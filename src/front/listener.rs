//! Accepting: in batches, into the part of the table that fits, and otherwise a clear no from the reserve.

use std::io::{ErrorKind, IoSlice};

use super::net::{Accepted, Net, Peer};
use super::slots::{Listening, NEVER, Part, State};
use super::{Front, MS};
use crate::job::Micros;
use crate::ops::metrics::{CloseReason, Refusal, RouteKind};
use crate::policy::admission::{self, Newcomer, Seat};
use crate::policy::clients::Client;

/// Connections accepted from one listener in one turn; more wait in the kernel's queue for the next.
const ACCEPTS_PER_TURN: usize = 32;
/// How long a listener rests when descriptors have run out.
const DESCRIPTOR_PAUSE: Micros = 100 * MS;
/// How long the request of a connection is awaited that is to be turned away: a way there and back in most networks.
const HEARING: Micros = 200 * MS;

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
        for waited in 1..=ACCEPTS_PER_TURN {
            match self.net.accept(at) {
                Accepted::Connection(socket, peer) => {
                    self.metrics.recent_accepts = self.metrics.recent_accepts.max(waited as u64);
                    self.admit(socket, peer, self.listeners[at].kind);
                }
                Accepted::Aborted => {}
                Accepted::Empty => {
                    self.listeners[at].ready = false;
                    return;
                }
                Accepted::NoDescriptor => {
                    self.metrics.accept_failures += 1;
                    self.refuse(Refusal::NoDescriptor);
                    let length = self.put_ready(NO_SLOT);
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
            Seat::ClientCap => return self.turn_away(socket, Refusal::ClientCap),
            Seat::Public => self.slots.take(Part::Public),
            Seat::Reserve => self.slots.take(Part::Ops),
            Seat::Reclaimed => self.reclaim(listening, counted),
            Seat::Full => None,
        };
        let Some(index) = index else {
            self.clients.leave(counted);
            return self.turn_away(socket, Refusal::SlotsFull);
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

    /// Puts a ready-made answer with its date into the front's buffer; its length.
    fn put_ready(&mut self, answer: Ready) -> usize {
        let date = self.date.at(self.net.unix_time());
        let mut length = 0;
        for part in [answer.line.as_bytes(), b"date: ", date, answer.rest.as_bytes()] {
            self.head[length..length + part.len()].copy_from_slice(part);
            length += part.len();
        }
        length
    }

    /// Turns a connection away: with a slot of the refusal part while there is one, so that the client surely gets its answer, and a health
    /// check the one that it asks for.
    fn turn_away(&mut self, mut socket: N::Socket, refusal: Refusal) {
        let Some(index) = self.slots.take(Part::Refusal) else {
            self.refuse(refusal);
            let length = self.put_ready(refused(refusal));
            // What the socket does not take is lost with the connection.
            let _ = self.net.write(&mut socket, &[IoSlice::new(&self.head[..length])]);
            self.metrics.writes += 1;
            self.metrics.closed[CloseReason::Refused as usize] += 1;
            return self.net.finish_writing(&mut socket);
        };
        let now = self.now;
        let slot = self.slots.at(index);
        slot.socket = Some(socket);
        slot.client = Client::Exempt;
        (slot.readable, slot.writable) = (true, true);
        slot.enter(State::Refusing(refusal), now, HEARING);
        self.next_timer = self.next_timer.min(now + HEARING);
        self.register(index);
    }

    /// Reads what a connection that is to be turned away asks for.
    pub(super) fn hear(&mut self, index: u16, refusal: Refusal) {
        let slot = self.slots.at(index);
        let Some(socket) = slot.socket.as_mut().filter(|_| slot.readable) else { return };
        let mut begun = [0; 1024];
        self.metrics.reads += 1;
        match self.net.read(socket, &mut begun) {
            Ok(0) => self.close(index, CloseReason::Refused),
            Ok(count) => {
                // The rest is read while the connection lingers.
                slot.readable = count == begun.len() || slot.ended;
                self.metrics.received_bytes += count as u64;
                self.answer_turned_away(index, refusal, &begun[..count]);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => slot.readable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => self.mark_ready(index),
            Err(_) => self.close(index, CloseReason::Refused),
        }
    }

    /// Answers a connection that is to be turned away, by what it has sent of its request, and ends it.
    pub(super) fn answer_turned_away(&mut self, index: u16, refusal: Refusal, begun: &[u8]) {
        let asks = |page: &[u8]| begun.strip_prefix(b"GET /-/").and_then(|rest| rest.strip_prefix(page)).is_some();
        let answer = if asks(b"health ") || asks(b"ready ") && self.is_ready() {
            self.metrics.answered(RouteKind::Ops, 200);
            HEALTHY
        } else if asks(b"ready ") {
            self.metrics.answered(RouteKind::Ops, 503);
            UNAVAILABLE
        } else {
            self.refuse(refusal);
            refused(refusal)
        };
        let length = self.put_ready(answer);
        let (now, linger) = (self.now, self.setup.config.limits.linger_ms * MS);
        let slot = self.slots.at(index);
        let Some(socket) = slot.socket.as_mut() else { return };
        self.metrics.writes += 1;
        if self.net.write(socket, &[IoSlice::new(&self.head[..length])]).is_err() {
            return self.close(index, CloseReason::Refused);
        }
        self.net.finish_writing(socket);
        slot.write_deadline = NEVER;
        slot.enter(State::Lingering(CloseReason::Refused), now, linger);
        self.next_timer = self.next_timer.min(now + linger);
        self.mark_ready(index);
    }
}

/// A ready-made answer; only the date between its parts is missing.
#[derive(Clone, Copy)]
pub(super) struct Ready {
    line: &'static str,
    rest: &'static str,
}

macro_rules! ready {
    ($status:literal, $type:literal, $fields:literal, $body:literal, $length:literal) => {{
        const _: () = assert!($body.len() == $length, "content-length is the body's");
        Ready {
            line: concat!("HTTP/1.1 ", $status, "\r\n"),
            rest: concat!(
                "\r\ncontent-type: ",
                $type,
                "\r\ncontent-length: ",
                $length,
                "\r\n",
                $fields,
                "cache-control: no-store\r\nconnection: close\r\n\r\n",
                $body
            ),
        }
    }};
}

/// What a connection is told that is turned away.
fn refused(refusal: Refusal) -> Ready {
    if refusal == Refusal::ClientCap { CLIENT_CAP } else { NO_SLOT }
}

/// What `/-/health` and `/-/ready` say to everybody.
const HEALTHY: Ready = ready!("200 OK", "application/json", "", r#"{"status":"ok"}"#, 15);
/// What `/-/ready` says to everybody while it is not.
const UNAVAILABLE: Ready = ready!("503 Service Unavailable", "application/json", "", r#"{"status":"unavailable"}"#, 24);

/// Every slot is taken and none is idle. A slot frees within the deadlines of the slowest client, mostly at once.
const NO_SLOT: Ready = ready!(
    "503 Service Unavailable",
    "application/problem+json",
    "retry-after: 1\r\n",
    r#"{"type":"tag:flagstone,2026:slots-full","title":"All connection slots are taken","status":503,"detail":"No slot is idle either.","hint":"Try again in a second."}"#,
    161
);

const CLIENT_CAP: Ready = ready!(
    "429 Too Many Requests",
    "application/problem+json",
    "retry-after: 1\r\n",
    r#"{"type":"tag:flagstone,2026:client-cap","title":"Too many connections from one address","status":429,"detail":"This address has as many connections open as one client may.","hint":"Reuse a connection (keep-alive), or close one."}"#,
    229
);
