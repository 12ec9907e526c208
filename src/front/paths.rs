//! The three paths: what happens at the edges of the optimised one, and which is in use.
//!
//! A panic in a part of the optimised path is caught at that part's edge. The same request goes on by the plain path, the part rests and is
//! made anew, and the fall is counted. What the plain path panics with is answered from static bytes, see [`emergency`](super::emergency).

use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Front;
use super::cache::Cache;
use super::net::Net;
use super::slots::State;
use crate::job::Micros;
use crate::ops::fall_pages;
use crate::ops::falls::{Fall, Path};
use crate::policy::drill::Drill;
use crate::policy::paths::{Part, Standing};

const SECOND: Micros = 1_000_000;

impl<N: Net> Front<N> {
    /// Whether a part of the optimised path is to be used.
    #[inline]
    pub(super) fn has_part(&mut self, part: Part) -> bool {
        self.paths.in_use(part as usize, self.now) && !self.drilled(Drill::Fall)
    }

    /// Runs a piece of a part. After a panic in it the part has fallen, and the caller goes on with `plain`.
    #[inline]
    pub(super) fn edge<R>(&mut self, part: Part, plain: R, piece: impl FnOnce(&mut Front<N>) -> R) -> R {
        match catch_unwind(AssertUnwindSafe(|| piece(self))) {
            Ok(made) => made,
            Err(_) => {
                self.part_panicked(part);
                plain
            }
        }
    }

    /// A use of a part went well.
    #[inline]
    pub(super) fn worked(&mut self, part: Part) {
        self.paths.worked(part as usize, self.now);
    }

    /// A part panicked: it rests, and begins again from nothing.
    #[cold]
    pub(super) fn part_panicked(&mut self, part: Part) {
        self.metrics.panics += 1;
        self.note_fall(match part {
            Part::Cache => Fall::CachePanic,
            Part::Flight => Fall::FlightPanic,
            Part::Batch => Fall::BatchPanic,
            Part::Warming => Fall::WarmingPanic,
        });
        let rest = self.paths.fall(part as usize, self.now);
        log::error!("a panic in the part {} of the optimised path: it rests for {} s", part.name(), rest / SECOND);
        match part {
            Part::Cache => {
                self.cache.rebuild();
                self.shortcuts.fill((0, 0));
            }
            Part::Flight => self.dissolve_flights(),
            // Its request may be half written.
            Part::Warming => self.spare_exchange.iter_mut().for_each(|exchange| exchange.clear()),
            // Each begins from nothing.
            Part::Batch => {}
        }
    }

    /// Counts a fall.
    pub(super) fn note_fall(&mut self, fall: Fall) {
        self.metrics.falls[fall as usize] += 1;
    }

    /// Everybody who joined another's query asks for one of their own.
    fn dissolve_flights(&mut self) {
        for index in self.slots.places() {
            let slot = self.slots.peek(index);
            if slot.state == State::Joined {
                let since = slot.since;
                self.enqueue(index, since, self.now);
            }
        }
        self.joined = 0;
    }

    /// Panics, if a drill wants it here.
    #[inline]
    pub(super) fn strike(&mut self, drill: Drill) {
        if self.drills.take(drill as usize, self.now) {
            panic!("a drill");
        }
    }

    /// What the pages say of the paths.
    pub(super) fn paths_page(&self) -> fall_pages::Paths {
        let off = self.drilled(Drill::Fall);
        let resting = self.cache.resting(self.now) || self.cache.paused();
        let parts = Part::ALL.map(|part| {
            let standing = match self.paths.standing(part as usize) {
                _ if off => "off",
                Standing::Resting(until) if self.now < until => "resting",
                Standing::Resting(_) | Standing::Probing(_) => "probing",
                Standing::On if part == Part::Cache && resting => "resting",
                Standing::On => "on",
            };
            (part.name(), standing)
        });
        let path = match () {
            () if self.drilled(Drill::LastWord) || !self.readings.database.ready => Path::Emergency,
            () if off || resting || !self.paths.all_in_use(self.now) => Path::Plain,
            () => Path::Optimised,
        };
        fall_pages::Paths { path, parts, drills: self.drill_uses() }
    }
}

/// An entry's bytes as slices; how many were filled, `None` when the cache panicked. Nothing has been done then.
pub(super) fn kept_slices<'a>(cache: &'a Cache, entry: u16, body: bool, slices: &mut [IoSlice<'a>]) -> Option<usize> {
    catch_unwind(AssertUnwindSafe(|| cache.slices(entry, body, slices))).ok()
}
