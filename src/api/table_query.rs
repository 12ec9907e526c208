//! A query on a table, from its path segment and query string to SQL text and values to bind.

use core::cmp::Ordering;

use super::catalog::{Catalog, Key, Table};
use super::filter::Filter;
use super::keyset::{self, Expression, Parameters, Term, Terms};
use super::page::{self, Columns};
use super::parameters;
use super::percent;
use super::problem::{Echo, Problem};
use super::sql::{self, Ident, Sql};
use super::token::{self, EncodeError};
use super::value::{Bind, Scratch, Value};
use super::{BINDS, COUNT_MAX, FILTERS, KEY_COLUMNS, LIMIT_DEFAULT, NAME_BYTES, OFFSET_MAX, SCRATCH_BYTES, TOKEN_BYTES};
use crate::memory::sink::Sink;

/// The form of an answer, when `_format=` names one. Counted from 1, so that none is a zero, see [`TableQuery::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `json`
    Json = 1,
    /// `csv`
    Csv,
    /// `ndjson`
    Ndjson,
}

/// A planned query. About 40 KiB, so it belongs into a static; each planning starts it over.
pub struct TableQuery {
    /// The statement; its parameters are `?1` and on, in the order of `binds`.
    pub sql: Sql,
    /// Counts the rows that the filters let through, to one more than [`COUNT_MAX`]; empty for a single row.
    pub count_sql: Sql,
    /// The values to bind.
    pub binds: heapless::Vec<Bind, BINDS>,
    /// How many of the first binds `count_sql` takes.
    pub count_binds: usize,
    /// Where text and blob values lie.
    pub scratch: Scratch,
    /// The columns of the answer, as places among the table's visible ones; the statement's first result columns.
    pub columns: Columns,
    /// What the statement's last result columns are for: the values of the next page's token. Empty by offset.
    pub trailing: Terms,
    /// Rows of a page; the statement asks for one more, to tell whether there is a next page.
    pub limit: u16,
    /// Rows that the pages before have given.
    pub position: u64,
    /// What `_format=` asked for.
    pub format: Option<Format>,
    fingerprint: u32,
    table: usize,
    /// The parameter that is being read.
    pub(super) decoded: heapless::Vec<u8, SCRATCH_BYTES>,
}

impl TableQuery {
    /// A query that was not planned yet: all zeros, because a static with any other byte in it stands in the binary whole.
    pub const fn new() -> TableQuery {
        TableQuery {
            sql: Sql::new(),
            count_sql: Sql::new(),
            binds: heapless::Vec::new(),
            count_binds: 0,
            scratch: heapless::Vec::new(),
            columns: heapless::Vec::new(),
            trailing: heapless::Vec::new(),
            limit: 0,
            position: 0,
            format: None,
            fingerprint: 0,
            table: 0,
            decoded: heapless::Vec::new(),
        }
    }

    /// Forgets the last query, field by field: assigning a new one would put it on the stack first.
    fn start_over(&mut self, table: usize) {
        self.sql.clear();
        self.count_sql.clear();
        self.binds.clear();
        self.count_binds = 0;
        self.scratch.clear();
        self.columns.clear();
        self.trailing.clear();
        self.limit = LIMIT_DEFAULT;
        self.position = 0;
        self.format = None;
        self.fingerprint = token::FINGERPRINT_SEED;
        self.table = table;
        self.decoded.clear();
    }

    /// The place of its table in the catalog.
    pub fn table(&self) -> usize {
        self.table
    }

    fn bind(&mut self, bind: Bind) -> usize {
        self.binds.push(bind).expect("BINDS is asserted to hold filters, token, limit and offset");
        self.binds.len()
    }
}

impl Default for TableQuery {
    fn default() -> Self {
        TableQuery::new()
    }
}

/// The table that a path segment names, still percent-encoded.
///
/// # Errors
/// A 400 for a malformed escape, a 404 with the nearest name for a table that is not there.
pub fn find_table(catalog: &Catalog, segment: &[u8]) -> Result<usize, Problem> {
    let mut name: heapless::Vec<u8, NAME_BYTES> = heapless::Vec::new();
    if let Err(at) = percent::decode_path_segment(segment, &mut name) {
        // A name too long for the buffer is too long for any table that can be asked for.
        return Err(if name.is_full() { Problem::unknown_table(&name) } else { parameters::malformed_escape(segment, at) });
    }
    catalog.find_table(&name).ok_or_else(|| {
        let typed = core::str::from_utf8(&name).unwrap_or_default();
        let problem = Problem::unknown_table(&name);
        match catalog.did_you_mean_table(typed) {
            Some(near) => problem.did_you_mean(Some(near)),
            None => problem.hint(format_args!("GET /tables lists the tables")),
        }
    })
}

