//! Answering: what needs no database, and the heads of all answers.

use super::Front;
use super::allow::Allow;
use super::emergency::{LAST_WORD, PANICKED, Stage};
use super::entity::XCache;
use super::judge::Judged;
use super::net::Net;
use super::slots::{NEVER, State};
use crate::api::problem::Problem;
use crate::api::route::Ops;
use crate::http::accept::Media;
use crate::http::etag::EntityTag;
use crate::http::request::{Method, Reject};
use crate::http::response::HeadWriter;
use crate::job::{Outcome, Task};
use crate::memory::Full;
use crate::ops::metrics::{CloseReason, Refusal, RouteKind};
use crate::ops::route_pages;
use crate::policy::drill::Drill;

/// What a page of ours may load: itself.
const CSP: &str = "default-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// The answer's fields that differ; the head writer knows the rest.
#[derive(Clone, Copy, Default)]
pub(super) struct Fields<'f> {
    pub(super) content_type: Option<&'f str>,
    pub(super) tag: Option<&'f EntityTag>,
    pub(super) next: &'f [u8],
    pub(super) content_range: &'f str,
    pub(super) allow: Option<Allow>,
    pub(super) retry_after: Option<u16>,
    pub(super) vary: bool,
    pub(super) html: bool,
    pub(super) store: Store,
    pub(super) cache: Option<XCache>,
    /// It is an earlier answer to the same Idempotency-Key.
    pub(super) replayed: bool,
    /// Says which credentials are asked for (RFC 9110 §11.6.1).
    pub(super) challenge: bool,
}

/// What others may do with an answer: the Cache-Control field (RFC 9111 §5.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Store {
    /// Nothing.
    #[default]
    No,
    /// Keep it, and ask whether it is still right.
    Ask {
        /// Only whoever brought the token.
        private: bool,
    },
    /// Keep it, and give it unasked for some seconds.
    Seconds {
        /// How many.
        seconds: u32,
        /// Only whoever brought the token.
        private: bool,
    },
}

impl Store {
    fn put(self, head: HeadWriter<'_>) -> HeadWriter<'_> {
        const NAME: &str = "cache-control";
        match self {
            Store::No => head.own_field(NAME, b"no-store"),
            Store::Ask { private: false } => head.own_field(NAME, b"no-cache"),
            Store::Ask { private: true } => head.own_field(NAME, b"private, no-cache"),
            Store::Seconds { seconds, private } => {
                let first: &[u8] = if private { b"private, max-age=" } else { b"max-age=" };
                head.field_parts(NAME, &[first, itoa::Buffer::new().format(seconds).as_bytes()])
            }
        }
    }
}

/// Where the body of an answer lies.
enum Body {
    /// In the front's own page.
    Page,
    Empty,
}

/// The value of Content-Type; a bare value's comes from its route.
pub(super) const fn content_type(media: Media) -> &'static str {
    match media {
        Media::Json => "application/json",
        Media::Csv => "text/csv; charset=utf-8",
        Media::Ndjson => "application/x-ndjson",
        Media::Html => "text/html; charset=utf-8",
        Media::Value => "text/plain; charset=utf-8",
    }
}

impl<N: Net> Front<N> {
    /// Answers a complete request, or queues it for the back.
    pub(super) fn answer_request(&mut self, index: u16) {
        if let Some(seconds) = self.over_rate(index) {
            self.refuse(Refusal::RateLimited);
            return self.answer_problem(index, RouteKind::Other, &too_often(seconds));
        }
        match self.judge(index) {
            Judged::Page(page) => self.answer_page(index, page),
            Judged::Control(control) => self.answer_control(index, control),
            Judged::Data(task) if !matches!(task, Task::Change(_)) && self.drilled(Drill::LastWord) => {
                let kind = self.kind(index);
                self.drills.acted(Drill::LastWord as usize);
                self.answer_emergency(index, kind, &LAST_WORD);
            }
            Judged::Data(task) => self.answer_data(index, task),
            Judged::Options(kind, allow) => {
                let fields = Fields { allow: Some(allow), ..Fields::default() };
                self.answer(index, kind, 204, fields, Body::Empty);
            }
            Judged::NotAllowed(kind, allow) => self.answer_problem_at(index, kind, &allow.problem(), Some(allow)),
            Judged::Problem(kind, problem) => self.answer_problem(index, kind, &problem),
        }
    }

