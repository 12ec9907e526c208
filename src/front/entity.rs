//! Answers with data: known by a key, found in the cache or made by one job for all who asked, sent with a ready-made head.

use std::io::IoSlice;

use super::answer::{Fields, Sending, content_type as content_type_of};
use super::cache::{Answer, CACHE_SLICES, Found, Key};
use super::emergency::Stage;
use super::judge::kind;
use super::net::Net;
use super::paths::kept_slices;
use super::slots::{NEVER, Slot, State};
use super::write::{join, send_ready};
use super::{Front, MS, QUEUE};
use crate::api::problem::Problem;
use crate::api::route::Route;
use crate::http::accept::Media;
use crate::http::etag::{EntityTag, Tagger, if_none_match};
use crate::http::response::HeadWriter;
use crate::job::{Made, Micros, Reply, SlotId, Stamp, Task};
use crate::memory::Full;
use crate::ops::metrics::{CloseReason, RouteKind};
use crate::policy::admission::{self, Asked, Decision};
use crate::policy::drill::Drill;
use crate::policy::flags::Flag;
use crate::policy::paths::Part;

/// Where an answer came from: the X-Cache field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum XCache {
    /// From the cache.
    Hit,
    /// Made now, and kept.
    Miss,
    /// Made now; it may not be kept.
    Bypass,
    /// From the cache, and older than the data by at most so many microseconds.
    Stale(Micros),
}

impl XCache {
    pub(super) const fn value(self) -> &'static str {
        match self {
            XCache::Hit => "hit",
            XCache::Miss => "miss",
            XCache::Bypass => "bypass",
            XCache::Stale(_) => "stale",
        }
    }

    /// Adds the field, and Age (RFC 9111 §5.1) to an answer that is older than its data.
    pub(super) fn put(self, head: HeadWriter<'_>) -> HeadWriter<'_> {
        let head = head.own_field("x-cache", self.value().as_bytes());
        match self {
            XCache::Stale(age) => head.field_number("age", age.div_ceil(1_000_000)),
            _ => head,
        }
    }
}

/// An answer that was made for everybody who waits for it: its head is in the front's buffer, its body in the reply.
#[derive(Clone, Copy)]
pub(super) struct Entity {
    head: usize,
    tag: EntityTag,
    cache: XCache,
}

/// Why an answer was not sent; nothing of it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsent {
    /// There is no room for it.
    Full,
    /// The cache panicked.
    Broken,
}

/// The bytes behind the status, date and connection fields.
pub(super) enum Source<'s> {
    /// A body, and the length of its head in the front's buffer.
    Made(&'s [u8], usize),
    /// A cached answer.
    Entry(u16),
}

impl<N: Net> Front<N> {
    /// Answers a request for data: from the cache, by joining a query under way, or by a job of its own.
    pub(super) fn answer_data(&mut self, index: u16, task: Task) {
        if let Task::Route(place) = task
            && self.setup.config.routes()[usize::from(place)].verb.writes()
        {
            return self.answer_write(index, place);
        }
        self.slots.at(index).task = task;
        self.slots.at(index).key = 0;
        if !matches!(task, Task::Change(_)) {
            self.strike(Drill::FrontPanic);
        }
        let looked = self.edge(Part::Cache, Ok((None, Found::Resting)), |front| front.look_up(index, task));
        let (current, found) = match looked {
            Ok(looked) => looked,
            Err(problem) => return self.answer_problem(index, self.kind(index), &problem),
        };
        let (asked, kept) = match found {
            Found::Hit(entry) => (Asked::Fresh, Some((entry, XCache::Hit))),
            Found::Stale(entry, age) => (Asked::Lagging, Some((entry, XCache::Stale(age)))),
            Found::Miss | Found::Resting => (self.needs_back(index, current), None),
        };
        let decision = match (admission::decide(asked), kept) {
            (Decision::Cache | Decision::Stale, Some((entry, cache))) => {
                if self.answer_kept(index, entry, cache) {
                    return;
                }
                // The cache has fallen.
                admission::decide(self.needs_back(index, current))
            }
            (decision, _) => decision,
        };
        self.settle(index, decision);
    }

