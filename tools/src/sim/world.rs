//! The simulated machine: a clock, a timeline, sockets with the kernel's manners, and who waits for what.
//!
//! Readiness follows epoll with EPOLLET: a wake-up (bytes, FIN, reset, space after a refused write) puts a socket into the ready list
//! once; the state that is reported is that of the moment at which the list is read.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;

use flagstone::budget::BACKLOG;
use flagstone::job::{Micros, SlotId};

use super::actor::Actor;
use super::database::Database;
use super::ledger::{Ledger, Moment};
use super::options::{Fault, Options};
use super::random::Random;

/// The listeners of a simulation: the public one and the operators'.
pub const LISTENERS: usize = 2;

/// The simulated machine's memory, in bytes.
pub const MACHINE: u64 = 512 << 20;

/// What happens at a time of the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// A client does what it has to do.
    Actor(usize),
    /// The client's kernel answers bytes for a closed socket.
    Reset(usize),
    /// Memory for a socket's output is there again.
    Space(usize),
    /// SIGTERM.
    Stop,
}

/// What is in the kernel's ready list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A listener.
    Listener(usize),
    /// A connection's socket.
    Socket(usize),
    /// The signal pipe.
    Stop,
}

/// A connection: both ends and what lies between them.
pub struct Connection {
    pub actor: usize,
    pub peer: SocketAddr,
    pub listener: usize,
    /// Bytes that the front may read.
    pub inbound: VecDeque<u8>,
    pub inbound_room: usize,
    /// Bytes that the client has not taken; their contents were judged when they were written.
    pub outbound: usize,
    pub outbound_room: usize,
    /// Bytes that the client has taken.
    pub taken: u64,
    /// A write found no room: there will be an edge.
    pub no_space: bool,
    /// Memory is short: the edge for space comes by a timer.
    pub pressed: bool,
    /// Since when the front has had output that the socket does not take fast enough, and what was written by then.
    pub blocked: Option<(Micros, u64)>,
    /// Each write: when, and what was written in all before it.
    pub writes: Vec<(Micros, u64)>,
    /// When a write last took all that was offered.
    pub unblocked_at: Micros,
    /// The client ended its stream.
    pub client_fin: bool,
    /// The client closed: further answers are met with a reset.
    pub client_closed: bool,
    /// The connection was reset, or failed.
    pub reset: bool,
    /// The front ended its stream.
    pub server_fin: bool,
    pub server_closed: bool,
    pub accepted: Option<Micros>,
    pub slot: Option<SlotId>,
    /// It had a slot once.
    pub registered: bool,
    pub in_list: bool,
    /// When the last byte from the client arrived.
    pub last_arrival: Micros,
    /// What of the stream, and whether its end, had arrived when the last wait ended.
    pub settled: u64,
    /// When the front last read, or wrote something.
    pub last_activity: Micros,
    pub ledger: Ledger,
}

impl Connection {
    fn new(actor: usize, peer: SocketAddr, listener: usize, rooms: (usize, usize)) -> Connection {
        Connection {
            actor,
            peer,
            listener,
            inbound: VecDeque::new(),
            inbound_room: rooms.0,
            outbound: 0,
            outbound_room: rooms.1,
            taken: 0,
            no_space: false,
            pressed: false,
            blocked: None,
            writes: Vec::new(),
            unblocked_at: 0,
            client_fin: false,
            client_closed: false,
            reset: false,
            server_fin: false,
            server_closed: false,
            accepted: None,
            slot: None,
            registered: false,
            in_list: false,
            last_arrival: 0,
            settled: 0,
            last_activity: 0,
            ledger: Ledger::new(),
        }
    }

    /// Whether its client has taken too little of its answers in the `within` before `at` for all of that time.
    pub fn is_stuck(&self, at: Micros, within: Micros, least: u64) -> bool {
        let from = at.saturating_sub(within);
        let before = self.writes.iter().find(|&&(time, _)| time > from).map_or(self.ledger.written, |&(_, before)| before);
        self.accepted.is_some_and(|accepted| accepted.max(self.unblocked_at) <= from) && self.ledger.written - before < least
    }

