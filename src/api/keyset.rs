//! The order of a table's rows and the condition "after this row" in it: mixed directions, NULLs and ties included.

use super::TRAILING;
use super::problem::Problem;
use super::sql::{self, Ident, Sql};

/// One column of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// The column's place among the visible ones; `None` is the rowid.
    pub column: Option<u16>,
    /// Whether larger values come first.
    pub descending: bool,
    /// Whether NULLs come first. SQLite's habit is: ascending first, descending last.
    pub nulls_first: bool,
    /// Whether there can be NULLs.
    pub nullable: bool,
}

/// The whole order, the client's columns and then those that break ties.
pub type Terms = heapless::Vec<Term, TRAILING>;

/// For each term the number of the bound value of the last row; `None` where that value is NULL.
pub type Parameters = heapless::Vec<Option<u16>, TRAILING>;

/// How a term's column is written.
#[derive(Clone, Copy)]
pub enum Expression<'a> {
    /// A column.
    Column(Ident<'a>),
    /// The rowid, by a name that no column shadows.
    Rowid(&'static str),
}

impl Expression<'_> {
    /// Appends it to a statement; as it displays.
    ///
    /// # Errors
    /// As [`sql::put`].
    pub fn put(self, sql: &mut Sql) -> Result<(), Problem> {
        match self {
            Expression::Column(ident) => ident.put(sql),
            Expression::Rowid(alias) => sql::put_word(sql, alias),
        }
    }
}

impl core::fmt::Display for Expression<'_> {
    fn fmt(&self, out: &mut core::fmt::Formatter) -> core::fmt::Result {
        match self {
            Expression::Column(ident) => ident.fmt(out),
            // Bare: these three are no keywords, and in quotes they would have to be columns.
            Expression::Rowid(alias) => out.write_str(alias),
        }
    }
}

impl Term {
    /// Writes the term for ORDER BY. NULLS is only written where it differs from SQLite's habit: it can cost the index.
    pub fn put_order(&self, expression: Expression, sql: &mut Sql) -> Result<(), Problem> {
        expression.put(sql)?;
        if self.descending {
            sql::put_word(sql, " DESC")?;
        }
        match (self.nullable && self.nulls_first == self.descending, self.nulls_first) {
            (false, _) => Ok(()),
            (true, true) => sql::put(sql, format_args!(" NULLS FIRST")),
            (true, false) => sql::put(sql, format_args!(" NULLS LAST")),
        }
    }

    fn nulls_follow(&self) -> bool {
        self.nullable && !self.nulls_first
    }

    /// Writes "strictly after the last row in this term". `false` when nothing can be, and nothing is written.
    fn put_after(&self, expression: Expression, last: Option<u16>, sql: &mut Sql) -> Result<bool, Problem> {
        let greater = if self.descending { '<' } else { '>' };
        match last {
            Some(n) if self.nulls_follow() => {
                sql::put(sql, format_args!("({expression} {greater} ?{n} OR {expression} IS NULL)"))?;
            }
            Some(n) => sql::put(sql, format_args!("{expression} {greater} ?{n}"))?,
            None if self.nulls_first => sql::put(sql, format_args!("{expression} IS NOT NULL"))?,
            None => return Ok(false),
        }
        Ok(true)
    }

    /// Writes "not before the last row in this term", where that is a range of an index, and " AND ". It follows from
    /// the rest of the condition and is only there for the planner.
    fn put_range(&self, expression: Expression, last: Option<u16>, sql: &mut Sql) -> Result<(), Problem> {
        let greater = if self.descending { '<' } else { '>' };
        match last {
            Some(n) if !self.nulls_follow() => sql::put(sql, format_args!("{expression} {greater}= ?{n} AND ")),
            None if !self.nulls_first => sql::put(sql, format_args!("{expression} IS NULL AND ")),
            // `x <= ? OR x IS NULL` would be two index ranges and a sort: worse than walking one index from its end.
            _ => Ok(()),
        }
    }
}

