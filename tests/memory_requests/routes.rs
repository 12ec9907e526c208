//! The same of named routes: what a configuration brings is made before the server is ready.

use std::process::Stdio;

use super::{memory, number, watched};
use crate::configured::{ADMIN, DISPLAY, SENSOR, ask_from, route, start, toml, write};
use crate::server::{Server, Start};
use crate::traffic::{self, with};

/// What the mix comes to at least.
const REQUESTS: usize = 10_000;

/// What fails at run time, for a table that has gone, by a value too long, and at the route's time limit.
const FAILURES: [&str; 4] = ["/fails", "/dropped", "/toobig", "/slow"];

fn configuration() -> String {
    let n = "params = { n = { type = \"integer\", default = 1, min = 1, max = 500 } }";
    let latest = "SELECT at, value, note, raw FROM readings WHERE sensor = :sensor ORDER BY at DESC LIMIT :n";
    let kinds = "params = { i = { type = \"integer\", default = 1 }, r = { type = \"real\", default = 0.5 }, b = { type = \"boolean\", default = true }, \
                 j = { type = \"json\", default = \"[]\" }, x = { type = \"blob\", default = \"AAEC\" }, t = { type = \"text\", default = \"ü\" } }";
    let routes = [
        route("/latest/:sensor", latest, n),
        route("/latest/sensor1", "SELECT 'a word beats a parameter' AS w", ""),
        route("/kinds", "SELECT :i, :r, :b, json(:j), hex(:x), :t", kinds),
        route(
            "/one/:id",
            "SELECT * FROM readings WHERE id = CAST(:id AS INTEGER)",
            "rows = \"one\"\nstale_ok = \"1s\"\nstale_if_error = \"1m\"",
        ),
        route(
            "/value/:id",
            "SELECT note FROM readings WHERE id = CAST(:id AS INTEGER)",
            "rows = \"value\"\ntype = \"text/x\"\nmax_age = \"1m\"",
        ),
        route("/now", "SELECT datetime('now', 'localtime') AS now", ""),
        route("/never", latest.replace(":sensor", "'sensor1'").replace(":n", "5").as_str(), "ttl = \"0\""),
        route("/short", "SELECT count(*) AS n FROM readings", "ttl = \"1ms\"\ncritical = true"),
        route("/private", "SELECT count(*) AS n FROM readings", "auth = \"display\""),
        route("/big", "SELECT hex(zeroblob(60000)) AS a, hex(zeroblob(60000)) AS b", ""),
        route("/huge", "SELECT hex(zeroblob(60000)) AS a, id FROM readings LIMIT 20", ""),
        route("/write", "DELETE FROM bulk", "method = \"DELETE\"\nauth = \"sensor\""),
        route("/fails", "SELECT abs(-9223372036854775807 - (id > 3)) AS value FROM readings", ""),
        route("/dropped", "SELECT * FROM pairs", "ttl = \"0\""),
        route("/toobig", "SELECT zeroblob(1900000000) AS bytes", ""),
        route("/slow", "SELECT n FROM slow", ""),
    ];
    let top = "hosts = [\"pi.example.org\"]\ntrusted_proxies = [\"127.0.0.9\"]";
    let sections = "[cors]\norigins = [\"https://app.example\", \"*\"]\n[limits]\nroute_query = \"200ms\"\n[tables]\nexpose = [\"readings\", \"pairs\"]\nauth = \"display\"\n";
    toml(top, &format!("{sections}{}", routes.concat()))
}

fn configured() -> Start {
    start(traffic::SQL, &configuration()).environment("RUST_LOG", "debug").stderr(Stdio::null())
}

