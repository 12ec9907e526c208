//! Databases as they are found: both journal modes, written by others, locked, in folders that may not be written. None is altered.

mod server;

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use serde_json::Value;
use server::{DEADLINE, Server, Start, binary, wait_for};

const ROWS: u64 = 50;
/// Commits that the writer makes, and answers that must have been read, before a test ends.
const COMMITS: u64 = 60;
const NOBODY: u32 = 65_534;

/// A table whose rows hold one value, all of them the same.
fn uniform(mode: &str) -> String {
    format!(
        "PRAGMA journal_mode = {mode};
         CREATE TABLE uniform(id INTEGER PRIMARY KEY, value INTEGER NOT NULL, filler TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         INSERT INTO uniform SELECT i, 0, hex(randomblob(200)) FROM n;"
    )
}

fn open(path: &Path) -> Connection {
    let conn = Connection::open(path).expect("a database");
    conn.busy_timeout(DEADLINE).expect("a connection");
    conn
}

/// The bytes of the database and its write-ahead log. Nobody in this process may have it open: closing would drop the locks.
fn bytes(path: &Path) -> (Vec<u8>, Option<Vec<u8>>) {
    (std::fs::read(path).expect("the database"), std::fs::read(beside(path, "-wal")).ok())
}

fn beside(path: &Path, suffix: &str) -> std::path::PathBuf {
    format!("{}{suffix}", path.display()).into()
}

fn number(status: &Value, pointer: &str) -> u64 {
    status.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer} in {status}"))
}

fn answers_are_committed_states(mode: &str) {
    let server = Server::with(&uniform(mode));
    let (stop, commits) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let conn = open(&server.database());
            while !stop.load(Ordering::Relaxed) {
                // Two statements, so that a state between them would show; BUSY here would mean that a reader blocked us too long.
                let half = ROWS / 2;
                conn.execute_batch(&format!(
                    "BEGIN IMMEDIATE; UPDATE uniform SET value = value + 1 WHERE id <= {half};
                     UPDATE uniform SET value = value + 1 WHERE id > {half}; COMMIT"
                ))
                .expect("the writer is never kept out");
                commits.fetch_add(1, Ordering::Relaxed);
            }
        });
        let _stop = OnDrop(&stop);
        let (mut seen, mut last) = (0, 0);
        while seen < COMMITS || commits.load(Ordering::Relaxed) < COMMITS {
            let answer = server.get("/tables/uniform?select=value");
            if mode == "DELETE" && answer.status == 503 {
                // Without a WAL a writer that never pauses may keep readers out for a whole busy timeout: said, never wrong.
                assert_eq!(answer.json()["type"], "tag:flagstone,2026:database-busy");
                assert_eq!(answer.field("retry-after"), Some("1"));
                continue;
            }
            assert_eq!(answer.status, 200, "{mode}: {}", answer.text());
            let rows = answer.json();
            let rows = rows.as_array().expect("rows");
            assert_eq!(rows.len() as u64, ROWS);
            assert!(rows.iter().all(|row| row == &rows[0]), "{mode}: a state that was never committed: {rows:?}");
            let value = rows[0]["value"].as_u64().expect("a number");
            assert!(value >= last, "{mode}: back in time");
            (last, seen) = (value, seen + 1);
        }
        assert!(last > 0);
    });
}

/// Ends the writer also when an assertion fails, so that the scope can end.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn beside_a_busy_writer_every_answer_is_a_committed_state_in_wal_mode() {
    answers_are_committed_states("WAL");
}

#[test]
fn beside_a_busy_writer_every_answer_is_a_committed_state_in_rollback_mode() {
    answers_are_committed_states("DELETE");
}

