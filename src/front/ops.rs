//! The operators' pages, gathered and rendered without the back: they answer while a query runs.

use super::Front;
use super::net::Net;
use super::page::Page;
use super::slots::{Part, State};
use crate::api::route::Ops;
use crate::budget;
use crate::memory::sink::Full;
use crate::ops::configuration_pages::FlagUse;
use crate::ops::falls::Fall;
use crate::ops::log_ring;
use crate::ops::pages;
use crate::ops::route_pages::RouteUse;
use crate::ops::snapshot::{Cache, Snapshot, Use};
use crate::policy::drill::Drill;
use crate::policy::flags::{Flag, Wanted};

impl<N: Net> Front<N> {
    /// Renders a page into the front's buffer; its status.
    pub(super) fn render(&mut self, index: u16, page: Ops) -> u16 {
        let details = self.sees_all(index);
        self.note_pressure();
        let config = self.setup.config.clone();
        let mut routes: heapless::Vec<RouteUse, { budget::ROUTES }> = heapless::Vec::new();
        for (route, &answers) in config.routes().iter().zip(&*self.route_answers) {
            // As many as a configuration may have.
            let _ = routes.push(RouteUse { method: route.verb.name(), path: config.text(route.path), answers });
        }
        let (uses, flags, alerts) = (self.uses(), self.flag_uses(), self.alert_uses());
        let states = self.slots.states();
        let mut connections = [("", 0); State::LABELS.len()];
        for (place, (label, count)) in connections.iter_mut().zip(State::LABELS.into_iter().zip(states)) {
            *place = (label, count);
        }
        let good = match page {
            Ops::Ready => self.is_ready(),
            _ => true,
        };
        self.metrics.falls[Fall::CacheDamaged as usize] = self.cache.counts.rests;
        let all = Snapshot {
            metrics: &self.metrics,
            readings: &self.readings,
            connections: &connections,
            cache: self.cache_page(),
            routes: &routes,
            wrong_tokens: (self.attempts.counts().failed, self.attempts.counts().refused),
            flags: &flags,
            paths: self.paths_page(),
            uses: &uses,
            queued: self.queue.len() as u64,
            oldest_wait_micros: self.queue.oldest().map_or(0, |since| self.now.saturating_sub(since)),
            log_dropped: log_ring::dropped(),
            alerts: &alerts,
            risks: &self.watch.answers.uses,
            draining: self.draining_since.is_some(),
            uptime_seconds: self.now / 1_000_000,
        };
        let sink: &mut Page = &mut self.page;
        sink.begin();
        let rendered = match page {
            Ops::Health | Ops::Ready => pages::put_health(&all, good, details, sink),
            Ops::Metrics => pages::put_metrics(&all, sink),
            Ops::Status => pages::put_status(&all, sink),
            Ops::Budget => pages::put_budget(&all, sink),
            Ops::Alerts => pages::put_alerts(&all, sink),
            Ops::Risks => pages::put_risks(&all, sink),
            Ops::Flags => pages::put_flags(&all, sink),
            _ => Err(Full),
        };
        if rendered.is_err() {
            log::error!("an operators' page is longer than {} bytes", budget::OPS_ANSWER_BYTES);
            return 500;
        }
        if good { 200 } else { 503 }
    }

    /// Whether requests can be answered, as `/-/ready` tells.
    pub(super) fn is_ready(&self) -> bool {
        let able = !self.heap_in_reserve && !self.drilled(Drill::LastWord);
        self.readings.database.ready && self.draining_since.is_none() && able
    }

    fn cache_page(&self) -> Cache {
        let counts = &self.cache.counts;
        Cache {
            requests: [("hit", counts.hits), ("miss", counts.misses), ("bypass", counts.bypasses), ("joined", counts.joined)],
            gone: [
                ("stale", counts.stale),
                ("expired", counts.expired),
                ("evicted", counts.evicted),
                ("damaged", counts.mismatches),
            ],
            inserted: counts.inserted,
            refused: counts.refused,
            repeated: counts.repeated,
            largest_bytes: counts.largest,
            verified: counts.verified,
            on: self.freshness.is_some() && !self.cache.resting(self.now),
        }
    }

    fn flag_uses(&self) -> [FlagUse; Flag::ALL.len()] {
        Flag::ALL.map(|flag| {
            let seen = self.flags.seen(flag);
            FlagUse {
                name: flag.name(),
                configured: seen.configured.map(Wanted::in_percent),
                set: seen.set.map(Wanted::in_percent),
                forced_off: seen.forced_off,
                asked: seen.asked,
                on: seen.on,
                doubtful: seen.doubtful,
                drift: seen.drift,
            }
        })
    }

    fn uses(&self) -> [Use; 10] {
        let part = |name, unit, limit: usize, now: usize, high: usize| Use {
            name,
            unit,
            limit: limit as u64,
            now: now as u64,
            high: high as u64,
        };
        let database = &self.readings.database;
        let heap = &self.readings.heap;
        let connections = budget::CONNECTIONS;
        [
            part("connections", "slots", connections, self.slots.in_use(), self.slots.used_high()),
            part(
                "public slots",
                "slots",
                budget::SLOTS,
                budget::SLOTS - self.slots.free(Part::Public),
                self.slots.used_high().min(budget::SLOTS),
            ),
            part(
                "slots of one client",
                "slots",
                self.setup.config.limits.slots_per_client,
                usize::from(self.clients.largest()),
                usize::from(self.clients.largest_ever()),
            ),
            part(
                "output blocks",
                "blocks",
                self.output.total(),
                self.output.total() - self.output.free(),
                self.output.high_water(),
            ),
            part("cache entries", "entries", budget::CACHE_ENTRIES, self.cache.entries(), self.cache.entries_high()),
            part("cache blocks", "blocks", budget::CACHE_BLOCKS, self.cache.blocks().0, self.cache.blocks().1),
            part("Rust heap", "bytes", budget::HEAP_BYTES, heap.live, heap.peak),
            part(
                "SQLite heap",
                "bytes",
                budget::SQLITE_HEAP_LIMIT_BYTES,
                database.heap_bytes as usize,
                database.heap_peak_bytes as usize,
            ),
            part("SQLite pages", "slots", database.pages_total as usize, database.pages as usize, database.pages_peak as usize),
            part("statements", "statements", budget::STATEMENTS, database.statements as usize, database.statements as usize),
        ]
    }
}
