//! Under pressure, over real sockets: what is shed and what goes on, what is left alone after failures, who asks too often.

mod configured;
mod server;
mod wire;

use configured::{ask_from, route, serve, toml, write};
use server::{Answer, Server, wait_for};
use wire::Wire;

/// Takes as many steps as `knob` says; the parameter makes each request one of its own.
const STEPS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < (SELECT steps FROM knob)) SELECT count(*) AS c, \
                     :n AS n FROM n";
const SQL: &str = "PRAGMA journal_mode = WAL;
    CREATE TABLE knob(steps INTEGER); INSERT INTO knob VALUES (1000000);
    CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'one');
    CREATE TABLE log(a TEXT);";
/// For ever, as far as anybody waits.
const ENDLESS: &str = "UPDATE knob SET steps = 9000000000000";
const SHORT: &str = "UPDATE knob SET steps = 10";

fn slug(answer: &Answer) -> String {
    answer.json()["type"].as_str().unwrap_or_default().trim_start_matches("tag:flagstone,2026:").to_string()
}

/// Status, slug and seconds of a refusal.
fn refusal(answer: &Answer) -> (u16, String, u64) {
    let seconds = answer.field("retry-after").unwrap_or_else(|| panic!("no Retry-After: {}", answer.text()));
    (answer.status, slug(answer), seconds.parse().expect("seconds"))
}

fn metric(server: &Server, name: &str) -> u64 {
    server.metric(name) as u64
}

fn state_of(server: &Server, cause: &str) -> u64 {
    metric(server, &format!("flagstone_breaker_state{{cause=\"{cause}\"}}"))
}

fn connections(server: &Server, state: &str) -> u64 {
    server.status()["connections"][state].as_u64().expect("a number")
}

fn jobs(server: &Server) -> u64 {
    server.status()["jobs"].as_u64().expect("a number")
}

#[test]
fn overload_is_shed_and_told_while_critical_cached_and_health_answers_go_on() {
    let routes = [
        route("/slow/:n", STEPS, "ttl = \"0s\""),
        route("/critical", "SELECT a FROM t", "ttl = \"0s\"\ncritical = true"),
        route("/cached", "SELECT a FROM t", ""),
        "\n[[route]]\nmethod = \"POST\"\npath = \"/log\"\nauth = \"sensor\"\nsql = \"INSERT INTO log VALUES (:a)\"\n".to_string(),
    ];
    let server = serve(
        SQL,
        &toml(
            "slots_per_client = 40",
            &format!("[limits]\nshed_wait = \"1ms\"\nqueue = \"1m\"\nroute_query = \"1m\"\n{}", routes.concat()),
        ),
    );
    assert_eq!((server.get("/slow/0").status, server.get("/cached").status), (200, 200));
    // One runs, and four wait: so many may, however slow they are.
    let mut waiting: Vec<Wire> = Vec::new();
    for number in 1..=5 {
        let wire = Wire::to(server.address);
        wire.send(wire::get(&format!("/slow/{number}")));
        waiting.push(wire);
        wait_for("it runs or waits", || connections(&server, "running") + connections(&server, "queued") == number);
    }
    let mut client = Wire::to(server.address);
    for number in 6..16 {
        let (status, slug, seconds) = refusal(&client.ask(&format!("/slow/{number}")));
        assert_eq!((status, slug.as_str()), (503, "overloaded"), "number {number}");
        assert!((1..=60).contains(&seconds), "{seconds}");
        assert_eq!(client.ask("/cached").field("x-cache"), Some("hit"));
        assert_eq!(client.ask("/-/health").status, 200);
    }
    assert_eq!(metric(&server, "flagstone_shed_total{class=\"ordinary\"}"), 10);
    // A write waits with few others, and a critical request passes all that came before it but the one that runs.
    let mut writer = Wire::to(server.address);
    writer.send("POST /log HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sensor-0123456789\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{\"a\": \"b\"}");
    assert_eq!(client.ask("/critical").status, 200);
    assert!(connections(&server, "queued") >= 1, "it was ahead of those who waited before it");
    assert_eq!(writer.answer().status, 204);
    for wire in &mut waiting {
        assert_eq!(wire.answer().status, 200, "whoever was let in is served");
    }
    assert_eq!((client.ask("/slow/99").status, metric(&server, "flagstone_shed_total{class=\"critical\"}")), (200, 0));
    let status = server.status();
    assert!(status["ladder"]["step"].is_string() && status["breaker"]["io"]["state"] == "closed", "{status}");
}

#[test]
fn a_route_that_takes_too_long_is_left_alone_and_comes_back_by_probes() {
    let limits = "[limits]\nroute_query = \"150ms\"\nbreaker = \"2s\"\n";
    let routes = [route("/slow/:n", STEPS, "ttl = \"0s\""), route("/other", "SELECT a FROM t", "ttl = \"0s\"")].concat();
    let server = serve(SQL, &toml("", &format!("{limits}{routes}")));
    write(&server, ENDLESS);
    for number in 0..3 {
        assert_eq!(server.get(&format!("/slow/{number}")).status, 504);
    }
    assert_eq!(state_of(&server, "timeout"), 2);
    let before = jobs(&server);
    let (status, slug, seconds) = refusal(&server.get("/slow/3"));
    assert_eq!((status, slug.as_str()), (503, "breaker-open"));
    assert!((1..=2).contains(&seconds), "the rest of two seconds: {seconds}");
    assert_eq!(jobs(&server), before, "the back is left alone");
    assert_eq!(server.get("/other").status, 200, "others have nothing to do with it");
    write(&server, SHORT);
    wait_for("probes", || server.get("/slow/4").status == 200);
    for number in 5..8 {
        assert_eq!(server.get(&format!("/slow/{number}")).status, 200);
    }
    assert_eq!(state_of(&server, "timeout"), 0);
    assert_eq!(metric(&server, "flagstone_breaker_opened_total{cause=\"timeout\"}"), 1);
}

