//! The methods that a place may be asked with: the Allow field (RFC 9110 §10.2.1).

use crate::api::named::Allowed;
use crate::api::problem::Problem;
use crate::api::route::Ops;
use crate::http::request::Method;

/// What may be done at a place.
#[derive(Clone, Copy)]
pub(super) enum Allow {
    /// It may be read.
    Read,
    /// The server as a whole (`OPTIONS *`).
    Everything,
    /// What the routes of its path may be asked with.
    Named(Allowed),
    /// An operators' place.
    Ops(Ops),
}

/// Bytes of the longest value.
const TEXT_BYTES: usize = Allowed::TEXT_BYTES;

impl Allow {
    /// The field's value.
    pub(super) fn text(self) -> heapless::String<TEXT_BYTES> {
        let fixed = match self {
            Allow::Named(allowed) => return allowed.text(),
            Allow::Read => "GET, HEAD, OPTIONS",
            Allow::Everything => "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
            Allow::Ops(page) => match page.change_method() {
                None => "GET, HEAD, OPTIONS",
                Some(Method::Put) => "PUT, OPTIONS",
                Some(Method::Delete) => "DELETE, OPTIONS",
                Some(_) => "POST, OPTIONS",
            },
        };
        heapless::String::try_from(fixed).expect("the longest value was counted")
    }

    /// 405: the place is known, the method is not.
    pub(super) fn problem(self) -> Problem {
        let text = self.text();
        let problem = Problem::new(405, "method-not-allowed", "Method not allowed").allow(text.split(", "));
        match self {
            Allow::Read => problem.detail(format_args!("This resource is read-only.")),
            _ => problem.detail(format_args!("Nothing is served at this path with this method.")),
        }
    }
}
