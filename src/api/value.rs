//! Values on their way into a statement (`Bind`) and out of a row (`Value`), and numbers as SQL writes them.

use super::SCRATCH_BYTES;
use super::affinity::Affinity;
use super::problem::Problem;
use crate::memory::span::Span;

/// The bytes of all text and blob values that a statement binds.
pub type Scratch = heapless::Vec<u8, SCRATCH_BYTES>;

/// A value to bind; text and blobs lie in the statement's scratch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bind {
    /// NULL
    Null,
    /// A 64-bit integer.
    Integer(i64),
    /// A floating point number, never NaN.
    Real(f64),
    /// Text; UTF-8 unless it came out of a row that was not.
    Text(Span),
    /// Bytes.
    Blob(Span),
}

/// A value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// NULL
    Null,
    /// A 64-bit integer.
    Integer(i64),
    /// A floating point number.
    Real(f64),
    /// Text, as the database holds it.
    Text(&'a [u8]),
    /// Bytes.
    Blob(&'a [u8]),
}

impl Bind {
    /// The value that will be bound, its bytes out of the scratch.
    pub fn value(self, scratch: &[u8]) -> Value<'_> {
        match self {
            Bind::Null => Value::Null,
            Bind::Integer(number) => Value::Integer(number),
            Bind::Real(number) => Value::Real(number),
            Bind::Text(span) => Value::Text(span.of(scratch)),
            Bind::Blob(span) => Value::Blob(span.of(scratch)),
        }
    }

    /// Keeps `text` in the scratch as a text value.
    ///
    /// # Errors
    /// A 400 when the scratch is full.
    pub fn text(text: &[u8], scratch: &mut Scratch) -> Result<Bind, Problem> {
        let start = scratch.len();
        keep(text, scratch)?;
        Ok(Bind::Text(Span::between(start, scratch.len())))
    }

    /// What to bind so that comparing it with a column gives what `column = 'text'` gives, or, where the column
    /// applies no affinity of its own, what `column = 12` gives.
    ///
    /// A view's column may promise an affinity that its expression does not have. A number is therefore bound as a
    /// number there, which compares alike with or without a numeric affinity.
    ///
    /// # Errors
    /// A 400 when the scratch is full.
    pub fn compared(text: &[u8], affinity: Affinity, in_view: bool, scratch: &mut Scratch) -> Result<Bind, Problem> {
        match number(text) {
            // The column would make it this very integer, each time that it is compared.
            Some(Number::Integer(number)) if affinity != Affinity::Text => Ok(Bind::Integer(number)),
            Some(number) if numbers_bind_as_numbers(affinity, in_view) => Ok(number.bind()),
            _ => Bind::text(text, scratch),
        }
    }
}

/// Whether a number must be bound as one, because the column would not make it one.
pub fn numbers_bind_as_numbers(affinity: Affinity, in_view: bool) -> bool {
    match affinity {
        Affinity::Text => false,
        Affinity::Blob => true,
        Affinity::Integer | Affinity::Real | Affinity::Numeric => in_view,
    }
}

/// Appends bytes to the scratch.
///
/// # Errors
/// A 400 when it is full.
pub fn keep(bytes: &[u8], scratch: &mut Scratch) -> Result<(), Problem> {
    scratch.extend_from_slice(bytes).map_err(|_| Problem::too_large("bytes of all values together", SCRATCH_BYTES))
}

/// A number as SQL would read it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer within 64 bits.
    Integer(i64),
    /// Anything else; infinite beyond the range of a double.
    Real(f64),
}

impl Number {
    fn bind(self) -> Bind {
        match self {
            Number::Integer(number) => Bind::Integer(number),
            Number::Real(number) => Bind::Real(number),
        }
    }
}

/// Reads SQL's decimal numeric literals with an optional sign: `12`, `-1.5`, `.5`, `5.`, `1e-3`. An integer beyond 64
/// bits is a real, as in SQLite. `None` for anything else, also for spaces, hex, `inf` and `nan`.
pub fn number(text: &[u8]) -> Option<Number> {
    let digits = |from: &[u8]| from.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut rest = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let whole = digits(rest);
    rest = &rest[whole..];
    let mut fraction = 0;
    let is_integer = rest.is_empty();
    if let Some(after) = rest.strip_prefix(b".") {
        fraction = digits(after);
        rest = &after[fraction..];
    }
    if whole + fraction == 0 {
        return None;
    }
    if let Some(after) = rest.strip_prefix(b"e").or(rest.strip_prefix(b"E")) {
        let after = after.strip_prefix(b"-").or(after.strip_prefix(b"+")).unwrap_or(after);
        let exponent = digits(after);
        rest = &after[exponent..];
        if exponent == 0 {
            return None;
        }
    }
    if !rest.is_empty() {
        return None;
    }
    let text = core::str::from_utf8(text).ok()?;
    match text.parse() {
        Ok(number) if is_integer => Some(Number::Integer(number)),
        _ => text.parse().ok().map(Number::Real),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_sqls_decimal_literals() {
        let cases: &[(&str, Option<Number>)] = &[
            ("12", Some(Number::Integer(12))),
            ("-007", Some(Number::Integer(-7))),
            ("+5", Some(Number::Integer(5))),
            ("9223372036854775807", Some(Number::Integer(i64::MAX))),
            ("-9223372036854775808", Some(Number::Integer(i64::MIN))),
            ("9223372036854775808", Some(Number::Real(9_223_372_036_854_775_808.0))),
            ("5.", Some(Number::Real(5.0))),
            (".5", Some(Number::Real(0.5))),
            ("1e2", Some(Number::Real(100.0))),
            ("-1.5E-3", Some(Number::Real(-0.0015))),
            ("1e999", Some(Number::Real(f64::INFINITY))),
            ("", None),
            (".", None),
            ("-", None),
            ("e5", None),
            ("1e", None),
            ("1e+", None),
            (" 1", None),
            ("1 ", None),
            ("0x10", None),
            ("1_000", None),
            ("inf", None),
            ("NaN", None),
            ("--1", None),
            ("1.2.3", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(number(text.as_bytes()), *wanted, "{text}");
        }
    }

    #[test]
    fn only_columns_that_would_not_convert_get_numbers() {
        let mut scratch = Scratch::new();
        let mut bind = |affinity, in_view| Bind::compared(b"1e2", affinity, in_view, &mut scratch).expect("fits");
        assert_eq!(bind(Affinity::Blob, false), Bind::Real(100.0));
        assert_eq!(bind(Affinity::Integer, true), Bind::Real(100.0));
        assert!(matches!(bind(Affinity::Integer, false), Bind::Text(_)));
        assert!(matches!(bind(Affinity::Text, true), Bind::Text(_)));
    }

    #[test]
    fn a_full_scratch_is_a_400() {
        let mut scratch = Scratch::new();
        assert!(Bind::text(&[b'x'; SCRATCH_BYTES], &mut scratch).is_ok());
        assert_eq!(Bind::text(b"y", &mut scratch).map_err(|problem| problem.status), Err(400));
    }
}
