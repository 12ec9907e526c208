//! One filter in PostgREST's grammar, `not.gte.5`: parsed, its value made ready to bind, written as SQL.

use super::affinity::Affinity;
use super::json;
use super::list::{self, Item};
use super::problem::{Echo, Problem};
use super::sql::{self, Ident, Sql};
use super::value::{self, Bind, Number, Scratch};
use super::{PATTERN_BYTES, PATTERN_WILDCARDS, SCRATCH_BYTES};
use crate::memory::span::Span;

/// What a filter asks of its column. The order is the one in which filters stand in the statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// `eq`
    Eq,
    /// `neq`
    Neq,
    /// `gt`
    Gt,
    /// `gte`
    Gte,
    /// `lt`
    Lt,
    /// `lte`
    Lte,
    /// `like`: with case; `*` and `%` any run, `_` one character.
    Like,
    /// `ilike`: the same without case, for ASCII letters.
    Ilike,
    /// `in`
    In,
    /// `is.null`
    IsNull,
    /// `is.true`
    IsTrue,
    /// `is.false`
    IsFalse,
}

/// The operators as a client writes them; `is` takes the rest of its meaning from the value.
const OPERATORS: [(&str, Operator); 10] = [
    ("eq", Operator::Eq),
    ("neq", Operator::Neq),
    ("gt", Operator::Gt),
    ("gte", Operator::Gte),
    ("lt", Operator::Lt),
    ("lte", Operator::Lte),
    ("like", Operator::Like),
    ("ilike", Operator::Ilike),
    ("in", Operator::In),
    ("is", Operator::IsNull),
];

/// The column that a filter speaks of.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its place among the visible columns.
    pub column: u16,
    /// Its name.
    pub name: &'a str,
    /// Its affinity.
    pub affinity: Affinity,
    /// Whether it belongs to a view.
    pub in_view: bool,
}

/// A parsed filter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Filter {
    /// The column's place among the visible ones.
    pub column: u16,
    /// What is asked of it.
    pub operator: Operator,
    /// Whether the opposite is asked.
    pub negated: bool,
    /// The value; `is` has none.
    pub bind: Option<Bind>,
}

impl Filter {
    /// Parses `text`, which is decoded: an optional `not.`, an operator, a dot, a value.
    ///
    /// # Errors
    /// A 400 that names the column, what was wrong and what is allowed.
    pub fn parse(target: &Target, text: &[u8], scratch: &mut Scratch) -> Result<Filter, Problem> {
        if core::str::from_utf8(text).is_err() {
            return Err(malformed(target, format_args!("the value is not UTF-8")));
        }
        let (negated, text) = match text.strip_prefix(b"not.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let Some(dot) = text.iter().position(|&byte| byte == b'.') else {
            let problem = malformed(target, format_args!("{} has no operator", Echo(text)));
            return Err(allow_operators(problem.hint(format_args!("write an operator and a dot first, as in eq.5"))));
        };
        let (word, value) = (&text[..dot], &text[dot + 1..]);
        let Some((_, operator)) = OPERATORS.iter().find(|(name, _)| name.as_bytes() == word) else {
            return Err(allow_operators(malformed(target, format_args!("{} is not an operator", Echo(word)))));
        };
        let mut operator = *operator;
        let bind = match operator {
            Operator::IsNull => {
                operator = is_what(target, value)?;
                None
            }
            Operator::Like => Some(pattern(target, value, Dialect::Glob, scratch)?),
            Operator::Ilike => Some(pattern(target, value, Dialect::Like, scratch)?),
            Operator::In => Some(set(target, value, scratch)?),
            _ => Some(Bind::compared(value, target.affinity, target.in_view, scratch)?),
        };
        Ok(Filter { column: target.column, operator, negated, bind })
    }

