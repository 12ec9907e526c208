//! What a page may say, as the front gathers it for one answer.

use super::alerts::AlertUse;
use super::configuration_pages::FlagUse;
use super::fall_pages::Paths;
use super::metrics::Metrics;
use super::readings::Readings;
use super::risks::RiskUse;
use super::route_pages::RouteUse;

/// How full one fixed part is.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    /// Its name, as in the sheet.
    pub name: &'static str,
    /// What one of it is.
    pub unit: &'static str,
    /// How many there are.
    pub limit: u64,
    /// In use now.
    pub now: u64,
    /// The most that was ever in use.
    pub high: u64,
}

/// What the cache has counted, and how it stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cache {
    /// Requests that could be answered from the cache: by what became of them.
    pub requests: [(&'static str, u64); 4],
    /// Entries that left: by why.
    pub gone: [(&'static str, u64); 4],
    /// Answers that entered.
    pub inserted: u64,
    /// Answers that were too large or came while the cache rested.
    pub refused: u64,
    /// Hits whose bytes were an earlier request's.
    pub repeated: u64,
    /// Head and body of the largest that entered, in bytes.
    pub largest_bytes: u64,
    /// Entries whose checksum was verified.
    pub verified: u64,
    /// Whether it is in use.
    pub on: bool,
}

/// All that a page may say, as the front gathers it for one answer.
pub struct Snapshot<'s> {
    /// The counters.
    pub metrics: &'s Metrics,
    /// The readings.
    pub readings: &'s Readings,
    /// Names and numbers of connections by state.
    pub connections: &'s [(&'static str, u64)],
    /// The cache.
    pub cache: Cache,
    /// Each fixed part's use.
    pub uses: &'s [Use],
    /// Requests that wait for the back.
    pub queued: u64,
    /// How long the oldest of them has waited, in microseconds.
    pub oldest_wait_micros: u64,
    /// Log lines dropped.
    pub log_dropped: u64,
    /// The named routes.
    pub routes: &'s [RouteUse<'s>],
    /// Wrong tokens, and attempts that were refused unheard.
    pub wrong_tokens: (u64, u64),
    /// The flags.
    pub flags: &'s [FlagUse],
    /// The paths, and the drills.
    pub paths: Paths,
    /// The alerts.
    pub alerts: &'s [AlertUse],
    /// The risks, in the register's order.
    pub risks: &'s [RiskUse],
    /// Whether the server is stopping.
    pub draining: bool,
    /// Seconds since the start.
    pub uptime_seconds: u64,
}
