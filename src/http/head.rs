//! A request that has been read whole: its meaning as plain values, its text as ranges into the caller's buffer.

use super::field::Fields;
use super::framing::keeps_alive;
use super::method::Method;
use super::reject::Reject;
use super::target::{Authority, Span, Target};

/// A request. It borrows nothing: each accessor takes the buffer that the [`Reader`](super::request::Reader) was given.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The minor version as it was sent, 0 to 9; everything from 1 on is served as HTTP/1.1.
    pub minor: u8,
    /// Whether the client wants the connection kept after the answer.
    pub keep_alive: bool,
    /// Bytes of the buffer that this request used; the next pipelined request begins there.
    pub consumed: usize,
    pub(super) body: (usize, usize),
    target: Target,
    authority: Option<Authority>,
    fields: Fields,
}

impl Request {
    pub(super) const fn new() -> Self {
        Self {
            method: Method::Get,
            minor: 1,
            keep_alive: false,
            consumed: 0,
            body: (0, 0),
            target: Target::NONE,
            authority: None,
            fields: Fields::new(),
        }
    }

    pub(super) fn set_line(&mut self, buf: &[u8], method: Method, target: Span, minor: u8) -> Result<(), Reject> {
        self.method = method;
        self.minor = minor;
        self.target = Target::read(buf, target, method)?;
        Ok(())
    }

    /// Reads the field lines in `buf[start..end]` and judges `Host` and `Connection`.
    pub(super) fn set_fields(&mut self, buf: &[u8], start: usize, end: usize) -> Result<(), Reject> {
        self.fields.read(buf, start, end)?;
        let host = self.read_host(buf)?;
        self.authority = self.target.authority.or(host);
        self.keep_alive = keeps_alive(&self.fields, buf, self.minor);
        Ok(())
    }

    /// RFC 9112 §3.2: in HTTP/1.1 exactly one well-formed `Host`, even where absolute-form overrules it.
    fn read_host(&self, buf: &[u8]) -> Result<Option<Authority>, Reject> {
        let mut spans = self.fields.spans(buf, "host");
        let Some(span) = spans.next() else {
            return if self.minor == 0 { Ok(None) } else { Err(Reject::HostMissing) };
        };
        if spans.next().is_some() {
            return Err(Reject::HostRepeated);
        }
        Authority::read(buf, span).map(Some).ok_or(Reject::HostMalformed)
    }

    pub(super) fn all_fields(&self) -> &Fields {
        &self.fields
    }

    /// The path before `?`, still percent-encoded; `/` where absolute-form has none, `*` for `OPTIONS *`.
    pub fn path<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        if self.options_asterisk() {
            b"*"
        } else if self.target.path.is_empty() {
            b"/"
        } else {
            self.target.path.of(buf)
        }
    }

    /// What stands behind `?`, still percent-encoded; may be empty.
    pub fn query<'a>(&self, buf: &'a [u8]) -> Option<&'a [u8]> {
        self.target.query.map(|span| span.of(buf))
    }

    /// The decoded body; empty when there is none.
    pub fn body<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        &buf[self.body.0..self.body.1]
    }

    /// The host without port, from an absolute-form target or else from `Host`; an IPv6 address keeps its brackets.
    /// `None` only in HTTP/1.0. Well-formed, but not yet judged.
    pub fn host<'a>(&self, buf: &'a [u8]) -> Option<&'a [u8]> {
        self.authority.map(|authority| authority.host.of(buf))
    }

    /// The host with its port, where it has one: what `Origin` is compared with.
    pub fn authority<'a>(&self, buf: &'a [u8]) -> Option<&'a [u8]> {
        self.authority.map(|authority| authority.whole.of(buf))
    }

    /// The first field called `name` (in lower case), without white space at its ends.
    pub fn field<'a>(&self, buf: &'a [u8], name: &str) -> Option<&'a [u8]> {
        self.fields.values(buf, name).next()
    }

    /// The values of all fields called `name` (in lower case), in order.
    pub fn fields<'a>(&self, buf: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.fields.values(buf, name)
    }

    /// The names of all fields, in any case.
    pub fn names<'a>(&self, buf: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.fields.names(buf)
    }

    /// Whether this asks about the server as a whole: `OPTIONS *`, or absolute-form with neither path nor query, which
    /// is its other spelling (RFC 9112 §3.2.4).
    pub fn options_asterisk(&self) -> bool {
        self.method == Method::Options && self.target.path.is_empty() && self.target.query.is_none()
    }
}
