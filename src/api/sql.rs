//! SQL text in a fixed buffer. Knows how to quote, not what the statement means.

use core::fmt::{self, Write};

use super::SQL_BYTES;
use super::problem::Problem;

/// A statement's text.
pub type Sql = heapless::String<SQL_BYTES>;

/// Appends words to a statement.
///
/// # Errors
/// A 400 when the statement outgrows [`SQL_BYTES`].
pub fn put(sql: &mut Sql, words: fmt::Arguments) -> Result<(), Problem> {
    sql.write_fmt(words).map_err(|_| too_long())
}

/// Appends one word as it is, without the machinery that puts several together.
///
/// # Errors
/// As [`put`].
pub fn put_word(sql: &mut Sql, word: &str) -> Result<(), Problem> {
    sql.push_str(word).map_err(|_| too_long())
}

fn too_long() -> Problem {
    Problem::too_large("bytes of the SQL statement", SQL_BYTES)
}

/// A name as an SQL identifier: always in double quotes, quotes inside doubled, so that no name is a keyword.
#[derive(Clone, Copy)]
pub struct Ident<'a>(pub &'a str);

impl Ident<'_> {
    /// Appends it to a statement; as it displays.
    ///
    /// # Errors
    /// As [`put`].
    pub fn put(self, sql: &mut Sql) -> Result<(), Problem> {
        if self.0.as_bytes().contains(&b'"') {
            return put(sql, format_args!("{self}"));
        }
        put_word(sql, "\"")?;
        put_word(sql, self.0)?;
        put_word(sql, "\"")
    }
}

impl fmt::Display for Ident<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_char('"')?;
        for (index, part) in self.0.split('"').enumerate() {
            if index > 0 {
                out.write_str("\"\"")?;
            }
            out.write_str(part)?;
        }
        out.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_cannot_end_themselves() {
        for (name, quoted) in [("a", r#""a""#), (r#"a"b"#, r#""a""b""#), ("\"", "\"\"\"\""), ("", "\"\"")] {
            assert_eq!(Ident(name).to_string(), quoted);
            let mut sql = Sql::new();
            assert_eq!((Ident(name).put(&mut sql), sql.as_str()), (Ok(()), quoted));
        }
    }

    #[test]
    fn a_statement_that_is_too_long_is_the_clients_problem() {
        let mut sql = Sql::new();
        let long = "x".repeat(SQL_BYTES);
        assert_eq!(put(&mut sql, format_args!("{long}")), Ok(()));
        assert_eq!(put(&mut sql, format_args!("y")).map_err(|problem| problem.status), Err(400));
    }
}
