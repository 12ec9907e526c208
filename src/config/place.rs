//! Places in a file: lines, columns, and where an offset of a decoded string stands in its source. Knows TOML's words, not its meaning.

use core::ops::Range;

use toml_parser::Source;
use toml_parser::lexer::{Token, TokenKind};

/// Line, column and width of a range, each counted from 1 and in characters; the width ends with the line.
pub(super) fn position(text: &[u8], range: Range<usize>) -> (u32, u32, u32) {
    let start = range.start.min(text.len());
    let number = line_of(text, start);
    let line = line(text, number);
    let count = |range: Range<usize>| u32::try_from(letters(&text[range]).count()).unwrap_or(u32::MAX);
    let end = range.end.clamp(start, line.end.max(start));
    (number, count(line.start..start) + 1, count(start..end).max(1))
}

/// The number of the line, from 1, in which a byte stands; the end of a text whose last line is ended belongs to that line.
pub(super) fn line_of(text: &[u8], at: usize) -> u32 {
    let before = &text[..at.min(text.len())];
    let ends = before.iter().filter(|&&byte| byte == b'\n').count();
    let beyond = at >= text.len() && before.ends_with(b"\n");
    u32::try_from(ends + 1 - usize::from(beyond)).unwrap_or(u32::MAX)
}

/// The bytes of line `number`, from 1, without its end; those of the last one when there is none such.
pub(super) fn line(text: &[u8], number: u32) -> Range<usize> {
    let mut start = 0;
    for _ in 1..number {
        match text[start..].iter().position(|&byte| byte == b'\n') {
            Some(length) if start + length + 1 < text.len() => start += length + 1,
            _ => break,
        }
    }
    let length = text[start..].iter().position(|&byte| byte == b'\n').unwrap_or(text.len() - start);
    let trimmed = usize::from(length > 0 && text[start + length - 1] == b'\r');
    start..start + length - trimmed
}

/// The same without the spaces around it.
pub(super) fn line_content(text: &[u8], number: u32) -> Range<usize> {
    let range = line(text, number);
    let content = text[range.clone()].trim_ascii();
    let start = range.start + (text[range].len() - text[line(text, number)].trim_ascii_start().len());
    start..start + content.len()
}

/// The characters of bytes that may not be UTF-8.
pub(super) fn letters(bytes: &[u8]) -> impl Iterator<Item = char> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let broken = if chunk.invalid().is_empty() { None } else { Some('\u{fffd}') };
        chunk.valid().chars().chain(broken)
    })
}

fn is_string(kind: TokenKind) -> bool {
    use TokenKind::{BasicString, LiteralString, MlBasicString, MlLiteralString};
    matches!(kind, BasicString | LiteralString | MlBasicString | MlLiteralString)
}

/// The first line's key and value from `line` on up to the next header: where the value of `key` stands in the file.
pub(super) fn value_of(text: &str, from: u32, key: &str) -> Option<Range<usize>> {
    let first = line(text.as_bytes(), from).start;
    let rest = &text[first..];
    let mut tokens = Source::new(rest).lex().filter(|token| token.kind() != TokenKind::Whitespace);
    let mut begins = true;
    while let Some(token) = tokens.next() {
        let at_start = core::mem::replace(&mut begins, token.kind() == TokenKind::Newline);
        if !at_start {
            continue;
        }
        if token.kind() == TokenKind::LeftSquareBracket
            && token.span().start() > 0
            && !rest[..token.span().start()].trim().is_empty()
        {
            return None;
        }
        let word = &rest[token.span().start()..token.span().end()];
        if word.trim_matches(['"', '\'']) == key && tokens.next().is_some_and(|next| next.kind() == TokenKind::Equals) {
            let value = tokens.next()?;
            return Some(first + value.span().start()..first + value_end(&value, &mut tokens));
        }
    }
    None
}

/// Where a value ends: itself, or the bracket that closes its array.
fn value_end(value: &Token, rest: &mut impl Iterator<Item = Token>) -> usize {
    if is_string(value.kind()) || value.kind() != TokenKind::LeftSquareBracket {
        return value.span().end();
    }
    rest.find(|token| token.kind() == TokenKind::RightSquareBracket).map_or(value.span().end(), |token| token.span().end())
}

