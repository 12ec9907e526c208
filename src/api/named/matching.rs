//! Which route a path means. Knows the configuration's paths, not what their routes do.

use crate::api::percent;
use crate::api::problem::Problem;
use crate::config::{Config, Verb};

/// The route with this verb that a path means, as a place in the configuration's list. The path is still percent-encoded: it is split at `/` first.
///
/// Where several fit, a literal segment beats a parameter, from the left: `/a/b` before `/a/:x` before `/:y/b`. Of equals the first.
/// Bounded by routes times the path's length.
pub fn find(config: &Config, verb: Verb, path: &[u8]) -> Option<usize> {
    let mut best: Option<(usize, &[u8])> = None;
    for (place, route) in config.routes().iter().enumerate().filter(|(_, route)| route.verb == verb) {
        let pattern = config.bytes(route.path);
        if fits(pattern, path) && best.is_none_or(|(_, other)| beats(pattern, other)) {
            best = Some((place, pattern));
        }
    }
    best.map(|(place, _)| place)
}

/// What a path may be asked with; empty when it means nothing.
pub fn allowed(config: &Config, path: &[u8]) -> Allowed {
    let mut allowed = Allowed(0);
    for route in config.routes() {
        if !allowed.has(route.verb) && fits(config.bytes(route.path), path) {
            allowed.0 |= 1 << route.verb as u8;
        }
    }
    allowed
}

/// Whether a path that means nothing would mean something without the slash at its end.
pub fn means_something_without_slash(config: &Config, path: &[u8]) -> bool {
    path.strip_suffix(b"/").is_some_and(|bare| !allowed(config, bare).is_empty())
}

/// The verbs of the routes that share a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed(u8);

const VERBS: [(Verb, &[&str]); 5] = [
    (Verb::Get, &["GET", "HEAD"]),
    (Verb::Post, &["POST"]),
    (Verb::Put, &["PUT"]),
    (Verb::Patch, &["PATCH"]),
    (Verb::Delete, &["DELETE"]),
];

impl Allowed {
    /// Bytes of the longest `Allow` value: every method.
    pub const TEXT_BYTES: usize = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS".len();

    /// Whether no route has the path.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a route with this verb has the path.
    pub fn has(self, verb: Verb) -> bool {
        self.0 & 1 << verb as u8 != 0
    }

    /// The methods' names: HEAD goes with GET (RFC 9110 §9.3.2), OPTIONS with everything.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let verbs = VERBS.into_iter().filter(move |&(verb, _)| self.has(verb));
        verbs.flat_map(|(_, names)| names).copied().chain(core::iter::once("OPTIONS"))
    }

    /// The value of an `Allow` field (RFC 9110 §10.2.1).
    pub fn text(self) -> heapless::String<{ Self::TEXT_BYTES }> {
        let mut text = heapless::String::new();
        for name in self.names() {
            let comma = if text.is_empty() { "" } else { ", " };
            text.push_str(comma).and_then(|()| text.push_str(name)).expect("the longest list was counted");
        }
        text
    }

    /// 405: the path is known, the method is not.
    pub fn problem(self) -> Problem {
        Problem::new(405, "method-not-allowed", "Method not allowed")
            .detail(format_args!("nothing is served at this path with this method"))
            .hint(format_args!("use one of the allowed methods"))
            .allow(self.names())
    }
}

/// A configured path's segments with a path's, one for one. The caller knows that the path fits.
pub(super) fn segments<'p>(pattern: &'p [u8], path: &'p [u8]) -> impl Iterator<Item = (&'p [u8], &'p [u8])> {
    pattern.split(is_slash).zip(path.split(is_slash))
}

/// The parameter that a segment of a configured path names.
pub(super) fn parameter(segment: &[u8]) -> Option<&[u8]> {
    segment.strip_prefix(b":")
}

fn is_slash(byte: &u8) -> bool {
    *byte == b'/'
}

fn fits(pattern: &[u8], path: &[u8]) -> bool {
    let mut asked = path.split(is_slash);
    for wanted in pattern.split(is_slash) {
        let fits = match (asked.next(), parameter(wanted)) {
            (None, _) => false,
            (Some(segment), Some(_)) => !segment.is_empty(),
            (Some(segment), None) => percent::decodes_to(segment, wanted),
        };
        if !fits {
            return false;
        }
    }
    asked.next().is_none()
}

/// Whether `one` is literal where it first differs in kind from `other`.
fn beats(one: &[u8], other: &[u8]) -> bool {
    segments(one, other)
        .map(|(one, other)| (parameter(one).is_none(), parameter(other).is_none()))
        .find(|(one, other)| one != other)
        .is_some_and(|(literal, _)| literal)
}
