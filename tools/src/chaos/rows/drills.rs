//! What cannot be done to a live process from outside is a drill of its own: panics in each part, flipped bytes, a slow or dying card,
//! a machine short of memory, a clock that jumps, and the lower paths alone.

use std::time::Duration;

use crate::chaos::crowd::{Crowded, Manner};
use crate::chaos::question::Question;
use crate::chaos::register::Risk;
use crate::chaos::row::Row;
use crate::chaos::trial::{Stop, Trial};
use crate::chaos::watch::Sign;

/// A panic's own sign: it was caught.
const CAUGHT: Sign = Sign::Rise("flagstone_panics_total", &[], 1.0);

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        name: "panic-cache",
        what: "the next look-ups in the cache panic",
        risks: &[Risk::Fallback],
        signs: &[
            Sign::Acted(Risk::Fallback),
            Sign::Alert("panics"),
            Sign::Drill("cache-panic"),
            Sign::Status("/falls/cache", 1.0),
            Sign::Drilled(Risk::Fallback),
        ],
        quick: true,
        run: |trial| panics(trial, "cache-panic", "count=3"),
        ..Row::BLANK
    },
    Row {
        name: "panic-flight",
        what: "the next who join another's query panic",
        risks: &[Risk::Fallback],
        signs: &[Sign::Drill("flight-panic"), Sign::Status("/falls/flight", 1.0)],
        run: |trial| panics(trial, "flight-panic", "count=2"),
        ..Row::BLANK
    },
    Row {
        name: "panic-batch",
        what: "the next batches of writes panic inside the group commit",
        risks: &[Risk::Fallback, Risk::Batching],
        signs: &[Sign::Acted(Risk::Fallback), Sign::Drill("batch-panic"), Sign::Status("/falls/batch", 1.0)],
        // Nobody knows how far a batch came: its writers are told so.
        allows: &[500],
        quick: true,
        run: |trial| panics(trial, "batch-panic", "count=2"),
        ..Row::BLANK
    },
    Row {
        name: "panic-warming",
        what: "the next answer that is made before anybody asks panics",
        risks: &[Risk::Fallback],
        signs: &[Sign::Drill("warming-panic"), Sign::Status("/falls/warming", 1.0)],
        run: |trial| panics(trial, "warming-panic", "count=1"),
        ..Row::BLANK
    },
    Row {
        name: "panic-plain",
        what: "the next jobs on the database panic: the last answer but one is from static bytes",
        risks: &[Risk::Fallback],
        signs: &[Sign::Acted(Risk::Fallback), Sign::Drill("plain-panic"), Sign::Status("/falls/emergency", 1.0), CAUGHT],
        allows: &[500],
        run: |trial| panics(trial, "plain-panic", "count=3"),
        ..Row::BLANK
    },
    Row {
        name: "panic-front",
        what: "serving the next requests panics in the front",
        risks: &[Risk::Fallback],
        signs: &[Sign::Drill("front-panic"), CAUGHT],
        allows: &[500],
        run: |trial| panics(trial, "front-panic", "count=3"),
        ..Row::BLANK
    },
    Row {
        name: "flipped-bytes",
        what: "bits of kept answers are flipped",
        risks: &[Risk::Poisoning],
        signs: &[
            Sign::Alert("cache_damage"),
            Sign::Drill("cache-flip"),
            Sign::Rise("flagstone_cache_gone_total", &["reason=\"damaged\""], 1.0),
            Sign::Acted(Risk::Poisoning),
            Sign::Drilled(Risk::Poisoning),
        ],
        commits: false,
        run: flipped,
        ..Row::BLANK
    },
    Row {
        name: "slow-sync",
        what: "each fsync takes 2 s longer",
        risks: &[Risk::Batching, Risk::Lock],
        signs: &[Sign::Drill("slow-sync"), Sign::Reach("flagstone_sync_longest_seconds", &[], 1.9)],
        // Behind a batch's sync whoever must have a fresh answer waits.
        fresh_gap: Duration::from_secs(6),
        run: |trial| slow(trial, "slow-sync", "ms=2000"),
        ..Row::BLANK
    },
    Row {
        name: "slow-read",
        what: "each read of the database's files takes 20 ms longer",
        risks: &[Risk::Lock],
        signs: &[Sign::Drill("slow-read")],
        fresh_gap: Duration::from_secs(6),
        run: |trial| slow(trial, "slow-read", "ms=20"),
        ..Row::BLANK
    },
    Row {
        name: "io-error",
        what: "reads and writes of the database fail with EIO",
        risks: &[Risk::Fallback, Risk::Lock],
        signs: &[Sign::Drill("io-error"), Sign::Rise("flagstone_http_requests_total", &["code=\"503\""], 1.0)],
        allows: &[500],
        // A fresh answer cannot be had from a disk that does not read.
        fresh_gap: Duration::from_secs(8),
        quick: true,
        run: |trial| slow(trial, "io-error", ""),
        ..Row::BLANK
    },
    Row {
        name: "disk-full-drill",
        what: "writes of the database fail with ENOSPC",
        risks: &[Risk::Batching],
        signs: &[Sign::Drill("disk-full"), Sign::Rise("flagstone_http_requests_total", &["code=\"507\""], 1.0)],
        allows: &[507],
        run: |trial| slow(trial, "disk-full", ""),
        ..Row::BLANK
    },
    Row {
        name: "memory-short",
        what: "the ladder sees a machine that is short of memory",
        risks: &[Risk::Memory],
        signs: &[
            Sign::Drill("memory"),
            Sign::Reach("flagstone_ladder_step", &[], 3.0),
            Sign::Acted(Risk::Memory),
            Sign::Drilled(Risk::Memory),
        ],
        run: |trial| slow(trial, "memory", ""),
        ..Row::BLANK
    },
    Row {
        name: "clock-jumps",
        what: "the clock jumps a day ahead, a day back, and an hour of the monotonic one",
        risks: &[Risk::Cache, Risk::Drift],
        signs: &[Sign::Drill("clock-jump")],
        run: clock_jumps,
        ..Row::BLANK
    },
    Row {
        name: "plain-path-alone",
        what: "the optimised path is off: everything comes from the plain one",
        risks: &[Risk::Fallback],
        signs: &[Sign::Drill("fall"), Sign::Reach("flagstone_path", &["path=\"plain\""], 1.0), Sign::Drilled(Risk::Fallback)],
        run: |trial| slow(trial, "fall", ""),
        ..Row::BLANK
    },
    Row {
        name: "last-word",
        what: "both paths are off: a static 503 for all but health",
        risks: &[Risk::Fallback],
        signs: &[Sign::Drill("last-word"), Sign::Reach("flagstone_path", &["path=\"emergency\""], 1.0)],
        gap: Duration::from_secs(6),
        fresh_gap: Duration::from_secs(6),
        run: |trial| slow(trial, "last-word", ""),
        ..Row::BLANK
    },
];

