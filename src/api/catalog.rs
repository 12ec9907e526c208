//! What the database holds: tables, views, columns and how their rows are addressed. Filled by the back, read by all.
//!
//! One row of each of these feeds it, tables first to last, each followed by its columns:
//!
//! ```sql
//! SELECT name, type, wr, strict,
//!        EXISTS (SELECT 1 FROM pragma_index_list(l.name) WHERE origin = 'pk')       -- TableRow::key_index
//!   FROM pragma_table_list AS l WHERE schema = 'main' ORDER BY name;
//! SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(:table) ORDER BY cid;
//! ```
//!
//! Every row may be pushed: the builder itself leaves out `sqlite_*`, our own table, shadow tables and hidden columns.

mod builder;

pub use builder::{Builder, CatalogFull, ColumnRow, TableRow};

use super::affinity::Affinity;
use super::json;
use super::{CATALOG_COLUMNS, CATALOG_NAME_BYTES, CATALOG_TABLES};
use crate::config::nearest::nearest;
use crate::memory::sink::{Full, Sink};
use crate::memory::span::Span;

/// The table in which the answers to Idempotency-Keys are kept: ours, so it shows nowhere.
pub const OWN_TABLE: &str = "flagstone_idempotency";

/// The catalog at its built size; some hundred KiB, so it belongs into a static.
pub type Catalog = CatalogOf<CATALOG_TABLES, CATALOG_COLUMNS, CATALOG_NAME_BYTES>;

/// A catalog of at most this many tables, columns and bytes of names.
pub struct CatalogOf<const TABLES: usize, const COLUMNS: usize, const NAMES: usize> {
    names: heapless::String<NAMES>,
    tables: heapless::Vec<Table, TABLES>,
    columns: heapless::Vec<Column, COLUMNS>,
}

/// What a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An ordinary table.
    Table,
    /// A view.
    View,
    /// A virtual table.
    Virtual,
}

impl Kind {
    /// The word for it in listings.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Table => "table",
            Kind::View => "view",
            Kind::Virtual => "virtual",
        }
    }
}

/// How a table's rows are put in one order that has no ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// By rowid, under the name that no column shadows.
    Rowid(&'static str),
    /// By the primary key's columns.
    Primary,
    /// There is no such order; pages go by offset.
    None,
}

/// A table or view.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    name: Span,
    first_column: u16,
    column_count: u16,
    /// What it is.
    pub kind: Kind,
    /// Whether it was declared WITHOUT ROWID.
    pub without_rowid: bool,
    strict: bool,
    key_index: bool,
    /// How many columns the primary key has.
    pub primary_columns: u16,
    /// How its rows are paged.
    pub key: Key,
    /// Whether it is served; the others are known only to be told apart.
    pub exposed: bool,
}

/// A visible column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    name: Span,
    declared: Span,
    /// What it does to values compared with it.
    pub affinity: Affinity,
    /// Whether it never holds NULL: declared so, the rowid under another name, or part of a WITHOUT ROWID key.
    pub never_null: bool,
    /// Whether it was declared NOT NULL.
    pub notnull: bool,
    /// Its place in the primary key, from 1; 0 when it is not part of it.
    pub pk: u16,
    /// Whether it is the rowid under another name (INTEGER PRIMARY KEY).
    pub is_rowid: bool,
}

impl<const TABLES: usize, const COLUMNS: usize, const NAMES: usize> CatalogOf<TABLES, COLUMNS, NAMES> {
    /// An empty catalog.
    pub const fn new() -> Self {
        CatalogOf { names: heapless::String::new(), tables: heapless::Vec::new(), columns: heapless::Vec::new() }
    }

