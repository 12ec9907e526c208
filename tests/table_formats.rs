//! The forms of answers: values, media types, entity tags, and what becomes of queries that fail.

mod server;

use std::io::Write;

use serde_json::{Value, json};
use server::{Answer, Server, read_answer};

const VALUES: &str = r#"
    CREATE TABLE vals(id INTEGER PRIMARY KEY, v);
    INSERT INTO vals VALUES
        (1, NULL), (2, 9007199254740993), (3, -9223372036854775808), (4, 0.1), (5, 1e300), (6, 9e999), (7, -2.0), (8, ''),
        (9, 'a"b\c' || char(10) || char(9) || char(0) || 'd'), (10, CAST(x'61ff62' AS TEXT)), (11, x''), (12, x'00ff10'),
        (13, 'Süd 冷 🌡'), (14, char(0x2028)), (15, '</script>'), (16, 'comma,"quote"');"#;

fn ids_to_values(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().as_array().expect("rows").iter().map(|row| row["v"].clone()).collect()
}

#[test]
fn every_value_has_its_exact_json() {
    let server = Server::with(VALUES);
    let answer = server.get("/tables/vals");
    assert!(answer.text().contains("9007199254740993") && answer.text().contains("-9223372036854775808"));
    // The first four say it as text, because serde_json's numbers could round.
    assert!(answer.text().starts_with(
        r#"[{"id":1,"v":null},{"id":2,"v":9007199254740993},{"id":3,"v":-9223372036854775808},{"id":4,"v":0.1},{"id":5,"v":1e300}"#
    ));
    let expected = [
        json!(null),
        json!(9_007_199_254_740_993_i64),
        json!(i64::MIN),
        json!(0.1),
        json!(1e300),
        json!(null),
        json!(-2.0),
        json!(""),
        json!("a\"b\\c\n\t\0d"),
        json!("a\u{FFFD}b"),
        json!(""),
        json!("AP8Q"),
        json!("Süd 冷 🌡"),
        json!("\u{2028}"),
        json!("</script>"),
        json!("comma,\"quote\""),
    ];
    assert_eq!(ids_to_values(&answer), expected);
    for (at, value) in expected.iter().enumerate() {
        assert_eq!(&server.get(&format!("/tables/vals/{}", at + 1)).json()["v"], value);
    }
}

#[test]
fn csv_and_ndjson_come_by_accept_and_by_parameter() {
    let server = Server::with(
        "CREATE TABLE t(a, \"b,c\"); INSERT INTO t VALUES (1, 'x'), (NULL, ''), (2.5, 'say \"hi\"' || char(10)), ('ü', x'00')",
    );
    let csv = "a,\"b,c\"\r\n1,x\r\n,\"\"\r\n2.5,\"say \"\"hi\"\"\n\"\r\nü,AA==\r\n";
    let ndjson = "{\"a\":1,\"b,c\":\"x\"}\n{\"a\":null,\"b,c\":\"\"}\n{\"a\":2.5,\"b,c\":\"say \\\"hi\\\"\\n\"}\n{\"a\":\"ü\",\"b,c\":\"AA==\"}\n";
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
    let json = "application/json";
    let cases = [
        ("/tables/t", "text/csv", "text/csv; charset=utf-8", Some(csv)),
        ("/tables/t", "application/x-ndjson", "application/x-ndjson", Some(ndjson)),
        ("/tables/t?_format=csv", json, "text/csv; charset=utf-8", Some(csv)),
        ("/tables/t?_format=ndjson", "text/html", "application/x-ndjson", Some(ndjson)),
        ("/tables/t?_format=json", "text/csv", json, None),
        ("/tables/t", "application/json;q=0.5, text/csv;q=0.9", "text/csv; charset=utf-8", Some(csv)),
        ("/tables/t", "*/*", json, None),
        ("/tables/t", browser, json, None),
        ("/tables", browser, json, None),
        ("/", browser, "text/html; charset=utf-8", None),
        ("/", "*/*", json, None),
    ];
    for (target, accept, media, body) in cases {
        let answer = server.request("GET", target, &[("Accept", accept)]);
        assert_eq!((answer.status, answer.field("content-type")), (200, Some(media)), "{target} for {accept}");
        assert_eq!(answer.field("vary"), Some("Accept, Origin, Authorization"), "{target}");
        if let Some(body) = body {
            assert_eq!(answer.text(), body, "{target} for {accept}");
        }
    }
    for target in ["/tables/t", "/tables/t/1", "/tables", "/"] {
        let answer = server.request("GET", target, &[("Accept", "image/png")]);
        assert_eq!((answer.status, &answer.json()["type"]), (406, &json!("tag:flagstone,2026:not-acceptable")), "{target}");
        assert!(answer.json()["allowed"].as_str().unwrap().contains("application/json"), "{}", answer.text());
    }
    let one = server.get("/tables/t/1?_format=csv");
    assert_eq!(one.text(), "a,\"b,c\"\r\n1,x\r\n");
}

