//! The front: sockets, slots, reading, answering, writing, deadlines. Names no SQLite.
//!
//! One [`Front::turn`] does everything that needs no database and may be taken at any moment, also from inside a running query:
//! then it serves, refuses and queues, but starts no job. [`Front::next_job`] and [`Front::finish`] are the way to the back and home.

mod allow;
mod answer;
pub mod audit;
pub mod cache;
mod control;
mod cors;
mod drills;
mod emergency;
mod entity;
mod jobs;
mod judge;
mod key;
mod ladder;
mod listener;
pub mod mio_net;
pub mod net;
mod ops;
mod page;
mod paths;
mod pressure;
mod read;
pub mod regions;
mod repeat;
pub mod slots;
mod slow;
mod timers;
mod warming;
mod watch;
mod write;
mod writes;

use std::os::fd::RawFd;
use std::rc::Rc;

use heapless::Deque;

use crate::api::canonical::Canonical;
use crate::api::named::Bound;
use crate::budget::{CONNECTIONS, OUTPUT_BLOCK_BYTES, SLOTS};
use crate::config::Config;
use crate::http::date::DateCache;
use crate::http::etag::TagKey;
use crate::job::{Current, Exchange, Micros, SlotId, Stamp};
use crate::memory::Blocks;
use crate::ops::metrics::{CloseReason, GapCause, Metrics, Refusal};
use crate::ops::readings::Readings;
use crate::ops::route_pages::Answers;
use crate::ops::system::Wal;
use crate::policy::attempts::Attempts;
use crate::policy::clients::ClientCounts;
use crate::policy::drill::{Drill, Drills};
use crate::policy::fair_queue::FairQueue;
use crate::policy::flags::Flags;
use crate::policy::hosts::Hosts;
use crate::policy::paths::{Part, Paths};
use crate::policy::sharing::Sharing;
use crate::policy::watchdog::Watchdog;
use cache::Cache;
use emergency::Stage;
pub use jobs::Work;
use net::{EVENTS, Net, Ready, Token};
use page::Page;
pub use regions::Regions;
use slots::{Listening, NEVER, Slots, State};

const MS: Micros = 1000;
/// Slots driven in one turn; the rest waits for the next, so that timers and accepts keep their share.
const DRIVES_PER_TURN: usize = 64;
/// While a database is locked by others, its requests are tried again after this.
const BUSY_RETRY: Micros = MS;
/// The client table's size: a power of two with room to spare, so that look-ups stay short.
const CLIENT_TABLE: usize = (2 * CONNECTIONS).next_power_of_two();
/// Clients whose wrong tokens are counted apart.
const ATTEMPTS: usize = 64;
/// Entries that may wait for the back: one a slot that can ask.
const QUEUE: usize = SLOTS + crate::budget::OPS_SLOTS;

/// How long a turn may wait for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until something happens or a deadline is due.
    UntilEvent,
    /// As long as that in microseconds: from inside a job that sleeps.
    AtMost(Micros),
    /// Not at all: from inside a job, or while jobs wait.
    No,
}

/// What the front is started with.
pub struct Setup {
    /// What each listener's connections may ask for, in the order of the network's listeners.
    pub listeners: heapless::Vec<Listening, { mio_net::MAX_LISTENERS }>,
    /// The running configuration.
    pub config: Rc<Config>,
    /// The installation's key for entity tags.
    pub tag_key: TagKey,
    /// The names under which this server may be asked.
    pub hosts: Hosts,
}

/// How old the second may be that an answer is dated by: a turn reads the clock, and not each answer of a row of jobs behind it.
const DATE_AGE: Micros = 10 * MS;

