//! The slot table: every connection that may exist, made at start and taken, closed and taken anew from then on.
//!
//! Knows what a connection holds; what is done with it is decided in the files beside this one.

use slab::Slab;

use super::repeat::Repeat;
use crate::budget::{CONNECTIONS, OPS_SLOTS, SLOTS};
use core::net::IpAddr;

use super::MS;
use crate::job::{Exchange, Micros, SlotId, Task};
use crate::memory::Chain;
use crate::ops::metrics::{CloseReason, Refusal};
use crate::policy::clients::Client;

/// No deadline.
pub const NEVER: Micros = Micros::MAX;

/// A client that has sent or taken nothing for this long ends when others need the room.
pub const STALLED: Micros = 1000 * MS;

/// A connection that was of use so shortly before makes no room for strangers.
pub const RESTING: Micros = 100 * MS;

/// What a listener's connections may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listening {
    /// The public address.
    Public,
    /// The operators' own address: /-/ in full, slots of its own.
    Ops,
}

/// Where a connection stands. Each state's exits are in `drive`, `finish` and `expire`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No connection.
    Free,
    /// Connected, nothing received yet.
    FirstByte,
    /// Between two requests.
    Idle,
    /// Within a head.
    Head,
    /// Within a body.
    Body,
    /// A request waits for the back.
    Queued,
    /// The back works on the request.
    Running,
    /// Waits for the answer of another's job, which asked the same.
    Joined,
    /// Closes when its output has been taken.
    Closing(CloseReason),
    /// To be turned away: what it asks is awaited for a moment, because health checks are answered all the same.
    Refusing(Refusal),
    /// Output taken and FIN sent: reads and discards so that the answer is not lost to a reset.
    Lingering(CloseReason),
}

impl State {
    /// All names, in the order of [`State::number`].
    pub const LABELS: [&'static str; 11] =
        ["free", "first_byte", "idle", "head", "body", "queued", "running", "joined", "closing", "lingering", "refusing"];

    /// A number below 11.
    pub const fn number(self) -> usize {
        match self {
            State::Free => 0,
            State::FirstByte => 1,
            State::Idle => 2,
            State::Head => 3,
            State::Body => 4,
            State::Queued => 5,
            State::Running => 6,
            State::Joined => 7,
            State::Closing(_) => 8,
            State::Lingering(_) => 9,
            State::Refusing(_) => 10,
        }
    }

    /// Whether the next bytes belong to a request.
    pub const fn reads(self) -> bool {
        matches!(self, State::FirstByte | State::Idle | State::Head | State::Body)
    }
}

/// Which part of the table a slot belongs to: nobody can take another part's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// For everybody.
    Public,
    /// For the operators' listener when the public part is full.
    Ops,
    /// For connections that are turned away.
    Refusal,
}

impl Part {
    /// The part of a place in the table.
    pub const fn of(index: usize) -> Part {
        if index < SLOTS {
            Part::Public
        } else if index < SLOTS + OPS_SLOTS {
            Part::Ops
        } else {
            Part::Refusal
        }
    }
}

/// One connection.
pub struct Slot<S> {
    /// How often this place was closed.
    pub generation: u32,
    /// Where it stands.
    pub state: State,
    /// The connection.
    pub socket: Option<S>,
    /// Its received bytes; away while the back works on a request, absent in the refusal part.
    pub exchange: Option<Box<Exchange>>,
    /// Answers that the client has not taken yet.
    pub out: Chain,
    /// How many answers are in `out`, at most `PIPELINE`.
    pub answers: u8,
    /// Bytes taken since the write deadline was set.
    pub taken: usize,
    /// The socket may have bytes for us.
    pub readable: bool,
    /// The socket may take bytes.
    pub writable: bool,
    /// In the queue of slots to be driven.
    pub in_ready: bool,
    /// In the queue of slots whose output waits for the next turn.
    pub in_dirty: bool,
    /// The client has ended its stream: reads go on until they come to its end, since no further edge will tell.
    pub ended: bool,
    /// Came by the operators' listener.
    pub listening: Listening,
    /// Whom it counts for.
    pub client: Client,
    /// The peer's address; none for a unix peer.
    pub peer: Option<IpAddr>,
    /// The peer is this machine.
    pub local: bool,
    /// When it entered its state.
    pub since: Micros,
    /// When its state's time is over.
    pub deadline: Micros,
    /// When its client must have taken more of its output.
    pub write_deadline: Micros,
    /// What its request asks of the back.
    pub task: Task,
    /// What its request's answer is known by; 0 when it is nobody else's.
    pub key: super::cache::Key,
    /// While joined: the job has begun. Else it is one that has not, also while an older one for the same key runs.
    pub job_began: bool,
    /// When the current request was complete.
    pub request_at: Micros,
    /// The request that the cache answered last.
    pub repeat: Repeat,
    /// While queued: the number of its arrival there.
    pub arrival: u64,
}

