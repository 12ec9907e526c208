//! The corpus, replayed on the pure reader: every entry whole, byte by byte, and split at every offset.

use flagstone::http::request::{Limits, Phase, Reader, Step};
use proptest::prelude::*;

mod corpus;
use corpus::Expect;

const LIMITS: Limits = Limits { head_bytes: 4096, target_bytes: 1024, body_bytes: 65_536 };

/// All that can be said of one request; equal however its bytes came.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Rejected { status: u16, slug: &'static str },
    Served { method: &'static str, path: String, query: Option<Vec<u8>>, host: Option<Vec<u8>>, body: Vec<u8>, consumed: usize },
    Waits(Phase),
}

/// Feeds `bytes` in pieces that end at `cuts`, as a connection would: served requests leave the buffer, a refusal or
/// the end of keep-alive ends it.
fn replay(bytes: &[u8], cuts: &[usize], compacting: bool) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut reader = Reader::new(LIMITS);
    let mut buf = Vec::new();
    let mut fed = 0;
    let mut saved = 0;
    for &cut in cuts.iter().chain([&bytes.len()]) {
        buf.extend_from_slice(&bytes[fed..cut]);
        fed = cut;
        loop {
            match reader.advance(&mut buf) {
                Step::NeedMore(_) if compacting => {
                    let shorter = reader.compact(&mut buf);
                    saved += shorter;
                    buf.truncate(buf.len() - shorter);
                    break;
                }
                Step::NeedMore(_) => break,
                Step::Continue => {
                    assert!(!matches!(reader.advance(&mut buf), Step::Continue), "comes once");
                }
                Step::Reject(reject) => {
                    outcomes.push(Outcome::Rejected { status: reject.status(), slug: reject.slug() });
                    return outcomes;
                }
                Step::Ready => {
                    let request = reader.request();
                    outcomes.push(Outcome::Served {
                        method: request.method.name(),
                        path: String::from_utf8(request.path(&buf).to_vec()).unwrap(),
                        query: request.query(&buf).map(<[u8]>::to_vec),
                        host: request.host(&buf).map(<[u8]>::to_vec),
                        body: request.body(&buf).to_vec(),
                        consumed: request.consumed + saved,
                    });
                    if !request.keep_alive {
                        return outcomes;
                    }
                    buf.drain(..request.consumed);
                    saved = 0;
                    reader.reset();
                    if buf.is_empty() {
                        break;
                    }
                }
            }
        }
    }
    if !buf.is_empty() {
        let Step::NeedMore(phase) = reader.advance(&mut buf) else {
            panic!("the loop above ends in NeedMore");
        };
        outcomes.push(Outcome::Waits(phase));
    }
    outcomes
}

fn meets(outcome: &Outcome, expect: &Expect) -> bool {
    match (outcome, expect) {
        (Outcome::Rejected { status, .. }, Expect::Status(expected)) => status == expected,
        (Outcome::Served { method, path, body, .. }, Expect::Served { method: m, path: p, body: b }) => {
            method == m && path == p && body == b
        }
        (Outcome::Waits(_), Expect::Waits) => true,
        _ => false,
    }
}

#[test]
fn every_entry_has_its_outcome_at_every_split() {
    for entry in corpus::entries() {
        let whole = replay(entry.bytes, &[], false);
        let met = whole.len() == entry.outcome.len() && whole.iter().zip(entry.outcome).all(|(o, e)| meets(o, e));
        assert!(met, "{}: {whole:?} instead of {:?}", entry.name, entry.outcome);
        let each: Vec<usize> = (0..entry.bytes.len()).collect();
        for compacting in [false, true] {
            assert_eq!(replay(entry.bytes, &each, compacting), whole, "{} byte by byte", entry.name);
            for cut in 0..entry.bytes.len() {
                assert_eq!(replay(entry.bytes, &[cut], compacting), whole, "{} cut at {cut}", entry.name);
            }
        }
    }
}

#[test]
fn the_corpus_is_large_and_its_names_are_distinct() {
    let mut names: Vec<_> = corpus::entries().map(|entry| entry.name).collect();
    assert!(names.len() >= 120);
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}

/// One chunk: its data, zeros before its size, capitals or not, an extension.
fn chunk() -> impl Strategy<Value = (Vec<u8>, usize, bool, &'static str)> {
    let extension = prop::sample::select(vec!["", ";a", ";a=b", " ; a = \"\\\";\"", ";a;b"]);
    (prop::collection::vec(any::<u8>(), 1..60), 0..5_usize, any::<bool>(), extension)
}

proptest! {
    #[test]
    fn chunked_bodies_come_back_as_they_were(
        chunks in prop::collection::vec(chunk(), 0..8),
        trailers in prop::collection::vec("[a-z]{1,8}: [ -~]{0,20}", 0..4),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        compacting: bool,
    ) {
        let mut bytes = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        let mut expected = Vec::new();
        for (data, zeros, capitals, extension) in &chunks {
            let digits = if *capitals { format!("{:X}", data.len()) } else { format!("{:x}", data.len()) };
            bytes.extend_from_slice(format!("{}{digits}{extension}\r\n", "0".repeat(*zeros)).as_bytes());
            bytes.extend_from_slice(data);
            bytes.extend_from_slice(b"\r\n");
            expected.extend_from_slice(data);
        }
        bytes.extend_from_slice(b"0\r\n");
        for trailer in &trailers {
            bytes.extend_from_slice(trailer.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        let consumed = bytes.len();
        bytes.extend_from_slice(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n");

        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.sort_unstable();
        let outcomes = replay(&bytes, &cuts, compacting);
        prop_assert_eq!(outcomes.len(), 2);
        let Outcome::Served { body, consumed: used, .. } = &outcomes[0] else {
            return Err(TestCaseError::fail(format!("{outcomes:?}")));
        };
        prop_assert_eq!(body, &expected);
        prop_assert_eq!(*used, consumed);
        let next_is_read = matches!(&outcomes[1], Outcome::Served { path, .. } if path == "/next");
        prop_assert!(next_is_read);
    }

    #[test]
    fn a_damaged_request_has_one_outcome_at_every_split(
        pick in any::<prop::sample::Index>(),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..4),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        compacting: bool,
    ) {
        let entries: Vec<_> = corpus::entries().filter(|entry| !entry.bytes.is_empty()).collect();
        let mut bytes = entries[pick.index(entries.len())].bytes.to_vec();
        for (at, byte, kind) in damages {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => {}
            }
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.sort_unstable();
        prop_assert_eq!(replay(&bytes, &cuts, compacting), replay(&bytes, &[], false));
    }
}
