//! JSON strings (RFC 8259 §7) into a sink. Knows bytes, not what they mean.

use crate::memory::sink::{Full, Sink};

/// Writes `text` as a JSON string with its quotes. Invalid UTF-8 becomes U+FFFD, one for each broken sequence.
pub fn put_string(sink: &mut impl Sink, text: &[u8]) -> Result<(), Full> {
    sink.put(b"\"")?;
    for chunk in text.utf8_chunks() {
        put_escaped(sink, chunk.valid().as_bytes())?;
        if !chunk.invalid().is_empty() {
            sink.put("\u{FFFD}".as_bytes())?;
        }
    }
    sink.put(b"\"")
}

/// Writes valid UTF-8 without quotes; runs that need no escape go out whole.
fn put_escaped(sink: &mut impl Sink, text: &[u8]) -> Result<(), Full> {
    let mut done = 0;
    for (at, &byte) in text.iter().enumerate() {
        if needs_escape(byte) {
            sink.put(&text[done..at])?;
            let (escape, len) = escape(byte);
            sink.put(&escape[..len])?;
            done = at + 1;
        }
    }
    sink.put(&text[done..])
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The escape of a byte and its length; a byte that needs none is its own.
pub(super) fn escape(byte: u8) -> ([u8; 6], usize) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = |letter: u8| ([b'\\', letter, 0, 0, 0, 0], 2);
    match byte {
        b'"' | b'\\' => short(byte),
        b'\n' => short(b'n'),
        b'\r' => short(b'r'),
        b'\t' => short(b't'),
        0x08 => short(b'b'),
        0x0c => short(b'f'),
        _ if byte < 0x20 => {
            let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            ([b'\\', b'u', b'0', b'0', digits[0], digits[1]], 6)
        }
        _ => ([byte, 0, 0, 0, 0, 0], 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &[u8]) -> std::string::String {
        let mut sink: heapless::Vec<u8, 256> = heapless::Vec::new();
        put_string(&mut sink, text).expect("fits");
        std::string::String::from_utf8(sink.to_vec()).expect("always UTF-8")
    }

    #[test]
    fn strings_are_escaped_where_json_asks_for_it() {
        let cases: &[(&[u8], &str)] = &[
            (b"", r#""""#),
            (b"plain", r#""plain""#),
            (b"a\"b\\c", r#""a\"b\\c""#),
            (b"\n\r\t\x08\x0c", r#""\n\r\t\b\f""#),
            (b"\x00\x1f\x7f", "\"\\u0000\\u001f\u{7f}\""),
            ("grüße 🌡".as_bytes(), "\"grüße 🌡\""),
        ];
        for (text, wanted) in cases {
            assert_eq!(string(text), *wanted);
        }
    }

    #[test]
    fn invalid_utf8_is_replaced_and_the_rest_kept() {
        assert_eq!(string(b"a\xffb"), "\"a\u{FFFD}b\"");
        assert_eq!(string(b"\xe2\x82"), "\"\u{FFFD}\"");
        assert_eq!(string(b"\xc0\xaf\n"), "\"\u{FFFD}\u{FFFD}\\n\"");
    }

    #[test]
    fn a_full_sink_is_reported() {
        let mut sink: heapless::Vec<u8, 4> = heapless::Vec::new();
        assert_eq!(put_string(&mut sink, b"abc"), Err(Full));
    }
}
