//! `bench loop` and `bench micro`: what one request costs in instructions, in loops without a kernel, beside the committed figures.
//!
//! Instructions do not depend on the machine's load, so a change of one per cent is one.

mod baseline;
mod client;
mod emulated;
mod loops;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::load::options::Usage;
use baseline::Baseline;
use loops::Loop;

/// `bench loop --help`.
pub const LOOP_HELP: &str = "\
bench loop: takes one of the loops so many times, for whatever counts it

    bench loop parse|hit|encode ITERATIONS

parse: a request's bytes into its parts. hit: one that the cache answers, from the bytes read to the bytes written.
encode: a hundred rows of four values into JSON. Exit: 0; 1 when it went another way than meant; 64 usage.
";

/// `bench micro --help`.
pub const MICRO_HELP: &str = "\
bench micro: instructions of one iteration of each loop, beside a baseline

    bench micro --emulated PROGRAM --plugin FILE --baseline FILE

    --emulated PROGRAM  bench, built for 64-bit ARM: it runs under qemu-aarch64
    --plugin FILE       the plugin that counts (tools/arm64/icount.c)
    --baseline FILE     what it was
    --within N          per cent that it may differ, in both directions (1)
    --renew             writes the baseline anew
    -h, --help

tools/arm64/instructions.sh builds what this needs and calls it. Exit: 0; 1 when a figure differs; 64 usage.
";

/// Allowed difference unless said otherwise: repetitions differ by 0.05 %.
const WITHIN_PER_CENT: f64 = 1.0;

/// What is to be counted.
#[derive(Debug, PartialEq)]
pub struct Plan {
    program: PathBuf,
    plugin: PathBuf,
    baseline: PathBuf,
    within: f64,
    renew: bool,
}

/// Reads the arguments after `micro`. `Ok(None)` is a wish for help.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Plan>, Usage> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_args(arguments);
    let (mut program, mut plugin, mut baseline) = (None, None, None);
    let (mut within, mut renew) = (WITHIN_PER_CENT, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("emulated") => program = Some(parser.value()?.into()),
            Long("plugin") => plugin = Some(parser.value()?.into()),
            Long("baseline") => baseline = Some(parser.value()?.into()),
            Long("within") => within = parser.value()?.parse()?,
            Long("renew") => renew = true,
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected().into()),
        }
    }
    let (Some(program), Some(plugin), Some(baseline)) = (program, plugin, baseline) else {
        return Err(Usage("micro: --emulated, --plugin and --baseline are needed".to_owned()));
    };
    Ok(Some(Plan { program, plugin, baseline, within, renew }))
}

/// Counts, prints, compares; whether all is as it was.
///
/// # Errors
/// What could not be run, read or written.
pub fn run(plan: &Plan) -> Result<bool, String> {
    let mut figures = Vec::new();
    for each in Loop::ALL {
        figures.push((each.name().to_owned(), emulated::count(&plan.program, &plan.plugin, each)?));
    }
    let now = Baseline { made_by: emulated::made_by(), figures };
    let (table, good) = baseline::judge(&plan.baseline, &now, plan.within, plan.renew)?;
    print!("{table}");
    if plan.renew {
        println!("{} is written: commit it with what changed the figures.", plan.baseline.display());
    } else if !good {
        println!("More than {} % from {}.", plan.within, plan.baseline.display());
        println!("If that is meant: tools/arm64/instructions.sh --renew, and commit the file with a word on why.");
    }
    Ok(good)
}

/// Reads the arguments after `loop` and takes it. `Ok(false)` is a wish for help.
///
/// # Errors
/// As [`Loop::run`]; usage apart.
pub fn take(mut arguments: impl Iterator<Item = OsString>) -> Result<Result<bool, String>, Usage> {
    let usage = || Usage("loop: bench loop parse|hit|encode ITERATIONS".to_owned());
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
