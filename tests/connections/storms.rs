//! Thousands of connections at once, of every bad kind, and running out of descriptors: a client that behaves is served throughout.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use flagstone::budget::{CONNECTIONS, SLOTS_PER_CLIENT};
use rustix::process::{Resource, Rlimit};
use socket2::Socket;

use crate::server::{DEADLINE, Server, Start, wait_for};
use crate::slots::with_ops;
use crate::wire::{Probe, Wire, bound, descriptors, get};
use crate::{HALF, SQL};

const STORM: usize = 2_400;
/// Answers during a storm.
const ENOUGH: usize = 40;
const IN_USE: &str = "flagstone_use{part=\"connections\"}";

/// A connection being opened, without waiting for the server.
fn opening(last: u8, server: &Server) -> Socket {
    let socket = bound(last);
    socket.set_nonblocking(true).expect("a socket");
    // In progress; what became of it shows when it is used.
    let _ = socket.connect(&server.address.into());
    socket
}

/// One step of a client that behaves badly in the way of its number; errors are what it asked for.
fn misbehave(number: usize, socket: &mut Socket, step: usize) {
    let slow = get("/tables/big?limit=1000");
    let _ = match number % 6 {
        0 => socket.write(&[HALF.as_bytes()[step % HALF.len()]]).map(drop),
        1 if step == 0 => socket.write(slow.as_bytes()).map(drop),
        1 => socket.read(&mut [0; 512]).map(drop),
        2 => socket.write(get("/tables/sensors/1").as_bytes()).and_then(|_| socket.shutdown(std::net::Shutdown::Write)),
        3 => socket.write(HALF.as_bytes()).and_then(|_| socket.set_linger(Some(std::time::Duration::ZERO))),
        4 => socket.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n").map(drop),
        _ => Ok(()),
    };
}

/// Opens a storm from `sources` addresses and keeps it up for at least two waves, until those who watch have seen enough of it; then lets
/// everything drop.
fn storm(server: &Server, sources: u8, seen: &AtomicUsize) {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("our own limit");
    let source = |number: usize| 2 + (number % usize::from(sources)) as u8;
    let mut sockets: Vec<Socket> = (0..STORM).map(|number| opening(source(number), server)).collect();
    let began = seen.load(Relaxed);
    let (mut waves, until) = (0, Instant::now() + DEADLINE);
    while waves < 2 || seen.load(Relaxed) < began + ENOUGH {
        assert!(Instant::now() < until, "{} answers in {waves} waves", seen.load(Relaxed) - began);
        for step in 0..8 {
            for (number, socket) in sockets.iter_mut().enumerate() {
                misbehave(number, socket, step);
            }
        }
        // The next wave comes over the remains of the last.
        for number in (waves % 3..STORM).step_by(3) {
            sockets[number] = opening(source(number), server);
        }
        waves += 1;
    }
}

#[test]
fn a_client_that_behaves_is_served_throughout_a_storm_and_nothing_is_left_of_it() {
    let server = Server::with(SQL);
    let mut probe = Probe::of(&server);
    probe.wait_for("the start's connections are gone", |probe| probe.metric(IN_USE) == 1);
    let before = descriptors(server.pid());
    // Three addresses may hold 45 of the 50 slots: those of this machine's own tools stay.
    const { assert!(3 * SLOTS_PER_CLIENT + 2 < flagstone::budget::SLOTS) };
    let (over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut wire = Wire::to(server.address);
            while !over.load(Relaxed) {
                let answer = wire.ask("/tables/sensors/7");
                assert_eq!(
                    (answer.status, &answer.json()["id"]),
                    (200, &7.into()),
                    "after {served:?} answers: {}",
                    answer.text()
                );
                served.fetch_add(1, Relaxed);
            }
        });
        storm(&server, 3, &served);
        over.store(true, Relaxed);
        client.join().expect("the client that behaves");
    });
    // A hard-pressed server ends what is idle for 5 s, and a storm may last longer.
    drop(probe);
    let mut probe = Probe::of(&server);
    assert!(probe.refused("client_cap") > 100);
    assert_eq!(probe.refused("slots_full"), 0);
    probe.wait_for("every slot is free again", |probe| probe.metric(IN_USE) == 1);
    assert_eq!(probe.connections("free"), CONNECTIONS as u64 - 1);
    assert_eq!(probe.metric("flagstone_use{part=\"output blocks\"}"), 0);
    assert_eq!(probe.status()["panics"], 0);
    wait_for("its descriptors are closed", || descriptors(server.pid()) == before);
}

