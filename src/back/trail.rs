//! The last given row's order and key values, kept because the page's end is known only when the next row is looked at.

use rusqlite::types::ValueRef;

use crate::api::value::{Bind, Value};
use crate::api::{TOKEN_BYTES, TRAILING};
use crate::memory::span::Span;

/// The values that a page token is made of.
pub struct Trail {
    values: heapless::Vec<Bind, TRAILING>,
    /// Full is too long for a token, which has other bytes beside these.
    bytes: heapless::Vec<u8, TOKEN_BYTES>,
}

impl Trail {
    /// Nothing yet.
    pub const fn new() -> Trail {
        Trail { values: heapless::Vec::new(), bytes: heapless::Vec::new() }
    }

    /// Keeps one row's values in place of the last one's. Of values too long for a token as much is kept as shows it.
    pub fn keep<'v>(&mut self, values: impl Iterator<Item = ValueRef<'v>>) {
        self.values.clear();
        self.bytes.clear();
        for value in values {
            let kept = match value {
                ValueRef::Null => Bind::Null,
                ValueRef::Integer(number) => Bind::Integer(number),
                ValueRef::Real(number) => Bind::Real(number),
                ValueRef::Text(text) => Bind::Text(self.span(text)),
                ValueRef::Blob(blob) => Bind::Blob(self.span(blob)),
            };
            let pushed = self.values.push(kept);
            assert!(pushed.is_ok(), "a query has at most TRAILING order and key columns");
        }
    }

    /// The values.
    pub fn values(&self) -> impl Iterator<Item = Value<'_>> + Clone {
        self.values.iter().map(|value| value.value(&self.bytes))
    }

    fn span(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len();
        let count = bytes.len().min(self.bytes.capacity() - start);
        let kept = self.bytes.extend_from_slice(&bytes[..count]);
        debug_assert!(kept.is_ok(), "no more than there is room for");
        Span::between(start, self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::token;

    #[test]
    fn the_last_row_is_kept() {
        let mut trail = Trail::new();
        trail.keep([ValueRef::Text(b"first"), ValueRef::Integer(1)].into_iter());
        trail.keep([ValueRef::Text(b"second"), ValueRef::Real(0.5), ValueRef::Null].into_iter());
        let values: Vec<Value> = trail.values().collect();
        assert_eq!(values, [Value::Text(b"second"), Value::Real(0.5), Value::Null]);
    }

    #[test]
    fn a_value_too_long_for_a_token_is_never_cut_into_one() {
        let mut trail = Trail::new();
        let mut token: heapless::Vec<u8, 4096> = heapless::Vec::new();
        for (length, fits) in [(TOKEN_BYTES - 100, true), (TOKEN_BYTES, false), (TOKEN_BYTES + 1, false), (100_000, false)] {
            trail.keep([ValueRef::Integer(1), ValueRef::Blob(&vec![7; length])].into_iter());
            token.clear();
            assert_eq!(token::encode(1, 1, trail.values(), &mut token).is_ok(), fits, "{length}");
        }
    }
}
