//! What depends on permissions: the pure decision, and real files as `nobody` when the tests run as root.

use std::os::unix::process::CommandExt;

use rusqlite::OpenFlags;

use super::*;

/// True when the caller should run its body. As root, runs the test again as nobody and reports that.
fn as_a_mere_user(test: &str) -> bool {
    if !rustix::process::geteuid().is_root() {
        return true;
    }
    // Build folders may be closed to others: run a copy.
    let folder = folder();
    chmod(folder.path(), 0o755);
    let program = folder.path().join("tests");
    fs::copy(std::env::current_exe().expect("our path"), &program).expect("copied");
    chmod(&program, 0o755);
    let output = Command::new(&program)
        .args(["--exact", &format!("start::inspect::tests::permissions::{test}"), "--nocapture"])
        .current_dir("/")
        .env("TMPDIR", "/tmp")
        .uid(65_534)
        .gid(65_534)
        .output()
        .expect("run as nobody");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    false
}

fn facts(mode: JournalMode) -> Facts {
    Facts {
        path: PathBuf::from("my data.db"),
        resolved: PathBuf::from("/srv/my data.db"),
        size: 4096,
        page_size: 4096,
        journal_mode: mode,
        application_id: 0,
        wal: None,
        shm: None,
        journal: None,
        hot_journal: false,
        side_files_readable: true,
        folder: Writable::Denied,
        file: Writable::Denied,
        uid: 1000,
        gid: 1001,
        notes: Vec::new(),
    }
}

#[test]
fn a_wal_database_in_a_closed_folder_has_two_remedies() {
    let closed = facts(JournalMode::Wal);
    let message = judge(&closed, false).expect_err("refused").message;
    assert_says(
        &message,
        &[
            "uid 1000",
            "/srv",
            "try: sudo chgrp 1001 /srv && sudo chmod g+wx /srv",
            "or:  flagstone --immutable 'my data.db'   # only while nobody writes",
        ],
    );
    let with_wal = Facts { wal: Some(8_240), ..closed.clone() };
    assert_says(&judge(&with_wal, false).expect_err("refused").message, &["ignores 8.2 kB"]);
    let mounted = Facts { folder: Writable::ReadOnlyFileSystem, ..closed.clone() };
    let message = judge(&mounted, false).expect_err("refused").message;
    assert_says(&message, &["mounted read-only", "try: flagstone --immutable", "or:  cp 'my data.db' /var/tmp/"]);
    assert!(judge(&closed, true).is_ok());
    assert!(judge(&Facts { folder: Writable::Yes, ..closed.clone() }, false).is_ok());
    assert!(judge(&Facts { wal: Some(0), shm: Some(32_768), ..closed.clone() }, false).is_ok());
    assert!(judge(&Facts { shm: Some(32_768), ..closed }, false).is_err(), "a -shm alone is not enough");
    assert!(judge(&facts(JournalMode::Rollback), false).is_ok());
}

#[test]
fn a_hot_journal_is_refused_where_it_cannot_be_rolled_back() {
    let hot = Facts { journal: Some(4_616), hot_journal: true, ..facts(JournalMode::Rollback) };
    let message = judge(&hot, false).expect_err("refused").message;
    assert_says(&message, &["rolled back", "4.6 kB", "uid 1000", "try: sudo sqlite3 '/srv/my data.db'"]);
    let open = Facts { folder: Writable::Yes, file: Writable::Yes, ..hot.clone() };
    assert!(judge(&open, false).is_ok(), "it may be that of a writer at work");
    assert!(judge(&open, true).is_err(), "which --immutable rules out");
    assert!(judge(&Facts { hot_journal: false, ..hot }, false).is_ok());
}

#[test]
fn what_is_accepted_in_a_closed_folder_sqlite_can_read() {
    if !as_a_mere_user("what_is_accepted_in_a_closed_folder_sqlite_can_read") {
        return;
    }
    // (which side files are kept, whether we should accept)
    for (mode, kept, accepted) in
        [("wal", "wal shm", true), ("wal", "wal", false), ("wal", "shm", false), ("wal", "", false), ("delete", "", true)]
    {
        let made = folder();
        let source = made.path().join("data.db");
        let connection = make(&source, mode);
        let closed = folder();
        let path = closed.path().join("data.db");
        fs::copy(&source, &path).expect("copied");
        for suffix in kept.split_whitespace() {
            fs::copy(beside(&source, &format!("-{suffix}")), beside(&path, &format!("-{suffix}"))).expect("copied");
            chmod(&beside(&path, &format!("-{suffix}")), 0o444);
        }
        chmod(&path, 0o444);
        chmod(closed.path(), 0o555);
        drop(connection);
        let ours = database(&path, false);
        let sqlite = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .and_then(|connection| connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0)));
        chmod(closed.path(), 0o755);
        assert_eq!(ours.is_ok(), accepted, "{mode} {kept}: {ours:?}");
        assert_eq!(sqlite.is_ok(), accepted, "{mode} {kept}: {sqlite:?}");
    }
}

#[test]
fn a_file_that_may_not_be_read_is_refused_with_the_owner_and_a_command() {
    if !as_a_mere_user("a_file_that_may_not_be_read_is_refused_with_the_owner_and_a_command") {
        return;
    }
    let folder = folder();
    let path = folder.path().join("data.db");
    let connection = make(&path, "wal");
    chmod(&path, 0o000);
    let uid = rustix::process::geteuid().as_raw();
    let message = refused(&path);
    assert_says(&message, &["no permission to read it", &format!("uid {uid}"), "mode 0000", "try: chmod u+r "]);
    chmod(&path, 0o644);
    chmod(&beside(&path, "-wal"), 0o000);
    assert_says(&refused(&path), &["no permission to read", "data.db-wal", "chmod u+r"]);
    chmod(folder.path(), 0o000);
    let message = refused(&path);
    chmod(folder.path(), 0o755);
    assert_says(&message, &["may not be entered", &folder.path().display().to_string(), "chmod u+x"]);
    drop(connection);
}
