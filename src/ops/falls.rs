//! Falls from one path to a lower one: each has its reason, and each reason its counter.

/// Why an answer came, or comes for a while, by a lower path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fall {
    /// The cache panicked.
    CachePanic,
    /// Entries were damaged in memory.
    CacheDamaged,
    /// The machine was short of memory.
    CacheMemory,
    /// Joining a query under way panicked.
    FlightPanic,
    /// A transaction that several writes shared panicked.
    BatchPanic,
    /// Making an answer before it was asked for panicked.
    WarmingPanic,
    /// A drill put the optimised path off.
    Drilled,
    /// A job panicked in the back.
    PlainPanic,
    /// Serving a connection panicked in the front.
    FrontPanic,
    /// A drill put both paths off.
    LastWord,
}

impl Fall {
    /// All of them, in the order of their counters.
    pub const ALL: [Fall; 10] = [
        Fall::CachePanic,
        Fall::CacheDamaged,
        Fall::CacheMemory,
        Fall::FlightPanic,
        Fall::BatchPanic,
        Fall::WarmingPanic,
        Fall::Drilled,
        Fall::PlainPanic,
        Fall::FrontPanic,
        Fall::LastWord,
    ];

    /// From where, to where, and why: the labels of its counter.
    pub const fn labels(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Fall::CachePanic => ("cache", "plain", "panic"),
            Fall::CacheDamaged => ("cache", "plain", "damaged"),
            Fall::CacheMemory => ("cache", "plain", "memory"),
            Fall::FlightPanic => ("flight", "plain", "panic"),
            Fall::BatchPanic => ("batch", "plain", "panic"),
            Fall::WarmingPanic => ("warming", "plain", "panic"),
            Fall::Drilled => ("optimised", "plain", "drill"),
            Fall::PlainPanic => ("plain", "emergency", "panic"),
            Fall::FrontPanic => ("front", "emergency", "panic"),
            Fall::LastWord => ("optimised", "emergency", "drill"),
        }
    }
}

/// The path that answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Path {
    /// With all that makes answers cheap.
    #[default]
    Optimised,
    /// A part of that is off: what it would have spared is done.
    Plain,
    /// Nothing but static bytes.
    Emergency,
}

impl Path {
    /// All of them.
    pub const ALL: [Path; 3] = [Path::Optimised, Path::Plain, Path::Emergency];

    /// The label's value.
    pub const fn label(self) -> &'static str {
        match self {
            Path::Optimised => "optimised",
            Path::Plain => "plain",
            Path::Emergency => "emergency",
        }
    }
}
