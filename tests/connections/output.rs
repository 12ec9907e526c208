//! The output blocks: many slow readers fill them, and everybody else is told or served.

use crate::SQL;
use crate::server::Server;
use crate::wire::{Probe, Wire, get};

const LARGE: &str = "/tables/big?limit=1000";
const BLOCKS: &str = "flagstone_use{part=\"output blocks\"}";
/// Answers of tables, whatever they said.
const ANSWERED: &str = "flagstone_http_requests_total{route=\"rows\"";

/// Readers that have asked for nearly 1 MiB each and take none of it, until the next one was told that there is no room.
pub fn slow_readers(server: &Server, probe: &mut Probe) -> Vec<Wire> {
    let (mut readers, full) = (Vec::new(), probe.refused("output_full"));
    while probe.refused("output_full") == full {
        assert!(readers.len() < 40, "the blocks hold 4 MiB");
        let answered = probe.sum(ANSWERED);
        let reader = Wire::small(server.address);
        reader.send(get(LARGE));
        probe.wait_for("the answer is made", |probe| probe.sum(ANSWERED) > answered);
        readers.push(reader);
    }
    readers
}

#[test]
fn large_answers_are_refused_while_slow_readers_hold_the_blocks_and_small_ones_are_served() {
    let server = Server::with(SQL);
    let mut probe = Probe::of(&server);
    let length = server.get(LARGE).body.len();
    assert!(length > 1_000_000, "{length}");
    let mut readers = slow_readers(&server, &mut probe);
    assert!(readers.len() > 3, "{}", readers.len());
    // As small as theirs: what its socket takes at once would need no block.
    let mut client = Wire::small(server.address);
    for _ in 0..20 {
        let refused = probe.refused("output_full");
        let answer = client.ask(LARGE);
        assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")), "{}", answer.text());
        assert_eq!(answer.json()["type"], "tag:flagstone,2026:output-full");
        assert_eq!(answer.field("connection"), None, "its connection goes on");
        assert_eq!(probe.refused("output_full"), refused + 1);
        for target in ["/tables/sensors/1", "/tables/sensors?limit=100", "/", "/-/health", "/-/budget"] {
            assert_eq!(client.ask(target).status, 200, "{target}");
        }
    }
    assert!(probe.metric(BLOCKS) > 700);
    let mut refused = 0;
    for reader in &mut readers {
        let answer = reader.answer();
        match answer.status {
            200 => assert_eq!(answer.body.len(), length, "a slow reader gets all of it"),
            _ => refused += 1,
        }
    }
    assert_eq!(refused, 1);
    assert_eq!(client.ask(LARGE).body.len(), length, "there is room again");
    probe.wait_for("no block stays taken", |probe| probe.metric(BLOCKS) == 0);
}

#[test]
fn readers_that_vanish_give_their_blocks_back() {
    let server = Server::with(SQL);
    let mut probe = Probe::of(&server);
    let readers = slow_readers(&server, &mut probe);
    for (at, reader) in readers.into_iter().enumerate() {
        if at % 2 == 0 { reader.reset() } else { drop(reader) }
    }
    probe.wait_for("no block stays taken", |probe| probe.metric(BLOCKS) == 0);
    probe.wait_for("no slot stays taken", |probe| probe.metric("flagstone_use{part=\"connections\"}") == 1);
}
