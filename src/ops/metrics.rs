//! Every counter of the server, and the reasons that have one each.

use super::falls::Fall;

/// Declares a fieldless enum whose variants index an array of counters and name a label value.
macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $label:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Every variant, in the order of the counters.
            pub const ALL: &[$name] = &[$($name::$variant,)+];

            /// The label's value in metrics.
            pub const fn label(self) -> &'static str {
                match self { $($name::$variant => $label,)+ }
            }
        }
    };
}

labels! {
    /// What kind of answer a request asked for: the `route` label, never the URL.
    RouteKind {
        /// `/`
        Index = "index",
        /// `/tables`
        Tables = "tables",
        /// `/tables/T`
        Rows = "rows",
        /// `/tables/T/KEY`
        Row = "row",
        /// A named route.
        Named = "named",
        /// `/-/...` and `/metrics`
        Ops = "ops",
        /// Anything else that was understood: unknown paths, refused hosts, `OPTIONS *`.
        Other = "other",
        /// What could not be read as a request.
        Malformed = "malformed",
    }
}

labels! {
    /// Why a connection ended.
    CloseReason {
        /// The client asked for it, or speaks HTTP/1.0 without keep-alive.
        ClientAsked = "client_asked",
        /// The client closed its side between requests.
        ClientClosed = "client_closed",
        /// The client closed its side within a request.
        CutShort = "cut_short",
        /// The client was gone before its answer.
        Abandoned = "abandoned",
        /// The socket failed: reset, broken pipe.
        Reset = "reset",
        /// An error answer that ends the connection (framing, sizes).
        Rejected = "rejected",
        /// No first byte in time.
        FirstByteTimeout = "first_byte_timeout",
        /// The head was not complete in time.
        HeadTimeout = "head_timeout",
        /// The body was not complete in time.
        BodyTimeout = "body_timeout",
        /// Keep-alive ended unused.
        IdleTimeout = "idle_timeout",
        /// The client took too little of its answer in time.
        WriteTimeout = "write_timeout",
        /// Took nothing of its answer, or said nothing, for a while in which others needed the room.
        TooSlow = "too_slow",
        /// Idle, and its slot was needed.
        Reclaimed = "reclaimed",
        /// Turned away; the refusals say why.
        Refused = "refused",
        /// The server is stopping.
        Drained = "drained",
        /// A part of the server panicked while it served this connection.
        Panicked = "panicked",
    }
}

labels! {
    /// Why a connection or a request was turned away without service.
    Refusal {
        /// Every slot is taken and none is idle: 503.
        SlotsFull = "slots_full",
        /// The client has as many connections as one may: 429.
        ClientCap = "client_cap",
        /// The process has no file descriptor left: 503.
        NoDescriptor = "no_descriptor",
        /// The output blocks are full of answers that clients have not taken: 503.
        OutputFull = "output_full",
        /// The request waited for the database as long as it may: 503.
        QueueTimeout = "queue_timeout",
        /// Another process kept the database locked: 503.
        Busy = "busy",
        /// The query needed more memory than SQLite's heap has: 503.
        SqliteMemory = "sqlite_memory",
        /// The Rust heap is in its reserve: 503.
        HeapReserve = "heap_reserve",
        /// The server is stopping: 503.
        Draining = "draining",
        /// More was asked than the back can do: 503.
        Shed = "shed",
        /// What failed repeatedly is left alone for a while: 503.
        BreakerOpen = "breaker_open",
        /// The client has asked more often than one may: 429.
        RateLimited = "rate_limited",
    }
}

labels! {
    /// What the front was kept from its turn by.
    GapCause {
        /// One long step inside a query.
        Opcode = "opcode",
        /// A disk sync.
        Fsync = "fsync",
        /// A checkpoint.
        Checkpoint = "checkpoint",
        /// Anything else between two turns.
        Other = "other",
    }
}

