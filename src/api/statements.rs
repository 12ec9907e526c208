//! Splits a route's SQL into its statements. Knows SQL's quotes and comments, and no grammar.
//!
//! What a route may say (SELECT, INSERT, UPDATE, DELETE) has no semicolon inside; CREATE TRIGGER has, and is refused anyway.

/// The statements of `sql` in their order, without the semicolons; what holds but spaces and comments is left out.
#[derive(Clone, Debug)]
pub struct Statements<'s> {
    rest: &'s str,
}

impl<'s> Statements<'s> {
    /// The statements of `sql`.
    pub fn of(sql: &'s str) -> Statements<'s> {
        Statements { rest: sql }
    }
}

impl<'s> Iterator for Statements<'s> {
    type Item = &'s str;

    fn next(&mut self) -> Option<&'s str> {
        while !self.rest.is_empty() {
            let (end, says) = statement(self.rest.as_bytes());
            let text = &self.rest[..end];
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            if says {
                return Some(text);
            }
        }
        None
    }
}

/// Where the first statement's semicolon stands, or its text ends, and whether there is any word in it.
fn statement(sql: &[u8]) -> (usize, bool) {
    let (mut at, mut says) = (0, false);
    while let Some(&byte) = sql.get(at) {
        let rest = &sql[at + 1..];
        // How much is one piece that no semicolon ends.
        let piece = match byte {
            b';' => break,
            b'\'' | b'"' | b'`' => 1 + past(rest, |part| part[0] == byte, 1),
            b'[' => 1 + past(rest, |part| part[0] == b']', 1),
            b'-' if rest.starts_with(b"-") => 1 + past(rest, |part| part[0] == b'\n', 1),
            b'/' if rest.starts_with(b"*") => 2 + past(&rest[1..], |part| part.starts_with(b"*/"), 2),
            _ => 1,
        };
        let comment = matches!(byte, b'-' | b'/') && piece > 1;
        // The set of SQLite's tokenizer.
        let space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c');
        says |= !comment && !space;
        at += piece;
    }
    (at, says)
}

/// The bytes up to what `ends` says, with `len` bytes of it, or all of them.
fn past(text: &[u8], ends: impl Fn(&[u8]) -> bool, len: usize) -> usize {
    (0..text.len()).find(|&at| ends(&text[at..])).map_or(text.len(), |at| at + len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semicolons_count_where_sql_counts_them() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            (" ;; -- only this\n ; /* and; this */", &[]),
            ("SELECT 1", &["SELECT 1"]),
            ("SELECT 1;", &["SELECT 1"]),
            ("a; b ;c", &["a", " b ", "c"]),
            ("SELECT 'it''s; here' ; x", &["SELECT 'it''s; here' ", " x"]),
            ("SELECT \"a;b\", `c;d`, [e;f]; g", &["SELECT \"a;b\", `c;d`, [e;f]", " g"]),
            ("a -- no; end\n b; c", &["a -- no; end\n b", " c"]),
            ("a /* ; */ b; /*/ ; */ c", &["a /* ; */ b", " /*/ ; */ c"]),
            ("1 - 2 / 3; 4 -", &["1 - 2 / 3", " 4 -"]),
            ("'never closed; ", &["'never closed; "]),
            ("a /* never; closed", &["a /* never; closed"]),
            ("SELECT 'ü;'; ü", &["SELECT 'ü;'", " ü"]),
        ];
        for (sql, wanted) in cases {
            assert_eq!(Statements::of(sql).collect::<Vec<_>>(), *wanted, "{sql}");
        }
    }
}
