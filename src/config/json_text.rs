//! Whether a text is JSON (RFC 8259). Keeps nothing and builds nothing.

/// How deep arrays and objects may nest, as in SQLite's limit for arguments of ours.
const DEPTH: usize = 64;

/// Whether the whole text is one JSON value, nested at most 64 deep.
pub fn is_json(text: &str) -> bool {
    value(text.as_bytes(), 0).is_some_and(|rest| blank(rest).is_empty())
}

fn blank(text: &[u8]) -> &[u8] {
    let count = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
    &text[count..]
}

/// What follows a value.
fn value(text: &[u8], depth: usize) -> Option<&[u8]> {
    let text = blank(text);
    match *text.first()? {
        b'"' => string(text),
        b'[' if depth < DEPTH => list(&text[1..], b']', depth, value),
        b'{' if depth < DEPTH => list(&text[1..], b'}', depth, |text, depth| {
            let rest = blank(string(blank(text))?);
            value(rest.strip_prefix(b":")?, depth)
        }),
        b'-' | b'0'..=b'9' => number(text),
        _ => ["true", "false", "null"].iter().find_map(|word| text.strip_prefix(word.as_bytes())),
    }
}

fn list(text: &[u8], end: u8, depth: usize, element: impl Fn(&[u8], usize) -> Option<&[u8]>) -> Option<&[u8]> {
    let mut rest = blank(text);
    if rest.first() == Some(&end) {
        return Some(&rest[1..]);
    }
    loop {
        rest = blank(element(rest, depth + 1)?);
        match *rest.first()? {
            b',' => rest = &rest[1..],
            byte if byte == end => return Some(&rest[1..]),
            _ => return None,
        }
    }
}

fn string(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text.strip_prefix(b"\"")?;
    loop {
        match *rest.first()? {
            b'"' => return Some(&rest[1..]),
            b'\\' => match *rest.get(1)? {
                b'u' if rest.get(2..6)?.iter().all(u8::is_ascii_hexdigit) => rest = &rest[6..],
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => rest = &rest[2..],
                _ => return None,
            },
            0..0x20 => return None,
            _ => rest = &rest[1..],
        }
    }
}

fn number(text: &[u8]) -> Option<&[u8]> {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut rest = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return None;
    }
    rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        rest = fraction.get(count..).filter(|_| count > 0)?;
    }
    if let Some(exponent) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) {
        let exponent = exponent.strip_prefix(b"+").or_else(|| exponent.strip_prefix(b"-")).unwrap_or(exponent);
        let count = digits(exponent);
        rest = exponent.get(count..).filter(|_| count > 0)?;
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_told_from_what_is_none() {
        for text in ["null", " [1, -2.5e+3, \"\\u00e4\\n\", {\"a\": {}, \"b\": []}] ", "0", "true", "\"\"", "-0.1E9"] {
            assert!(is_json(text), "{text}");
        }
        for text in
            ["", "nul", "[1,]", "{a: 1}", "01", "1.", "+1", "'a'", "\"a", "\"\\x\"", "1 2", "[", "{\"a\"}", "\"\t\"", "1e"]
        {
            assert!(!is_json(text), "{text}");
        }
        assert!(
            is_json(&format!("{}{}", "[".repeat(64), "]".repeat(64)))
                && !is_json(&format!("{}{}", "[".repeat(65), "]".repeat(65)))
        );
    }
}
