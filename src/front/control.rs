//! What an operator changes while the server runs, and needs no back for.

use super::Front;
use super::net::Net;
use super::slots::State;
use crate::api::problem::Problem;
use crate::api::route::Ops;
use crate::config::nearest::nearest;
use crate::memory::sink::Sink;
use crate::ops::metrics::{CloseReason, RouteKind};
use crate::ops::pages;
use crate::policy::flags::{Flag, Wanted};
use crate::policy::watchdog::Watchdog;

impl<N: Net> Front<N> {
    /// Whether the server is stopping.
    pub fn is_draining(&self) -> bool {
        self.draining_since.is_some()
    }

    /// The same, once: for who tells of it.
    pub fn take_draining(&mut self) -> bool {
        self.is_draining() && !std::mem::replace(&mut self.drain_told, true)
    }

    /// A service manager watches, and ends the process that does not come around.
    pub fn watch(&mut self, watchdog: Watchdog) {
        self.watchdog = watchdog;
    }

    /// Does it, and says what was done.
    pub(super) fn answer_control(&mut self, index: u16, control: Ops) {
        match control {
            Ops::Cache => {
                let entries = self.cache.entries();
                self.cache.clear();
                log::info!("an operator cleared the cache: {entries} entries");
                self.answer_done(index, "dropped", entries);
            }
            Ops::ResetPool => {
                let closed = self.close_idle(index);
                log::info!("an operator reset the connection pool: {closed} idle connections closed");
                self.answer_done(index, "closed", closed);
            }
            Ops::Drill => self.answer_drill(index),
            Ops::Flag => match self.set_flag(index) {
                Ok(flag) => {
                    let wanted = self.flags.seen(flag).set;
                    match wanted {
                        Some(wanted) => log::info!("an operator set the flag {}: {wanted}", flag.name()),
                        None => log::info!("an operator gave the flag {} back to the configuration", flag.name()),
                    }
                    let status = self.render(index, Ops::Flags);
                    self.answer_rendered(index, status);
                }
                Err(problem) => self.answer_problem(index, RouteKind::Ops, &problem),
            },
            _ => self.answer_problem(index, RouteKind::Ops, &Problem::no_route(false)),
        }
    }

    /// Tells which configuration is in use now.
    pub(super) fn answer_version(&mut self, index: u16) {
        self.page.begin();
        let put = pages::put_version(&self.readings.configuration, &mut self.page);
        debug_assert!(put.is_ok(), "a page holds three numbers");
        self.answer_rendered(index, 200);
    }

    /// Sets the flag that the path names to what the body says: `on`, `off`, `25%`, or `configured` to take that back.
    fn set_flag(&mut self, index: u16) -> Result<Flag, Problem> {
        let Some(exchange) = self.slots.peek(index).exchange.as_ref() else { return Err(Problem::no_route(false)) };
        let (bytes, request) = (exchange.current(), exchange.request());
        let name = request.path(bytes).strip_prefix(b"/-/flags/").unwrap_or_default();
        let name = core::str::from_utf8(name).unwrap_or_default();
        let names = || Flag::ALL.into_iter().map(Flag::name);
        let flag = Flag::named(name).ok_or_else(|| {
            let problem = Problem::new(404, "unknown-flag", "Unknown flag").allow(names());
            problem.detail(format_args!("There is no flag of this name.")).did_you_mean(nearest(name, names()))
        })?;
        // JSON's quotes may stay on.
        let value = core::str::from_utf8(request.body(bytes)).unwrap_or_default().trim().trim_matches('"');
        let wanted = match value {
            "configured" => None,
            value => Some(Wanted::read(value).map_err(|error| {
                let problem = Problem::new(400, "malformed-flag", "Malformed flag").detail(format_args!("{error}"));
                problem
                    .hint(format_args!("send the bare value as the body"))
                    .allow(["on", "off", "25%", "configured"].into_iter())
            })?),
        };
        self.flags.set(flag, wanted);
        Ok(flag)
    }

    /// Ends every connection but `index` that waits for its client's next request.
    fn close_idle(&mut self, index: u16) -> usize {
        let mut closed = 0;
        for other in self.slots.places().filter(|&other| other != index) {
            let slot = self.slots.peek(other);
            if matches!(slot.state, State::Idle | State::FirstByte) && slot.out.is_empty() && !slot.readable {
                self.close(other, CloseReason::Reclaimed);
                closed += 1;
            }
        }
        closed
    }

    fn answer_done(&mut self, index: u16, what: &str, count: usize) {
        self.page.begin();
        let mut digits = itoa::Buffer::new();
        let parts: [&[u8]; 5] = [b"{\"", what.as_bytes(), b"\":", digits.format(count).as_bytes(), b"}"];
        let put = parts.iter().try_for_each(|part| self.page.put(part));
        debug_assert!(put.is_ok(), "a page holds a short object");
        self.answer_rendered(index, 200);
    }
}
