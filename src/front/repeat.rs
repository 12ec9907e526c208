//! A connection that asks the same again: equal bytes are an equal request, so what was decided on the first holds for the next.
//!
//! Displays, dashboards and sensors keep a connection and send one head over it, again and again. The head that the cache has answered
//! stands beside its slot with what was decided on the way: as long as the same bytes come they are compared, and neither read nor judged.
//! Whatever a decision depends on beside the bytes is asked each time (the flag, the state of the database, the entry and its tag) or
//! counted by the front's epoch (the configuration). Where anything is not as it was nothing has been done, and the request goes the usual way.

use std::io::IoSlice;

use super::Front;
use super::cache::{CACHE_SLICES, Key};
use super::emergency::Stage;
use super::entity::XCache;
use super::net::Net;
use super::page::Repeated;
use super::paths::kept_slices;
use super::slots::{Listening, Slot, State};
use super::write::send_ready;
use crate::budget::{PIPELINE, REPEAT_BYTES};
use crate::http::date::DateCache;
use crate::http::etag::EntityTag;
use crate::http::request::{Method, Request};
use crate::http::response::HeadWriter;
use crate::job::Task;
use crate::memory::Full;
use crate::ops::metrics::{CloseReason, RouteKind};
use crate::ops::route_pages;
use crate::policy::clients::Client;
use crate::policy::flags::Flag;
use crate::policy::paths::Part;

/// The longest answer that is copied to be sent in one piece; of a longer one the kernel takes several as easily.
const ROW_PART: usize = 8 * 1024;

/// Bytes of [`Beginning`]: a status line, a date and what the cache says.
const BEGINNING_BYTES: usize = 128;

/// A request that the cache has answered.
pub struct Repeat {
    /// All its bytes; none when there is nothing to repeat.
    head: heapless::Vec<u8, REPEAT_BYTES>,
    decided: Option<Decided>,
}

/// What was decided on its bytes.
#[derive(Clone, Copy)]
struct Decided {
    /// The front's epoch in which it was.
    epoch: u32,
    task: Task,
    kind: RouteKind,
    client: Client,
    /// What the answer is known by.
    key: Key,
    /// The tag of the answer that it got.
    tag: EntityTag,
    /// Whether it says that the client has that answer.
    had: bool,
    /// Whether the answer has a body: HEAD has none.
    body: bool,
}

impl Decided {
    /// The answer, dated by this second.
    const fn answered_at(&self, unix: u64) -> Repeated {
        Repeated { epoch: self.epoch, unix, key: self.key, tag: self.tag, had: self.had, body: self.body }
    }
}

impl Repeat {
    /// Nothing to repeat.
    pub const NONE: Repeat = Repeat { head: heapless::Vec::new(), decided: None };

    /// How often `received` begins with the same head, one behind the other, at most `most` times.
    fn count(&self, received: &[u8], most: usize) -> usize {
        match self.head.len() {
            0 => 0,
            length => received.chunks_exact(length).take(most).take_while(|&bytes| bytes == &self.head[..]).count(),
        }
    }
}

/// How the heads of repeated answers begin, which changes once a second: status line, date and what the cache says.
pub(super) struct Beginning {
    second: Option<u64>,
    bytes: [u8; BEGINNING_BYTES],
    length: usize,
}

impl Beginning {
    /// None yet.
    pub(super) const fn new() -> Beginning {
        Beginning { second: None, bytes: [0; BEGINNING_BYTES], length: 0 }
    }

    fn at(&mut self, unix: u64, date: &mut DateCache) -> &[u8] {
        if self.second != Some(unix) {
            let head = HeadWriter::new(&mut self.bytes, 200).own_field("date", date.at(unix));
            self.length = XCache::Hit.put(head).part().expect("a status line and two short fields fit");
            self.second = Some(unix);
        }
        &self.bytes[..self.length]
    }
}

impl<N: Net> Front<N> {
    /// Remembers the request that is answered from the cache now, if it may be answered alike when it comes again.
    pub(super) fn remember(&mut self, index: u16, tag: EntityTag, had: bool) {
        let (client, kind, epoch) = (self.asking(index), self.kind(index), self.epoch);
        let config = &self.setup.config;
        let Slot { exchange, repeat, task, key, listening, .. } = self.slots.at(index);
        repeat.decided = None;
        let Some(exchange) = exchange.as_ref() else { return };
        let (bytes, request) = (exchange.current(), exchange.request());
        // A token may be refused for its client's sake, an origin is told back, a client's requests may be counted: such requests are judged
        // each time.
        let token = match *task {
            Task::Route(place) => config.routes()[usize::from(place)].auth,
            Task::Tables | Task::Change(_) => config.tables_auth,
        };
        let counted = config.limits.rate_per_minute > 0;
        let plain = !counted && token.is_none() && (config.origins.is_empty() || request.field(bytes, "origin").is_none());
        let head = &bytes[..request.consumed];
        if !plain || *listening != Listening::Public || !is_head_alone(request, bytes) || head.len() > REPEAT_BYTES {
            return;
        }
        repeat.head.clear();
        let whole = repeat.head.extend_from_slice(head);
        debug_assert!(whole.is_ok(), "its length was looked at");
        let body = request.method != Method::Head;
        repeat.decided = Some(Decided { epoch, task: *task, kind, client, key: *key, tag, had, body });
    }

