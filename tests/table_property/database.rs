//! A real SQLite database under a planned query: fills the catalog as the back does, runs statements, walks pages.
// As in the library: the problem is returned by value.
#![allow(clippy::result_large_err)]

use flagstone::api::catalog::{Catalog, ColumnRow, TableRow};
use flagstone::api::problem::Problem;
use flagstone::api::table_query::{self, TableQuery};
use flagstone::api::value::{Bind, Value};
use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, ValueRef};

/// A value that outlives its row; reals by their bits, so that equal means the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    Null,
    Integer(i64),
    Real(u64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl Cell {
    fn of(value: ValueRef) -> Cell {
        match value {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(number) => Cell::Integer(number),
            ValueRef::Real(number) => Cell::Real(number.to_bits()),
            ValueRef::Text(text) => Cell::Text(text.to_vec()),
            ValueRef::Blob(bytes) => Cell::Blob(bytes.to_vec()),
        }
    }

    fn value(&self) -> Value<'_> {
        match self {
            Cell::Null => Value::Null,
            Cell::Integer(number) => Value::Integer(*number),
            Cell::Real(bits) => Value::Real(f64::from_bits(*bits)),
            Cell::Text(text) => Value::Text(text),
            Cell::Blob(bytes) => Value::Blob(bytes),
        }
    }
}

pub type Row = Vec<Cell>;

pub struct Database {
    pub connection: Connection,
    pub catalog: Box<Catalog>,
    query: Box<TableQuery>,
}

impl Database {
    pub fn new(script: &str) -> Database {
        let connection = Connection::open_in_memory().expect("memory");
        connection.execute_batch(script).unwrap_or_else(|error| panic!("{error}: {script}"));
        let catalog = catalog(&connection);
        Database { connection, catalog, query: Box::new(TableQuery::new()) }
    }

    /// Runs SQL that was written by hand.
    pub fn reference(&self, sql: &str) -> Vec<Row> {
        self.run(sql, &[], &[])
    }

