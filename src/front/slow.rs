//! Slow requests in the log: by their route and never by what was asked for, which may hold what is nobody else's business.

use super::net::Net;
use super::{Front, MS};
use crate::job::Task;
use crate::ops::metrics::RouteKind;

impl<N: Net> Front<N> {
    /// Counts how long an answer took, from the request's last byte; one that took too long is told, as often as `policy::log_limit` lets it.
    pub(super) fn note_duration(&mut self, index: u16, kind: RouteKind, status: u16) {
        let slot = self.slots.peek(index);
        let (task, took) = (slot.task, self.net.now().saturating_sub(slot.request_at));
        self.metrics.durations.observe(took);
        let slow = self.setup.config.limits.slow_request_ms * MS;
        if slow == 0 || took < slow {
            return;
        }
        self.metrics.slow_requests += 1;
        let (seconds, ms) = (took / (1000 * MS), took / MS % 1000);
        let config = &self.setup.config;
        let route = match task {
            Task::Route(place) if kind == RouteKind::Named => config.routes().get(usize::from(place)),
            _ => None,
        };
        let (method, path) = route.map_or(("", kind.path()), |route| (route.verb.name(), config.text(route.path)));
        let space = if method.is_empty() { "" } else { " " };
        log::warn!("slow: {method}{space}{path} answered {status} after {seconds}.{ms:03} s");
    }
}