/// Writes the condition that holds for exactly the rows after the last one:
/// `a >= ?1 AND (a > ?1 OR (a = ?1 AND rowid > ?2))`.
///
/// # Errors
/// A 400 when the statement grows too long.
pub fn put_condition<'n>(
    terms: &[Term], last: &[Option<u16>], expression: impl Fn(&Term) -> Expression<'n>, sql: &mut Sql,
) -> Result<(), Problem> {
    assert_eq!(terms.len(), last.len(), "each term has its last value");
    assert!(!terms.is_empty(), "an order has terms");
    if terms.len() > 1 {
        terms[0].put_range(expression(&terms[0]), last[0], sql)?;
        sql::put(sql, format_args!("("))?;
    }
    let mut open = 0;
    for (index, (term, &last)) in terms.iter().zip(last).enumerate() {
        let column = expression(term);
        let possible = term.put_after(column, last, sql)?;
        if index + 1 == terms.len() {
            if !possible {
                sql::put(sql, format_args!("0"))?;
            }
            break;
        }
        sql::put(sql, format_args!("{}", if possible { " OR (" } else { "(" }))?;
        match last {
            Some(n) => sql::put(sql, format_args!("{column} = ?{n} AND ("))?,
            None => sql::put(sql, format_args!("{column} IS NULL AND ("))?,
        }
        open += 2;
    }
    for _ in 0..open + usize::from(terms.len() > 1) {
        sql::put(sql, format_args!(")"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(column: u16, descending: bool, nulls_first: bool, nullable: bool) -> Term {
        Term { column: Some(column), descending, nulls_first, nullable }
    }

    const ROWID: Term = Term { column: None, descending: false, nulls_first: true, nullable: false };

    fn condition(terms: &[Term], last: &[Option<u16>]) -> std::string::String {
        let mut sql = Sql::new();
        let expression = |term: &Term| match term.column {
            Some(column) => Expression::Column(Ident(["a", "b"][usize::from(column)])),
            None => Expression::Rowid("rowid"),
        };
        put_condition(terms, last, expression, &mut sql).expect("fits");
        sql.as_str().to_string()
    }

    #[test]
    fn the_simple_cases_are_index_ranges() {
        assert_eq!(condition(&[ROWID], &[Some(1)]), "rowid > ?1");
        assert_eq!(
            condition(&[term(0, false, true, true), ROWID], &[Some(1), Some(2)]),
            r#""a" >= ?1 AND ("a" > ?1 OR ("a" = ?1 AND (rowid > ?2)))"#
        );
        assert_eq!(
            condition(&[term(0, true, false, false), ROWID], &[Some(1), Some(2)]),
            r#""a" <= ?1 AND ("a" < ?1 OR ("a" = ?1 AND (rowid > ?2)))"#
        );
    }

    #[test]
    fn nulls_stand_where_the_order_puts_them() {
        let cases = [
            (false, true, Some(1), r#"("a" > ?1 OR ("a" = ?1 AND (rowid > ?2)))"#, r#""a" >= ?1 AND "#),
            (false, true, None, r#"("a" IS NOT NULL OR ("a" IS NULL AND (rowid > ?2)))"#, ""),
            (true, false, Some(1), r#"(("a" < ?1 OR "a" IS NULL) OR ("a" = ?1 AND (rowid > ?2)))"#, ""),
            (true, false, None, r#"(("a" IS NULL AND (rowid > ?2)))"#, r#""a" IS NULL AND "#),
        ];
        for (descending, nulls_first, last, wanted, range) in cases {
            assert_eq!(condition(&[term(0, descending, nulls_first, true), ROWID], &[last, Some(2)]), format!("{range}{wanted}"));
        }
        assert_eq!(condition(&[term(0, true, false, true)], &[None]), "0");
    }

    #[test]
    fn order_by_names_nulls_only_where_sqlite_would_do_otherwise() {
        let order = |descending, nulls_first, nullable| {
            let mut sql = Sql::new();
            let term = term(0, descending, nulls_first, nullable);
            term.put_order(Expression::Column(Ident("a")), &mut sql).expect("fits");
            sql.as_str().to_string()
        };
        assert_eq!(order(false, true, true), r#""a""#);
        assert_eq!(order(false, false, true), r#""a" NULLS LAST"#);
        assert_eq!(order(true, false, true), r#""a" DESC"#);
        assert_eq!(order(true, true, true), r#""a" DESC NULLS FIRST"#);
        assert_eq!(order(true, true, false), r#""a" DESC"#);
    }
}
