//! What is looked at once a second: readings that tell something only over time, and the alerts that come of all of them.

mod answers;
mod values;

use core::fmt::Write;

use super::Front;
use super::net::Net;
use crate::job::Micros;
use crate::ops::alerts::AlertUse;
use crate::ops::log_ring;
use crate::ops::metrics::{CloseReason, Metrics, Refusal};
use crate::ops::system::{MARKS, Pin};
use crate::ops::text::Thousandths;
use crate::policy::alert::{Alert, Alerts, Change, Level};
use crate::policy::flags::Flag;
use crate::policy::paths::Part;
use crate::policy::slope::Slope;
use crate::policy::wal_pin::WalPin;
use crate::policy::window::{Gains, Peak};

const S: Micros = 1_000_000;
/// RssAnon is sampled so often, in microseconds ...
const SLOPE_STEP: Micros = 10 * S;
/// ... over 15 minutes.
const SLOPE_SAMPLES: usize = 90;
/// Counters are sampled so often ...
const GAINS_STEP: Micros = 10 * S;
/// ... over 5 minutes.
const GAINS: usize = 30;
/// Gaps are remembered for a minute.
const PEAKS: usize = 6;

/// The longest line for who supervises the process, in bytes.
const STATUS_BYTES: usize = 128;

/// Counters whose gain within five minutes is watched.
#[derive(Clone, Copy, Debug)]
enum Counter {
    /// Requests that could come from the cache.
    Cacheable,
    /// Those of them that needed no query of their own.
    Spared,
    /// Cached answers whose checksum did not match.
    Damaged,
    /// Connections that ended.
    Closed,
    /// Those of them that ended before they had what they came for.
    Failed,
    /// Requests refused because of another process's lock.
    Locked,
    /// Queries stopped at their limit.
    TimedOut,
    /// Panics caught.
    Panics,
    /// Log lines lost.
    LogDropped,
    /// Tokens that nobody has.
    WrongTokens,
    /// Falls from one path to a lower one.
    Falls,
    /// Syncs of the database's files.
    Syncs,
    /// Their time.
    SyncMicros,
    /// Those that failed.
    FailedSyncs,
    /// Asks that fell to a flag's safe default.
    Doubtful,
}

/// How many there are.
const COUNTERS: usize = Counter::Doubtful as usize + 1;

/// Ends by which a client did not get what it came for. One that connects ahead and asks nothing is none of them.
const FAILED: [CloseReason; 9] = [
    CloseReason::CutShort,
    CloseReason::Abandoned,
    CloseReason::Reset,
    CloseReason::HeadTimeout,
    CloseReason::BodyTimeout,
    CloseReason::WriteTimeout,
    CloseReason::TooSlow,
    CloseReason::Refused,
    CloseReason::Panicked,
];

/// The highest of this second, and of the last minute for gaps; in microseconds.
struct Recent {
    queue_wait: Micros,
    gap: Micros,
}

/// What is remembered from second to second.
pub(super) struct Watch {
    rss_anon: Slope<SLOPE_SAMPLES>,
    wal_pin: WalPin,
    gains: Gains<COUNTERS, GAINS>,
    gaps: Peak<PEAKS>,
    /// Descriptors at the first look that were no connection's.
    own_descriptors: u64,
    alerts: Alerts,
    pub(super) answers: answers::Answers,
    /// When the next look is due; 0 before the first.
    next_at: Micros,
}

impl Watch {
    pub(super) const fn new() -> Watch {
        Watch {
            rss_anon: Slope::new(SLOPE_STEP),
            wal_pin: WalPin::new(),
            gains: Gains::new(GAINS_STEP),
            gaps: Peak::new(GAINS_STEP),
            own_descriptors: 0,
            alerts: Alerts::new(),
            answers: answers::Answers::new(),
            next_at: 0,
        }
    }

    fn gained(&self, counter: Counter) -> u64 {
        self.gains.of(counter as usize)
    }
}

impl<N: Net> Front<N> {
    /// What is done once a second, beside the timers.
    pub fn tick(&mut self) {
        self.drill_readings();
        self.flip_bits();
        self.edge(Part::Cache, (), |front| front.cache.sweep(front.now));
        self.watch_system();
        self.climb();
        self.look_around();
    }

    /// The same where no job is run for a long time; not more often.
    pub fn tick_if_due(&mut self) {
        if self.now >= self.watch.next_at {
            self.tick();
        }
    }

    /// How the server is, in a line for who supervises it: what is worst, or that it serves.
    pub fn status_line(&self) -> heapless::String<STATUS_BYTES> {
        let mut line = heapless::String::new();
        let written = match self.watch.alerts.worst() {
            _ if self.is_draining() => line.write_str("stopping"),
            None => line.write_str("serving"),
            Some((alert, level)) => write!(line, "{}: {}: {}", level.name(), alert.rule().name, alert.rule().wrong),
        };
        debug_assert!(written.is_ok(), "the longest line fits");
        line
    }