#[test]
fn the_two_indexes_for_programs_are_one() {
    let server = Server::with(VALUES);
    let (index, tables) = (server.get("/"), server.get("/tables"));
    assert_eq!(index.body, tables.body);
    assert_eq!(index.field("etag"), tables.field("etag"));
    assert_eq!(index.field("content-type"), Some("application/json"));
    let page = server.request("GET", "/", &[("Accept", "text/html")]);
    assert_eq!(page.field("content-security-policy").map(|policy| policy.contains("default-src 'self'")), Some(true));
    assert_eq!(page.field("x-content-type-options"), Some("nosniff"));
}

#[test]
fn tags_are_strong_one_for_each_form_and_honoured_in_every_spelling() {
    let server = Server::with(VALUES);
    let tag = |accept: &str, target: &str| {
        let answer = server.request("GET", target, &[("Accept", accept)]);
        answer.field("etag").expect("a tag").to_string()
    };
    let json_tag = tag("application/json", "/tables/vals");
    assert!(json_tag.len() == 34 && json_tag.starts_with('"') && json_tag.ends_with('"'), "{json_tag}");
    let tags = [
        json_tag.clone(),
        tag("text/csv", "/tables/vals"),
        tag("application/x-ndjson", "/tables/vals"),
        tag("*/*", "/tables/vals?limit=2"),
        tag("*/*", "/tables/vals/1"),
        tag("text/html", "/"),
        tag("application/json", "/"),
    ];
    assert_eq!(tags.iter().collect::<std::collections::BTreeSet<_>>().len(), tags.len(), "{tags:?}");
    assert_eq!(tag("application/json", "/tables/vals"), json_tag, "the same again");
    let weak = format!("W/{json_tag}");
    let listed = format!("\"other\", {weak} , \"third\"");
    let bare = json_tag.trim_matches('"').to_string();
    for (field, status) in [
        (json_tag.as_str(), 304),
        (weak.as_str(), 304),
        (listed.as_str(), 304),
        ("*", 304),
        ("\"other\"", 200),
        ("W/\"other\"", 200),
        (bare.as_str(), 200),
        ("", 200),
        (tags[1].as_str(), 200),
    ] {
        let answer = server.request("GET", "/tables/vals", &[("If-None-Match", field)]);
        assert_eq!(answer.status, status, "If-None-Match: {field}");
        assert_eq!(answer.field("etag"), Some(json_tag.as_str()));
        assert!(answer.field("vary").is_some() && answer.field("cache-control").is_some());
        if status == 304 {
            assert_eq!((answer.body.len(), answer.field("content-length"), answer.field("content-type")), (0, None, None));
        }
    }
    let two = server.request("GET", "/tables/vals", &[("If-None-Match", "\"other\""), ("If-None-Match", &json_tag)]);
    assert_eq!(two.status, 304, "several lines are one list");
    assert_eq!(server.request("GET", "/tables/none", &[("If-None-Match", "*")]).status, 404);
}