#[test]
fn an_exclusive_lock_is_waited_for_and_then_refused_with_a_time() {
    let server = Server::with(&uniform("DELETE"));
    let conn = open(&server.database());
    conn.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let before = number(&server.status(), "/requests/busy_retries");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| server.get("/tables/uniform?limit=1"));
        server.wait_for_status("the request waits", |status| number(status, "/requests/busy_retries") > before);
        // Others are served meanwhile.
        assert_eq!(server.get("/-/health").status, 200);
        assert_eq!(server.get("/-/ready").status, 200);
        assert_eq!(server.get("/nowhere").status, 404);
        let refused = waiting.join().unwrap();
        assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")), "{}", refused.text());
        assert_eq!(refused.json()["type"], "tag:flagstone,2026:database-busy");
    });
    let retries = number(&server.status(), "/requests/busy_retries") - before;
    // One every millisecond for a second; a busy machine manages fewer, none more.
    assert!((5..=1000).contains(&retries), "{retries} retries");
    assert_eq!(number(&server.status(), "/refused/busy"), 1);
    conn.execute_batch("ROLLBACK").unwrap();
    assert_eq!(server.get("/tables/uniform?limit=1").status, 200);
}

#[test]
fn a_lock_that_is_released_in_time_costs_only_the_wait() {
    let server = Server::with(&uniform("DELETE"));
    let conn = open(&server.database());
    // On a machine that stalls for a second between two steps the request is refused: then once more.
    for _ in 0..10 {
        conn.execute_batch("BEGIN EXCLUSIVE; UPDATE uniform SET value = 7").unwrap();
        let before = number(&server.status(), "/requests/busy_retries");
        let answer = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| server.get("/tables/uniform?limit=1&select=value"));
            server.wait_for_status("the request waits", |status| number(status, "/requests/busy_retries") > before);
            conn.execute_batch("COMMIT").unwrap();
            waiting.join().unwrap()
        });
        if answer.status == 200 {
            assert_eq!(answer.text(), r#"[{"value":7}]"#);
            return;
        }
        assert_eq!(answer.status, 503);
    }
    panic!("released ten times, served never");
}

#[test]
fn serving_alters_neither_the_database_nor_its_log() {
    for mode in ["DELETE", "WAL"] {
        let start = Start::new().sql(&uniform(mode));
        let path = start.folder().join("data.db");
        if mode == "WAL" {
            // Frames that are only in the log, and nobody there to move them.
            let conn = open(&path);
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
            conn.execute_batch("PRAGMA wal_autocheckpoint = 0; UPDATE uniform SET value = 3").unwrap();
        }
        let before = bytes(&path);
        assert_eq!(before.1.as_ref().is_some_and(|wal| wal.len() > 4096), mode == "WAL");
        let mut server = start.run();
        let expected = if mode == "WAL" { r#"[{"value":3}]"# } else { r#"[{"value":0}]"# };
        for _ in 0..20 {
            assert_eq!(server.get("/tables/uniform?limit=1&select=value").text(), expected);
            assert_eq!(server.get("/tables/uniform?order=filler.desc").status, 200);
            assert_eq!(server.get("/tables").status, 200);
        }
        assert_eq!(server.end().code(), Some(0));
        assert!(before == bytes(&path), "{mode}: the files differ after serving");
        assert_eq!(open(&path).query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).as_deref(), Ok("ok"));
    }
}

/// A process's locks on a file, as `first last` bytes, from its descriptors in /proc: /proc/locks alone names inodes of the file system below an
/// overlay, which no path leads to.
fn locks(pid: u32, file: &Path) -> Vec<String> {
    let descriptors = PathBuf::from(format!("/proc/{pid}/fd"));
    let is_open = |name: &OsStr| std::fs::read_link(descriptors.join(name)).is_ok_and(|target| target == file);
    let names = std::fs::read_dir(&descriptors).expect("the process runs").map(|entry| entry.expect("an entry").file_name());
    let infos = names.filter(|name| is_open(name)).map(|name| {
        std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", name.display())).expect("an open descriptor has its page")
    });
    // `lock: 1: POSIX ADVISORY READ 4007 fe:00:10043439 128 128`
    let of_line = |line: &str| {
        let fields: Vec<_> = line.strip_prefix("lock:")?.split_whitespace().collect();
        Some(format!("{} {}", fields.get(6)?, fields.get(7)?))
    };
    infos.flat_map(|info| info.lines().filter_map(of_line).collect::<Vec<_>>()).collect()
}

