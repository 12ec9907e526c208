//! Real files of every kind.

mod permissions;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A database of a few pages.
fn make(path: &Path, mode: &str) -> Connection {
    let connection = Connection::open(path).expect("opened");
    let sql = format!(
        "PRAGMA page_size = 1024; PRAGMA journal_mode = {mode}; CREATE TABLE t(a);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
         INSERT INTO t SELECT hex(zeroblob(40)) FROM n;"
    );
    connection.execute_batch(&sql).expect("made");
    connection
}

fn refused(path: &Path) -> String {
    let error = database(path, false).expect_err("refused");
    assert_eq!(error.exit, 66, "{error}");
    assert!(error.message.starts_with(&path.display().to_string()), "it says where: {error}");
    assert!(error.message.contains("\n  try: "), "it ends with something to type: {error}");
    error.message
}

fn assert_says(message: &str, essentials: &[&str]) {
    for essential in essentials {
        assert!(message.contains(essential), "{essential:?} is missing in: {message}");
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

#[test]
fn a_database_tells_its_facts() {
    let folder = folder();
    let path = folder.path().join("data.db");
    drop(make(&path, "delete"));
    let facts = database(&path, false).expect("inspected");
    assert_eq!(facts.journal_mode, JournalMode::Rollback);
    assert_eq!(facts.page_size, 1024);
    assert_eq!(facts.size, fs::metadata(&path).expect("there").len());
    assert_eq!((facts.wal, facts.shm, facts.journal), (None, None, None));
    assert!(facts.folder_writable() && facts.file_writable());
    assert_eq!(facts.is_root(), rustix::process::geteuid().is_root());
    assert!(facts.notes.is_empty());
}

#[test]
fn a_wal_database_tells_its_side_files() {
    let folder = folder();
    let path = folder.path().join("data.db");
    let connection = make(&path, "wal");
    let link = folder.path().join("link");
    symlink(&path, &link).expect("linked");
    // Through the link too: SQLite keeps the -wal beside the file itself.
    for path in [&path, &link] {
        let facts = database(path, false).expect("inspected");
        assert_eq!(facts.journal_mode, JournalMode::Wal);
        assert!(facts.wal > Some(0) && facts.shm >= Some(32_768), "{facts:?}");
        assert_eq!(facts.page_size, 1024);
    }
    let facts = database(&path, true).expect("inspected");
    assert!(facts.notes.iter().any(|note| note.contains("ignores") && note.contains("-wal")), "{:?}", facts.notes);
    drop(connection);
    let facts = database(&path, false).expect("inspected");
    assert_eq!((facts.journal_mode, facts.wal, facts.shm), (JournalMode::Wal, None, None));
}

#[test]
fn the_largest_page_size_is_read_rightly() {
    let folder = folder();
    let path = folder.path().join("data.db");
    Connection::open(&path)
        .expect("opened")
        .execute_batch("PRAGMA page_size = 65536; PRAGMA application_id = 0x464C4147; CREATE TABLE t(a)")
        .expect("made");
    let facts = database(&path, false).expect("inspected");
    assert_eq!((facts.page_size, facts.application_id), (65_536, 0x464C_4147));
}

#[test]
fn looking_alters_nothing() {
    let folder = folder();
    let path = folder.path().join("data.db");
    let _connection = make(&path, "wal");
    let all =
        || -> Vec<Vec<u8>> { ["", "-wal", "-shm"].iter().map(|suffix| fs::read(beside(&path, suffix)).expect("read")).collect() };
    let before = all();
    database(&path, false).expect("inspected");
    assert!(before == all());
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 3);
}

#[test]
fn a_missing_file_leads_to_names_near_it() {
    let folder = folder();
    for name in ["data.db", "sensors.sqlite", "notes.txt", "data.db-wal"] {
        fs::write(folder.path().join(name), "x").expect("written");
    }
    let at = |name: &str| folder.path().join(name);
    let typed = |name: &str| format!("try: flagstone {}", at(name).display());
    for (name, near) in [("date.db", "data.db"), ("dtaa.db", "data.db"), ("Data.DB", "data.db"), ("sensors.db", "sensors.sqlite")]
    {
        assert_says(&refused(&at(name)), &["no such file", &format!("there is {near}"), &typed(near), "flagstone --demo"]);
    }
    let message = refused(&at("accounting.db"));
    assert_says(&message, &["nothing like it", "try: flagstone --demo"]);
    assert!(!message.contains("notes.txt"));
    assert!(!at("accounting.db").exists(), "nothing is created by a typing error");
    assert_says(&refused(&at("no/such/data.db")), &["there is no folder", "try: ls -l"]);
    assert_says(&refused(&at("data.db/x.db")), &["there is no folder"]);
    symlink(at("gone"), at("dangling.db")).expect("linked");
    assert_says(&refused(&at("dangling.db")), &["symbolic link to", "gone", "ls -l"]);
}

#[test]
fn a_folder_leads_to_the_databases_in_it() {
    let folder = folder();
    assert_says(&refused(folder.path()), &["a folder", "none of its files"]);
    for name in ["c.db", "a.sqlite3", "b.db", "d.SQLITE", "readme.md"] {
        fs::write(folder.path().join(name), "x").expect("written");
    }
    let message = refused(folder.path());
    assert_says(&message, &["a.sqlite3, b.db, c.db and 1 more", "try: flagstone ", "/a.sqlite3"]);
    assert!(!message.contains("readme.md"));
}

#[test]
fn what_is_no_database_is_named() {
    let folder = folder();
    let path = folder.path().join("data.db");
    let cases: [(&[u8], &str, &str); 5] = [
        (b"", "empty (0 bytes)", "VACUUM"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "gzip", "gunzip"),
        (b"CREATE TABLE t(a);\n", "SQL text", "sqlite3 new.db <"),
        (b"\x37\x7f\x06\x82\0\0\0\0", "-wal", "ls -l"),
        (b"SQLite format 3\0\x10\0\x01\x01", "truncated: it has 20 bytes", ".recover"),
    ];
    for (bytes, essential, typed) in cases {
        fs::write(&path, bytes).expect("written");
        assert_says(&refused(&path), &[essential, typed]);
    }
    fs::write(folder.path().join("date.db"), "x").expect("written");
    fs::write(&path, "").expect("written");
    assert_says(&refused(&path), &["there is also date.db", "try: flagstone "]);
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    assert_says(&refused(&pipe), &["not a regular file"]);
}

#[test]
fn a_truncated_database_is_named_with_both_sizes() {
    let folder = folder();
    let path = folder.path().join("data.db");
    drop(make(&path, "delete"));
    let whole = fs::read(&path).expect("read");
    fs::write(&path, &whole[..whole.len() / 2]).expect("written");
    let (counted, half) = (whole.len().to_string(), (whole.len() / 2).to_string());
    assert_says(&refused(&path), &["truncated", &counted, &half, ".recover"]);
    // With a non-empty -wal the missing pages may be there.
    fs::write(beside(&path, "-wal"), "x").expect("written");
    assert!(database(&path, false).is_ok());
    fs::remove_file(beside(&path, "-wal")).expect("removed");
    // The count does not hold when another program changed the file without knowing it.
    let mut stale = whole[..whole.len() / 2].to_vec();
    stale[27] ^= 1;
    fs::write(&path, &stale).expect("written");
    assert!(database(&path, false).is_ok());
    fs::write(&path, &stale[..512]).expect("written");
    assert_says(&refused(&path), &["truncated: a page has 1024 bytes, the whole file 512"]);
}

#[test]
fn a_damaged_or_newer_header_is_named() {
    let folder = folder();
    let path = folder.path().join("data.db");
    drop(make(&path, "delete"));
    let whole = fs::read(&path).expect("read");
    for (offset, byte, essential) in [(19, 3, "newer SQLite: its format has version 3"), (16, 3, "damaged"), (17, 9, "damaged")] {
        let mut bytes = whole.clone();
        bytes[offset] = byte;
        fs::write(&path, &bytes).expect("written");
        assert_says(&refused(&path), &[essential]);
    }
    // A newer write version alone does not hinder reading.
    let mut bytes = whole.clone();
    bytes[18] = 3;
    fs::write(&path, &bytes).expect("written");
    assert!(database(&path, false).is_ok());
}
