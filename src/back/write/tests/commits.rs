//! Commits as others see them: their names, their tables, the lock, the schema, and who does not wait any more.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::back::write::Checkpoint;
use crate::job::TableSet;

const SCHEMA: &str =
    "CREATE TABLE a(x); CREATE TABLE b(x UNIQUE); CREATE TABLE c(x); CREATE TABLE auto(id INTEGER PRIMARY KEY AUTOINCREMENT);
    CREATE TABLE parent(id INTEGER PRIMARY KEY); INSERT INTO parent VALUES (1);
    CREATE TABLE child(p REFERENCES parent ON DELETE CASCADE); INSERT INTO child VALUES (1);
    CREATE TRIGGER to_c AFTER INSERT ON b BEGIN INSERT INTO c VALUES (new.x); END;
    CREATE VIEW seen AS SELECT x FROM a;
    CREATE TRIGGER by_view INSTEAD OF INSERT ON seen BEGIN INSERT INTO a VALUES (new.x); END;
    CREATE VIRTUAL TABLE words USING fts5(text)";

fn config() -> Config {
    let mut config = Config::new();
    add(&mut config, Verb::Post, "/a", "INSERT INTO a VALUES (1)", Rows::Many);
    add(&mut config, Verb::Post, "/b", "INSERT INTO b VALUES (:x)", Rows::Many);
    add(&mut config, Verb::Post, "/none", "DELETE FROM a WHERE x = 'nothing'", Rows::Many);
    add(&mut config, Verb::Delete, "/parent", "DELETE FROM parent", Rows::Many);
    add(&mut config, Verb::Post, "/seen", "INSERT INTO seen VALUES (2)", Rows::Many);
    add(&mut config, Verb::Post, "/words", "INSERT INTO words VALUES ('some')", Rows::Many);
    add(&mut config, Verb::Post, "/auto", "INSERT INTO auto DEFAULT VALUES", Rows::Many);
    add(&mut config, Verb::Post, "/rolls", "INSERT OR ROLLBACK INTO b VALUES (:x), (:x)", Rows::Many);
    let slow = "SELECT count(*) FROM (WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k LIMIT 1000000) SELECT i FROM k); \
        INSERT INTO a VALUES ('slow')";
    add(&mut config, Verb::Post, "/slow", slow, Rows::Many);
    config
}

fn x(value: usize) -> String {
    format!(r#"{{"x": {value}}}"#)
}

#[test]
fn a_commit_tells_the_tables_that_it_wrote_and_no_other() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let mut server = Server::new(&conn, work, config());
    let cases: &[(Ask, &[&str])] = &[
        (post("/a", ""), &["a"]),
        (post("/b", &x(1)), &["b", "c"]),
        (ask("DELETE", "/parent", ""), &["parent", "child"]),
        (post("/seen", ""), &["seen", "a"]),
        (post("/auto", ""), &["auto"]),
        (post("/words", ""), &["everything"]),
    ];
    for (asked, tables) in cases {
        let (told, commit) = server.run(std::slice::from_ref(asked));
        assert_eq!(told[0].0, 204, "{told:?}");
        assert!(commit.only_ours && commit.before.is_some() && commit.after == server.back.freshness().current(), "{commit:?}");
        let catalog = server.back.catalog();
        let mut wanted = TableSet::NONE;
        for table in *tables {
            match catalog.find_table(table.as_bytes()) {
                Some(place) => wanted.insert(place),
                None => wanted = TableSet::EVERYTHING,
            }
        }
        assert_eq!(commit.tables.is_everything(), wanted.is_everything(), "{asked:?}");
        assert!(wanted.is_everything() || commit.tables == wanted, "{asked:?}: {:?}", commit.tables);
    }
    let (_, commit) = server.run(&[post("/a", ""), post("/b", &x(2))]);
    let place = |name: &str| server.back.catalog().find_table(name.as_bytes()).unwrap();
    assert!(
        ["a", "b", "c"].into_iter().all(|name| commit.tables.contains(place(name))) && !commit.tables.contains(place("parent"))
    );
}

