//! Requests, good and bad, and what must become of them. Plain data, so that the pure reader and a live server can both
//! be fed with it: whole, byte by byte, and split anywhere.

mod fields;
mod good;
mod lines;
mod smuggling;

/// What must become of one request on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Refused with this status; the connection closes, whatever follows is not read.
    Status(u16),
    /// Read, with this meaning. `path` is as it was sent, before `?`.
    Served { method: &'static str, path: &'static str, body: &'static [u8] },
    /// Not complete: more bytes are waited for.
    Waits,
}

/// The bytes of one connection and what becomes of them, in order.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub name: &'static str,
    pub bytes: &'static [u8],
    pub outcome: &'static [Expect],
}

const fn entry(name: &'static str, bytes: &'static [u8], outcome: &'static [Expect]) -> Entry {
    Entry { name, bytes, outcome }
}

const fn served(method: &'static str, path: &'static str, body: &'static [u8]) -> Expect {
    Expect::Served { method, path, body }
}

/// A request for `/`, without a body.
const SERVED: &[Expect] = &[served("GET", "/", b"")];
const BAD: &[Expect] = &[Expect::Status(400)];

/// All entries. None depends on limits, as long as a head of 4 KiB and a body of 64 KiB may pass.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    [good::TABLE, lines::TABLE, fields::TABLE, smuggling::TABLE].into_iter().flatten()
}
