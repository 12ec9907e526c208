//! Comma-separated lists and their parts, RFC 9110 §5.6: tokens, quoted strings, optional white space.

/// Whether `byte` may stand in a token (RFC 9110 §5.6.2).
pub(super) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

/// Whether `word` is a token: not empty, token bytes only.
pub(super) fn is_token(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(|&byte| is_token_byte(byte))
}

/// `value` without the spaces and tabs at its ends (OWS, RFC 9110 §5.6.3).
pub(super) const fn trimmed(value: &[u8]) -> &[u8] {
    let mut rest = value;
    while let [b' ' | b'\t', tail @ ..] = rest {
        rest = tail;
    }
    while let [head @ .., b' ' | b'\t'] = rest {
        rest = head;
    }
    rest
}

/// The parts of `value` between `separator`s that stand outside quoted strings; each trimmed, empty ones left out.
pub(super) fn parts(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    Parts { rest: value, separator }.filter(|part| !part.is_empty())
}

struct Parts<'a> {
    rest: &'a [u8],
    separator: u8,
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let mut quoted = false;
        let mut escaped = false;
        let end = self.rest.iter().position(|&byte| {
            if escaped {
                escaped = false;
            } else if quoted && byte == b'\\' {
                escaped = true;
            } else if byte == b'"' {
                quoted = !quoted;
            }
            byte == self.separator && !quoted
        });
        let (part, rest) = match end {
            Some(at) => (&self.rest[..at], &self.rest[at + 1..]),
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        Some(trimmed(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(value: &str) -> Vec<&str> {
        parts(value.as_bytes(), b',').map(|part| std::str::from_utf8(part).unwrap()).collect()
    }

    #[test]
    fn commas_inside_quotes_separate_nothing() {
        assert_eq!(split("a, b\t,c"), ["a", "b", "c"]);
        assert_eq!(split("a=\"x,y\", b"), ["a=\"x,y\"", "b"]);
        assert_eq!(split("a=\"x\\\",y\", b"), ["a=\"x\\\",y\"", "b"]);
        assert_eq!(split("a=\"open, b"), ["a=\"open, b"]);
    }

    #[test]
    fn empty_parts_are_left_out() {
        assert_eq!(split(" , a ,, b, "), ["a", "b"]);
        assert!(split("").is_empty());
    }

    #[test]
    fn a_token_is_not_empty_and_has_no_separators() {
        assert!(is_token(b"x-Y_1.~"));
        for word in [&b""[..], b"a b", b"a:b", b"a\"", b"\xe4", b"a\0"] {
            assert!(!is_token(word), "{word:?}");
        }
    }
}
