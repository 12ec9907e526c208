//! Entity tags: made from an answer's bytes under a key of this installation, and compared with `If-None-Match`.
//! RFC 9110 §8.8.3 and §13.1.2.

use core::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::list::trimmed;

/// Length of every tag's text: 32 hexadecimal digits in quotes.
pub const TAG_BYTES: usize = 34;

/// The secret of one installation. With it nobody can find two answers with equal tags, nor learn from a tag what
/// another table holds.
#[derive(Clone, Copy)]
pub struct TagKey(pub [u8; 16]);

impl core::fmt::Debug for TagKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("TagKey(..)")
    }
}

/// A strong tag as it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityTag([u8; TAG_BYTES]);

impl EntityTag {
    /// The text, quotes included.
    pub const fn as_bytes(&self) -> &[u8; TAG_BYTES] {
        &self.0
    }
}

/// Makes a tag from bytes as they are produced; how they are split makes no difference.
#[derive(Debug, Clone)]
pub struct Tagger(SipHasher13);

impl Tagger {
    /// A tag of nothing yet.
    pub fn new(key: &TagKey) -> Self {
        Self(SipHasher13::new_with_key(&key.0))
    }

    /// Adds bytes of the answer. The format goes first, so that equal bytes in two formats have two tags.
    pub fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// The tag of all that was written.
    pub fn finish(&self) -> EntityTag {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'"'; TAG_BYTES];
        for (digits, byte) in text[1..].chunks_exact_mut(2).zip(self.0.finish128().as_bytes()) {
            digits[0] = DIGITS[usize::from(byte >> 4)];
            digits[1] = DIGITS[usize::from(byte & 15)];
        }
        EntityTag(text)
    }
}

/// Whether the client has what `tag` names, so that the answer to GET or HEAD is 304. `values` are all `If-None-Match`
/// lines. The comparison is weak: `W/` is ignored. What is malformed matches nothing, and the client gets a full answer.
pub fn if_none_match<'a>(tag: &EntityTag, values: impl Iterator<Item = &'a [u8]>) -> bool {
    values.map(trimmed).any(|value| value == b"*" || list_holds(value, &tag.0[1..TAG_BYTES - 1]))
}

/// Whether one of the tags in `list` is `opaque`. A backslash escapes nothing in a tag (RFC 9110 §8.8.3).
fn list_holds(list: &[u8], opaque: &[u8]) -> bool {
    let mut rest = list;
    loop {
        while let [b' ' | b'\t' | b',', tail @ ..] = rest {
            rest = tail;
        }
        let Some(tail) = rest.strip_prefix(b"W/").unwrap_or(rest).strip_prefix(b"\"") else {
            return false;
        };
        let Some(end) = tail.iter().position(|&byte| byte == b'"') else {
            return false;
        };
        let (candidate, behind) = (&tail[..end], trimmed(&tail[end + 1..]));
        if !(behind.is_empty() || behind[0] == b',') {
            return false;
        }
        if candidate == opaque {
            return true;
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: TagKey = TagKey(*b"0123456789abcdef");

    fn tag(parts: &[&[u8]]) -> EntityTag {
        let mut tagger = Tagger::new(&KEY);
        parts.iter().for_each(|part| tagger.write(part));
        tagger.finish()
    }

    #[test]
    fn a_tag_is_32_hex_digits_in_quotes() {
        let text = *tag(&[b"hello"]).as_bytes();
        assert_eq!((text[0], text[33]), (b'"', b'"'));
        assert!(text[1..33].iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b)));
        assert_eq!(&text, br#""6e61e198650eace18487a21ee20837bb""#, "SipHash-1-3-128, so tags outlive an upgrade");
    }

    #[test]
    fn a_tag_depends_on_every_byte_and_the_key_but_not_on_the_splits() {
        let bytes: Vec<u8> = (0..100).collect();
        let whole = tag(&[&bytes]);
        for at in 0..=bytes.len() {
            assert_eq!(tag(&[&bytes[..at], &bytes[at..]]), whole);
            let mut other = bytes.clone();
            other.insert(at, 0);
            assert_ne!(tag(&[&other]), whole);
        }
        let mut other = Tagger::new(&TagKey([7; 16]));
        other.write(&bytes);
        assert_ne!(other.finish(), whole);
    }

    fn matches(lines: &[&str]) -> bool {
        let tag = EntityTag(*br#""0123456789abcdef0123456789abcdef""#);
        if_none_match(&tag, lines.iter().map(|line| line.as_bytes()))
    }

    const HIT: &str = r#""0123456789abcdef0123456789abcdef""#;

    #[test]
    fn the_tag_is_found_weak_or_strong_in_any_list_and_any_line() {
        for line in ["{}", "W/{}", "*", " * ", r#""a","b" , {}"#, r#"{},"a""#, r#""x,y", {}"#, ",,{}", r#""a\", {}"#] {
            let line = line.replace("{}", HIT);
            assert!(matches(&[&line]), "{line}");
            assert!(matches(&["\"other\"", &line]), "{line}");
        }
    }

    #[test]
    fn anything_else_does_not_match() {
        assert!(!matches(&[]));
        let open = HIT.trim_end_matches('"');
        let bare = HIT.trim_matches('"');
        let inside = format!("\"x, {HIT}");
        for line in ["", "\"a\"", bare, open, "w/\"a\"", "\"*\"", "* ,", &inside, "garbage, *"] {
            assert!(!matches(&[line]), "{line}");
        }
        assert!(!matches(&[&format!("w/{HIT}")]), "W is case-sensitive");
        assert!(!matches(&[&format!("garbage, {HIT}")]));
        assert!(!matches(&[&HIT.to_uppercase()]));
    }
}