    /// Whether a read would tell something.
    pub fn readable(&self) -> bool {
        !self.inbound.is_empty() || self.client_fin || self.reset
    }

    /// Whether the kernel would say that there is space: from a third of the buffer on.
    pub fn writable(&self) -> bool {
        self.reset || self.server_fin || 3 * (self.outbound_room.saturating_sub(self.outbound)) >= self.outbound_room
    }
}

/// A connection that the front has just dropped.
#[derive(Clone, Copy, Debug)]
pub struct Dropped {
    pub connection: usize,
    pub at: Micros,
}

pub struct World {
    pub now: Micros,
    pub options: Options,
    pub random: Random,
    pub database: Database,
    pub connections: Vec<Connection>,
    pub actors: Vec<Actor>,
    pub accept_queues: [VecDeque<usize>; LISTENERS],
    pub list: VecDeque<Source>,
    pub listener_in_list: [bool; LISTENERS],
    pub listening: bool,
    pub no_descriptors_until: Micros,
    /// The stop was delivered.
    pub stopping: bool,
    pub dropped: Vec<Dropped>,
    /// When the front came back to the ladder's lowest step; the end of time while it is above it.
    pub busy_until: Option<Micros>,
    /// Until when the machine is short of memory.
    pub short_until: Micros,
    /// Which connection is in a place of the slot table.
    pub by_slot: Vec<Option<usize>>,
    /// Accepts since the last wait.
    pub accepts: usize,
    /// When the last wait began and ended.
    pub wait: (Micros, Micros),
    pub next_id: u64,
    timeline: BinaryHeap<Reverse<(Micros, u64, Due)>>,
    sequence: u64,
}

pub type Shared = Rc<RefCell<World>>;

impl World {
    pub fn new(seed: u64, options: Options) -> World {
        let mut random = Random::new(seed);
        World {
            now: 1000,
            options,
            database: Database::new(&mut random),
            random,
            connections: Vec::new(),
            actors: Vec::new(),
            accept_queues: Default::default(),
            list: VecDeque::new(),
            listener_in_list: [false; LISTENERS],
            listening: true,
            no_descriptors_until: 0,
            stopping: false,
            dropped: Vec::new(),
            busy_until: None,
            short_until: 0,
            by_slot: vec![None; flagstone::budget::CONNECTIONS],
            accepts: 0,
            wait: (0, 0),
            next_id: 1,
            timeline: BinaryHeap::new(),
            sequence: 0,
        }
    }

    pub fn has(&self, fault: Fault) -> bool {
        self.options.faults.has(fault)
    }

    pub fn trace(&self, line: impl FnOnce() -> String) {
        if self.options.verbose {
            println!("{:>12} {}", self.now, line());
        }
    }

    pub fn schedule(&mut self, after: Micros, due: Due) {
        self.sequence += 1;
        self.timeline.push(Reverse((self.now + after, self.sequence, due)));
    }

    /// When the next thing happens.
    pub fn next_due(&self) -> Option<Micros> {
        self.timeline.peek().map(|Reverse((at, ..))| *at)
    }

