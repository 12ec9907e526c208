//! Answers over tables: which rows, in which order, on which page, under which names.

mod server;

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Value, json};
use server::{Answer, Server};

/// Percent-encodes all but unreserved characters.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => write!(out, "%{byte:02X}").expect("a string"),
        }
        out
    })
}

fn rows(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().as_array().expect("an array").clone()
}

fn counted(server: &Server, target: &str) -> (usize, String) {
    let answer = server.request("GET", target, &[("Prefer", "count=exact")]);
    (rows(&answer).len(), answer.field("content-range").expect("Content-Range").to_string())
}

/// Follows the links and returns each page's rows.
fn walk(server: &Server, target: &str) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    let mut target = target.to_string();
    loop {
        let page = server.get(&target);
        pages.push(rows(&page));
        assert!(pages.len() < 2000, "the walk ends");
        match page.next() {
            Some(next) => target = next.to_string(),
            None => return pages,
        }
    }
}

/// Asserts that a walk meets each of `count` rows, told apart by `column`, exactly once.
fn meets_all_once(server: &Server, target: &str, column: &str, count: usize) {
    let all: Vec<String> = walk(server, target).concat().iter().map(|row| row[column].to_string()).collect();
    assert_eq!(all.len(), count, "{target}");
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), count, "{target}: a row came twice");
}

const NUMBERS: &str = "
    CREATE TABLE numbers(id INTEGER PRIMARY KEY, n INTEGER, word TEXT, score REAL);
    WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 1234)
    INSERT INTO numbers SELECT i, i % 7, CASE WHEN i % 5 THEN 'w' || (i % 100) END, i / 8.0 FROM c;";

#[test]
fn filters_order_and_columns_mean_what_they_say() {
    let server = Server::with(NUMBERS);
    // A target, and the SQL that gives the same ids.
    let cases = [
        ("n=eq.3", "n = 3"),
        ("n=neq.3", "n <> 3"),
        ("n=gt.3&n=lte.5", "n > 3 AND n <= 5"),
        ("score=lt.2.5", "score < 2.5"),
        ("word=like.w1*", "word GLOB 'w1*'"),
        ("word=like.W1*", "word GLOB 'W1*'"),
        ("word=ilike.W1%25", "word LIKE 'w1%'"),
        ("word=in.(w1,w2,w99)", "word IN ('w1', 'w2', 'w99')"),
        ("n=not.in.(0,1,2)&id=lt.50", "n NOT IN (0, 1, 2) AND id < 50"),
        ("word=is.null&id=gte.1000", "word IS NULL AND id >= 1000"),
        ("word=not.is.null&id=gt.1200", "word IS NOT NULL AND id > 1200"),
        ("word=eq.w1'%20OR%201=1--", "0"),
    ];
    let conn = rusqlite::Connection::open(server.database()).unwrap();
    for (filter, sql) in cases {
        let mut statement = conn.prepare(&format!("SELECT id FROM numbers WHERE {sql} ORDER BY id LIMIT 1000")).unwrap();
        let expected: Vec<i64> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let answer = server.get(&format!("/tables/numbers?{filter}&select=id&limit=1000"));
        let ids: Vec<i64> = rows(&answer).iter().map(|row| row["id"].as_i64().unwrap()).collect();
        assert_eq!(ids, expected, "{filter}");
    }
    let answer = server.get("/tables/numbers?select=word,id&order=n.desc,word.asc.nullslast,id.desc&limit=2");
    assert_eq!(answer.text(), r#"[{"word":"w1","id":601},{"word":"w11","id":811}]"#);
}

#[test]
fn a_count_stands_in_content_range() {
    let server = Server::with(&format!(
        "{NUMBERS} CREATE TABLE empty(a); CREATE TABLE many(a);
         WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 10001) INSERT INTO many SELECT i FROM c;"
    ));
    assert_eq!(counted(&server, "/tables/numbers"), (100, "0-99/1234".into()));
    assert_eq!(counted(&server, "/tables/numbers?n=eq.3&limit=7"), (7, "0-6/176".into()));
    assert_eq!(counted(&server, "/tables/empty"), (0, "*/0".into()));
    assert_eq!(counted(&server, "/tables/numbers?id=eq.0"), (0, "*/0".into()));
    assert_eq!(counted(&server, "/tables/many"), (100, "0-99/10000+".into()));
    rusqlite::Connection::open(server.database()).unwrap().execute("DELETE FROM many WHERE a = 1", []).unwrap();
    assert_eq!(counted(&server, "/tables/many"), (100, "0-99/10000".into()));
    let second = server.get("/tables/numbers").next().expect("a next page").to_string();
    assert_eq!(counted(&server, &second), (100, "100-199/1234".into()));
    assert_eq!(server.get("/tables/numbers").field("content-range"), None);
    assert_eq!(server.request("GET", "/tables/numbers", &[("Prefer", "count=none")]).field("content-range"), None);
}

