//! A database that is replaced under a running server: by rename, by another kind, by rubbish, by nothing for a while.

mod server;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use serde_json::Value;
use server::{Answer, Server, wait_for};

const OLD: &str =
    "PRAGMA journal_mode = WAL; CREATE TABLE old(id INTEGER PRIMARY KEY, a TEXT); INSERT INTO old VALUES (1, 'old')";

/// Makes a database beside the served one and renames it over it.
fn replace(server: &Server, sql: &str) {
    let made = server.folder.path().join("made.db");
    let conn = Connection::open(&made).expect("a database");
    conn.execute_batch(sql).expect("the test's SQL");
    conn.close().expect("nothing is open");
    std::fs::rename(&made, server.database()).expect("a rename in one folder");
}

fn replace_by(server: &Server, bytes: &[u8]) {
    let made = server.folder.path().join("made.db");
    std::fs::write(&made, bytes).expect("a file");
    std::fs::rename(&made, server.database()).expect("a rename in one folder");
}

/// Empties the log of a database that is about to be replaced: what stays in it would be taken for the new one's.
fn checkpoint(path: &Path) {
    let conn = Connection::open(path).expect("a database");
    let busy: i64 = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).expect("a checkpoint");
    assert_eq!(busy, 0, "the server holds no snapshot between requests");
}

fn reopens(status: &Value) -> u64 {
    status["database"]["reopens"].as_u64().expect("a counter")
}

/// What a request may get while the database changes.
fn is_fair(answer: &Answer) -> bool {
    answer.status == 200 || (answer.status == 503 && answer.field("retry-after").is_some())
}

/// Asks for `target` without a pause while `change` runs and until an answer satisfies `until`.
fn ask_throughout(server: &Server, target: &str, change: impl FnOnce(), until: impl Fn(&Answer) -> bool) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut asked = 0;
            while !stop.load(Ordering::Relaxed) {
                let answer = server.get(target);
                assert!(is_fair(&answer), "{}: {}", answer.status, answer.text());
                asked += 1;
            }
            asked
        });
        change();
        wait_for("the change is seen", || asking.is_finished() || until(&server.get(target)));
        stop.store(true, Ordering::Relaxed);
        assert!(asking.join().expect("every answer was fair") > 0);
    });
}

#[test]
fn a_renamed_in_database_is_served_within_moments_and_nothing_fails() {
    let server = Server::with(OLD);
    let cases = [
        // Another schema and page size, and WAL becomes rollback; then the other way round; then the smallest pages and the largest.
        ("PRAGMA page_size = 8192; CREATE TABLE first(b); INSERT INTO first VALUES (2)", "first", "[{\"b\":2}]"),
        ("PRAGMA journal_mode = WAL; CREATE TABLE second(b); INSERT INTO second VALUES (3)", "second", "[{\"b\":3}]"),
        ("PRAGMA page_size = 512; CREATE TABLE third(b); INSERT INTO third VALUES (4)", "third", "[{\"b\":4}]"),
        ("PRAGMA page_size = 65536; CREATE TABLE fourth(b); INSERT INTO fourth VALUES (5)", "fourth", "[{\"b\":5}]"),
    ];
    let mut before = "old".to_string();
    for (at, (sql, table, rows)) in cases.into_iter().enumerate() {
        if at % 2 == 0 {
            checkpoint(&server.database());
        }
        assert_eq!(server.get(&format!("/tables/{before}")).status, 200);
        let change = || replace(&server, sql);
        ask_throughout(&server, "/tables", change, |answer| answer.status == 200 && answer.json()[0]["name"] == table);
        assert_eq!(server.get(&format!("/tables/{table}")).text(), rows);
        assert_eq!(server.get(&format!("/tables/{before}")).status, 404);
        server.wait_for_status("each replacement is counted once", |status| reopens(status) == at as u64 + 1);
        before = table.to_string();
    }
    assert_eq!(server.get("/-/ready").status, 200);
}

#[test]
fn the_new_databases_first_writer_is_seen_like_the_olds() {
    let server = Server::with(OLD);
    checkpoint(&server.database());
    replace(&server, "PRAGMA journal_mode = WAL; CREATE TABLE new(b); INSERT INTO new VALUES (1)");
    server.wait_for_status("it is reopened", |status| reopens(status) == 1);
    for value in 2..10 {
        Connection::open(server.database()).unwrap().execute("UPDATE new SET b = ?1", [value]).unwrap();
        assert_eq!(server.get("/tables/new").text(), format!("[{{\"b\":{value}}}]"));
    }
}

