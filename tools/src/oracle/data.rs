//! The database of a run: how it is made, and how a group is written.

use std::path::Path;

use rusqlite::Connection;

use super::mark::{self, BULK, LEDGER_GROUPS, NOW, SCHEMA, SMALL, Version};

const MAKE: &str = "
    CREATE TABLE now(id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER, mark TEXT, base INTEGER);
    INSERT INTO now VALUES (1, 0, 'g8v0', NULL);
    CREATE TABLE ledger(k INTEGER PRIMARY KEY, version INTEGER, mark TEXT, body TEXT);
    WITH RECURSIVE n(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM n WHERE k < 63)
        INSERT INTO ledger SELECT k, 0, 'g' || (k % 8) || 'v0', 'a row' FROM n;
    CREATE TABLE bulk(k INTEGER PRIMARY KEY, version INTEGER, mark TEXT, body TEXT);
    WITH RECURSIVE n(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM n WHERE k < 1499)
        INSERT INTO bulk SELECT k, 0, 'g9v0', printf('%.200c', '.') FROM n;
    CREATE INDEX bulk_by_version ON bulk(version);
    CREATE TABLE small0(k INTEGER PRIMARY KEY, version INTEGER, mark TEXT);
    CREATE TABLE small1(k INTEGER PRIMARY KEY, version INTEGER, mark TEXT);
    CREATE TABLE small2(k TEXT PRIMARY KEY, version INTEGER, mark TEXT) WITHOUT ROWID;
    CREATE TABLE small3(k TEXT PRIMARY KEY, version INTEGER, mark TEXT) WITHOUT ROWID;
    INSERT INTO small0 VALUES (1, 0, 'g10v0'), (2, 0, 'g10v0');
    INSERT INTO small1 VALUES (1, 0, 'g11v0'), (2, 0, 'g11v0');
    INSERT INTO small2 VALUES (1, 0, 'g12v0'), (2, 0, 'g12v0');
    INSERT INTO small3 VALUES (1, 0, 'g13v0'), (2, 0, 'g13v0');
    CREATE VIEW both AS SELECT k, ledger.mark AS mark, now.mark AS at FROM ledger, now WHERE k < 16;
    CREATE VIEW four AS SELECT mark FROM small0 UNION ALL SELECT mark FROM small3 UNION ALL SELECT mark FROM now;
    CREATE TABLE poke(version INTEGER, mark TEXT);
    INSERT INTO poke VALUES (0, 'none');
    CREATE TRIGGER poked AFTER UPDATE ON poke BEGIN UPDATE small3 SET version = NEW.version, mark = NEW.mark; END;
    CREATE TABLE schema_g14v0(a);";

/// What is asked for: hot, and each with one mark at least. Next to each stands its `Accept`.
pub const TARGETS: &[(&str, &str)] = &[
    ("/tables/now", "*/*"),
    ("/tables/now?_format=csv", "*/*"),
    ("/tables/now/1", "*/*"),
    ("/tables/ledger/5", "*/*"),
    ("/tables/ledger/12?select=k,mark", "*/*"),
    ("/tables/ledger?limit=64", "*/*"),
    ("/tables/ledger?k=lt.8&select=k,mark&order=k.desc", "*/*"),
    ("/tables/ledger?mark=like.g3*", "application/x-ndjson"),
    ("/tables/bulk?limit=20", "*/*"),
    ("/tables/bulk?order=k.desc&limit=300&select=k,mark", "text/csv"),
    ("/tables/small0", "*/*"),
    ("/tables/small1", "text/csv"),
    ("/tables/small2", "application/x-ndjson"),
    ("/tables/small3/1", "*/*"),
    ("/tables/both", "*/*"),
    ("/tables/four", "*/*"),
    ("/tables", "*/*"),
];

/// Makes the database at `path`, in WAL mode or with a rollback journal.
pub fn make(path: &Path, wal: bool) -> rusqlite::Result<()> {
    let conn = Connection::open(path)?;
    conn.execute_batch(if wal { "PRAGMA journal_mode = WAL" } else { "PRAGMA journal_mode = DELETE" })?;
    conn.execute_batch(&format!("BEGIN; {MAKE} COMMIT;"))
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Update,
    DeleteAndInsert,
    Replace,
}