    /// What the request's answer is known by, and whether the cache has it; with the database's state, if there is a name for both.
    ///
    /// # Errors
    /// A 400 or 406 when the request does not fit its route.
    fn look_up(&mut self, index: u16, task: Task) -> Result<(Option<Stamp>, Found), Problem> {
        let key = self.key(index, task)?;
        self.slots.at(index).key = key;
        let current = if key == 0 { None } else { self.freshness.as_ref().and_then(|freshness| freshness.current()) };
        let Some(state) = current.filter(|_| self.has_part(Part::Cache)) else { return Ok((current, Found::Resting)) };
        self.strike(Drill::CachePanic);
        let found = self.cache.find(key, state, self.now);
        self.worked(Part::Cache);
        Ok((current, found))
    }

    /// Whether a query under way will give this very answer: one that has not begun, or one that began in the present state.
    pub(super) fn joinable(&mut self, index: u16, current: Stamp) -> bool {
        self.has_part(Part::Flight) && self.edge(Part::Flight, false, |front| front.find_flight(index, current))
    }

    fn find_flight(&mut self, index: u16, current: Stamp) -> bool {
        let key = self.slots.peek(index).key;
        if !self.has_feature(index, Flag::SingleFlight) {
            return false;
        }
        let running = self.is_running(key, current);
        self.slots.at(index).job_began = running;
        running || self.queue.slots().any(|slot| self.slots.peek(slot).key == key)
    }

    fn is_running(&self, key: Key, current: Stamp) -> bool {
        self.running.is_some_and(|running| running.key == key && running.stamp == Some(current))
    }

    /// Joins the query that [`Front::joinable`] found; false when the part fell by that.
    pub(super) fn join(&mut self, index: u16) -> bool {
        let joined = self.edge(Part::Flight, false, |front| {
            front.enter_flight(index);
            true
        });
        if joined {
            self.worked(Part::Flight);
        }
        joined
    }

    fn enter_flight(&mut self, index: u16) {
        let Slot { key, job_began, .. } = *self.slots.peek(index);
        if !job_began && let Some(queued) = self.queue.slots().find(|&slot| self.slots.peek(slot).key == key) {
            // Its rows must not be older than the last who asked for them.
            self.slots.at(queued).arrival = self.sharing.arrive();
        }
        let (now, queue) = (self.now, self.setup.config.limits.queue_ms * MS);
        self.slots.at(index).enter(State::Joined, now, queue);
        self.strike(Drill::FlightPanic);
        self.next_timer = self.next_timer.min(now + queue);
        self.joined += 1;
        self.cache.counts.joined += 1;
    }

    /// A connection that waits for the answer of `key` in another's job, which has begun or not.
    pub(super) fn joiner(&self, key: Key, job_began: bool) -> Option<u16> {
        if self.joined == 0 || key == 0 {
            return None;
        }
        let waits = |slot: &Slot<N::Socket>| slot.state == State::Joined && slot.key == key && slot.job_began == job_began;
        self.slots.places().find(|&index| waits(self.slots.peek(index)))
    }

    /// The job of `key` begins, or is to begin anew: so it does for all who joined it.
    pub(super) fn tell_joiners(&mut self, key: Key, job_began: bool) {
        if self.joined == 0 || key == 0 {
            return;
        }
        for index in self.slots.places() {
            let slot = self.slots.at(index);
            if slot.state == State::Joined && slot.key == key {
                slot.job_began = job_began;
            }
        }
    }