    fn answer_page(&mut self, index: u16, page: Ops) {
        let status = self.render(index, page);
        let media = if page == Ops::Metrics { "text/plain; version=0.0.4; charset=utf-8" } else { "application/json" };
        let fields = Fields { content_type: Some(media), ..Fields::default() };
        self.answer(index, RouteKind::Ops, status, fields, Body::Page);
    }

    /// The JSON that was rendered into the front's page, for an operator.
    pub(super) fn answer_rendered(&mut self, index: u16, status: u16) {
        let fields = Fields { content_type: Some("application/json"), ..Fields::default() };
        self.answer(index, RouteKind::Ops, status, fields, Body::Page);
    }

    /// Answers what the back made of a job, if it made no rows.
    pub(super) fn answer_without_rows(&mut self, index: u16, outcome: &Outcome) {
        let kind = self.kind(index);
        match outcome {
            Outcome::Problem(problem) => {
                match problem.slug {
                    "query-timeout" => self.metrics.query_timeouts += 1,
                    "sqlite-memory" => self.refuse(Refusal::SqliteMemory),
                    _ => {}
                }
                self.answer_problem(index, kind, problem);
            }
            Outcome::Changed => self.answer_version(index),
            Outcome::Busy => {
                self.refuse(Refusal::Busy);
                self.answer_problem(index, kind, &unavailable("database-busy", "The database is locked by another process", 1));
            }
            // Stopped for want of a reader, and yet one is here: it asks again.
            Outcome::Abandoned | Outcome::Rows(..) => {
                self.answer_problem(index, kind, &unavailable("interrupted", "The query was interrupted", 1));
            }
        }
    }

    /// The answer to a client that has it already (RFC 9110 §15.4.5).
    pub(super) fn answer_not_modified(&mut self, index: u16, kind: RouteKind, tag: &EntityTag, cache: XCache) {
        let fields = self.not_modified(self.slots.peek(index).task, tag, cache);
        self.answer(index, kind, 304, fields, Body::Empty);
    }

