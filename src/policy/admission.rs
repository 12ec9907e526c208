//! Who is let in: the one place that decides whether a connection gets a slot, and whether a request is answered from the cache, joins another's
//! query, waits for the back, takes an old answer or is sent away. The last word, from static bytes, comes before all that: it must need nothing.
//!
//! # Shedding
//! Requests that need the back and are not critical are sent away in proportion to the excess ([`share`]). What is measured is how long the
//! newcomer would wait (`load`), of the client that asks (`fair_queue`): so the first to be shed are those who ask most. Nothing is shed while
//! hardly anybody waits, and the share grows with the wait, so the back never idles for want of what was sent away, and the wait settles where as
//! much is let in as the back can do: at `k` times what it can do, `1 - 1/k` of it is shed and useful throughput stays at its peak. There is no
//! gain or interval to tune, because the wait is known when it is decided and not when it is over.
//!
//! What others do, and why not here: CoDel and Facebook's variant of it drop by waits that are over, and serve the newest first because the
//! oldest have given up; here each connection has one request in the queue at most, one whose client has gone leaves at once, and waits
//! stay below a second. Envoy's admission controller needs failures before it refuses. Random dropping (RED, PIE) needs chance; the
//! [`Turns`] spread as evenly and can be replayed.

/// Microseconds, as in `job.rs`; policies import nothing from above them.
type Micros = u64;

const MS: Micros = 1000;
const SECOND: Micros = 1_000_000;

/// Shares are measured in parts of this.
pub const WHOLE: u32 = 1 << 16;
/// With less of a wait a full pool is no reason to shed: the slots are held by something else than the back.
pub const POOL_WAIT: Micros = 20 * MS;
/// From this use of the pool on, in thousandths, is shed; at [`POOL_FULL`] all, so that a newcomer finds a slot and can be heard.
pub const POOL_BEGIN: u64 = 800;
/// See [`POOL_BEGIN`].
pub const POOL_FULL: u64 = 950;
/// So many reads may wait however slow they are, if they need not wait for half of what a request waits at most: with fewer, chance alone leaves a
/// back idle that works on slow queries (one place: 29 % of the time at exactly the load that it can do; four: 10 %).
pub const SPARED_READS: usize = 4;
/// Retry-After is at least and at most so many seconds.
pub const RETRY: core::ops::RangeInclusive<u64> = 1..=60;

/// What kind of request asks for the back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// An operator's change.
    Operators,
    /// Of a critical route: never shed.
    Critical,
    /// Any other read.
    Ordinary,
    /// A write.
    Write,
}

impl Class {
    /// All, in the order of their numbers.
    pub const ALL: [Class; 4] = [Class::Operators, Class::Critical, Class::Ordinary, Class::Write];

    /// The label's value in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Class::Operators => "operators",
            Class::Critical => "critical",
            Class::Ordinary => "ordinary",
            Class::Write => "write",
        }
    }
}

/// A request, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The cache has an answer that is true.
    Fresh,
    /// The cache has one that is older than the data by no more than its route allows at any time.
    Lagging,
    /// It needs the back.
    Back {
        /// Its class.
        class: Class,
        /// The cache has an answer that its route allows when no new one can be made.
        old: bool,
        /// A query for the same waits or runs.
        joinable: bool,
        /// How things stand.
        state: State,
    },
}

/// How things stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The server is stopping.
    pub draining: bool,
    /// Rust's heap is in its reserve.
    pub heap_in_reserve: bool,
    /// The breaker is open for so many more microseconds.
    pub broken: Option<Micros>,
    /// Requests that wait and could be shed as well as this one.
    pub waiting: usize,
    /// How many of them may wait however long it takes: [`SPARED_READS`], or the writes of one batch, which cost no more than one.
    pub spared: usize,
    /// How long this one would wait.
    pub wait: Micros,
    /// From which wait on is shed.
    pub begin: Micros,
    /// How long a request waits at most.
    pub patience: Micros,
    /// Public slots that cannot be reclaimed, and all.
    pub pool: (usize, usize),
    /// Its turn among those for whom there was a share: below [`WHOLE`].
    pub turn: u32,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The cached answer.
    Cache,
    /// The cached answer, older than the data.
    Stale,
    /// The answer to another's query.
    Join,
    /// A place in the queue.
    Queue,
    /// An answer that is older than usual, instead of being sent away for that reason.
    Old(Why),
    /// 503, to be tried again after so many seconds.
    Away(Why, u16),
}

/// Why a request is sent away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The server is stopping.
    Draining,
    /// Rust's heap is in its reserve.
    HeapReserve,
    /// The breaker is open.
    Broken,
    /// More is asked than the back can do.
    Shed,
}

