//! Fills a catalog from the database's own description of itself, and decides how rows are addressed.

use super::super::affinity::Affinity;
use super::{CatalogOf, Column, Key, Kind, OWN_TABLE, Table};
use crate::memory::span::Span;

/// A row of `pragma_table_list`.
#[derive(Clone, Copy, Debug)]
pub struct TableRow<'a> {
    /// `name`
    pub name: &'a str,
    /// `type`: table, view, virtual or shadow.
    pub kind: &'a str,
    /// `wr`
    pub without_rowid: bool,
    /// `strict`
    pub strict: bool,
    /// Whether the primary key has an index of its own; an INTEGER PRIMARY KEY that is the rowid has none.
    pub key_index: bool,
}

/// A row of `pragma_table_xinfo`.
#[derive(Clone, Copy, Debug)]
pub struct ColumnRow<'a> {
    /// `name`
    pub name: &'a str,
    /// `type`
    pub declared: &'a str,
    /// `notnull`
    pub notnull: bool,
    /// `pk`
    pub pk: u16,
    /// `hidden`: 1 is hidden, 2 and 3 are generated columns.
    pub hidden: u8,
}

/// The database has more than the catalog's fixed size; the catalog is empty again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatalogFull {
    /// What there is too much of: tables, columns or bytes of names.
    pub what: &'static str,
    /// How many there may be.
    pub limit: usize,
}

/// Fills a catalog; see the module's first page for the rows that it wants.
pub struct Builder<'c, const TABLES: usize, const COLUMNS: usize, const NAMES: usize> {
    pub(super) catalog: &'c mut CatalogOf<TABLES, COLUMNS, NAMES>,
    /// Whether the last table is left out, and its columns with it.
    pub(super) skipping: bool,
}