/// How long a drill that lasts is armed, in seconds.
const ARMED: u64 = 4;

/// Everything that a server is asked for.
fn everything(trial: &Trial, time: Duration) -> Result<Crowded, Stop> {
    let manner = Manner { connections: 16, time, ..Manner::default() };
    trial.crowd(
        &manner,
        || false,
        |turn| {
            let id = (turn % 200) as u32 + 1;
            match turn % 8 {
                0 | 1 => Question::Write(trial.shared.key()),
                2 => Question::Fresh(id),
                3 => Question::Row(id),
                // The same by several at once, so that one waits for the other.
                4 => Question::Echo(turn / 64),
                5 => Question::Nowhere,
                _ => Question::Item(id % 40 + 1),
            }
        },
    )
}

fn panics(trial: &Trial, drill: &str, body: &str) -> Result<(), Stop> {
    trial.breaks(format!("POST /-/drill/{drill} {body}"));
    trial.drill(drill, body)?;
    everything(trial, Duration::from_secs(2))?;
    trial.await_signs(Duration::from_secs(3));
    trial.mended();
    Ok(())
}

fn slow(trial: &Trial, drill: &str, amount: &str) -> Result<(), Stop> {
    let separator = if amount.is_empty() { "" } else { "&" };
    trial.breaks(format!("POST /-/drill/{drill} seconds={ARMED}{separator}{amount}"));
    trial.drill(drill, &format!("seconds={ARMED}{separator}{amount}"))?;
    let crowded = everything(trial, Duration::from_secs(ARMED))?;
    let tally = &crowded.tally;
    trial.say(format!("of {} requests meanwhile {} were served and {} shed", tally.tried, tally.served, tally.shed));
    trial.mended();
    trial.await_signs(Duration::from_secs(2));
    Ok(())
}

fn flipped(trial: &Trial) -> Result<(), Stop> {
    trial.breaks("a bit in each of 20 kept answers is flipped, again and again");
    let manner = Manner { connections: 8, time: Duration::from_millis(500), ..Manner::default() };
    for _ in 0..6 {
        trial.drill("cache-flip", "count=20")?;
        trial.crowd(&manner, || false, |turn| Question::Item((turn % 40) as u32 + 1))?;
    }
    trial.await_signs(Duration::from_secs(3));
    trial.mended();
    Ok(())
}

fn clock_jumps(trial: &Trial) -> Result<(), Stop> {
    trial.breaks("+1 day, -1 day, and +1 hour of the monotonic clock");
    for body in ["seconds=2&offset=86400", "seconds=2&offset=-86400", "seconds=2&offset=3600&monotonic=1"] {
        trial.drill("clock-jump", body)?;
        let crowded = everything(trial, Duration::from_secs(2))?;
        trial.say(format!("{body}: {} of {} requests were served", crowded.tally.served, crowded.tally.tried));
        std::thread::sleep(Duration::from_millis(300));
    }
    trial.mended();
    trial.await_signs(Duration::from_secs(2));
    Ok(())
}
