//! Whatever is kept of earlier answers: with the cache on and off every request gets equal bytes and an equal tag.
//! The seed is printed; `FLAGSTONE_SEED` repeats it, `FLAGSTONE_CASES` asks for more.

use std::hash::{BuildHasher, RandomState};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{SQL, with};
use crate::configured::{route, write};
use crate::server::{Answer, Server};

/// Cases of a run: each is a conversation of some requests.
const CASES: u32 = 24;

const TARGETS: [&str; 6] = ["/latest/kitchen", "/latest/cellar", "/latest/none", "/count", "/name", "/thing/gr%C3%BCn"];
const QUERIES: [&str; 6] = ["", "?", "?n=2", "?n=1", "?n=abc", "?n=2&_format=csv"];
const ACCEPTS: [&str; 4] = ["*/*", "text/csv", "application/x-ndjson", "image/png"];
const CHANGES: [&str; 4] = [
    "INSERT INTO readings(sensor, at, value) VALUES ('kitchen', 3, 22)",
    "UPDATE things SET note = note || '+'",
    "DELETE FROM readings WHERE sensor = 'kitchen' AND at = 3",
    "ANALYZE",
];

#[derive(Clone, Debug)]
enum Step {
    Ask { target: usize, query: usize, accept: usize, head: bool, tagged: bool },
    Change(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ask = (0..TARGETS.len(), 0..QUERIES.len(), 0..ACCEPTS.len(), prop::bool::weighted(0.2), any::<bool>())
        .prop_map(|(target, query, accept, head, tagged)| Step::Ask { target, query, accept, head, tagged });
    let change = (0..CHANGES.len()).prop_map(Step::Change);
    prop::collection::vec(prop_oneof![6 => ask, 1 => change], 8..30)
}

fn server() -> Server {
    let n = "params = { n = { type = \"integer\", default = 1, min = 1, max = 500 } }";
    with(&[
        route("/latest/:sensor", "SELECT at, value FROM readings WHERE sensor = :sensor ORDER BY at DESC LIMIT :n", n),
        route("/count", "SELECT count(*) AS n FROM readings WHERE id > :n", &format!("rows = \"one\"\n{n}")),
        route("/name", "SELECT note FROM things ORDER BY name LIMIT 1 OFFSET :n", &format!("rows = \"value\"\n{n}")),
        route("/thing/:name", "SELECT * FROM things WHERE name = :name", ""),
    ])
}

/// What must be equal: everything but the date and where it came from.
fn essence(answer: &Answer) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let fields = answer.fields.iter().filter(|(name, _)| !["date", "x-cache", "age"].contains(&name.as_str()));
    (answer.status, fields.cloned().collect(), answer.body.clone())
}

#[test]
fn with_the_cache_on_and_off_bytes_and_tags_are_equal() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("FLAGSTONE_SEED").unwrap_or_else(|| RandomState::new().hash_one(0_u8));
    eprintln!("FLAGSTONE_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let cases = number("FLAGSTONE_CASES").map_or(CASES, |cases| cases as u32);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let server = server();
    let mut hits = 0;
    let hits_of = std::cell::RefCell::new(&mut hits);
    let result = runner.run(&steps(), |steps| {
        // The same answers are asked for with the cache and without it, in one state of the database each.
        let mut tag = String::from("\"none\"");
        for step in steps {
            let Step::Ask { target, query, accept, head, tagged } = step else {
                let Step::Change(change) = step else { unreachable!("there are two") };
                write(&server, CHANGES[change]);
                continue;
            };
            let query = if TARGETS[target].starts_with("/thing") { "" } else { QUERIES[query] };
            let (path, method) = (format!("{}{query}", TARGETS[target]), if head { "HEAD" } else { "GET" });
            let mut fields = vec![("Accept", ACCEPTS[accept])];
            if tagged {
                fields.push(("If-None-Match", tag.as_str()));
            }
            let mut answers = Vec::new();
            for state in ["on", "off", "on"] {
                let set = server.operate("PUT", "/-/flags/cache", state);
                prop_assert_eq!(set.status, 200, "{}", set.text());
                let answer = server.request(method, &path, &fields);
                match answer.field("x-cache") {
                    Some("hit") => **hits_of.borrow_mut() += 1,
                    Some(other) if state == "off" => prop_assert_eq!(other, "bypass"),
                    _ => {}
                }
                answers.push(essence(&answer));
            }
            prop_assert_eq!(&answers[0], &answers[1], "{} {} {:?}", method, &path, &fields);
            prop_assert_eq!(&answers[1], &answers[2], "{} {} {:?}", method, &path, &fields);
            if let Some((_, found)) = answers[0].1.iter().find(|(name, _)| name == "etag") {
                tag.clone_from(found);
            }
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("FLAGSTONE_SEED={seed}: {error}");
    }
    assert!(hits > 0, "the cache was met");
    assert!(SQL.contains("readings"));
}
