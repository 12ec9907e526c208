//! Drills: an operator orders a fault, and it is carried out. What is the back's goes to it by way of the loop.

use super::Front;
use super::net::Net;
use crate::api::drill_order;
use crate::api::problem::Problem;
use crate::job::{Faults, Micros, skew};
use crate::memory::sink::Sink;
use crate::ops::fall_pages::DrillUse;
use crate::ops::falls::Fall;
use crate::ops::metrics::RouteKind;
use crate::policy::drill::{Drill, Order};

/// One second.
const SECOND: Micros = 1_000_000;
/// What a machine whose memory cannot be read seems to have during a memory drill, in bytes.
const SOME_MEMORY: u64 = 512 << 20;
/// The share of the machine's memory that is left during a memory drill: one in so many parts.
const SHORT: u64 = 20;

impl<N: Net> Front<N> {
    /// Carries out the drill that the request orders.
    pub(super) fn answer_drill(&mut self, index: u16) {
        match self.read_order(index) {
            Ok((drill, order)) => {
                self.order(drill, order);
                self.answer_ordered(index, drill, order);
            }
            Err(problem) => self.answer_problem(index, RouteKind::Ops, &problem),
        }
    }

    fn read_order(&self, index: u16) -> Result<(Drill, Order), Problem> {
        let Some(exchange) = self.slots.peek(index).exchange.as_ref() else { return Err(Problem::no_route(false)) };
        let (bytes, request) = (exchange.current(), exchange.request());
        let name = request.path(bytes).strip_prefix(b"/-/drill/").unwrap_or_default();
        let drill = drill_order::named(name)?;
        Ok((drill, drill_order::read(drill, request.body(bytes))?))
    }

    fn order(&mut self, drill: Drill, order: Order) {
        let unix = self.net.unix_time();
        match order.seconds {
            0 => log::warn!("an operator took the drill {} back", drill.name()),
            seconds => log::warn!("an operator ordered the drill {} for {seconds} s", drill.name()),
        }
        if drill == Drill::ClockJump && order.monotonic && order.seconds > 0 {
            skew::jump(order.offset.unsigned_abs() * SECOND);
            self.now = self.net.now();
        }
        self.drills.arm(drill as usize, order, self.now, unix);
        self.carry_out(drill, order);
    }

    /// What a drill does when it is armed; the others act where they are asked for.
    fn carry_out(&mut self, drill: Drill, order: Order) {
        let armed = order.seconds > 0;
        match drill {
            Drill::SlowSync | Drill::SlowRead | Drill::IoError | Drill::DiskFull => self.faults_ordered = true,
            Drill::ClockJump => skew::set_wall(if armed { order.offset } else { 0 }),
            Drill::CacheFlip => self.flip_bits(),
            Drill::Fall if armed => self.note_fall(Fall::Drilled),
            Drill::LastWord if armed => self.note_fall(Fall::LastWord),
            _ => {}
        }
        let holds = matches!(drill, Drill::SlowSync | Drill::SlowRead | Drill::IoError | Drill::DiskFull | Drill::ClockJump);
        let holds = holds || matches!(drill, Drill::Memory | Drill::Fall | Drill::LastWord);
        if armed && holds {
            self.drills.acted(drill as usize);
        }
    }

    /// Ends the drills whose time is over.
    pub(super) fn end_drills(&mut self) {
        let ended = self.drills.end(self.now);
        for drill in Drill::ALL.into_iter().filter(|&drill| ended & 1 << drill as u32 != 0) {
            log::info!("the drill {} is over", drill.name());
            if drill == Drill::ClockJump {
                skew::set_wall(0);
            }
        }
    }

    /// Whether a drill holds now.
    #[inline]
    pub(super) fn drilled(&self, drill: Drill) -> bool {
        self.drills.holds(drill as usize, self.now).is_some()
    }

    /// Arms a drill for its next use, as a simulation does.
    pub fn plant(&mut self, drill: Drill) {
        self.drills.arm(drill as usize, Order::DEFAULT, self.now, 0);
    }

    /// Whether a drill wants the next work of the back to panic: a plain job, a single write, or writes that share a transaction.
    pub fn wants_panic(&mut self, writes: usize) -> bool {
        let for_nobody = self.running.is_some_and(|running| running.for_nobody);
        let drill = if writes > 1 { Drill::BatchPanic } else { Drill::PlainPanic };
        !for_nobody && self.drills.take(drill as usize, self.now)
    }

    /// What the drills order of the database's files, if that has changed since it was last taken.
    pub fn ordered_faults(&self) -> Option<Faults> {
        if !self.faults_ordered {
            return None;
        }
        let order = |drill: Drill| self.drills.holds(drill as usize, self.now);
        let left = |drill: Drill| self.drills.seen(drill as usize, self.now).left;
        let all = [Drill::SlowSync, Drill::SlowRead, Drill::IoError, Drill::DiskFull];
        Some(Faults {
            sync_delay_ms: order(Drill::SlowSync).map_or(0, |order| order.delay_ms),
            read_delay_ms: order(Drill::SlowRead).map_or(0, |order| order.delay_ms),
            io_errors: order(Drill::IoError).is_some(),
            disk_full: order(Drill::DiskFull).is_some(),
            within: all.into_iter().filter_map(left).max().unwrap_or(0),
        })
    }

    /// The same, once.
    pub fn take_faults(&mut self) -> Option<Faults> {
        let faults = self.ordered_faults();
        self.faults_ordered = false;
        faults
    }

    /// Flips a bit in as many cached bodies as are ordered still.
    pub(super) fn flip_bits(&mut self) {
        while self.drilled(Drill::CacheFlip) && self.cache.damage_one() {
            self.drills.take(Drill::CacheFlip as usize, self.now);
        }
    }

    /// A machine that is short of memory, while the drill says so.
    pub(super) fn drill_readings(&mut self) {
        if self.drilled(Drill::Memory) {
            let process = &mut self.readings.process;
            if process.system_total_bytes == 0 {
                process.system_total_bytes = SOME_MEMORY;
            }
            process.system_available_bytes = process.system_total_bytes / SHORT;
        }
    }

    /// What the pages say of the drills.
    pub(super) fn drill_uses(&self) -> [DrillUse; Drill::ALL.len()] {
        Drill::ALL.map(|drill| {
            let seen = self.drills.seen(drill as usize, self.now);
            let armed_until = seen.left.map(|left| self.net.unix_time() + left.div_ceil(SECOND));
            DrillUse { name: drill.name(), armed_until, acted: seen.acted, drilled_at: seen.drilled_at }
        })
    }

    fn answer_ordered(&mut self, index: u16, drill: Drill, order: Order) {
        self.page.begin();
        let mut digits = itoa::Buffer::new();
        let parts: [&[u8]; 5] =
            [b"{\"drill\":\"", drill.name().as_bytes(), b"\",\"seconds\":", digits.format(order.seconds).as_bytes(), b"}"];
        let put = parts.iter().try_for_each(|part| self.page.put(part));
        debug_assert!(put.is_ok(), "a page holds a short object");
        self.answer_rendered(index, 202);
    }
}
