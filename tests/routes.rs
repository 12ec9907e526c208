//! Named GET routes over real sockets: parameters, shapes, formats, methods, paths, what is kept and for how long, and what is refused.

#[path = "routes/cached.rs"]
mod cached;
mod configured;
#[path = "routes/formats.rs"]
mod formats;
#[path = "routes/property.rs"]
mod property;
#[path = "routes/refused.rs"]
mod refused;
mod server;
mod wire;

use configured::{route, serve, toml};
use server::{Answer, Server};

/// Readings of two sensors and things with odd names, in WAL mode.
const SQL: &str = "PRAGMA journal_mode = WAL;
    CREATE TABLE readings(id INTEGER PRIMARY KEY, sensor TEXT, at INTEGER, value REAL);
    INSERT INTO readings(sensor, at, value) VALUES ('kitchen', 1, 20.5), ('kitchen', 2, 21.0), ('cellar', 1, 12.25);
    CREATE TABLE things(name TEXT, note TEXT);
    INSERT INTO things VALUES ('a/b', 'slash'), ('grün', 'green'), ('x y', 'space'), ('100%', 'percent'), ('', 'nothing');
    CREATE VIEW forever AS WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c) SELECT count(*) AS n FROM c;";

/// A server of [`SQL`] with these routes.
fn with(routes: &[String]) -> Server {
    serve(SQL, &toml("", &routes.concat()))
}

/// The slug of a problem's type, after its form has been checked.
fn slug(answer: &Answer) -> String {
    assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{}", answer.text());
    assert!(answer.body.len() < 512);
    let problem = answer.json();
    assert_eq!(problem["status"], answer.status);
    problem["type"].as_str().and_then(|kind| kind.strip_prefix("tag:flagstone,2026:")).expect("a type of ours").to_string()
}

/// How a route answers from the cache.
fn x_cache(answer: &Answer) -> &str {
    answer.field("x-cache").unwrap_or_else(|| panic!("no X-Cache: {answer:?}"))
}

