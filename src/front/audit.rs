//! The front seen from outside: what it holds and what it waits for, read-only, for simulations and tests that add it all up.

use super::cache::Counts;
use super::net::Net;
use super::slots::{NEVER, Slots, State};
use super::{Front, Regions};
use crate::budget::OUTPUT_BLOCK_BYTES;
use crate::job::{Exchange, Micros, SlotId};
use crate::memory::Blocks;
use crate::policy::clients::Client;

/// Everything that is handed out and must come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Slots that are not in a free list.
    pub slots_in_use: usize,
    /// Slots whose state says that they have a connection.
    pub slots_occupied: usize,
    /// Output blocks.
    pub blocks: usize,
    /// Output blocks in the free list.
    pub blocks_free: usize,
    /// The fewest that were ever in the free list.
    pub blocks_least_free: usize,
    /// Output blocks in the chains of all slots.
    pub blocks_held: usize,
    /// Request buffers in slots and in reserve; the one of the running job is not among them.
    pub exchanges: usize,
    /// Entries of the queue before the back.
    pub queue_entries: usize,
    /// Slots in the state [`State::Queued`].
    pub slots_queued: usize,
    /// Connections counted as waiting for another's job.
    pub joined: usize,
    /// Slots in the state [`State::Joined`].
    pub slots_joined: usize,
    /// Those of them whose job neither waits nor runs.
    pub slots_orphaned: usize,
    /// The most connections that one counted client has.
    pub largest_client: usize,
    /// Whether the next turn will not sleep because work is known to be left.
    pub work_left: bool,
    /// When the timers are looked at next.
    pub next_timer: Micros,
}

/// What the cache has handed out to its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheAudit {
    /// Entries that are not in the free list.
    pub entries: usize,
    /// Places that hold an answer.
    pub entries_held: usize,
    /// Those of them that the index leads to.
    pub entries_indexed: usize,
    /// Blocks that are not in the free list.
    pub blocks_used: usize,
    /// Blocks in the chains of all entries.
    pub blocks_held: usize,
    /// What it has counted.
    pub counts: Counts,
}

/// One connection as the front sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Its name.
    pub id: SlotId,
    /// Where it stands.
    pub state: State,
    /// When its state's time is over; never while it only has to take its answers.
    pub deadline: Micros,
    /// When its client must have taken more of its output.
    pub write_deadline: Micros,
    /// Bytes that its client has not taken.
    pub unsent: usize,
    /// Answers among them.
    pub answers: usize,
    /// Received bytes that belong to no answered request.
    pub unanswered: usize,
    /// It will be driven by the next turn.
    pub in_ready: bool,
    /// Its output will be flushed by the next turn.
    pub in_dirty: bool,
    /// Whom it counts for.
    pub client: Client,
}

impl<N: Net> Front<N> {
    /// What is handed out now.
    pub fn audit(&self) -> Audit {
        let slots = || self.slots.places().map(|index| self.slots.peek(index));
        Audit {
            slots_in_use: self.slots.in_use(),
            slots_occupied: slots().filter(|slot| slot.state != State::Free).count(),
            blocks: self.output.total(),
            blocks_free: self.output.free(),
            blocks_least_free: self.output.total() - self.output.high_water(),
            blocks_held: slots().map(|slot| Blocks::<OUTPUT_BLOCK_BYTES>::held(&slot.out)).sum(),
            exchanges: slots().filter(|slot| slot.exchange.is_some()).count() + usize::from(self.spare_exchange.is_some()),
            queue_entries: self.queue.len(),
            slots_queued: slots().filter(|slot| slot.state == State::Queued).count(),
            joined: self.joined,
            slots_joined: slots().filter(|slot| slot.state == State::Joined).count(),
            slots_orphaned: if self.joined == 0 { 0 } else { self.orphans() },
            largest_client: usize::from(self.clients.largest()),
            work_left: !self.ready.is_empty() || !self.dirty.is_empty(),
            next_timer: self.next_timer,
        }
    }

    /// Connections that wait for a job of another which nobody will start or has started.
    fn orphans(&self) -> usize {
        let joined = self.slots.places().map(|index| self.slots.peek(index)).filter(|slot| slot.state == State::Joined);
        let runs = |key| self.running.is_some_and(|running| running.key == key);
        let queued = |key| self.queue.slots().any(|other| self.slots.peek(other).key == key);
        joined.filter(|slot| if slot.job_began { !runs(slot.key) } else { !queued(slot.key) }).count()
    }

    /// What the cache holds now.
    pub fn audit_cache(&self) -> CacheAudit {
        let (entries_held, entries_indexed, blocks_held) = self.cache.held();
        CacheAudit {
            entries: self.cache.entries(),
            entries_held,
            entries_indexed,
            blocks_used: self.cache.blocks().0,
            blocks_held,
            counts: self.cache.counts,
        }
    }

    /// The connection in a place of the slot table, if there is one.
    pub fn view(&self, index: u16) -> Option<View> {
        let slot = self.slots.peek(index);
        (slot.state != State::Free).then(|| View {
            id: self.slots.id(index),
            state: slot.state,
            deadline: if slot.only_writes() { NEVER } else { slot.deadline },
            write_deadline: slot.write_deadline,
            unsent: slot.out.len(),
            answers: usize::from(slot.answers),
            unanswered: slot.exchange.as_ref().map_or(0, |exchange| exchange.filled - exchange.start),
            in_ready: slot.in_ready,
            in_dirty: slot.in_dirty,
            client: slot.client,
        })
    }

    /// Whether a listener will be asked for connections by the next turn, or once its pause is over.
    pub fn listener_is_awake(&self, at: usize) -> bool {
        self.listeners.get(at).is_some_and(super::listener::Listener::is_awake)
    }

    /// Ends all connections and gives the regions back, request buffers zeroed, for the next front. No job may be out.
    pub fn into_regions(self) -> Regions {
        assert!(self.running.is_none(), "the running job has one of the request buffers");
        let Front { slots, spare_exchange, output, head, entity_head, cache, page, .. } = self;
        let exchanges = Slots::into_exchanges(slots).chain(spare_exchange);
        let requests = exchanges.map(|exchange| {
            let Exchange { bytes, .. } = *exchange;
            bytes.fill(0);
            bytes
        });
        let requests = requests.collect();
        let (output, output_index) = output.into_parts();
        Regions { requests, head, entity_head, cache: cache.into_regions(), page: page.into_bytes(), output, output_index }
    }
}
