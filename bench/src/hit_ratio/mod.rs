//! `bench hit-ratio`: which share of requests, bytes and database time a cache saves under each eviction policy, on seeded traces.
//!
//! The server's policy was chosen by this table: see `policy/eviction.rs`.

mod bound;
mod ours;
mod peers;
mod replay;
mod trace;

use std::ffi::OsString;

use crate::load::options::Usage;
use ours::Ours;
use replay::{Capacity, Policy, Ratios, replay};
use trace::{BLOCK_BYTES, Pattern, Sizes, Trace};

/// `bench hit-ratio --help`.
pub const HELP: &str = "\
bench hit-ratio: what a cache of fixed size saves under each eviction policy, beside what no policy can exceed

    bench hit-ratio
    bench hit-ratio --smoke

    --seed N       makes other traces (7)
    --requests N   requests for each entry of the cache, 10 to 10000 (600)
    --smoke        the small cache alone and short traces, under a second
    -h, --help

Nothing is served: traces are replayed in memory, every miss is inserted, and the cold start counts.
Exit: 0; 64 usage.
";

/// The default build's cache and one in which bytes are shorter than entries.
const FULL: Capacity = Capacity { entries: 500, blocks: 6400 };
const SMALL: Capacity = Capacity { entries: 64, blocks: 128 };

const PATTERNS: [Pattern; 7] = [
    Pattern::Zipf(0.8),
    Pattern::Zipf(1.0),
    Pattern::Scans,
    Pattern::OneHitWonders,
    Pattern::Shifting,
    Pattern::Loop,
    Pattern::Commits,
];

/// What is to be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    seed: u64,
    /// Requests for each entry of the cache.
    requests: usize,
    /// Only the small cache.
    smoke: bool,
}

/// Reads the arguments after `hit-ratio`. `Ok(None)` is a wish for help.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Plan>, Usage> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut plan = Plan { seed: 7, requests: 600, smoke: false };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seed") => plan.seed = parser.value()?.parse()?,
            Long("requests") => plan.requests = parser.value()?.parse()?,
            Long("smoke") => (plan.smoke, plan.requests) = (true, 60),
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    if !(10..=10_000).contains(&plan.requests) {
        return Err(Usage("--requests: 10 to 10000".to_owned()));
    }
    Ok(Some(plan))
}

/// Replays and prints.
pub fn run(plan: &Plan) {
    println!(
        "seed {}, {} requests for each entry of the cache, 20 popular keys an entry, every miss inserted, cold start counted",
        plan.seed, plan.requests
    );
    println!("each cell: % of requests / bytes / database time saved; bound: no policy can have more (MIN and space x time)");
    for &capacity in if plan.smoke { &[SMALL][..] } else { &[FULL, SMALL] } {
        for sizes in [Sizes::Equal, Sizes::HeavyTailed] {
            print!("{}", table(plan, capacity, sizes));
        }
    }
}

fn table(plan: &Plan, capacity: Capacity, sizes: Sizes) -> String {
    use std::fmt::Write as _;
    let kib = capacity.blocks * BLOCK_BYTES as usize / 1024;
    let what = match sizes {
        Sizes::Equal => "answers of one block and one cost",
        Sizes::HeavyTailed => "answers of 1 to 100 KB (mean 10), 50 us to 0.2 s, both heavy-tailed",
    };
    let mut text = format!("\n{} entries, {kib} KiB; {what}\n{:20}", capacity.entries, "");
    let columns = columns();
    for (name, _) in &columns {
        let _ = write!(text, "{name:>17}");
    }
    let mut means = vec![Ratios::default(); columns.len()];
    for pattern in PATTERNS {
        let trace = Trace::new(pattern, sizes, capacity.entries, plan.requests * capacity.entries, plan.seed);
        let _ = write!(text, "\n{:20}", trace.name);
        for ((_, ratios), mean) in columns.iter().zip(&mut means) {
            let ratios = ratios(&trace, capacity);
            let part = |value: f64| value / PATTERNS.len() as f64;
            mean.requests += part(ratios.requests);
            mean.bytes += part(ratios.bytes);
            mean.time += part(ratios.time);
            text += &cell(ratios);
        }
    }
    let _ = writeln!(text, "\n{:20}{}", "mean", means.into_iter().map(cell).collect::<String>());
    text
}

fn cell(ratios: Ratios) -> String {
    format!("  {:4.1}/{:4.1}/{:4.1}", ratios.requests, ratios.bytes, ratios.time)
}

type Column = fn(&Trace, Capacity) -> Ratios;

fn columns() -> [(&'static str, Column); 7] {
    [
        ("fifo", |trace, capacity| replay(trace, capacity, &mut peers::Fifo::default())),
        ("lru", |trace, capacity| replay(trace, capacity, &mut peers::Lru::default())),
        ("sieve", |trace, capacity| replay(trace, capacity, &mut peers::Sieve::default())),
        ("s3-fifo", |trace, capacity| replay(trace, capacity, &mut peers::S3Fifo::new(capacity))),
        ("gdsf", |trace, capacity| replay(trace, capacity, &mut peers::Gdsf::default())),
        ("ours", |trace, capacity| replay(trace, capacity, &mut *ours(capacity))),
        ("bound", bound::bound),
    ]
}

fn ours(capacity: Capacity) -> Box<dyn Policy> {
    match capacity.entries {
        500 => Box::new(Ours::<500, 1000, 1024>::new(capacity)),
        _ => Box::new(Ours::<64, 128, 128>::new(capacity)),
    }
}

#[cfg(test)]
mod tests;