#[test]
fn head_says_what_get_would() {
    let server = Server::with(VALUES);
    for target in [
        "/",
        "/tables",
        "/tables/vals",
        "/tables/vals?limit=3",
        "/tables/vals/2",
        "/tables/none",
        "/tables/vals?x=1",
        "/-/health",
    ] {
        let (get, head) = (server.get(target), server.request("HEAD", target, &[]));
        assert_eq!(head.status, get.status, "{target}");
        let without_date = |answer: &Answer| {
            answer.fields.iter().filter(|(name, _)| !matches!(name.as_str(), "date" | "x-cache")).cloned().collect::<Vec<_>>()
        };
        if target != "/-/health" {
            assert_eq!(without_date(&head), without_date(&get), "{target}");
        }
        assert!(head.body.is_empty() && !get.body.is_empty());
    }
    let tag = server.get("/tables/vals").field("etag").unwrap().to_string();
    assert_eq!(server.request("HEAD", "/tables/vals", &[("If-None-Match", &tag)]).status, 304);
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let answer = server.request(method, "/tables/vals", &[("Content-Length", "0")]);
        assert_eq!((answer.status, answer.field("allow")), (405, Some("GET, HEAD, OPTIONS")), "{method}");
    }
    assert_eq!(server.request("OPTIONS", "/tables/vals", &[]).field("allow"), Some("GET, HEAD, OPTIONS"));
}

#[test]
fn generated_columns_show_and_hidden_ones_do_not() {
    let server = Server::with(
        "CREATE TABLE made(id INTEGER PRIMARY KEY, a INTEGER, doubled AS (a * 2) VIRTUAL, kept AS (a + 1) STORED);
         INSERT INTO made(a) VALUES (20), (30);
         CREATE VIRTUAL TABLE notes USING fts5(title, body);
         INSERT INTO notes VALUES ('one', 'red apples'), ('two', 'green pears');
         CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1);
         INSERT INTO boxes VALUES (1, 0.5, 1.5), (2, 3, 4);",
    );
    assert_eq!(server.get("/tables/made/2").json(), json!({"id": 2, "a": 30, "doubled": 60, "kept": 31}));
    assert_eq!(server.get("/tables/made?doubled=eq.40&select=id,kept").json(), json!([{"id": 1, "kept": 21}]));
    assert_eq!(
        server.get("/tables/notes").json(),
        json!([{"title": "one", "body": "red apples"}, {"title": "two", "body": "green pears"}])
    );
    assert_eq!(server.get("/tables/notes?title=eq.two&select=body").json(), json!([{"body": "green pears"}]));
    // The table's own hidden column, and MATCH, are not offered.
    assert_eq!(server.get("/tables/notes?notes=eq.apples").status, 400);
    assert_eq!(server.get("/tables/notes?body=match.apples").status, 400);
    assert_eq!(server.get("/tables/notes?rank=eq.1").status, 400);
    assert_eq!(server.get("/tables/notes?select=rank").status, 400);
    assert_eq!(server.get("/tables/boxes?x0=gte.2").json(), json!([{"id": 2, "x0": 3.0, "x1": 4.0}]));
    let listed = server.get("/tables").json();
    let names: Vec<&str> = listed.as_array().unwrap().iter().map(|table| table["name"].as_str().unwrap()).collect();
    assert!(!names.iter().any(|name| name.starts_with("sqlite_")), "{names:?}");
    for name in ["sqlite_schema", "sqlite_master", "sqlite_temp_schema", "pragma_table_list", "json_each", "dbstat"] {
        assert_eq!(server.get(&format!("/tables/{name}")).status, 404, "{name}");
    }
}