    fn run(&self, sql: &str, binds: &[Bind], scratch: &[u8]) -> Vec<Row> {
        let mut statement = self.connection.prepare(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        assert_eq!(statement.parameter_count(), binds.len(), "{sql}");
        for (index, bind) in binds.iter().enumerate() {
            let value = match bind.value(scratch) {
                Value::Null => ValueRef::Null,
                Value::Integer(number) => ValueRef::Integer(number),
                Value::Real(number) => ValueRef::Real(number),
                Value::Text(text) => ValueRef::Text(text),
                Value::Blob(bytes) => ValueRef::Blob(bytes),
            };
            statement.raw_bind_parameter(index + 1, ToSqlOutput::Borrowed(value)).expect("a parameter");
        }
        let width = statement.column_count();
        let mut rows = statement.raw_query();
        let mut found = Vec::new();
        while let Some(row) = rows.next().unwrap_or_else(|error| panic!("{error}: {sql}")) {
            found.push((0..width).map(|at| Cell::of(row.get_ref(at).expect("a column"))).collect());
        }
        found
    }

    /// Plans one page; `table` is percent-encoded.
    pub fn plan(&mut self, table: &str, query: &str) -> Result<&TableQuery, Problem> {
        let table = table_query::find_table(&self.catalog, table.as_bytes())?;
        table_query::plan_rows(&self.catalog, table, query.as_bytes(), &mut self.query)?;
        Ok(&self.query)
    }

    /// Every page's rows one after the other, and the count that each page told.
    pub fn walk(&mut self, table: &str, query: &str, limits: &[u16]) -> (Vec<Row>, i64) {
        let mut found: Vec<Row> = Vec::new();
        let mut after = String::new();
        let mut count = None;
        for limit in limits.iter().cycle() {
            let page = format!("{query}&limit={limit}{after}");
            self.plan(table, &page).unwrap_or_else(|problem| panic!("{page}: {problem:?}"));
            let plan = &self.query;
            assert_eq!(plan.position, found.len() as u64);
            let mut rows = self.run(&plan.sql, &plan.binds, &plan.scratch);
            let counted = self.run(&plan.count_sql, &plan.binds[..plan.count_binds], &plan.scratch);
            let Cell::Integer(counted) = counted[0][0] else { panic!("a count is a number") };
            assert_eq!(*count.get_or_insert(counted), counted, "the count changed from page to page");
            let bounded = counted <= 10_000;
            assert!(!bounded || found.len() <= usize::try_from(counted).expect("positive"), "{page} repeats rows");
            let more = rows.len() > usize::from(*limit);
            rows.truncate(usize::from(*limit));
            let last = rows.last().cloned();
            let visible = plan.columns.len();
            let given = rows.len() as u64;
            found.extend(rows.into_iter().map(|mut row| {
                row.truncate(visible);
                row
            }));
            if !more {
                break;
            }
            let last = last.expect("a page with a next one has rows");
            assert_eq!(last.len(), visible + plan.trailing.len());
            let mut token: heapless::Vec<u8, 4096> = heapless::Vec::new();
            let values = last[visible..].iter().map(Cell::value);
            table_query::next_token(&self.catalog, plan, given, values, &mut token).expect("short values");
            after = format!("&after={}", std::str::from_utf8(&token).expect("base64url"));
        }
        (found, count.expect("at least one page"))
    }

    /// The rows that a key finds.
    pub fn row(&mut self, table: &str, key: &str) -> Vec<Row> {
        let table = table_query::find_table(&self.catalog, table.as_bytes()).expect("a table");
        table_query::plan_row(&self.catalog, table, key.as_bytes(), b"", &mut self.query)
            .unwrap_or_else(|problem| panic!("{key}: {problem:?}"));
        self.run(&self.query.sql, &self.query.binds, &self.query.scratch)
    }

    /// The query plan of the statement that was planned last.
    pub fn explain(&self) -> String {
        let sql = format!("EXPLAIN QUERY PLAN {}", self.query.sql);
        let rows = self.run(&sql, &self.query.binds, &self.query.scratch);
        let text = |row: &Row| match &row[3] {
            Cell::Text(text) => String::from_utf8_lossy(text).into_owned(),
            other => panic!("{other:?}"),
        };
        rows.iter().map(text).collect::<Vec<_>>().join("; ")
    }
}

/// Fills a catalog with the queries that its own page names.
fn catalog(connection: &Connection) -> Box<Catalog> {
    let mut catalog = Box::new(Catalog::new());
    let mut builder = catalog.build();
    let mut tables = connection
        .prepare(
            "SELECT name, type, wr, strict, EXISTS (SELECT 1 FROM pragma_index_list(l.name) WHERE origin = 'pk') \
             FROM pragma_table_list AS l WHERE schema = 'main' ORDER BY name",
        )
        .expect("SQL");
    let mut rows = tables.query([]).expect("tables");
    while let Some(row) = rows.next().expect("a table") {
        let name: String = row.get(0).expect("name");
        let kind: String = row.get(1).expect("type");
        builder
            .push_table(&TableRow {
                name: &name,
                kind: &kind,
                without_rowid: row.get(2).expect("wr"),
                strict: row.get(3).expect("strict"),
                key_index: row.get(4).expect("exists"),
            })
            .expect("fits");
        let mut columns = connection
            .prepare("SELECT name, type, \"notnull\", pk, hidden FROM pragma_table_xinfo(?) ORDER BY cid")
            .expect("SQL");
        let mut rows = columns.query([&name]).expect("columns");
        while let Some(row) = rows.next().expect("a column") {
            builder
                .push_column(&ColumnRow {
                    name: &row.get::<_, String>(0).expect("name"),
                    declared: &row.get::<_, String>(1).expect("type"),
                    notnull: row.get(2).expect("notnull"),
                    pk: row.get(3).expect("pk"),
                    hidden: row.get(4).expect("hidden"),
                })
                .expect("fits");
        }
    }
    builder.finish();
    catalog
}
