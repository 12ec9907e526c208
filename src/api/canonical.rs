//! One spelling for each meaning of a target: what the cache knows an answer by, and what its link to the next page is made from.
//!
//! Percent-encoding is undone and done again one way, parameters are sorted. What stays apart by structure stays apart: a path is split at `/`
//! and a key at `,` before decoding, a query at `&` and `=`.

use std::cmp::Ordering;

use crate::budget::TARGET_BYTES;
use crate::memory::sink::{Full, Sink};

/// Parameters of a target; one with more is not cached, and refused by its meaning.
const PAIRS: usize = 64;
/// Re-encoding may lengthen: a space sent as `+` becomes `%20`.
const TEXT_BYTES: usize = 2 * TARGET_BYTES;

#[derive(Clone, Copy)]
struct Pair {
    start: u16,
    end: u16,
}

/// A target in its one spelling.
pub struct Canonical {
    text: heapless::Vec<u8, TEXT_BYTES>,
    path: usize,
    pairs: heapless::Vec<Pair, PAIRS>,
}

/// The target cannot be spelled: a malformed escape, too many parameters, or too long when encoded anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unspeakable;

impl From<Full> for Unspeakable {
    fn from(_: Full) -> Unspeakable {
        Unspeakable
    }
}

impl Default for Canonical {
    fn default() -> Canonical {
        Canonical::new()
    }
}

impl Canonical {
    /// Nothing yet.
    pub const fn new() -> Canonical {
        Canonical { text: heapless::Vec::new(), path: 0, pairs: heapless::Vec::new() }
    }

    /// Spells a path and a query, both as they were sent.
    ///
    /// # Errors
    /// [`Unspeakable`]; the contents are then of no use.
    pub fn read(&mut self, path: &[u8], query: &[u8]) -> Result<(), Unspeakable> {
        self.text.clear();
        self.pairs.clear();
        for (at, segment) in path.split(|&byte| byte == b'/').enumerate() {
            self.text.put(if at == 0 { b"" } else { b"/" })?;
            for (at, part) in segment.split(|&byte| byte == b',').enumerate() {
                self.text.put(if at == 0 { b"" } else { b"," })?;
                self.put_again(part, false, b"-._~")?;
            }
        }
        self.path = self.text.len();
        for pair in query.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
            let start = self.text.len() as u16;
            let equals = pair.iter().position(|&byte| byte == b'=');
            let (name, value) = match equals {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &b""[..]),
            };
            self.put_again(name, true, b"-._~\"$;@/?,()*:!'")?;
            self.text.put(b"=")?;
            self.put_again(value, true, b"-._~,()*:!$;@/?='")?;
            let end = self.text.len() as u16;
            self.pairs.push(Pair { start, end }).map_err(|_| Unspeakable)?;
        }
        // Inlined into the sorting network for four-byte items, the comparison would be 19 KB of text.
        #[inline(never)]
        fn compare(one: &Pair, other: &Pair, text: &[u8]) -> Ordering {
            one.of(text).cmp(other.of(text))
        }
        let text = &self.text;
        self.pairs.sort_unstable_by(|one, other| compare(one, other, text));
        Ok(())
    }

    /// The parts of the spelling, in order: the path, then each parameter. Equal targets have equal parts.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.text[..self.path]).chain(self.pairs.iter().map(|pair| pair.of(&self.text)))
    }

    /// Writes path and parameters but for `after`, ready for one more parameter: up to and including the `?` or `&` before it.
    ///
    /// # Errors
    /// [`Full`] when the sink is.
    pub fn put_without_after(&self, sink: &mut impl Sink) -> Result<(), Full> {
        sink.put(&self.text[..self.path])?;
        sink.put(b"?")?;
        for pair in self.pairs.iter().map(|pair| pair.of(&self.text)).filter(|pair| !pair.starts_with(b"after=")) {
            // A quotation mark would end the link's target where it stands in a header.
            for part in pair.chunk_by(|&a, &b| a != b'"' && b != b'"') {
                sink.put(if part == b"\"" { b"%22" } else { part })?;
            }
            sink.put(b"&")?;
        }
        Ok(())
    }

    /// Decodes and encodes again; `plus` says whether `+` is a space, `bare` what stands for itself beside letters and digits.
    fn put_again(&mut self, encoded: &[u8], plus: bool, bare: &[u8]) -> Result<(), Unspeakable> {
        let mut rest = encoded;
        while let Some((&byte, after)) = rest.split_first() {
            let (decoded, after) = match byte {
                b'%' => {
                    let digits = after.first_chunk::<2>().ok_or(Unspeakable)?;
                    (hex(digits[0])? << 4 | hex(digits[1])?, &after[2..])
                }
                b'+' if plus => (b' ', after),
                other => (other, after),
            };
            if decoded.is_ascii_alphanumeric() || bare.contains(&decoded) {
                self.text.put(&[decoded])?;
            } else {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                self.text.put(&[b'%', DIGITS[usize::from(decoded >> 4)], DIGITS[usize::from(decoded & 15)]])?;
            }
            rest = after;
        }
        Ok(())
    }
}