#[test]
fn a_commit_is_ours_alone_only_when_nobody_else_committed() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let mut server = Server::new(&conn, work, config());
    let other = other(&database.path);
    let (_, first) = server.run(&[post("/a", ""), post("/a", "")]);
    assert!(first.only_ours && first.commits == 1 && first.wal_frames > 0);
    other.execute_batch("INSERT INTO c VALUES (1)").unwrap();
    let (_, second) = server.run(&[post("/a", "")]);
    assert!(second.only_ours && second.before != first.after, "what came before our lock is in `before`");
    let (_, nothing) = server.run(&[post("/none", "")]);
    assert!(nothing.only_ours && nothing.before == nothing.after && nothing.after == second.after);
    // A lost batch gives up its lock, and somebody may come in between.
    let mut batch = server.batch(&[post("/slow", ""), post("/rolls", &x(5)), post("/slow", "")]);
    let mut turns = 0;
    let end = server.back.write(&mut batch, &mut server.reply, &mut |_| {
        turns += 1;
        // Refused while we hold the lock.
        let _ = other.execute_batch("INSERT INTO c VALUES (2)");
        Go::On
    });
    let BatchEnd::Ended(commit) = end else { panic!("{end:?}") };
    assert!(turns > 0 && commit.replays == 2, "{commit:?}");
    let told = server.told(&batch);
    assert!(told.iter().map(|told| told.0).eq([201, 409, 201]), "{told:?}");
}

#[test]
fn another_processs_lock_is_busy_and_leaves_no_outcome() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let mut server = Server::new(&conn, work, config());
    let other = other(&database.path);
    for count in [1, 3] {
        let mut batch = server.batch(&vec![post("/a", ""); count]);
        other.execute_batch("BEGIN IMMEDIATE; INSERT INTO c VALUES (1)").unwrap();
        for _ in 0..3 {
            assert_eq!(server.write(&mut batch), BatchEnd::Busy);
            assert!(batch.items.iter().all(|item| item.outcome.is_none()));
        }
        other.execute_batch("COMMIT").unwrap();
        assert!(matches!(server.write(&mut batch), BatchEnd::Ended(_)));
        assert!(server.told(&batch).iter().all(|told| told.0 == 204));
    }
    assert_eq!(committed(&database.path, "SELECT count(*) || ',' || (SELECT count(*) FROM c) FROM a"), "4,2");
}

#[test]
fn outside_of_wal_mode_a_reader_makes_the_commit_busy() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    conn.execute_batch("PRAGMA journal_mode = delete").unwrap();
    let mut server = Server::new(&conn, work, config());
    let reader = other(&database.path);
    for count in [1, 3] {
        let mut batch = server.batch(&vec![post("/a", ""); count]);
        reader.execute_batch("BEGIN; SELECT * FROM c").unwrap();
        assert_eq!(server.write(&mut batch), BatchEnd::Busy);
        assert!(conn.is_autocommit() && batch.items.iter().all(|item| item.outcome.is_none()));
        reader.execute_batch("COMMIT").unwrap();
        let BatchEnd::Ended(commit) = server.write(&mut batch) else { panic!("nobody is in the way") };
        assert!(!commit.only_ours && commit.before.is_none() && commit.commits == 1, "{commit:?}");
    }
    let told = server.run(&[post("/a", ""), post("/rolls", &x(5)), post("/a", "")]).0;
    assert!(told.iter().map(|told| told.0).eq([204, 409, 204]), "{told:?}");
    assert_eq!(server.back.checkpoint(Checkpoint::Passive, &mut |_| Go::On).unwrap(), None);
    assert_eq!(committed(&database.path, "SELECT CAST(count(*) AS TEXT) FROM a"), "6");
}

