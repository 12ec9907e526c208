//! Several requests on their way at once: order, number of writes, ends.

use flagstone::budget::PIPELINE;

use crate::SQL;
use crate::server::Server;
use crate::wire::{HEALTH, Probe, Wire, get};

/// writev calls that the server needs for `requests`, sent at once on a fresh connection and answered with 200 each.
fn writes(server: &Server, probe: &mut Probe, requests: &str, count: usize) -> u64 {
    let mut wire = Wire::to(server.address);
    let before = probe.writes();
    wire.send(requests);
    for _ in 0..count {
        assert_eq!(wire.answer().status, 200);
    }
    // The first look's own answer is between the two.
    probe.writes() - before - 1
}

#[test]
fn sixteen_ready_answers_leave_in_one_write_and_seventeen_in_two() {
    let server = Server::with(SQL);
    let mut probe = Probe::of(&server);
    for (count, expected) in [(1, 1), (2, 1), (PIPELINE - 1, 1), (PIPELINE, 1), (PIPELINE + 1, 2), (2 * PIPELINE, 2)] {
        assert_eq!(writes(&server, &mut probe, &HEALTH.repeat(count), count), expected, "{count} requests");
    }
}

#[test]
fn sixteen_answers_of_the_database_leave_in_one_write_unless_their_turn_comes_first() {
    let server = Server::with(SQL);
    let mut probe = Probe::of(&server);
    // A turn that falls due among the jobs sends what is ready, so on a slow machine one may come between: some attempt has none.
    let mut least = u64::MAX;
    for _ in 0..200 {
        let needed = writes(&server, &mut probe, &get("/tables/sensors/1").repeat(PIPELINE), PIPELINE);
        assert!(needed <= PIPELINE as u64, "no answer takes two writes");
        least = least.min(needed);
        if least == 1 {
            break;
        }
    }
    assert_eq!(least, 1);
}

#[test]
fn answers_come_in_the_order_of_the_requests_whatever_they_need() {
    let server = Server::with(SQL);
    let slow = "/tables/many?text=like.*x*y*z*&limit=1";
    let cases = [
        ("GET", "/tables/sensors/1", 200, r#"{"id":1,"name":"roof"}"#),
        ("GET", slow, 200, "[]"),
        ("GET", "/nowhere", 404, ""),
        ("HEAD", "/tables/sensors/2", 200, ""),
        ("GET", "/tables/sensors/2", 200, r#"{"id":2,"name":"cellar"}"#),
        ("POST", "/tables/sensors", 405, ""),
        ("OPTIONS", "/tables/sensors", 204, ""),
        ("GET", "/tables/sensors/9", 404, ""),
        ("HEAD", "/nowhere", 404, ""),
        ("GET", "/-/health", 200, ""),
        ("GET", "/tables/sensors/3?select=name", 200, r#"{"name":"garden"}"#),
    ];
    let mut requests = String::new();
    for (method, target, ..) in cases.iter().cycle().take(4 * cases.len()) {
        requests.push_str(&format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    }
    let mut wire = Wire::to(server.address);
    wire.send(requests);
    wire.half_close();
    for (method, target, status, body) in cases.iter().cycle().take(4 * cases.len()) {
        let answer = wire.try_answer(*method == "HEAD").expect("an answer");
        assert_eq!(answer.status, *status, "{method} {target}: {}", answer.text());
        if !body.is_empty() {
            assert_eq!(answer.text(), *body, "{target}");
        }
    }
    wire.ends("half-closed");
}

#[test]
fn after_a_bad_request_the_earlier_ones_are_answered_and_the_later_ones_are_not() {
    let server = Server::with(SQL);
    for before in [1, 3, PIPELINE - 1, PIPELINE, PIPELINE + 1] {
        for good in [HEALTH.to_string(), get("/tables/sensors/1")] {
            let mut wire = Wire::to(server.address);
            wire.send(format!(
                "{}GET / HTTP/1.1\r\nHost: localhost\r\nBad Name: x\r\n\r\n{}",
                good.repeat(before),
                good.repeat(3)
            ));
            for _ in 0..before {
                assert_eq!(wire.answer().status, 200);
            }
            let refusal = wire.answer();
            assert_eq!((refusal.status, refusal.field("connection")), (400, Some("close")));
            wire.ends("after a bad request");
        }
    }
}

#[test]
fn after_connection_close_nothing_more_is_answered() {
    let server = Server::with(SQL);
    let mut wire = Wire::to(server.address);
    let last = "GET /tables/sensors/1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    wire.send(format!("{HEALTH}{last}{}", HEALTH.repeat(5)));
    assert_eq!(wire.answer().field("connection"), None);
    assert_eq!(wire.answer().field("connection"), Some("close"));
    wire.ends("after close");
}

#[test]
fn a_client_that_ends_its_stream_gets_all_answers_before_the_end() {
    let server = Server::with(SQL);
    for request in [HEALTH.to_string(), get("/tables/sensors/1"), get("/tables/many?limit=1000")] {
        for count in [1, 2, PIPELINE, PIPELINE + 1, 3 * PIPELINE] {
            let mut wire = Wire::to(server.address);
            wire.send(request.repeat(count));
            wire.half_close();
            for at in 0..count {
                assert_eq!(wire.answer().status, 200, "answer {at} of {count}");
            }
            wire.ends("half-closed");
        }
    }
}

/// The server sleeps while requests and the end of the stream arrive, and finds both by one event.
#[test]
fn requests_and_the_end_of_the_stream_in_one_edge_are_answered() {
    let server = Server::with(SQL);
    for request in [HEALTH.to_string(), get("/tables/sensors/1")] {
        let mut wire = Wire::to(server.address);
        assert_eq!(wire.ask("/-/health").status, 200);
        server.freeze();
        wire.send(request.repeat(PIPELINE + 1));
        wire.half_close();
        server.thaw();
        for _ in 0..=PIPELINE {
            assert_eq!(wire.answer().status, 200);
        }
        wire.ends("half-closed");
    }
    let mut probe = Probe::of(&server);
    probe.wait_for("no slot stays taken", |probe| probe.connections("free") == flagstone::budget::CONNECTIONS as u64 - 1);
}

#[test]
fn a_stream_that_ends_within_a_request_ends_the_connection() {
    let server = Server::with(SQL);
    let mut probe = Probe::of(&server);
    for (part, answers) in [("GET / HT", 0), ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhell", 0)] {
        for before in [0, 2] {
            let count = probe.closed("cut_short");
            let mut wire = Wire::to(server.address);
            wire.send(format!("{}{part}", HEALTH.repeat(before)));
            wire.half_close();
            for _ in 0..before + answers {
                assert_eq!(wire.answer().status, 200);
            }
            wire.ends(part);
            drop(wire);
            probe.wait_for("it is counted as cut short", |probe| probe.closed("cut_short") == count + 1);
        }
    }
}

#[test]
fn two_pipelining_clients_do_not_get_each_others_answers() {
    let server = Server::with(SQL);
    std::thread::scope(|scope| {
        for id in 1..=3 {
            let server = &server;
            scope.spawn(move || {
                let mut wire = Wire::to(server.address);
                for _ in 0..40 {
                    wire.send(get(&format!("/tables/sensors/{id}")).repeat(PIPELINE));
                    for _ in 0..PIPELINE {
                        assert_eq!(wire.answer().json()["id"], id);
                    }
                }
            });
        }
    });
}
