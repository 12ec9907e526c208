//! Ten times the load that it can carry, in a cgroup of the sheet and 4 MiB: what is carried at most is measured first.

use std::time::Duration;

use crate::chaos::crowd::{Crowded, Manner};
use crate::chaos::question::Question;
use crate::chaos::register::Risk;
use crate::chaos::row::Row;
use crate::chaos::tally::Times;
use crate::chaos::trial::{Stop, Trial};
use crate::chaos::watch::Sign;

use super::memory::in_cgroup;

/// How much more than it can carry is offered.
const TIMES: f64 = 10.0;
/// Useful throughput under it, as a share of the peak.
const USEFUL: f64 = 0.9;
/// The 99th percentile of critical answers, and of health.
const CRITICAL_P99: Duration = Duration::from_millis(50);
const HEALTH_P99: Duration = Duration::from_millis(10);
/// Connections in the closed loop that looks for the peak.
const CLIMB: [usize; 5] = [2, 4, 8, 16, 32];
/// Steps of the sum that most requests ask for: about a millisecond.
const STEPS: u32 = 6_000;

/// The rows.
pub const ROWS: &[Row] = &[Row {
    name: "overload",
    what: "ten times the load it can carry, in a memory cgroup of the sheet and 4 MiB",
    risks: &[Risk::Pool, Risk::Memory],
    signs: &[Sign::Rise("flagstone_refusals_total", &[], 1.0)],
    prepare: in_cgroup,
    run: overload,
    ..Row::BLANK
}];

/// Mostly what needs the database for a while, each sum another one, so that nothing is shared.
fn mixed(turn: u64) -> Question {
    match turn % 10 {
        0 => Question::Item((turn % 300) as u32 + 1),
        1 => Question::Fresh((turn % 300) as u32 + 1),
        _ => Question::Work(STEPS + (turn % 1_000) as u32),
    }
}

fn rate(crowded: &Crowded) -> f64 {
    crowded.tally.served as f64 / crowded.time.as_secs_f64()
}

/// What the measure of an overload came to.
struct Measured {
    peak: f64,
    useful: f64,
    critical: Times,
    health: Times,
}

/// What of it is not as promised.
fn verdict(measured: &Measured) -> Vec<String> {
    let mut red = Vec::new();
    let Measured { peak, useful, critical, health } = measured;
    if *useful < peak * USEFUL {
        red.push(format!(
            "useful throughput fell to {:.0} % of its peak, {:.0} % is promised",
            useful / peak * 100.0,
            USEFUL * 100.0
        ));
    }
    for (name, times, most) in [("critical routes", critical, CRITICAL_P99), ("health", health, HEALTH_P99)] {
        let p99 = times.quantile(0.99);
        if p99 > most {
            red.push(format!("{name}: p99 {p99:.1?}, {most:.0?} is promised"));
        }
    }
    red
}

fn overload(trial: &Trial) -> Result<(), Stop> {
    let step = Duration::from_secs(if trial.quick { 1 } else { 3 });
    let mut peak: f64 = 0.0;
    for connections in CLIMB {
        let manner = Manner { connections, sources: 3, time: step, ..Manner::default() };
        let served = rate(&trial.crowd(&manner, || false, mixed)?);
        peak = peak.max(served);
        trial.say(format!("closed loop, {connections} connections: {served:.0} served a second"));
    }
    trial.breaks(format!(
        "{:.0} requests a second for {} s, where it can serve {peak:.0}",
        peak * TIMES,
        trial.overload.as_secs()
    ));
    trial.shared.measure_anew();
    let manner = Manner {
        connections: 64,
        sources: 6,
        rate: Some(peak * TIMES),
        depth: 4,
        time: trial.overload,
        // Who is turned away comes again when it was told to.
        retry: Duration::from_millis(500),
        ..Manner::default()
    };
    let crowded = trial.crowd(&manner, || false, mixed)?;
    let (critical, health) = trial.shared.waits();
    trial.mended();
    let measured = Measured { peak, useful: rate(&crowded), critical, health };
    let tally = &crowded.tally;
    trial.say(format!(
        "offered {}, served {} ({:.0} % of the peak), shed {}, not taken {}",
        tally.tried,
        tally.served,
        measured.useful / peak * 100.0,
        tally.shed,
        tally.broken
    ));
    verdict(&measured).into_iter().for_each(|what| trial.fault(what));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(micros: u64) -> Times {
        let mut times = Times::default();
        times.add(Duration::from_micros(micros));
        times
    }

    #[test]
    fn each_promise_goes_red_alone() {
        let good = |peak, useful, critical, health| {
            verdict(&Measured { peak, useful, critical: times(critical), health: times(health) })
        };
        assert!(good(100.0, 90.0, 49_000, 9_000).is_empty());
        assert!(good(100.0, 89.0, 49_000, 9_000)[0].contains("useful throughput"));
        assert!(good(100.0, 99.0, 51_000, 9_000)[0].contains("critical routes"));
        assert!(good(100.0, 99.0, 49_000, 11_000)[0].contains("health"));
    }
}
