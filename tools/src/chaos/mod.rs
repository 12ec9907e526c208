//! Chaos: each risk of the register is provoked on a live server, and its promise is checked. See [`options::HELP`].
//!
//! ```text
//! rows      the provocations, a family a file          register   the twelve risks
//! row       what a row promises, and the verdict       report     what is printed
//! trial     one row on a server of its own             scene      its database and configuration
//! server    the process                                cgroup     what bounds its memory
//! operator  the pages at /-/                           watch      by what a fault is seen, and when
//! probe     critical routes and health, over and over  crowd      many connections in one thread
//! question  what is asked, and what is true            tally      what became of it
//! soak      ten million requests, nothing is left         plant      a proxy with a fault that must be found
//! ```

mod cgroup;
mod crowd;
mod operator;
mod options;
mod plant;
mod probe;
mod question;
mod register;
mod report;
mod row;
mod rows;
mod run;
mod scene;
mod server;
pub mod soak;
mod tally;
mod trial;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::rig::process;
use options::Options;
use report::Verdict;
use row::Row;

/// Exit codes as of sysexits.h; 1 is a red row.
const EXIT_RED: u8 = 1;
const EXIT_USAGE: u8 = 64;
const EXIT_INTERNAL: u8 = 70;

/// The overload's length, and in the quick run.
const OVERLOAD: Duration = Duration::from_secs(60);
const OVERLOAD_QUICK: Duration = Duration::from_secs(10);

/// What a row's server needs, and what must go after it.
#[derive(Default)]
pub struct Leftovers {
    /// Its cgroup.
    pub cgroup: Option<cgroup::Cgroup>,
    /// A disk that is mounted for it.
    pub disk: Option<crate::durability::disk::Disk>,
    /// An executable for ARM64, as the command line names it.
    pub arm64: Option<std::path::PathBuf>,
}

/// `tools chaos`.
pub fn command(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let names: Vec<&str> = rows::all().map(|row| row.name).collect();
    let options = match options::parse(arguments, &names) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("chaos: {error}\nTry: tools chaos --help");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if options.list {
        rows::all().for_each(|row| println!("{:<20} {}", row.name, row.what));
        return ExitCode::SUCCESS;
    }
    match all(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_RED),
        Err(error) => {
            eprintln!("chaos: {error}");
            ExitCode::from(EXIT_INTERNAL)
        }
    }
}

/// Runs what is asked for; whether no row is red.
fn all(options: &Options) -> std::io::Result<bool> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The second one kills, should the first not be noticed.
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&interrupted))?;
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    // Before there are threads. Who may not do this may not mount either, and is told so there.
    let mounts = crate::durability::kernel::own_mounts();
    cgroup::sweep();
    let program = options.server.clone().map_or_else(process::build, Ok)?;
    println!("chaos: {}", program.display());
    if let Err(error) = mounts {
        println!("chaos: no mounts of our own: {error}");
    }
    let began = Instant::now();
    let mut ran: Vec<(&Row, Verdict)> = Vec::new();
    let is_meant = |row: &&Row| {
        let named = options.only.iter().any(|name| name == row.name);
        named || options.only.is_empty() && (row.quick || !options.quick)
    };
    for row in rows::all().filter(is_meant) {
        if interrupted.load(Ordering::Relaxed) {
            println!("chaos: interrupted");
            return Ok(false);
        }
        let verdict = run::run(row, options, &program);
        report::print(row, &verdict);
        ran.push((row, verdict));
    }
    // A part of the rows covers a part of the register.
    let whole = report::coverage(&ran) || !options.only.is_empty() || options.quick;
    let red = ran.iter().filter(|(_, verdict)| verdict.is_red()).count();
    let skipped = ran.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Skipped(_))).count();
    let passed = ran.len() - red - skipped;
    println!("\nchaos: {passed} passed, {skipped} skipped, {red} red, in {:.0} s", began.elapsed().as_secs_f64());
    if !whole {
        println!("chaos: a risk of the register has no row");
    }
    Ok(red == 0 && whole)
}

impl Options {
    fn overload(&self) -> Duration {
        self.overload.unwrap_or(if self.quick { OVERLOAD_QUICK } else { OVERLOAD })
    }
}
