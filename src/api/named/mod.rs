//! A request on a named route: which route its path means, and the values that its path, query and body give the route's parameters.
//!
//! ```text
//! path ── find ──> route          (or Allowed: what the path may be asked with)
//! path, query, body ──> Bound     one value for each parameter, in the route's order
//! ```
//!
//! Knows the configuration, not the database.

pub mod bound;
pub mod elements;
pub(super) mod json;
pub mod matching;
pub mod media;
mod refusal;
mod typed;

pub use bound::Bound;
pub use elements::Elements;
pub use matching::{Allowed, allowed, find, means_something_without_slash};
pub use media::{ROW_MEDIA, media, not_acceptable};

use crate::budget::{BODY_BYTES, TARGET_BYTES};

/// Objects in the array of one body; more are a 413.
pub const ELEMENTS: usize = 1000;
/// Bytes of all text and blob values of one route: whatever a request brings decodes to no more; defaults take what is left.
pub const VALUE_BYTES: usize = TARGET_BYTES + BODY_BYTES;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
