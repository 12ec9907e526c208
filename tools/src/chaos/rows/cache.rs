//! The cache: more keys than it has room for, answers of every size.

use std::time::Duration;

use crate::chaos::crowd::Manner;
use crate::chaos::question::Question;
use crate::chaos::register::Risk;
use crate::chaos::row::Row;
use crate::chaos::trial::{Stop, Trial};
use crate::chaos::watch::Sign;

/// Keys that are asked for again and again among those that are not.
const POPULAR: u64 = 20;

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        name: "distinct-keys",
        what: "100,000 distinct keys asked for once each, among 20 that are asked for often",
        risks: &[Risk::Cache],
        signs: &[
            Sign::Acted(Risk::Cache),
            Sign::Rise("flagstone_cache_gone_total", &["reason=\"evicted\""], 500.0),
            Sign::Rise("flagstone_cache_requests_total", &["result=\"miss\""], 5_000.0),
        ],
        // A commit of another program empties the cache; here it is to be filled.
        commits: false,
        quick: true,
        run: distinct_keys,
        ..Row::BLANK
    },
    Row {
        name: "large-answers",
        what: "answers of 1 KB to 1 MB in turn, as many different ones as make 60 MB",
        risks: &[Risk::Cache, Risk::Memory],
        signs: &[
            Sign::Rise("flagstone_cache_gone_total", &["reason=\"evicted\""], 1.0),
            Sign::Rise("flagstone_cache_requests_total", &["result=\"bypass\""], 1.0),
        ],
        commits: false,
        run: large_answers,
        ..Row::BLANK
    },
];

fn distinct_keys(trial: &Trial) -> Result<(), Stop> {
    let count: u64 = if trial.quick { 20_000 } else { 100_000 };
    trial.breaks(format!("{count} keys, each asked for once, beside {POPULAR} popular ones"));
    let manner = Manner { connections: 8, depth: 4, count: count * 2, time: Duration::from_secs(120), ..Manner::default() };
    let mut popular_hits = (0, 0);
    let crowded = trial.crowd(
        &manner,
        || false,
        |turn| {
            if turn % 2 == 0 { Question::Echo(turn / 2) } else { Question::Item((turn / 2 % POPULAR) as u32 + 1) }
        },
    )?;
    for id in 1..=POPULAR as u32 {
        let answer = trial.send(&Question::Item(id).request())?;
        popular_hits.1 += 1;
        popular_hits.0 += u32::from(answer.is_some_and(|answer| answer.field("x-cache") == Some("hit")));
    }
    trial.mended();
    // The register is brought up to date once a second.
    trial.await_signs(Duration::from_secs(3));
    let (hits, asked) = popular_hits;
    trial.must(hits * 10 >= asked * 9, || format!("{hits} of {asked} popular answers are still kept"));
    let rate = crowded.tally.served as f64 / crowded.time.as_secs_f64();
    trial.say(format!("{rate:.0} answers a second; {hits} of {asked} popular answers are kept at the end"));
    Ok(())
}

fn large_answers(trial: &Trial) -> Result<(), Stop> {
    trial.breaks("answers of up to 1 MB, most of them larger than what is kept");
    let manner = Manner { connections: 6, count: 1_200, time: Duration::from_secs(60), ..Manner::default() };
    trial.crowd(
        &manner,
        || false,
        |turn| match turn % 8 {
            0 => Question::Large(0, 1_000 + (turn % 800) as u32),
            _ => Question::Large(turn as u32 * 37 % 1_900, turn as u32 % 175 + 1),
        },
    )?;
    trial.mended();
    Ok(())
}