/// Plans `GET /tables/T?query`; `table` is what [`find_table`] gave.
///
/// # Errors
/// A 400 that says which parameter is wrong and what is allowed; `out` is then of no use.
pub fn plan_rows(catalog: &Catalog, table: usize, query: &[u8], out: &mut TableQuery) -> Result<(), Problem> {
    out.start_over(table);
    let table = catalog.table(table);
    let mut filters: heapless::Vec<Filter, FILTERS> = heapless::Vec::new();
    let mut terms = Terms::new();
    let words = parameters::read(catalog, table, query, out, Some(&mut filters))?;
    if let Some(text) = words.limit {
        parameters::decode(text, out)?;
        out.limit = page::limit(&out.decoded)?;
    }
    if let Some(text) = words.order {
        parameters::decode(text, out)?;
        page::order(catalog, table, &out.decoded, &mut terms)?;
    }
    let by_key = page::break_ties(catalog, table, &mut terms);
    if by_key {
        out.trailing.clone_from(&terms);
    }
    out.fingerprint = fingerprint(catalog, table, &terms);
    filters.sort_unstable_by(|one, other| compare_filters(one, other, &out.scratch));
    put_select(catalog, table, out)?;
    let selected = out.sql.len();
    put_from(catalog, table, out)?;
    put_filters(catalog, table, &filters, out)?;
    put_count(selected, out)?;
    if let Some(text) = words.after {
        parameters::decode(text, out)?;
        let token = token::decode(&out.decoded, out.fingerprint, out.trailing.len(), &mut out.scratch)?;
        out.position = token.position;
        if by_key {
            sql::put(&mut out.sql, format_args!("{}", if filters.is_empty() { " WHERE " } else { " AND " }))?;
            put_after(catalog, table, &token.values, out)?;
        }
    }
    put_order(catalog, table, &terms, out)?;
    let limit = out.bind(Bind::Integer(i64::from(out.limit) + 1));
    sql::put(&mut out.sql, format_args!(" LIMIT ?{limit}"))?;
    if by_key { Ok(()) } else { put_offset(out) }
}

/// Plans `GET /tables/T/KEY?query`; the key is still percent-encoded, its parts divided by commas.
///
/// # Errors
/// A 404 where rows have no key, a 400 for a key of another number of parts or a wrong parameter.
pub fn plan_row(catalog: &Catalog, table: usize, key_segment: &[u8], query: &[u8], out: &mut TableQuery) -> Result<(), Problem> {
    out.start_over(table);
    let table = catalog.table(table);
    let key = row_key(catalog, table)?;
    parameters::read(catalog, table, query, out, None)?;
    put_select(catalog, table, out)?;
    put_from(catalog, table, out)?;
    for (index, column) in key.iter().enumerate() {
        sql::put_word(&mut out.sql, if index == 0 { " WHERE " } else { " AND " })?;
        expression(catalog, table, *column).put(&mut out.sql)?;
        sql::put_word(&mut out.sql, " = ?")?;
        sql::put_word(&mut out.sql, itoa::Buffer::new().format(index + 1))?;
    }
    sql::put_word(&mut out.sql, " LIMIT 1")?;
    out.limit = 1;
    bind_row(catalog, key_segment, out)
}

/// Another key for the statement that [`plan_row`] has planned on the same catalog.
///
/// # Errors
/// A 400 for a key of another number of parts, or one that is malformed.
pub fn bind_row(catalog: &Catalog, key_segment: &[u8], out: &mut TableQuery) -> Result<(), Problem> {
    out.binds.clear();
    out.scratch.clear();
    out.decoded.clear();
    let table = catalog.table(out.table);
    let key = row_key(catalog, table)?;
    let parts = key_segment.split(|&byte| byte == b',').count();
    if parts != key.len() {
        return Err(wrong_key(catalog, table, &key, parts));
    }
    for (column, part) in key.iter().zip(key_segment.split(|&byte| byte == b',')) {
        let start = out.decoded.len();
        percent::decode_path_segment(part, &mut out.decoded).map_err(|at| parameters::malformed_escape(part, at))?;
        let text = &out.decoded[start..];
        if core::str::from_utf8(text).is_err() {
            return Err(Problem::malformed(format_args!("the key is not UTF-8")));
        }
        let bind = match column {
            Some(place) => {
                let affinity = catalog.columns(table)[usize::from(*place)].affinity;
                Bind::compared(text, affinity, false, &mut out.scratch)?
            }
            None => Bind::text(text, &mut out.scratch)?,
        };
        out.bind(bind);
    }
    Ok(())
}

