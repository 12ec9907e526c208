//! Percent-encoding, RFC 3986 §2.1, and the pairs of queries and forms (WHATWG URL, application/x-www-form-urlencoded).

use core::fmt;

/// Why something could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// `%` without two hexadecimal digits behind it, at this offset.
    Invalid(usize),
    /// The decoded bytes do not fit into the buffer.
    Full,
}

/// Decodes a path segment, where `+` is itself, into the start of `out`. The result may hold any byte, `/` and NUL
/// included, so paths are split before they are decoded.
pub fn decode_segment<'a>(raw: &[u8], out: &'a mut [u8]) -> Result<&'a [u8], DecodeError> {
    decode(raw, out, b'+')
}

/// Decodes a name or value of a query or form, where `+` is a space, into the start of `out`.
pub fn decode_form<'a>(raw: &[u8], out: &'a mut [u8]) -> Result<&'a [u8], DecodeError> {
    decode(raw, out, b' ')
}

fn decode<'a>(raw: &[u8], out: &'a mut [u8], plus: u8) -> Result<&'a [u8], DecodeError> {
    let mut len = 0;
    let mut at = 0;
    while let Some(&first) = raw.get(at) {
        let byte = match first {
            b'%' => {
                let digits = raw.get(at + 1).zip(raw.get(at + 2));
                let pair = digits.and_then(|(&high, &low)| hex_value(high).zip(hex_value(low)));
                let (high, low) = pair.ok_or(DecodeError::Invalid(at))?;
                at += 2;
                high << 4 | low
            }
            b'+' => plus,
            byte => byte,
        };
        at += 1;
        *out.get_mut(len).ok_or(DecodeError::Full)? = byte;
        len += 1;
    }
    Ok(&out[..len])
}

const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// The raw pairs of `a=b&c=d`, in order. The first `=` separates; without one the value is empty; `&&` holds no pair.
pub fn pairs(raw: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
    raw.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let end = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
        (&pair[..end], pair.get(end + 1..).unwrap_or_default())
    })
}

/// Writes `bytes` so that they stand for themselves in any part of a URI and in a `Link` field: all but RFC 3986's
/// unreserved characters become `%XX`.
pub fn encode(bytes: &[u8], out: &mut impl fmt::Write) -> fmt::Result {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.write_char(char::from(byte))?;
        } else {
            out.write_char('%')?;
            out.write_char(char::from(DIGITS[usize::from(byte >> 4)]))?;
            out.write_char(char::from(DIGITS[usize::from(byte & 15)]))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_are_decoded_and_plus_is_a_space_in_forms_only() {
        let mut out = [0; 16];
        assert_eq!(decode_segment(b"a%2Fb+%e4%00", &mut out), Ok(&b"a/b+\xe4\0"[..]));
        assert_eq!(decode_form(b"a+b%2B%20", &mut out), Ok(&b"a b+ "[..]));
        assert_eq!(decode_form(b"", &mut []), Ok(&b""[..]));
        assert_eq!(decode_segment(b"%2525", &mut out), Ok(&b"%25"[..]), "decoded once, not twice");
    }

    #[test]
    fn a_bad_escape_is_told_with_its_place() {
        let mut out = [0; 16];
        for (raw, at) in [("%", 0), ("a%", 1), ("ab%2", 2), ("%2g", 0), ("%g2", 0), ("%%41", 0), ("%41%", 3), ("%+1", 0)] {
            assert_eq!(decode_segment(raw.as_bytes(), &mut out), Err(DecodeError::Invalid(at)), "{raw}");
        }
    }

    #[test]
    fn full_is_told_on_the_first_byte_too_many() {
        assert_eq!(decode_segment(b"%41b", &mut [0; 2]), Ok(&b"Ab"[..]));
        assert_eq!(decode_segment(b"%41bc", &mut [0; 2]), Err(DecodeError::Full));
    }

    #[test]
    fn pairs_split_at_the_first_equals_sign() {
        let split = |raw: &'static str| pairs(raw.as_bytes()).collect::<Vec<_>>();
        assert_eq!(split("a=b&c=d=e"), [(&b"a"[..], &b"b"[..]), (b"c", b"d=e")]);
        assert_eq!(split("a&=b&&c="), [(&b"a"[..], &b""[..]), (b"", b"b"), (b"c", b"")]);
        assert!(split("").is_empty());
    }

    #[test]
    fn only_unreserved_characters_stay() {
        let mut out = String::new();
        encode("aZ09-._~ /%<>\"&+ä".as_bytes(), &mut out).unwrap();
        assert_eq!(out, "aZ09-._~%20%2F%25%3C%3E%22%26%2B%C3%A4");
        assert!(encode(b"abc", &mut heapless::String::<2>::new()).is_err());
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(bytes: Vec<u8>) {
            let mut text = String::new();
            encode(&bytes, &mut text).unwrap();
            let mut out = vec![0; bytes.len()];
            prop_assert_eq!(decode_segment(text.as_bytes(), &mut out), Ok(&bytes[..]));
            prop_assert_eq!(decode_form(text.as_bytes(), &mut out), Ok(&bytes[..]));
        }
    }
}
