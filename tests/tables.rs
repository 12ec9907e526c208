//! Tables over a real socket: what SPEC's "Tables without configuration" promises.

mod server;

use serde_json::json;
use server::Server;

const SQL: &str = "
    CREATE TABLE sensors(id INTEGER PRIMARY KEY, name TEXT NOT NULL, place TEXT);
    INSERT INTO sensors VALUES (1, 'Süd', 'roof'), (2, 'cellar', NULL), (3, '冷蔵庫', 'kitchen');
    CREATE VIEW named AS SELECT name FROM sensors ORDER BY id;
    CREATE TABLE pairs(a TEXT, b INTEGER, c BLOB, PRIMARY KEY (a, b)) WITHOUT ROWID;
    INSERT INTO pairs VALUES ('x,y', 1, x'00ff'), ('z', 9007199254740993, NULL);";

#[test]
fn rows_are_flat_objects_and_a_key_names_one() {
    let server = Server::with(SQL);
    let rows = server.get("/tables/sensors?order=id.desc&limit=2&select=id,name");
    assert_eq!((rows.status, rows.text().as_str()), (200, r#"[{"id":3,"name":"冷蔵庫"},{"id":2,"name":"cellar"}]"#));
    let second = server.get(rows.next().expect("a next page"));
    assert_eq!(second.text(), r#"[{"id":1,"name":"Süd"}]"#);
    assert_eq!(second.next(), None);
    assert_eq!(server.get("/tables/sensors/2").text(), r#"{"id":2,"name":"cellar","place":null}"#);
    assert_eq!(server.get("/tables/pairs/x%2Cy,1").text(), r#"{"a":"x,y","b":1,"c":"AP8="}"#);
    assert_eq!(server.get("/tables/pairs?a=eq.z&select=b").text(), r#"[{"b":9007199254740993}]"#);
    assert_eq!(server.get("/tables/named").json(), json!([{"name": "Süd"}, {"name": "cellar"}, {"name": "冷蔵庫"}]));
}

#[test]
fn what_is_wrong_is_said_with_what_is_allowed() {
    let server = Server::with(SQL);
    let cases = [
        ("/tables/sensor", 404, "unknown-table"),
        ("/tables/sensors/7", 404, "no-row"),
        ("/tables/sensors?nmae=eq.x", 400, "unknown-parameter"),
        ("/tables/sensors?limit=0", 400, "malformed-parameter"),
        ("/nowhere", 404, "not-found"),
    ];
    for (target, status, slug) in cases {
        let answer = server.get(target);
        assert_eq!(answer.status, status, "{target}");
        assert_eq!(answer.field("content-type"), Some("application/problem+json"));
        assert!(answer.body.len() < 512, "{target}");
        assert_eq!(answer.json()["type"], format!("tag:flagstone,2026:{slug}"), "{target}: {}", answer.text());
    }
    assert!(server.get("/tables/sensor").json()["hint"].as_str().expect("a hint").contains("sensors"));
}

#[test]
fn an_equal_answer_is_a_304() {
    let server = Server::with(SQL);
    let first = server.get("/tables/sensors");
    let tag = first.field("etag").expect("a tag");
    let again = server.request("GET", "/tables/sensors", &[("If-None-Match", tag)]);
    assert_eq!((again.status, again.body.len(), again.field("etag")), (304, 0, Some(tag)));
    rusqlite::Connection::open(server.database()).unwrap().execute_batch("DELETE FROM sensors WHERE id = 2").unwrap();
    let changed = server.request("GET", "/tables/sensors", &[("If-None-Match", tag)]);
    assert_eq!(changed.status, 200);
    assert_ne!(changed.field("etag"), Some(tag));
}

#[test]
fn the_list_of_tables_takes_no_parameters() {
    let server = Server::with(SQL);
    for target in ["/?x=1", "/tables?limit=1"] {
        let answer = server.get(target);
        assert_eq!((answer.status, &answer.json()["type"]), (400, &json!("tag:flagstone,2026:unknown-parameter")), "{target}");
    }
    assert_eq!(server.get("/tables?").status, 200);
}

#[test]
fn a_page_ends_before_a_row_that_is_too_large_and_only_that_row_is_an_error() {
    let server = Server::with(
        "CREATE TABLE big(id INTEGER PRIMARY KEY, b BLOB);
         INSERT INTO big VALUES (1, zeroblob(1000)), (2, zeroblob(70000)), (3, zeroblob(1500000)), (4, zeroblob(1000));",
    );
    let first = server.get("/tables/big?select=id,b");
    assert_eq!((first.status, first.json().as_array().map(Vec::len)), (200, Some(2)));
    let next = server.get(first.next().expect("there is more"));
    assert_eq!((next.status, &next.json()["type"]), (500, &json!("tag:flagstone,2026:value-too-large")));
    assert_eq!(
        server.get("/tables/big?select=id").json().as_array().map(Vec::len),
        Some(4),
        "without the column it is no trouble"
    );
    assert_eq!(server.get("/tables/big?id=gt.3&select=id,b").status, 200);
}

#[test]
fn a_link_repeats_what_was_asked_without_growing() {
    let server = Server::with(SQL);
    let quotes = "'".repeat(1000);
    let page = server.get(&format!("/tables/sensors?limit=1&name=neq.{quotes}"));
    let next = page.next().expect("there is more");
    assert!(next.len() < 1200, "{} bytes", next.len());
    assert_eq!(server.get(next).status, 200);
}