    /// What a 304 says: the fields that its 200 would have had and that caches go by.
    pub(super) fn not_modified<'t>(&self, task: Task, tag: &'t EntityTag, cache: XCache) -> Fields<'t> {
        let rule = self.rule(task);
        Fields { tag: Some(tag), vary: rule.varies, store: rule.store, cache: Some(cache), ..Fields::default() }
    }

    pub(super) fn answer_reject(&mut self, index: u16, reject: Reject) {
        let problem = Problem::new(reject.status(), reject.slug(), "The request was not understood")
            .detail(format_args!("{}", reject.detail()));
        self.reject(index, &problem, CloseReason::Rejected);
    }

    /// A head or body that did not come in time: 408 and close (RFC 9110 §15.5.9).
    pub(super) fn answer_timeout(&mut self, index: u16, reason: CloseReason) {
        let problem = Problem::new(408, "request-timeout", "The request came too slowly")
            .detail(format_args!("Its bytes did not arrive in time."));
        self.reject(index, &problem, reason);
        self.flush(index);
    }

    pub(super) fn answer_queue_timeout(&mut self, index: u16) {
        if self.answer_old(index) {
            return;
        }
        self.refuse(Refusal::QueueTimeout);
        let problem = unavailable("queue-timeout", "The database is busy with other queries", self.retry_after());
        self.answer_problem(index, RouteKind::Other, &problem);
    }

    /// The answer when no other can be made: an old one, where the route allows it, or static bytes.
    pub(super) fn answer_internal_error(&mut self, index: u16) {
        if !self.answer_old(index) {
            let kind = self.kind(index);
            self.answer_emergency(index, kind, &PANICKED);
        }
    }

    /// An answer to what never became a request; the connection ends with it.
    fn reject(&mut self, index: u16, problem: &Problem, reason: CloseReason) {
        self.page.begin();
        let rendered = problem.put_json(&mut self.page);
        debug_assert!(rendered.is_ok(), "a problem is under 512 bytes");
        let fields = Fields { content_type: Some("application/problem+json"), ..Fields::default() };
        self.metrics.answered(RouteKind::Malformed, problem.status);
        // A connection whose output is full ends without the answer.
        let _ =
            self.queue_answer(index, problem.status, fields, &Body::Page, Sending { body: true, keep: Keep::Close, more: false });
        self.set_closing(index, reason);
    }

    pub(super) fn answer_problem(&mut self, index: u16, kind: RouteKind, problem: &Problem) {
        self.answer_problem_at(index, kind, problem, None);
    }

    /// A problem at a place that may be asked otherwise.
    fn answer_problem_at(&mut self, index: u16, kind: RouteKind, problem: &Problem, allow: Option<Allow>) {
        self.page.begin();
        let rendered = problem.put_json(&mut self.page);
        debug_assert!(rendered.is_ok(), "a problem is under 512 bytes");
        let fields = Fields {
            content_type: Some("application/problem+json"),
            allow,
            challenge: problem.status == 401,
            retry_after: problem.retry_after,
            ..Fields::default()
        };
        self.answer(index, kind, problem.status, fields, Body::Page);
    }

    /// Queues a whole answer, steps over its request and says how the connection goes on.
    fn answer(&mut self, index: u16, kind: RouteKind, status: u16, fields: Fields, body: Body) {
        let Some(sending) = self.begin(index) else { return };
        let mut queued = self.queue_answer(index, status, fields, &body, sending);
        while queued == Err(Full) && self.close_slowest(index) {
            queued = self.queue_answer(index, status, fields, &body, sending);
        }
        match queued {
            Ok(()) => self.done(index, kind, status, sending.keep),
            Err(Full) => self.answer_output_full(index, kind, sending),
        }
    }

    /// Steps over the request that is answered now; how its answer is to be sent.
    fn begin(&mut self, index: u16) -> Option<Sending> {
        let sending = self.sending(index)?;
        self.step_over(index);
        Some(sending)
    }

    /// Steps over the request that is answered now.
    pub(super) fn step_over(&mut self, index: u16) {
        if let Some(exchange) = self.slots.at(index).exchange.as_mut() {
            exchange.next_request();
        }
    }

    /// How the answer to the request that is answered now is to be sent.
    pub(super) fn sending(&mut self, index: u16) -> Option<Sending> {
        self.note_origin(index);
        let draining = self.draining_since.is_some();
        let exchange = self.slots.at(index).exchange.as_mut()?;
        let request = exchange.request();
        let keep = match (request.keep_alive && !draining, request.minor) {
            (true, 0) => Keep::Announce,
            (true, _) => Keep::Silent,
            (false, _) => Keep::Close,
        };
        let more = exchange.filled > exchange.start + request.consumed;
        Some(Sending { body: request.method != Method::Head, keep, more })
    }

    /// Counts an answer that was sent or queued, and says how the connection goes on.
    pub(super) fn done(&mut self, index: u16, kind: RouteKind, status: u16, keep: Keep) {
        self.count_answer(index, kind, status);
        if keep == Keep::Close {
            let draining = self.draining_since.is_some();
            self.set_closing(index, if draining { CloseReason::Drained } else { CloseReason::ClientAsked });
        } else {
            let (now, idle) = (self.now, self.idle_time());
            self.slots.at(index).enter(State::Idle, now, idle);
            self.next_timer = self.next_timer.min(now + idle);
        }
    }

    fn count_answer(&mut self, index: u16, kind: RouteKind, status: u16) {
        self.metrics.answered(kind, status);
        if let (RouteKind::Named, Task::Route(place)) = (kind, self.slots.peek(index).task) {
            self.route_answers[usize::from(place)][route_pages::place(status)] += 1;
        }
        self.note_duration(index, kind, status);
    }

    /// The blocks cannot hold the answer because clients are slow to take theirs: a short 503 instead, or the connection's end.
    pub(super) fn answer_output_full(&mut self, index: u16, kind: RouteKind, sending: Sending) {
        self.refuse(Refusal::OutputFull);
        let problem = unavailable("output-full", "Too many answers are waiting for slow clients", 1);
        self.page.begin();
        let rendered = problem.put_json(&mut self.page);
        debug_assert!(rendered.is_ok(), "a problem is under 512 bytes");
        let fields =
            Fields { content_type: Some("application/problem+json"), retry_after: problem.retry_after, ..Fields::default() };
        if self.queue_answer(index, 503, fields, &Body::Page, sending).is_ok() {
            self.done(index, kind, 503, sending.keep);
        } else {
            // Without any answer the client would take the next one for this one's.
            self.set_closing(index, CloseReason::Refused);
        }
    }

    pub(super) fn set_closing(&mut self, index: u16, reason: CloseReason) {
        let now = self.now;
        self.slots.at(index).enter(State::Closing(reason), now, NEVER);
    }

    /// Writes head and body into the connection's output, all or nothing.
    fn queue_answer(&mut self, index: u16, status: u16, fields: Fields, body: &Body, sending: Sending) -> Result<(), Full> {
        let unix = self.date_time();
        let bytes: &[u8] = match body {
            Body::Page => self.page.rendered(),
            Body::Empty => b"",
        };
        let head = fields.put(HeadWriter::new(self.head, status).own_field("date", self.date.at(unix)), status, bytes.len());
        let head = sending.connection(self.cors.put(head));
        let length = head.finish().map_err(|_| Full)?;
        let bytes = if sending.body { bytes } else { b"" };
        let slot = self.slots.at(index);
        if self.output.needed(&slot.out, length + bytes.len()) > self.output.free() {
            return Err(Full);
        }
        self.stage = Stage::Begun;
        self.output.push(&mut slot.out, &self.head[..length])?;
        self.output.push(&mut slot.out, bytes)?;
        slot.answers = slot.answers.saturating_add(1);
        Ok(())
    }
}