const SLOW: &str = "
    CREATE TABLE t(a); INSERT INTO t VALUES (1);
    CREATE VIEW forever AS WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT count(*) AS n FROM c;
    CREATE VIEW sorted AS WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT i FROM c ORDER BY i DESC;";

#[test]
fn a_query_that_takes_too_long_ends_and_the_connection_goes_on() {
    let server = Server::with(SLOW);
    let mut stream = server.connect();
    for view in ["forever", "sorted", "forever?n=eq.1"] {
        write!(stream, "GET /tables/{view} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let slow = read_answer(&mut stream, false).unwrap();
        assert_eq!(slow.status, 504, "{view}: {}", slow.text());
        assert_eq!(slow.json()["type"], "tag:flagstone,2026:query-timeout");
        write!(stream, "GET /tables/t HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let next = read_answer(&mut stream, false).unwrap();
        assert_eq!((next.status, next.text().as_str()), (200, r#"[{"a":1}]"#), "the same connection, after {view}");
    }
    let status = server.status();
    assert_eq!(status["requests"]["query_timeouts"], 3);
}

#[test]
fn while_a_slow_query_runs_the_rest_is_served() {
    let server = Server::with(SLOW);
    let mut slow = server.connect();
    write!(slow, "GET /tables/forever HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    server.wait_for_status("the query runs", |status| status["nested_turns"].as_u64() > Some(0));
    for target in ["/-/health", "/-/status", "/-/metrics"] {
        assert_eq!(server.get(target).status, 200, "{target}");
    }
    assert_eq!(server.get("/nowhere").status, 404);
    assert_eq!(read_answer(&mut slow, false).unwrap().status, 504);
}

#[test]
fn a_query_whose_client_has_gone_is_given_up() {
    let server = Server::with(SLOW);
    let mut slow = server.connect();
    write!(slow, "GET /tables/forever HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    server.wait_for_status("the query runs", |status| status["nested_turns"].as_u64() > Some(0));
    // A reset is a hang-up; closing alone might be half of one.
    socket2::SockRef::from(&slow).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(slow);
    server.wait_for_status("it is given up", |status| status["requests"]["abandoned"] == 1);
    assert_eq!(server.get("/tables/t").status, 200);
}

#[test]
fn what_sqlite_finds_wrong_is_told_in_a_problem() {
    let server = Server::with(
        "CREATE TABLE t(a); INSERT INTO t VALUES (1), ('x');
         CREATE VIEW gone AS SELECT nope FROM t;
         CREATE VIEW lost AS SELECT a FROM missing;
         CREATE VIEW bad_json AS SELECT json_extract('{bad', '$.a') AS j FROM t;
         CREATE VIEW overflow AS SELECT abs(-9223372036854775808) AS o FROM t;
         CREATE VIEW huge AS SELECT zeroblob(100000000) AS z FROM t;",
    );
    for (view, slug, essential) in [
        ("gone", "query-failed", "no such column: nope"),
        ("lost", "query-failed", "no such table: main.missing"),
        ("bad_json", "query-failed", "malformed JSON"),
        ("overflow", "query-failed", "integer overflow"),
        ("huge", "value-too-large", "KiB"),
    ] {
        let answer = server.get(&format!("/tables/{view}"));
        let problem = answer.json();
        assert_eq!((answer.status, &problem["type"]), (500, &json!(format!("tag:flagstone,2026:{slug}"))), "{}", answer.text());
        assert!(problem["detail"].as_str().unwrap().contains(essential), "{view}: {}", answer.text());
        assert_eq!(answer.field("cache-control"), Some("no-store"));
        assert_eq!(answer.field("etag"), None);
    }
    assert_eq!(server.metric("flagstone_refused_statements_total"), 4.0, "what is too large is no statement's fault");
    // A value that is too long matters only where it is shown.
    assert_eq!(server.get("/tables/t").status, 200);
    assert_eq!(server.get("/tables").json().as_array().unwrap().len(), 6);
}