/// Decides on a request.
pub fn decide(asked: Asked) -> Decision {
    let (class, old, joinable, state) = match asked {
        Asked::Fresh => return Decision::Cache,
        Asked::Lagging => return Decision::Stale,
        Asked::Back { class, old, joinable, state } => (class, old, joinable, state),
    };
    match refusal(class, &state) {
        // Joining costs the back nothing, and whoever joins is answered when the other is.
        Some((Why::Shed | Why::Draining | Why::HeapReserve, _)) | None if joinable => Decision::Join,
        Some((why, _)) if old => Decision::Old(why),
        Some((why, seconds)) => Decision::Away(why, seconds),
        None => Decision::Queue,
    }
}

fn refusal(class: Class, state: &State) -> Option<(Why, u16)> {
    if state.draining {
        // Whoever restarts it has it back about then.
        Some((Why::Draining, 1))
    } else if state.heap_in_reserve {
        Some((Why::HeapReserve, 10))
    } else if let Some(rest) = state.broken.filter(|_| class != Class::Operators) {
        Some((Why::Broken, seconds(rest)))
    } else {
        let share = if matches!(class, Class::Operators | Class::Critical) { 0 } else { share(state) };
        (state.turn < share).then(|| (Why::Shed, retry_after(state.wait, share)))
    }
}

/// The share that is to be shed, of [`WHOLE`]: by the wait, none up to `begin` and all from two and a half times that on (200 and 500 ms, the alert's
/// two thresholds); by the pool likewise, if there is a wait at all.
pub fn share(state: &State) -> u32 {
    if state.waiting == 0 || (state.waiting < state.spared && state.wait < state.patience / 2) {
        return 0;
    }
    let by_wait = ramp(state.wait, state.begin, state.begin * 5 / 2);
    let (used, size) = state.pool;
    let by_pool = if state.wait > POOL_WAIT { ramp(used as u64 * 1000 / size.max(1) as u64, POOL_BEGIN, POOL_FULL) } else { 0 };
    by_wait.max(by_pool)
}

fn ramp(value: u64, begin: u64, full: u64) -> u32 {
    if value <= begin {
        return 0;
    }
    let (over, width) = (u128::from(value - begin), u128::from(full.saturating_sub(begin)).max(1));
    u32::try_from(over * u128::from(WHOLE) / width).unwrap_or(WHOLE).min(WHOLE)
}

/// When it is worth coming back, in seconds: when all who ask now, those who are let in and those who are not, could have been served.
pub fn retry_after(wait: Micros, share: u32) -> u16 {
    let kept = u64::from(WHOLE.saturating_sub(share).max(WHOLE / 16));
    seconds(wait.saturating_mul(u64::from(WHOLE)) / kept)
}

/// Whole seconds, rounded up, within [`RETRY`].
pub fn seconds(time: Micros) -> u16 {
    time.div_ceil(SECOND).clamp(*RETRY.start(), *RETRY.end()) as u16
}

/// Whose turn it is to be shed: multiples of the golden ratio, without their whole part.
///
/// Whatever the share, in a row of any length as many are taken as the share says, give or take two or three; and unlike with a counter that takes
/// every so-manieth, clients who ask in turns do not always meet the same fate (Weyl's equidistribution).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turns(u32);

impl Turns {
    /// The next turn: below [`WHOLE`].
    pub const fn peek(self) -> u32 {
        self.0 >> 16
    }

    /// The turn was taken.
    pub const fn pass(&mut self) {
        // 2^32 divided by the golden ratio, odd.
        self.0 = self.0.wrapping_add(0x9e37_79b9);
    }
}

/// A connection that asks for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newcomer {
    /// It came by the operators' listener.
    pub operators: bool,
    /// Its client has fewer connections than one may have.
    pub under_cap: bool,
    /// There is a free public slot.
    pub public_free: bool,
    /// There is a free slot of the operators' reserve.
    pub reserve_free: bool,
    /// There is a connection, idle or late, that may be closed for it.
    pub reclaimable: bool,
}

/// Where a connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seat {
    /// A public slot.
    Public,
    /// A slot of the operators' reserve.
    Reserve,
    /// The slot of that connection.
    Reclaimed,
    /// Nowhere: its client has its share. 429.
    ClientCap,
    /// Nowhere: a static 503 from a slot of the refusals.
    Full,
}

/// Decides on a connection.
pub const fn seat(newcomer: Newcomer) -> Seat {
    match newcomer {
        Newcomer { under_cap: false, .. } => Seat::ClientCap,
        Newcomer { public_free: true, .. } => Seat::Public,
        Newcomer { operators: true, reserve_free: true, .. } => Seat::Reserve,
        Newcomer { reclaimable: true, .. } => Seat::Reclaimed,
        _ => Seat::Full,
    }
}

#[cfg(test)]
mod tests;