    /// All that wait for the answer of the job of `key` that has ended, no longer counted as waiting. Whoever joined one that has not begun is
    /// not among them: what they asked for may be newer.
    pub(super) fn take_joiners(&mut self, key: Key) -> heapless::Vec<SlotId, QUEUE> {
        let mut joiners = heapless::Vec::new();
        if self.joined == 0 || key == 0 {
            return joiners;
        }
        for index in self.slots.places() {
            let slot = self.slots.peek(index);
            if slot.state == State::Joined && slot.key == key && slot.job_began {
                let pushed = joiners.push(self.slots.id(index));
                assert!(pushed.is_ok(), "no more wait than there are slots that can ask");
            }
        }
        // From here on it is as if the job had been their own, also for how they may end.
        for id in &joiners {
            self.slots.at(id.index).enter(State::Running, self.now, NEVER);
        }
        self.joined -= joiners.len();
        joiners
    }

    /// The one whose job others had joined is gone: the next of them asks in its place.
    pub(super) fn promote_joiner(&mut self, key: Key) {
        if let Some(index) = self.joiner(key, false) {
            self.joined -= 1;
            let since = self.slots.peek(index).since;
            self.enqueue(index, since, self.now);
        }
    }

    /// Answers with a cached entry; false when its bytes cannot be had, and the request is to be answered otherwise.
    fn answer_kept(&mut self, index: u16, entry: u16, cache: XCache) -> bool {
        let kind = self.kind(index);
        let tag = self.cache.tag(entry);
        let had = tag.filter(|tag| self.has(index, tag));
        if let (Some(tag), XCache::Hit) = (tag, cache) {
            self.edge(Part::Cache, (), |front| front.remember(index, tag, had.is_some()));
        }
        match had {
            Some(tag) => {
                self.answer_not_modified(index, kind, &tag, cache);
                true
            }
            None => self.send(index, kind, 200, Some(cache), Source::Entry(entry)),
        }
    }

    /// Answers with what was true a while ago, because no new answer can be made and the route allows it; whether it did.
    pub(super) fn answer_old(&mut self, index: u16) -> bool {
        let key = self.slots.peek(index).key;
        if key == 0 || !self.has_part(Part::Cache) {
            return false;
        }
        let found = self.edge(Part::Cache, None, |front| front.cache.find_old(key, front.now));
        found.is_some_and(|(entry, age)| self.answer_kept(index, entry, XCache::Stale(age)))
    }

    /// Makes the head of an answer, once for all who wait for it, and keeps the answer if it may be kept.
    pub(super) fn make_entity(&mut self, task: Task, key: Key, media: Media, made: Made, reply: &Reply) -> Option<Entity> {
        let (config, rule) = (self.setup.config.clone(), self.rule(task));
        let content_type = match (media, task) {
            (Media::Value, Task::Route(place)) => config.routes()[usize::from(place)].content_type.map(|span| config.text(span)),
            _ => None,
        };
        let content_type = content_type.unwrap_or(content_type_of(media));
        let mut tagger = Tagger::new(&self.setup.tag_key);
        // The parts of the head that differ with the data belong to the representation too.
        for part in [content_type.as_bytes(), b"\0", &reply.next, b"\0", reply.content_range.as_bytes(), b"\0", reply.body()] {
            tagger.write(part);
        }
        let tag = tagger.finish();
        let fields = Fields {
            content_type: Some(content_type),
            tag: Some(&tag),
            next: &reply.next,
            content_range: &reply.content_range,
            vary: rule.varies,
            html: media == Media::Html,
            store: rule.store,
            ..Fields::default()
        };
        let head = fields.put(HeadWriter::fields_only(self.entity_head), 200, reply.body().len()).finish().ok()?;
        let kept = match made.stamp {
            Some(stamp) if key != 0 && rule.keeps(made.volatile) && self.has_part(Part::Cache) => {
                self.edge(Part::Cache, false, |front| {
                    let lifetime = rule.lifetime;
                    let answer = Answer {
                        head: &front.entity_head[..head],
                        body: reply.body(),
                        tag,
                        cost: made.cost,
                        lifetime,
                        tables: made.tables,
                    };
                    front.cache.insert(key, stamp, &answer, front.now).is_ok()
                })
            }
            _ => false,
        };
        if !kept {
            self.cache.counts.bypasses += 1;
        }
        Some(Entity { head, tag, cache: if kept { XCache::Miss } else { XCache::Bypass } })
    }