#[test]
fn while_a_route_is_left_alone_an_old_answer_is_given_where_it_allows_that() {
    let limits = "[limits]\nroute_query = \"150ms\"\nbreaker = \"1m\"\n";
    let server = serve(SQL, &toml("", &format!("{limits}{}", route("/slow/:n", STEPS, "stale_if_error = \"1h\""))));
    write(&server, SHORT);
    assert_eq!(server.get("/slow/1").field("x-cache"), Some("miss"));
    write(&server, ENDLESS);
    for _ in 0..3 {
        assert_eq!(server.get("/slow/1").field("x-cache"), Some("stale"), "the query is stopped, and the old answer given");
    }
    let before = jobs(&server);
    for _ in 0..3 {
        let answer = server.get("/slow/1");
        assert_eq!((answer.status, answer.field("x-cache"), answer.json()[0]["c"].as_u64()), (200, Some("stale"), Some(10)));
    }
    assert_eq!((jobs(&server), refusal(&server.get("/slow/2")).1.as_str()), (before, "breaker-open"));
    assert!(server.get("/slow/1").field("age").is_some());
}

#[test]
fn a_route_that_reads_damaged_pages_is_left_alone_and_others_are_not() {
    let routes =
        [route("/bad", "SELECT count(a) AS c FROM bad", "ttl = \"0s\""), route("/good", "SELECT a FROM t", "ttl = \"0s\"")];
    let bad = "CREATE TABLE bad(a TEXT); INSERT INTO bad VALUES ('x'); PRAGMA wal_checkpoint(TRUNCATE);";
    let start = configured::start(&format!("{SQL}{bad}"), &toml("", &routes.concat()));
    let path = start.folder().join("data.db");
    let root: i64 = {
        let conn = rusqlite::Connection::open(&path).expect("a database");
        conn.query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'bad'", [], |row| row.get(0)).expect("its root")
    };
    let file = std::fs::OpenOptions::new().write(true).open(&path).expect("the file");
    std::os::unix::fs::FileExt::write_all_at(&file, &[0xff; 4096], (root as u64 - 1) * 4096).expect("a page");
    let server = start.run();
    for _ in 0..5 {
        let answer = server.get("/bad");
        assert_eq!((answer.status, slug(&answer).as_str()), (500, "database-corrupt"));
    }
    let (status, slug, seconds) = refusal(&server.get("/bad"));
    assert_eq!((status, slug.as_str()), (503, "breaker-open"));
    assert!((25..=30).contains(&seconds), "the rest of thirty seconds: {seconds}");
    assert_eq!((state_of(&server, "corrupt"), state_of(&server, "io")), (2, 0));
    assert_eq!(server.get("/good").status, 200);
    assert_eq!(server.get("/-/health").status, 200);
}

fn from(server: &Server, last: u8, target: &str, fields: &[(&str, &str)]) -> Answer {
    ask_from(last, server.address, "GET", target, fields)
}

#[test]
fn a_client_that_asks_too_often_is_told_when_and_nobody_else_is() {
    let limits = "[limits]\nrate = \"1/m\"\nburst = 3\n";
    let top = "trusted_proxies = [\"127.0.0.9\"]";
    let server = serve(SQL, &toml(top, &format!("{limits}{}", route("/a", "SELECT a FROM t", ""))));
    for number in 0..3 {
        assert_eq!(from(&server, 2, "/a", &[]).status, 200, "{number}");
    }
    for target in ["/a", "/nowhere"] {
        let (status, slug, seconds) = refusal(&from(&server, 2, target, &[]));
        assert_eq!((status, slug.as_str()), (429, "rate-limited"), "{target}");
        assert!((1..=60).contains(&seconds), "{seconds}");
    }
    assert_eq!(from(&server, 2, "/-/health", &[]).status, 200, "health checks always get through");
    assert_eq!(from(&server, 3, "/a", &[]).status, 200, "another client");
    let behind = |client: &str| from(&server, 9, "/a", &[("X-Forwarded-For", client)]).status;
    assert_eq!(["10.0.0.1"; 4].map(behind), [200, 200, 200, 429], "the client behind a proxy");
    assert_eq!((behind("10.0.0.2"), from(&server, 9, "/a", &[]).status), (200, 200));
    assert_eq!(from(&server, 3, "/a", &[("X-Forwarded-For", "10.0.0.1")]).status, 200, "nobody else's word counts");
    // A cached answer over a kept connection counts as well; this machine's own address does not.
    let mut near = Wire::to(server.address);
    assert!((0..20).all(|_| near.ask("/a").status == 200));
    let mut far = Wire::from(4, server.address);
    assert_eq!([0; 5].map(|_| far.ask("/a").status), [200, 200, 200, 429, 429]);
    assert_eq!(metric(&server, "flagstone_rate_limited_total"), 5);
}
