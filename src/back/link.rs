//! What an answer's head says of a page: which rows of how many.

use std::fmt::Write;

use crate::api::COUNT_MAX;
use crate::job::Reply;

/// `0-99/1234`, `100-149/10000+` or `*/0` (RFC 9110 §14.4, with rows as the unit).
pub fn put_content_range(reply: &mut Reply, position: u64, given: u64, total: u64) {
    let most = u64::from(COUNT_MAX);
    let (shown, plus) = if total > most { (most, "+") } else { (total, "") };
    let written = match given {
        0 => write!(reply.content_range, "*/{shown}{plus}"),
        _ => write!(reply.content_range, "{position}-{}/{shown}{plus}", position.saturating_add(given - 1)),
    };
    debug_assert!(written.is_ok(), "three numbers fit");
}
