//! What the authorizer names, and what it allows.

use super::*;

const SCHEMA: &str = "CREATE TABLE t(a INTEGER, at TEXT DEFAULT CURRENT_TIMESTAMP);
    CREATE TABLE made(at TEXT DEFAULT (datetime('now')), by INTEGER DEFAULT (random()),
        day TEXT GENERATED ALWAYS AS (date(at)), month TEXT AS (strftime('%m', at)) STORED);
    CREATE VIEW plain AS SELECT a, upper(at) AS at FROM t;
    CREATE VIEW today AS SELECT * FROM t WHERE at > date('now');
    CREATE VIEW nested AS SELECT a FROM (SELECT * FROM today) WHERE a > 1;
    CREATE VIEW tables AS SELECT name FROM sqlite_schema;
    CREATE VIRTUAL TABLE words USING fts5(text);
    INSERT INTO t(a) VALUES (1), (2)";

fn schema() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(SCHEMA).unwrap();
    conn
}

fn uses(conn: &Connection, authorizer: &Authorizer, sql: &str) -> Uses {
    authorizer.reset();
    conn.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    authorizer.uses()
}

#[test]
fn statements_that_may_change_without_a_commit_are_known() {
    let conn = schema();
    let authorizer = Authorizer::new(&conn);
    let cases: &[(&str, bool)] = &[
        ("SELECT a FROM t WHERE a BETWEEN 1 AND 2", false),
        ("SELECT at FROM t", false),
        ("SELECT * FROM plain", false),
        // What a column's declaration calls is not called by reading it.
        ("SELECT at, by FROM made", false),
        ("SELECT * FROM made WHERE day > '2024' ORDER BY by, month", false),
        ("SELECT day, date(day) FROM made", true),
        ("SELECT by FROM made WHERE by > random()", true),
        ("SELECT count(*), max(a), group_concat(at), json_array(a), printf('%d', a), like('x', at) FROM t", false),
        ("SELECT value FROM json_each('[1,2]')", false),
        ("SELECT row_number() OVER (ORDER BY a) FROM t", false),
        ("SELECT date('now')", true),
        // By its name alone: that this one is a function of a column is more than the authorizer tells.
        ("SELECT date(at) FROM t", true),
        ("SELECT DateTime(at) FROM t", true),
        ("SELECT time('now')", true),
        ("SELECT julianday('now')", true),
        ("SELECT unixepoch()", true),
        ("SELECT strftime('%s', 'now')", true),
        ("SELECT timediff('now', at) FROM t", true),
        ("SELECT CURRENT_DATE", true),
        ("SELECT current_time", true),
        ("SELECT Current_Timestamp", true),
        ("SELECT a FROM t ORDER BY random()", true),
        ("SELECT randomblob(4)", true),
        ("SELECT changes()", true),
        ("SELECT total_changes()", true),
        ("SELECT last_insert_rowid()", true),
        ("SELECT * FROM today", true),
        ("SELECT a FROM nested", true),
        ("SELECT count(*) FROM nested", true),
        ("WITH n AS (SELECT a FROM nested) SELECT 1 WHERE EXISTS (SELECT * FROM n)", true),
        ("SELECT a FROM t WHERE at < (SELECT max(at) FROM today)", true),
        ("SELECT a FROM t UNION SELECT random()", true),
        ("SELECT * FROM pragma_data_version", true),
        ("SELECT count(*) FROM pragma_cache_size", true),
    ];
    for &(sql, volatile) in cases {
        assert_eq!(uses(&conn, &authorizer, sql).volatile, volatile, "{sql}");
    }
}

#[test]
fn the_librarys_own_names_have_lasting_places() {
    let conn = Connection::open_in_memory().unwrap();
    let authorizer = Authorizer::new(&conn);
    for ((name, call), own) in VOLATILE.iter().zip(authorizer.record.own.get()) {
        assert_eq!(own != 0, !call.is_empty(), "{}: columns' defaults would count", name.escape_ascii());
    }
    assert_eq!(authorizer.uses(), Uses::default());
}

