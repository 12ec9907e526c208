//! The simulated clients: each asks, takes its answers and leaves in a manner of its own.

use std::net::{Ipv4Addr, SocketAddr};

use flagstone::job::Micros;

use super::options::Fault;
use super::random::Random;
use super::request::{Asked, Taste, Want, compose};
use super::world::{Due, World};

/// How a client ends a connection when it has asked all it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Closes after the last answer.
    Close,
    /// Ends its stream with the last request, and takes the answers.
    HalfClose,
    /// Closes with the last request and takes nothing.
    Leave,
    /// Stays until the server ends it.
    Stay,
    /// Cuts its last request short and stays.
    Stall,
    /// Cuts its last request short and ends its stream.
    CutShort,
}

/// A client's manner.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub address: SocketAddr,
    pub listener: usize,
    pub taste: Taste,
    /// Connections one after the other.
    pub connections: u64,
    /// Requests on each.
    pub requests: u64,
    /// Requests under way at once.
    pub depth: u64,
    /// Time between an answer and the next request.
    pub think: Micros,
    /// Bytes sent at once, and the time between.
    pub segment: usize,
    pub segment_gap: Micros,
    /// Bytes taken at once, and the time between.
    pub take: usize,
    pub take_gap: Micros,
    pub ending: Ending,
    /// Is gone so long after connecting: by a reset, or without a word.
    pub vanish: Option<(Micros, bool)>,
}

pub struct Actor {
    pub manner: Manner,
    pub connection: Option<usize>,
    pub done: bool,
    connections_left: u64,
    requests_left: u64,
    outgoing: Vec<u8>,
    sent: usize,
    connected_at: Micros,
    next_send: Micros,
    next_take: Micros,
    next_ask: Micros,
    silent: bool,
    planned: Micros,
}

impl Actor {
    pub fn new(manner: Manner) -> Actor {
        Actor {
            manner,
            connection: None,
            done: false,
            connections_left: manner.connections,
            requests_left: 0,
            outgoing: Vec::new(),
            sent: 0,
            connected_at: 0,
            next_send: 0,
            next_take: 0,
            next_ask: 0,
            silent: false,
            planned: 0,
        }
    }

    fn unsent(&self) -> usize {
        self.outgoing.len() - self.sent
    }
}

/// An address of a client: few, so that the cap is met, and sometimes the one that is exempt.
pub fn address(random: &mut Random, crowd: u64) -> SocketAddr {
    let number = random.range(0, crowd) as u8;
    let ip = if number == 0 { Ipv4Addr::LOCALHOST } else { Ipv4Addr::new(10, 0, 0, number) };
    SocketAddr::new(ip.into(), random.range(1024, 65_535) as u16)
}

/// A client that does whatever clients do.
pub fn any(random: &mut Random, world: &World, crowd: u64, size: u64) -> Manner {
    let ops = random.one_in(12);
    let slow = world.has(Fault::Slow);
    let trickles = slow && random.one_in(12);
    let drinks_slowly = slow && random.one_in(8);
    let cost = if random.one_in(4) { 100_000 } else { 3000 };
    let ending = *random.pick(&[
        Ending::Close,
        Ending::Close,
        Ending::HalfClose,
        Ending::Leave,
        Ending::Stay,
        Ending::Stall,
        Ending::CutShort,
    ]);
    let vanish = world.has(Fault::Vanish) && random.one_in(6);
    let burst = ops && random.percent(50);
    Manner {
        address: address(random, crowd),
        listener: usize::from(ops),
        taste: Taste {
            cost,
            size: if random.one_in(4) { size } else { 2000 },
            plain: random.range(50, 100),
            shared: *random.pick(&[0, 30, 90]),
            greedy: burst,
            ops,
        },
        connections: random.range(1, 3),
        requests: if burst { 60 } else { random.spread(1, 40) },
        depth: if burst { random.range(20, 40) } else { random.spread(1, 20) },
        think: if random.one_in(5) { random.spread(1000, 40_000_000) } else { random.spread(10, 20_000) },
        segment: if trickles { 1 + random.range(0, 3) as usize } else { random.spread(20, 65_536) as usize },
        segment_gap: if trickles { random.spread(1000, 3_000_000) } else { random.spread(10, 2000) },
        take: if drinks_slowly { random.spread(100, 8192) as usize } else { 1 << 20 },
        take_gap: if drinks_slowly { random.spread(1000, 3_000_000) } else { 50 },
        ending,
        vanish: vanish.then(|| (random.spread(10, 5_000_000), random.percent(70))),
    }
}

