//! Percent-decoding (RFC 3986 §2.1) and the form variant of it, where `+` is a space. Appends to fixed buffers.

/// Decodes one path segment onto the end of `out`.
///
/// # Errors
/// The offset in `encoded` of the first malformed escape, or of the first byte that `out` has no room for.
pub fn decode_path_segment<const N: usize>(encoded: &[u8], out: &mut heapless::Vec<u8, N>) -> Result<(), usize> {
    decode(encoded, false, out)
}

/// Decodes a name or value of a query string onto the end of `out`.
///
/// # Errors
/// As [`decode_path_segment`].
pub fn decode_form<const N: usize>(encoded: &[u8], out: &mut heapless::Vec<u8, N>) -> Result<(), usize> {
    decode(encoded, true, out)
}

fn decode<const N: usize>(encoded: &[u8], plus_is_space: bool, out: &mut heapless::Vec<u8, N>) -> Result<(), usize> {
    let mut at = 0;
    while let Some(&byte) = encoded.get(at) {
        let (decoded, taken) = match byte {
            b'%' => (escaped(&encoded[at + 1..]).ok_or(at)?, 3),
            b'+' if plus_is_space => (b' ', 1),
            _ => (byte, 1),
        };
        out.push(decoded).map_err(|_| at)?;
        at += taken;
    }
    Ok(())
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
    fn a_full_buffer_is_an_error_too() {
        let mut out: heapless::Vec<u8, 2> = heapless::Vec::new();
        assert_eq!(decode_form(b"%41%42%43", &mut out), Err(6));
    }
}