/// Writes every row of a group, within the caller's transaction.
pub fn write(conn: &Connection, group: usize, version: Version, poison: bool, way: Way) -> rusqlite::Result<()> {
    let mark = mark::text(group, version, poison);
    let version = if poison { -version } else { version };
    let (table, condition) = match group {
        0..LEDGER_GROUPS => ("ledger", format!("k % {LEDGER_GROUPS} = {group}")),
        NOW => ("now", "1".to_owned()),
        BULK => ("bulk", "1".to_owned()),
        SCHEMA => return rename(conn, &mark),
        _ => return write_whole(conn, &format!("small{}", group - SMALL), "1", way, version, &mark),
    };
    write_whole(conn, table, &condition, way, version, &mark)
}

fn write_whole(conn: &Connection, table: &str, condition: &str, way: Way, version: Version, mark: &str) -> rusqlite::Result<()> {
    // Names come from this file, values are a number and letters and digits: nothing to escape.
    let (key, body) = match table {
        "ledger" | "bulk" => ("k", ", body"),
        "now" => ("id", ""),
        _ => ("k", ""),
    };
    let columns = format!("{key}, version, mark{body}");
    let copy = format!(
        "CREATE TEMP TABLE kept AS SELECT {key}, {version} AS version, '{mark}' AS mark{body} FROM main.{table} WHERE {condition};"
    );
    let sql = match way {
        Way::Update => format!("UPDATE main.{table} SET version = {version}, mark = '{mark}' WHERE {condition};"),
        Way::DeleteAndInsert => format!(
            "{copy} DELETE FROM main.{table} WHERE {condition};
             INSERT INTO main.{table}({columns}) SELECT {columns} FROM kept ORDER BY {key} DESC; DROP TABLE temp.kept;"
        ),
        Way::Replace => {
            format!("{copy} INSERT OR REPLACE INTO main.{table}({columns}) SELECT {columns} FROM kept; DROP TABLE temp.kept;")
        }
    };
    conn.execute_batch(&sql)
}

/// The schema's own mark is a table's name.
fn rename(conn: &Connection, mark: &str) -> rusqlite::Result<()> {
    let old: String =
        conn.query_row("SELECT name FROM sqlite_schema WHERE name GLOB 'schema_g*' AND type = 'table'", [], |row| row.get(0))?;
    conn.execute_batch(&format!("DROP TABLE {old}; CREATE TABLE schema_{mark}(a);"))
}

/// The version of the database as this connection sees it.
pub fn version(conn: &Connection) -> rusqlite::Result<Version> {
    conn.query_row("SELECT version FROM now", [], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::mark::{GROUPS, marks};

    #[test]
    fn every_way_writes_every_row_of_its_group_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.db");
        make(&path, true).unwrap();
        let conn = Connection::open(&path).unwrap();
        let all = "SELECT group_concat(mark, ' ') FROM (SELECT mark FROM ledger UNION ALL SELECT mark FROM now UNION ALL SELECT mark
            FROM bulk UNION ALL SELECT mark FROM small0 UNION ALL SELECT mark FROM small1 UNION ALL SELECT mark FROM small2 UNION ALL
            SELECT mark FROM small3 UNION ALL SELECT name FROM sqlite_schema WHERE name GLOB 'schema_*')";
        let mut version = 0;
        for way in [Way::Update, Way::DeleteAndInsert, Way::Replace] {
            for group in 0..GROUPS {
                version += 1;
                write(&conn, group, version, false, way).unwrap();
                let text: String = conn.query_row(all, [], |row| row.get(0)).unwrap();
                let found = marks(text.as_bytes());
                let of_version: Vec<usize> = found.iter().filter(|mark| mark.version == version).map(|mark| mark.group).collect();
                assert_eq!(of_version, [group]);
                assert_eq!(found.iter().filter(|mark| mark.group == group).count(), 1, "{way:?} {group}");
            }
        }
        let rows =
            "SELECT (SELECT count(*) FROM ledger) || ' ' || (SELECT count(*) FROM bulk) || ' ' || (SELECT count(*) FROM small2)";
        assert_eq!(conn.query_row(rows, [], |row| row.get::<_, String>(0)).unwrap(), "64 1500 2");
    }
}