impl World {
    /// Lets a client do all that it can do now, and plans when it goes on.
    pub fn act(&mut self, at: usize) {
        if self.actors[at].done {
            return;
        }
        let Some(id) = self.actors[at].connection else { return self.begin(at) };
        if self.actors[at].silent {
            if self.connections[id].server_closed {
                self.part(at);
            }
            return;
        }
        self.drink(at, id);
        let connection = &self.connections[id];
        let over = connection.server_closed || connection.server_fin;
        if connection.reset || (over && connection.outbound == 0) {
            self.close_client(id);
            return self.part(at);
        }
        if self.vanishes(at, id) {
            return;
        }
        self.ask(at, id);
        self.send(at, id);
        self.end(at, id);
        self.plan(at, id);
    }

    fn begin(&mut self, at: usize) {
        let manner = self.actors[at].manner;
        if self.actors[at].connections_left == 0 || !self.listening {
            self.actors[at].done = true;
            return;
        }
        let Some(id) = self.connect(at, manner.address, manner.listener) else {
            return self.schedule(100_000, Due::Actor(at));
        };
        self.trace(|| format!("connection {id}: client {at} {manner:?}"));
        let now = self.now;
        let actor = &mut self.actors[at];
        actor.connection = Some(id);
        actor.connections_left -= 1;
        actor.requests_left = manner.requests;
        actor.outgoing.clear();
        actor.sent = 0;
        (actor.connected_at, actor.next_send, actor.next_take, actor.next_ask) = (now, now, now, now);
        actor.silent = false;
        if let Some((after, _)) = manner.vanish {
            self.schedule(after, Due::Actor(at));
        }
        let latency = self.latency();
        self.schedule(latency, Due::Actor(at));
    }

    /// The connection is over for the client.
    fn part(&mut self, at: usize) {
        self.actors[at].connection = None;
        let pause = self.random.spread(100, 100_000);
        self.schedule(pause, Due::Actor(at));
    }

    fn drink(&mut self, at: usize, id: usize) {
        let now = self.now;
        let actor = &mut self.actors[at];
        if now >= actor.next_take && self.connections[id].outbound > 0 {
            actor.next_take = now + actor.manner.take_gap;
            let count = actor.manner.take;
            self.take(id, count);
        }
        let taken = self.connections[id].taken;
        let ends = &mut self.connections[id].ledger.ends;
        let mut answered = false;
        while ends.front().is_some_and(|&end| end <= taken) {
            ends.pop_front();
            answered = true;
        }
        if answered {
            let think = self.actors[at].manner.think;
            self.actors[at].next_ask = now + self.random.range(0, think);
        }
    }

    fn vanishes(&mut self, at: usize, id: usize) -> bool {
        let actor = &mut self.actors[at];
        let Some((after, by_reset)) = actor.manner.vanish else { return false };
        if self.now < actor.connected_at + after {
            return false;
        }
        if by_reset {
            self.reset(id);
            self.part(at);
        } else {
            // Nothing more is heard of it; the server must find out by itself.
            actor.silent = true;
        }
        true
    }

    fn ask(&mut self, at: usize, id: usize) {
        let actor = &self.actors[at];
        let (manner, unsent) = (actor.manner, actor.unsent());
        let ledger = &self.connections[id].ledger;
        let open = (ledger.asked.len() + ledger.ends.len()) as u64;
        if actor.requests_left == 0 || unsent > 0 || open >= manner.depth || self.now < actor.next_ask || ledger.last.is_some() {
            return;
        }
        let count = (manner.depth - open).min(actor.requests_left);
        self.actors[at].outgoing.clear();
        self.actors[at].sent = 0;
        for _ in 0..count {
            if !self.ask_one(at, id) {
                break;
            }
        }
        if self.actors[at].requests_left == 0 && matches!(manner.ending, Ending::Stall | Ending::CutShort) {
            self.cut(at, id);
        }
    }