    /// Tells what has become wrong or right.
    fn look_around(&mut self) {
        if self.watch.next_at == 0 {
            self.watch.own_descriptors = self.stray_descriptors();
        }
        self.watch.next_at = self.now + S;
        let counters = self.watched_counters();
        self.watch.gains.show(counters, self.now);
        self.metrics.accept_queue = std::mem::take(&mut self.metrics.recent_accepts);
        self.watch.gaps.show(std::mem::take(&mut self.metrics.recent_gap), self.now);
        let recent = Recent { queue_wait: std::mem::take(&mut self.metrics.recent_queue_wait), gap: self.watch.gaps.get() };
        let values = self.alert_values(&recent);
        self.watch.alerts.look(&values, self.now, log_change);
        self.look_at_answers();
    }

    /// Fills in the readings that need the past.
    fn watch_system(&mut self) {
        let (now, system) = (self.now, &mut self.readings.system);
        self.watch.rss_anon.show(self.readings.process.rss_anon_bytes, now);
        system.rss_anon_slope = self.watch.rss_anon.milli_a_second();
        system.wal_pin = system.wal.and_then(|wal| {
            let holders = system.wal_holders;
            let mut marks = [(0, None); MARKS];
            for (place, (mark, reads_to)) in marks.iter_mut().zip(wal.marks).enumerate() {
                *mark = (reads_to, holders.map(|holders| holders[place].is_some()));
            }
            let (since, place) = self.watch.wal_pin.look(wal.frames, wal.copied, &marks, now)?;
            let holder = holders.zip(place).and_then(|(holders, place)| holders[place]);
            Some(Pin { seconds: now.saturating_sub(since) / S, holder })
        });
    }

    fn watched_counters(&self) -> [u64; COUNTERS] {
        let (metrics, cache, disk) = (&self.metrics, &self.cache.counts, &self.readings.disk);
        let spared = cache.hits + cache.joined;
        let mut counters = [0; COUNTERS];
        for (counter, value) in [
            (Counter::Cacheable, spared + cache.misses),
            (Counter::Spared, spared),
            (Counter::Damaged, cache.mismatches),
            (Counter::Closed, metrics.closed.iter().sum()),
            (Counter::Failed, failed(metrics)),
            (Counter::Locked, metrics.refused[Refusal::Busy as usize]),
            (Counter::TimedOut, metrics.query_timeouts),
            (Counter::Panics, metrics.panics),
            (Counter::LogDropped, log_ring::dropped()),
            (Counter::WrongTokens, self.attempts.counts().failed),
            (Counter::Falls, metrics.falls.iter().sum()),
            (Counter::Syncs, disk.syncs),
            (Counter::SyncMicros, disk.sync_micros),
            (Counter::FailedSyncs, disk.failed_syncs),
            (Counter::Doubtful, Flag::ALL.into_iter().map(|flag| self.flags.seen(flag).doubtful).sum()),
        ] {
            counters[counter as usize] = value;
        }
        counters
    }

    /// All alerts as the pages show them.
    pub(super) fn alert_uses(&self) -> [AlertUse; Alert::ALL.len()] {
        let wall = self.unix_time();
        Alert::ALL.map(|alert| {
            let (rule, standing) = (alert.rule(), self.watch.alerts.standing(alert));
            AlertUse {
                name: rule.name,
                unit: rule.unit.name(),
                levels: Level::ALL.map(|level| (level.name(), rule.thresholds[level as usize], standing.level == Some(level))),
                since: wall.saturating_sub(self.now.saturating_sub(standing.since) / S),
                value: standing.value,
                wrong: rule.wrong,
                doing: rule.doing,
            }
        })
    }
}

fn failed(metrics: &Metrics) -> u64 {
    FAILED.iter().map(|reason| metrics.closed[*reason as usize]).sum()
}

/// One line for each change.
fn log_change(change: Change) {
    let rule = change.alert.rule();
    let (name, unit, wrong) = (rule.name, rule.unit.name(), rule.wrong);
    let Some(level) = change.to else {
        log::info!("alert {name}: over");
        return;
    };
    let value = change.value.unwrap_or(0);
    let threshold = rule.thresholds[level as usize].unwrap_or(0);
    let logged = if level == Level::Critical { log::Level::Error } else { log::Level::Warn };
    let (level, value, threshold) = (level.name(), Thousandths(value), Thousandths(threshold));
    log::log!(logged, "alert {name}: {level}: {wrong} ({value}, threshold {threshold}, {unit}); {}", rule.doing);
}