#[test]
fn virtual_and_internal_tables_depend_on_everything() {
    let conn = schema();
    let authorizer = Authorizer::new(&conn);
    authorizer.set_virtual(["words"].into_iter());
    let cases: &[(&str, bool)] = &[
        ("SELECT a FROM t", false),
        ("SELECT * FROM plain", false),
        ("SELECT value FROM json_each('[1]')", false),
        ("SELECT * FROM words", true),
        ("SELECT count(*) FROM Words", true),
        ("SELECT rowid FROM words WHERE words MATCH 'x'", true),
        ("SELECT * FROM words_data", true),
        ("SELECT * FROM sqlite_schema", true),
        ("SELECT * FROM tables", true),
        ("SELECT * FROM dbstat", true),
    ];
    for &(sql, everything) in cases {
        assert_eq!(uses(&conn, &authorizer, sql).everything, everything, "{sql}");
    }
    let many: Vec<String> = (0..=VIRTUAL_TABLES).map(|number| format!("v{number}")).collect();
    authorizer.set_virtual(many.iter().map(String::as_str));
    assert!(uses(&conn, &authorizer, "SELECT a FROM t").everything, "a list that is full is no list");
    authorizer.set_virtual(std::iter::empty());
    assert!(!uses(&conn, &authorizer, "SELECT a FROM t").everything);
}

/// The list is held against the library's own: what it does not call deterministic is on ours.
#[test]
fn every_function_that_sqlite_calls_changeable_is_on_the_list() {
    const DETERMINISTIC: i64 = 0x800;
    // Constant for as long as the process runs.
    const CONSTANT: &[&[u8]] =
        &[b"sqlite_version", b"sqlite_source_id", b"sqlite_compileoption_used", b"sqlite_compileoption_get", b"fts5_source_id"];
    // Functions of the full-text and R-tree tables' own rows, and of their arguments.
    const OF_ROWS: &[&[u8]] = &[
        b"bm25",
        b"highlight",
        b"snippet",
        b"matchinfo",
        b"offsets",
        b"optimize",
        b"fts5",
        b"fts5_get_locale",
        b"fts5_insttoken",
        b"fts5_locale",
        b"fts3_tokenizer",
        b"match",
        b"rtreecheck",
        b"rtreedepth",
        b"rtreenode",
    ];
    let conn = Connection::open_in_memory().unwrap();
    let mut functions =
        conn.prepare("SELECT DISTINCT name FROM pragma_function_list WHERE NOT flags & ?1 AND type = 's'").unwrap();
    let names: Vec<String> =
        functions.query_map([DETERMINISTIC], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
    assert!(names.iter().any(|name| name == "random"), "{names:?}");
    for name in names {
        let volatile = VOLATILE.iter().any(|(known, _)| *known == name.as_bytes());
        let known = [CONSTANT, OF_ROWS].iter().any(|list| is_one_of(name.as_bytes(), list));
        assert!(volatile || known, "{name} is neither known as volatile nor as constant");
    }
}

#[test]
fn a_statement_that_is_prepared_anew_is_seen_and_a_guard_that_is_gone_sees_nothing() {
    let conn = schema();
    let authorizer = Authorizer::new(&conn);
    let mut statement = conn.prepare("SELECT * FROM plain").unwrap();
    assert!(!authorizer.uses().volatile);
    conn.execute_batch("DROP VIEW plain; CREATE VIEW plain AS SELECT a, random() AS at FROM t").unwrap();
    authorizer.reset();
    assert!(statement.query([]).unwrap().next().unwrap().is_some());
    assert!(authorizer.uses().volatile, "stepping prepared it anew");
    let record = Rc::clone(&authorizer.record);
    drop(authorizer);
    record.uses.set(Uses::default());
    conn.prepare("SELECT random()").unwrap();
    assert_eq!(record.uses.get(), Uses::default());
}

#[test]
fn a_configurations_sql_may_do_what_is_on_its_list() {
    let conn = schema();
    conn.execute_batch(
        "CREATE VIRTUAL TABLE area USING rtree(id, x0, x1); INSERT INTO area VALUES (1, 2, 3); INSERT INTO words VALUES ('some');
        CREATE TABLE flagstone_idempotency(key)",
    )
    .unwrap();
    conn.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).unwrap();
    let authorizer = Authorizer::new(&conn);
    authorizer.set_virtual(["words", "area"].into_iter());
    // What may be read, what may be written, and what may not be done.
    let (read, write, nothing) = (0, 1, 2);
    let cases: &[(&str, usize)] = &[
        ("SELECT a FROM t", read),
        ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3) SELECT upper(i) FROM n", read),
        ("SELECT * FROM words WHERE words MATCH 'some'", read),
        ("SELECT id FROM area WHERE x0 > 1", read),
        ("SELECT value FROM json_each('[1]')", read),
        ("SELECT name FROM sqlite_schema", read),
        ("INSERT INTO t(a) VALUES (3)", write),
        ("INSERT INTO t(a) VALUES (3) ON CONFLICT DO NOTHING RETURNING a", write),
        ("UPDATE t SET a = 4", write),
        ("DELETE FROM t", write),
        ("INSERT INTO words VALUES ('more')", write),
        ("INSERT INTO area VALUES (2, 2, 3)", write),
        ("DELETE FROM words_data", nothing),
        ("SELECT * FROM flagstone_idempotency", nothing),
        ("INSERT INTO flagstone_idempotency VALUES (1)", nothing),
        ("UPDATE FLAGSTONE_IDEMPOTENCY SET key = 1", nothing),
        ("DELETE FROM flagstone_idempotency", nothing),
        ("SELECT * FROM pragma_table_info('t')", nothing),
        ("PRAGMA user_version = 7", nothing),
        ("PRAGMA query_only", nothing),
        ("BEGIN", nothing),
        ("SAVEPOINT s", nothing),
        ("CREATE TABLE late(a)", nothing),
        ("CREATE TEMP TABLE late(a)", nothing),
        ("DROP VIEW plain", nothing),
        ("ALTER TABLE t ADD COLUMN b", nothing),
        ("ATTACH ':memory:' AS other", nothing),
        ("ANALYZE", nothing),
        ("REINDEX", nothing),
    ];
    for &(sql, least) in cases {
        for (rank, allowed) in [Allowed::Read, Allowed::Write].into_iter().enumerate() {
            authorizer.allow(allowed);
            let ran = conn.prepare(sql).and_then(|mut statement| statement.raw_query().next().map(|_| ()));
            assert_eq!(ran.is_ok(), rank >= least, "{sql}, {allowed:?}: {ran:?}");
            authorizer.allow(Allowed::Everything);
        }
    }
    assert!(conn.prepare("SELECT * FROM flagstone_idempotency").is_ok(), "we ourselves read it");
}