    /// Answers what has arrived as long as it is the request that the cache answered last, and that answer is still true: how many requests
    /// that were. `None` when the connection ended by it. Without anything of that kind nothing has been done.
    pub(super) fn answer_repeated(&mut self, index: u16) -> Option<usize> {
        let Some((decided, asked)) = self.repeated(index) else { return Some(0) };
        // Drills act on the usual way.
        if self.drills.any() || !self.has_part(Part::Cache) {
            return Some(0);
        }
        let current = self.freshness.as_ref().and_then(|freshness| freshness.current());
        let found = current.and_then(|current| {
            let again = |front: &mut Front<N>| front.cache.find_again(decided.key, &decided.tag, current, asked, front.now);
            self.edge(Part::Cache, None, again)
        });
        let Some(entry) = found else { return Some(0) };
        let sent = match decided.had {
            true => self.send_not_modified(index, decided, asked),
            false => self.send_repeated(index, decided, entry, asked),
        };
        match sent {
            Ok(true) => {}
            Ok(false) => {
                self.close(index, CloseReason::Reset);
                return None;
            }
            Err(Full) => return Some(0),
        }
        self.count_repeated(index, decided, asked);
        self.stage = Stage::Nothing;
        Some(asked)
    }

    /// How many requests have arrived that repeat the last one, and what was decided on it.
    fn repeated(&self, index: u16) -> Option<(Decided, usize)> {
        let slot = self.slots.peek(index);
        let decided = slot.repeat.decided.filter(|decided| decided.epoch == self.epoch)?;
        let exchange = slot.exchange.as_ref().filter(|exchange| exchange.reader.is_fresh())?;
        if !slot.out.is_empty() || !slot.writable || self.draining_since.is_some() {
            return None;
        }
        let asked = slot.repeat.count(exchange.current(), PIPELINE);
        (asked > 0 && self.flags.gets(Flag::Cache, decided.client)).then_some((decided, asked))
    }

    /// One answer as often as it was asked for, in one call where it is short. Whether the connection is still there.
    fn send_repeated(&mut self, index: u16, decided: Decided, entry: u16, asked: usize) -> Result<bool, Full> {
        let of = decided.answered_at(self.unix);
        if self.page.row(&of, asked).is_some() {
            return self.send_row(index, &of, asked);
        }
        let mut slices = [IoSlice::new(&[]); CACHE_SLICES + 1];
        slices[0] = IoSlice::new(self.beginning.at(self.unix, &mut self.date));
        let Some(kept) = kept_slices(&self.cache, entry, decided.body, &mut slices[1..]) else {
            self.part_panicked(Part::Cache);
            return Err(Full);
        };
        let slices = &slices[..1 + kept];
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if length <= ROW_PART && self.page.put_row(&of, asked, slices).is_ok() {
            return self.send_row(index, &of, asked);
        }
        let slot = self.slots.at(index);
        if self.output.needed(&slot.out, asked * length) > self.output.free() {
            return Err(Full);
        }
        self.stage = Stage::Begun;
        for _ in 0..asked {
            if !send_ready(&mut self.net, &mut self.output, &mut self.metrics, slot, slices, true)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Tells a client that it has the answer already, as often as it asked.
    fn send_not_modified(&mut self, index: u16, decided: Decided, asked: usize) -> Result<bool, Full> {
        let of = decided.answered_at(self.unix);
        if self.page.row(&of, asked).is_none() {
            let fields = self.not_modified(decided.task, &decided.tag, XCache::Hit);
            let head = HeadWriter::new(self.head, 304).own_field("date", self.date.at(self.unix));
            let length = fields.put(head, 304, 0).finish().map_err(|_| Full)?;
            self.page.put_row(&of, asked, &[IoSlice::new(&self.head[..length])])?;
        }
        self.send_row(index, &of, asked)
    }

    /// What stands in the front's page.
    fn send_row(&mut self, index: u16, of: &Repeated, asked: usize) -> Result<bool, Full> {
        let row = self.page.row(of, asked).ok_or(Full)?;
        let slot = self.slots.at(index);
        if self.output.needed(&slot.out, row.len()) > self.output.free() {
            return Err(Full);
        }
        self.stage = Stage::Begun;
        send_ready(&mut self.net, &mut self.output, &mut self.metrics, slot, &[IoSlice::new(row)], true)
    }

    /// Steps over what was answered and counts it, as the usual way does.
    fn count_repeated(&mut self, index: u16, decided: Decided, asked: usize) {
        let status = if decided.had { 304 } else { 200 };
        self.metrics.answered_often(decided.kind, status, asked as u64);
        if let (RouteKind::Named, Task::Route(place)) = (decided.kind, decided.task) {
            self.route_answers[usize::from(place)][route_pages::place(status)] += asked as u64;
        }
        self.flags.count_again(Flag::Cache, asked);
        let took = self.net.now().saturating_sub(self.now);
        self.metrics.durations.observe_often(took, asked as u64);
        let (now, idle) = (self.now, self.idle_time());
        let slot = self.slots.at(index);
        let length = asked * slot.repeat.head.len();
        if let Some(exchange) = slot.exchange.as_mut() {
            exchange.skip(length);
        }
        slot.request_at = now;
        slot.enter(State::Idle, now, idle);
        self.next_timer = self.next_timer.min(now + idle);
    }
}

/// Whether the request is a head and nothing else, in a connection that goes on.
fn is_head_alone(request: &Request, bytes: &[u8]) -> bool {
    let goes_on = request.minor >= 1 && request.keep_alive;
    let reads = matches!(request.method, Method::Get | Method::Head);
    let bodiless = request.body(bytes).is_empty() && request.field(bytes, "transfer-encoding").is_none();
    goes_on && reads && bodiless
}