/// Where byte `offset` of a string's value stands in `raw`, its source with the quotes around it.
pub(super) fn in_string(raw: &str, offset: usize) -> usize {
    let quote = if raw.starts_with('"') { "\"" } else { "'" };
    let long = if quote == "\"" { "\"\"\"" } else { "'''" };
    let is_long = raw.starts_with(long) && raw.len() >= 6;
    let mark = if is_long { long.len() } else { quote.len().min(raw.len()) };
    let mut at = mark;
    if is_long {
        at += if raw[at..].starts_with("\r\n") { 2 } else { usize::from(raw[at..].starts_with('\n')) };
    }
    let end = raw.len().saturating_sub(mark).max(at);
    if quote == "'" {
        return (at + offset).min(end);
    }
    let mut decoded = 0;
    while decoded < offset && at < end {
        let (source, value) = step(&raw[at..end]);
        at += source;
        decoded += value;
    }
    // A continued line has no bytes of its own: what is meant stands behind it.
    while at < end && step(&raw[at..end]).1 == 0 {
        at += step(&raw[at..end]).0;
    }
    at.min(end)
}

/// Bytes of source and of value of the next piece of a basic string.
fn step(rest: &str) -> (usize, usize) {
    let bytes = rest.as_bytes();
    if bytes.first() != Some(&b'\\') {
        let length = rest.chars().next().map_or(1, char::len_utf8);
        return (length, length);
    }
    let code = |digits: usize| {
        let letter = rest.get(2..2 + digits).and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32);
        (2 + digits, letter.map_or(1, char::len_utf8))
    };
    let (source, value) = match bytes.get(1) {
        Some(b'x') => code(2),
        Some(b'u') => code(4),
        Some(b'U') => code(8),
        Some(b' ' | b'\t' | b'\r' | b'\n') => (1 + rest[1..].len() - rest[1..].trim_start().len(), 0),
        _ => (2, 1),
    };
    (source.min(rest.len()), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters() {
        let text = "ä = 1\r\nbb\n".as_bytes();
        assert_eq!(position(text, 3..4), (1, 3, 1));
        assert_eq!(position(text, 0..99), (1, 1, 5));
        assert_eq!(position(text, 8..10), (2, 1, 2));
        assert_eq!(position(text, 99..100), (2, 4, 1), "the end belongs to the last line");
        assert_eq!(position(b"", 0..0), (1, 1, 1));
        assert_eq!(&text[line(text, 1)], "ä = 1".as_bytes());
        assert_eq!((line(text, 2), line(text, 9)), (8..10, 8..10));
    }

    #[test]
    fn offsets_of_a_value_are_found_in_its_source() {
        let cases = [
            ("'abc'", 1, 'b'),
            ("\"abc\"", 2, 'c'),
            ("\"a\\tb\"", 2, 'b'),
            ("\"\\u00e4b\"", 2, 'b'),
            ("\"\\U0001F600b\"", 4, 'b'),
            ("\"äb\"", 2, 'b'),
            ("\"\"\"\nab\"\"\"", 1, 'b'),
            ("\"\"\"\r\na\\\n   b\"\"\"", 1, 'b'),
            ("'''\n\na'''", 1, 'a'),
            ("\"a\"", 9, '"'),
        ];
        for (raw, offset, letter) in cases {
            assert_eq!(raw[in_string(raw, offset)..].chars().next(), Some(letter), "{raw} {offset}");
        }
    }

    #[test]
    fn a_routes_own_key_is_found() {
        let text =
            "[[route]]\nsql = '1'\n[[route]] # sql = 3\npath = '''\nsql = 4\n'''\n \"sql\" = \"\"\"\n2\"\"\"\n[x]\nsql = 5";
        assert_eq!(value_of(text, 1, "sql").map(|range| &text[range]), Some("'1'"));
        assert_eq!(value_of(text, 3, "sql").map(|range| &text[range]), Some("\"\"\"\n2\"\"\""));
        assert_eq!(value_of("listen = [\n'a', # ]\n'b']", 1, "listen"), Some(9..24));
        assert_eq!(value_of("a = 1\n[x]\nlisten = 2", 1, "listen"), None);
    }
}
