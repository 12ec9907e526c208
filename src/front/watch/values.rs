//! What each alert watches, from counters, readings and the front's own state: one value each, in thousandths of its unit.

use super::Counter;
use crate::budget::{CACHE_BLOCKS, CACHE_ENTRIES, PROCESS_BYTES, SLOTS, SQLITE_HEAP_LIMIT_BYTES, WAL_INDEX_KIB};
use crate::front::net::Net;
use crate::front::slots::State;
use crate::front::{Front, watch};
use crate::ops::falls::Path;
use crate::policy::alert::{Alert, Values};
use crate::policy::flags::Flag;

/// Cacheable requests without which a hit rate says nothing.
const CACHEABLE: u64 = 200;
/// Connections without which a share of them says nothing.
const CLOSED: u64 = 20;
/// Syncs without which their mean says nothing.
const SYNCS: u64 = 5;

const fn count(value: u64) -> i64 {
    if value < i64::MAX as u64 / 1000 { value as i64 * 1000 } else { i64::MAX }
}

const fn state(is_so: bool) -> i64 {
    if is_so { 1000 } else { 0 }
}

/// Microseconds as thousandths of a second.
const fn seconds(micros: u64) -> i64 {
    (micros / 1000) as i64
}

fn ratio(part: u64, whole: u64) -> Option<i64> {
    (whole > 0).then(|| (u128::from(part) * 1000 / u128::from(whole)).min(i64::MAX as u128) as i64)
}

/// Hundredths of a percent.
fn share(hundredths: u32) -> i64 {
    i64::from(hundredths) / 10
}

impl<N: Net> Front<N> {
    /// All of them now.
    pub(super) fn alert_values(&self, recent: &watch::Recent) -> Values {
        Alert::ALL.map(|alert| match alert {
            Alert::SystemMemory
            | Alert::CgroupMemory
            | Alert::MemoryPressure
            | Alert::OwnMemory
            | Alert::MemorySlope
            | Alert::HeapReserve
            | Alert::SqliteHeap => self.memory_value(alert),
            Alert::CacheBytes | Alert::CacheEntries | Alert::HitRate | Alert::CacheDamage | Alert::CacheResting => {
                self.cache_value(alert)
            }
            Alert::PoolUse
            | Alert::FailedConnections
            | Alert::Descriptors
            | Alert::StrayDescriptors
            | Alert::OverdueConnection => self.connection_value(alert),
            Alert::QueueWait
            | Alert::WriteWait
            | Alert::Ladder
            | Alert::Breaker
            | Alert::LoopGap
            | Alert::Database
            | Alert::LockContention
            | Alert::QueryTimeouts
            | Alert::Path
            | Alert::Falls
            | Alert::Panics
            | Alert::LogDropped
            | Alert::WrongTokens => self.work_value(alert, recent),
            Alert::WalBytes
            | Alert::WalIndex
            | Alert::WalReader
            | Alert::DiskSpace
            | Alert::SlowSyncs
            | Alert::FailedSyncs
            | Alert::IoPressure
            | Alert::Temperature
            | Alert::Throttled
            | Alert::UnderVoltage => self.disk_and_board_value(alert),
            Alert::ConfigReload | Alert::ConfigDrift | Alert::FlagDrift | Alert::FlagDoubt | Alert::Sandbox => {
                self.configuration_value(alert)
            }
        })
    }

    fn memory_value(&self, alert: Alert) -> Option<i64> {
        let (process, system) = (&self.readings.process, &self.readings.system);
        match alert {
            Alert::SystemMemory => {
                let used = process.system_total_bytes.saturating_sub(process.system_available_bytes);
                ratio(used, process.system_total_bytes)
            }
            Alert::CgroupMemory => system.cgroup.and_then(|cgroup| ratio(cgroup.used_bytes, cgroup.limit_bytes?)),
            Alert::MemoryPressure => {
                let both = [system.memory_pressure, system.cgroup_pressure];
                both.into_iter().flatten().map(|pressure| share(pressure.some)).max()
            }
            Alert::OwnMemory => ratio(process.rss_anon_bytes, PROCESS_BYTES as u64),
            Alert::MemorySlope => system.rss_anon_slope,
            Alert::HeapReserve => Some(state(self.heap_in_reserve)),
            _ => ratio(self.readings.database.heap_bytes, SQLITE_HEAP_LIMIT_BYTES as u64),
        }
    }

    fn cache_value(&self, alert: Alert) -> Option<i64> {
        match alert {
            Alert::CacheBytes => {
                let (critical, all) = self.cache.critical_bytes();
                ratio(critical, all)
            }
            Alert::CacheEntries => ratio(self.cache.entries() as u64, CACHE_ENTRIES as u64).filter(|_| CACHE_BLOCKS > 0),
            Alert::HitRate => {
                let cacheable = self.watch.gained(Counter::Cacheable);
                ratio(self.watch.gained(Counter::Spared), cacheable).filter(|_| cacheable >= CACHEABLE)
            }
            Alert::CacheDamage => Some(count(self.watch.gained(Counter::Damaged))),
            // A build without a cache has none that could rest.
            _ => (CACHE_BLOCKS > 0).then(|| state(self.cache.resting(self.now))),
        }
    }