/// The columns of a table's key, in order; `None` is the rowid.
fn row_key(catalog: &Catalog, table: &Table) -> Result<heapless::Vec<Option<u16>, KEY_COLUMNS>, Problem> {
    let mut key: heapless::Vec<Option<u16>, KEY_COLUMNS> = heapless::Vec::new();
    for column in catalog.primary_key(table) {
        key.push(Some(column)).map_err(|_| Problem::too_large("columns of a key", KEY_COLUMNS))?;
    }
    if key.is_empty() && matches!(table.key, Key::Rowid(_)) {
        key.push(None).expect("one column fits");
    }
    if key.is_empty() {
        let name = catalog.table_name(table);
        return Err(Problem::new(404, "no-key", "Rows have no key")
            .detail(format_args!("{} is a {} whose rows have no key", Echo(name.as_bytes()), table.kind.word()))
            .hint(format_args!("filter its rows instead, as in ?column=eq.value")));
    }
    Ok(key)
}

/// Why [`next_token`] wrote none.
#[derive(Debug, PartialEq, Eq)]
pub enum TokenError {
    /// What to tell the client: a value of the last row is too long for a token.
    Problem(Problem),
    /// The sink is full.
    Full,
}

/// Writes the token of the page after this one. `given` counts the rows that this page gave; `values` are the trailing
/// values of the last of them.
///
/// # Errors
/// [`TokenError`]: a 500 that names the column whose value is too long, or a full sink.
pub fn next_token<'v>(
    catalog: &Catalog, query: &TableQuery, given: u64, values: impl Iterator<Item = Value<'v>>, sink: &mut impl Sink,
) -> Result<(), TokenError> {
    let position = query.position.saturating_add(given);
    let place = match token::encode(query.fingerprint, position, values.take(query.trailing.len()), sink) {
        Ok(()) => return Ok(()),
        Err(EncodeError::Full) => return Err(TokenError::Full),
        Err(EncodeError::TooLong(place)) => place,
    };
    let table = catalog.table(query.table);
    let name = match query.trailing[place].column {
        Some(column) => catalog.column_name(&catalog.columns(table)[usize::from(column)]),
        None => "rowid",
    };
    Err(TokenError::Problem(
        Problem::new(500, "page-token-too-long", "Page token too long")
            .detail(format_args!(
                "the value of {} is too long to page by: at most {TOKEN_BYTES} bytes together",
                Echo(name.as_bytes())
            ))
            .hint(format_args!("order by other columns, or filter the long value out")),
    ))
}

fn wrong_key(catalog: &Catalog, table: &Table, key: &[Option<u16>], parts: usize) -> Problem {
    let name = |column: &Option<u16>| match column {
        Some(place) => catalog.column_name(&catalog.columns(table)[usize::from(*place)]),
        None => "rowid",
    };
    Problem::malformed(format_args!("the key has {} parts, not {parts}", key.len()))
        .hint(format_args!("divide the parts by commas; write %2C for a comma inside one"))
        .allow(key.iter().map(name))
}

/// Filters stand in the statement in one order, however the client wrote them: one statement, one cache key.
fn compare_filters(one: &Filter, other: &Filter, scratch: &[u8]) -> Ordering {
    let rank = |filter: &Filter| (filter.column, filter.operator, filter.negated);
    let bytes = |filter: &Filter| match filter.bind {
        Some(Bind::Text(span) | Bind::Blob(span)) => (0, span.of(scratch)),
        Some(Bind::Integer(number)) => (number.cast_unsigned(), &b""[..]),
        Some(Bind::Real(number)) => (number.to_bits(), &b""[..]),
        Some(Bind::Null) | None => (0, &b""[..]),
    };
    rank(one).cmp(&rank(other)).then_with(|| bytes(one).cmp(&bytes(other)))
}

