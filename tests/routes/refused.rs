//! What no route may do, said at the start; and what goes wrong later, said clearly, while the server goes on.

use super::{SQL, slug, with, x_cache};
use crate::configured::{route, start, toml, write};

#[test]
fn an_answer_that_is_too_large_is_an_error_that_names_the_limit() {
    let server = with(&[
        route(
            "/rows",
            "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < :n) SELECT printf('%.1000c', 'x') AS x FROM c",
            "params = { n = { type = \"integer\" } }",
        ),
        route("/value", "SELECT printf('%.*c', :n, 'x')", "rows = \"value\"\nparams = { n = { type = \"integer\" } }"),
    ]);
    let limit = server.setting("ANSWER_KIB");
    for (target, small) in [("/rows?n=5000", "/rows?n=500"), ("/rows?n=5000&_format=csv", "/rows?n=500&_format=csv")] {
        for _ in 0..2 {
            let refused = server.get(target);
            assert_eq!((refused.status, slug(&refused).as_str()), (500, "answer-too-large"), "{target}");
            assert!(refused.text().contains(&format!("{limit} KiB")), "{}", refused.text());
        }
        assert_eq!(server.get(small).status, 200);
    }
    let value = server.get("/value?n=2000000");
    assert!((500..600).contains(&value.status), "{}", value.text());
    assert_eq!(server.get("/value?n=1000").body.len(), 1000);
}

#[test]
fn a_table_that_is_dropped_is_an_error_until_it_is_back() {
    let server = with(&[
        route("/things", "SELECT name FROM things ORDER BY name LIMIT 1", ""),
        route("/readings", "SELECT count(*) AS n FROM readings", ""),
    ]);
    assert_eq!((server.get("/things").status, server.get("/readings").status), (200, 200));
    write(&server, "DROP TABLE things");
    for _ in 0..3 {
        let gone = server.get("/things");
        assert_eq!(gone.status, 500, "{}", gone.text());
        assert!(gone.text().contains("things"), "it says what is missing: {}", gone.text());
        slug(&gone);
        assert_eq!(server.get("/readings").json()[0]["n"], 3, "the others go on");
    }
    write(&server, "CREATE TABLE things(name TEXT); INSERT INTO things VALUES ('back')");
    let back = server.get("/things");
    assert_eq!((back.status, back.text().as_str(), x_cache(&back)), (200, r#"[{"name":"back"}]"#, "miss"));
    write(&server, "ALTER TABLE things ADD COLUMN more");
    assert_eq!(server.get("/things").status, 200);
}

#[test]
fn columns_that_change_their_names_are_seen() {
    let server = with(&[route("/all", "SELECT * FROM things ORDER BY rowid LIMIT 1", "")]);
    assert_eq!(server.get("/all").text(), r#"[{"name":"a/b","note":"slash"}]"#);
    write(&server, "ALTER TABLE things RENAME COLUMN note TO remark; ALTER TABLE things ADD COLUMN n DEFAULT 1");
    assert_eq!(server.get("/all").text(), r#"[{"name":"a/b","remark":"slash","n":1}]"#);
}

#[test]
fn a_query_that_takes_too_long_is_ended() {
    let server = crate::configured::serve(
        SQL,
        &toml("", &format!("[limits]\nroute_query = \"100ms\"\n{}", route("/r", "SELECT n FROM forever", ""))),
    );
    let refused = server.get("/r");
    assert_eq!(slug(&refused), "query-timeout", "{}", refused.text());
    assert_eq!(server.get("/-/health").status, 200);
}

/// What `-c` with this route says at the start, where it must end with 78.
fn refusal(route: &str) -> String {
    let start = start(SQL, &toml("", route));
    let path = start.folder().join("data.db");
    let config = start.folder().join("flagstone.toml");
    let output = start.output(&["-l", "127.0.0.1:0", "-c", config.to_str().expect("UTF-8"), path.to_str().expect("UTF-8")]);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(78), "{route}: {text}");
    text
}

#[test]
fn sql_that_does_not_prepare_is_said_at_the_start_with_its_place() {
    let text = refusal(&route("/r", "SELECT nam FROM things", ""));
    assert!(text.contains("no such column: nam") && text.contains("flagstone.toml:10:17"), "{text}");
    assert!(refusal(&route("/r", "SELECT name FROM thing", "")).contains("no such table: thing"));
    assert!(refusal(&route("/r", "SELECT 1 FORM things", "")).contains("syntax error"));
    assert!(refusal(&route("/r", "SELECT 1 AS a, 2 AS a", "")).contains("two columns"));
    refusal(&route("/r", "SELECT ?", ""));
    refusal(&route("/r", "SELECT \"no string\"", ""));
}

#[test]
fn sql_that_does_what_no_route_may_is_refused_at_the_start() {
    let refused = [
        "PRAGMA user_version",
        "PRAGMA user_version = 7",
        "ATTACH DATABASE '/tmp/other.db' AS other",
        "DETACH DATABASE main",
        "CREATE TABLE new(a)",
        "CREATE TEMP TABLE new(a)",
        "DROP TABLE things",
        "ALTER TABLE things ADD COLUMN a",
        "REINDEX",
        "ANALYZE",
        "VACUUM",
        "VACUUM INTO '/tmp/other.db'",
        "BEGIN",
        "COMMIT",
        "SAVEPOINT s",
        "INSERT INTO things VALUES ('a', 'b')",
        "INSERT INTO things VALUES ('a', 'b') RETURNING name",
        "UPDATE things SET note = 'x' RETURNING note",
        "DELETE FROM things",
        "SELECT load_extension('x')",
        "SELECT writefile('/tmp/x', 'y')",
        "EXPLAIN SELECT 1",
    ];
    none_passes(&refused);
}

#[test]
fn pragmas_are_not_let_in_by_their_tables() {
    none_passes(&[
        "SELECT * FROM pragma_database_list",
        "SELECT name FROM Pragma_Table_Info('things')",
        "SELECT (SELECT count(*) FROM pragma_user_version) AS n",
        "WITH p AS (SELECT 1 AS one FROM pragma_compile_options) SELECT one FROM p",
    ]);
}

#[test]
fn a_table_may_be_called_like_a_pragma() {
    let sql = format!("{SQL} CREATE TABLE pragma_notes(note TEXT); INSERT INTO pragma_notes VALUES ('mine');");
    let server = crate::configured::serve(&sql, &toml("", &route("/r", "SELECT note FROM pragma_notes", "")));
    assert_eq!(server.get("/r").text(), r#"[{"note":"mine"}]"#);
}

/// Asserts that `--check` refuses a GET route with each of these.
fn none_passes(refused: &[&str]) {
    let mut passed = Vec::new();
    for &sql in refused {
        let started = start(SQL, &toml("", &route("/r", sql, "")));
        let (path, config) = (started.folder().join("data.db"), started.folder().join("flagstone.toml"));
        let output = started.output(&["--check", "-c", config.to_str().expect("UTF-8"), path.to_str().expect("UTF-8")]);
        if output.status.code() != Some(78) {
            passed.push((sql, output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()));
        }
    }
    assert!(passed.is_empty(), "{passed:#?}");
}
