//! Slots: what is full, who is turned away and how, who is reclaimed, and what is kept for operators.

use std::net::SocketAddr;

use flagstone::budget::{CONNECTIONS, OPS_SLOTS, REFUSAL_SLOTS, SLOTS, SLOTS_PER_CLIENT};
use rustix::process::Signal;

use crate::server::{Answer, Server, Start, wait_for};
use crate::wire::{Probe, Wire};
use crate::{HALF, OTHER_HALF, SQL};

/// A server with a listener for operators, and its address.
pub fn with_ops(start: Start) -> (Server, SocketAddr) {
    let server = start.sql(SQL).arguments(&["--ops", "127.0.0.1:0"]).run();
    let line = server.block.lines().find(|line| line.trim_start().starts_with("status")).expect("the status line");
    let address = line.split("http://").nth(1).and_then(|url| url.split('/').next()).expect("a URL").parse().expect("an address");
    (server, address)
}

/// Connections that hold every public slot with half a request each.
pub fn fill(server: &Server) -> Vec<Wire> {
    let wires: Vec<Wire> = (0..SLOTS)
        .map(|_| {
            // Each is idle, so its slot is taken, before the next comes.
            let mut wire = Wire::to(server.address);
            assert_eq!(wire.ask("/-/health").status, 200);
            wire.send(HALF);
            wire
        })
        .collect();
    wires
}

fn is_full(answer: &Answer, status: u16, slug: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.field("connection"), Some("close"));
    assert!(answer.field("retry-after").is_some_and(|seconds| seconds.parse::<u16>().is_ok_and(|seconds| seconds > 0)));
    assert_eq!(answer.field("content-type"), Some("application/problem+json"));
    assert!(answer.body.len() < 512);
    assert_eq!(answer.json()["type"], format!("tag:flagstone,2026:{slug}"));
    assert_eq!(answer.json()["status"], status);
}

#[test]
fn one_more_than_all_slots_is_turned_away_while_all_are_busy() {
    let (server, ops) = with_ops(Start::new());
    let mut wires = fill(&server);
    let mut probe = Probe::at(ops);
    probe.wait_for("all slots hold half a request", |probe| probe.connections("head") == SLOTS as u64);
    let before = probe.refused("slots_full");
    for _ in 0..3 * REFUSAL_SLOTS {
        let mut newcomer = Wire::to(server.address);
        is_full(&newcomer.ask("/tables/sensors/1"), 503, "slots-full");
        newcomer.ends("turned away");
    }
    // One that asks nothing is told the same.
    let mut silent = Wire::to(server.address);
    is_full(&silent.answer(), 503, "slots-full");
    silent.ends("turned away");
    assert_eq!(probe.refused("slots_full"), before + 3 * REFUSAL_SLOTS as u64 + 1);
    // Nobody who was there has lost anything.
    for wire in &mut wires {
        wire.send(OTHER_HALF);
        assert_eq!(wire.answer().json()["id"], 1);
    }
    drop(wires);
    probe.wait_for("every slot is free again", |probe| probe.metric("flagstone_use{part=\"connections\"}") == 1);
    assert_eq!(Wire::to(server.address).ask("/tables/sensors/1").status, 200);
}

#[test]
fn many_more_than_all_slots_are_all_told() {
    let (server, _) = with_ops(Start::new());
    let wires = fill(&server);
    let mut newcomers: Vec<Wire> = (0..4 * REFUSAL_SLOTS).map(|_| Wire::to(server.address)).collect();
    for newcomer in &mut newcomers {
        is_full(&newcomer.answer(), 503, "slots-full");
    }
    drop(wires);
}

#[test]
fn the_longest_idle_connection_makes_room_before_anybody_is_turned_away() {
    let server = Server::with(SQL);
    let mut wires: Vec<Wire> = (0..SLOTS).map(|_| Wire::to(server.address)).collect();
    for wire in &mut wires {
        assert_eq!(wire.ask("/-/health").status, 200);
    }
    // The first is now the one that was idle for the shortest time.
    assert_eq!(wires[0].ask("/-/health").status, 200);
    let mut newcomer = Wire::to(server.address);
    assert_eq!(newcomer.ask("/tables/sensors/1").status, 200);
    assert!(wires[1].is_gone(), "the longest idle one is closed");
    assert_eq!(wires[0].ask("/-/health").status, 200);
    assert_eq!(newcomer.status_of("closed", "reclaimed"), 1);
    assert_eq!(newcomer.status_of("refused", "slots_full"), 0);
    for wire in &mut wires[2..] {
        assert_eq!(wire.ask("/-/health").status, 200, "no other one is");
    }
}

