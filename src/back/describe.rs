//! Reads the schema into the catalog.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ffi};

use super::sqlite_error::SqliteError;
use super::statement::{Row, Statement};
use crate::api::catalog::{Catalog, CatalogFull, ColumnRow, TableRow};

const TABLES: &str = "SELECT name, type, wr, strict, EXISTS (SELECT 1 FROM pragma_index_list(l.name) WHERE origin = 'pk') \
    FROM pragma_table_list AS l WHERE schema = 'main' ORDER BY name";
const COLUMNS: &str = "SELECT name, type, \"notnull\", pk, hidden FROM pragma_table_xinfo(?1) ORDER BY cid";

/// Why the schema could not be read.
#[derive(Debug)]
pub enum DescribeError {
    /// What SQLite said.
    Sqlite(SqliteError),
    /// More tables, columns or names than the catalog holds.
    Full(CatalogFull),
}

impl From<SqliteError> for DescribeError {
    fn from(error: SqliteError) -> DescribeError {
        DescribeError::Sqlite(error)
    }
}

impl From<CatalogFull> for DescribeError {
    fn from(full: CatalogFull) -> DescribeError {
        DescribeError::Full(full)
    }
}

/// Fills `catalog` from the schema of `conn`. A view whose query does not prepare has no columns.
///
/// # Errors
/// [`DescribeError`]; the catalog is then empty or holds a part.
pub fn describe(conn: &Connection, catalog: &mut Catalog) -> Result<(), DescribeError> {
    let mut tables = Statement::prepare(conn, TABLES)?;
    let mut columns = Statement::prepare(conn, COLUMNS)?;
    let mut builder = catalog.build();
    let mut rows = tables.rows();
    while let Some(row) = rows.next()? {
        let name = text(&row, 0)?;
        builder.push_table(&TableRow {
            name,
            kind: text(&row, 1)?,
            without_rowid: number(&row, 2) != 0,
            strict: number(&row, 3) != 0,
            key_index: number(&row, 4) != 0,
        })?;
        columns.bind(1, ValueRef::Text(name.as_bytes()))?;
        let mut described = columns.rows();
        loop {
            let row = match described.next() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                // A view on what is not there any more is the view's problem: asking for its rows says so.
                Err(error) if error.primary() == ffi::SQLITE_ERROR => break,
                Err(error) => return Err(error.into()),
            };
            builder.push_column(&ColumnRow {
                name: text(&row, 0)?,
                declared: text(&row, 1)?,
                notnull: number(&row, 2) != 0,
                pk: number(&row, 3).clamp(0, i64::from(u16::MAX)) as u16,
                hidden: number(&row, 4).clamp(0, 255) as u8,
            })?;
        }
    }
    builder.finish();
    Ok(())
}

/// The counter that every schema change raises (the header's schema cookie).
///
/// # Errors
/// What SQLite said.
pub fn schema_version(statement: &mut Statement<'_>) -> Result<i64, SqliteError> {
    let mut rows = statement.rows();
    match rows.next()? {
        Some(row) => Ok(number(&row, 0)),
        None => Ok(0),
    }
}

/// The statement for [`schema_version`].
pub const SCHEMA_VERSION: &str = "PRAGMA schema_version";

fn text<'r>(row: &Row<'r>, column: usize) -> Result<&'r str, SqliteError> {
    match row.value(column) {
        ValueRef::Text(text) => {
            std::str::from_utf8(text).map_err(|_| SqliteError::new(ffi::SQLITE_ERROR, "a name in the schema is not UTF-8"))
        }
        _ => Ok(""),
    }
}

fn number(row: &Row<'_>, column: usize) -> i64 {
    match row.value(column) {
        ValueRef::Integer(number) => number,
        _ => 0,
    }
}