    /// Sends a made answer to one of those who wait for it.
    pub(super) fn answer_entity(&mut self, index: u16, entity: Entity, reply: &Reply) {
        let kind = self.kind(index);
        if self.has(index, &entity.tag) {
            self.answer_not_modified(index, kind, &entity.tag, entity.cache);
        } else {
            self.send(index, kind, 200, Some(entity.cache), Source::Made(reply.body(), entity.head));
        }
    }

    /// Whether the client has what the tag names already.
    fn has(&self, index: u16, tag: &EntityTag) -> bool {
        self.slots
            .peek(index)
            .exchange
            .as_ref()
            .is_some_and(|exchange| if_none_match(tag, exchange.request().fields(exchange.current(), "if-none-match")))
    }

    pub(super) fn kind(&self, index: u16) -> RouteKind {
        let slot = self.slots.peek(index);
        match slot.task {
            Task::Route(_) => return RouteKind::Named,
            Task::Change(_) => return RouteKind::Ops,
            Task::Tables => {}
        }
        slot.exchange.as_ref().map_or(RouteKind::Other, |exchange| kind(&Route::of(exchange.request().path(exchange.current()))))
    }

    /// Sends an answer: at once where nothing stands before it and nothing asked behind it, else by way of the output queue. False when the
    /// cache could not give its bytes: the request is there still, and to be answered otherwise.
    pub(super) fn send(&mut self, index: u16, kind: RouteKind, status: u16, cache: Option<XCache>, source: Source) -> bool {
        let Some(sending) = self.sending(index) else { return true };
        let mut sent = self.send_bytes(index, status, cache, &source, sending);
        while sent == Err(Unsent::Full) && self.close_slowest(index) {
            sent = self.send_bytes(index, status, cache, &source, sending);
        }
        match sent {
            Ok(false) => self.close(index, CloseReason::Reset),
            Ok(true) => {
                self.step_over(index);
                self.done(index, kind, status, sending.keep);
            }
            Err(Unsent::Full) => {
                self.step_over(index);
                self.answer_output_full(index, kind, sending);
            }
            Err(Unsent::Broken) => {
                self.part_panicked(Part::Cache);
                return false;
            }
        }
        true
    }

    /// Whether the connection is still there; all of the answer is then written or queued.
    fn send_bytes(
        &mut self, index: u16, status: u16, cache: Option<XCache>, source: &Source, sending: Sending,
    ) -> Result<bool, Unsent> {
        let unix = self.date_time();
        let prefix = HeadWriter::new(self.head, status).own_field("date", self.date.at(unix));
        let prefix = match cache {
            Some(cache) => cache.put(prefix),
            None => prefix,
        };
        let prefix = sending.connection(self.cors.put(prefix)).part().map_err(|_| Unsent::Full)?;
        let (start, room) = self.head.split_at_mut(prefix);
        let mut slices = [IoSlice::new(&[]); CACHE_SLICES + 1];
        slices[0] = IoSlice::new(start);
        let count = match source {
            Source::Made(body, head) => {
                slices[1] = IoSlice::new(&self.entity_head[..*head]);
                slices[2] = IoSlice::new(if sending.body { body } else { b"" });
                2
            }
            Source::Entry(entry) => kept_slices(&self.cache, *entry, sending.body, &mut slices[1..]).ok_or(Unsent::Broken)?,
        };
        let mut slices = &slices[..1 + count];
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let piece;
        if total <= prefix + room.len() {
            join(&slices[1..], room);
            piece = [IoSlice::new(&self.head[..total])];
            slices = &piece;
        }
        let slot = self.slots.at(index);
        if self.output.needed(&slot.out, total) > self.output.free() {
            return Err(Unsent::Full);
        }
        self.stage = Stage::Begun;
        let sent = send_ready(&mut self.net, &mut self.output, &mut self.metrics, slot, slices, !sending.more);
        sent.map_err(|Full| Unsent::Full)
    }
}