#[test]
fn who_besieges_the_server_takes_the_slots_from_itself() {
    let (server, ops) = with_ops(Start::new());
    let mut steady = Wire::from(80, server.address);
    assert_eq!(steady.ask("/-/health").status, 200);
    let mut probe = Probe::at(ops);
    // Heads that never end, from as many addresses as fill the rest.
    let wires: Vec<Wire> = (0..SLOTS - 2)
        .map(|number| {
            let wire = Wire::from(2 + (number / SLOTS_PER_CLIENT) as u8, server.address);
            wire.send(HALF);
            wire
        })
        .collect();
    probe.wait_for("all slots but two are besieged", |probe| probe.connections("head") == SLOTS as u64 - 2);
    // The last of them has some already: nobody's idle connection makes room for more of it, but in time its first head does.
    let last = 2 + ((SLOTS - 3) / SLOTS_PER_CLIENT) as u8;
    probe.wait_for("a late head makes room", |probe| {
        drop(Wire::from(last, server.address));
        probe.closed("too_slow") > 0
    });
    assert_eq!(steady.ask("/tables/sensors/1").status, 200, "the steady client has kept its connection");
    // A client of another address is let in, also while all are besieged.
    let mut other = Wire::from(99, server.address);
    assert_eq!(other.ask("/tables/sensors/1").status, 200);
    drop(wires);
}

/// A newcomer and a request on the longest idle connection are found by the same look at the sockets.
#[test]
fn a_connection_whose_request_has_arrived_is_not_idle_any_more() {
    let server = Server::with(SQL);
    let mut wires: Vec<Wire> = (0..SLOTS).map(|_| Wire::to(server.address)).collect();
    for wire in &mut wires {
        assert_eq!(wire.ask("/-/health").status, 200);
    }
    server.freeze();
    wires[0].send(crate::wire::get("/tables/sensors/1"));
    let mut newcomer = Wire::to(server.address);
    server.thaw();
    assert_eq!(newcomer.ask("/tables/sensors/1").status, 200);
    assert_eq!(wires[0].answer().json()["id"], 1);
    assert!(wires[1].is_gone(), "the longest idle one is closed");
}

#[test]
fn those_who_wait_to_be_accepted_are_counted() {
    let server = Server::with(SQL);
    let mut probe = Probe::of(&server);
    assert!(probe.metric("flagstone_accept_queue") < 7, "and with that the probe is in");
    server.freeze();
    let wires: Vec<Wire> = (0..7).map(|_| Wire::to(server.address)).collect();
    server.thaw();
    probe.wait_for("they are seen", |probe| probe.metric("flagstone_accept_queue") == 7);
    probe.wait_for("and no more", |probe| probe.metric("flagstone_accept_queue") == 0);
    drop(wires);
}

#[test]
fn one_client_may_hold_so_many_slots_and_local_tools_any_number() {
    let server = Server::with(SQL);
    let mut probe = Probe::of(&server);
    let mut wires: Vec<Wire> = (0..SLOTS_PER_CLIENT).map(|_| Wire::from(2, server.address)).collect();
    for wire in &mut wires {
        assert_eq!(wire.ask("/tables/sensors/1").status, 200);
    }
    let before = probe.refused("client_cap");
    let mut one_more = Wire::from(2, server.address);
    is_full(&one_more.answer(), 429, "client-cap");
    one_more.ends("turned away");
    assert_eq!(probe.refused("client_cap"), before + 1);
    assert_eq!(probe.metric("flagstone_use{part=\"slots of one client\"}"), SLOTS_PER_CLIENT as u64);
    assert_eq!(Wire::from(3, server.address).ask("/tables/sensors/1").status, 200, "another client is not meant");
    let mut exempt: Vec<Wire> = (0..SLOTS_PER_CLIENT + 5).map(|_| Wire::to(server.address)).collect();
    for wire in &mut exempt {
        assert_eq!(wire.ask("/tables/sensors/1").status, 200);
    }
    wires.pop();
    probe.wait_for("a slot is given back", |probe| {
        probe.metric("flagstone_use{part=\"slots of one client\"}") == SLOTS_PER_CLIENT as u64 - 1
    });
    assert_eq!(Wire::from(2, server.address).ask("/tables/sensors/1").status, 200);
}