#[test]
fn a_removed_database_is_served_until_there_is_another() {
    let server = Server::with(OLD);
    assert_eq!(server.get("/tables/old/1").status, 200);
    checkpoint(&server.database());
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(format!("{}{suffix}", server.database().display())).expect("a file");
    }
    // Two looks at the file's place.
    let turns = server.status()["uptime_seconds"].as_u64().expect("a number");
    server.wait_for_status("two seconds", |status| status["uptime_seconds"].as_u64() >= Some(turns + 2));
    assert_eq!(server.get("/tables/old/1").text(), r#"{"id":1,"a":"old"}"#);
    assert_eq!(reopens(&server.status()), 0);
    replace(&server, "CREATE TABLE new(b); INSERT INTO new VALUES (1)");
    wait_for("the new one is served", || server.get("/tables/new").status == 200);
    assert_eq!(reopens(&server.status()), 1);
}

#[test]
fn rubbish_is_refused_until_something_good_comes() {
    let server = Server::with(OLD);
    let mut header = vec![0; 8192];
    {
        // A header that is right and a schema that is not.
        let path = server.folder.path().join("header.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t(a)").unwrap();
        header[..100].copy_from_slice(&std::fs::read(&path).unwrap()[..100]);
    }
    let rubbish: [&[u8]; 4] = [b"not a database at all", b"", &header, &[0x55; 100_000]];
    for (at, bytes) in rubbish.into_iter().enumerate() {
        checkpoint(&server.database());
        let change = || replace_by(&server, bytes);
        ask_throughout(&server, "/tables", change, |answer| answer.status == 503);
        for target in ["/", "/tables/old", "/tables/none"] {
            let refused = server.get(target);
            assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")), "{target}: {}", refused.text());
            assert_eq!(refused.json()["type"], "tag:flagstone,2026:no-database");
        }
        assert_eq!((server.get("/-/health").status, server.get("/-/ready").status), (200, 503));
        assert_eq!(server.status()["database"]["ready"], 0);
        let good = format!("CREATE TABLE good{at}(b); INSERT INTO good{at} VALUES ({at})");
        let change = || replace(&server, &good);
        ask_throughout(&server, &format!("/tables/good{at}"), change, |answer| answer.status == 200);
        assert_eq!(server.get("/-/ready").status, 200);
    }
    server.signal(rustix::process::Signal::TERM);
    let mut server = server;
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_server_without_a_database_stops_as_asked() {
    let mut server = Server::with(OLD);
    replace_by(&server, b"rubbish");
    wait_for("it is noticed", || server.get("/tables").status == 503);
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn a_replacement_that_is_locked_is_waited_for() {
    let server = Server::with(OLD);
    checkpoint(&server.database());
    let made = server.folder.path().join("locked.db");
    let conn = Connection::open(&made).unwrap();
    conn.execute_batch("CREATE TABLE new(b); INSERT INTO new VALUES (1); BEGIN EXCLUSIVE").unwrap();
    std::fs::rename(&made, server.database()).unwrap();
    ask_throughout(&server, "/tables", || {}, |answer| answer.status == 503);
    conn.execute_batch("ROLLBACK").unwrap();
    wait_for("it is served", || server.get("/tables/new").status == 200);
}

#[test]
fn another_wal_index_beside_the_database_is_taken_up() {
    let server = Server::with(OLD);
    assert_eq!(server.get("/tables/old/1").json()["a"], "old");
    assert_eq!(server.get("/tables/old/1").field("x-cache"), Some("hit"));
    // Somebody has removed the wal-index, and the next writer has made a new one, which the server does not see through the old.
    let shm = format!("{}-shm", server.database().display());
    std::fs::remove_file(&shm).expect("the wal-index of a database that is served");
    let conn = Connection::open(server.database()).expect("a database");
    conn.execute_batch("UPDATE old SET a = 'new'").expect("a commit");
    wait_for("the commit is seen", || server.get("/tables/old/1").json()["a"] == "new");
    assert!(reopens(&server.status()) >= 1);
    conn.execute_batch("UPDATE old SET a = 'newer'").expect("a commit");
    assert_eq!(server.get("/tables/old/1").json()["a"], "newer", "and at once from now on");
}