/// The front half of the server.
pub struct Front<N: Net> {
    net: N,
    setup: Setup,
    slots: Slots<N::Socket>,
    spare_exchange: Option<Box<Exchange>>,
    output: Blocks<OUTPUT_BLOCK_BYTES>,
    head: &'static mut [u8],
    entity_head: &'static mut [u8],
    page: Page,
    cache: Cache,
    canonical: Box<Canonical>,
    bound: Box<Bound>,
    /// What the answers of each named route are known by.
    route_keys: Box<[cache::Key]>,
    /// What each has answered.
    route_answers: Box<[Answers]>,
    /// What was made of each before anybody asked.
    tried: Box<[warming::Tried]>,
    cors: cors::Cors,
    beginning: repeat::Beginning,
    /// Counts the configurations: what was decided in another epoch is decided anew.
    epoch: u32,
    attempts: Attempts<ATTEMPTS>,
    flags: Flags,
    paths: Paths<{ Part::ALL.len() }>,
    drills: Drills<{ Drill::ALL.len() }>,
    /// The back is to be told what the drills order of the database's files.
    faults_ordered: bool,
    /// Keys of raw targets seen lately: (hash of the target as sent, key).
    shortcuts: Box<[cache::Shortcut]>,
    freshness: Option<Rc<dyn Current>>,
    /// Connections that wait for another's job.
    joined: usize,
    watch: Box<watch::Watch>,
    pressure: Box<pressure::Pressure>,
    clients: Box<ClientCounts<CLIENT_TABLE>>,
    queue: Box<FairQueue<QUEUE>>,
    sharing: Sharing<Option<Stamp>>,
    writes: writes::Writes,
    events: heapless::Vec<Ready, EVENTS>,
    ready: Deque<u16, CONNECTIONS>,
    dirty: Deque<u16, CONNECTIONS>,
    listeners: heapless::Vec<listener::Listener, { mio_net::MAX_LISTENERS }>,
    running: Option<jobs::Running>,
    serving: Option<u16>,
    /// How far the answer of the request that is being served has come.
    stage: emergency::Stage,
    now: Micros,
    /// The wall clock as of the last turn, in seconds since 1970.
    unix: u64,
    /// When it was read.
    unix_at: Micros,
    last_turn_end: Micros,
    /// When the last turn or job ended, as of its own look at the clock: what comes before the next turn is nobody's work.
    accounted: Micros,
    next_timer: Micros,
    draining_since: Option<Micros>,
    drain_told: bool,
    reload_asked: bool,
    watchdog: Watchdog,
    date: DateCache,
    /// All counters.
    pub metrics: Metrics,
    /// What the event loop last read of process, heap and database.
    pub readings: Readings,
    /// Whether new work is refused because Rust's heap is in its reserve.
    pub heap_in_reserve: bool,
}

impl<N: Net> Front<N> {
    /// A front over `net` with all its memory.
    pub fn new(net: N, setup: Setup, regions: Regions) -> Front<N> {
        let mut buffers = regions.requests.into_iter();
        let mut exchange = || {
            let bytes = buffers.next().expect("there are EXCHANGES buffers");
            Box::new(Exchange::new(bytes))
        };
        let slots = Slots::new(&mut exchange);
        let spare_exchange = Some(exchange());
        let listeners = setup.listeners.iter().map(|&kind| listener::Listener::new(kind)).collect();
        let (now, unix) = (net.now(), net.unix_time());
        let cache = Cache::new(regions.cache);
        let flags = Flags::new(setup.config.flags);
        let mut front = Front {
            net,
            setup,
            slots,
            spare_exchange,
            output: Blocks::new(regions.output, regions.output_index),
            head: regions.head,
            entity_head: regions.entity_head,
            cache,
            canonical: Box::new(Canonical::new()),
            bound: Box::new(Bound::new()),
            route_keys: vec![0; crate::budget::ROUTES].into_boxed_slice(),
            route_answers: vec![Answers::default(); crate::budget::ROUTES].into_boxed_slice(),
            tried: vec![warming::Tried::default(); crate::budget::ROUTES].into_boxed_slice(),
            cors: cors::Cors::default(),
            beginning: repeat::Beginning::new(),
            epoch: 0,
            attempts: Attempts::new(),
            flags,
            paths: Paths::new(),
            drills: Drills::new(),
            faults_ordered: false,
            shortcuts: vec![(0, 0); crate::budget::CACHE_TABLE].into_boxed_slice(),
            freshness: None,
            joined: 0,
            watch: Box::new(watch::Watch::new()),
            pressure: Box::default(),
            page: Page::new(regions.page),
            clients: Box::new(ClientCounts::new()),
            queue: Box::new(FairQueue::new()),
            sharing: Sharing::new(),
            writes: writes::Writes::new(),
            events: heapless::Vec::new(),
            ready: Deque::new(),
            dirty: Deque::new(),
            listeners,
            running: None,
            serving: None,
            stage: emergency::Stage::Nothing,
            now,
            unix,
            unix_at: now,
            last_turn_end: now,
            accounted: now,
            next_timer: NEVER,
            draining_since: None,
            drain_told: false,
            reload_asked: false,
            watchdog: Watchdog::new(None),
            date: DateCache::new(),
            metrics: Metrics::new(),
            readings: Readings::default(),
            heap_in_reserve: false,
        };
        front.note_routes();
        front
    }