impl RouteKind {
    /// Its path, as far as it has one, for people.
    pub const fn path(self) -> &'static str {
        match self {
            RouteKind::Index => "/",
            RouteKind::Tables => "/tables",
            RouteKind::Rows => "/tables/T",
            RouteKind::Row => "/tables/T/KEY",
            RouteKind::Named => "a named route",
            RouteKind::Ops => "/-/",
            RouteKind::Other => "another path",
            RouteKind::Malformed => "a malformed request",
        }
    }
}

/// The statuses that are counted, in order; any other counts as 500.
pub const STATUSES: [u16; 27] = [
    200, 202, 204, 304, 400, 401, 403, 404, 405, 406, 408, 409, 412, 413, 414, 415, 417, 421, 422, 429, 431, 500, 501, 503, 504,
    505, 507,
];

/// Upper bounds of the request duration histogram, in microseconds.
pub const DURATION_BOUNDS: [u64; 14] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 250_000, 1_000_000, 2_500_000, 10_000_000];

/// A histogram with the bounds of [`DURATION_BOUNDS`].
#[derive(Clone, Debug, Default)]
pub struct Durations {
    /// Observations in each bucket (not cumulative); the last is beyond every bound.
    pub buckets: [u64; DURATION_BOUNDS.len() + 1],
    /// Sum of all observations in microseconds.
    pub sum: u64,
}

impl Durations {
    /// Counts one observation in microseconds.
    pub fn observe(&mut self, micros: u64) {
        self.observe_often(micros, 1);
    }

    /// Counts so many that took equally long.
    pub fn observe_often(&mut self, micros: u64, count: u64) {
        let bucket = DURATION_BOUNDS.partition_point(|&bound| bound < micros);
        self.buckets[bucket] += count;
        self.sum += count * micros;
    }
}

/// All counters since the start of the process.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Answers by route and status.
    pub answers: [[u64; STATUSES.len()]; RouteKind::ALL.len()],
    /// From a request's last byte to its answer in the output queue.
    pub durations: Durations,
    /// Answers that took `slow_request` or longer.
    pub slow_requests: u64,
    /// From a request's queueing to the start of its job.
    pub queue_waits: Durations,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections ended, by reason.
    pub closed: [u64; CloseReason::ALL.len()],
    /// Refusals by reason.
    pub refused: [u64; Refusal::ALL.len()],
    /// Requests that were shed, by their class: `policy::admission::Class` has the names.
    pub shed: [u64; 4],
    /// Accepts that failed for want of descriptors.
    pub accept_failures: u64,
    /// The most connections that one turn found waiting to be accepted, since somebody looked.
    pub recent_accepts: u64,
    /// The same, over the second before.
    pub accept_queue: u64,
    /// Bytes read from clients.
    pub received_bytes: u64,
    /// Bytes written to clients.
    pub sent_bytes: u64,
    /// writev calls on client sockets.
    pub writes: u64,
    /// read calls on client sockets.
    pub reads: u64,
    /// Turns of the event loop, nested ones included.
    pub turns: u64,
    /// Turns taken from inside a running job.
    pub nested_turns: u64,
    /// Jobs run by the back.
    pub jobs: u64,
    /// The back's time in microseconds.
    pub job_micros: u64,
    /// Jobs whose query was stopped at its limit.
    pub query_timeouts: u64,
    /// Jobs stopped because nobody waited.
    pub abandoned_jobs: u64,
    /// Jobs put back because the database was locked.
    pub busy_retries: u64,
    /// Jobs whose statement SQLite refused to prepare or to run.
    pub refused_statements: u64,
    /// Batches of writes handed to the back.
    pub batches: u64,
    /// Writes in them.
    pub batched_writes: u64,
    /// The most writes in one.
    pub largest_batch: u64,
    /// Transactions committed for them.
    pub commits: u64,
    /// Writes that ran a second time, alone, because their batch was lost.
    pub replays: u64,
    /// Checkpoints made.
    pub checkpoints: u64,
    /// Answers made before anybody asked.
    pub warmed: u64,
    /// Panics caught.
    pub panics: u64,
    /// Falls to a lower path, by reason.
    pub falls: [u64; Fall::ALL.len()],
    /// Answers from static bytes.
    pub emergency_answers: u64,
    /// Times that the database was opened anew because its file was replaced.
    pub reopens: u64,
    /// The longest time between two turns since somebody looked, in microseconds.
    pub recent_gap: u64,
    /// The longest wait for the database since somebody looked, in microseconds.
    pub recent_queue_wait: u64,
    /// The longest time between two turns, in microseconds, by cause.
    pub longest_gap: [u64; GapCause::ALL.len()],
}

