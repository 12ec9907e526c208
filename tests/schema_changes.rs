//! A schema that another process changes: the very next answer is right, and never a 500.

mod server;

use rusqlite::Connection;
use serde_json::json;
use server::Server;

const SQL: &str = "
    CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, price REAL);
    INSERT INTO items VALUES (1, 'chair', 9.5), (2, 'table', 20.0);
    CREATE VIEW cheap AS SELECT id, name FROM items WHERE price < 10;
    CREATE TABLE other(x);";

/// What is asked before a change, so that its statements are held, and again right after it.
struct Case {
    change: &'static str,
    target: &'static str,
    status: u16,
    body: &'static str,
}

const fn case(change: &'static str, target: &'static str, status: u16, body: &'static str) -> Case {
    Case { change, target, status, body }
}

const CASES: &[Case] = &[
    case(
        "ALTER TABLE items ADD COLUMN stock INTEGER DEFAULT 3",
        "/tables/items",
        200,
        r#"[{"id":1,"name":"chair","price":9.5,"stock":3},{"id":2,"name":"table","price":20.0,"stock":3}]"#,
    ),
    case(
        "ALTER TABLE items ADD COLUMN stock DEFAULT 3",
        "/tables/items/1",
        200,
        r#"{"id":1,"name":"chair","price":9.5,"stock":3}"#,
    ),
    case("ALTER TABLE items ADD COLUMN stock DEFAULT 3", "/tables/items?stock=eq.3&select=id", 200, r#"[{"id":1},{"id":2}]"#),
    case("ALTER TABLE items RENAME COLUMN name TO title", "/tables/items/1", 200, r#"{"id":1,"title":"chair","price":9.5}"#),
    case("ALTER TABLE items RENAME COLUMN name TO title", "/tables/items?select=name", 400, "unknown-column"),
    case("ALTER TABLE items RENAME COLUMN name TO title", "/tables/items?name=eq.chair", 400, "unknown-parameter"),
    case("ALTER TABLE items RENAME COLUMN name TO title", "/tables/items?order=name", 400, "unknown-column"),
    case("ALTER TABLE items RENAME COLUMN name TO title", "/tables/items?select=title&limit=1", 200, r#"[{"title":"chair"}]"#),
    case("DROP VIEW cheap; ALTER TABLE items DROP COLUMN price", "/tables/items/2", 200, r#"{"id":2,"name":"table"}"#),
    case("DROP VIEW cheap; ALTER TABLE items DROP COLUMN price", "/tables/items?price=gt.1", 400, "unknown-parameter"),
    case("ALTER TABLE items RENAME TO things", "/tables/items", 404, "unknown-table"),
    case("ALTER TABLE items RENAME TO things", "/tables/items/1", 404, "unknown-table"),
    case("ALTER TABLE items RENAME TO things", "/tables/things?select=id&limit=1", 200, r#"[{"id":1}]"#),
    case("DROP TABLE items", "/tables/items", 404, "unknown-table"),
    case("DROP TABLE items", "/tables/items/1", 404, "unknown-table"),
    case("DROP VIEW cheap", "/tables/cheap", 404, "unknown-table"),
    case("CREATE TABLE fresh(a); INSERT INTO fresh VALUES (1)", "/tables/fresh", 200, r#"[{"a":1}]"#),
    case(
        "DROP TABLE items; CREATE TABLE items(k TEXT PRIMARY KEY, v) WITHOUT ROWID; INSERT INTO items VALUES ('x', 1)",
        "/tables/items",
        200,
        r#"[{"k":"x","v":1}]"#,
    ),
    case(
        "DROP TABLE items; CREATE TABLE items(k TEXT PRIMARY KEY, v) WITHOUT ROWID; INSERT INTO items VALUES ('x', 1)",
        "/tables/items/x",
        200,
        r#"{"k":"x","v":1}"#,
    ),
    // The same columns in another order, and with other types: values must not change places.
    case(
        "DROP TABLE items; CREATE TABLE items(price TEXT, id INTEGER PRIMARY KEY, name INTEGER); INSERT INTO items VALUES ('p', 1, 2)",
        "/tables/items/1",
        200,
        r#"{"price":"p","id":1,"name":2}"#,
    ),
    case("DROP TABLE items; CREATE TABLE items(id INTEGER PRIMARY KEY, name, price)", "/tables/items/1", 404, "no-row"),
    case("DROP TABLE items; CREATE VIEW items AS SELECT 7 AS seven", "/tables/items", 200, r#"[{"seven":7}]"#),
    case(
        "DROP VIEW cheap; CREATE VIEW cheap AS SELECT name, price FROM items WHERE price < 10",
        "/tables/cheap",
        200,
        r#"[{"name":"chair","price":9.5}]"#,
    ),
    case("CREATE INDEX by_name ON items(name)", "/tables/items?name=eq.chair&select=id", 200, r#"[{"id":1}]"#),
    case("DROP TABLE other", "/tables/items/1", 200, r#"{"id":1,"name":"chair","price":9.5}"#),
];

const HELD: &[&str] = &[
    "/tables/items",
    "/tables/items/1",
    "/tables/items/2",
    "/tables/items?select=name",
    "/tables/items?name=eq.chair",
    "/tables/items?name=eq.chair&select=id",
    "/tables/items?order=name",
    "/tables/items?price=gt.1",
    "/tables/cheap",
    "/tables/other",
];

fn after_each_change(mode: &str, held: &[&str]) {
    for case in CASES {
        let server = Server::with(&format!("PRAGMA journal_mode = {mode};{SQL}"));
        for target in held {
            assert_eq!(server.get(target).status, 200, "{target}");
        }
        Connection::open(server.database()).unwrap().execute_batch(case.change).expect(case.change);
        let answer = server.get(case.target);
        let text = answer.text();
        assert_eq!(answer.status, case.status, "{mode}: {} after {}: {text}", case.target, case.change);
        match case.status {
            200 => assert_eq!(text, case.body, "{mode}: after {}", case.change),
            _ => assert_eq!(answer.json()["type"], format!("tag:flagstone,2026:{}", case.body), "{mode}: after {}", case.change),
        }
    }
}

#[test]
fn the_next_answer_is_right_under_held_statements_in_wal_mode() {
    after_each_change("WAL", HELD);
}

#[test]
fn the_next_answer_is_right_under_held_statements_in_rollback_mode() {
    after_each_change("DELETE", HELD);
}

#[test]
fn the_next_answer_is_right_when_nothing_was_asked_before() {
    after_each_change("WAL", &[]);
}

#[test]
fn the_list_of_tables_shows_a_change_at_once() {
    let server = Server::with(SQL);
    let conn = Connection::open(server.database()).unwrap();
    let tag = server.get("/tables").field("etag").expect("a tag").to_string();
    conn.execute_batch("CREATE TABLE fresh(a INTEGER NOT NULL, b TEXT); DROP TABLE other").unwrap();
    let changed = server.request("GET", "/tables", &[("If-None-Match", &tag)]);
    assert_eq!(changed.status, 200);
    let list = changed.json();
    let names: Vec<&str> = list.as_array().unwrap().iter().map(|table| table["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["cheap", "fresh", "items"]);
    assert_eq!(
        list[1]["columns"],
        json!([{"name": "a", "type": "INTEGER", "notnull": true, "pk": 0}, {"name": "b", "type": "TEXT", "notnull": false, "pk": 0}])
    );
    let page = server.request("GET", "/", &[("Accept", "text/html")]).text();
    assert!(page.contains("/tables/fresh") && !page.contains("/tables/other"), "{page}");
}

#[test]
fn a_page_token_from_before_a_change_is_refused_or_right() {
    let server = Server::with(SQL);
    let page = server.get("/tables/items?order=price&limit=1");
    let next = page.next().expect("a next page").to_string();
    let conn = Connection::open(server.database()).unwrap();
    conn.execute_batch("ALTER TABLE items ADD COLUMN stock DEFAULT 3").unwrap();
    let answer = server.get(&next);
    assert_eq!((answer.status, answer.text().as_str()), (200, r#"[{"id":2,"name":"table","price":20.0,"stock":3}]"#));
    conn.execute_batch("DROP VIEW cheap; ALTER TABLE items DROP COLUMN price").unwrap();
    assert_eq!(server.get(&next).status, 400);
}

#[test]
fn while_a_process_keeps_changing_the_schema_nothing_is_a_500() {
    let server = Server::with(&format!("PRAGMA journal_mode = WAL;{SQL}"));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let conn = Connection::open(server.database()).unwrap();
            conn.busy_timeout(server::DEADLINE).unwrap();
            for at in 0..60 {
                conn.execute_batch(&format!(
                    "ALTER TABLE items ADD COLUMN c{at}; CREATE TABLE extra{at}(a); ALTER TABLE items DROP COLUMN c{at}; DROP TABLE extra{at}"
                ))
                .unwrap();
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            for target in
                ["/tables/items", "/tables/items/1", "/tables", "/tables/items?order=name.desc&limit=1", "/tables/cheap"]
            {
                let answer = server.get(target);
                let fair = answer.status == 200 || (answer.status == 503 && answer.field("retry-after").is_some());
                assert!(fair, "{target}: {} {}", answer.status, answer.text());
            }
        }
    });
}
