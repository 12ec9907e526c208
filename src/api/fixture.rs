//! A small database's catalog for the tests of this folder.

use super::catalog::{Catalog, ColumnRow, TableRow};

/// `readings` (INTEGER PRIMARY KEY), `pairs` (WITHOUT ROWID, key b,a), `odd` (odd names), `latest` (a view).
pub fn catalog() -> Box<Catalog> {
    let table = |name, kind, without_rowid| TableRow { name, kind, without_rowid, strict: false, key_index: without_rowid };
    let column = |name, declared, pk| ColumnRow { name, declared, notnull: false, pk, hidden: 0 };
    let mut catalog = Box::new(Catalog::new());
    let mut builder = catalog.build();
    let tables = [
        (
            table("readings", "table", false),
            [("id", "INTEGER", 1), ("at", "TEXT", 0), ("value", "REAL", 0), ("raw", "", 0)].as_slice(),
        ),
        (table("pairs", "table", true), [("a", "TEXT", 2), ("b", "INT", 1), ("v", "", 0)].as_slice()),
        (table("odd/%\"名", "table", false), [("a.b", "TEXT", 0), ("limit", "INT", 0), ("say \"hi\"", "TEXT", 0)].as_slice()),
        (table("odd", "table", false), [("a.b", "TEXT", 0), ("limit", "INT", 0), ("say \"hi\"", "TEXT", 0)].as_slice()),
        (table("latest", "view", false), [("at", "TEXT", 0), ("value", "REAL", 0)].as_slice()),
    ];
    for (row, columns) in tables {
        builder.push_table(&row).expect("fits");
        for (name, declared, pk) in columns {
            builder.push_column(&column(name, declared, *pk)).expect("fits");
        }
    }
    builder.finish();
    catalog
}