#[test]
fn operators_are_answered_throughout_a_storm_that_takes_every_slot() {
    let (server, ops) = with_ops(Start::new());
    let mut probe = Probe::at(ops);
    probe.wait_for("the start's connections are gone", |probe| probe.metric(IN_USE) == 1);
    let before = descriptors(server.pid());
    let (over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let operator = scope.spawn(|| {
            while !over.load(Relaxed) {
                assert_eq!(Wire::to(ops).ask("/-/health").status, 200, "after {served:?} answers");
                served.fetch_add(1, Relaxed);
            }
        });
        storm(&server, 12, &served);
        over.store(true, Relaxed);
        operator.join().expect("the operator");
    });
    drop(probe);
    let mut probe = Probe::at(ops);
    probe.wait_for("every slot is free again", |probe| probe.metric(IN_USE) == 1);
    assert_eq!(Wire::to(server.address).ask("/tables/sensors/1").status, 200);
    wait_for("its descriptors are closed", || descriptors(server.pid()) == before);
    assert_eq!(probe.status()["panics"], 0);
}

#[test]
fn without_descriptors_newcomers_are_told_and_the_loop_does_not_spin() {
    let server = Start::new().sql(SQL).descriptors(24).run();
    let mut probe = Probe::of(&server);
    let mut kept = Wire::to(server.address);
    assert_eq!(kept.ask("/tables/sensors/1").status, 200);
    let before = descriptors(server.pid());
    // More than the descriptors that are left, fewer than the slots.
    let mut crowd: Vec<Wire> = (0..30).map(|_| Wire::to(server.address)).collect();
    probe.wait_for("newcomers are refused for want of descriptors", |probe| probe.refused("no_descriptor") > 3);
    assert_eq!(probe.refused("slots_full"), 0);
    let (turns, since) = (probe.metric("flagstone_turns_total"), uptime(&mut probe));
    let mut looks = 0;
    probe.wait_for("two seconds pass", |probe| {
        looks += 1;
        uptime(probe) >= since + 2
    });
    let turned = probe.metric("flagstone_turns_total") - turns;
    // Each look is a turn or two, each pause of 100 ms one: a loop that spins has a hundred thousand.
    assert!(turned < 4 * looks + 500, "{turned} turns at {looks} looks");
    for _ in 0..20 {
        assert_eq!(kept.ask("/tables/sensors/1").status, 200, "those that are in are served");
    }
    let mut told = 0;
    for wire in &mut crowd {
        if wire.has_answer() {
            let answer = wire.answer();
            assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
            assert_eq!(answer.json()["type"], "tag:flagstone,2026:slots-full");
            told += 1;
        }
    }
    assert!(told > 3, "{told}");
    assert!(probe.metric("flagstone_accept_failures_total") > 3);
    drop(crowd);
    probe.wait_for("the crowd is gone", |probe| probe.metric(IN_USE) == 2);
    assert_eq!(Wire::to(server.address).ask("/tables/sensors/1").status, 200);
    wait_for("its descriptors are closed", || descriptors(server.pid()) == before);
    assert!(server.stop().success());
}

fn uptime(probe: &mut Probe) -> u64 {
    probe.status()["uptime_seconds"].as_u64().expect("a number")
}