#[test]
fn a_statements_tables_are_told_by_their_places() {
    let conn = schema();
    let authorizer = Authorizer::new(&conn);
    authorizer.set_virtual(["words"].into_iter());
    authorizer.set_tables(["made", "nested", "plain", "t", "today", "words"].into_iter());
    let of = |places: &[usize]| {
        let mut set = TableSet::NONE;
        places.iter().for_each(|&place| set.insert(place));
        set
    };
    let cases: &[(&str, TableSet, TableSet)] = &[
        ("SELECT 1", of(&[]), of(&[])),
        ("SELECT a FROM T", of(&[3]), of(&[])),
        ("SELECT count(*) FROM t, made", of(&[0, 3]), of(&[])),
        ("SELECT * FROM plain", of(&[2, 3]), of(&[])),
        ("SELECT a FROM nested", of(&[1, 3, 4]), of(&[])),
        ("SELECT value FROM json_each('[1]')", of(&[]), of(&[])),
        ("INSERT INTO t(a) VALUES (1)", of(&[]), of(&[3])),
        ("INSERT INTO t(a) SELECT by FROM made", of(&[0]), of(&[3])),
    ];
    for (sql, reads, writes) in cases {
        let uses = uses(&conn, &authorizer, sql);
        assert_eq!((uses.reads, uses.writes), (*reads, *writes), "{sql}");
    }
    for sql in ["SELECT * FROM words", "SELECT * FROM words_data", "SELECT * FROM sqlite_schema", "SELECT * FROM dbstat"] {
        assert!(uses(&conn, &authorizer, sql).reads.is_everything(), "{sql}");
    }
    assert!(uses(&conn, &authorizer, "INSERT INTO words VALUES ('x')").writes.is_everything());
    authorizer.set_tables(["made"].into_iter());
    assert!(uses(&conn, &authorizer, "SELECT a FROM t").reads.is_everything(), "a table without a place is everything");
}
