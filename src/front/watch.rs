//! What is looked at once a second: readings that tell something only over time.

use super::Front;
use super::net::Net;
use crate::job::Micros;
use crate::ops::falls::Fall;
use crate::ops::system::{MARKS, Pin};
use crate::policy::memory_level::Level;
use crate::policy::paths::Part;
use crate::policy::slope::Slope;
use crate::policy::wal_pin::WalPin;

const S: Micros = 1_000_000;
/// RssAnon is sampled so often, in microseconds ...
const SLOPE_STEP: Micros = 10 * S;
/// ... over 15 minutes.
const SLOPE_SAMPLES: usize = 90;

/// What is remembered from second to second.
pub(super) struct Watch {
    rss_anon: Slope<SLOPE_SAMPLES>,
    wal_pin: WalPin,
}

impl Watch {
    pub(super) const fn new() -> Watch {
        Watch { rss_anon: Slope::new(SLOPE_STEP), wal_pin: WalPin::new() }
    }
}

impl<N: Net> Front<N> {
    /// What is done once a second, beside the timers.
    pub fn tick(&mut self) {
        self.drill_readings();
        self.flip_bits();
        self.edge(Part::Cache, (), |front| front.cache.sweep(front.now));
        self.watch_system();
        let process = &self.readings.process;
        let level = self.memory_level.look(process.system_total_bytes, process.system_available_bytes, self.now);
        match (level, self.cache.paused()) {
            (Level::Emergency, false) => {
                log::warn!("the machine is short of memory: the cache is cleared and its pages are given back");
                self.note_fall(Fall::CacheMemory);
                self.edge(Part::Cache, (), |front| front.cache.pause());
            }
            (Level::Normal, true) => {
                log::info!("the machine has memory again: the cache is in use");
                self.cache.resume();
            }
            _ => {}
        }
    }

    /// Fills in the readings that need the past.
    pub(super) fn watch_system(&mut self) {
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
}
