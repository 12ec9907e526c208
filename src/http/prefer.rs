//! What the client would like on top: `Prefer`, RFC 7240.

use super::list::{parts, trimmed};

/// Whether the `Prefer` lines ask for `count=exact`, in any case, quoted or not. As RFC 7240 §2 says, the first `count`
/// stands and later ones are ignored.
pub fn count_exact<'a>(values: impl Iterator<Item = &'a [u8]>) -> bool {
    values
        .flat_map(|line| parts(line, b','))
        .filter_map(|preference| parts(preference, b';').next())
        .find_map(|preference| value_of(preference, b"count"))
        .is_some_and(|value| is_word(value, b"exact"))
}

/// The value in `name [ BWS "=" BWS value ]`, empty when there is none; `None` for another name.
fn value_of<'a>(preference: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let end = preference.iter().position(|&byte| byte == b'=').unwrap_or(preference.len());
    let (key, value) = preference.split_at(end);
    let value = value.strip_prefix(b"=").unwrap_or(value);
    trimmed(key).eq_ignore_ascii_case(name).then(|| trimmed(value))
}

/// Whether `value`, a token or a quoted string with its escapes, is `word`.
fn is_word(value: &[u8], word: &[u8]) -> bool {
    let Some(inside) = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) else {
        return value.eq_ignore_ascii_case(word);
    };
    let mut escaped = false;
    let plain = inside.iter().filter(|&&byte| {
        escaped = byte == b'\\' && !escaped;
        !escaped
    });
    plain.map(u8::to_ascii_lowercase).eq(word.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(lines: &[&str]) -> bool {
        count_exact(lines.iter().map(|line| line.as_bytes()))
    }

    #[test]
    fn the_preference_is_found_in_every_spelling() {
        for line in [
            "count=exact",
            "Count = EXACT",
            "count=\"exact\"",
            "count=\"ex\\act\"",
            "return=minimal, count=exact",
            "a=\"x,count=none\", count=exact;p=1",
            "respond-async;count=none, count=exact",
        ] {
            assert!(exact(&[line]), "{line}");
            assert!(exact(&["wait=10", line]), "{line}");
        }
    }

    #[test]
    fn nothing_else_asks_for_it() {
        assert!(!exact(&[]));
        for line in [
            "",
            "count",
            "count=",
            "count=\"\"",
            "count=planned",
            "count=exactly",
            "count=\"exact",
            "x=\"count=exact\"",
            "x=\", count=exact\"",
            "a;count=exact",
            "count=none, count=exact",
            "discount=exact",
        ] {
            assert!(!exact(&[line]), "{line}");
        }
    }
}
