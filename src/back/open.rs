//! Opens the database, bounded: read-only and without a way to change the file, or to write where routes do.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use crate::budget::SQLITE_LENGTH_BYTES;

/// SQLite's own bounds: each answered by a problem that names it. Those that the parser keeps are SQLite's defaults: with less, a view that
/// others could create would make the whole schema unreadable.
const LIMITS: &[(Limit, i32)] = &[
    (Limit::SQLITE_LIMIT_LENGTH, SQLITE_LENGTH_BYTES as i32),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, SQLITE_LENGTH_BYTES as i32),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 1000),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 500),
    (Limit::SQLITE_LIMIT_VDBE_OP, 100_000),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1024),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 32),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
];

/// How to open.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Promise that nobody writes: no locks, no -wal, no -shm.
    pub immutable: bool,
    /// Whether routes write. Nobody else makes the file: it is never created.
    pub writable: bool,
    /// Page cache slots that the connection may fill.
    pub page_slots: usize,
    /// The database's page size in bytes.
    pub page_bytes: usize,
}

/// What a connection that writes has besides: WAL, so that one sync is a commit's and readers never wait; acknowledged means on disk; and
/// checkpoints are jobs of their own.
const WRITES: &str =
    "PRAGMA journal_mode = wal; PRAGMA synchronous = full; PRAGMA foreign_keys = 1; PRAGMA wal_autocheckpoint = 0";

/// Opens `path` for reading, or for writing too.
///
/// # Errors
/// What SQLite said; BUSY where another process keeps the journal mode from being changed.
pub fn open(path: &Path, how: How) -> rusqlite::Result<Connection> {
    let access = if how.writable { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let conn = Connection::open_with_flags(uri(path, how), flags)?;
    // rusqlite waits 5 s for a lock by default, asleep.
    conn.busy_timeout(std::time::Duration::ZERO)?;
    for &(limit, value) in LIMITS {
        conn.set_limit(limit, value)?;
    }
    // A connection that closes last would copy the WAL into the file, a read-only one too.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    // An eighth of the slots is left to sorters and temporary tables, whose pages come from the same arena.
    let cache_kib = how.page_slots * how.page_bytes / 1024 * 7 / 8;
    let pragmas =
        format!("PRAGMA cache_size = -{cache_kib}; PRAGMA temp_store = 1; PRAGMA cell_size_check = 1; PRAGMA mmap_size = 0");
    conn.execute_batch(&pragmas)?;
    conn.execute_batch(if how.writable { WRITES } else { "PRAGMA query_only = 1" })?;
    Ok(conn)
}

/// The path as an SQLite URI: `?`, `#` and `%` would otherwise end or change it.
fn uri(path: &Path, how: How) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str(match (how.writable, how.immutable) {
        (true, _) => "?mode=rw",
        (false, true) => "?mode=ro&immutable=1",
        (false, false) => "?mode=ro",
    });
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_file_name_opens_and_nothing_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["plain.db", "odd ?#% name.db", "ünï.db", "file:x.db"] {
            let path = folder.path().join(name);
            let seed = tempfile::Builder::new().tempfile_in(folder.path()).unwrap();
            Connection::open(seed.path()).unwrap().execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (7)").unwrap();
            std::fs::rename(seed.path(), &path).unwrap();
            let conn = open(&path, How { immutable: false, writable: false, page_slots: 100, page_bytes: 4096 }).unwrap();
            assert_eq!(conn.query_row("SELECT a FROM t", [], |row| row.get::<_, i64>(0)), Ok(7), "{name}");
            assert!(conn.execute_batch("INSERT INTO t VALUES (8)").is_err());
            assert!(conn.execute_batch("ATTACH ':memory:' AS other").is_err());
            std::fs::write(&seed, "").unwrap();
        }
    }

    #[test]
    fn what_is_opened_to_write_is_in_wal_mode_and_never_created() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let how = How { immutable: false, writable: true, page_slots: 100, page_bytes: 4096 };
        assert!(open(&path, how).is_err() && !path.exists());
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t(a)").unwrap();
        let conn = open(&path, how).unwrap();
        let read = |pragma: &str| conn.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, String>(0));
        let number = |pragma: &str| conn.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0));
        assert_eq!(read("journal_mode").as_deref(), Ok("wal"));
        assert_eq!((number("synchronous"), number("foreign_keys"), number("wal_autocheckpoint")), (Ok(2), Ok(1), Ok(0)));
        conn.execute_batch("INSERT INTO t VALUES (8)").unwrap();
    }
}