    /// Everything that needs no database: flush, take events, accept, read, answer, write, and what is due.
    ///
    /// Bounded: at most `EVENTS` events, `ACCEPTS_PER_TURN` accepts a listener and `DRIVES_PER_TURN` slots.
    pub fn turn(&mut self, wait: Wait) {
        self.watchdog.pass(self.now);
        let is_first = self.metrics.turns == 0;
        let held_up = self.await_events(wait);
        // What the start took is not for anybody who waits.
        if !is_first {
            self.metrics.gap(GapCause::Other, held_up);
        }
        self.take_turn();
    }

    /// Flushes and waits; how much longer than it meant to it has not looked at its events, since the last turn or job.
    fn await_events(&mut self, wait: Wait) -> Micros {
        self.flush_dirty();
        let timeout = self.timeout(wait);
        if let Err(error) = self.net.wait(timeout, &mut self.events) {
            log::error!("waiting for events failed: {error}");
        }
        self.now = self.net.now();
        (self.unix, self.unix_at) = (self.net.unix_time(), self.now);
        if self.watchdog.is_due(self.now) {
            self.net.feed_watchdog();
        }
        self.metrics.turns += 1;
        self.now.saturating_sub(self.accounted).saturating_sub(timeout.unwrap_or(0))
    }

    fn take_turn(&mut self) {
        self.note_events();
        self.accept_all();
        for _ in 0..self.ready.len().min(DRIVES_PER_TURN) {
            let Some(index) = self.ready.pop_front() else { break };
            self.slots.at(index).in_ready = false;
            self.serve(index, Stage::Nothing, |front| front.drive(index));
        }
        if self.now >= self.next_timer {
            self.expire();
        }
        if self.now >= self.drills.next_end() {
            self.end_drills();
        }
        self.last_turn_end = self.now;
        self.accounted = self.now;
    }

    /// The running configuration.
    pub fn config(&self) -> Rc<Config> {
        self.setup.config.clone()
    }

    /// Whether the configuration is to be read again, by a signal since the last call.
    pub fn take_reload(&mut self) -> bool {
        std::mem::take(&mut self.reload_asked)
    }

    /// Frames in the database's WAL, as its index tells now; 0 when that is not known.
    pub fn wal_frames(&self) -> u32 {
        self.freshness.as_ref().and_then(|freshness| freshness.current()).map_or(0, |stamp| stamp.wal_frames())
    }

    /// The database's WAL and its readers; `None` outside of WAL mode, and while no database is open.
    pub fn wal(&self) -> Option<Wal> {
        self.freshness.as_ref().and_then(|freshness| freshness.wal())
    }

    /// Ends a wait for events when `descriptor` becomes readable; nobody reads it here.
    ///
    /// # Errors
    /// What the kernel's poll gave.
    pub fn wake_on(&mut self, descriptor: RawFd) -> std::io::Result<()> {
        self.net.wake_on(descriptor)
    }

    /// Takes over a connected socket that came by no listener.
    pub fn adopt(&mut self, socket: N::Socket) {
        self.admit(socket, net::Peer::Unix, Listening::Public);
    }

    /// Whether the server is stopping and every connection has ended.
    pub fn drained(&self) -> bool {
        self.draining_since.is_some() && self.slots.in_use() == 0
    }

    /// Whether a turn is due between two jobs.
    pub fn turn_is_due(&self, gap: Micros) -> bool {
        self.now >= self.last_turn_end + gap
    }

    /// The time as of the last turn or job.
    pub fn now(&self) -> Micros {
        self.now
    }

    /// The wall clock in seconds since 1970.
    pub fn unix_time(&self) -> u64 {
        self.net.unix_time()
    }

    /// The same for a Date field, at most [`DATE_AGE`] old.
    fn date_time(&mut self) -> u64 {
        if self.now >= self.unix_at + DATE_AGE {
            (self.unix, self.unix_at) = (self.net.unix_time(), self.now);
        }
        self.unix
    }

    fn timeout(&self, wait: Wait) -> Option<Micros> {
        if wait == Wait::No || !self.ready.is_empty() || self.listeners.iter().any(|listener| listener.ready_at(self.now)) {
            return Some(0);
        }
        let listeners = self.listeners.iter().filter_map(listener::Listener::paused_until).min();
        // Inside a job nothing queued can start, however long it has waited; else never longer than a second, because readings and the
        // database's file are looked at that often.
        let (longest, queued) = match wait {
            Wait::AtMost(longest) => (longest, None),
            _ => (1000 * MS, self.queue.next_at().into_iter().chain(self.batch_due()).min()),
        };
        let timer = Some(self.next_timer).filter(|&timer| timer != NEVER);
        let now = self.net.now();
        let due = [timer, queued, listeners, self.watchdog.next_at(now)].into_iter().flatten().min();
        Some(due.map_or(longest, |due| due.saturating_sub(now)).min(longest))
    }