impl Fields<'_> {
    /// Writes the fields of an answer with a body of `length` bytes; status, date and connection are not among them.
    pub(super) fn put<'h>(self, mut head: HeadWriter<'h>, status: u16, length: usize) -> HeadWriter<'h> {
        if let Some(kind) = self.content_type {
            head = head.field("content-type", kind.as_bytes());
        }
        // 204 and 304 have no body and say no length (RFC 9110 §8.6).
        if !matches!(status, 204 | 304) {
            head = head.field_number("content-length", length as u64);
        }
        if let Some(tag) = self.tag {
            head = head.own_field("etag", tag.as_bytes());
        }
        head = self.store.put(head);
        if self.vary {
            head = head.own_field("vary", b"Accept, Origin, Authorization");
        }
        if !self.next.is_empty() {
            head = head.field_parts("link", &[b"<", self.next, b">; rel=\"next\""]);
        }
        if !self.content_range.is_empty() {
            head = head.field("content-range", self.content_range.as_bytes());
        }
        if let Some(allow) = self.allow {
            head = head.field("allow", allow.text().as_bytes());
        }
        if self.replayed {
            head = head.field("idempotency-replayed", b"true");
        }
        if self.challenge {
            head = head.field("www-authenticate", b"Bearer realm=\"flagstone\"");
        }
        if let Some(seconds) = self.retry_after {
            head = head.field_number("retry-after", u64::from(seconds));
        }
        if self.html {
            head = head.field("content-security-policy", CSP.as_bytes()).field("referrer-policy", b"no-referrer");
        }
        if let Some(cache) = self.cache {
            head = cache.put(head);
        }
        head.own_field("x-content-type-options", b"nosniff")
    }
}

/// How the connection goes on, and what the head says of it (RFC 9112 §9.3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// HTTP/1.1 keeps by itself.
    Silent,
    /// HTTP/1.0 asked for it and is told.
    Announce,
    Close,
}

#[derive(Clone, Copy)]
pub(super) struct Sending {
    pub(super) body: bool,
    pub(super) keep: Keep,
    /// Bytes stand behind the request: the next one.
    pub(super) more: bool,
}

impl Sending {
    /// Adds the connection field, where there must be one.
    pub(super) fn connection<'h>(self, head: HeadWriter<'h>) -> HeadWriter<'h> {
        match self.keep {
            Keep::Silent => head,
            Keep::Announce => head.field("connection", b"keep-alive"),
            Keep::Close => head.field("connection", b"close"),
        }
    }
}

fn too_often(retry_after: u16) -> Problem {
    let mut problem = Problem::new(429, "rate-limited", "Too many requests")
        .detail(format_args!("This client has made as many requests as one may."))
        .hint(format_args!("try again in {retry_after} s, and less often then"));
    problem.retry_after = Some(retry_after);
    problem
}

pub(super) fn unavailable(slug: &'static str, title: &'static str, retry_after: u16) -> Problem {
    let mut problem = Problem::new(503, slug, title).hint(format_args!("try again in {retry_after} s"));
    problem.retry_after = Some(retry_after);
    problem
}