    /// Lets time pass, and everything happen that is due meanwhile.
    pub fn advance(&mut self, by: Micros) {
        let until = self.now + by;
        while let Some(&Reverse((at, _, due))) = self.timeline.peek()
            && at <= until
        {
            self.timeline.pop();
            self.now = self.now.max(at);
            self.happen(due);
        }
        self.now = until;
        self.commit_due();
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Actor(actor) => self.act(actor),
            Due::Reset(connection) => self.reset(connection),
            Due::Space(connection) => {
                self.connections[connection].pressed = false;
                self.wake(connection);
            }
            Due::Stop => self.list.push_back(Source::Stop),
        }
    }

    /// Puts a socket into the ready list.
    pub fn wake(&mut self, id: usize) {
        let connection = &mut self.connections[id];
        if connection.slot.is_some() && !connection.in_list {
            connection.in_list = true;
            self.list.push_back(Source::Socket(id));
        }
    }

    /// A client connects; `None` when the kernel refuses.
    pub fn connect(&mut self, actor: usize, peer: SocketAddr, listener: usize) -> Option<usize> {
        if !self.listening || self.accept_queues[listener].len() >= BACKLOG {
            return None;
        }
        let rooms = (self.random.spread(256, 32_768) as usize, self.random.spread(512, 65_536) as usize);
        let id = self.connections.len();
        self.connections.push(Connection::new(actor, peer, listener, rooms));
        self.accept_queues[listener].push_back(id);
        if !self.listener_in_list[listener] {
            self.listener_in_list[listener] = true;
            self.list.push_back(Source::Listener(listener));
        }
        Some(id)
    }

    /// Bytes arrive, and with them perhaps the end of the stream; returns how many there was room for.
    pub fn arrive(&mut self, id: usize, bytes: &[u8], fin: bool) -> usize {
        let now = self.now;
        let connection = &mut self.connections[id];
        if connection.client_fin || connection.reset || connection.server_closed {
            return bytes.len();
        }
        let take = bytes.len().min(connection.inbound_room.saturating_sub(connection.inbound.len()));
        connection.inbound.extend(&bytes[..take]);
        connection.ledger.arrived += take as u64;
        connection.last_arrival = now;
        let ends = fin && take == bytes.len();
        connection.client_fin |= ends;
        if take > 0 || ends {
            self.wake(id);
        }
        take
    }

    /// The client's kernel gives the connection up.
    pub fn reset(&mut self, id: usize) {
        let connection = &mut self.connections[id];
        if connection.reset || connection.server_closed {
            return;
        }
        connection.reset = true;
        connection.inbound.clear();
        connection.outbound = 0;
        self.trace(|| format!("connection {id}: reset"));
        self.wake(id);
    }

    /// The client closes its socket: a FIN, or a reset when it left bytes unread.
    pub fn close_client(&mut self, id: usize) {
        let connection = &mut self.connections[id];
        connection.client_closed = true;
        if connection.outbound > 0 && !connection.server_closed {
            self.reset(id);
        } else {
            self.arrive(id, &[], true);
        }
    }

    /// The client takes up to `count` bytes.
    pub fn take(&mut self, id: usize, count: usize) {
        let connection = &mut self.connections[id];
        let taken = count.min(connection.outbound);
        connection.outbound -= taken;
        connection.taken += taken as u64;
        if connection.no_space && connection.writable() {
            connection.no_space = false;
            self.wake(id);
        }
    }

    /// What an answer is judged by.
    pub fn moment(&self, id: usize) -> Moment {
        Moment { stopping: self.stopping, panics: self.has(Fault::Panic), settled: self.connections[id].settled }
    }

    /// The front dropped its socket.
    pub fn drop_socket(&mut self, id: usize) {
        let now = self.now;
        let connection = &mut self.connections[id];
        connection.server_closed = true;
        if let Some(slot) = connection.slot.take() {
            self.by_slot[usize::from(slot.index)] = None;
        }
        if !connection.inbound.is_empty() {
            // Unread bytes turn the close into a reset, and what was under way is lost.
            connection.outbound = 0;
        }
        self.dropped.push(Dropped { connection: id, at: now });
        let actor = self.connections[id].actor;
        let latency = self.latency();
        self.schedule(latency, Due::Actor(actor));
    }

    /// What of [`MACHINE`] could be had now: now and then others take nearly all of it for a while.
    pub fn available(&mut self) -> u64 {
        if self.has(Fault::Pressure) && self.now >= self.short_until && self.random.one_in(30) {
            self.short_until = self.now + self.random.spread(1_000_000, 20_000_000);
        }
        if self.now < self.short_until { MACHINE / 20 } else { MACHINE / 2 }
    }

    pub fn latency(&mut self) -> Micros {
        self.random.spread(20, 2000)
    }

    /// Connections that are open at the front and count for a client's cap.
    pub fn open_from(&self, peer: SocketAddr) -> usize {
        let open = |connection: &&Connection| {
            connection.slot.is_some()
                && connection.listener == 0
                && connection.peer.ip() == peer.ip()
                && !connection.ledger.is_refused()
        };
        self.connections.iter().filter(open).count()
    }
}