    /// Composes one request; false when it is the connection's last.
    fn ask_one(&mut self, at: usize, id: usize) -> bool {
        let number = self.next_id;
        self.next_id += 1;
        let faults = self.options.faults;
        let actor = &mut self.actors[at];
        let ledger = &mut self.connections[id].ledger;
        let asked =
            compose(&mut self.random, &self.database, actor.manner.taste, faults, number, ledger.composed, &mut actor.outgoing);
        ledger.composed = asked.end;
        ledger.asked.push_back(asked);
        actor.requests_left -= 1;
        let last = asked.close || matches!(asked.want, Want::Reject(_));
        if last {
            actor.requests_left = 0;
        }
        self.trace(|| format!("connection {id}: asks {asked:?}"));
        !last
    }

    /// Takes away the end of what is to be sent, within the last request.
    fn cut(&mut self, at: usize, id: usize) {
        let actor = &mut self.actors[at];
        let ledger = &mut self.connections[id].ledger;
        let Some(&Asked { start, end, want, .. }) = ledger.asked.back() else { return };
        if matches!(want, Want::Reject(_)) {
            return;
        }
        let lost = self.random.range(1, end - start) as usize;
        let left = actor.outgoing.len().saturating_sub(lost);
        actor.outgoing.truncate(left);
    }

    fn send(&mut self, at: usize, id: usize) {
        let now = self.now;
        let actor = &mut self.actors[at];
        if actor.unsent() == 0 || now < actor.next_send {
            return;
        }
        let end = actor.outgoing.len().min(actor.sent + actor.manner.segment);
        let bytes = actor.outgoing[actor.sent..end].to_vec();
        actor.next_send = now + actor.manner.segment_gap;
        let is_last = end == actor.outgoing.len() && actor.requests_left == 0;
        // The FIN often comes with the last bytes, in one edge.
        let fin = is_last && matches!(actor.manner.ending, Ending::HalfClose | Ending::CutShort) && now.is_multiple_of(2);
        let taken = self.arrive(id, &bytes, fin);
        self.actors[at].sent += taken;
    }

    fn end(&mut self, at: usize, id: usize) {
        let actor = &self.actors[at];
        if actor.requests_left > 0 || actor.unsent() > 0 {
            return;
        }
        let ledger = &self.connections[id].ledger;
        let answered = ledger.asked.is_empty() && ledger.ends.is_empty();
        match actor.manner.ending {
            Ending::HalfClose | Ending::CutShort => {
                self.arrive(id, &[], true);
            }
            Ending::Leave => {
                self.close_client(id);
                self.part(at);
            }
            Ending::Close if answered => {
                self.close_client(id);
                self.part(at);
            }
            Ending::Close | Ending::Stay | Ending::Stall => {}
        }
    }

    /// Wakes the client when something of its own is due; what the server does wakes it anyway.
    fn plan(&mut self, at: usize, id: usize) {
        let actor = &self.actors[at];
        if actor.connection != Some(id) {
            return;
        }
        let connection = &self.connections[id];
        let room = connection.inbound.len() < connection.inbound_room;
        let drink = (connection.outbound > 0).then_some(actor.next_take);
        let send = (actor.unsent() > 0 && room).then_some(actor.next_send);
        let ask = (actor.requests_left > 0 && actor.unsent() == 0).then_some(actor.next_ask);
        let ask = ask.filter(|&ask| ask > self.now);
        if let Some(next) = [drink, send, ask].into_iter().flatten().min() {
            let (now, next) = (self.now, next.max(self.now + 10));
            let planned = &mut self.actors[at].planned;
            if *planned <= now || next < *planned {
                *planned = next;
                self.schedule(next - now, Due::Actor(at));
            }
        }
    }
}
