//! The cache beside our own writes: nothing stale is ever given, and what a write did not touch stays.

use std::time::{Duration, Instant};

use super::{SQL, ask, log_routes, post, with, write, writes};
use crate::configured::{self, open, route, serve, toml};
use crate::server::{Answer, DEADLINE, Server, read_answer};

fn x_cache(answer: &Answer) -> &str {
    answer.field("x-cache").unwrap_or_else(|| panic!("no X-Cache: {answer:?}"))
}

/// Asks twice, so that the second answer is a hit.
fn warm(server: &Server, target: &str) -> Answer {
    server.get(target);
    let answer = server.get(target);
    assert_eq!(x_cache(&answer), "hit", "{target}");
    answer
}

#[test]
fn a_committed_write_is_seen_at_once() {
    let server = with(&(log_routes() + &route("/count", "SELECT count(*) FROM log", "rows = \"value\"")));
    for number in 1..=200 {
        assert_eq!(post(&server, "/log", r#"{"a": 1}"#).status, 204);
        let first = server.get("/count");
        assert_eq!((first.text(), x_cache(&first)), (number.to_string(), "miss"));
        let second = server.get("/count");
        assert_eq!((second.text(), x_cache(&second)), (number.to_string(), "hit"));
        let tag = second.field("etag").expect("a tag").to_string();
        assert_eq!(server.request("GET", "/count", &[("If-None-Match", &tag)]).status, 304);
    }
}

#[test]
fn entries_of_other_tables_survive_our_commit_and_not_a_foreign_one() {
    let server = with(&(log_routes() + &route("/other", "SELECT a FROM other", "")));
    warm(&server, "/other");
    for _ in 0..10 {
        assert_eq!(post(&server, "/log", r#"{"a": 1}"#).status, 204);
        assert_eq!(x_cache(&server.get("/other")), "hit", "nobody wrote it");
    }
    configured::write(&server, "INSERT INTO log(a) VALUES ('foreign')");
    assert_eq!(x_cache(&server.get("/other")), "miss", "whose commit that was, and of what, nobody knows");
}

#[test]
fn a_foreign_commit_before_ours_is_not_taken_for_ours() {
    let server = with(&(log_routes() + &route("/other", "SELECT a FROM other ORDER BY rowid DESC LIMIT 1", "rows = \"value\"")));
    for number in 0..50 {
        warm(&server, "/other");
        // Both before the server looks again.
        configured::write(&server, &format!("INSERT INTO other VALUES ('foreign {number}')"));
        assert_eq!(post(&server, "/log", r#"{"a": 1}"#).status, 204);
        assert_eq!(server.get("/other").text(), format!("foreign {number}"));
    }
}

#[test]
fn foreign_commits_among_ours_in_one_waiting_batch_are_noticed() {
    let server = with(&(log_routes() + &route("/other", "SELECT a FROM other ORDER BY rowid DESC LIMIT 1", "rows = \"value\"")));
    for number in 0..20 {
        warm(&server, "/other");
        server.freeze();
        let mut asked: Vec<_> = (0..3).map(|_| ask(server.address, "POST", "/log", &[], r#"{"a": 1}"#)).collect();
        configured::write(&server, &format!("INSERT INTO other VALUES ('foreign {number}')"));
        server.thaw();
        for stream in &mut asked {
            assert_eq!(read_answer(stream, false).expect("an answer").status, 204);
        }
        assert_eq!(server.get("/other").text(), format!("foreign {number}"));
    }
}

#[test]
fn what_a_write_touches_by_triggers_cascades_and_views_is_not_kept() {
    let sql = format!(
        "{SQL}
        CREATE TABLE audit(what);
        CREATE TRIGGER audited AFTER INSERT ON log BEGIN INSERT INTO audit VALUES (NEW.a); END;
        CREATE TABLE parent(id INTEGER PRIMARY KEY);
        CREATE TABLE child(id INTEGER PRIMARY KEY, parent REFERENCES parent ON DELETE CASCADE);
        INSERT INTO parent VALUES (1), (2), (3);
        INSERT INTO child VALUES (1, 1), (2, 2), (3, 3);
        CREATE VIEW families AS SELECT count(*) AS n FROM parent JOIN child ON child.parent = parent.id;
        CREATE TABLE counted(id INTEGER PRIMARY KEY AUTOINCREMENT);
        CREATE VIRTUAL TABLE words USING fts5(text);
        INSERT INTO words VALUES ('hello');"
    );
    let routes = [
        log_routes(),
        writes("DELETE", "/parent/:id", "DELETE FROM parent WHERE id = :id", ""),
        writes("POST", "/counted", "INSERT INTO counted DEFAULT VALUES", ""),
        writes("POST", "/words", "INSERT INTO words VALUES (:text)", ""),
        route("/audit", "SELECT count(*) FROM audit", "rows = \"value\""),
        route("/child", "SELECT count(*) FROM child", "rows = \"value\""),
        route("/families", "SELECT n FROM families", "rows = \"value\""),
        route("/sequence", "SELECT seq FROM sqlite_sequence UNION ALL SELECT 0", "rows = \"value\""),
        route("/search", "SELECT count(*) FROM words WHERE words MATCH 'hello'", "rows = \"value\""),
        route("/shadow", "SELECT count(*) FROM words_content", "rows = \"value\""),
        route("/other", "SELECT a FROM other", "rows = \"value\""),
    ];
    let server = serve(&sql, &toml("", &routes.concat()));
    let cases = [
        ("POST", "/log", r#"{"a": 1}"#, "/audit", "0", "1", true),
        ("DELETE", "/parent/1", "", "/child", "3", "2", true),
        ("DELETE", "/parent/2", "", "/families", "2", "1", true),
        ("POST", "/counted", "", "/sequence", "0", "1", false),
        ("POST", "/words", r#"{"text": "hello again"}"#, "/search", "1", "2", false),
        ("POST", "/words", r#"{"text": "hello"}"#, "/shadow", "2", "3", false),
    ];
    for (method, target, body, read, before, after, keeps_others) in cases {
        server.get(read);
        assert_eq!(server.get(read).text(), before, "{read}");
        warm(&server, "/other");
        assert_eq!(write(&server, method, target, &[], body).status, 204, "{method} {target}");
        assert_eq!(server.get(read).text(), after, "{read} after {method} {target}");
        if keeps_others {
            assert_eq!(x_cache(&server.get("/other")), "hit", "{method} {target}");
        }
        assert_eq!(server.get("/other").text(), "untouched");
    }
}

#[test]
fn a_write_that_is_rolled_back_or_replayed_leaves_the_entries_true() {
    let server = with(&(log_routes() + &route("/other", "SELECT a FROM other", "")));
    post(&server, "/log", r#"{"a": "x"}"#);
    let entry = warm(&server, "/log");
    for bad in ["9", "99"] {
        assert_eq!(post(&server, "/log", &format!("{{\"a\": {bad}}}")).status, 422);
        let answer = server.get("/log");
        assert_eq!((x_cache(&answer), &answer.body), ("hit", &entry.body), "nothing was committed");
    }
    // A transaction that ends by itself runs its neighbours again, in commits of their own.
    warm(&server, "/other");
    server.freeze();
    let mut asked: Vec<_> =
        ["1", "99", "2"].iter().map(|a| ask(server.address, "POST", "/log", &[], &format!("{{\"a\": {a}}}"))).collect();
    server.thaw();
    let statuses: Vec<u16> = asked.iter_mut().map(|stream| read_answer(stream, false).expect("an answer").status).collect();
    assert_eq!(statuses, [204, 422, 204]);
    assert_eq!(server.get("/log").json().as_array().map(Vec::len), Some(3));
    assert_eq!(x_cache(&server.get("/other")), "hit", "two commits, both ours, of another table");
}

#[test]
fn a_schema_change_of_another_process_is_met_by_a_write_and_its_reads() {
    let server = with(&(log_routes() + &route("/other", "SELECT * FROM other", "")));
    warm(&server, "/other");
    let other = open(&server.database());
    other.execute_batch("ALTER TABLE other ADD COLUMN b DEFAULT 'new'; CREATE TABLE later(a)").expect("the test's SQL");
    assert_eq!(post(&server, "/log", r#"{"a": 1}"#).status, 204);
    assert_eq!(server.get("/other").text(), r#"[{"a":"untouched","b":"new"}]"#);
    other.execute_batch("DROP TABLE log").expect("the test's SQL");
    let refused = post(&server, "/log", r#"{"a": 1}"#);
    assert_eq!(refused.status, 500, "{}", refused.text());
    other.execute_batch("CREATE TABLE log(id INTEGER PRIMARY KEY, a)").expect("the test's SQL");
    assert_eq!(post(&server, "/log", r#"{"a": "again"}"#).status, 204);
    assert_eq!(server.get("/log").text(), r#"[{"a":"again"}]"#);
}

#[test]
fn a_foreign_commit_among_the_commits_of_one_batch_is_noticed() {
    let server = with(&(log_routes() + &route("/other", "SELECT count(*) FROM other", "rows = \"value\"")));
    let other = open(&server.database());
    other.busy_timeout(Duration::ZERO).expect("a connection");
    let count = || other.query_row("SELECT count(*) FROM log", [], |row| row.get::<_, u32>(0)).expect("a count");
    let mut came_between = 0;
    for round in 2..30 {
        assert_eq!(server.get("/other").text(), (round - 1).to_string());
        warm(&server, "/other");
        let before = count();
        server.freeze();
        // The first ends the transaction of all, so each of the others has a commit of its own.
        let mut asked: Vec<_> = ["99"]
            .into_iter()
            .chain(["1"; 30])
            .map(|a| ask(server.address, "POST", "/log", &[], &format!("{{\"a\": {a}}}")))
            .collect();
        server.thaw();
        // Without a pause: the lock is free for a moment only.
        let until = Instant::now() + DEADLINE;
        while count() == before || other.execute_batch("INSERT INTO other VALUES (1)").is_err() {
            assert!(Instant::now() < until, "the lock is never free");
        }
        let after = count();
        let statuses: Vec<u16> = asked.iter_mut().map(|stream| read_answer(stream, false).expect("an answer").status).collect();
        assert_eq!((statuses[0], statuses[1..].iter().all(|status| *status == 204)), (422, true), "{statuses:?}");
        came_between += u32::from(after < count());
        assert_eq!(server.get("/other").text(), round.to_string(), "after {came_between}");
    }
    eprintln!("{came_between} commits came between");
}