/// What tells a token of this table and order from others.
fn fingerprint(catalog: &Catalog, table: &Table, terms: &[Term]) -> u32 {
    let mut hash = token::fingerprint(token::FINGERPRINT_SEED, catalog.table_name(table).as_bytes());
    for term in terms {
        hash = token::fingerprint(hash, &[0, u8::from(term.descending), u8::from(term.nulls_first)]);
        if let Some(place) = term.column {
            let column = &catalog.columns(table)[usize::from(place)];
            hash = token::fingerprint(hash, catalog.column_name(column).as_bytes());
        }
    }
    hash
}

/// How a column, or the rowid, is written for this table.
fn expression<'c>(catalog: &'c Catalog, table: &Table, column: Option<u16>) -> Expression<'c> {
    match (column, table.key) {
        (Some(place), _) => Expression::Column(Ident(catalog.column_name(&catalog.columns(table)[usize::from(place)]))),
        (None, Key::Rowid(alias)) => Expression::Rowid(alias),
        (None, Key::Primary | Key::None) => {
            unreachable!("only tables with a usable rowid have terms without a column")
        }
    }
}

fn put_select(catalog: &Catalog, table: &Table, out: &mut TableQuery) -> Result<(), Problem> {
    let visible = out.columns.iter().map(|&place| Some(place));
    let trailing = out.trailing.iter().map(|term| term.column);
    // A view whose query does not prepare has no columns: SQLite is to say why, and not that the list is missing.
    if out.columns.is_empty() {
        sql::put(&mut out.sql, format_args!("SELECT *"))?;
    }
    for (index, column) in visible.chain(trailing).enumerate() {
        sql::put_word(&mut out.sql, if index == 0 { "SELECT " } else { ", " })?;
        expression(catalog, table, column).put(&mut out.sql)?;
    }
    if out.sql.is_empty() {
        // A view whose query does not prepare has no columns; asked for its rows, SQLite says what is wrong with it.
        sql::put(&mut out.sql, format_args!("SELECT 1"))?;
    }
    Ok(())
}

fn put_from(catalog: &Catalog, table: &Table, out: &mut TableQuery) -> Result<(), Problem> {
    sql::put_word(&mut out.sql, " FROM ")?;
    Ident(catalog.table_name(table)).put(&mut out.sql)
}

fn put_filters(catalog: &Catalog, table: &Table, filters: &[Filter], out: &mut TableQuery) -> Result<(), Problem> {
    for (index, filter) in filters.iter().enumerate() {
        sql::put_word(&mut out.sql, if index == 0 { " WHERE " } else { " AND " })?;
        let number = filter.bind.map_or(0, |bind| out.bind(bind));
        let column = &catalog.columns(table)[usize::from(filter.column)];
        filter.put_sql(catalog.column_name(column), number, &mut out.sql)?;
    }
    out.count_binds = out.binds.len();
    Ok(())
}

/// The count takes over what the statement says after its result columns, from byte `selected` on.
fn put_count(selected: usize, out: &mut TableQuery) -> Result<(), Problem> {
    let rest = &out.sql[selected..];
    let most = COUNT_MAX + 1;
    sql::put(&mut out.count_sql, format_args!("SELECT count(*) FROM (SELECT 1{rest} LIMIT {most})"))
}

fn put_after(catalog: &Catalog, table: &Table, values: &[Bind], out: &mut TableQuery) -> Result<(), Problem> {
    let mut last = Parameters::new();
    for &value in values {
        let number = match value {
            Bind::Null => None,
            value => Some(u16::try_from(out.bind(value)).expect("BINDS is small")),
        };
        last.push(number).expect("a token has as many values as there are terms");
    }
    let expression = |term: &Term| expression(catalog, table, term.column);
    keyset::put_condition(&out.trailing, &last, expression, &mut out.sql)
}

fn put_order(catalog: &Catalog, table: &Table, terms: &[Term], out: &mut TableQuery) -> Result<(), Problem> {
    for (index, term) in terms.iter().enumerate() {
        sql::put_word(&mut out.sql, if index == 0 { " ORDER BY " } else { ", " })?;
        term.put_order(expression(catalog, table, term.column), &mut out.sql)?;
    }
    Ok(())
}

fn put_offset(out: &mut TableQuery) -> Result<(), Problem> {
    if out.position > OFFSET_MAX {
        return Err(Problem::malformed(format_args!("after= goes past row {OFFSET_MAX} of rows without a key"))
            .hint(format_args!("filter the rows, so that fewer are left to page through")));
    }
    let offset = i64::try_from(out.position).expect("just bounded");
    let number = out.bind(Bind::Integer(offset));
    sql::put(&mut out.sql, format_args!(" OFFSET ?{number}"))
}

#[cfg(test)]
mod tests;