impl<S> Slot<S> {
    fn free(exchange: Option<Box<Exchange>>) -> Slot<S> {
        Slot {
            generation: 0,
            state: State::Free,
            socket: None,
            exchange,
            out: Chain::EMPTY,
            answers: 0,
            taken: 0,
            readable: false,
            writable: false,
            in_ready: false,
            in_dirty: false,
            ended: false,
            listening: Listening::Public,
            client: Client::Exempt,
            peer: None,
            local: false,
            since: 0,
            deadline: NEVER,
            write_deadline: NEVER,
            task: Task::Tables,
            key: 0,
            job_began: false,
            request_at: 0,
            repeat: Repeat::NONE,
            arrival: 0,
        }
    }

    /// Enters a state now, with `within` microseconds until its time is over.
    pub fn enter(&mut self, state: State, now: Micros, within: Micros) {
        self.state = state;
        self.since = now;
        self.deadline = now.saturating_add(within);
    }

    /// Whether the client owes us nothing but to take its answers: until then nothing more is read from it, so it cannot be late.
    pub fn only_writes(&self) -> bool {
        self.state.reads() && self.write_deadline != NEVER
    }

    /// Whether the client has begun to ask, or only to connect, and the rest is awaited.
    pub fn owes_request(&self) -> bool {
        matches!(self.state, State::FirstByte | State::Head | State::Body)
    }

    /// The time at which the timers must look at it.
    pub fn due(&self) -> Micros {
        if self.only_writes() { self.write_deadline } else { self.deadline.min(self.write_deadline) }
    }
}

/// All slots.
pub struct Slots<S> {
    slab: Slab<Slot<S>>,
    free: [heapless::Vec<u16, CONNECTIONS>; 3],
    /// Places of ended connections whose request is still with the back: they can be taken again when a buffer has come home.
    lacking: heapless::Vec<u16, CONNECTIONS>,
    used_high: usize,
}

impl<S> Slots<S> {
    /// A table of `CONNECTIONS` free slots; `exchanges` gives each that can ask its request buffer.
    pub fn new(mut exchanges: impl FnMut() -> Box<Exchange>) -> Slots<S> {
        let mut slab = Slab::with_capacity(CONNECTIONS);
        let mut free: [heapless::Vec<u16, CONNECTIONS>; 3] = Default::default();
        for index in 0..CONNECTIONS {
            let part = Part::of(index);
            let exchange = (part != Part::Refusal).then(&mut exchanges);
            let place = slab.insert(Slot::free(exchange));
            assert_eq!(place, index, "a fresh slab fills in order");
        }
        for index in (0..CONNECTIONS).rev() {
            let pushed = free[Part::of(index) as usize].push(index as u16);
            assert!(pushed.is_ok(), "each list holds the whole table");
        }
        Slots { slab, free, lacking: heapless::Vec::new(), used_high: 0 }
    }

    /// The slot at a place.
    pub fn at(&mut self, index: u16) -> &mut Slot<S> {
        &mut self.slab[index as usize]
    }

    /// Reads the slot at a place.
    pub fn peek(&self, index: u16) -> &Slot<S> {
        &self.slab[index as usize]
    }

    /// The slot that `id` names, unless it was closed since.
    pub fn get(&mut self, id: SlotId) -> Option<&mut Slot<S>> {
        self.slab.get_mut(id.index as usize).filter(|slot| slot.generation == id.generation && slot.state != State::Free)
    }

    /// The name of the connection in a slot.
    pub fn id(&self, index: u16) -> SlotId {
        SlotId { index, generation: self.slab[index as usize].generation }
    }

    /// Takes a free slot of a part.
    pub fn take(&mut self, part: Part) -> Option<u16> {
        let index = self.free[part as usize].pop()?;
        assert_eq!(self.slab[index as usize].state, State::Free, "the free list holds free slots");
        self.used_high = self.used_high.max(self.in_use());
        Some(index)
    }

    /// Empties a slot whose output has been released; the caller drops the socket that is returned.
    pub fn put_back(&mut self, index: u16) -> Option<S> {
        let slot = &mut self.slab[index as usize];
        assert!(slot.state != State::Free && slot.out.is_empty(), "a slot is freed once, after its output");
        let part = Part::of(index as usize);
        assert!(slot.exchange.is_none() || part != Part::Refusal, "nobody is heard in the refusal part");
        let lacks = slot.exchange.is_none() && part != Part::Refusal;
        let exchange = slot.exchange.take().map(|mut exchange| {
            exchange.clear();
            exchange
        });
        let socket = slot.socket.take();
        let (generation, in_ready, in_dirty) = (slot.generation.wrapping_add(1), slot.in_ready, slot.in_dirty);
        *slot = Slot { generation, in_ready, in_dirty, ..Slot::free(exchange) };
        let list = if lacks { &mut self.lacking } else { &mut self.free[part as usize] };
        let pushed = list.push(index);
        assert!(pushed.is_ok(), "a list holds the whole table");
        socket
    }

    /// Takes a request buffer whose connection has ended: for a place that lacks one, or back to the caller.
    pub fn bring_home(&mut self, exchange: Box<Exchange>) -> Option<Box<Exchange>> {
        let Some(index) = self.lacking.pop() else { return Some(exchange) };
        self.slab[index as usize].exchange = Some(exchange);
        let pushed = self.free[Part::of(index as usize) as usize].push(index);
        assert!(pushed.is_ok(), "a list holds the whole table");
        None
    }

