//! `tools sim`: the command line of the simulation.

use std::ffi::OsString;
use std::time::UNIX_EPOCH;

use flagstone::ops::metrics::{CloseReason, Refusal};

use super::options::{Fault, Faults, Options, Plant};
use super::{CACHE, Memory, Report, run};
use crate::Usage;

/// What `tools sim --help` prints.
pub const HELP: &str = "\
tools sim: drives the real front from a seed, over a simulated network, clock and back

Examples
  cargo run -p tools --release -- sim --seeds 5000     many runs, from a seed that the clock gives
  cargo run -p tools --release -- sim --seed 17        one run again
  cargo run -p tools --release -- sim --seed 17 --verbose

Options
      --seeds N        how many seeds, one after the other (default 1000, or 1 with --seed)
      --seed S         the first seed
      --steps K        end each run after K calls of the front (default 200000)
      --faults LIST    the trouble that is made, of: all, none, or names divided by commas:
                       interrupt pressure descriptors abort vanish malformed slow busy gaps panic drain
      --plant NAME     plant a bug around the front, to see it found:
                       lost-edge deaf-to-reset leaked-socket lost-bytes double-answer oversleep
                       wrong-reply nested-job forgotten-answer lagging-state late-stamp
      --verbose        print every event
  -h, --help           print this

Exit codes: 0 nothing found, 1 something found, 64 usage.
";

struct Plan {
    first: u64,
    seeds: u64,
    options: Options,
}

/// Runs the command; false means that something was found.
///
/// # Errors
/// A usage error.
pub fn command(arguments: impl Iterator<Item = OsString>) -> Result<bool, Usage> {
    let Some(plan) = parse(arguments)? else {
        print!("{HELP}");
        return Ok(true);
    };
    let mut memory = Memory::new();
    let mut total = Report::NONE;
    // The message is printed below, with the seed.
    std::panic::set_hook(Box::new(|_| {}));
    for seed in plan.first..plan.first.saturating_add(plan.seeds) {
        match run(seed, plan.options, &mut memory) {
            Ok(report) => total.add(report),
            Err(found) => {
                println!("seed {seed}: {found}");
                println!("Again, with every event: cargo run -p tools --release -- sim --seed {seed} --verbose");
                return Ok(false);
            }
        }
    }
    println!(
        "{} seeds from {}: {} steps, {} connections, {} answers, {} jobs, {} simulated seconds; nothing found",
        plan.seeds,
        plan.first,
        total.steps,
        total.connections,
        total.answers,
        total.jobs,
        total.micros / 1_000_000,
    );
    let closed = CloseReason::ALL.iter().zip(total.closed).map(|(reason, count)| format!("{} {count}", reason.label()));
    println!("closed: {}", closed.collect::<Vec<_>>().join(", "));
    let refused = Refusal::ALL.iter().zip(total.refused).map(|(reason, count)| format!("{} {count}", reason.label()));
    let cache = CACHE.iter().zip(total.cache).map(|((name, _), count)| format!("{name} {count}"));
    println!("cache: {}", cache.collect::<Vec<_>>().join(", "));
    println!("refused: {}; output blocks left at least: {}", refused.collect::<Vec<_>>().join(", "), total.least_free);
    Ok(true)
}

fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Plan>, Usage> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut first, mut seeds, mut options) = (None, None, Options::DEFAULT);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seeds") => seeds = Some(parser.value()?.parse()?),
            Long("seed") => first = Some(parser.value()?.parse()?),
            Long("steps") => options.steps = parser.value()?.parse()?,
            Long("faults") => {
                let known = || Fault::ALL.map(|(_, name)| name).join(" ");
                options.faults = Faults::parse(&parser.value()?.string()?)
                    .map_err(|word| Usage(format!("{word:?} is no fault; they are: all none {}", known())))?;
            }
            Long("plant") => {
                let word = parser.value()?.string()?;
                let known = || Plant::ALL.map(|(_, name)| name).join(" ");
                let plant = Plant::parse(&word).ok_or_else(|| Usage(format!("{word:?} is no plant; they are: {}", known())))?;
                options.plant = Some(plant);
            }
            Long("verbose") => options.verbose = true,
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    let seeds = seeds.unwrap_or(if first.is_some() { 1 } else { 1000 });
    let clock = || UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
    Ok(Some(Plan { first: first.unwrap_or_else(clock), seeds, options }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Option<Plan>, Usage> {
        parse(std::iter::once("sim").chain(line.split_whitespace()).skip(1).map(OsString::from))
    }

    #[test]
    fn options_have_their_meaning() {
        let plan = parsed("--seed 7 --faults slow,busy --plant lost-edge --steps 9").unwrap().unwrap();
        assert_eq!((plan.first, plan.seeds, plan.options.steps), (7, 1, 9));
        assert!(plan.options.faults.has(Fault::Busy) && !plan.options.faults.has(Fault::Drain));
        assert_eq!(plan.options.plant, Some(Plant::LostEdge));
        assert!(parsed("--help").unwrap().is_none());
    }

    #[test]
    fn usage_errors_name_the_word() {
        for (line, word) in [("--faults fast", "fast"), ("--plant rose", "rose"), ("--seed x", "x"), ("--wrong", "wrong")] {
            let Err(Usage(text)) = parsed(line) else { panic!("{line} passes") };
            assert!(text.contains(word), "{text}");
        }
    }

    #[test]
    fn the_help_names_every_fault_and_plant() {
        let names = Fault::ALL.map(|(_, name)| name).into_iter().chain(Plant::ALL.map(|(_, name)| name));
        for name in names {
            assert!(HELP.contains(name), "{name}");
        }
    }
}
