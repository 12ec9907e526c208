//! The simulated network as the front calls it; a planted bug of the network happens here.

use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;

use flagstone::front::net::{Accepted, EVENTS, Net, Peer, Ready, Token};
use flagstone::front::slots::Part;
use flagstone::job::{Micros, SlotId};

use super::ledger::Last;
use super::options::{Fault, Plant};
use super::world::{Connection, Due, Shared, Source, World};

/// What the calls cost, in microseconds.
const WAIT_COST: Micros = 1;
const CALL_COST: Micros = 2;
const ACCEPT_COST: Micros = 5;

pub struct SimNet {
    pub world: Shared,
}

/// The front's end of a connection.
pub struct SimSocket {
    pub connection: usize,
    world: Shared,
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        let mut world = self.world.borrow_mut();
        if world.options.plant != Some(Plant::LeakedSocket) || !world.random.one_in(10) {
            world.drop_socket(self.connection);
        }
    }
}

impl World {
    /// Moves what is ready into `events`, as epoll_wait does.
    fn collect(&mut self, events: &mut heapless::Vec<Ready, EVENTS>) {
        for _ in 0..self.list.len().min(EVENTS) {
            let Some(source) = self.list.pop_front() else { break };
            if let Some(event) = self.event(source) {
                self.trace(|| format!("event {event:?}"));
                let pushed = events.push(event);
                assert!(pushed.is_ok(), "as many as fit");
            }
        }
    }

    fn event(&mut self, source: Source) -> Option<Ready> {
        match source {
            Source::Stop => {
                self.stopping = true;
                Some(Ready { token: Token::Stop, readable: true, writable: false, ended: false, gone: false })
            }
            Source::Listener(at) => {
                self.listener_in_list[at] = false;
                let waiting = !self.accept_queues[at].is_empty();
                waiting.then_some(Ready {
                    token: Token::Listener(at as u8),
                    readable: true,
                    writable: false,
                    ended: false,
                    gone: false,
                })
            }
            Source::Socket(id) => {
                let planted = self.options.plant;
                let drops = planted == Some(Plant::LostEdge) && self.random.one_in(50);
                let connection = &mut self.connections[id];
                connection.in_list = false;
                let token = Token::Slot(connection.slot?);
                let hup = connection.reset || (connection.client_fin && connection.server_fin);
                let ended = hup || connection.client_fin;
                let writable = connection.writable();
                if !writable {
                    connection.no_space = true;
                }
                let deaf = planted == Some(Plant::DeafToReset) && connection.reset;
                let event = Ready { token, readable: connection.readable(), writable, ended, gone: hup };
                (!drops && !deaf && (event.readable || event.writable)).then_some(event)
            }
        }
    }

