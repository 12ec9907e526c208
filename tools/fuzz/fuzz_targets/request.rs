//! Fuzzes the request reader: no panic, the same outcome wherever the bytes are split, and every range in bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../../tests/corpus/mod.rs"]
#[allow(dead_code)]
mod corpus;
#[path = "../../../src/http/mod.rs"]
#[allow(dead_code, unused_imports)]
mod http;

use http::request::{Limits, Phase, Reader, Reject, Step};

/// Small enough that the fuzzer finds every bound.
const TIGHT: Limits = Limits {
    head_bytes: 160,
    target_bytes: 24,
    body_bytes: 32,
};
const ROOMY: Limits = Limits {
    head_bytes: 65_535,
    target_bytes: 8_192,
    body_bytes: 1 << 20,
};
const CUTS: usize = 6;

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Waits(Phase),
    Rejected(Reject),
    Served {
        path: Vec<u8>,
        query: Option<Vec<u8>>,
        host: Option<Vec<u8>>,
        body: Vec<u8>,
        keep_alive: bool,
        consumed: usize,
    },
}

// Input: a byte of options, six cuts of two bytes each, then a request: either raw or a corpus entry with damages.
fuzz_target!(|data: &[u8]| {
    let [options, rest @ ..] = data else { return };
    let Some((cuts, rest)) = rest.split_at_checked(2 * CUTS) else {
        return;
    };
    let limits = if options & 1 == 0 { ROOMY } else { TIGHT };
    let bytes = if options & 2 == 0 {
        rest.to_vec()
    } else {
        damaged_entry(rest)
    };
    let mut cuts: Vec<usize> = cuts
        .chunks(2)
        .map(|pair| usize::from(u16::from_le_bytes([pair[0], pair[1]])) % (bytes.len() + 1))
        .collect();
    cuts.sort_unstable();

    let whole = replay(&bytes, &[], limits, false);
    assert_eq!(replay(&bytes, &cuts, limits, options & 4 != 0), whole);
    if bytes.len() < 512 {
        let each: Vec<usize> = (0..bytes.len()).collect();
        assert_eq!(replay(&bytes, &each, limits, options & 4 == 0), whole);
    }
});

/// Two bytes choose the entry; then each three are an offset and the byte to put there, or to insert.
fn damaged_entry(rest: &[u8]) -> Vec<u8> {
    let Some(([low, high], damages)) = rest.split_first_chunk() else {
        return Vec::new();
    };
    let pick = usize::from(u16::from_le_bytes([*low, *high])) % corpus::entries().count();
    let mut bytes = corpus::entries()
        .nth(pick)
        .map_or(Vec::new(), |entry| entry.bytes.to_vec());
    for damage in damages.chunks_exact(3) {
        let at = usize::from(damage[0]) % (bytes.len() + 1);
        match damage[1] % 3 {
            0 if at < bytes.len() => bytes[at] = damage[2],
            1 if at < bytes.len() => drop(bytes.remove(at)),
            _ => bytes.insert(at, damage[2]),
        }
    }
    bytes
}

fn replay(bytes: &[u8], cuts: &[usize], limits: Limits, compacting: bool) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut reader = Reader::new(limits);
    let mut buf = Vec::new();
    let (mut fed, mut saved) = (0, 0);
    let mut last = Phase::FirstByte;
    for &cut in cuts.iter().chain([&bytes.len()]) {
        buf.extend_from_slice(&bytes[fed..cut]);
        fed = cut;
        loop {
            match reader.advance(&mut buf) {
                Step::NeedMore(phase) => {
                    last = phase;
                    if compacting {
                        let shorter = reader.compact(&mut buf);
                        saved += shorter;
                        buf.truncate(buf.len() - shorter);
                        assert_eq!(
                            reader.advance(&mut buf),
                            Step::NeedMore(phase),
                            "compacting changes nothing"
                        );
                    }
                    break;
                }
                Step::Continue => assert_ne!(reader.advance(&mut buf), Step::Continue),
                Step::Reject(reject) => {
                    assert_eq!(
                        reader.advance(&mut buf),
                        Step::Reject(reject),
                        "a refusal stays"
                    );
                    outcomes.push(Outcome::Rejected(reject));
                    return outcomes;
                }
                Step::Ready => {
                    outcomes.push(served(&reader, &buf, limits, saved));
                    let consumed = reader.request().consumed;
                    let behind = fed - (buf.len() - consumed);
                    assert_eq!(
                        &buf[consumed..],
                        &bytes[behind..fed],
                        "what follows is untouched"
                    );
                    let keep_alive = reader.request().keep_alive;
                    if !keep_alive {
                        return outcomes;
                    }
                    buf.drain(..consumed);
                    saved = 0;
                    reader.reset();
                }
            }
        }
    }
    outcomes.push(Outcome::Waits(last));
    outcomes
}

fn served(reader: &Reader, buf: &[u8], limits: Limits, saved: usize) -> Outcome {
    let request = reader.request();
    assert!(request.consumed <= buf.len() && request.consumed > 0);
    let (path, body) = (request.path(buf), request.body(buf));
    assert!(!path.is_empty() && path.iter().all(u8::is_ascii_graphic));
    assert!(body.len() <= limits.body_bytes);
    assert!(request.minor == 0 || request.host(buf).is_some_and(|host| !host.is_empty()));
    for name in ["host", "content-length", "transfer-encoding", "x", ""] {
        for value in request.fields(buf, name) {
            assert!(
                value
                    .iter()
                    .all(|byte| *byte == b'\t' || !byte.is_ascii_control())
            );
        }
    }
    let lengths = request.fields(buf, "content-length").count()
        + request.fields(buf, "transfer-encoding").count();
    assert!(lengths <= 1, "one way to find the end");
    Outcome::Served {
        path: path.to_vec(),
        query: request.query(buf).map(<[u8]>::to_vec),
        host: request.authority(buf).map(<[u8]>::to_vec),
        body: body.to_vec(),
        keep_alive: request.keep_alive,
        consumed: request.consumed + saved,
    }
}
