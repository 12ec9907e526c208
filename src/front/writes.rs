//! Writes on their way to the back and home: they wait together, become one batch, and are answered when it is on disk.

use super::answer::Fields;
use super::emergency::{PANICKED, Stage};
use super::entity::Source;
use super::net::Net;
use super::slots::{NEVER, State};
use super::{BUSY_RETRY, Front, MS, QUEUE, answer};
use crate::api::named::Elements;
use crate::api::problem::Problem;
use crate::budget::BATCH;
use crate::http::accept::Media;
use crate::http::response::HeadWriter;
use crate::job::{Batch, BatchEnd, Done, Item, Micros, Outcome, Reply, Task, Written};
use crate::ops::falls::Fall;
use crate::ops::metrics::RouteKind;
use crate::policy::admission;
use crate::policy::batch_window::{BatchWindow, Rule};
use crate::policy::flags::Flag;
use crate::policy::paths::Part;

/// One waiting write.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    slot: u16,
    since: Micros,
}

/// The writes that wait, and how those before them went.
pub(super) struct Writes {
    /// Oldest first.
    waiting: heapless::Vec<Waiting, QUEUE>,
    window: BatchWindow,
    /// None may be run before: the database was locked.
    not_before: Micros,
    /// Away while the back has it.
    batch: Option<Box<Batch>>,
    /// Whether the last work was a batch: then reads have their turn.
    pub(super) was_last: bool,
}