#[test]
fn following_next_meets_every_row_once() {
    let server = Server::with(&format!(
        "{NUMBERS}
         CREATE TABLE keyed(a TEXT, b INTEGER, v TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
         INSERT INTO keyed SELECT 'k' || n, id, word FROM numbers;
         CREATE TABLE nulls(a TEXT, b REAL);
         INSERT INTO nulls SELECT CASE WHEN id % 3 THEN 'same' END, CASE WHEN id % 4 THEN id END FROM numbers;
         CREATE TABLE shadow(rowid TEXT, oid TEXT, _rowid_ TEXT, id INTEGER);
         INSERT INTO shadow SELECT 'x', 'y', 'z', id FROM numbers WHERE id <= 250;
         CREATE VIEW seen AS SELECT id, word FROM numbers WHERE n < 4;"
    ));
    let conn = rusqlite::Connection::open(server.database()).unwrap();
    for (target, column, from) in [
        ("/tables/numbers?limit=97", "id", "numbers"),
        ("/tables/numbers?order=word.desc,n&limit=111", "id", "numbers"),
        ("/tables/numbers?order=word.nullslast&word=not.like.w1*&limit=50&select=id", "id", "numbers WHERE word NOT GLOB 'w1*'"),
        ("/tables/numbers?order=score.desc&limit=1000", "id", "numbers"),
        ("/tables/keyed?limit=200", "b", "keyed"),
        ("/tables/keyed?order=v,a.desc&limit=200", "b", "keyed"),
        ("/tables/shadow?limit=33", "id", "shadow"),
        ("/tables/seen?limit=100", "id", "seen"),
        ("/tables/seen?limit=100&order=word,id", "id", "seen"),
    ] {
        let count: u32 = conn.query_row(&format!("SELECT count(*) FROM {from}"), [], |row| row.get(0)).unwrap();
        assert!(count > 200, "{from}");
        meets_all_once(&server, target, column, count as usize);
    }
    // Rows without a key of their own, all of whose ordered values may be NULL or equal.
    for order in ["a", "a.desc", "b.nullsfirst", "b.desc.nullslast,a"] {
        let all = walk(&server, &format!("/tables/nulls?order={order}&limit=100")).concat();
        assert_eq!(all.len(), 1234, "{order}");
        let distinct: BTreeSet<String> = all.iter().filter(|row| !row["b"].is_null()).map(ToString::to_string).collect();
        assert_eq!(distinct.len(), 1234 - 1234 / 4, "{order}");
    }
}

#[test]
fn a_walk_goes_on_while_rows_come_and_go() {
    let server = Server::with(NUMBERS);
    let conn = rusqlite::Connection::open(server.database()).unwrap();
    let mut target = "/tables/numbers?order=n,score&limit=100&select=id".to_string();
    let mut seen = BTreeSet::new();
    for page in 0.. {
        let answer = server.get(&target);
        for row in rows(&answer) {
            assert!(seen.insert(row["id"].as_i64().unwrap()), "a row came twice");
        }
        // Behind the place where the walk stands nothing is shifted by what comes and goes before it.
        conn.execute("INSERT INTO numbers VALUES (?1, -1, 'before', 0)", [10_000 + page]).unwrap();
        conn.execute("DELETE FROM numbers WHERE id = (SELECT min(id) FROM numbers WHERE n = 0)", []).unwrap();
        match answer.next() {
            Some(next) => target = next.to_string(),
            None => break,
        }
    }
    assert_eq!(seen.len(), 1234);
}

#[test]
fn a_page_ends_at_the_answers_size_and_next_goes_on() {
    let server = Server::with(
        "CREATE TABLE wide(id INTEGER PRIMARY KEY, body TEXT);
         WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 40)
         INSERT INTO wide SELECT i, replace(hex(zeroblob(50000)), '0', 'x') FROM c;
         CREATE TABLE too_wide(id INTEGER PRIMARY KEY, body BLOB);
         INSERT INTO too_wide VALUES (1, zeroblob(1000)), (2, zeroblob(900000));",
    );
    for format in ["json", "csv", "ndjson"] {
        let mut ids = 0;
        let mut target = format!("/tables/wide?limit=1000&_format={format}");
        loop {
            let page = server.get(&target);
            assert_eq!(page.status, 200, "{}", page.text());
            assert!(page.body.len() <= 1024 * 1024 && page.body.len() > 100_000, "{format}: {} bytes", page.body.len());
            ids += page.text().matches("xxxx\"").count().max(page.text().matches("xxxx\r\n").count());
            match page.next() {
                Some(next) => target = next.to_string(),
                None => break,
            }
        }
        assert_eq!(ids, 40, "{format}");
    }
    // Before the row that is too long there is a page; the row alone is an error that says what to do.
    let first = server.get("/tables/too_wide");
    assert_eq!(rows(&first).len(), 1);
    let second = server.get(first.next().expect("a next page"));
    assert_eq!(
        (second.status, &second.json()["type"]),
        (500, &json!("tag:flagstone,2026:answer-too-large")),
        "{}",
        second.text()
    );
    assert!(second.json()["hint"].as_str().unwrap().contains("select="));
    assert_eq!(server.get("/tables/too_wide/2").status, 500);
    assert_eq!(server.get("/tables/too_wide/2?select=id").text(), r#"{"id":2}"#);
}

const ODD_NAMES: &[&str] = &[
    "with space",
    "say \"hi\"",
    "it's",
    "100%",
    "a/b",
    "Straße 冷蔵庫",
    "select",
    "limit",
    "order",
    "a,b",
    "a.b",
    "(x)",
    "?q=1&r",
    "#frag",
    "back\\slash",
    "semi;colon",
    "<b>&amp;",
    "tab\there",
    "plus+sign",
    "[square]",
    "`tick`",
    "-",
    "0",
    "..",
];

#[test]
fn odd_names_of_tables_and_columns_work_everywhere() {
    let mut sql = String::new();
    for name in ODD_NAMES {
        let quoted = name.replace('"', "\"\"");
        write!(sql, "CREATE TABLE \"{quoted}\"(id INTEGER PRIMARY KEY, \"{quoted}\" TEXT);").unwrap();
        write!(sql, "INSERT INTO \"{quoted}\" VALUES (1, 'one'), (2, 'two'), (3, 'three');").unwrap();
    }
    let server = Server::with(&sql);
    let page = server.request("GET", "/", &[("Accept", "text/html")]).text();
    for name in ODD_NAMES {
        let table = encoded(name);
        let whole = server.get(&format!("/tables/{table}"));
        let mut expected = json!([{"id": 1}, {"id": 2}, {"id": 3}]);
        for (row, value) in expected.as_array_mut().unwrap().iter_mut().zip(["one", "two", "three"]) {
            row[*name] = json!(value);
        }
        assert_eq!(whole.status, 200, "{name}: {}", whole.text());
        assert_eq!(whole.json(), expected, "{name}");
        assert_eq!(server.get(&format!("/tables/{table}/2")).json(), expected[1], "{name}");
        // In lists and as a parameter's name, a name may be quoted as in PostgREST.
        let quoted = encoded(&format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")));
        let selected = server.get(&format!("/tables/{table}?select={quoted}&order={quoted}.desc&{quoted}=neq.one"));
        assert_eq!(selected.status, 200, "{name}: {}", selected.text());
        assert_eq!(selected.json(), json!([{ *name: "two" }, { *name: "three" }]), "{name}");
        // The link to the next page keeps the name's spelling.
        meets_all_once(&server, &format!("/tables/{table}?limit=1"), "id", 3);
        assert!(page.contains(&format!("href=\"/tables/{table}\"")), "{name} is linked");
    }
    assert!(!page.contains("<b>&amp;<") && page.contains("&lt;b&gt;&amp;amp;"), "names are text");
    assert!(!page.contains("say \"hi\""), "names are text");
    let listed: Vec<String> = server
        .get("/tables")
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|table| table["name"].as_str().unwrap().to_string())
        .collect();
    assert_eq!(listed.len(), ODD_NAMES.len());
    assert!(ODD_NAMES.iter().all(|name| listed.iter().any(|have| have == name)));
}

#[test]
fn many_tables_and_wide_ones_are_served_up_to_the_catalogs_size() {
    let mut sql = String::from("BEGIN;");
    for at in 0..300 {
        write!(sql, "CREATE TABLE t{at:03}(id INTEGER PRIMARY KEY, v); INSERT INTO t{at:03} VALUES ({at}, 'v');").unwrap();
    }
    let columns: Vec<String> = (0..1000).map(|at| format!("c{at} INTEGER DEFAULT {at}")).collect();
    write!(sql, "CREATE TABLE wide({}); INSERT INTO wide DEFAULT VALUES; COMMIT;", columns.join(",")).unwrap();
    let server = Server::with(&sql);
    assert_eq!(server.get("/tables").json().as_array().unwrap().len(), 301);
    for at in [0, 150, 299] {
        assert_eq!(server.get(&format!("/tables/t{at:03}")).json(), json!([{"id": at, "v": "v"}]));
    }
    let names: Vec<String> = (0..300).map(|at| format!("c{at}")).collect();
    let some = server.get(&format!("/tables/wide?select={}", names.join(",")));
    assert_eq!(some.status, 200, "{}", some.text());
    assert_eq!(some.json()[0].as_object().unwrap().len(), 300);
    assert_eq!(server.get("/tables/wide?c999=eq.999&select=c0,c999").text(), r#"[{"c0":0,"c999":999}]"#);
    // More columns than an answer shows: an error with the way out, not a cut row.
    let all = server.get("/tables/wide");
    assert_eq!(all.status, 400, "{}", all.text());
    assert!(all.json()["hint"].as_str().unwrap().contains("select="), "{}", all.text());
    assert!(server.block.contains("301: ") && server.block.contains("more"), "{}", server.block);
}
