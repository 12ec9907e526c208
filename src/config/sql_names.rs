//! What a route's SQL says before SQLite sees it: its parameters, its statements and their first words. Knows SQLite's words (strings,
//! quoted names, comments, variables), not its grammar.

use core::ops::Range;

/// Something found in SQL, with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// `:name`; the range is of the name.
    Param(Range<usize>),
    /// A parameter of a kind that routes do not have: `?`, `?1`, `@x`, `$x`, `:a::b`, `:1`.
    Odd(Range<usize>),
    /// A statement's first word, or sign.
    Statement(Range<usize>),
    /// A string, quoted name or comment that does not end, from where it begins.
    Unclosed(usize),
}

/// Whether a byte may stand in a name: ASCII letters and digits, `_`, `$` and everything beyond ASCII.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Whether a text may be a parameter's name with us: a letter or `_`, then letters, digits and `_`.
pub fn is_param_name(name: &str) -> bool {
    let starts = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    starts && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Tells `found` of everything in `sql`, from its beginning to its end.
pub fn scan(sql: &str, mut found: impl FnMut(Found)) {
    let bytes = sql.as_bytes();
    let mut at = 0;
    // Whether the next word begins a statement.
    let mut begins = true;
    while at < bytes.len() {
        let start = at;
        let rest = &bytes[at..];
        match rest[0] {
            b';' => {
                begins = true;
                at += 1;
                continue;
            }
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'-' if rest.starts_with(b"--") => {
                at += rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
                continue;
            }
            b'/' if rest.starts_with(b"/*") => {
                at += comment(rest);
                continue;
            }
            _ => {}
        }
        at += word(sql, start, &mut found);
        if core::mem::replace(&mut begins, false) {
            found(Found::Statement(start..at));
        }
    }
}

/// The length of a comment; SQLite lets the last one end with the text.
fn comment(rest: &[u8]) -> usize {
    rest.windows(2).skip(2).position(|pair| pair == b"*/").map_or(rest.len(), |length| length + 4)
}

/// The length of the word or sign at `start`, which is told of when it is a parameter or does not end.
fn word(sql: &str, start: usize, found: &mut impl FnMut(Found)) -> usize {
    let rest = &sql.as_bytes()[start..];
    let names = |from: usize| rest[from..].iter().take_while(|&&byte| is_name(byte)).count();
    match rest[0] {
        quote @ (b'\'' | b'"' | b'`' | b'[') => quoted(rest, quote).unwrap_or_else(|| {
            found(Found::Unclosed(start));
            rest.len()
        }),
        b'?' => {
            let length = 1 + rest[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            found(Found::Odd(start..start + length));
            length
        }
        sign @ (b':' | b'@' | b'$' | b'#') => {
            let mut length = 1 + names(1);
            // SQLite takes `:a::b` and `:a(b)` for one variable, as in Tcl.
            let more = rest[length..].starts_with(b"::") || rest[length..].starts_with(b"(");
            let name = start + 1..start + length;
            if sign == b':' && !more && is_param_name(&sql[name.clone()]) {
                found(Found::Param(name));
            } else {
                if rest[length..].starts_with(b"::") {
                    length += 2 + names(length + 2);
                }
                found(Found::Odd(start..start + length));
            }
            length
        }
        byte if is_name(byte) => names(0),
        _ => 1,
    }
}

/// The length of a string or quoted name, quotes included; a doubled quote stands for one, but in brackets.
fn quoted(rest: &[u8], quote: u8) -> Option<usize> {
    if quote == b'[' {
        return rest.iter().position(|&byte| byte == b']').map(|length| length + 1);
    }
    let mut at = 1;
    loop {
        at += rest[at..].iter().position(|&byte| byte == quote)? + 1;
        if rest.get(at) != Some(&quote) {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(sql: &str) -> String {
        let mut all = Vec::new();
        scan(sql, |found| {
            all.push(match found {
                Found::Param(range) => format!(":{}", &sql[range]),
                Found::Odd(range) => format!("odd {}", &sql[range]),
                Found::Statement(range) => format!("[{}]", &sql[range]),
                Found::Unclosed(at) => format!("unclosed {at}"),
            });
        });
        all.join(" ")
    }

    #[test]
    fn parameters_and_statements_are_found() {
        let cases = [
            ("SELECT :a, :b_1 FROM t WHERE x=:a", "[SELECT] :a :b_1 :a"),
            ("SELECT ':a', \":b\", [:c], `:d`, 'it''s :e', \"\"\":f\" ", "[SELECT]"),
            ("-- :a\nSELECT 1 -- :b", "[SELECT]"),
            ("/* :a ; */ SELECT/*;:x*/1/* open :c", "[SELECT]"),
            ("/*/ :a */ SELECT 1", "[SELECT]"),
            ("INSERT INTO t VALUES(:x);; SELECT 1 ; -- done\n", "[INSERT] :x [SELECT]"),
            ("", ""),
            (" ; /* */ ", ""),
            ("SELECT ?, ?2, @x, $y, :1, :, :a::b, :f(1)", "[SELECT] odd ? odd ?2 odd @x odd $y odd :1 odd : odd :a::b odd :f"),
            ("SELECT a$b, x'ab', :größe", "[SELECT] odd :größe"),
            ("SELECT 'abc", "unclosed 7 [SELECT]"),
            ("SELECT j->>':a', j->:k", "[SELECT] :k"),
            ("(SELECT 1)", "[(]"),
            ("VALUES(:a)", "[VALUES] :a"),
            ("SELECT 1-:a", "[SELECT] :a"),
        ];
        for (sql, expected) in cases {
            let mut words: Vec<&str> = expected.split(' ').collect();
            let found = told(sql);
            let mut found: Vec<&str> = found.split(' ').collect();
            words.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, words, "{sql}");
        }
    }
}