    fn note_events(&mut self) {
        let mut stop = false;
        // By their numbers: taken out and put back they would be copied twice in every turn.
        for at in 0..self.events.len() {
            let event = self.events[at];
            match event.token {
                Token::Listener(at) => {
                    if let Some(listener) = self.listeners.get_mut(usize::from(at)) {
                        listener.wake();
                    }
                }
                Token::Stop => stop = true,
                Token::Reload => self.reload_asked = true,
                Token::Wake => {}
                Token::Slot(id) => self.note_slot_event(id, event),
            }
        }
        // When it is known whose requests have arrived.
        if stop {
            self.drain();
        }
    }

    fn note_slot_event(&mut self, id: SlotId, event: Ready) {
        let Some(slot) = self.slots.get(id) else { return };
        slot.readable |= event.readable;
        slot.writable |= event.writable;
        slot.ended |= event.ended;
        if event.gone {
            let reason = match slot.state {
                // The answer is out and FIN sent: the client's own end is the usual one.
                State::Lingering(reason) => reason,
                State::Refusing(_) => CloseReason::Refused,
                state if state.reads() => CloseReason::Reset,
                _ => CloseReason::Abandoned,
            };
            self.close(id.index, reason);
        } else {
            self.mark_ready(id.index);
        }
    }

    fn mark_ready(&mut self, index: u16) {
        let slot = self.slots.at(index);
        if !slot.in_ready {
            slot.in_ready = true;
            let pushed = self.ready.push_back(index);
            assert!(pushed.is_ok(), "one entry a slot");
        }
    }

    fn mark_dirty(&mut self, index: u16) {
        let slot = self.slots.at(index);
        if !slot.in_dirty {
            slot.in_dirty = true;
            let pushed = self.dirty.push_back(index);
            assert!(pushed.is_ok(), "one entry a slot");
        }
    }

    /// Begins the graceful stop: no new connections, idle ones end at once, the rest within the drain time.
    fn drain(&mut self) {
        if self.draining_since.is_some() {
            return;
        }
        log::info!("stopping: {} connections open", self.slots.in_use());
        // Who has connected already is heard.
        self.accept_all();
        self.draining_since = Some(self.now);
        self.net.close_listeners();
        self.listeners.clear();
        for index in self.slots.places() {
            let slot = self.slots.peek(index);
            match slot.state {
                // What has arrived is read first; `step` closes those of whom nothing had.
                State::Idle | State::FirstByte if slot.out.is_empty() && slot.readable => {}
                State::Idle | State::FirstByte if slot.out.is_empty() => self.close(index, CloseReason::Drained),
                State::Idle => self.set_closing(index, CloseReason::Drained),
                _ => {}
            }
        }
        self.next_timer = self.next_timer.min(self.now + self.setup.config.limits.drain_ms * MS);
    }

    /// Ends a connection: its place is free at once, whatever of it is still under way.
    fn close(&mut self, index: u16, reason: CloseReason) {
        let (state, key) = (self.slots.peek(index).state, self.slots.peek(index).key);
        match state {
            State::Queued => self.dequeue(index),
            State::Joined => self.joined -= 1,
            _ => {}
        }
        let slot = self.slots.at(index);
        let (client, refused) = (slot.client, slots::Part::of(usize::from(index)) == slots::Part::Refusal);
        if slot.state == State::Running && slot.exchange.is_none() {
            // One spare is enough for one job; of a batch's places the others wait for its end.
            slot.exchange = self.spare_exchange.take();
        }
        self.output.release(&mut slot.out);
        self.metrics.closed[reason as usize] += 1;
        if !refused {
            self.clients.leave(client);
        }
        log::debug!("slot {index}: closed, {}", reason.label());
        drop(self.slots.put_back(index));
        if state == State::Queued {
            self.promote_joiner(key);
        }
    }

    /// Takes a connection's request out of whichever queue it waits in.
    fn dequeue(&mut self, index: u16) {
        if !self.writes.remove(index) {
            self.queue.remove(index);
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.metrics.refuse(refusal);
    }
}
