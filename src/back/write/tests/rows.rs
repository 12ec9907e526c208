//! What a write is answered with: status, shape, and when there is nothing to give.

use super::*;
use crate::http::accept::Media;

const SCHEMA: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b BLOB); CREATE TABLE log(what)";

fn server<'c>(conn: &'c Connection, work: &'c mut Workspace) -> Server<'c> {
    let mut config = Config::new();
    let insert = "INSERT INTO t(a) VALUES (:a)";
    add(&mut config, Verb::Post, "/silent", insert, Rows::Many);
    add(&mut config, Verb::Post, "/many", &format!("{insert} RETURNING id, a"), Rows::Many);
    add(&mut config, Verb::Post, "/one", &format!("{insert} RETURNING id, a"), Rows::One);
    add(&mut config, Verb::Post, "/value", &format!("{insert} RETURNING a"), Rows::Value);
    add(&mut config, Verb::Post, "/quiet", "INSERT INTO t(id) VALUES (:id) ON CONFLICT DO NOTHING RETURNING id", Rows::Many);
    add(&mut config, Verb::Put, "/t/:id", "UPDATE t SET a = :a WHERE id = :id RETURNING a", Rows::One);
    add(
        &mut config,
        Verb::Patch,
        "/t/:id",
        "INSERT INTO log VALUES (:a); UPDATE t SET a = :a WHERE id = :id RETURNING a",
        Rows::One,
    );
    add(&mut config, Verb::Delete, "/t/:id", "DELETE FROM t WHERE id = :id", Rows::One);
    add(&mut config, Verb::Delete, "/t", "DELETE FROM t WHERE a = :a", Rows::Many);
    let several = "INSERT INTO log VALUES (:a) RETURNING what; INSERT INTO t(a) VALUES (:a) RETURNING a AS first; \
        INSERT INTO log VALUES ('; not the end') -- nor; this\n;";
    add(&mut config, Verb::Post, "/several", several, Rows::Many);
    add(
        &mut config,
        Verb::Post,
        "/long",
        "INSERT INTO t(b) SELECT zeroblob(:bytes) FROM (VALUES (1), (2)) RETURNING b",
        Rows::Many,
    );
    add(&mut config, Verb::Post, "/wrong", "INSERT INTO t(a) VALUES (?)", Rows::Many);
    Server::new(conn, work, config)
}

