//! What a request asks to be written: its route, and the elements of its body.

use crate::api::named::{Bound, Elements, find, matching};
use crate::api::problem::Problem;
use crate::config::{Config, Route, Verb};
use crate::http::request::Method;
use crate::job::Item;

/// The work of one write.
pub struct Work<'w> {
    config: &'w Config,
    /// The route's place in the configuration.
    pub place: usize,
    elements: Elements<'w>,
    path: &'w [u8],
    query: &'w [u8],
}

impl<'w> Work<'w> {
    /// Finds the route and reads the body once.
    ///
    /// # Errors
    /// 404 or 405 when no route writes here, and what [`Elements::new`] says.
    pub fn of(item: &'w Item, config: &'w Config) -> Result<Work<'w>, Problem> {
        let (bytes, request) = (item.exchange.current(), item.exchange.request());
        let path = request.path(bytes);
        let place = verb(request.method).and_then(|verb| find(config, verb, path)).ok_or_else(|| {
            let allowed = matching::allowed(config, path);
            if allowed.is_empty() { Problem::no_route(false) } else { allowed.problem() }
        })?;
        let elements = Elements::new(request.field(bytes, "content-type"), request.body(bytes))?;
        Ok(Work { config, place, elements, path, query: request.query(bytes).unwrap_or_default() })
    }

    /// The route.
    pub fn route(&self) -> &'w Route {
        &self.config.routes()[self.place]
    }

    /// Whether the body is an array: the answer is one then, also for one element.
    pub fn is_array(&self) -> bool {
        self.elements.is_array()
    }

    /// How often the statements run.
    pub fn elements(&self) -> usize {
        self.elements.count()
    }

    /// Binds the next element's values; called once for each.
    ///
    /// # Errors
    /// As [`Elements::bind_next`].
    pub fn bind_next(&mut self, bound: &mut Bound) -> Result<(), Problem> {
        let route = self.route();
        self.elements.bind_next(self.config, route, self.path, self.query, bound).unwrap_or(Ok(()))
    }
}

/// The verb of a route that writes; `None` for methods that do not.
fn verb(method: Method) -> Option<Verb> {
    match method {
        Method::Post => Some(Verb::Post),
        Method::Put => Some(Verb::Put),
        Method::Patch => Some(Verb::Patch),
        Method::Delete => Some(Verb::Delete),
        Method::Get | Method::Head | Method::Options => None,
    }
}
