//! The load driver, the comparisons and the counts of instructions: `bench load`, `bench serve-and-load`, `bench compare`,
//! `bench profile`, `bench start`, `bench crowd`, `bench micro`, and so on.
#![deny(unsafe_code)]

mod bare;
mod compare;
mod crowd;
mod hit_ratio;
mod load;
mod machine;
mod micro;
mod profile;
mod serve;
mod start;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use load::options::Usage;
use signal_hook::consts::{SIGINT, SIGTERM};

const HELP: &str = "\
bench: load and comparisons for servers on this machine

    bench load http://127.0.0.1:8080/tables      load one server
    bench serve-and-load                         build flagstone, start it, load it, compare it with the baseline
    bench compare                                flagstone beside nginx, h2o, lighttpd, caddy, Datasette, sqlite-web
    bench profile                                what this machine and its card can hold
    bench start                                  from the start to the first answer
    bench crowd                                  what thousands of idle connections cost
    bench bare                                   the baseline server
    bench hit-ratio                              the cache's eviction policy beside others and the optimum
    bench loop NAME ITERATIONS                   parse, hit, encode ... in a loop, for whatever counts it
    bench micro                                  instructions of one iteration of each loop, beside a baseline

bench COMMAND --help explains the options of each.
";

const COMMANDS: &str = "load, serve-and-load, compare, profile, start, crowd, bare, hit-ratio, loop and micro";

/// Exit codes as of sysexits.h; 1 is a run that was not clean.
const EXIT_UNCLEAN: u8 = 1;
const EXIT_USAGE: u8 = 64;
const EXIT_INTERNAL: u8 = 70;

/// What ended the program before there was a result.
enum Failure {
    Usage(String),
    Internal(String),
}

impl From<Usage> for Failure {
    fn from(usage: Usage) -> Self {
        Self::Usage(usage.0)
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Internal(error.to_string())
    }
}

fn main() -> ExitCode {
    match command(std::env::args_os().skip(1)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_UNCLEAN),
        Err(Failure::Usage(text)) => {
            eprintln!("bench: {text}\nTry: bench --help");
            ExitCode::from(EXIT_USAGE)
        }
        Err(Failure::Internal(text)) => {
            eprintln!("bench: {text}");
            ExitCode::from(EXIT_INTERNAL)
        }
    }
}

/// Runs one command; false means that it ran and what it saw was not clean.
fn command(mut arguments: impl Iterator<Item = OsString>) -> Result<bool, Failure> {
    let name = arguments.next().unwrap_or_default();
    match name.to_str() {
        Some("load") => load_command(arguments),
        Some("serve-and-load") => {
            let Some(plan) = serve::options::parse(arguments)? else {
                return help(serve::options::HELP);
            };
            serve::run(&plan, &*stop_flag()?).map_err(|error| Failure::Internal(error.to_string()))
        }
        Some("compare") => {
            let Some(plan) = compare::options::parse(arguments)? else {
                return help(compare::options::HELP);
            };
            compare::run(&plan, &*stop_flag()?).map_err(|error| Failure::Internal(error.to_string()))
        }
        Some("profile") => {
            let Some(plan) = profile::options::parse(arguments)? else {
                return help(profile::options::HELP);
            };
            profile::run(&plan, &*stop_flag()?).map_err(|error| Failure::Internal(error.to_string()))
        }
        Some("start") => {
            let Some(plan) = start::parse(arguments)? else {
                return help(start::HELP);
            };
            start::run(&plan, &*stop_flag()?).map_err(|error| Failure::Internal(error.to_string()))
        }
        Some("crowd") => {
            let Some(plan) = crowd::parse(arguments)? else {
                return help(crowd::HELP);
            };
            crowd::run(&plan, &*stop_flag()?).map_err(|error| Failure::Internal(error.to_string()))
        }
        Some("bare") => bare_command(arguments),
        Some("hit-ratio") => {
            let Some(plan) = hit_ratio::parse(arguments)? else {
                return help(hit_ratio::HELP);
            };
            hit_ratio::run(&plan);
            Ok(true)
        }
        Some("loop") => match micro::take(arguments)? {
            Ok(true) => Ok(true),
            Ok(false) => help(micro::LOOP_HELP),
            Err(text) => {
                eprintln!("bench: {text}");
                Ok(false)
            }
        },
        Some("micro") => {
            let Some(plan) = micro::parse(arguments)? else {
                return help(micro::MICRO_HELP);
            };
            micro::run(&plan).map_err(Failure::Internal)
        }
        Some("-h" | "--help") => help(HELP),
        Some("") => Err(Failure::Usage(format!("a command is missing: {COMMANDS}"))),
        _ => Err(Failure::Usage(format!("{name:?}: the commands are {COMMANDS}"))),
    }
}

fn help(text: &str) -> Result<bool, Failure> {
    print!("{text}");
    Ok(true)
}

fn load_command(arguments: impl Iterator<Item = OsString>) -> Result<bool, Failure> {
    let Some(options) = load::options::parse(arguments)? else {
        return help(load::options::HELP);
    };
    if !options.json {
        print!("{}", load::report::setup_text(&options));
    }
    let tally = load::run(&options, &*stop_flag()?, || {})?;
    if options.json {
        println!("{}", tally.json(&options));
    } else {
        print!("{}", tally.text(&options));
    }
    Ok(tally.is_clean(&options))
}

fn bare_command(arguments: impl Iterator<Item = OsString>) -> Result<bool, Failure> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut address = "127.0.0.1:0".to_owned();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('l') | Long("listen") => address = parser.value()?.string()?,
            Short('h') | Long("help") => return help(bare::HELP),
            other => return Err(other.unexpected().into()),
        }
    }
    let address = address.parse().map_err(|_| Failure::Usage(format!("{address}: -l 127.0.0.1:PORT")))?;
    bare::serve(address)?;
    Ok(true)
}

/// Set by SIGINT and SIGTERM, so that a started server is stopped and a report printed.
fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The second one kills, should the first not be noticed.
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&flag))?;
        signal_hook::flag::register(signal, Arc::clone(&flag))?;
    }
    Ok(flag)
}
