//! The oracle: a server under commits, kills and stops must never answer what was not true. See [`options::HELP`].
//!
//! ```text
//! run      one mode: database, server, writers, readers
//! chaos    kills and starts writers, stops the server, replaces the file
//! writer   a process that commits, rolls back, spills, checkpoints...      announces each commit, reports its return
//! reader   a connection that asks                                          plant: a faulty cache between it and the server
//! poster   a connection that writes through the server
//! journal  what writers said, in order                                     history: the verdict on an answer
//! ```

mod chaos;
mod clock;
mod data;
mod history;
mod journal;
mod mark;
mod options;
mod plant;
mod poster;
mod process;
mod reader;
mod run;
mod writer;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::rig;
use journal::Counts;
use options::{Mode, Options};

/// The command that makes this program a writer.
pub const WRITER: &str = "oracle-writer";

/// Exit codes as of sysexits.h; 1 is a violation.
const EXIT_VIOLATION: u8 = 1;
const EXIT_USAGE: u8 = 64;
const EXIT_INTERNAL: u8 = 70;

/// Why a run ended early.
#[derive(Debug)]
enum Failure {
    /// The server answered what was not true, or not at all.
    Violation(String),
    /// SQLite, in the harness.
    Sqlite(rusqlite::Error),
    /// Anything else in the harness.
    Internal(String),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<rustix::io::Errno> for Failure {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Internal(error.to_string())
    }
}

/// `tools oracle`.
pub fn command(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let options = match options::parse(arguments) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("oracle: {error}\nTry: tools oracle --help");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    println!("oracle: seed {}", options.seed);
    match modes(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Violation(text)) => {
            println!("VIOLATION, seed {}\n  {text}", options.seed);
            ExitCode::from(EXIT_VIOLATION)
        }
        Err(Failure::Sqlite(error)) => internal(&error.to_string()),
        Err(Failure::Internal(error)) => internal(&error),
    }
}

/// A writer's process.
pub fn writer_command(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(orders) = writer::Orders::parse(arguments) else {
        eprintln!("oracle: {WRITER} is started by the oracle itself");
        return ExitCode::from(EXIT_USAGE);
    };
    match writer::run(orders) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => internal(&format!("a writer: {error:?}")),
    }
}

fn internal(error: &str) -> ExitCode {
    eprintln!("oracle: {error}");
    ExitCode::from(EXIT_INTERNAL)
}

fn modes(options: &Options) -> Result<(), Failure> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The second one kills, should the first not be noticed.
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&interrupted))?;
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    let program = options.server.clone().map_or_else(rig::process::build, Ok)?;
    let parts = options.modes.len() as u32;
    for &mode in &options.modes {
        let began = Instant::now();
        let requests = options.requests.div_ceil(u64::from(parts));
        let counts = run::run(options, mode, &program, options.time / parts, requests, &interrupted)?;
        print(mode, began.elapsed(), &counts);
        if interrupted.load(Ordering::Relaxed) {
            println!("oracle: interrupted");
            break;
        }
        suffices(mode, &counts)?;
    }
    Ok(())
}

/// Answers that were judged or refused.
fn requests(counts: &Counts) -> u64 {
    ["answers 200", "answers 304", "answers 503"].into_iter().filter_map(|name| counts.get(name)).sum()
}

/// Prints the counts of a mode that had no violation.
fn print(mode: Mode, time: Duration, counts: &Counts) {
    println!("{mode:?}, {:.1} s: {} requests, 0 violations", time.as_secs_f64(), requests(counts));
    for (name, count) in counts {
        println!("  {count:>9} {name}");
    }
}

/// A run in which nothing was judged has shown nothing, and a server that refuses what it could answer is wrong too.
///
/// # Errors
/// What was too little or too much.
fn suffices(mode: Mode, counts: &Counts) -> Result<(), Failure> {
    let of = |name| counts.get(name).copied().unwrap_or(0);
    if mode == Mode::Wal && of("our writes") == 0 {
        return Err(Failure::Internal("nothing was written through the server".to_owned()));
    }
    if of("answers 200") == 0 || of("commits") == 0 {
        return Err(Failure::Internal("nothing was committed, or nothing was answered".to_owned()));
    }
    let (refused, requests) = (of("answers 503"), requests(counts));
    // Readers and writers do not lock each other out in WAL mode.
    if mode == Mode::Wal && refused * 100 > requests {
        return Err(Failure::Violation(format!("{refused} of {requests} requests were refused in WAL mode")));
    }
    Ok(())
}