#[test]
fn a_schema_that_changed_is_read_before_anything_is_written() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let mut server = Server::new(&conn, work, config());
    let other = other(&database.path);
    for round in 0..3 {
        other.execute_batch(&format!("CREATE TABLE a{round}(y); DROP TABLE a; CREATE TABLE a(x, y{round})")).unwrap();
        let (told, commit) = server.run(&[post("/a", ""), post("/b", &x(round))]);
        assert_eq!((told[0].0, told[1].0), (500, 204), "a has two columns now: {told:?}");
        let place = server.back.catalog().find_table(b"b").unwrap();
        assert!(commit.tables.contains(place) && !commit.tables.is_everything());
        other.execute_batch("DROP TABLE a; CREATE TABLE a(x)").unwrap();
        assert_eq!(server.one(post("/a", "")).0, 204);
    }
}

#[test]
fn a_write_that_nobody_waits_for_is_undone_when_it_is_alone() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let mut server = Server::new(&conn, work, config());
    let mut batch = server.batch(&[post("/slow", "")]);
    let end = server.back.write(&mut batch, &mut server.reply, &mut |_| Go::Stop);
    assert!(matches!(end, BatchEnd::Ended(_)));
    assert_eq!(batch.items[0].outcome, Some(Written::Abandoned));
    assert!(conn.is_autocommit());
    let mut batch = server.batch(&[post("/slow", ""), post("/a", "")]);
    let end = server.back.write(&mut batch, &mut server.reply, &mut |_| Go::Stop);
    assert!(matches!(end, BatchEnd::Ended(_)));
    assert!(server.told(&batch).iter().map(|told| told.0).eq([201, 204]), "one of several that is gone stops nobody");
    assert_eq!(committed(&database.path, "SELECT group_concat(x) FROM a"), "slow,1");
}

#[test]
fn a_panic_in_a_turn_leaves_no_promise_and_no_transaction() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let mut server = Server::new(&conn, work, config());
    for asked in [vec![post("/slow", "")], vec![post("/a", ""), post("/slow", ""), post("/a", "")]] {
        let mut batch = server.batch(&asked);
        let (back, reply) = (&mut server.back, &mut server.reply);
        let caught = catch_unwind(AssertUnwindSafe(|| back.write(&mut batch, reply, &mut |_| panic!("in a turn"))));
        assert!(caught.is_err());
        assert!(batch.items.iter().all(|item| item.outcome.is_none()));
        assert!(conn.is_autocommit());
    }
    assert_eq!(committed(&database.path, "SELECT CAST(count(*) AS TEXT) FROM a"), "0");
    assert_eq!(server.one(post("/a", "")).0, 204);
}

#[test]
fn a_checkpoint_copies_the_wal_and_may_cut_it() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let mut server = Server::new(&conn, work, config());
    let (_, commit) = server.run(&[post("/a", ""), post("/b", &x(1))]);
    let passive = server.back.checkpoint(Checkpoint::Passive, &mut |_| Go::On).unwrap().unwrap();
    assert!(!passive.busy && passive.frames == commit.wal_frames && passive.copied == passive.frames, "{passive:?}");
    let reader = Connection::open(&database.path).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM a").unwrap();
    server.run(&[post("/a", "")]);
    let busy = server.back.checkpoint(Checkpoint::Truncate, &mut |_| Go::On).unwrap().unwrap();
    assert!(busy.busy && busy.frames > busy.copied, "{busy:?}");
    reader.execute_batch("COMMIT").unwrap();
    let cut = server.back.checkpoint(Checkpoint::Truncate, &mut |_| Go::On).unwrap().unwrap();
    assert!(!cut.busy && cut.frames == 0, "{cut:?}");
    assert_eq!(std::fs::metadata(database.path.with_file_name("x.db-wal")).unwrap().len(), 0);
    let (_, commit) = server.run(&[post("/a", "")]);
    assert!(commit.only_ours, "the WAL's new beginning is no commit: {commit:?}");
}