impl Pair {
    fn of(self, text: &[u8]) -> &[u8] {
        &text[usize::from(self.start)..usize::from(self.end)]
    }
}

fn hex(digit: u8) -> Result<u8, Unspeakable> {
    char::from(digit).to_digit(16).map(|value| value as u8).ok_or(Unspeakable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(target: &str) -> Result<String, Unspeakable> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut canonical = Canonical::new();
        canonical.read(path.as_bytes(), query.as_bytes())?;
        Ok(canonical.parts().map(|part| String::from_utf8(part.to_vec()).unwrap()).collect::<Vec<_>>().join("|"))
    }

    #[test]
    fn equal_meanings_have_one_spelling_and_different_ones_do_not() {
        let same = [
            ("/tables/t?a=eq.1&b=eq.2", "/tables/t?b=eq.2&&a=eq.1"),
            ("/tables/%74?select=a,b", "/tables/t?select=a%2cb"),
            ("/tables/t?a=eq.x+y", "/tables/t?a=eq.x%20y"),
            ("/tables/t?%61=eq.1", "/tables/t?a=eq.1"),
            ("/tables/t/1%2c2", "/tables/t/1%2C2"),
            ("/tables/t?%22limit%22=eq.1", "/tables/t?\"limit\"=eq.1"),
        ];
        for (one, other) in same {
            assert_eq!(spelled(one), spelled(other), "{one} {other}");
            assert!(spelled(one).is_ok());
        }
        let different = [
            ("/tables/t/1,2", "/tables/t/1%2C2"),
            ("/tables/a/b", "/tables/a%2Fb"),
            ("/tables/t?a=eq.1%26b=eq.2", "/tables/t?a=eq.1&b=eq.2"),
            ("/tables/a+b", "/tables/a%20b"),
            ("/tables/t?a=eq.1", "/tables/t?a=eq.1&a=eq.1"),
            ("/tables/t?a%3Deq.1=", "/tables/t?a=eq.1="),
        ];
        for (one, other) in different {
            assert_ne!(spelled(one), spelled(other), "{one} {other}");
        }
        for bad in ["/tables/%", "/tables/%4", "/tables/%zz", "/tables/t?a=%"] {
            assert_eq!(spelled(bad), Err(Unspeakable), "{bad}");
        }
        let many: String = (0..=PAIRS).map(|number| format!("a{number}=1&")).collect();
        assert_eq!(spelled(&format!("/tables/t?{many}")), Err(Unspeakable));
    }

    #[test]
    fn a_link_is_made_of_everything_but_after() {
        let mut canonical = Canonical::new();
        canonical.read(b"/tables/a%2Fb", b"limit=2&after=xyz&%22limit%22=eq.1").unwrap();
        let mut link: heapless::Vec<u8, 128> = heapless::Vec::new();
        canonical.put_without_after(&mut link).unwrap();
        assert_eq!(core::str::from_utf8(&link), Ok("/tables/a%2Fb?%22limit%22=eq.1&limit=2&"));
    }
}
