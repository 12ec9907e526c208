//! Each cause of a failure, at each place of a batch of five: the culprit is told why, its neighbours are there exactly once.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::c_int;

use rusqlite::{Connection, ffi};

use super::*;

const SCHEMA: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER NOT NULL DEFAULT 0, u TEXT UNIQUE,
        c INTEGER CONSTRAINT small CHECK (c < 10));
    INSERT INTO t(id, u) VALUES (100, 'taken');
    CREATE TABLE pair(a, b, PRIMARY KEY (a, b)); INSERT INTO pair VALUES (1, 1);
    CREATE TABLE exact(i INTEGER) STRICT;
    CREATE TABLE child(p INTEGER REFERENCES t(id));
    CREATE TABLE later(p INTEGER REFERENCES t(id) DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE log(what TEXT);
    CREATE TABLE rule(how TEXT);
    CREATE TRIGGER aborts BEFORE INSERT ON rule WHEN new.how = 'abort' BEGIN SELECT RAISE(ABORT, 'said abort'); END;
    CREATE TRIGGER fails BEFORE INSERT ON rule WHEN new.how = 'fail' BEGIN SELECT RAISE(FAIL, 'said fail'); END;
    CREATE TRIGGER rolls BEFORE INSERT ON rule WHEN new.how = 'rollback' BEGIN SELECT RAISE(ROLLBACK, 'said rollback'); END;
    CREATE TRIGGER ignores BEFORE INSERT ON rule WHEN new.how = 'ignore' BEGIN SELECT RAISE(IGNORE); END;
    CREATE TABLE big(b BLOB)";

/// What comes before the culprit's error, and must be gone after it.
const FIRST: &str = "INSERT INTO log VALUES ('culprit');";

/// A cause: its SQL, the answer's status and slug, part of its detail, and whether it ends everybody's transaction.
type Cause = (&'static str, u16, &'static str, &'static str, bool);

const CAUSES: &[Cause] = &[
    ("INSERT INTO t(u) VALUES ('new'), ('taken')", 409, "constraint-unique", "UNIQUE constraint failed: t.u", false),
    ("INSERT INTO t(id) VALUES (100)", 409, "constraint-primary-key", "t.id", false),
    ("INSERT INTO pair VALUES (1, 1)", 409, "constraint-primary-key", "pair.a, pair.b", false),
    ("INSERT INTO t(n) VALUES (NULL)", 422, "constraint-not-null", "t.n", false),
    ("INSERT INTO t(c) VALUES (10)", 422, "constraint-check", "small", false),
    ("INSERT INTO child VALUES (7)", 422, "constraint-foreign-key", "FOREIGN KEY", false),
    ("INSERT INTO later VALUES (7)", 422, "constraint-foreign-key", "FOREIGN KEY", false),
    ("INSERT INTO exact VALUES ('x')", 422, "constraint-type", "exact.i", false),
    ("INSERT INTO t(id) VALUES ('x')", 422, "constraint-type", "mismatch", false),
    ("INSERT INTO rule VALUES ('fine'), ('abort')", 422, "constraint-trigger", "said abort", false),
    ("INSERT INTO rule VALUES ('fine'), ('fail')", 422, "constraint-trigger", "said fail", false),
    ("INSERT INTO rule VALUES ('fine'), ('rollback')", 422, "constraint-trigger", "said rollback", true),
    ("INSERT OR ABORT INTO t(u) VALUES ('a'), ('taken')", 409, "constraint-unique", "t.u", false),
    ("INSERT OR FAIL INTO t(u) VALUES ('a'), ('taken')", 409, "constraint-unique", "t.u", false),
    ("INSERT OR ROLLBACK INTO t(u) VALUES ('a'), ('taken')", 409, "constraint-unique", "t.u", true),
    ("UPDATE OR ROLLBACK t SET n = NULL", 422, "constraint-not-null", "t.n", true),
    ("INSERT INTO log VALUES (fail(10))", 503, "database-io", "disk I/O error", true),
    ("INSERT INTO log VALUES (fail(7))", 503, "sqlite-memory", "heap is too small", true),
    ("INSERT INTO log VALUES (fail(13))", 507, "disk-full", "full", true),
    // SQLite refuses the COMMIT of a transaction that has met damage.
    ("INSERT INTO log VALUES (fail(11))", 500, "database-corrupt", "malformed", true),
    ("INSERT INTO log VALUES (fail(18))", 422, "value-too-large", "KiB", false),
    ("INSERT INTO log VALUES (fail(1))", 500, "query-failed", "SQL logic error", false),
    ("INSERT INTO log SELECT json('{')", 500, "query-failed", "malformed JSON", false),
    ("INSERT INTO nowhere VALUES (1)", 500, "query-failed", "nowhere", false),
    ("CREATE TABLE late(a)", 500, "sql-not-allowed", "authorized", false),
    ("DROP TABLE t", 500, "sql-not-allowed", "authorized", false),
    ("PRAGMA foreign_keys = 0", 500, "sql-not-allowed", "authorized", false),
    ("ATTACH 'x' AS other", 500, "sql-not-allowed", "authorized", false),
    ("COMMIT", 500, "sql-not-allowed", "authorized", false),
    ("ROLLBACK TO item", 500, "sql-not-allowed", "authorized", false),
    ("VACUUM", 500, "query-failed", "transaction", false),
    ("DELETE FROM flagstone_idempotency", 500, "sql-not-allowed", "authorized", false),
    ("INSERT INTO log SELECT body FROM flagstone_idempotency", 500, "sql-not-allowed", "prohibited", false),
];

/// What looks like a failure and is none.
const GOOD: &[&str] = &[
    "INSERT INTO rule VALUES ('ignore')",
    "INSERT OR IGNORE INTO t(u) VALUES ('taken')",
    "INSERT OR REPLACE INTO t(u) VALUES ('taken')",
    "INSERT INTO later VALUES (5); INSERT OR IGNORE INTO t(id) VALUES (5)",
    "INSERT INTO log VALUES ('x'), (fail(-7)); DELETE FROM log WHERE what IS NULL OR what = 'x'",
];

thread_local! {
    /// Whether the next `fail` of a negative code fails.
    static ARMED: Cell<bool> = const { Cell::new(false) };
}

/// The SQL function `fail(code)`: the statement ends with this error; with a negative one only once.
unsafe extern "C" fn fail(context: *mut ffi::sqlite3_context, _: c_int, values: *mut *mut ffi::sqlite3_value) {
    // SAFETY: SQLite calls this with one value, as it was registered.
    let code = unsafe { ffi::sqlite3_value_int(*values) };
    if code < 0 && !ARMED.replace(false) {
        return;
    }
    match code.abs() {
        // SAFETY: the context is the running call's.
        ffi::SQLITE_NOMEM => unsafe { ffi::sqlite3_result_error_nomem(context) },
        // SAFETY: as above.
        code => unsafe { ffi::sqlite3_result_error_code(context, code) },
    }
}

fn register(conn: &Connection) {
    // SAFETY: the name lives for ever, and the function needs nothing that could go away.
    let code = unsafe {
        ffi::sqlite3_create_function_v2(
            conn.handle(),
            c"fail".as_ptr(),
            1,
            ffi::SQLITE_UTF8,
            std::ptr::null_mut(),
            Some(fail),
            None,
            None,
            None,
        )
    };
    assert_eq!(code, ffi::SQLITE_OK);
}

/// Routes `/add` for the neighbours and `/cause/N` for the list's.
fn config(causes: &[&str]) -> Config {
    let mut config = Config::new();
    add(&mut config, Verb::Post, "/add", "INSERT INTO log VALUES (:what) RETURNING what", Rows::One);
    for (number, sql) in causes.iter().enumerate() {
        add(&mut config, Verb::Post, &format!("/cause/{number}"), &format!("{FIRST} {sql}"), Rows::Many);
    }
    config
}

/// Five writes with the culprit among them.
fn five(place: usize, culprit: Ask) -> Vec<Ask> {
    let neighbour = |number: usize| post("/add", &format!(r#"{{"what": "n{number}"}}"#));
    (0..5).map(|number| if number == place { culprit.clone() } else { neighbour(number) }).collect()
}

fn check_neighbours(told: &[Told], place: usize, why: &str) {
    for (number, told) in told.iter().enumerate().filter(|&(number, _)| number != place) {
        assert_eq!((told.0, told.1.as_str()), (201, format!(r#"{{"what":"n{number}"}}"#).as_str()), "{why} at {place}: {told:?}");
    }
}

/// Everything in the log, in the order of its rows, which is then emptied.
fn take_log(path: &Path) -> Vec<String> {
    let conn = Connection::open(path).unwrap();
    let mut statement = conn.prepare("DELETE FROM log RETURNING what").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

fn neighbours(place: usize) -> Vec<String> {
    (0..5).filter(|&number| number != place).map(|number| format!("n{number}")).collect()
}

#[test]
fn a_failed_write_takes_no_neighbour_with_it() {
    let work = workspace!();
    for part in CAUSES.chunks(10) {
        let database = database(SCHEMA);
        let conn = ours(&database.path);
        register(&conn);
        let causes: Vec<&str> = part.iter().map(|cause| cause.0).collect();
        let mut config = config(&causes);
        add_route(&mut config, Verb::Put, "/own", "DELETE FROM log", |route| route.idempotent = true);
        let mut server = Server::new(&conn, work, config);
        for (number, &(sql, status, slug, detail, lost)) in part.iter().enumerate() {
            let culprit = post(&format!("/cause/{number}"), "{}");
            for place in 0..5 {
                let (told, commit) = server.run(&five(place, culprit.clone()));
                check_neighbours(&told, place, sql);
                let found = &told[place];
                assert_eq!((found.0, found.1.as_str()), (status, slug), "{sql}: {found:?}");
                assert!(found.2.contains(detail), "{sql}: {found:?}");
                assert_eq!(commit.replays > 0, lost, "{sql} at {place}: {commit:?}");
                assert!(commit.only_ours, "{sql}: {commit:?}");
                assert_eq!(take_log(&database.path), neighbours(place), "{sql} at {place}");
            }
            let alone = server.one(culprit);
            assert_eq!((alone.0, alone.1.as_str()), (status, slug), "{sql}: {alone:?}");
            assert_eq!(take_log(&database.path), [""; 0], "{sql}");
        }
        let left =
            "SELECT (SELECT group_concat(id || n || coalesce(u, '') || coalesce(c, '')) FROM t) || (SELECT count(*) FROM rule)
            || (SELECT count(*) FROM child) || (SELECT count(*) FROM later) || (SELECT count(*) FROM exact)";
        assert_eq!(committed(&database.path, left), "1000taken0000");
    }
}

#[test]
fn what_sqlite_forgives_is_written_with_the_rest() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    register(&conn);
    let mut server = Server::new(&conn, work, config(GOOD));
    for (number, sql) in GOOD.iter().enumerate() {
        for place in 0..5 {
            ARMED.set(true);
            let (told, _) = server.run(&five(place, post(&format!("/cause/{number}"), "{}")));
            check_neighbours(&told, place, sql);
            assert_eq!(told[place], (204, String::new(), String::new()), "{sql}");
            let mut log = take_log(&database.path);
            log.retain(|what| what != "culprit");
            assert_eq!(log.len(), 4, "{sql} at {place}: {log:?}");
        }
    }
}

#[test]
fn a_slow_write_is_stopped_at_its_own_deadline_and_stops_nobody() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let endless = "INSERT INTO t(n) WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k) SELECT i FROM k";
    // Reads for long, so that its stop leaves the transaction alive.
    let reading = "SELECT count(*) FROM (WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k) SELECT i FROM k)";
    let mut server = Server::new(&conn, work, config(&[endless, reading]));
    for (number, sql) in [endless, reading].into_iter().enumerate() {
        let culprit = post(&format!("/cause/{number}"), "{}").within(100_000);
        for place in [0, 2, 4] {
            let (told, _) = server.run(&five(place, culprit.clone()));
            check_neighbours(&told, place, sql);
            assert_eq!((told[place].0, told[place].1.as_str()), (504, "write-timeout"), "{sql}");
            let mut log = take_log(&database.path);
            log.sort_unstable();
            assert_eq!(log, neighbours(place));
        }
        let alone = server.one(culprit.clone());
        assert_eq!((alone.0, alone.1.as_str()), (504, "write-timeout"));
    }
    assert_eq!(committed(&database.path, "SELECT CAST(count(*) AS TEXT) FROM t"), "1");
}

#[test]
fn a_write_that_is_slower_than_its_batch_may_be_runs_alone_and_last() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    // Slower than half the time of the impatient, faster than its own.
    let slow = "SELECT count(*) FROM (WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k LIMIT 3000000) SELECT i FROM k); \
        INSERT INTO log VALUES ('slow')";
    let mut server = Server::new(&conn, work, config(&[slow]));
    let mut asked = five(1, post("/cause/0", "{}"));
    asked[3] = asked[3].clone().within(200_000);
    let (told, commit) = server.run(&asked);
    check_neighbours(&told, 1, "slow");
    assert_eq!(told[1].0, 201, "{told:?}");
    assert!(commit.replays > 0);
    assert_eq!(take_log(&database.path).last().map(String::as_str), Some("slow"));
}

#[test]
fn whoever_is_past_the_deadline_is_told_so_without_a_try() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let mut server = Server::new(&conn, work, config(&["INSERT INTO log VALUES ('never')"]));
    for place in 0..5 {
        let (told, commit) = server.run(&five(place, post("/cause/0", "{}").within(0)));
        check_neighbours(&told, place, "late");
        assert_eq!(told[place].0, 504);
        assert_eq!((commit.commits, commit.replays), (1, 0), "the others go together all the same");
        assert_eq!(take_log(&database.path), neighbours(place));
    }
}

#[test]
fn a_database_that_is_full_says_so_to_who_does_not_fit() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let pages: i64 = conn.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    conn.execute_batch(&format!("PRAGMA max_page_count = {}", pages + 1)).unwrap();
    let mut server = Server::new(&conn, work, config(&["INSERT INTO big VALUES (zeroblob(100000))"]));
    for place in 0..5 {
        let (told, _) = server.run(&five(place, post("/cause/0", "{}")));
        check_neighbours(&told, place, "full");
        assert_eq!((told[place].0, told[place].1.as_str()), (507, "disk-full"));
        assert_eq!(take_log(&database.path), neighbours(place));
    }
}

#[test]
fn a_request_that_means_nothing_touches_nothing() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let mut server = Server::new(&conn, work, config(&[]));
    let cases = [
        (post("/add", "{"), 400, "malformed-body"),
        (post("/add", r#"{"what": 1, "more": 2}"#), 400, "unknown-parameter"),
        (post("/add", "{}"), 400, "missing-parameter"),
        (post("/nowhere", "{}"), 404, "not-found"),
        (ask("PUT", "/add", "{}"), 405, "method-not-allowed"),
        (post("/add", r#"{"what": 1}"#).field("Accept: image/png"), 406, "not-acceptable"),
    ];
    for (culprit, status, slug) in cases {
        let (told, commit) = server.run(&five(2, culprit));
        check_neighbours(&told, 2, slug);
        assert_eq!((told[2].0, told[2].1.as_str()), (status, slug), "{told:?}");
        assert_eq!((commit.commits, commit.replays), (1, 0));
        assert_eq!(take_log(&database.path), neighbours(2));
    }
}
