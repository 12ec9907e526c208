//! Writes take no memory: the sealed heap counts no allocation while they succeed.

use serde_json::Value;

use super::{log_routes, number, post, serve_quietly, write, writes};
use crate::configured::route;
use crate::server::Server;

const ROUNDS: usize = 60;

/// The memory's part of the status, as it is now: readings are taken once a second, not by the page itself.
fn memory(server: &Server) -> Value {
    let now = number(&server.status(), "/uptime_seconds");
    server.wait_for_status("newer readings", |status| number(status, "/uptime_seconds") >= now + 3)["memory"].clone()
}

#[test]
fn writes_of_every_kind_allocate_nothing() {
    let log = "INSERT INTO log(a) VALUES (:a)";
    let server = serve_quietly(
        &[
            log_routes(),
            writes("POST", "/rows", &format!("{log} RETURNING id, a"), ""),
            writes("POST", "/value", &format!("{log} RETURNING a"), "rows = \"value\""),
            writes("POST", "/once", &format!("{log} RETURNING a"), "idempotent = true"),
            writes("PUT", "/kinds/:id", "UPDATE kinds SET name = :name WHERE id = :id", "params = { name = \"text\" }"),
            writes("PATCH", "/kinds/:id", "UPDATE kinds SET name = :name WHERE id = :id RETURNING id", "rows = \"one\""),
            writes("DELETE", "/log/:id", "DELETE FROM log WHERE id = :id", ""),
            writes("POST", "/two", &format!("{log}; UPDATE kinds SET name = :a WHERE id = 1; SELECT count(*) FROM kinds"), ""),
            route("/other", "SELECT a FROM other", ""),
        ]
        .concat(),
    );
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let memory = || memory(&server);
    let before = memory();
    assert_eq!(number(&before, "/heap_allocations_since_ready"), 0, "{before}");
    for round in 0..ROUNDS {
        let key = format!("key-{}", round / 2);
        let answers = [
            (post(&server, "/log", r#"{"a": "x"}"#), 204),
            (write(&server, "POST", "/log", &form, "a=y+z"), 204),
            (post(&server, "/log?a=q", ""), 204),
            (post(&server, "/rows", r#"[{"a": 1}, {"a": 2.5}, {"a": null}]"#), 201),
            (post(&server, "/rows?_format=csv", r#"{"a": "a long text, which is written as it is"}"#), 201),
            (post(&server, "/value", r#"{"a": [1, 2]}"#), 201),
            (write(&server, "POST", "/once", &[("Idempotency-Key", &key)], r#"{"a": 1}"#), 201),
            (write(&server, "POST", "/once", &[("Idempotency-Key", &key)], r#"{"a": 2}"#), 422),
            (write(&server, "PUT", "/kinds/1", &[], r#"{"name": "n"}"#), 204),
            (write(&server, "PATCH", "/kinds/1", &form, "name=m"), 200),
            (write(&server, "PATCH", "/kinds/77", &form, "name=m"), 404),
            (write(&server, "DELETE", "/log/1", &[], ""), 204),
            (post(&server, "/two", r#"{"a": "both"}"#), 201),
            (post(&server, "/log", "nonsense"), 400),
            (write(&server, "POST", "/log", &[("Content-Type", "text/x")], "x"), 415),
        ];
        for (at, (answer, status)) in answers.iter().enumerate() {
            assert_eq!(answer.status, *status, "{at} in round {round}: {}", answer.text());
        }
        assert_eq!((server.get("/log").status, server.get("/other").status), (200, 200));
    }
    let after = memory();
    assert_eq!(number(&after, "/heap_allocations_since_ready"), 0, "{after}");
    assert_eq!(number(&after, "/heap_bytes"), number(&before, "/heap_bytes"));
    assert!(number(&after, "/rss_anon_bytes") <= number(&after, "/ready_rss_anon_bytes"), "{after}");
    // What SQLite refuses takes nothing either: its message is read where it stands.
    for _ in 0..20 {
        assert_eq!(post(&server, "/log", r#"{"a": 9}"#).status, 422);
    }
    let last = memory();
    assert_eq!(number(&last, "/heap_allocations_since_ready"), 0, "{last}");
    assert_eq!(number(&last, "/heap_bytes"), number(&before, "/heap_bytes"));
}

#[test]
fn a_storm_of_writes_with_replays_and_reads_allocates_nothing() {
    let server = serve_quietly(&log_routes());
    std::thread::scope(|scope| {
        for client in 0..8 {
            let server = &server;
            scope.spawn(move || {
                for round in 0..40 {
                    assert_eq!(post(server, "/log", &format!("{{\"a\": \"c{client}r{round}\"}}")).status, 204);
                    assert_eq!(server.get("/log").status, 200);
                }
            });
        }
    });
    let memory = memory(&server);
    assert_eq!(number(&memory, "/heap_allocations_since_ready"), 0, "{memory}");
}
