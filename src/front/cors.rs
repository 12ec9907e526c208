//! Cross-origin requests: which page may read the answer that is being made (CORS, the Fetch standard §3.3).

use super::Front;
use super::net::Net;
use crate::http::origin::{self, EXPOSED, Preflight};
use crate::http::request::Request;
use crate::http::response::HeadWriter;

/// Bytes of an origin that is told back: longer ones are nobody's.
const ORIGIN_BYTES: usize = 256;

/// What an answer says about origins; empty for the many requests that come from no page.
#[derive(Default)]
pub(super) struct Cors {
    origin: heapless::Vec<u8, ORIGIN_BYTES>,
    preflight: Option<(&'static str, &'static str, u32)>,
}

impl Cors {
    /// Adds the fields, where there are any.
    pub(super) fn put<'h>(&self, mut head: HeadWriter<'h>) -> HeadWriter<'h> {
        if self.origin.is_empty() {
            return head;
        }
        head = head.field("access-control-allow-origin", &self.origin).field("access-control-expose-headers", EXPOSED.as_bytes());
        if let Some((methods, headers, max_age)) = self.preflight {
            head = head
                .field("access-control-allow-methods", methods.as_bytes())
                .field("access-control-allow-headers", headers.as_bytes())
                .field_number("access-control-max-age", u64::from(max_age));
        }
        head
    }
}

impl<N: Net> Front<N> {
    /// Finds out what the answer to this connection's request will say about origins.
    pub(super) fn note_origin(&mut self, index: u16) {
        self.cors.origin.clear();
        self.cors.preflight = None;
        let Some(exchange) = self.slots.peek(index).exchange.as_ref() else { return };
        let config = &self.setup.config;
        if config.origins.is_empty() {
            return;
        }
        let (bytes, request): (&[u8], &Request) = (exchange.current(), exchange.request());
        let asking = request.field(bytes, "origin");
        let allowed = || config.origins.iter().map(|&origin| config.bytes(origin));
        let origin = match origin::preflight(asking, request.field(bytes, "access-control-request-method"), allowed()) {
            Some(Preflight { origin, methods, headers, max_age_s })
                if request.method == crate::http::request::Method::Options =>
            {
                self.cors.preflight = Some((methods, headers, max_age_s));
                Some(origin)
            }
            _ => origin::readable_by(asking, request.field(bytes, "authorization").is_some(), allowed()),
        };
        // One that is longer than any listed one may be is left out.
        let _ = self.cors.origin.extend_from_slice(origin.unwrap_or_default());
    }
}