impl Writes {
    /// None yet. Takes the batch's room from the heap.
    pub(super) fn new() -> Writes {
        Writes {
            waiting: heapless::Vec::new(),
            window: BatchWindow::new(),
            not_before: 0,
            batch: Some(Box::default()),
            was_last: false,
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Since when the oldest has waited.
    pub(super) fn oldest(&self) -> Option<Micros> {
        self.waiting.first().map(|write| write.since)
    }

    /// Takes a slot's write out because its client is gone or its time is over; whether it waited.
    pub(super) fn remove(&mut self, slot: u16) -> bool {
        let found = self.waiting.iter().position(|write| write.slot == slot);
        found.map(|at| self.waiting.remove(at)).is_some()
    }

    /// Queues a write behind those that came before it.
    fn push(&mut self, slot: u16, since: Micros) {
        let at = self.waiting.iter().take_while(|write| write.since <= since).count();
        let pushed = self.waiting.insert(at, Waiting { slot, since });
        assert!(pushed.is_ok(), "the queue has a place for every slot that can ask");
    }
}

impl<N: Net> Front<N> {
    /// Takes a write in, or says what is wrong with it; its body is read whole before it waits.
    pub(super) fn answer_write(&mut self, index: u16, place: u16) {
        self.slots.at(index).task = Task::Route(place);
        self.slots.at(index).key = 0;
        if let Err(problem) = self.check_write(index, place) {
            return self.answer_problem(index, RouteKind::Named, &problem);
        }
        let asked = self.needs_back(index, None);
        self.settle(index, admission::decide(asked));
    }

    fn check_write(&mut self, index: u16, place: u16) -> Result<(), Problem> {
        let config = self.setup.config.clone();
        let route = &config.routes()[usize::from(place)];
        let Some(exchange) = self.slots.peek(index).exchange.as_ref() else { return Ok(()) };
        let (bytes, request) = (exchange.current(), exchange.request());
        let (path, query) = (request.path(bytes), request.query(bytes).unwrap_or_default());
        if request.field(bytes, "content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
            return Err(unsupported_coding());
        }
        let mut elements = Elements::new(request.field(bytes, "content-type"), request.body(bytes))?;
        while let Some(bound) = elements.bind_next(&config, route, path, query, &mut self.bound) {
            bound?;
        }
        Ok(())
    }

    pub(super) fn enqueue_write(&mut self, index: u16, since: Micros) {
        let (now, queue_ms) = (self.now, self.setup.config.limits.queue_ms);
        let slot = self.slots.at(index);
        slot.enter(State::Queued, now, (since + queue_ms * MS).saturating_sub(now));
        let due = slot.deadline;
        self.next_timer = self.next_timer.min(due);
        self.writes.push(index, since);
    }

    /// From when on a batch may be run.
    pub(super) fn batch_due(&self) -> Option<Micros> {
        let limits = &self.setup.config.limits;
        let rule = Rule {
            least: limits.batch_least,
            window: limits.batch_window_ms * MS,
            longest_wait: limits.batch_wait_ms * MS,
            most: BATCH,
        };
        let due = self.writes.window.due(self.writes.len(), self.writes.oldest()?, rule)?;
        Some(due.max(self.writes.not_before))
    }

    /// All that wait, or as many as one batch takes, in the order in which they came. Who is not to be grouped is alone.
    pub(super) fn take_batch(&mut self) -> Option<Box<Batch>> {
        let mut batch = self.writes.batch.take()?;
        let deadline = self.now + self.setup.config.limits.route_query_ms * MS;
        let grouping = self.has_part(Part::Batch);
        while let Some(&Waiting { slot: index, since }) = self.writes.waiting.first() {
            let grouped = grouping && self.has_feature(index, Flag::Batching);
            if batch.items.is_full() || (!batch.items.is_empty() && !grouped) {
                break;
            }
            self.writes.waiting.remove(0);
            let id = self.slots.id(index);
            let (now, slot) = (self.now, self.slots.at(index));
            assert_eq!(slot.state, State::Queued, "only queued slots wait");
            slot.enter(State::Running, now, NEVER);
            let exchange = slot.exchange.take().expect("a queued slot has its request");
            self.metrics.queue_wait(now.saturating_sub(since));
            let pushed = batch.items.push(Item { slot: id, exchange, arrived: since, deadline, outcome: None });
            assert!(pushed.is_ok(), "a full batch takes no more");
            if !grouped {
                break;
            }
        }
        self.pressure.load.begin_batch(deadline, self.now);
        self.metrics.batches += 1;
        self.metrics.batched_writes += batch.items.len() as u64;
        self.metrics.largest_batch = self.metrics.largest_batch.max(batch.items.len() as u64);
        Some(batch)
    }

    /// Takes note of panics in a batch: of `shared` transactions, and of those of one write `alone`.
    pub fn batch_panicked(&mut self, shared: u32, alone: u32) {
        for _ in 0..shared {
            self.part_panicked(Part::Batch);
        }
        for _ in 0..alone {
            self.metrics.panics += 1;
            self.note_fall(Fall::PlainPanic);
        }
    }

    /// Takes note of how a batch ended, before its writes are finished one by one.
    pub fn batch_ended(&mut self, writes: usize, end: BatchEnd) {
        self.now = self.net.now();
        self.book_job(end == BatchEnd::Busy);
        self.writes.was_last = true;
        match end {
            BatchEnd::Ended(commit) => {
                self.writes.window.committed(writes, self.now);
                if writes > 1 {
                    self.worked(Part::Batch);
                }
                self.metrics.commits += u64::from(commit.commits);
                self.metrics.replays += u64::from(commit.replays);
                if let (Some(before), Some(after), true) = (commit.before, commit.after, commit.only_ours) {
                    self.edge(Part::Cache, (), |front| front.cache.renew(before, after, &commit.tables));
                }
            }
            BatchEnd::Busy => {
                self.metrics.busy_retries += 1;
                self.writes.not_before = self.now + BUSY_RETRY;
            }
            BatchEnd::Lost => self.note_lost(),
        }
    }

    /// Takes a write back when its commit is durable, or nothing of it is: answers it, or puts it into the queue again.
    pub fn finish_write(&mut self, item: Item, end: BatchEnd, reply: &Reply) {
        let Item { slot: id, exchange, arrived, outcome, .. } = item;
        if !self.take_home(id, exchange) {
            self.metrics.abandoned_jobs += 1;
            return;
        }
        let patient = self.now < arrived + self.setup.config.limits.busy_ms * MS;
        match (outcome, end) {
            (Some(Written::Later), BatchEnd::Lost) | (None, BatchEnd::Busy) if patient => self.enqueue_write(id.index, arrived),
            (Some(Written::Later), BatchEnd::Ended(_)) => self.enqueue_write(id.index, arrived),
            (outcome, _) => self.deliver_write(id.index, outcome, reply),
        }
    }

    /// The batch's room, empty again, for the next.
    pub fn put_batch_back(&mut self, batch: Box<Batch>) {
        assert!(batch.items.is_empty(), "each write was taken back");
        self.writes.batch = Some(batch);
    }

    fn deliver_write(&mut self, index: u16, outcome: Option<Written>, reply: &Reply) {
        let task = self.slots.peek(index).task;
        self.serve(index, Stage::Asked, |front| {
            match outcome {
                Some(Written::Done(done)) => {
                    front.note_written(task);
                    front.answer_written(index, done, reply);
                }
                Some(Written::Problem(problem)) => {
                    let outcome = Outcome::Problem(problem);
                    front.note_end(task, &outcome);
                    front.answer_without_rows(index, &outcome);
                }
                Some(Written::Panicked) => front.answer_emergency(index, RouteKind::Named, &PANICKED),
                Some(Written::Abandoned) => front.answer_without_rows(index, &Outcome::Abandoned),
                Some(Written::Later) | None => front.answer_without_rows(index, &Outcome::Busy),
            }
            front.stage = Stage::Nothing;
            front.drive(index);
        });
    }

    /// The answer of a write that is on disk.
    fn answer_written(&mut self, index: u16, done: Done, reply: &Reply) {
        let config = self.setup.config.clone();
        let content_type = done.media.map(|media| match media {
            Media::Value => {
                let named = config.routes()[usize::from(done.route)].content_type.map(|span| config.text(span));
                named.unwrap_or(answer::content_type(media))
            }
            media => answer::content_type(media),
        });
        let body = done.span.of(reply.body());
        let fields = Fields { content_type, replayed: done.replayed, ..Fields::default() };
        let head = fields.put(HeadWriter::fields_only(self.entity_head), done.status, body.len()).finish();
        match head {
            Ok(head) => {
                self.send(index, RouteKind::Named, done.status, None, Source::Made(body, head));
            }
            Err(_) => self.answer_emergency(index, RouteKind::Named, &PANICKED),
        }
    }
}

/// The 415 for a body that is compressed (RFC 9110 §8.4).
fn unsupported_coding() -> Problem {
    Problem::new(415, "unsupported-content-coding", "Unsupported content coding")
        .detail(format_args!("a body with a Content-Encoding is not read here"))
        .hint(format_args!("send the body as it is"))
}
