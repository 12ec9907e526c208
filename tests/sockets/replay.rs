//! The corpus against the live server: every entry whole, in two pieces at every offset, and byte by byte.

use flagstone::api::route::Route;
use flagstone::http::request::{Method, Reader, Step};
use flagstone::job::Exchange;
use flagstone::policy::hosts::Hosts;
use flagstone::start::block::hostname;

use crate::SQL;
use crate::corpus::{self, Expect};
use crate::server::{Answer, Server};
use crate::wire::{HEALTH, Probe, Wire};

/// Longer entries are split at a few offsets only, which bounds the connections of the whole to about twenty thousand.
const SPLIT_EVERYWHERE: usize = 160;

/// What must come back for one request.
#[derive(Debug, Clone, Copy)]
struct Due {
    status: u16,
    /// A refusal: what the bytes mean is in doubt.
    refusal: bool,
    head_only: bool,
    closes: bool,
}

/// What SPEC says of a request that was understood, on a database where no path of the corpus names a table.
fn judgement(method: Method, path: &[u8], host: Option<&[u8]>, hosts: &Hosts) -> u16 {
    if host.is_some_and(|host| !hosts.allow(host, std::iter::empty())) {
        return 421;
    }
    match (Route::of(path), method) {
        _ if path == b"*" => 204,
        (Route::None { .. }, _) => 404,
        (_, Method::Options) => 204,
        (Route::Rows { .. } | Route::Row { .. }, Method::Get | Method::Head) => 404,
        (_, Method::Get | Method::Head) => 200,
        _ => 405,
    }
}

/// The answers due for an entry: statuses of refusals from the corpus itself, of the rest from SPEC; and whether more bytes are waited for.
fn due(bytes: &[u8], outcome: &[Expect], hosts: &Hosts) -> (Vec<Due>, bool) {
    let (mut dues, mut waits) = (Vec::new(), false);
    let (mut reader, mut left) = (Reader::new(Exchange::LIMITS), bytes.to_vec());
    for expect in outcome {
        match expect {
            Expect::Waits => waits = true,
            Expect::Status(status) => dues.push(Due { status: *status, refusal: true, head_only: false, closes: true }),
            Expect::Served { .. } => {
                while reader.advance(&mut left) == Step::Continue {}
                let request = reader.request();
                let status = judgement(request.method, request.path(&left), request.host(&left), hosts);
                let head_only = request.method == Method::Head;
                dues.push(Due { status, refusal: false, head_only, closes: !request.keep_alive });
                let consumed = request.consumed;
                left.drain(..consumed);
                reader.reset();
            }
        }
    }
    (dues, waits)
}

fn check(name: &str, due: &Due, answer: &Answer) {
    assert_eq!(answer.status, due.status, "{name}: {}", answer.text());
    assert_eq!(answer.field("connection") == Some("close"), due.closes, "{name}");
    assert!(answer.field("date").is_some(), "{name}: no Date");
    if answer.status >= 400 && !due.head_only {
        assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{name}");
        assert!(answer.body.len() < 512, "{name}");
        let problem = answer.json();
        let slug = problem["type"].as_str().and_then(|kind| kind.strip_prefix("tag:flagstone,2026:")).expect("a type");
        let of_reader = flagstone::http::request::Reject::ALL.iter().any(|reject| reject.slug() == slug);
        assert_eq!(of_reader, due.refusal, "{name}: {slug}");
        assert_eq!(problem["status"], answer.status, "{name}");
    }
}