#[test]
fn nothing_of_ours_drops_sqlites_locks() {
    let server = Server::with(&uniform("WAL"));
    let shm = beside(&server.database(), "-shm");
    let held = "128 128".to_string();
    assert_eq!(server.get("/tables/uniform").status, 200);
    assert!(locks(server.pid(), &shm).contains(&held), "{:?}", locks(server.pid(), &shm));
    // A reader of a WAL database keeps its shared lock on the file itself, too.
    let shared = locks(server.pid(), &server.database());
    assert!(!shared.is_empty());
    let before = number(&server.status(), "/database/wal_bytes");
    open(&server.database()).execute_batch("UPDATE uniform SET value = value + 1").unwrap();
    for _ in 0..30 {
        for target in ["/", "/tables", "/tables/uniform", "/-/status", "/-/metrics", "/-/budget", "/-/health", "/-/ready"] {
            assert_eq!(server.get(target).status, 200, "{target}");
        }
    }
    // The sizes were read anew in between, which a careless server does by opening the files.
    server.wait_for_status("the log's size is read again", |status| number(status, "/database/wal_bytes") != before);
    assert!(locks(server.pid(), &shm).contains(&held), "the lock on the -shm is gone");
    assert_eq!(locks(server.pid(), &server.database()), shared, "the lock on the database is gone");
    // With the locks in place another process's last close leaves the log to us.
    assert!(beside(&server.database(), "-wal").exists());
}

/// A folder that others than its owner may search, with the binary in it; for root, who may write everywhere, another user.
fn foreign(start: Start) -> Start {
    std::fs::set_permissions(start.folder(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = start.folder().join("flagstone");
    std::fs::copy(binary(), &program).expect("a copy of the binary");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    if rustix::process::geteuid().is_root() { start.user(&program, NOBODY) } else { start }
}

/// A folder below the server's with a database that may only be read.
fn closed_folder(start: &Start, sql: &str, keep_log: bool) -> std::path::PathBuf {
    let folder = start.folder().join("closed");
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("data.db");
    let conn = open(&path);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep_log).unwrap();
    conn.execute_batch(sql).unwrap();
    drop(conn);
    for entry in std::fs::read_dir(&folder).unwrap() {
        std::fs::set_permissions(entry.unwrap().path(), PermissionsExt::from_mode(0o444)).unwrap();
    }
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o555)).unwrap();
    path
}