#[test]
fn answers_have_the_status_and_the_shape_that_one_expects() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let mut server = server(&conn, work);
    let csv = "Accept: text/csv";
    let cases: &[(Ask, u16, &str)] = &[
        (post("/silent", r#"{"a": 1}"#), 204, ""),
        (post("/many", r#"{"a": "x"}"#), 201, r#"[{"id":2,"a":"x"}]"#),
        (post("/one", r#"{"a": null}"#), 201, r#"{"id":3,"a":null}"#),
        (post("/value", r#"{"a": "bare \"text\""}"#), 201, "bare \"text\""),
        (post("/value", r#"{"a": 1.5}"#), 201, "1.5"),
        (post("/value", r#"{"a": null}"#), 201, ""),
        (post("/many", r#"[{"a": 7}, {"a": 8}]"#), 201, r#"[{"id":7,"a":7},{"id":8,"a":8}]"#),
        (post("/one", r#"[{"a": 9}]"#), 201, r#"[{"id":9,"a":9}]"#),
        (post("/value", r#"[{"a": "x"}, {"a": 2}]"#), 201, r#"["x",2]"#),
        (post("/many", "[]"), 200, "[]"),
        (post("/silent", "[]"), 204, ""),
        (post("/many", r#"[{"a": 1}, {"a": "y,"}]"#).field(csv), 201, "id,a\r\n12,1\r\n13,\"y,\"\r\n"),
        (post("/many?_format=ndjson", r#"{"a": 1}"#), 201, "{\"id\":14,\"a\":1}\n"),
        (post("/quiet", r#"{"id": 50}"#), 201, r#"[{"id":50}]"#),
        (post("/quiet", r#"{"id": 50}"#), 200, "[]"),
        (post("/several", r#"{"a": 3}"#), 201, r#"[{"first":3}]"#),
        (ask("PUT", "/t/1", r#"{"a": 5}"#), 200, r#"{"a":5}"#),
        (ask("DELETE", "/t/1", ""), 204, ""),
        (ask("DELETE", "/t?a=nothing", ""), 204, ""),
    ];
    // Each alone, and then all of them in one batch, from the start again.
    for (asked, status, body) in cases {
        let told = server.one(asked.clone());
        assert_eq!((told.0, told.1.as_str()), (*status, *body), "{asked:?}");
    }
    conn.execute_batch("DELETE FROM t; DELETE FROM log").unwrap();
    for part in cases.chunks(crate::budget::BATCH) {
        let asked: Vec<Ask> = part.iter().map(|case| case.0.clone()).collect();
        let (told, commit) = server.run(&asked);
        assert_eq!((commit.commits, commit.replays), (1, 0));
        for (told, (asked, status, body)) in told.iter().zip(part) {
            assert_eq!((told.0, told.1.as_str()), (*status, *body), "{asked:?}");
        }
    }
    assert_eq!(committed(&database.path, "SELECT group_concat(what) FROM log"), "3,; not the end");
}

#[test]
fn no_row_is_a_404_that_has_written_nothing() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let mut server = server(&conn, work);
    let (told, _) = server.run(&[
        ask("PUT", "/t/1", r#"{"a": 5}"#),
        ask("PATCH", "/t/1", r#"{"a": 5}"#),
        ask("DELETE", "/t/1", ""),
        post("/silent", r#"{"a": 1}"#),
        ask("PATCH", "/t/1", r#"{"a": "kept"}"#),
        ask("PATCH", "/t/1", r#"[{"a": 6}, {"a": 7}]"#),
    ]);
    let short: Vec<(u16, &str)> = told.iter().map(|told| (told.0, told.1.as_str())).collect();
    let none = (404, "no-row");
    assert_eq!(short, [none, none, none, (204, ""), (200, r#"{"a":"kept"}"#), (200, r#"[{"a":6},{"a":7}]"#)]);
    assert_eq!(committed(&database.path, "SELECT group_concat(what) FROM log"), "kept,6,7");
}

#[test]
fn an_array_is_written_whole_or_not_at_all() {
    let work = workspace!();
    let database = database("CREATE TABLE t(id INTEGER PRIMARY KEY, a NOT NULL)");
    let conn = ours(&database.path);
    let mut config = Config::new();
    add(&mut config, Verb::Post, "/t", "INSERT INTO t VALUES (:id, :a) RETURNING id", Rows::Many);
    let mut server = Server::new(&conn, work, config);
    let cases = [
        (
            r#"[{"id": 1, "a": 1}, {"id": 2, "a": null}]"#,
            422,
            "constraint-not-null",
            "element 2 of 2: NOT NULL constraint failed: t.a",
        ),
        (r#"[{"id": 1, "a": 1}, {"id": 1, "a": 1}, {"id": 3, "a": 1}]"#, 409, "constraint-primary-key", "element 2 of 3: UNIQUE"),
        (r#"[{"id": 1, "a": 1}, {"id": 2}]"#, 400, "missing-parameter", "element 2 of 2"),
    ];
    for (body, status, slug, detail) in cases {
        let told = server.one(post("/t", body));
        assert_eq!((told.0, told.1.as_str()), (status, slug));
        assert!(told.2.starts_with(detail), "{told:?}");
        assert_eq!(committed(&database.path, "SELECT CAST(count(*) AS TEXT) FROM t"), "0", "{body}");
    }
}

#[test]
fn an_answer_that_does_not_fit_beside_others_comes_later_and_alone() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let mut server = server(&conn, work);
    // Of each of two rows, which base64 makes longer by a third.
    let (half, whole) = (ANSWER_BYTES / 5, ANSWER_BYTES * 2 / 5);
    let long = |bytes: usize| post("/long", &format!(r#"{{"bytes": {bytes}}}"#));
    let (told, commit) = server.run(&[long(half), long(half), post("/silent", r#"{"a": 1}"#), long(whole)]);
    let short: Vec<(u16, &str)> = told.iter().map(|told| (told.0, &told.1[..told.1.len().min(20)])).collect();
    assert_eq!(short, [(201, r#"[{"b":"AAAAAAAAAAAAA"#), (0, "later"), (204, ""), (0, "later")]);
    assert_eq!((commit.commits, commit.replays), (1, 0));
    assert_eq!(committed(&database.path, "SELECT CAST(count(*) AS TEXT) FROM t"), "3");
    assert_eq!(server.one(long(half)).0, 201);
    let told = server.one(long(whole));
    assert_eq!((told.0, told.1.as_str()), (500, "answer-too-large"));
    assert_eq!(committed(&database.path, "SELECT CAST(count(*) AS TEXT) FROM t"), "5");
}

#[test]
fn a_bodys_kind_and_route_are_told() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let mut server = server(&conn, work);
    let one = r#"{"a": 1}"#;
    let mut batch = server.batch(&[post("/silent", one), post("/value", one), post("/many", one), post("/wrong", "{}")]);
    assert!(matches!(server.write(&mut batch), BatchEnd::Ended(_)));
    let kinds: Vec<Option<(u16, Option<Media>)>> = batch
        .items
        .iter()
        .map(|item| match item.outcome {
            Some(Written::Done(done)) => Some((done.route, done.media)),
            _ => None,
        })
        .collect();
    assert_eq!(kinds, [Some((0, None)), Some((3, Some(Media::Value))), Some((1, Some(Media::Json))), None]);
    assert_eq!(server.told(&batch)[3].1, "query-failed");
}