#[test]
fn parameters_have_types_defaults_and_ranges() {
    let typed = |kind: &str, more: &str| format!("params = {{ x = {{ type = \"{kind}\"{more} }} }}");
    let sql = "SELECT :x AS x, typeof(:x) AS t";
    let server = with(&[
        route("/text", sql, &typed("text", ", min = 2, max = 4")),
        route("/integer", sql, &typed("integer", ", default = 7, min = -5, max = 500")),
        route("/real", sql, &typed("real", ", default = 0.5, max = 1e3")),
        route("/boolean", sql, &typed("boolean", ", default = true")),
        route("/json", sql, &typed("json", "")),
        route("/blob", "SELECT hex(:x) AS x, typeof(:x) AS t", &typed("blob", "")),
        route("/any", sql, ""),
        route("/path/:x", sql, &typed("integer", "")),
        route("/two", "SELECT :a || :b AS x, 0 AS t", "params = { b = { type = \"text\", default = \"!\" } }"),
    ]);
    let good = [
        ("/text?x=gr%C3%BCn", "\"grün\"", "text"),
        ("/text?x=a+b", "\"a b\"", "text"),
        ("/integer", "7", "integer"),
        ("/integer?x=-5", "-5", "integer"),
        ("/integer?x=500", "500", "integer"),
        ("/real", "0.5", "real"),
        ("/real?x=3", "3.0", "real"),
        ("/real?x=-1e2", "-100.0", "real"),
        ("/boolean", "1", "integer"),
        ("/boolean?x=false", "0", "integer"),
        ("/json?x=%7B%22a%22:%5B1%5D%7D", r#""{\"a\":[1]}""#, "text"),
        ("/blob?x=AP8%3D", "\"00FF\"", "blob"),
        ("/any?x=1", "\"1\"", "text"),
        ("/any?x=", "\"\"", "text"),
        ("/path/12", "12", "integer"),
    ];
    for (target, x, kind) in good {
        let answer = server.get(target);
        let expected = format!(r#"[{{"x":{x},"t":"{kind}"}}]"#);
        assert_eq!((answer.status, answer.text()), (200, expected), "{target}");
    }
    assert_eq!(server.get("/two?a=hey").json()[0]["x"], "hey!");
    // Target, slug, and what the problem says of it.
    let bad = [
        ("/text", "missing-parameter", "x"),
        ("/text?x=a", "parameter-out-of-range", "2 to 4 characters"),
        ("/text?x=gr%C3%BCnes", "parameter-out-of-range", "6 characters"),
        ("/text?x=%FF%FF", "malformed-parameter", "UTF-8"),
        ("/text?x=%zz", "malformed-parameter", "%zz"),
        ("/integer?x=-6", "parameter-out-of-range", "-5 to 500"),
        ("/integer?x=501", "parameter-out-of-range", "-5 to 500"),
        ("/integer?x=9223372036854775808", "malformed-parameter", "64 bits"),
        ("/integer?x=1.5", "malformed-parameter", "integer"),
        ("/integer?x=", "malformed-parameter", "integer"),
        ("/integer?x=1&x=2", "malformed-parameter", "twice"),
        ("/real?x=1001", "parameter-out-of-range", "at most 1000"),
        ("/real?x=nan", "malformed-parameter", "number"),
        ("/boolean?x=yes", "malformed-parameter", "true"),
        ("/json?x=%7B", "malformed-parameter", "JSON"),
        ("/blob?x=%21", "malformed-parameter", "base64"),
        ("/any", "missing-parameter", "x"),
        ("/path/abc", "malformed-parameter", "abc"),
        ("/path/1?x=2", "unknown-parameter", "path"),
        ("/integer?y=1", "unknown-parameter", "y"),
        ("/integer?X=1", "unknown-parameter", "did you mean"),
    ];
    for (target, kind, says) in bad {
        let answer = server.get(target);
        assert_eq!((answer.status, slug(&answer).as_str()), (400, kind), "{target}: {}", answer.text());
        assert!(answer.text().contains(says), "{target}: {}", answer.text());
        let name = if target.contains("y=") { "y" } else { "x" };
        // An escape that is none stands before any name's meaning.
        assert!(
            says == "%zz" || answer.text().contains(&format!("'{name}'")) || answer.text().contains(&format!("{name} ")),
            "{}",
            answer.text()
        );
        assert_eq!(answer.field("x-cache"), None, "errors are not kept");
    }
}

#[test]
fn rows_are_many_one_or_a_value() {
    let list = "SELECT at, value FROM readings WHERE sensor = :sensor ORDER BY at";
    let server = with(&[
        route("/many/:sensor", list, ""),
        route("/one/:sensor", list, "rows = \"one\""),
        route("/value/:sensor", "SELECT value FROM readings WHERE sensor = :sensor ORDER BY at", "rows = \"value\""),
        route("/ics/:n", "SELECT :n", "rows = \"value\"\ntype = \"text/calendar\""),
        route("/null", "SELECT NULL", "rows = \"value\""),
        route("/bytes", "SELECT x'00ff0d0a'", "rows = \"value\"\ntype = \"application/octet-stream\""),
    ]);
    let cases = [
        ("/many/kitchen", 200, "application/json", r#"[{"at":1,"value":20.5},{"at":2,"value":21.0}]"#),
        ("/many/none", 200, "application/json", "[]"),
        ("/one/kitchen", 200, "application/json", r#"{"at":1,"value":20.5}"#),
        ("/value/kitchen", 200, "text/plain; charset=utf-8", "20.5"),
        ("/ics/BEGIN:VCALENDAR", 200, "text/calendar", "BEGIN:VCALENDAR"),
        ("/null", 200, "text/plain; charset=utf-8", ""),
    ];
    for (target, status, kind, body) in cases {
        let answer = server.get(target);
        assert_eq!((answer.status, answer.field("content-type"), answer.text().as_str()), (status, Some(kind), body), "{target}");
        assert!(answer.field("etag").is_some_and(|tag| tag.starts_with('"') && tag.ends_with('"')), "a strong tag: {answer:?}");
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
    }
    assert_eq!(server.get("/bytes").body, [0, 255, 13, 10]);
    for target in ["/one/none", "/value/none"] {
        let answer = server.get(target);
        assert_eq!((answer.status, slug(&answer).as_str()), (404, "no-row"), "{target}");
    }
}

#[test]
fn paths_are_split_before_they_are_decoded_and_a_word_beats_a_parameter() {
    let say = |what: &str| format!("SELECT '{what}'");
    let value = "rows = \"value\"";
    let server = with(&[
        route("/p/:x/:y", "SELECT :x || ',' || :y", value),
        route("/p/:x/b", "SELECT 'b of ' || :x", value),
        route("/p/a/:y", "SELECT 'a with ' || :y", value),
        route("/p/a/b", &say("both"), value),
        route("/thing/:name", "SELECT note FROM things WHERE name = :name", value),
        route("/grün", &say("unicode"), value),
        route("/", &say("front"), value),
    ]);
    let cases = [
        ("/p/a/b", 200, "both"),
        ("/p/a/c", 200, "a with c"),
        ("/p/c/b", 200, "b of c"),
        ("/p/c/d", 200, "c,d"),
        ("/p/a%2Fb/c", 200, "a/b,c"),
        ("/p/%61/%62", 200, "both"),
        ("/p/1+2/%2B", 200, "1+2,+"),
        ("/thing/a%2Fb", 200, "slash"),
        ("/thing/a%2fb", 200, "slash"),
        ("/thing/gr%C3%BCn", 200, "green"),
        ("/thing/x%20y", 200, "space"),
        ("/thing/100%25", 200, "percent"),
        ("/gr%C3%BCn", 200, "unicode"),
        ("/", 200, "front"),
        ("/thing/a/b", 404, ""),
        ("/thing/", 404, ""),
        ("/thing", 404, ""),
        ("/p/a/b/", 404, "slash at the end"),
        ("/p/a", 404, ""),
        ("/P/a/b", 404, ""),
        ("/p//b", 404, ""),
        ("/thing/%", 400, "malformed"),
        ("/thing/%F0%28", 400, "UTF-8"),
    ];
    for (target, status, says) in cases {
        let answer = server.get(target);
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        match status {
            200 => assert_eq!(answer.text(), says, "{target}"),
            _ => assert!(answer.text().contains(says), "{target}: {}", answer.text()),
        }
    }
}

#[test]
fn methods_are_told_from_each_other() {
    let write = "method = \"DELETE\"\nauth = \"sensor\"";
    let server = with(&[
        route("/r", "SELECT 1 AS one", ""),
        route("/both", "SELECT 1 AS one", ""),
        route("/both", "DELETE FROM things", write),
        route("/gone", "DELETE FROM things", write),
    ]);
    let get = server.get("/r");
    let head = server.request("HEAD", "/r", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in ["content-length", "content-type", "etag", "cache-control", "vary"] {
        assert_eq!(head.field(name), get.field(name), "{name}");
    }
    let cases = [
        ("OPTIONS", "/r", 204, Some("GET, HEAD, OPTIONS")),
        ("OPTIONS", "/both", 204, Some("GET, HEAD, DELETE, OPTIONS")),
        ("OPTIONS", "/gone", 204, Some("DELETE, OPTIONS")),
        ("POST", "/r", 405, Some("GET, HEAD, OPTIONS")),
        ("PUT", "/both", 405, Some("GET, HEAD, DELETE, OPTIONS")),
        ("GET", "/gone", 405, Some("DELETE, OPTIONS")),
        ("HEAD", "/gone", 405, Some("DELETE, OPTIONS")),
        ("OPTIONS", "/nowhere", 404, None),
        ("DELETE", "/nowhere", 404, None),
        ("BREW", "/r", 501, None),
    ];
    for (method, target, status, allow) in cases {
        let answer = server.request(method, target, &[]);
        assert_eq!((answer.status, answer.field("allow")), (status, allow), "{method} {target}");
    }
}

#[test]
fn tables_are_off_with_a_configuration_unless_it_exposes_them() {
    let some = route("/r", "SELECT 1 AS one", "");
    let server = with(std::slice::from_ref(&some));
    for target in ["/", "/tables", "/tables/things", "/tables/readings/1", "/tables/none"] {
        let answer = server.get(target);
        assert_eq!((answer.status, slug(&answer).as_str()), (404, "not-found"), "{target}");
        assert!(!answer.text().contains("/tables"), "no hint to what is off: {}", answer.text());
    }
    let server = serve(SQL, &toml("", &format!("[tables]\nexpose = [\"readings\"]\n{some}")));
    let names: Vec<_> =
        server.get("/tables").json().as_array().expect("a list").iter().map(|table| table["name"].clone()).collect();
    assert_eq!(names, ["readings"]);
    assert_eq!(server.get("/tables/readings/1").json()["sensor"], "kitchen");
    for target in ["/tables/things", "/tables/forever", "/tables/none", "/tables/sqlite_schema", "/tables/READINGS2"] {
        assert_eq!((server.get(target).status, target), (404, target));
    }
    let hinted = server.get("/tables/thing").text();
    assert!(!hinted.contains("things"), "a near name that is not exposed stays unsaid: {hinted}");
    let html = server.request("GET", "/", &[("Accept", "text/html")]).text();
    assert!(html.contains("readings") && !html.contains("things"), "{html}");
    let server = serve(SQL, &toml("", &format!("[tables]\nexpose = \"*\"\nauth = \"display\"\n{some}")));
    for target in ["/", "/tables", "/tables/things", "/tables/none"] {
        assert_eq!((server.get(target).status, target), (401, target));
        assert_eq!(server.get_with(configured::SENSOR, target).status, 403, "{target}");
    }
    assert_eq!(server.get_with(configured::DISPLAY, "/tables/things").json().as_array().map(Vec::len), Some(5));
    assert_eq!(server.get("/r").status, 200, "the tables' token is theirs alone");
}