impl Metrics {
    /// All zero.
    pub const fn new() -> Metrics {
        const NONE: Durations = Durations { buckets: [0; DURATION_BOUNDS.len() + 1], sum: 0 };
        Metrics {
            answers: [[0; STATUSES.len()]; RouteKind::ALL.len()],
            durations: NONE,
            slow_requests: 0,
            queue_waits: NONE,
            accepted: 0,
            closed: [0; CloseReason::ALL.len()],
            refused: [0; Refusal::ALL.len()],
            shed: [0; 4],
            accept_failures: 0,
            recent_accepts: 0,
            accept_queue: 0,
            received_bytes: 0,
            sent_bytes: 0,
            writes: 0,
            reads: 0,
            turns: 0,
            nested_turns: 0,
            jobs: 0,
            job_micros: 0,
            query_timeouts: 0,
            abandoned_jobs: 0,
            busy_retries: 0,
            refused_statements: 0,
            batches: 0,
            batched_writes: 0,
            largest_batch: 0,
            commits: 0,
            replays: 0,
            checkpoints: 0,
            warmed: 0,
            panics: 0,
            falls: [0; Fall::ALL.len()],
            emergency_answers: 0,
            reopens: 0,
            recent_gap: 0,
            recent_queue_wait: 0,
            longest_gap: [0; GapCause::ALL.len()],
        }
    }

    /// Counts an answer.
    pub fn answered(&mut self, route: RouteKind, status: u16) {
        self.answered_often(route, status, 1);
    }

    /// Counts `times` equal answers.
    pub fn answered_often(&mut self, route: RouteKind, status: u16, times: u64) {
        let known = STATUSES.iter().position(|&known| known == status);
        let place = known.or_else(|| STATUSES.iter().position(|&known| known == 500));
        self.answers[route as usize][place.unwrap_or(0)] += times;
    }

    /// Counts a refusal.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.refused[refusal as usize] += 1;
    }

    /// Notes how long a request waited for the database.
    pub fn queue_wait(&mut self, micros: u64) {
        self.queue_waits.observe(micros);
        self.recent_queue_wait = self.recent_queue_wait.max(micros);
    }

    /// Notes a time between two turns.
    pub fn gap(&mut self, cause: GapCause, micros: u64) {
        let longest = &mut self.longest_gap[cause as usize];
        *longest = (*longest).max(micros);
        self.recent_gap = self.recent_gap.max(micros);
    }

    /// Answers of every kind.
    pub fn answers_total(&self) -> u64 {
        self.answers.iter().flatten().sum()
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_the_bucket_whose_bound_they_do_not_exceed() {
        let mut durations = Durations::default();
        for micros in [0, 50, 51, 10_000_000, 10_000_001] {
            durations.observe(micros);
        }
        assert_eq!((durations.buckets[0], durations.buckets[1]), (2, 1));
        assert_eq!((durations.buckets[13], durations.buckets[14]), (1, 1));
        assert_eq!(durations.sum, 20_000_102);
    }

    #[test]
    fn a_status_without_a_counter_of_its_own_counts_as_500() {
        let mut metrics = Metrics::new();
        metrics.answered(RouteKind::Rows, 200);
        metrics.answered(RouteKind::Rows, 599);
        assert_eq!(metrics.answers[RouteKind::Rows as usize][0], 1);
        assert_eq!(metrics.answers[RouteKind::Rows as usize][STATUSES.iter().position(|&s| s == 500).unwrap()], 1);
        assert_eq!(metrics.answers_total(), 2);
    }
}