/// Sends `bytes` in pieces that end at `cuts`, each read by the server before the next, and checks all that comes back.
fn replay(server: &Server, probe: &mut Probe, name: &str, bytes: &[u8], cuts: &[usize], dues: &(Vec<Due>, bool)) {
    let (dues, waits) = dues;
    let mut wire = Wire::to(server.address);
    let mut sent = 0;
    for &cut in cuts {
        wire.try_send(&bytes[sent..cut]);
        sent = cut;
        probe.barrier();
    }
    // After a refusal the rest is discarded, at the latest by the end of the connection.
    wire.try_send(&bytes[sent..]);
    for due in dues {
        let mut answer = wire.try_answer(due.head_only).unwrap_or_else(|error| panic!("{name} cut at {cuts:?}: {error}"));
        if answer.status == 100 {
            answer = wire.try_answer(due.head_only).unwrap_or_else(|error| panic!("{name} cut at {cuts:?}: {error}"));
        }
        check(name, due, &answer);
    }
    if !dues.last().is_some_and(|due| due.closes) {
        if !waits {
            wire.send(HEALTH);
            assert_eq!(wire.answer().status, 200, "{name} leaves the connection open");
        }
        wire.half_close();
    }
    wire.ends(name);
}

fn entries() -> impl Iterator<Item = (&'static corpus::Entry, (Vec<Due>, bool))> {
    let hosts = Hosts::new(&hostname());
    corpus::entries().map(move |entry| (entry, due(entry.bytes, entry.outcome, &hosts)))
}

#[test]
fn every_entry_whole_has_its_answers_and_each_refusal_is_counted() {
    let server = Server::with(SQL);
    let mut probe = Probe::of(&server);
    let (before, mut refusals) = (probe.closed("rejected"), 0);
    for (entry, dues) in entries() {
        replay(&server, &mut probe, entry.name, entry.bytes, &[], &dues);
        refusals += u64::from(dues.0.iter().any(|due| due.refusal));
    }
    assert!(refusals > 100);
    probe.wait_for("each refused connection is counted as rejected", |probe| {
        let rejected = probe.closed("rejected") - before;
        assert!(rejected <= refusals);
        rejected == refusals
    });
    probe.wait_for("no slot stays taken", |probe| probe.connections("free") == flagstone::budget::CONNECTIONS as u64 - 1);
}

#[test]
fn understood_requests_for_this_machine_are_answered_by_method_and_path() {
    let server = Server::with(SQL);
    let mut probe = Probe::of(&server);
    let hosts = Hosts::new(&hostname());
    let mut tried = 0;
    for entry in corpus::entries() {
        // In a body the name must keep its length.
        let plain = entry.outcome.iter().all(|expect| matches!(expect, Expect::Served { body, .. } if !body.contains(&b':')));
        let text = entry.bytes.escape_ascii().to_string();
        if !plain || !text.contains("Host: a\\r\\n") {
            continue;
        }
        let bytes = replace(entry.bytes, b"Host: a\r\n", b"Host: localhost\r\n");
        replay(&server, &mut probe, entry.name, &bytes, &[], &due(&bytes, entry.outcome, &hosts));
        tried += 1;
    }
    assert!(tried > 30, "{tried}");
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(from) {
            out.extend_from_slice(to);
            at += from.len();
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    out
}

#[test]
fn every_entry_in_two_pieces_has_the_same_answers() {
    let server = Server::with(SQL);
    std::thread::scope(|scope| {
        for part in 0..2 {
            let server = &server;
            scope.spawn(move || {
                let mut probe = Probe::of(server);
                for (entry, dues) in entries().skip(part).step_by(2) {
                    let length = entry.bytes.len();
                    let step = if length <= SPLIT_EVERYWHERE { 1 } else { length / 8 };
                    for cut in (1..length).step_by(step) {
                        replay(server, &mut probe, entry.name, entry.bytes, &[cut], &dues);
                    }
                }
            });
        }
    });
}

#[test]
fn every_short_entry_byte_by_byte_has_the_same_answers() {
    let server = Server::with(SQL);
    let mut probe = Probe::of(&server);
    for (entry, dues) in entries().filter(|(entry, _)| entry.bytes.len() <= SPLIT_EVERYWHERE) {
        let each: Vec<usize> = (1..entry.bytes.len()).collect();
        replay(&server, &mut probe, entry.name, entry.bytes, &each, &dues);
    }
}
