//! An answer on its way into the cache, and how long it is kept there.

use crate::http::etag::EntityTag;
use crate::job::{Micros, TableSet};

/// How long an answer is kept, and how far it may lag behind the data; all in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// How long it is kept at most.
    pub ttl: Micros,
    /// It may be given so long after it was last known to be true; 0 for not at all.
    pub stale_ok: Micros,
    /// The same for when no new one can be made.
    pub stale_if_error: Micros,
    /// It leaves for others last.
    pub critical: bool,
}

/// An answer on its way into the cache.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Its ready-made head.
    pub head: &'a [u8],
    /// Its body.
    pub body: &'a [u8],
    /// Its entity tag.
    pub tag: EntityTag,
    /// How long it took to make, in microseconds.
    pub cost: Micros,
    /// How long it is kept.
    pub lifetime: Lifetime,
    /// What it was made of.
    pub tables: TableSet,
}
