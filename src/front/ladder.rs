//! The ladder's steps, carried out: what is given up when the server is hard pressed, and taken up again.

use super::net::Net;
use super::slots::State;
use super::{Front, MS};
use crate::budget::{PROCESS_BYTES, SLOTS};
use crate::job::Micros;
use crate::ops::falls::Fall;
use crate::policy::drill::Drill;
use crate::policy::flags::Flag;
use crate::policy::ladder::{Cause, Seen, Step};
use crate::policy::paths::Part;

/// How long a kept connection may be idle from the step busy on.
const BUSY_IDLE: Micros = 5000 * MS;

impl<N: Net> Front<N> {
    /// Takes the last second's readings, and does what the step that they ask for is for.
    pub(super) fn climb(&mut self) {
        let seen = self.ladder_readings();
        let before = self.pressure.ladder.step();
        let step = self.pressure.ladder.look(&seen, self.now);
        if step != before {
            self.tell_step(before, step);
            self.flags.force_off(Flag::Warming, step >= Step::Emergency);
            if step >= Step::Busy && before < Step::Busy {
                self.shorten_idle();
            }
        }
        // A last word that is no shortage of memory takes nothing from the cache.
        let short = self.pressure.ladder.holds(Step::Emergency, self.now);
        match (short, self.cache.paused()) {
            (true, false) => {
                self.note_fall(Fall::CacheMemory);
                self.edge(Part::Cache, (), |front| front.cache.pause());
            }
            (false, true) => self.cache.resume(),
            _ => {}
        }
        self.note_pressure();
    }

    fn ladder_readings(&mut self) -> Seen {
        let shed: u64 = self.metrics.shed.iter().sum();
        let shed_before = std::mem::replace(&mut self.pressure.shed_before, shed);
        let (process, system) = (&self.readings.process, &self.readings.system);
        let total = process.system_total_bytes;
        // Where the control group tells of its own stalls they are ours; else the machine's.
        let stalls = system.cgroup_pressure.or(system.memory_pressure).unwrap_or_default();
        Seen {
            cache: self.cache.critical_bytes(),
            pool: (self.pool_use() as u64, SLOTS as u64),
            queue_wait: self.expected_wait(),
            shed: shed > shed_before,
            system: (total.saturating_sub(process.system_available_bytes), total),
            own: (process.rss_anon_bytes, PROCESS_BYTES as u64),
            cgroup: system.cgroup.and_then(|cgroup| Some((cgroup.used_bytes, cgroup.limit_bytes?))).unwrap_or_default(),
            stalls: (u64::from(stalls.some) / 10, u64::from(stalls.full) / 10),
            paths_failed: self.drilled(Drill::LastWord),
        }
    }

    fn tell_step(&self, before: Step, step: Step) {
        let mut causes: heapless::String<120> = heapless::String::new();
        for cause in self.pressure.ladder.causes().map(Cause::name) {
            // Nine short names fit.
            let _ = causes.push_str(if causes.is_empty() { "" } else { ", " }).and_then(|()| causes.push_str(cause));
        }
        if step > before {
            log::warn!("hard pressed: {} after {} ({causes})", step.name(), before.name());
        } else {
            log::info!("less hard pressed: {} after {}", step.name(), before.name());
        }
    }

    /// How long a kept connection may be idle now.
    pub(super) fn idle_time(&self) -> Micros {
        let configured = self.setup.config.limits.idle_ms * MS;
        if self.pressure.ladder.step() >= Step::Busy { configured.min(BUSY_IDLE) } else { configured }
    }

    /// Those that are idle already have no longer either.
    fn shorten_idle(&mut self) {
        let (now, latest) = (self.now, self.now + BUSY_IDLE);
        for index in self.slots.places() {
            let slot = self.slots.at(index);
            if slot.state == State::Idle && slot.deadline > latest {
                slot.deadline = latest;
            }
        }
        self.next_timer = self.next_timer.min(now + BUSY_IDLE);
    }

    /// Whether nobody's work may be done besides the clients'.
    pub(super) fn is_busy(&self) -> bool {
        self.pressure.ladder.step() >= Step::Busy
    }
}
