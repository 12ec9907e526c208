//! `bench loop` and `bench micro`: what one request costs in instructions, in loops without a kernel, beside the committed figures.
//!
//! Instructions do not depend on the machine's load, so a change of one per cent is one.

mod baseline;
mod client;
mod emulated;
mod loops;
mod native;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use crate::load::options::Usage;
use baseline::{Baseline, Bound};
use loops::Loop;
use native::Counter;

/// `bench loop --help`.
pub const LOOP_HELP: &str = "\
bench loop: takes one of the loops so many times, for whatever counts it

    bench loop parse|hit|other-hit|encode|key|page ITERATIONS

parse: a request's bytes into its parts. hit: one that the cache answers, from the bytes read to the bytes written, the same bytes
again and again; other-hit: two in turn. encode: a hundred rows of four values into JSON. key, page: one row by its key and a hundred
rows, from the bytes read through SQLite to the bytes written. Exit: 0; 1 when it went another way than meant; 64 usage.
";

/// `bench micro --help`.
pub const MICRO_HELP: &str = "\
bench micro: instructions of one iteration of each loop, beside a baseline

    bench micro
    bench micro --emulated PROGRAM --plugin FILE

    --emulated PROGRAM  bench, built for 64-bit ARM: it runs under qemu-aarch64
    --plugin FILE       the plugin that counts there (tools/arm64/icount.c); else valgrind counts this program, or perf
    --baseline FILE     what it was (bench/baseline/x86_64.txt, or arm64.txt there)
    --within N          per cent that it may rise (3); emulated, that it may differ in both directions (1)
    --renew             writes the baseline anew
    -h, --help

tools/arm64/instructions.sh builds what emulation needs and calls it. Exit: 0; 1 when a figure differs; 64 usage.
";

/// Two numbers of iterations; what start and end cost is the same in both. Enough of them, or a hundred instructions more
/// or less somewhere would be seen.
const FEW: u64 = 500;
const MANY: u64 = 2500;

/// What is to be counted.
#[derive(Debug, PartialEq)]
pub struct Plan {
    /// Program and plugin, where it is emulated.
    emulated: Option<(PathBuf, PathBuf)>,
    baseline: PathBuf,
    within: f64,
    renew: bool,
}

/// Reads the arguments after `micro`. `Ok(None)` is a wish for help.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Plan>, Usage> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut program, mut plugin, mut baseline, mut within, mut renew) = (None, None, None, None, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("emulated") => program = Some(parser.value()?.into()),
            Long("plugin") => plugin = Some(parser.value()?.into()),
            Long("baseline") => baseline = Some(parser.value()?.into()),
            Long("within") => within = Some(parser.value()?.parse()?),
            Long("renew") => renew = true,
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    let emulated = match (program, plugin) {
        (Some(program), Some(plugin)) => Some((program, plugin)),
        (None, None) => None,
        _ => return Err(Usage("micro: --emulated and --plugin go together".to_owned())),
    };
    let machine = if emulated.is_some() { "arm64" } else { std::env::consts::ARCH };
    // Emulated, repetitions differ by 0.05 %.
    let within = within.unwrap_or(if emulated.is_some() { 1.0 } else { 3.0 });
    let baseline = baseline.unwrap_or_else(|| PathBuf::from(format!("bench/baseline/{machine}.txt")));
    Ok(Some(Plan { emulated, baseline, within, renew }))
}

/// Counts, prints, compares; whether all is as it was.
///
/// # Errors
/// What could not be run, read or written.
pub fn run(plan: &Plan) -> Result<bool, String> {
    let (now, bound) = match &plan.emulated {
        Some((program, plugin)) => {
            let figures = count(|each, iterations| emulated::run(program, plugin, each, iterations))?;
            (Baseline { made_by: emulated::made_by(), figures }, Bound::BothWays)
        }
        None => {
            let this = std::env::current_exe().map_err(|error| error.to_string())?;
            let counter = Counter::find()?;
            let figures = count(|each, iterations| counter.run(&this, each, iterations))?;
            (Baseline { made_by: counter.made_by(), figures }, Bound::Above)
        }
    };
    let (table, good) = baseline::judge(&plan.baseline, &now, plan.within, bound, plan.renew)?;
    print!("{table}");
    if plan.renew {
        println!("{} is written: commit it with what changed the figures.", plan.baseline.display());
    } else if !good {
        println!("More than {} % from {}.", plan.within, plan.baseline.display());
        println!("If that is meant: the same with --renew, and commit the file with a word on why.");
    }
    Ok(good)
}

/// Instructions of one iteration of each loop, rounded.
fn count(run: impl Fn(Loop, u64) -> Result<u64, String>) -> Result<Vec<(String, u64)>, String> {
    let one = |each: Loop| {
        let (few, many) = (run(each, FEW)?, run(each, MANY)?);
        let between = many.checked_sub(few).ok_or("more iterations were fewer instructions")?;
        Ok((each.name().to_owned(), (between + (MANY - FEW) / 2) / (MANY - FEW)))
    };
    Loop::ALL.into_iter().map(one).collect()
}

/// The first line of what a program says of its version; its name where it says nothing.
fn version(program: &str) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or(program).to_owned()
}

/// Reads the arguments after `loop` and takes it. `Ok(false)` is a wish for help.
///
/// # Errors
/// As [`Loop::run`]; usage apart.
pub fn take(mut arguments: impl Iterator<Item = OsString>) -> Result<Result<bool, String>, Usage> {
    let usage = || Usage("loop: bench loop parse|hit|other-hit|encode|key|page ITERATIONS".to_owned());
    let name = arguments.next().ok_or_else(usage)?;
    if matches!(name.to_str(), Some("-h" | "--help")) {
        return Ok(Ok(false));
    }
    let each = name.to_str().and_then(Loop::named).ok_or_else(usage)?;
    let iterations = arguments.next().and_then(|number| number.to_str()?.parse().ok()).ok_or_else(usage)?;
    if arguments.next().is_some() {
        return Err(usage());
    }
    Ok(each.run(iterations).map(|()| true))
}
