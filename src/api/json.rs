//! JSON strings (RFC 8259 §7) into a sink. Knows bytes, not what they mean.

use crate::memory::sink::{Full, Sink};

/// Writes `text` as a JSON string with its quotes. Invalid UTF-8 becomes U+FFFD, one for each broken sequence.
pub fn put_string(sink: &mut impl Sink, text: &[u8]) -> Result<(), Full> {
    sink.put_byte(b'"')?;
    let mut rest = text;
    loop {
        let plain = plain_bytes(rest);
        sink.put(&rest[..plain])?;
        rest = &rest[plain..];
        let Some(&byte) = rest.first() else { return sink.put_byte(b'"') };
        let used = if byte.is_ascii() {
            let (escape, len) = escape(byte);
            sink.put(&escape[..len])?;
            1
        } else {
            // No sequence of UTF-8, broken or not, goes on behind an ASCII byte.
            let run = rest.iter().position(u8::is_ascii).unwrap_or(rest.len());
            put_utf8(sink, &rest[..run])?;
            run
        };
        rest = &rest[used..];
    }
}

/// Writes text as it is, but for invalid UTF-8.
///
/// # Errors
/// [`Full`] when the sink is.
pub fn put_utf8(sink: &mut impl Sink, text: &[u8]) -> Result<(), Full> {
    for chunk in text.utf8_chunks() {
        sink.put(chunk.valid().as_bytes())?;
        if !chunk.invalid().is_empty() {
            sink.put("\u{FFFD}".as_bytes())?;
        }
    }
    Ok(())
}

/// How many of the first bytes are ASCII that stands for itself in a JSON string. A word at a time.
pub fn plain_bytes(text: &[u8]) -> usize {
    const WORD: usize = size_of::<u64>();
    let (words, rest) = text.as_chunks::<WORD>();
    for (at, word) in words.iter().enumerate() {
        let marks = marks(*word);
        if marks != 0 {
            return at * WORD + (marks.trailing_zeros() / 8) as usize;
        }
    }
    let start = words.len() * WORD;
    match text.last_chunk::<WORD>() {
        // The last word again: what it has of the one before is plain.
        Some(last) if !rest.is_empty() => match marks(*last) {
            0 => text.len(),
            marks => text.len() - WORD + (marks.trailing_zeros() / 8) as usize,
        },
        _ => start + rest.iter().position(|&byte| !is_plain(byte)).unwrap_or(rest.len()),
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii() && byte >= 0x20 && byte != b'"' && byte != b'\\'
}

/// The high bit of each byte that is not plain; of the bytes behind the first of them perhaps too many.
fn marks(word: [u8; 8]) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGHS: u64 = ONES << 7;
    // A byte less than `least` borrows from its high bit, as long as none below it does.
    let below = |word: u64, least: u8| word.wrapping_sub(ONES * u64::from(least)) & !word;
    let word = u64::from_le_bytes(word);
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, 0x20) | equal(b'"') | equal(b'\\') | word) & HIGHS
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
    fn every_byte_at_every_place_is_found() {
        for length in 0..40 {
            assert_eq!(plain_bytes(&vec![b'a'; length]), length);
            for (at, byte) in (0..length).flat_map(|at| (0..=255).map(move |byte| (at, byte))) {
                let mut text = vec![b'~'; length];
                text[at] = byte;
                let first = text.iter().position(|&byte| !is_plain(byte)).unwrap_or(length);
                assert_eq!(plain_bytes(&text), first, "{byte:#x} at {at} of {length}");
                if let Some(next) = text.get_mut(at + 1) {
                    // What follows must not hide it.
                    *next = b'"';
                    assert_eq!(plain_bytes(&text), first.min(at + 1), "{byte:#x} at {at} of {length}");
                }
            }
        }
    }

    #[test]
    fn text_of_any_bytes_is_what_the_standard_library_makes_of_it() {
        // Pieces whose seams are what could go wrong: cut sequences, escapes, ASCII, long runs.
        let pieces: [&[u8]; 8] = [b"plain text", b"\"", b"\xe5\x86", b"\xb7", "冷".as_bytes(), b"\xff", b"\n", b"\xf0\x9f\x8c"];
        for number in 0..8_usize.pow(4) {
            let text: Vec<u8> = (0..4).flat_map(|place| pieces[number / 8_usize.pow(place) % 8]).copied().collect();
            let wanted = serde_json::to_string(&std::string::String::from_utf8_lossy(&text)).unwrap();
            assert_eq!(string(&text), wanted, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_full_sink_is_reported() {
        let mut sink: heapless::Vec<u8, 4> = heapless::Vec::new();
        assert_eq!(put_string(&mut sink, b"abc"), Err(Full));
    }
}
