//! Percent-decoding (RFC 3986 §2.1) and the form variant of it, where `+` is a space. Appends to fixed buffers.

use crate::memory::sink::{Full, Sink};

/// Decodes one path segment onto the end of `out`.
///
/// # Errors
/// The offset in `encoded` of the first malformed escape, or of the first byte that `out` has no room for.
pub fn decode_path_segment(encoded: &[u8], out: &mut impl Sink) -> Result<(), usize> {
    decode(encoded, false, out)
}

/// Decodes a name or value of a query string onto the end of `out`.
///
/// # Errors
/// As [`decode_path_segment`].
pub fn decode_form(encoded: &[u8], out: &mut impl Sink) -> Result<(), usize> {
    decode(encoded, true, out)
}

fn decode(encoded: &[u8], plus_is_space: bool, out: &mut impl Sink) -> Result<(), usize> {
    let mut at = 0;
    while let Some(&byte) = encoded.get(at) {
        let (decoded, taken) = match byte {
            b'%' => (escaped(&encoded[at + 1..]).ok_or(at)?, 3),
            b'+' if plus_is_space => (b' ', 1),
            _ => (byte, 1),
        };
        out.put(&[decoded]).map_err(|Full| at)?;
        at += taken;
    }
    Ok(())
}

/// Whether a path segment decodes to `wanted`; a malformed escape decodes to nothing.
pub fn decodes_to(encoded: &[u8], wanted: &[u8]) -> bool {
    let mut at = 0;
    for &byte in wanted {
        let (decoded, taken) = match encoded.get(at) {
            Some(b'%') => (escaped(&encoded[at + 1..]), 3),
            plain => (plain.copied(), 1),
        };
        if decoded != Some(byte) {
            return false;
        }
        at += taken;
    }
    at == encoded.len()
}

fn escaped(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_bytes_and_plus_only_a_space_in_forms() {
        let mut path: heapless::Vec<u8, 32> = heapless::Vec::new();
        assert_eq!(decode_path_segment(b"a+b%2Fc%20%c3%BC", &mut path), Ok(()));
        assert_eq!(path.as_slice(), "a+b/c ü".as_bytes());
        let mut form: heapless::Vec<u8, 32> = heapless::Vec::new();
        assert_eq!(decode_form(b"a+b%2B%00", &mut form), Ok(()));
        assert_eq!(form.as_slice(), b"a b+\0");
    }

    #[test]
    fn a_malformed_escape_is_located() {
        for (encoded, at) in [(&b"ab%"[..], 2), (b"%1", 0), (b"x%zz", 1), (b"%%41", 0), (b"%+1", 0)] {
            let mut out: heapless::Vec<u8, 32> = heapless::Vec::new();
            assert_eq!(decode_form(encoded, &mut out), Err(at));
        }
    }

    #[test]
    fn a_segment_is_compared_as_it_decodes() {
        let cases: &[(&[u8], &[u8], bool)] = &[
            (b"", b"", true),
            (b"abc", b"abc", true),
            (b"%61b%63", b"abc", true),
            (b"a%2fb", b"a/b", true),
            (b"a+b", b"a+b", true),
            (b"%C3%BC", "ü".as_bytes(), true),
            (b"ab", b"abc", false),
            (b"abcd", b"abc", false),
            (b"%6", b"a", false),
            (b"%61%", b"a", false),
            (b"%2561", b"a", false),
            (b"%25", b"%", true),
            (b"%", b"%", false),
        ];
        for (encoded, wanted, equal) in cases {
            assert_eq!(decodes_to(encoded, wanted), *equal, "{encoded:?}");
        }
    }

    #[test]
    fn a_full_buffer_is_an_error_too() {
        let mut out: heapless::Vec<u8, 2> = heapless::Vec::new();
        assert_eq!(decode_form(b"%41%42%43", &mut out), Err(6));
    }
}