/// Requests that fail nowhere inside SQLite.
fn cases(server: &Server, round: usize) -> Vec<traffic::Case> {
    let (id, sensor) = (round % 2000 + 1, round % 7);
    let auth = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let (display, admin) = (auth(DISPLAY), auth(ADMIN));
    let latest = format!("/latest/sensor{}", sensor + 2);
    let preflight = "Access-Control-Request-Method: GET\r\n";
    let mut cases = vec![
        with(200, "GET", &format!("/latest/new{round}?n=2"), ""),
        with(200, "GET", "/latest/sensor1", ""),
        with(200, "GET", &format!("/latest/s%C3%BC%2F{round}"), ""),
        with(200, "GET", &format!("/kinds?i={round}&r=-1.5e3&b=false&j=%7B%22a%22:[1]%7D&x=AP8%3D&t=a+b%2Bc"), ""),
        with(200, "GET", "/kinds", ""),
        with(200, "GET", &format!("/one/{id}"), ""),
        with(404, "GET", "/one/999999", ""),
        with(200, "GET", &format!("/value/{id}"), "Accept: image/png\r\n"),
        with(304, "GET", &format!("/value/{id}"), "If-None-Match: *\r\n"),
        with(200, "GET", "/now", ""),
        with(200, "GET", "/never", ""),
        with(200, "GET", "/short", ""),
        with(200, "HEAD", "/one/1", ""),
        with(204, "OPTIONS", "/one/1", ""),
        with(204, "OPTIONS", "/one/1", &format!("Origin: https://app.example\r\n{preflight}")),
        with(204, "OPTIONS", "/one/1", &format!("Origin: https://any.example\r\n{preflight}")),
        with(200, "GET", "/one/1", "Origin: https://app.example\r\n"),
        with(405, "POST", "/one/1", ""),
        with(403, "POST", "/one/1", "Origin: https://any.example\r\n"),
        with(405, "GET", "/write", ""),
        with(401, "DELETE", "/write", ""),
        with(403, "DELETE", "/write", &display),
        with(421, "GET", "http://evil.example/one/1", ""),
        with(200, "GET", "http://pi.example.org/one/1", ""),
        with(404, "GET", "/nowhere", ""),
        with(404, "GET", "/one/1/", ""),
        with(404, "GET", "/latest", ""),
        with(401, "GET", "/private", ""),
        with(401, "GET", "/private", "If-None-Match: *\r\n"),
        with(403, "GET", "/private", &auth(SENSOR)),
        with(200, "GET", "/private", &display),
        with(304, "GET", "/private", &format!("If-None-Match: *\r\n{display}")),
        with(401, "GET", "/tables/readings/1", ""),
        with(200, "GET", "/tables/readings?limit=3", &display),
        with(404, "GET", "/tables/bulk", &display),
        with(401, "GET", "/-/status", ""),
        with(200, "GET", "/-/status", &admin),
        with(200, "GET", "/-/metrics", &admin),
        with(200, "GET", "/-/flags", &admin),
        with(200, "GET", "/-/health", &format!("X-Forwarded-For: 203.0.113.7\r\n{admin}")),
        with(200, "POST", "/-/reload", &admin),
        with(401, "POST", "/-/reload", ""),
        with(400, "PUT", "/-/flags/cache", &admin),
        with(404, "PUT", "/-/flags/cach", &admin),
    ];
    // The tiny preset has no room for either.
    if server.setting("ANSWER_KIB") >= 256 {
        cases.extend([with(200, "GET", "/big", ""), with(500, "GET", "/huge", "")]);
    }
    for query in ["", "?n=3", "?n=500&_format=csv", "?_format=ndjson&n=20"] {
        for accept in ["", "Accept: text/csv\r\n", "Accept: application/x-ndjson;q=0.5, */*;q=0.1\r\n"] {
            cases.push(with(200, "GET", &format!("{latest}{query}"), accept));
        }
    }
    for query in ["?n=0", "?n=501", "?n=x", "?n=1&n=2", "?m=1", "?sensor=x", "?n=%zz", "?_format=xml", "?n=9223372036854775808"] {
        cases.push(with(400, "GET", &format!("/latest/kitchen{query}"), ""));
    }
    for query in ["?b=maybe", "?j=%7B", "?x=!", "?t=%FF", "?r=1e999"] {
        cases.push(with(400, "GET", &format!("/kinds{query}"), ""));
    }
    cases.push(with(406, "GET", &latest.replace("sensor", "other"), "Accept: image/png\r\n"));
    cases
}