    /// Writes the condition; `parameter` is the number of the bound value.
    ///
    /// # Errors
    /// A 400 when the statement grows too long.
    pub fn put_sql(&self, name: &str, parameter: usize, sql: &mut Sql) -> Result<(), Problem> {
        let column = Ident(name);
        if self.negated {
            sql::put(sql, format_args!("NOT ("))?;
        }
        match self.operator {
            Operator::Eq => sql::put(sql, format_args!("{column} = ?{parameter}")),
            Operator::Neq => sql::put(sql, format_args!("{column} <> ?{parameter}")),
            Operator::Gt => sql::put(sql, format_args!("{column} > ?{parameter}")),
            Operator::Gte => sql::put(sql, format_args!("{column} >= ?{parameter}")),
            Operator::Lt => sql::put(sql, format_args!("{column} < ?{parameter}")),
            Operator::Lte => sql::put(sql, format_args!("{column} <= ?{parameter}")),
            Operator::Like => sql::put(sql, format_args!("{column} GLOB ?{parameter}")),
            Operator::Ilike => sql::put(sql, format_args!("{column} LIKE ?{parameter} ESCAPE '\\'")),
            Operator::In => sql::put(sql, format_args!("{column} IN (SELECT value FROM json_each(?{parameter}))")),
            Operator::IsNull => sql::put(sql, format_args!("{column} IS NULL")),
            Operator::IsTrue => sql::put(sql, format_args!("{column} IS TRUE")),
            Operator::IsFalse => sql::put(sql, format_args!("{column} IS FALSE")),
        }?;
        if self.negated { sql::put(sql, format_args!(")")) } else { Ok(()) }
    }
}

fn malformed(target: &Target, what: core::fmt::Arguments) -> Problem {
    Problem::malformed(format_args!("filter on {}: {what}", Echo(target.name.as_bytes())))
}

fn allow_operators(problem: Problem) -> Problem {
    problem.allow(OPERATORS.iter().map(|(name, _)| *name).chain(["not. before any"]))
}

fn is_what(target: &Target, value: &[u8]) -> Result<Operator, Problem> {
    match value {
        b"null" => Ok(Operator::IsNull),
        b"true" => Ok(Operator::IsTrue),
        b"false" => Ok(Operator::IsFalse),
        _ => Err(malformed(target, format_args!("is. does not know {}", Echo(value)))
            .allow(["is.null", "is.true", "is.false", "not.is.null"].into_iter())),
    }
}

/// Which of SQLite's two matchers a pattern is written for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Glob,
    Like,
}

/// Rewrites a pattern for SQLite. `*` and `%` are any run, `_` one character, a backslash makes the next one plain.
fn pattern(target: &Target, text: &[u8], dialect: Dialect, scratch: &mut Scratch) -> Result<Bind, Problem> {
    if text.len() > PATTERN_BYTES {
        return Err(malformed(target, format_args!("a pattern has at most {PATTERN_BYTES} bytes")));
    }
    let start = scratch.len();
    let mut wildcards = 0;
    let mut in_run = false;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let is_run = matches!(byte, b'*' | b'%');
        if is_run && !in_run {
            wildcards += 1;
            value::keep(if dialect == Dialect::Glob { b"*" } else { b"%" }, scratch)?;
        } else if byte == b'\\' {
            at += 1;
            let Some(&plain) = text.get(at) else {
                return Err(malformed(target, format_args!("a pattern cannot end in a backslash")));
            };
            put_plain(plain, dialect, scratch)?;
        } else if byte == b'_' {
            value::keep(if dialect == Dialect::Glob { b"?" } else { b"_" }, scratch)?;
        } else if !is_run {
            put_plain(byte, dialect, scratch)?;
        }
        in_run = is_run;
        at += 1;
    }
    if wildcards > PATTERN_WILDCARDS {
        return Err(malformed(target, format_args!("a pattern has at most {PATTERN_WILDCARDS} wildcards * or %")));
    }
    Ok(Bind::Text(Span::between(start, scratch.len())))
}

