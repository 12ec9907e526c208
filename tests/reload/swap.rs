//! The swap itself: nobody who waits is forgotten, and nothing that was kept for the old one is given for the new.

use std::io::Write;

use rustix::process::Signal;

use super::{SQL, put};
use crate::configured::{DISPLAY, SENSOR, open, route, start, toml};
use crate::server::{Answer, Server, read_answer, wait_for};

fn reload(server: &Server, text: &str) {
    put(server, text);
    let answer = server.operate("POST", "/-/reload", "");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn x_cache(answer: &Answer) -> Option<&str> {
    answer.field("x-cache")
}

#[test]
fn entries_of_unchanged_routes_stay_and_those_of_changed_ones_go() {
    let stale = "stale_ok = \"1h\"\nstale_if_error = \"1h\"";
    let typed = |kind: &str, default: &str| format!("params = {{ x = {{ type = \"{kind}\", default = {default} }} }}");
    let old = [
        route("/same", "SELECT 'same' AS w FROM t", ""),
        route("/sql", "SELECT 'old' AS w FROM t LIMIT 1", stale),
        route("/rows", "SELECT 'w' AS w FROM t LIMIT 1", ""),
        route("/type", "SELECT 'w' AS w", "rows = \"value\""),
        route("/default", "SELECT :x AS w", &typed("integer", "1")),
        route("/kind", "SELECT typeof(:x) AS w", &typed("integer", "1")),
        route("/age", "SELECT 'w' AS w", ""),
        route("/moved", "SELECT 'moved' AS w", ""),
    ];
    let new = [
        route("/before", "SELECT 'another place in the list' AS w", ""),
        route("/age", "SELECT 'w' AS w", "max_age = \"1m\""),
        route("/same", "SELECT 'same' AS w FROM t", ""),
        route("/sql", "SELECT 'new' AS w FROM t LIMIT 1", stale),
        route("/rows", "SELECT 'w' AS w FROM t LIMIT 1", "rows = \"one\""),
        route("/type", "SELECT 'w' AS w", "rows = \"value\"\ntype = \"text/x\""),
        route("/default", "SELECT :x AS w", &typed("integer", "2")),
        route("/kind", "SELECT typeof(:x) AS w", &typed("text", "\"1\"")),
    ];
    let server = start(SQL, &toml("", &old.concat())).run();
    let targets = ["/same", "/sql", "/rows", "/type", "/default", "/kind", "/age", "/moved"];
    let tags: Vec<String> = targets.iter().map(|target| server.get(target).field("etag").expect("a tag").to_string()).collect();
    for target in targets {
        assert_eq!(x_cache(&server.get(target)), Some("hit"), "{target}");
    }
    reload(&server, &toml("", &new.concat()));
    assert_eq!(x_cache(&server.get("/same")), Some("hit"), "an entry outlives what does not concern it");
    let expected = [
        ("/sql", r#"[{"w":"new"}]"#, "application/json"),
        ("/rows", r#"{"w":"w"}"#, "application/json"),
        ("/type", "w", "text/x"),
        ("/default", r#"[{"w":2}]"#, "application/json"),
        ("/kind", r#"[{"w":"text"}]"#, "application/json"),
    ];
    for (target, body, kind) in expected {
        let tag = &tags[targets.iter().position(|other| *other == target).expect("it is there")];
        let answer = server.request("GET", target, &[("If-None-Match", tag)]);
        assert_eq!((answer.status, answer.text().as_str(), x_cache(&answer)), (200, body, Some("miss")), "{target}");
        assert_eq!(answer.field("content-type"), Some(kind));
    }
    assert_eq!(server.get("/age").field("cache-control"), Some("max-age=60"));
    assert_eq!(server.get("/moved").status, 404);
    reload(&server, &toml("", &old.concat()));
    assert_eq!(server.get("/sql").text(), r#"[{"w":"old"}]"#);
    assert_eq!(server.get("/moved").text(), r#"[{"w":"moved"}]"#);
}

#[test]
fn an_answer_says_on_what_it_depends_as_soon_as_it_does() {
    const ALL: Option<&str> = Some("Accept, Origin, Authorization");
    let value = |more: &str| route("/v", "SELECT 'x'", &format!("rows = \"value\"\n{more}"));
    let rows = route("/r", "SELECT 'x' AS x", "");
    let cors = "[cors]\norigins = [\"https://a.example\"]\n";
    let server = start(SQL, &toml("", &(value("") + &rows))).run();
    for (configuration, expected) in [
        (value("") + &rows, None),
        (format!("{cors}{}{rows}", value("")), ALL),
        (value("auth = \"display\"") + &rows, ALL),
        (value("") + &rows, None),
    ] {
        reload(&server, &toml("", &configuration));
        let mut wire = server.connect();
        for asked in ["", "", "If-None-Match: *\r\n", "If-None-Match: *\r\n"] {
            let head = format!("GET /v HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {DISPLAY}\r\n{asked}\r\n");
            wire.write_all(head.as_bytes()).expect("sent");
            let answer = read_answer(&mut wire, false).expect("an answer");
            assert_eq!(
                (answer.status, answer.field("vary")),
                (if asked.is_empty() { 200 } else { 304 }, expected),
                "{configuration}"
            );
        }
        assert_eq!(server.get("/r").field("vary"), ALL, "rows have several forms");
    }
}

/// Sends a request and leaves its answer for later.
fn ask(server: &Server, request: &str) -> std::net::TcpStream {
    let mut stream = server.connect();
    stream.write_all(request.as_bytes()).expect("it is taken");
    stream
}

fn get(target: &str, token: Option<&str>) -> String {
    let auth = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{auth}Connection: close\r\n\r\n")
}

#[test]
fn who_waits_is_judged_anew_and_answered() {
    // Rollback mode: while another process writes, readers wait.
    let sql = SQL.replace("WAL", "DELETE");
    let limits = "[limits]\nbusy_timeout = \"15s\"\nqueue = \"18s\"\n";
    let old = [
        route("/same", "SELECT count(*) AS w FROM t", ""),
        route("/sql", "SELECT 'old' AS w FROM t LIMIT 1", ""),
        route("/gone", "SELECT 'gone' AS w FROM t LIMIT 1", ""),
        route("/closed", "SELECT 'open' AS w FROM t LIMIT 1", ""),
        route("/other", "SELECT 'secret' AS w FROM t LIMIT 1", "auth = \"display\""),
        route("/strict", "SELECT :x AS w FROM t LIMIT 1", ""),
    ];
    let new = [
        route("/strict", "SELECT :x AS w FROM t LIMIT 1", "params = { x = { type = \"integer\" } }"),
        route("/closed", "SELECT 'closed' AS w FROM t LIMIT 1", "auth = \"display\""),
        route("/other", "SELECT 'secret' AS w FROM t LIMIT 1", "auth = \"sensor\""),
        route("/sql", "SELECT 'new' AS w FROM t LIMIT 1", ""),
        route("/same", "SELECT count(*) AS w FROM t", ""),
    ];
    let server = start(&sql, &toml("", &format!("{limits}{}", old.concat()))).run();
    let other = open(&server.database());
    other.execute_batch("BEGIN EXCLUSIVE; INSERT INTO t(v) VALUES ('three')").expect("a lock");
    let cases = [
        ("/same", None, 200, r#"[{"w":3}]"#),
        ("/same", None, 200, r#"[{"w":3}]"#),
        ("/sql", None, 200, r#"[{"w":"new"}]"#),
        ("/sql", None, 200, r#"[{"w":"new"}]"#),
        ("/gone", None, 404, "not-found"),
        ("/closed", None, 401, "unauthorized"),
        ("/closed", Some(DISPLAY), 200, r#"[{"w":"closed"}]"#),
        ("/other", Some(DISPLAY), 403, "wrong-token"),
        ("/strict?x=a", None, 400, "malformed-parameter"),
        ("/strict?x=1", None, 200, r#"[{"w":1}]"#),
    ];
    let asked: Vec<_> = cases.iter().map(|(target, token, ..)| ask(&server, &get(target, *token))).collect();
    server.wait_for_status("all wait", |status| {
        let waiting = ["queued", "joined"].map(|state| status["connections"][state].as_u64().unwrap_or(0));
        waiting.iter().sum::<u64>() == cases.len() as u64
    });
    put(&server, toml("", &format!("{limits}{}", new.concat())));
    server.signal(Signal::HUP);
    wait_for("the new one runs", || super::versions(&server)[0].1 == "reloaded");
    // Who is refused by it is told at once; the others wait on.
    other.execute_batch("COMMIT").expect("a commit");
    for ((target, _, status, says), mut stream) in cases.into_iter().zip(asked) {
        let answer = read_answer(&mut stream, false).expect("an answer");
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        assert!(answer.text().contains(says), "{target}: {}", answer.text());
    }
    assert_eq!(server.get_with(SENSOR, "/other").status, 200);
    let status = server.status();
    assert_eq!(
        (status["connections"]["queued"].as_u64(), status["connections"]["joined"].as_u64()),
        (Some(0), Some(0)),
        "{status}"
    );
    assert_eq!(status["panics"], 0);
}

#[test]
fn a_swap_among_many_waiting_requests_loses_none() {
    let slow = "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 200000) SELECT count(*) AS w FROM c";
    let text = |word: &str| {
        toml(
            "",
            &[
                route("/slow/:n", &format!("{slow} WHERE :n <> ''"), ""),
                route("/r", &format!("SELECT '{word}' AS w"), "ttl = \"0\""),
            ]
            .concat(),
        )
    };
    let server = start(SQL, &text("one")).run();
    for round in 0..3 {
        let word = ["two", "one", "two"][round];
        let slow: Vec<_> = (0..4).map(|n| ask(&server, &get(&format!("/slow/{round}{n}"), None))).collect();
        let mut asked = Vec::new();
        put(&server, text(word));
        for at in 0..24 {
            if at == 12 {
                let auth = format!(
                    "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
                    crate::configured::ADMIN
                );
                asked.push(ask(&server, &auth));
            }
            asked.push(ask(&server, &get("/r", None)));
        }
        for mut stream in slow.into_iter().chain(asked) {
            let answer = read_answer(&mut stream, false).expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        assert_eq!(server.get("/r").json()[0]["w"], word);
    }
}