/// Wrong tokens from clients of their own, until they are not heard any more; how many requests that took.
fn guess(server: &Server, round: usize) -> usize {
    let last = 100 + u8::try_from(round % 100).expect("small");
    let mut sent = 0;
    for guess in 0..12 {
        let answer = ask_from(
            last,
            server.address,
            "GET",
            "/private",
            &[("Authorization", "Bearer wrong"), ("X-Forwarded-For", "198.51.100.7")],
        );
        assert!(matches!(answer.status, 401 | 429) && (guess < 10 || answer.status == 429), "{guess}: {}", answer.status);
        sent += 1;
    }
    sent
}

fn mix(server: &Server) -> usize {
    let (mut sent, mut round) = (0, 0);
    while sent < REQUESTS {
        sent += traffic::pipelined(server, &cases(server, round), [1, 3, 16][round % 3]);
        write(server, &format!("UPDATE readings SET value = {round} WHERE id = {}", round % 2000 + 1));
        sent += traffic::pipelined(server, &cases(server, round)[..8], 1);
        if round % 16 == 1 {
            sent += guess(server, round / 16);
            for value in ["off", "50%", "configured"] {
                assert_eq!(server.operate("PUT", "/-/flags/cache", value).status, 200);
            }
            assert_eq!(server.operate("DELETE", "/-/cache", "").status, 200);
            let text = format!("# {round}\n{}", configuration());
            std::fs::write(server.config_path(), text).expect("the test's file");
            assert_eq!(server.operate("POST", "/-/reload", "").status, 200);
            sent += 5;
        }
        round += 1;
    }
    sent
}

#[test]
fn ten_thousand_requests_on_named_routes_take_no_memory() {
    let server = configured().run();
    let before = memory(&server);
    let (sent, calls) = watched(&server, || mix(&server));
    let after = memory(&server);
    assert!(sent >= REQUESTS, "{sent}");
    assert_eq!(number(&after, "heap_allocations_since_ready"), 0, "{after}");
    assert_eq!(number(&after, "heap_bytes"), number(&before, "heap_bytes"));
    assert_eq!(number(&after, "configuration_heap_bytes"), 0);
    assert!(number(&after, "rss_anon_bytes") <= number(&after, "ready_rss_anon_bytes"), "{after}");
    if let Some(calls) = calls {
        assert_eq!(calls.growing, Vec::<String>::new());
    }
    let status = server.status();
    let kept = [("cache", "hit"), ("cache", "inserted"), ("cache", "bypass"), ("cache_gone", "stale")];
    for (part, name) in kept.into_iter().filter(|_| server.setting("CACHE_MIB") > 0) {
        assert!(number(&status[part], name) > 0, "{part} {name}: {status}");
    }
    assert_eq!(status["panics"], 0);
}

#[test]
fn what_fails_inside_sqlite_on_a_route_allocates_nothing() {
    let server = configured().run();
    write(&server, "DROP TABLE pairs");
    // Reads the schema again.
    assert_eq!(server.get("/never").status, 200);
    let before = memory(&server);
    for target in FAILURES {
        for _ in 0..10 {
            let answer = server.get(target);
            assert!(answer.status >= 500, "{target}: {}", answer.text());
        }
        let now = memory(&server);
        assert_eq!(number(&now, "heap_allocations_since_ready"), 0, "{target}: {now}");
        assert_eq!(number(&now, "heap_bytes"), number(&before, "heap_bytes"), "{target}");
    }
    let now = memory(&server);
    assert!(number(&now, "rss_anon_bytes") <= number(&now, "ready_rss_anon_bytes"), "{now}");
}
