//! What an answer's head says of a page: which rows of how many, and the target of the next.

use std::fmt::Write;

use crate::api::COUNT_MAX;
use crate::job::Reply;
use crate::memory::sink::{Full, Sink};

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

/// A part of a target inside `<...>`: the reader lets only visible ASCII through, of which three would end the link.
///
/// # Errors
/// [`Full`] when the sink is.
pub fn put_link_text(text: &[u8], sink: &mut impl Sink) -> Result<(), Full> {
    for part in text.chunk_by(|&a, &b| !matches!(a, b'<' | b'>' | b'"') && !matches!(b, b'<' | b'>' | b'"')) {
        match part {
            b"<" => sink.put(b"%3C")?,
            b">" => sink.put(b"%3E")?,
            b"\"" => sink.put(b"%22")?,
            plain => sink.put(plain)?,
        }
    }
    Ok(())
}
