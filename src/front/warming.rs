//! Answers that are made before anybody asks: those of critical routes, when nobody waits, once for each state of the database.

use super::jobs::Running;
use super::net::Net;
use super::{Front, MS};
use crate::api::named;
use crate::config::{Config, Param};
use crate::http::request::Step;
use crate::job::{Job, Micros, SlotId, Stamp, Task};
use crate::policy::clients::Client;
use crate::policy::drill::Drill;
use crate::policy::flags::Flag;
use crate::policy::paths::Part;
use crate::policy::sharing::Share;

/// A route's answer is made at most so often: a database that others change all the time is not followed for nobody.
const BETWEEN: Micros = 1000 * MS;

/// What was last tried for a route.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tried {
    state: Option<Stamp>,
    at: Micros,
    /// It was stopped because a client came.
    stopped: bool,
}

impl<N: Net> Front<N> {
    /// A job for a critical answer that is not in the cache, if there is one. To be asked for only when nothing waits. When a client comes
    /// while it runs, it is stopped.
    pub fn next_warming(&mut self) -> Option<Job> {
        let config = self.setup.config.clone();
        let nothing = crate::budget::CACHE_BLOCKS == 0 || !config.routes().iter().any(|route| route.critical);
        if nothing || self.is_busy() || self.draining_since.is_some() || self.heap_in_reserve {
            return None;
        }
        self.now = self.net.now();
        if !self.has_part(Part::Warming) || !self.has_part(Part::Cache) {
            return None;
        }
        self.edge(Part::Warming, None, |front| front.warming(&config))
    }

    /// The job for the first critical route whose answer is to be made.
    fn warming(&mut self, config: &Config) -> Option<Job> {
        let current = self.freshness.as_ref().and_then(|freshness| freshness.current())?;
        let place = (0..config.routes().len()).find(|&place| self.is_to_be_warmed(place, current))?;
        self.tried[place] = Tried { state: Some(current), at: self.now, stopped: false };
        let route = &config.routes()[place];
        let path = config.bytes(route.path);
        if !self.flags.on(Flag::Warming, Client::Exempt) || !self.flags.on(Flag::Cache, Client::Exempt) {
            return None;
        }
        self.strike(Drill::WarmingPanic);
        self.bound.bind_query(config, route, path, b"").ok()?;
        let media = named::media(route.rows, None, std::iter::empty()).ok()?;
        let key = self.key_of_values(place, media);
        if self.cache.holds(key, current, self.now) {
            return None;
        }
        // It stays where it is until nothing can go wrong any more.
        let exchange = self.spare_exchange.as_mut()?;
        for part in [&b"GET "[..], path, b" HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
            let room = exchange.room();
            if room.len() < part.len() {
                break;
            }
            room[..part.len()].copy_from_slice(part);
            exchange.filled += part.len();
        }
        if exchange.advance() != Step::Ready {
            exchange.clear();
            return None;
        }
        // Nobody's slot: one that was closed.
        let slot = SlotId { index: 0, generation: self.slots.peek(0).generation.wrapping_sub(1) };
        let exchange = self.spare_exchange.take()?;
        self.metrics.warmed += 1;
        self.running = Some(Running { started: self.now, key, stamp: Some(current), ..Running::for_nobody(slot) });
        let deadline = self.now + config.limits.route_query_ms * MS;
        self.watchdog.work(deadline);
        Some(Job { task: Task::Route(place as u16), slot, exchange, arrived: self.now, deadline, share: Share::Alone })
    }

    /// A client came while an answer was made for nobody: it is made when there is time again.
    pub(super) fn warming_stopped(&mut self, task: Task) {
        if let Task::Route(place) = task
            && let Some(tried) = self.tried.get_mut(usize::from(place))
        {
            tried.stopped = true;
        }
    }

    fn is_to_be_warmed(&self, place: usize, current: Stamp) -> bool {
        let config = &self.setup.config;
        let (route, tried) = (&config.routes()[place], &self.tried[place]);
        let fixed = |param: &Param| param.default.is_some();
        let new = (tried.state != Some(current) || tried.stopped) && (tried.state.is_none() || self.now >= tried.at + BETWEEN);
        route.critical && !route.verb.writes() && new && config.params(route).iter().all(fixed)
    }
}
