//! Comma-separated lists as PostgREST writes them: `a,"b,c",d`, with backslash escapes inside quotes. Already decoded.

/// One item: its text, still escaped when it was quoted, and what follows the closing quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The item's text, without its quotes.
    pub body: &'a [u8],
    /// Whether it stood in quotes, so that backslashes in `body` escape.
    pub quoted: bool,
    /// What stands between the closing quote and the comma; empty for bare items.
    pub rest: &'a [u8],
}

impl<'a> Item<'a> {
    /// The item that begins `text`, and what follows its comma. `None` when a quote is not closed.
    fn first(text: &'a [u8]) -> Option<(Item<'a>, Option<&'a [u8]>)> {
        let comma = |from: usize| text[from..].iter().position(|&byte| byte == b',').map(|at| from + at);
        let after = |end: Option<usize>| end.map(|end| &text[end + 1..]);
        if text.first() != Some(&b'"') {
            let end = comma(0);
            return Some((Item { body: &text[..end.unwrap_or(text.len())], quoted: false, rest: b"" }, after(end)));
        }
        let close = closing_quote(text)?;
        let end = comma(close);
        let rest = &text[close + 1..end.unwrap_or(text.len())];
        Some((Item { body: &text[1..close], quoted: true, rest }, after(end)))
    }

    /// The item's bytes with its escapes undone: a backslash makes the next byte plain.
    pub fn bytes(self) -> impl Iterator<Item = u8> + 'a {
        let mut left = self.body.iter().copied();
        core::iter::from_fn(move || match left.next()? {
            b'\\' if self.quoted => left.next(),
            byte => Some(byte),
        })
    }
}

/// Where the quote that opens `text` is closed.
fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// A quote was opened and never closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenQuote;

/// The items of a list. Empty text is an empty list; bounded by the text's length.
pub fn items(text: &[u8]) -> impl Iterator<Item = Result<Item<'_>, OpenQuote>> {
    let mut left = (!text.is_empty()).then_some(text);
    core::iter::from_fn(move || {
        let Some((item, rest)) = Item::first(left.take()?) else {
            return Some(Err(OpenQuote));
        };
        left = rest;
        Some(Ok(item))
    })
}

/// A name that is a list of one quoted item and nothing else: `"limit"`. `None` for any other text.
pub fn quoted_name(text: &[u8]) -> Option<Item<'_>> {
    let (item, rest) = Item::first(text)?;
    (item.quoted && item.rest.is_empty() && rest.is_none()).then_some(item)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> std::vec::Vec<(std::string::String, bool, std::string::String)> {
        let text_of = |bytes: std::vec::Vec<u8>| std::string::String::from_utf8(bytes).expect("UTF-8");
        items(text.as_bytes())
            .map(|item| item.expect("closed quotes"))
            .map(|item| (text_of(item.bytes().collect()), item.quoted, text_of(item.rest.to_vec())))
            .collect()
    }

    #[test]
    fn items_are_divided_by_commas_outside_quotes() {
        let item = |text: &str, quoted, rest: &str| (text.to_string(), quoted, rest.to_string());
        assert_eq!(list(""), []);
        assert_eq!(list("a,b"), [item("a", false, ""), item("b", false, "")]);
        assert_eq!(list("a,"), [item("a", false, ""), item("", false, "")]);
        assert_eq!(list(r#""a,b".desc,c"#), [item("a,b", true, ".desc"), item("c", false, "")]);
        assert_eq!(list(r#""say \"hi\"","\\","""#), [item("say \"hi\"", true, ""), item("\\", true, ""), item("", true, "")]);
        assert_eq!(list(r#"a"b,c\d"#), [item("a\"b", false, ""), item("c\\d", false, "")]);
    }

    #[test]
    fn an_open_quote_is_an_error() {
        for text in [r#"""#, r#"a,"b"#, r#""a\"#, r#""a\""#] {
            assert!(items(text.as_bytes()).any(|item| item == Err(OpenQuote)), "{text}");
        }
    }

    #[test]
    fn only_one_whole_quoted_item_is_a_quoted_name() {
        assert_eq!(quoted_name(br#""limit""#).map(|item| item.body), Some(&b"limit"[..]));
        for text in [&b"limit"[..], br#""a"b"#, br#""a","b""#, br#""a"#, b"", br#"a"b""#] {
            assert_eq!(quoted_name(text), None);
        }
    }
}