/// Gives the folder back its rights, so that it can be removed.
fn reopen(path: &Path) {
    std::fs::set_permissions(path.parent().unwrap(), PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn a_wal_database_in_a_closed_folder_is_served_as_immutable() {
    let start = foreign(Start::new());
    let path = closed_folder(&start, &uniform("WAL"), false);
    let names = || std::fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(names(), 1, "the log went with its last connection");
    let refused = start.output(&[path.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(66), "{said}");
    for essential in ["WAL database in a folder", "uid", "chmod", "--immutable"] {
        assert!(said.contains(essential), "{essential} is missing: {said}");
    }
    let server = start.arguments(&["--immutable"]).database(&path).run();
    assert!(server.block.contains("immutable"), "{}", server.block);
    assert_eq!(server.get("/tables/uniform?limit=1&select=value").text(), r#"[{"value":0}]"#);
    assert_eq!(names(), 1, "nothing was created beside it");
    reopen(&path);
}

#[test]
fn a_log_in_a_closed_folder_is_read_as_it_is() {
    let start = foreign(Start::new());
    let path = closed_folder(&start, &(uniform("WAL") + "UPDATE uniform SET value = 4;"), true);
    let before = bytes(&path);
    let mut server = start.database(&path).run();
    assert!(server.block.contains("note") && server.block.contains("-wal and -shm are used as they are"), "{}", server.block);
    assert_eq!(server.get("/tables/uniform?limit=1&select=value").text(), r#"[{"value":4}]"#);
    assert_eq!(server.end().code(), Some(0));
    assert!(before == bytes(&path));
    reopen(&path);
}

#[test]
fn a_rollback_database_needs_no_right_to_write() {
    let start = foreign(Start::new());
    let path = closed_folder(&start, &uniform("DELETE"), false);
    let server = start.database(&path).run();
    assert_eq!(server.get("/tables/uniform?limit=1&select=value").text(), r#"[{"value":0}]"#);
    reopen(&path);
}

#[test]
fn a_database_with_a_name_like_a_uri_is_that_file() {
    let start = Start::new();
    let path = start.folder().join("a b?mode=rw#x%41.db");
    open(&path).execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    let server = start.database(&path).run();
    assert_eq!(server.get("/tables/t").text(), r#"[{"a":1}]"#);
}

/// The database that FLAGSTONE_TEST_DATABASE names, or else one of this test's own.
#[test]
fn every_table_of_a_real_database_is_walked_whole() {
    let real = std::env::var("FLAGSTONE_TEST_DATABASE").unwrap_or_default();
    let start = Start::new();
    let path = start.folder().join("data.db");
    match std::fs::copy(&real, &path) {
        Ok(_) => std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap(),
        Err(_) => open(&path).execute_batch(&uniform("DELETE")).unwrap(),
    }
    let expected: Vec<(String, i64)> = {
        let conn = open(&path);
        let mut tables =
            conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").unwrap();
        let names: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let count = |name: &String| conn.query_row(&format!("SELECT count(*) FROM \"{name}\""), [], |row| row.get(0)).unwrap();
        names.into_iter().map(|name| (name.clone(), count(&name))).collect()
    };
    let server = start.database(&path).run();
    for (name, count) in expected {
        let mut target = format!("/tables/{}?limit=1000", name.replace(' ', "%20"));
        let mut rows = 0;
        loop {
            let page = server.get(&target);
            assert_eq!(page.status, 200, "{target}: {}", page.text());
            rows += page.json().as_array().expect("rows").len();
            match page.next() {
                Some(next) => target = next.to_string(),
                None => break,
            }
        }
        assert_eq!(rows as i64, count, "{name}");
    }
}

#[test]
fn a_start_under_a_lock_says_so() {
    let start = Start::new();
    let path = start.folder().join("locked.db");
    let conn = open(&path);
    conn.execute_batch(&uniform("DELETE")).unwrap();
    conn.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let refused = start.output(&[path.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(66), "{said}");
    assert!(said.contains("another process has locked it") && said.contains("fuser"), "{said}");
    conn.execute_batch("ROLLBACK").unwrap();
    wait_for("it starts", || start.output(&["--get", "/tables/uniform", path.to_str().unwrap()]).status.success());
}

/// A database whose writer ended in the middle of a transaction: a copy of file and journal as they are then.
fn cut_off(path: &Path, into: &Path) {
    let conn = open(path);
    // Pages spill into the file before the commit, so that the journal is needed to undo them.
    conn.execute_batch("PRAGMA cache_size = 2; BEGIN; UPDATE uniform SET value = 9, filler = hex(randomblob(400))").unwrap();
    for suffix in ["", "-journal"] {
        std::fs::copy(beside(path, suffix), beside(into, suffix)).expect("file and journal");
    }
}

#[test]
fn a_write_that_was_cut_off_is_told_apart_and_healed_by_the_next_writer() {
    let start = Start::new();
    let (made, path) = (start.folder().join("made.db"), start.folder().join("data.db"));
    open(&made).execute_batch(&uniform("DELETE")).unwrap();
    std::fs::copy(&made, &path).unwrap();
    let server = start.database(&path).run();
    assert_eq!(server.get("/tables/uniform?limit=1&select=value").text(), r#"[{"value":0}]"#);
    cut_off(&made, &path);
    for target in ["/tables/uniform", "/tables/uniform/1", "/tables", "/"] {
        let answer = server.get(target);
        assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")), "{target}: {}", answer.text());
        assert_eq!(answer.json()["type"], "tag:flagstone,2026:hot-journal");
    }
    // Another server would not start there, and says why.
    let refused = Start::new().output(&["--get", "/tables", path.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(66), "{said}");
    assert!(said.contains("a write was cut off") && said.contains("sqlite3"), "{said}");
    open(&path).query_row("SELECT count(*) FROM uniform", [], |_| Ok(())).unwrap();
    assert_eq!(server.get("/tables/uniform?limit=1&select=value").text(), r#"[{"value":0}]"#);
}
