//! SIGTERM: who is closed at once, who is finished, and how the process ends.

use std::net::TcpStream;

use flagstone::budget::CONNECTIONS;
use rustix::process::Signal;

use crate::server::{Server, wait_for};
use crate::wire::{Probe, Wire, get};
use crate::{HALF, OTHER_HALF, SQL};

const LARGE: &str = "/tables/big?limit=1000";

#[test]
fn a_stop_finishes_what_is_under_way_and_nothing_else() {
    let mut server = Server::with(SQL);
    let length = server.get(LARGE).body.len();
    let mut idle = Wire::to(server.address);
    assert_eq!(idle.ask("/-/health").status, 200);
    let mut half = Wire::to(server.address);
    half.send(HALF);
    let mut reader = Wire::small(server.address);
    reader.send(get(LARGE));
    let mut probe = Probe::of(&server);
    probe.wait_for("the reader's answer waits for it", |probe| probe.metric("flagstone_use{part=\"output blocks\"}") > 100);
    let (mut running, mut queued) = (Wire::to(server.address), Wire::to(server.address));
    running.send(get("/tables/slow"));
    queued.send(get("/tables/slow"));
    probe.barrier();
    drop(probe);
    server.signal(Signal::TERM);
    idle.ends("idle");
    wait_for("nobody listens any more", || TcpStream::connect(server.address).is_err());
    for wire in [&mut running, &mut queued] {
        let answer = wire.answer();
        assert_eq!(answer.json()[0]["n"], 300_000, "{}", answer.text());
        assert_eq!(answer.field("connection"), Some("close"));
        wire.ends("answered");
    }
    // Half of a request is none that was under way: it is told to come again, not cut off.
    half.send(OTHER_HALF);
    let answer = half.answer();
    assert_eq!((answer.status, answer.field("connection")), (503, Some("close")));
    assert_eq!(answer.json()["type"], "tag:flagstone,2026:stopping");
    assert!(answer.field("retry-after").is_some());
    half.ends("told");
    assert!(!server.has_ended(), "the slow reader is waited for");
    assert_eq!(reader.answer().body.len(), length);
    reader.ends("answered");
    assert!(server.wait().success());
}

#[test]
fn a_stop_waits_for_a_stuck_client_only_so_long() {
    let server = Server::with(SQL);
    let (stuck, half) = (Wire::small(server.address), Wire::to(server.address));
    stuck.send(get(LARGE));
    half.send(HALF);
    server.wait_for_status("both are there", |status| status["connections"]["free"] == CONNECTIONS - 3);
    assert!(server.stop().success(), "within the drain time");
    drop((stuck, half));
}

#[test]
fn a_server_without_connections_stops_at_once_and_on_both_signals() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::with(SQL);
        server.signal(signal);
        assert!(server.wait().success());
    }
}

/// Requests and the signal are found by the same look at the sockets.
#[test]
fn a_request_that_arrived_before_the_stop_is_answered() {
    let mut server = Server::with(SQL);
    let mut wires: Vec<Wire> = (0..8).map(|_| Wire::to(server.address)).collect();
    for wire in &mut wires {
        assert_eq!(wire.ask("/-/health").status, 200);
    }
    server.freeze();
    for wire in &wires[..4] {
        wire.send(get("/tables/sensors/1"));
    }
    server.signal(Signal::TERM);
    for wire in &wires[4..6] {
        wire.send(get("/-/health"));
    }
    server.thaw();
    for wire in &mut wires[..6] {
        let answer = wire.answer();
        assert!(matches!(answer.status, 200 | 503), "{}", answer.text());
        assert_eq!(answer.field("connection"), Some("close"));
        wire.ends("answered");
    }
    for wire in &mut wires[6..] {
        wire.ends("idle");
    }
    assert!(server.wait().success());
}

/// Seen by clients that came before the stop.
#[test]
fn health_says_ready_no_more_while_the_server_stops() {
    let mut server = Server::with(SQL);
    let mut reader = Wire::small(server.address);
    reader.send(get(LARGE));
    let (mut health, mut ready) = (Wire::to(server.address), Wire::to(server.address));
    health.send("GET /-/health HTTP/1.1\r\n");
    ready.send("GET /-/ready HTTP/1.1\r\n");
    let (mut data, mut status) = (Wire::to(server.address), Wire::to(server.address));
    data.send(HALF);
    status.send("GET /-/status HTTP/1.1\r\n");
    server.wait_for_status("all are there", |status| status["connections"]["head"] == 4);
    server.signal(Signal::TERM);
    wait_for("nobody listens any more", || TcpStream::connect(server.address).is_err());
    data.send(OTHER_HALF);
    assert_eq!(data.answer().status, 503);
    ready.send("Host: localhost\r\n\r\n");
    assert_eq!(ready.answer().status, 503);
    status.send("Host: localhost\r\n\r\n");
    let answer = status.answer().json();
    assert_eq!((&answer["state"], &answer["refused"]["draining"]), (&"stopping".into(), &1.into()));
    health.send("Host: localhost\r\n\r\n");
    let answer = health.answer();
    assert_eq!((answer.status, answer.json()["components"]["loop"].as_str()), (200, Some("stopping")));
    let mut rest = reader.answer();
    rest.body.clear();
    assert_eq!(rest.status, 200);
    assert!(server.wait().success());
}