    fn connection_value(&self, alert: Alert) -> Option<i64> {
        let process = &self.readings.process;
        match alert {
            Alert::PoolUse => ratio(self.pool_use() as u64, SLOTS as u64),
            Alert::FailedConnections => {
                let closed = self.watch.gained(Counter::Closed);
                ratio(self.watch.gained(Counter::Failed), closed).filter(|_| closed >= CLOSED)
            }
            Alert::Descriptors => ratio(process.descriptors, process.descriptor_limit),
            Alert::StrayDescriptors => Some(count(self.stray_descriptors().saturating_sub(self.watch.own_descriptors))),
            _ => {
                let due = |index| {
                    let slot = self.slots.peek(index);
                    (slot.state != State::Free && slot.state != State::Running).then(|| slot.due())
                };
                let first = self.slots.places().filter_map(due).min();
                Some(seconds(first.map_or(0, |due| self.now.saturating_sub(due))))
            }
        }
    }

    /// Open descriptors that are no connection's.
    pub(super) fn stray_descriptors(&self) -> u64 {
        self.readings.process.descriptors.saturating_sub(self.slots.in_use() as u64)
    }

    fn work_value(&self, alert: Alert, recent: &watch::Recent) -> Option<i64> {
        Some(match alert {
            Alert::QueueWait => {
                let waiting = self.queue.oldest().map_or(0, |since| self.now.saturating_sub(since));
                seconds(waiting.max(recent.queue_wait))
            }
            Alert::WriteWait => seconds(self.writes.oldest().map_or(0, |since| self.now.saturating_sub(since))),
            Alert::Ladder => count(u64::from(self.readings.pressure.step)),
            Alert::Breaker => count(self.readings.pressure.breakers.iter().filter(|breaker| breaker.state > 1).count() as u64),
            Alert::LoopGap => seconds(recent.gap),
            Alert::Database => state(!self.readings.database.ready),
            Alert::LockContention => count(self.watch.gained(Counter::Locked)),
            Alert::QueryTimeouts => count(self.watch.gained(Counter::TimedOut)),
            Alert::Path => match self.paths_page().path {
                Path::Optimised => 0,
                Path::Plain => count(1),
                Path::Emergency => count(2),
            },
            Alert::Falls => count(self.watch.gained(Counter::Falls)),
            Alert::Panics => count(self.watch.gained(Counter::Panics)),
            Alert::LogDropped => count(self.watch.gained(Counter::LogDropped)),
            _ => count(self.watch.gained(Counter::WrongTokens)),
        })
    }

    fn disk_and_board_value(&self, alert: Alert) -> Option<i64> {
        let (database, system) = (&self.readings.database, &self.readings.system);
        match alert {
            Alert::WalBytes => Some(count(database.wal_bytes)),
            Alert::WalIndex => ratio(database.wal_index_bytes, WAL_INDEX_KIB as u64 * 1024),
            Alert::WalReader => system.wal.map(|_| count(system.wal_pin.map_or(0, |pin| pin.seconds))),
            Alert::DiskSpace => {
                let both = [system.database_space, system.state_space];
                both.into_iter().flatten().map(|space| count(space.free_bytes)).min()
            }
            Alert::SlowSyncs => {
                let syncs = self.watch.gained(Counter::Syncs);
                Some(if syncs >= SYNCS { seconds(self.watch.gained(Counter::SyncMicros) / syncs) } else { 0 })
            }
            Alert::FailedSyncs => Some(count(self.watch.gained(Counter::FailedSyncs))),
            Alert::IoPressure => system.io_pressure.map(|pressure| share(pressure.full)),
            Alert::Temperature => system.temperature,
            Alert::Throttled => system.throttled.map(|throttled| state(throttled.slowed())),
            _ => system.under_voltage.map(state),
        }
    }

    fn configuration_value(&self, alert: Alert) -> Option<i64> {
        let configuration = &self.readings.configuration;
        match alert {
            Alert::ConfigReload => configuration.present.then(|| state(!configuration.last_successful)),
            Alert::ConfigDrift => configuration.present.then(|| {
                let flags = Flag::ALL.into_iter().map(|flag| self.flags.seen(flag));
                state(
                    configuration.file_differs || flags.into_iter().any(|seen| seen.set.is_some() && seen.set != seen.configured),
                )
            }),
            Alert::FlagDrift => {
                let drifts = Flag::ALL.into_iter().filter_map(|flag| self.flags.seen(flag).drift);
                drifts.max().map(|drift| share(drift.into()))
            }
            Alert::Sandbox => Some(state(self.readings.sandbox.parts().iter().any(|(_, part)| !part.on))),
            _ => Some(count(self.watch.gained(Counter::Doubtful))),
        }
    }
}