impl<const TABLES: usize, const COLUMNS: usize, const NAMES: usize> Builder<'_, TABLES, COLUMNS, NAMES> {
    /// Adds a table or view; its columns follow. `sqlite_*`, our own and shadow tables are left out, their columns too.
    ///
    /// # Errors
    /// [`CatalogFull`] when there are too many tables or bytes of names.
    pub fn push_table(&mut self, row: &TableRow) -> Result<(), CatalogFull> {
        let kind = match row.kind {
            "table" => Some(Kind::Table),
            "view" => Some(Kind::View),
            "virtual" => Some(Kind::Virtual),
            _ => None,
        };
        let internal = row.name.as_bytes().get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"sqlite_"));
        let own = internal || row.name.eq_ignore_ascii_case(OWN_TABLE);
        self.skipping = own || kind.is_none();
        let Some(kind) = kind.filter(|_| !self.skipping) else {
            return Ok(());
        };
        let name = self.push_name(row.name)?;
        let first_column = u16::try_from(self.catalog.columns.len()).expect("columns are counted in 16 bits");
        let table = Table {
            name,
            first_column,
            column_count: 0,
            kind,
            without_rowid: row.without_rowid,
            strict: row.strict,
            key_index: row.key_index,
            primary_columns: 0,
            key: Key::None,
            exposed: true,
        };
        self.catalog.tables.push(table).map_err(|_| ()).or_else(|()| self.full("tables", TABLES))
    }

    /// Adds a column to the last table, unless it is hidden.
    ///
    /// # Errors
    /// [`CatalogFull`] when there are too many columns or bytes of names.
    pub fn push_column(&mut self, row: &ColumnRow) -> Result<(), CatalogFull> {
        if self.skipping || row.hidden == 1 {
            return Ok(());
        }
        let name = self.push_name(row.name)?;
        let declared = self.push_name(row.declared)?;
        let table = self.catalog.tables.last_mut().expect("not skipping means that a table was pushed");
        // In a STRICT table ANY means "as it is"; elsewhere it is a word like any other, and so NUMERIC.
        let any = table.strict && row.declared.eq_ignore_ascii_case("ANY");
        let column = Column {
            name,
            declared,
            affinity: if any { Affinity::Blob } else { Affinity::of(row.declared) },
            never_null: row.notnull || (table.without_rowid && row.pk > 0),
            notnull: row.notnull,
            pk: row.pk,
            is_rowid: false,
        };
        table.column_count += 1;
        table.primary_columns = table.primary_columns.max(row.pk);
        self.catalog.columns.push(column).map_err(|_| ()).or_else(|()| self.full("columns", COLUMNS))
    }

    /// Ends the filling: decides how each table's rows are addressed.
    pub fn finish(self) {
        let CatalogOf { names, tables, columns } = self.catalog;
        for table in tables {
            let first = usize::from(table.first_column);
            let columns = &mut columns[first..first + usize::from(table.column_count)];
            let has_rowid = table.kind != Kind::View && !table.without_rowid;
            let is_rowid = |column: &Column| {
                let declared = &names[column.declared.range()];
                column.pk == 1 && declared.eq_ignore_ascii_case("INTEGER")
            };
            if table.kind == Kind::Table && has_rowid && table.primary_columns == 1 && !table.key_index {
                for column in columns.iter_mut().filter(|column| is_rowid(column)) {
                    column.is_rowid = true;
                    column.never_null = true;
                }
            }
            let shadowed = |alias: &str| columns.iter().any(|column| names[column.name.range()].eq_ignore_ascii_case(alias));
            let alias = ["rowid", "_rowid_", "oid"].into_iter().find(|alias| !shadowed(alias));
            let by_primary = table.without_rowid || columns.iter().any(|column| column.is_rowid);
            table.key = match alias {
                Some(alias) if has_rowid => Key::Rowid(alias),
                _ if by_primary && table.primary_columns > 0 => Key::Primary,
                _ => Key::None,
            };
        }
    }

    fn push_name(&mut self, name: &str) -> Result<Span, CatalogFull> {
        let start = self.catalog.names.len();
        if self.catalog.names.push_str(name).is_err() {
            return self.full("bytes of names", NAMES);
        }
        Ok(Span::between(start, self.catalog.names.len()))
    }

    fn full<T>(&mut self, what: &'static str, limit: usize) -> Result<T, CatalogFull> {
        self.catalog.clear();
        self.skipping = true;
        Err(CatalogFull { what, limit })
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
    fn what_is_internal_or_hidden_never_shows() {
        let mut catalog = Small::new();
        let mut builder = catalog.build();
        for (name, kind) in [("SQLite_sequence", "table"), (OWN_TABLE, "table"), ("docs_data", "shadow"), ("docs", "virtual")] {
            builder.push_table(&table(name, kind)).expect("fits");
            builder.push_column(&column("body", "", 0)).expect("fits");
            builder.push_column(&ColumnRow { hidden: 1, ..column("rank", "", 0) }).expect("fits");
        }
        builder.finish();
        assert_eq!(catalog.tables().len(), 1);
        assert_eq!(catalog.find_table(b"DOCS"), Some(0));
        assert_eq!(catalog.find_table(b"docs_data"), None);
        assert_eq!(catalog.find_column(catalog.table(0), b"rank"), None);
        assert_eq!(catalog.find_column(catalog.table(0), b"Body"), Some(0));
    }

    #[test]
    fn rows_are_addressed_by_what_no_column_shadows() {
        let keyed = |row: TableRow, columns: &[ColumnRow]| {
            let mut catalog = Small::new();
            let mut builder = catalog.build();
            builder.push_table(&row).expect("fits");
            columns.iter().for_each(|column| builder.push_column(column).expect("fits"));
            builder.finish();
            let table = *catalog.table(0);
            (table.key, catalog.columns(&table).iter().any(|column| column.is_rowid))
        };
        let plain = table("t", "table");
        let without = TableRow { without_rowid: true, key_index: true, ..plain };
        let indexed = TableRow { key_index: true, ..plain };
        let shadows = [column("RowID", "", 0), column("_rowid_", "", 0), column("oid", "INTEGER", 1)];
        assert_eq!(keyed(plain, &[column("a", "", 0)]), (Key::Rowid("rowid"), false));
        assert_eq!(keyed(plain, &[column("a", "integer", 1)]), (Key::Rowid("rowid"), true));
        assert_eq!(keyed(plain, &[column("a", "INT", 1)]), (Key::Rowid("rowid"), false));
        assert_eq!(keyed(indexed, &[column("a", "INTEGER", 1)]), (Key::Rowid("rowid"), false));
        assert_eq!(keyed(plain, &shadows[..1]), (Key::Rowid("_rowid_"), false));
        assert_eq!(keyed(plain, &shadows[..2]), (Key::Rowid("oid"), false));
        assert_eq!(keyed(plain, &shadows), (Key::Primary, true));
        assert_eq!(keyed(indexed, &shadows), (Key::None, false));
        assert_eq!(keyed(without, &[column("a", "INTEGER", 1)]), (Key::Primary, false));
        assert_eq!(keyed(table("v", "view"), &[column("a", "", 0)]), (Key::None, false));
    }

    #[test]
    fn a_full_catalog_names_its_limit_and_is_empty() {
        let mut catalog = Small::new();
        let mut builder = catalog.build();
        let long = "x".repeat(65);
        assert_eq!(builder.push_table(&table(&long, "table")), Err(CatalogFull { what: "bytes of names", limit: 64 }));
        for name in ["a", "b", "c"] {
            assert_eq!(builder.push_table(&table(name, "table")), Ok(()));
        }
        assert_eq!(builder.push_table(&table("d", "table")), Err(CatalogFull { what: "tables", limit: 3 }));
        assert_eq!(builder.push_table(&table("e", "table")), Ok(()));
        for _ in 0..5 {
            assert_eq!(builder.push_column(&column("a", "", 0)), Ok(()));
        }
        assert_eq!(builder.push_column(&column("a", "", 0)), Err(CatalogFull { what: "columns", limit: 5 }));
        builder.finish();
        assert!(catalog.tables().is_empty());
    }
}