/// Writes one byte so that the matcher takes it for itself.
fn put_plain(byte: u8, dialect: Dialect, scratch: &mut Scratch) -> Result<(), Problem> {
    match (dialect, byte) {
        (Dialect::Glob, b'*' | b'?' | b'[') => value::keep(&[b'[', byte, b']'], scratch),
        (Dialect::Like, b'%' | b'_' | b'\\') => value::keep(&[b'\\', byte], scratch),
        _ => value::keep(&[byte], scratch),
    }
}

/// Rewrites `(a,"b,c")` as a JSON array, so that one statement serves lists of every length.
///
/// Strings stay strings where the column's affinity will convert them, exactly as it converts a bound text. Where it
/// will not, numbers are JSON numbers.
fn set(target: &Target, text: &[u8], scratch: &mut Scratch) -> Result<Bind, Problem> {
    let inner = text.strip_prefix(b"(").and_then(|rest| rest.strip_suffix(b")"));
    let Some(inner) = inner else {
        return Err(malformed(target, format_args!("in. wants a list in parentheses"))
            .hint(format_args!("write in.(a,b) or in.(\"a,b\",c)")));
    };
    let numbers = value::numbers_bind_as_numbers(target.affinity, target.in_view);
    let start = scratch.len();
    value::keep(b"[", scratch)?;
    for (index, item) in list::items(inner).enumerate() {
        let Ok(item) = item else {
            return Err(malformed(target, format_args!("a quote in the list is not closed")));
        };
        if !item.rest.is_empty() {
            return Err(malformed(target, format_args!("{} follows a closing quote", Echo(item.rest)))
                .hint(format_args!("inside quotes write \\\" for a quote")));
        }
        if index > 0 {
            value::keep(b",", scratch)?;
        }
        match value::number(item.body).filter(|_| numbers && !item.quoted) {
            Some(number) => put_number(number, scratch)?,
            None => put_string(item, scratch)?,
        }
    }
    value::keep(b"]", scratch)?;
    Ok(Bind::Text(Span::between(start, scratch.len())))
}

fn put_number(number: Number, scratch: &mut Scratch) -> Result<(), Problem> {
    match number {
        Number::Integer(number) => value::keep(itoa::Buffer::new().format(number).as_bytes(), scratch),
        // JSON has no infinity; a number beyond the range of a double is read as one.
        Number::Real(number) if number.is_infinite() => value::keep(if number > 0.0 { b"9e999" } else { b"-9e999" }, scratch),
        Number::Real(number) => value::keep(ryu::Buffer::new().format_finite(number).as_bytes(), scratch),
    }
}

fn put_string(item: Item, scratch: &mut Scratch) -> Result<(), Problem> {
    value::keep(b"\"", scratch)?;
    for byte in item.bytes() {
        let (escape, len) = json::escape(byte);
        value::keep(&escape[..len], scratch)?;
    }
    value::keep(b"\"", scratch)
}