#[test]
fn operators_are_answered_when_every_public_slot_is_busy() {
    let (server, ops) = with_ops(Start::new());
    let wires = fill(&server);
    // Those that stay connected and idle do not keep the next one out.
    let mut kept: Vec<Wire> = (0..OPS_SLOTS + 2)
        .map(|_| Wire::to(ops))
        .map(|mut wire| {
            assert_eq!(wire.ask("/-/health").status, 200);
            wire
        })
        .collect();
    assert_eq!(kept.last_mut().expect("some").status_of("connections", "head"), SLOTS as u64);
    for page in ["/-/ready", "/-/status", "/-/metrics", "/-/budget"] {
        assert_eq!(Wire::to(ops).ask(page).status, 200, "{page}");
    }
    drop(wires);
}

/// A monitor is to learn that the server is alive, and not that others keep it busy.
#[test]
fn a_health_check_gets_through_when_every_slot_is_taken() {
    let (server, ops) = with_ops(Start::new());
    let wires = fill(&server);
    let mut probe = Probe::at(ops);
    probe.wait_for("all slots hold half a request", |probe| probe.connections("head") == SLOTS as u64);
    let before = probe.refused("slots_full");
    for target in ["/-/health", "/-/ready"] {
        let mut at_once = Wire::to(server.address);
        let answer = at_once.ask(target);
        assert_eq!((answer.status, answer.text()), (200, r#"{"status":"ok"}"#.to_owned()));
        assert_eq!(answer.field("content-type"), Some("application/json"));
        at_once.ends("answered");
        // The server sees the connection before the request.
        let mut late = Wire::to(server.address);
        probe.wait_for("it is heard", |probe| probe.connections("refusing") == 1);
        assert_eq!(late.ask(target).status, 200);
        late.ends("answered");
    }
    assert_eq!(probe.refused("slots_full"), before, "none of them was refused");
    is_full(&Wire::to(server.address).ask("/-/healthy"), 503, "slots-full");
    is_full(&Wire::to(server.address).ask("/-/metrics"), 503, "slots-full");
    drop(wires);
}

/// The kernel hands over connections that were reset before they were accepted.
#[test]
fn a_refusal_that_cannot_be_sent_costs_no_slot() {
    let (mut server, ops) = with_ops(Start::new());
    let wires = fill(&server);
    for _ in 0..3 {
        server.freeze();
        for _ in 0..2 * REFUSAL_SLOTS {
            Wire::to(server.address).reset();
        }
        server.thaw();
        let mut newcomer = Wire::to(server.address);
        is_full(&newcomer.answer(), 503, "slots-full");
    }
    drop(wires);
    let mut probe = Probe::at(ops);
    probe.wait_for("every slot is free again", |probe| probe.metric("flagstone_use{part=\"connections\"}") == 1);
    assert_eq!(probe.connections("free"), CONNECTIONS as u64 - 1);
    drop(probe);
    server.signal(Signal::TERM);
    wait_for("the server counts no connection and ends", || server.has_ended());
}

#[test]
fn a_query_that_nobody_waits_for_is_interrupted_and_its_slot_is_free_at_once() {
    let server = Server::with(SQL);
    let mut probe = Probe::of(&server);
    let gone = Wire::to(server.address);
    gone.send(crate::wire::get("/tables/endless"));
    probe.wait_for("the query runs", |probe| probe.connections("running") == 1);
    let mut next = Wire::to(server.address);
    next.send(crate::wire::get("/tables/sensors/1"));
    gone.reset();
    assert_eq!(next.answer().json()["id"], 1);
    assert_eq!(probe.metric("flagstone_abandoned_jobs_total"), 1);
    assert_eq!(probe.closed("abandoned"), 1);
    assert_eq!(probe.metric("flagstone_query_timeouts_total"), 0);
    assert_eq!(probe.metric("flagstone_use{part=\"connections\"}"), 2);
}