    fn interrupted(&mut self) -> io::Result<()> {
        if self.has(Fault::Interrupt) && self.random.one_in(100) { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
    }

    fn read(&mut self, id: usize, into: &mut [u8]) -> io::Result<usize> {
        self.advance(CALL_COST);
        self.interrupted()?;
        let now = self.now;
        let connection = &mut self.connections[id];
        if connection.reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        if connection.inbound.is_empty() {
            return if connection.client_fin { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        let count = into.len().min(connection.inbound.len());
        into[..count].copy_from_slice(&connection.inbound.make_contiguous()[..count]);
        connection.inbound.drain(..count);
        connection.ledger.handed_over(count as u64, self.database.version);
        connection.last_activity = now;
        let (actor, waits) = (connection.actor, count > 0);
        if waits {
            // A client whose last segment met a full buffer goes on.
            let latency = self.latency();
            self.schedule(latency, Due::Actor(actor));
        }
        self.trace(|| format!("connection {id}: read {count}"));
        Ok(count)
    }

    fn write(&mut self, id: usize, from: &[IoSlice]) -> io::Result<usize> {
        self.advance(CALL_COST);
        // A fresh socket takes its first bytes.
        let fresh = self.connections[id].ledger.written == 0;
        if !fresh {
            self.interrupted()?;
        }
        let pressed = !fresh && self.has(Fault::Pressure) && self.random.one_in(40);
        let connection = &mut self.connections[id];
        if connection.reset || connection.server_fin {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let mut room = connection.outbound_room.saturating_sub(connection.outbound);
        let total: usize = from.iter().map(|slice| slice.len()).sum();
        if pressed {
            room = self.random.range(0, room as u64) as usize;
            connection.pressed = true;
            self.schedule(1000, Due::Space(id));
        }
        let (count, now) = (total.min(room), self.now);
        let connection = &mut self.connections[id];
        connection.no_space |= count < total;
        if count == total {
            // What blocks from here on blocks anew.
            connection.blocked = None;
            connection.unblocked_at = now;
        }
        if count == 0 && total > 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.trace(|| format!("connection {id}: wrote {count} of {total}"));
        self.wrote(id, from, count);
        Ok(if self.options.plant == Some(Plant::LostBytes) && self.random.one_in(50) { (count + 1).min(total) } else { count })
    }

    fn wrote(&mut self, id: usize, from: &[IoSlice], count: usize) {
        let (moment, now) = (self.moment(id), self.now);
        let doubled = self.options.plant == Some(Plant::DoubleAnswer) && self.random.one_in(50);
        let connection = &mut self.connections[id];
        let before = connection.ledger.last;
        connection.writes.push((now, connection.ledger.written));
        for _ in 0..1 + usize::from(doubled) {
            let mut left = count;
            for slice in from {
                let take = left.min(slice.len());
                if let Err(wrong) = connection.ledger.wrote(&slice[..take], moment) {
                    panic!("at {now}: connection {id}: {wrong}");
                }
                left -= take;
            }
        }
        for told in std::mem::take(&mut connection.ledger.told) {
            if let Err(wrong) = self.database.heard(told) {
                panic!("at {now}: connection {id}: {wrong}");
            }
        }
        connection.last_activity = now;
        connection.outbound += count;
        let (actor, closed, peer) = (connection.actor, connection.client_closed, connection.peer);
        let refused = connection.ledger.last == Some(Last::Refused) && before.is_none() && !connection.ledger.turned_away;
        if refused {
            self.judge_refusal(id, peer);
        }
        let latency = self.latency();
        self.schedule(latency, if closed { Due::Reset(id) } else { Due::Actor(actor) });
    }

    /// A connection is turned away only when its client has all it may, or the table is full.
    fn judge_refusal(&self, id: usize, peer: std::net::SocketAddr) {
        let served = |connection: &&Connection| connection.slot.is_some() && !connection.ledger.is_refused();
        let open = self.connections.iter().filter(served).count();
        let full = open >= flagstone::budget::SLOTS;
        let capped = self.open_from(peer) >= flagstone::budget::SLOTS_PER_CLIENT;
        let poor = self.no_descriptors_until > 0;
        assert!(full || capped || poor, "at {}: connection {id} was turned away from a server with room ({open} open)", self.now);
    }
}

impl Net for SimNet {
    type Socket = SimSocket;

    fn now(&self) -> Micros {
        self.world.borrow().now
    }

    fn unix_time(&self) -> u64 {
        1_800_000_000 + self.world.borrow().now / 1_000_000
    }

    fn wait(&mut self, timeout: Option<Micros>, events: &mut heapless::Vec<Ready, EVENTS>) -> io::Result<()> {
        let mut world = self.world.borrow_mut();
        let world = &mut *world;
        events.clear();
        world.accepts = 0;
        let began = world.now;
        world.advance(WAIT_COST);
        world.collect(events);
        let sleep = if world.options.plant == Some(Plant::Oversleep) { 10 } else { 1 };
        let until = timeout.map(|timeout| world.now + timeout * sleep);
        let spurious = world.has(Fault::Interrupt) && world.random.one_in(50);
        while events.is_empty() && until.is_none_or(|until| world.now < until) && !spurious {
            let next = world.next_due().into_iter().chain(until).min();
            let Some(next) = next else { panic!("at {}: the front sleeps for ever, and so does everybody", world.now) };
            world.advance(next.saturating_sub(world.now).max(1));
            world.collect(events);
        }
        world.wait = (began, world.now);
        for at in 0..world.by_slot.len() {
            if let Some(id) = world.by_slot[at] {
                let connection = &mut world.connections[id];
                connection.settled = connection.ledger.arrived;
            }
        }
        Ok(())
    }

    fn accept(&mut self, listener: usize) -> Accepted<SimSocket> {
        let mut world = self.world.borrow_mut();
        world.advance(ACCEPT_COST);
        world.accepts += 1;
        if !world.listening {
            return Accepted::Empty;
        }
        if world.has(Fault::Descriptors) && world.random.one_in(400) {
            world.no_descriptors_until = world.now + 50_000;
        }
        if world.now < world.no_descriptors_until {
            return Accepted::NoDescriptor;
        }
        let Some(id) = world.accept_queues[listener].pop_front() else { return Accepted::Empty };
        let now = world.now;
        let aborts = world.has(Fault::Abort) && (world.connections[id].reset || world.random.one_in(200));
        if aborts {
            world.connections[id].server_closed = true;
            let actor = world.connections[id].actor;
            world.schedule(100, Due::Actor(actor));
            return Accepted::Aborted;
        }
        world.trace(|| format!("connection {id}: accepted"));
        let connection = &mut world.connections[id];
        connection.accepted = Some(now);
        connection.last_activity = now;
        let peer = Peer::Tcp(connection.peer);
        Accepted::Connection(SimSocket { connection: id, world: Rc::clone(&self.world) }, peer)
    }

    fn turn_away(&mut self, listener: usize, answer: &[u8]) {
        let mut world = self.world.borrow_mut();
        let Some(id) = world.accept_queues[listener].pop_front() else { return };
        if world.write(id, &[IoSlice::new(answer)]).is_ok() {
            world.connections[id].server_fin = true;
        }
        world.connections[id].server_closed = true;
    }

    fn wake_on(&mut self, _: std::os::fd::RawFd) -> io::Result<()> {
        Ok(())
    }

    fn close_listeners(&mut self) {
        let mut world = self.world.borrow_mut();
        world.listening = false;
        for at in 0..world.accept_queues.len() {
            while let Some(id) = world.accept_queues[at].pop_front() {
                world.connections[id].server_closed = true;
                let actor = world.connections[id].actor;
                world.schedule(100, Due::Actor(actor));
            }
        }
    }

    fn register(&mut self, socket: &SimSocket, slot: SlotId) -> io::Result<()> {
        let mut world = self.world.borrow_mut();
        world.trace(|| format!("connection {}: {slot:?}", socket.connection));
        let connection = &mut world.connections[socket.connection];
        (connection.slot, connection.registered) = (Some(slot), true);
        connection.ledger.turned_away = Part::of(usize::from(slot.index)) == Part::Refusal;
        if connection.ledger.turned_away {
            let peer = connection.peer;
            world.judge_refusal(socket.connection, peer);
        }
        world.by_slot[usize::from(slot.index)] = Some(socket.connection);
        // What is ready already is an edge, and an empty buffer is.
        world.wake(socket.connection);
        Ok(())
    }

    fn read(&mut self, socket: &mut SimSocket, into: &mut [u8]) -> io::Result<usize> {
        self.world.borrow_mut().read(socket.connection, into)
    }

    fn write(&mut self, socket: &mut SimSocket, from: &[IoSlice]) -> io::Result<usize> {
        self.world.borrow_mut().write(socket.connection, from)
    }

    fn finish_writing(&mut self, socket: &mut SimSocket) {
        let mut world = self.world.borrow_mut();
        let connection = &mut world.connections[socket.connection];
        connection.server_fin = true;
        let actor = connection.actor;
        world.wake(socket.connection);
        let latency = world.latency();
        world.schedule(latency, Due::Actor(actor));
    }
}