    /// Free slots of a part.
    pub fn free(&self, part: Part) -> usize {
        self.free[part as usize].len()
    }

    /// Slots with a connection.
    pub fn in_use(&self) -> usize {
        CONNECTIONS - self.free.iter().map(|list| list.len()).sum::<usize>() - self.lacking.len()
    }

    /// The most that `in_use` has been.
    pub fn used_high(&self) -> usize {
        self.used_high
    }

    /// Drops all connections and hands back the request buffers.
    pub fn into_exchanges(self) -> impl Iterator<Item = Box<Exchange>> {
        self.slab.into_iter().filter_map(|(_, slot)| slot.exchange)
    }

    /// Every place.
    pub fn places(&self) -> impl Iterator<Item = u16> + use<S> {
        0..CONNECTIONS as u16
    }

    /// Whether a connection may be closed for another's sake: it is idle, and its next request has not arrived.
    pub fn is_reclaimable(&self, index: u16) -> bool {
        let slot = self.peek(index);
        slot.state == State::Idle && slot.out.is_empty() && !slot.readable && !slot.in_ready
    }

    /// The connection that makes room for a newcomer of this listener and client, which has `others` besides; the longest waiting of its kind.
    ///
    /// First one that is idle, of the newcomer's own client; then one that has owed a request for [`STALLED`]; then anybody's that has been
    /// idle for [`RESTING`], for a client that has none yet. So who besieges the server takes the slots from itself, and who asks all the
    /// while keeps its own.
    pub fn makes_room(&self, listening: Listening, client: Client, others: usize, now: Micros) -> Option<u16> {
        let longest = |part: core::ops::Range<usize>, is_meant: &dyn Fn(&Slot<S>) -> bool| {
            (part.start as u16..part.end as u16)
                .filter(|&index| {
                    let slot = self.peek(index);
                    // One whose next bytes may have arrived already is not waited for.
                    slot.out.is_empty() && !slot.readable && !slot.in_ready && is_meant(slot)
                })
                .min_by_key(|&index| self.peek(index).since)
        };
        let is_idle = |slot: &Slot<S>| slot.state == State::Idle;
        // Operators first make room among themselves: their slots are reserved so that nobody else has to go.
        let of_ops = (listening == Listening::Ops).then(|| longest(SLOTS..SLOTS + OPS_SLOTS, &is_idle)).flatten();
        of_ops
            .or_else(|| longest(0..SLOTS, &|slot| is_idle(slot) && slot.client == client))
            .or_else(|| longest(0..SLOTS, &|slot| slot.owes_request() && slot.since + STALLED <= now))
            .or_else(|| (others == 0).then(|| longest(0..SLOTS, &|slot| is_idle(slot) && slot.since + RESTING <= now)).flatten())
    }

    /// How many slots are in each state.
    pub fn states(&self) -> [u64; State::LABELS.len()] {
        let mut counts = [0; State::LABELS.len()];
        for (_, slot) in &self.slab {
            counts[slot.state.number()] += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_takes_its_own_then_what_is_late_and_at_last_what_rests() {
        let mut slots: Slots<()> =
            Slots::new(|| Box::new(Exchange::new(Box::leak(vec![0; crate::budget::REQUEST_BYTES].into_boxed_slice()))));
        let (own, other) = (Client::V4(1), Client::V4(2));
        let taken: Vec<u16> = (0..SLOTS).map(|_| slots.take(Part::Public).expect("there are as many")).collect();
        for &index in &taken {
            let slot = slots.at(index);
            slot.client = other;
            slot.enter(State::Running, 0, NEVER);
        }
        let set = |slots: &mut Slots<()>, place: usize, client, state, since| {
            let slot = slots.at(taken[place]);
            slot.client = client;
            slot.enter(state, since, NEVER);
        };
        let room = |slots: &Slots<()>, client, others, now| slots.makes_room(Listening::Public, client, others, now);
        assert_eq!(room(&slots, own, 0, NEVER - STALLED), None, "nobody is idle or late");
        // A stranger's connection that was idle for a while, a moment, and no time at all.
        set(&mut slots, 3, other, State::Idle, 1_000_000);
        assert_eq!(room(&slots, own, 0, 1_000_000), None);
        assert_eq!(room(&slots, own, 0, 1_000_000 + RESTING), Some(taken[3]));
        assert_eq!(room(&slots, own, 1, 1_000_000 + RESTING), None, "for those alone that have none");
        // One that is late goes before it.
        set(&mut slots, 5, other, State::Head, 1_000_000);
        assert_eq!(room(&slots, own, 1, 1_000_000 + STALLED - 1), None);
        assert_eq!(room(&slots, own, 1, 1_000_000 + STALLED), Some(taken[5]));
        // And one's own before both, however shortly it was idle.
        set(&mut slots, 7, own, State::Idle, 1_000_000 + STALLED);
        assert_eq!(room(&slots, own, 9, 1_000_000 + STALLED), Some(taken[7]));
    }
}