    /// Empties the catalog and begins to fill it.
    pub fn build(&mut self) -> Builder<'_, TABLES, COLUMNS, NAMES> {
        self.clear();
        Builder { catalog: self, skipping: true }
    }

    fn clear(&mut self) {
        self.names.clear();
        self.tables.clear();
        self.columns.clear();
    }

    /// All tables and views, in the order in which they were pushed.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The table at `index`, which came from [`Self::find_table`].
    pub fn table(&self, index: usize) -> &Table {
        &self.tables[index]
    }

    /// A table's visible columns in their order.
    pub fn columns(&self, table: &Table) -> &[Column] {
        let first = usize::from(table.first_column);
        &self.columns[first..first + usize::from(table.column_count)]
    }

    /// A table's name.
    pub fn table_name(&self, table: &Table) -> &str {
        &self.names[table.name.range()]
    }

    /// A column's name.
    pub fn column_name(&self, column: &Column) -> &str {
        &self.names[column.name.range()]
    }

    /// A column's type as it was declared; may be empty.
    pub fn declared_type(&self, column: &Column) -> &str {
        &self.names[column.declared.range()]
    }

    /// The names of a table's visible columns.
    pub fn column_names(&self, table: &Table) -> impl Iterator<Item = &str> {
        self.columns(table).iter().map(|column| self.column_name(column))
    }

    /// Serves the tables whose names `wanted` likes, and no others.
    pub fn expose(&mut self, wanted: impl Fn(&str) -> bool) {
        for table in &mut self.tables {
            table.exposed = wanted(&self.names[table.name.range()]);
        }
    }

    /// The tables and views that are served, in their order.
    pub fn exposed(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().filter(|table| table.exposed)
    }

    /// The index of the served table of this name; like SQLite, ASCII letters without case.
    pub fn find_table(&self, name: &[u8]) -> Option<usize> {
        self.tables.iter().position(|table| table.exposed && self.table_name(table).as_bytes().eq_ignore_ascii_case(name))
    }

    /// The place of the column of this name among the table's visible ones; ASCII letters without case.
    pub fn find_column(&self, table: &Table, name: &[u8]) -> Option<u16> {
        let place = self.column_names(table).position(|column| column.as_bytes().eq_ignore_ascii_case(name))?;
        u16::try_from(place).ok()
    }

    /// The columns of the table's primary key, in the key's order, as places among its visible columns.
    pub fn primary_key(&self, table: &Table) -> impl Iterator<Item = u16> {
        let columns = self.columns(table);
        (1..=table.primary_columns).filter_map(move |pk| {
            let place = columns.iter().position(|column| column.pk == pk)?;
            u16::try_from(place).ok()
        })
    }

    /// The table whose name is nearest to what was typed.
    pub fn did_you_mean_table(&self, typed: &str) -> Option<&str> {
        nearest(typed, self.exposed().map(|table| self.table_name(table)))
    }

    /// The table's column whose name is nearest to what was typed.
    pub fn did_you_mean_column(&self, table: &Table, typed: &str) -> Option<&str> {
        nearest(typed, self.column_names(table))
    }

    /// Writes `[{name, type, columns: [{name, type, notnull, pk}]}]`.
    pub fn put_json(&self, sink: &mut impl Sink) -> Result<(), Full> {
        sink.put(b"[")?;
        for (index, table) in self.exposed().enumerate() {
            sink.put(if index == 0 { br#"{"name":"# } else { br#",{"name":"# })?;
            json::put_string(sink, self.table_name(table).as_bytes())?;
            sink.put(br#","type":""#)?;
            sink.put(table.kind.word().as_bytes())?;
            sink.put(br#"","columns":["#)?;
            for (place, column) in self.columns(table).iter().enumerate() {
                sink.put(if place == 0 { br#"{"name":"# } else { br#",{"name":"# })?;
                json::put_string(sink, self.column_name(column).as_bytes())?;
                sink.put(br#","type":"#)?;
                json::put_string(sink, self.declared_type(column).as_bytes())?;
                sink.put(if column.notnull { br#","notnull":true,"pk":"# } else { br#","notnull":false,"pk":"# })?;
                sink.put(itoa::Buffer::new().format(column.pk).as_bytes())?;
                sink.put(b"}")?;
            }
            sink.put(b"]}")?;
        }
        sink.put(b"]")
    }
}

impl<const TABLES: usize, const COLUMNS: usize, const NAMES: usize> Default for CatalogOf<TABLES, COLUMNS, NAMES> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Small = CatalogOf<3, 5, 64>;

    fn table<'a>(name: &'a str, kind: &'a str) -> TableRow<'a> {
        TableRow { name, kind, without_rowid: false, strict: false, key_index: false }
    }

    fn column<'a>(name: &'a str, declared: &'a str, pk: u16) -> ColumnRow<'a> {
        ColumnRow { name, declared, notnull: false, pk, hidden: 0 }
    }

    #[test]
    fn the_listing_is_json() {
        let mut catalog = Small::new();
        let mut builder = catalog.build();
        builder.push_table(&table("a \"b\"", "table")).expect("fits");
        builder.push_column(&column("id", "INTEGER", 1)).expect("fits");
        builder.push_column(&ColumnRow { notnull: true, ..column("n", "", 0) }).expect("fits");
        builder.push_table(&table("v", "view")).expect("fits");
        builder.finish();
        let mut sink: heapless::Vec<u8, 512> = heapless::Vec::new();
        catalog.put_json(&mut sink).expect("fits");
        let wanted = r#"[{"name":"a \"b\"","type":"table","columns":[{"name":"id","type":"INTEGER","notnull":false,"pk":1},"#
            .to_string()
            + r#"{"name":"n","type":"","notnull":true,"pk":0}]},{"name":"v","type":"view","columns":[]}]"#;
        assert_eq!(std::str::from_utf8(&sink), Ok(wanted.as_str()));

        catalog.expose(|name| name == "v");
        sink.clear();
        catalog.put_json(&mut sink).expect("fits");
        assert_eq!(std::str::from_utf8(&sink), Ok(r#"[{"name":"v","type":"view","columns":[]}]"#));
        assert_eq!((catalog.find_table(b"a \"b\""), catalog.find_table(b"V")), (None, Some(1)));
        assert_eq!(catalog.did_you_mean_table("a \"bb\""), None, "what is not served is not told");
    }
}