const _: () = assert!(PATTERN_BYTES * 3 < SCRATCH_BYTES);

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(affinity: Affinity, text: &str) -> Result<(std::string::String, std::string::String), Problem> {
        let target = Target { column: 3, name: "a\"b", affinity, in_view: false };
        let mut scratch = Scratch::new();
        let filter = Filter::parse(&target, text.as_bytes(), &mut scratch)?;
        assert_eq!(filter.column, 3);
        let mut sql = Sql::new();
        filter.put_sql(target.name, 1, &mut sql)?;
        let bound = match filter.bind {
            Some(Bind::Text(span)) => std::string::String::from_utf8(span.of(&scratch).to_vec()).expect("UTF-8"),
            other => format!("{other:?}"),
        };
        Ok((sql.as_str().to_string(), bound))
    }

    #[test]
    fn operators_become_sql() {
        let cases = [
            ("eq.5", r#""a""b" = ?1"#, "5"),
            ("eq.", r#""a""b" = ?1"#, ""),
            ("eq.x.y", r#""a""b" = ?1"#, "x.y"),
            ("neq.5", r#""a""b" <> ?1"#, "5"),
            ("gt.5", r#""a""b" > ?1"#, "5"),
            ("gte.5", r#""a""b" >= ?1"#, "5"),
            ("lt.5", r#""a""b" < ?1"#, "5"),
            ("not.lte.5", r#"NOT ("a""b" <= ?1)"#, "5"),
            ("is.null", r#""a""b" IS NULL"#, "None"),
            ("not.is.true", r#"NOT ("a""b" IS TRUE)"#, "None"),
            ("is.false", r#""a""b" IS FALSE"#, "None"),
        ];
        for (text, sql, bound) in cases {
            assert_eq!(parse(Affinity::Text, text).expect(text), (sql.to_string(), bound.to_string()));
        }
    }

    #[test]
    fn patterns_are_rewritten_for_each_matcher() {
        let cases = [
            ("a*b%c_", "a*b*c?", "a%b%c_"),
            ("**%x", "*x", "%x"),
            ("[a]?", "[[]a][?]", "[a]?"),
            (r"100\%\_\*\\", r"100%_[*]\", r"100\%\_*\\"),
            (r"\ü", "ü", "ü"),
        ];
        for (text, glob, like) in cases {
            assert_eq!(parse(Affinity::Text, &format!("like.{text}")).expect(text).1, glob);
            assert_eq!(parse(Affinity::Text, &format!("ilike.{text}")).expect(text).1, like);
        }
    }

    #[test]
    fn sets_become_json_arrays() {
        let cases = [
            ("in.()", "[]", "[]"),
            ("in.(\"\")", r#"[""]"#, r#"[""]"#),
            ("in.(a,\"b,c\")", r#"["a","b,c"]"#, r#"["a","b,c"]"#),
            ("in.(1,-2.50,.5)", r#"["1","-2.50",".5"]"#, "[1,-2.5,0.5]"),
            ("in.(9007199254740993,1e400)", r#"["9007199254740993","1e400"]"#, "[9007199254740993,9e999]"),
            ("in.(\"1\",01)", r#"["1","01"]"#, r#"["1",1]"#),
            (r#"in.("a\"\\",b\c)"#, r#"["a\"\\","b\\c"]"#, r#"["a\"\\","b\\c"]"#),
        ];
        for (text, strings, numbers) in cases {
            assert_eq!(parse(Affinity::Integer, text).expect(text).1, strings);
            assert_eq!(parse(Affinity::Blob, text).expect(text).1, numbers);
        }
    }

    #[test]
    fn malformed_filters_say_what_is_wrong() {
        let many = "a*".repeat(PATTERN_WILDCARDS + 1);
        let long = "x".repeat(PATTERN_BYTES + 1);
        let cases = [
            ("5".to_string(), "'5' has no operator"),
            ("equals.5".to_string(), "'equals' is not an operator"),
            ("not.not.eq.5".to_string(), "'not' is not an operator"),
            ("EQ.5".to_string(), "'EQ' is not an operator"),
            ("is.nothing".to_string(), "is. does not know 'nothing'"),
            ("in.1,2".to_string(), "in. wants a list in parentheses"),
            ("in.(\"a)".to_string(), "a quote in the list is not closed"),
            ("in.(\"a\"b)".to_string(), "'b' follows a closing quote"),
            ("like.a\\".to_string(), "a pattern cannot end in a backslash"),
            (format!("like.{many}"), "a pattern has at most 8 wildcards * or %"),
            (format!("ilike.{long}"), "a pattern has at most 256 bytes"),
        ];
        for (text, detail) in cases {
            let problem = parse(Affinity::Text, &text).expect_err(&text);
            assert_eq!(problem.status, 400);
            assert_eq!(problem.detail.as_str(), format!("filter on 'a\"b': {detail}"));
        }
        assert!(parse(Affinity::Text, "x.5").expect_err("x").allowed.starts_with("eq, neq"));
    }

    #[test]
    fn a_value_that_is_not_utf8_is_refused() {
        let target = Target { column: 0, name: "a", affinity: Affinity::Text, in_view: false };
        assert!(Filter::parse(&target, b"eq.\xff", &mut Scratch::new()).is_err());
    }
}
