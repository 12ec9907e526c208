//! Durability: is an acknowledged write on disk, whatever happens? See [`options::HELP`].
//!
//! ```text
//! trial    rounds of writing, a blow, a new start, a verdict        faults   a disk that fails under the server
//! clients  who write, and what they were answered                   measure  group commit, and reads beside slow syncs
//! ledger   what was promised, and the verdict on a database         record   what a write is
//! disk     where the database lies and how its power is cut         shim     a disk in memory, through FUSE
//! server   the process under test                                   reference  a server with a chosen weakness
//! look     who makes and reads the database
//! ```

pub mod clients;
pub mod disk;
mod faults;
pub mod kernel;
pub mod ledger;
pub mod look;
mod measure;
mod options;
pub mod record;
mod reference;
mod server;
mod shim;
mod trial;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::rig::process;
use disk::Kind;
use faults::Fault;
use options::Options;
use reference::Weakness;
use server::Program;
use trial::{Blow, Setup, Totals};

/// The command that makes this program a reference server.
pub const REFERENCE: &str = "durability-reference";

/// The command that makes this program the one who reads the database.
pub const LOOK: &str = "durability-look";

/// Exit codes as of sysexits.h; 1 is a loss, or a self-check that found none.
const EXIT_FOUND: u8 = 1;
const EXIT_USAGE: u8 = 64;
const EXIT_UNAVAILABLE: u8 = 69;
const EXIT_INTERNAL: u8 = 70;

/// Power cuts at each weakness.
const SELF_CHECK_CUTS: u64 = 12;
/// SIGKILLs at each: these must fall between two steps of one write.
const SELF_CHECK_KILLS: u64 = 40;

/// What all parts together found.
#[derive(Default)]
struct Verdict {
    /// Something was lost, or was not found that should have been.
    found: bool,
    /// Power cuts and faults that ran, and that could not.
    ran: u64,
    impossible: u64,
}

/// `tools durability`.
pub fn command(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let options = match options::parse(arguments) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("durability: {error}\nTry: tools durability --help");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match parts(&options) {
        Ok(Verdict { found: true, .. }) => {
            println!("durability: FAILED, seed {}", options.seed);
            ExitCode::from(EXIT_FOUND)
        }
        Ok(Verdict { ran: 0, impossible, .. }) if impossible > 0 => {
            println!("durability: no power was cut, as this machine cannot");
            ExitCode::from(EXIT_UNAVAILABLE)
        }
        Ok(_) => {
            println!("durability: passed");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("durability: {error}");
            ExitCode::from(EXIT_INTERNAL)
        }
    }
}

/// A reference server's process.
pub fn reference_command(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    ended(reference::serve(arguments))
}

/// The process that makes and reads the database.
pub fn look_command(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    ended(look::run(arguments))
}

fn ended(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("durability: {error}");
            ExitCode::from(EXIT_INTERNAL)
        }
    }
}

fn parts(options: &Options) -> io::Result<Verdict> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The second one kills, should the first not be noticed.
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&interrupted))?;
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    // Before there are threads. Who may not do this may not mount either, and is told so there.
    let mounts = kernel::own_mounts();
    let is_needed = options.kills > 0 || options.cuts > 0 || options.faults || options.throughput || options.slow_sync;
    let program = match &options.server {
        Some(program) => program.clone(),
        None if is_needed => Program::Flagstone(process::build()?),
        None => Program::Reference(Weakness::Full),
    };
    print_setup(options, &program, mounts.err());
    let setup = Setup { program: &program, clients: options.clients, seed: options.seed, interrupted: &interrupted };
    let mut verdict = Verdict::default();
    if options.self_check {
        self_check(options, setup, &mut verdict)?;
    }
    if options.kills > 0 {
        verdict.judge("kill -9, a folder", &trial::run(setup, Kind::Folder, Blow::Kill, options.kills)?);
    }
    for kind in kinds(options).filter(|_| options.cuts > 0) {
        let name = format!("power cut, {}", kind.name());
        if let Some(totals) = verdict.possible(&name, trial::run(setup, kind, Blow::Power, options.cuts))? {
            verdict.judge(&name, &totals);
        }
    }
    if options.faults {
        all_faults(setup, &mut verdict)?;
    }
    if options.throughput {
        let lines = verdict.possible("throughput", measure::throughput(setup))?;
        lines.iter().flatten().for_each(|line| println!("throughput: {line}"));
    }
    if options.slow_sync {
        let lines = verdict.possible("slow sync", measure::slow_sync(setup))?;
        lines.iter().flatten().for_each(|line| println!("slow sync: {line}"));
    }
    if interrupted.load(Ordering::Relaxed) {
        println!("durability: interrupted");
    }
    Ok(verdict)
}

fn kinds(options: &Options) -> impl Iterator<Item = Kind> {
    [(Kind::Ext4, options.ext4), (Kind::Shim, options.shim)].into_iter().filter(|(_, asked)| *asked).map(|(kind, _)| kind)
}

fn print_setup(options: &Options, program: &Program, mounts: Option<io::Error>) {
    let kernel = rustix::system::uname();
    let folder = std::env::temp_dir();
    println!(
        "durability: seed {}, {} clients, {} {}, folders in {} ({}), {}",
        options.seed,
        options.clients,
        kernel.sysname().to_string_lossy(),
        kernel.release().to_string_lossy(),
        folder.display(),
        file_system(&folder),
        program.name()
    );
    if let Some(error) = mounts {
        println!("durability: no mounts of our own: {error}");
    }
}

/// The file system that holds a folder: the longest mount point above it.
fn file_system(folder: &std::path::Path) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let above = fields.filter(|fields| fields.len() > 2 && folder.starts_with(fields[1]));
    above.max_by_key(|fields| fields[1].len()).map_or_else(|| "unknown".to_owned(), |fields| fields[2].to_owned())
}

impl Verdict {
    /// Takes note of a part that this machine cannot do.
    ///
    /// # Errors
    /// Those that come from elsewhere than from making a disk.
    fn possible<T>(&mut self, name: &str, result: io::Result<T>) -> io::Result<Option<T>> {
        match result {
            Ok(done) => {
                self.ran += 1;
                Ok(Some(done))
            }
            Err(error) if disk::is_unavailable(&error) => {
                println!("{name}: not possible here: {error}");
                self.impossible += 1;
                Ok(None)
            }
            Err(error) => Err(io::Error::other(format!("{name}: {error}"))),
        }
    }

    /// A trial in which nothing may be wrong; one that acknowledged nothing has shown nothing.
    fn judge(&mut self, name: &str, totals: &Totals) {
        let good = totals.is_clean() && totals.acknowledged > 0;
        self.found |= !good;
        println!("{name}: {} times, {totals}{}", totals.rounds, if good { "" } else { ": FAILED" });
        for line in [&totals.example, &totals.refusal].into_iter().flatten().filter(|_| !good) {
            println!("  {line}");
        }
    }

    /// A trial in which something must be found.
    fn expect(&mut self, name: &str, totals: &Totals, found: u64) {
        self.found |= found == 0;
        let seen = if found > 0 { "found, as it must be" } else { "NOT FOUND: the harness proves nothing" };
        println!("{name}: {} times, {totals}: {seen}", totals.rounds);
    }
}

fn self_check(options: &Options, setup: Setup, verdict: &mut Verdict) -> io::Result<()> {
    for (weakness, count) in
        [(Weakness::Full, None), (Weakness::Early, Some(true)), (Weakness::Halves, Some(false))] as [(_, Option<bool>); 3]
    {
        let program = Program::Reference(weakness);
        let totals = trial::run(Setup { program: &program, ..setup }, Kind::Folder, Blow::Kill, SELF_CHECK_KILLS)?;
        let name = format!("self-check, kill -9, {}", weakness.name());
        match count {
            None => verdict.judge(&name, &totals),
            Some(of_losses) => verdict.expect(&name, &totals, if of_losses { totals.lost } else { totals.halves }),
        }
    }
    for kind in kinds(options) {
        for weakness in [Weakness::Full, Weakness::Normal, Weakness::Off] {
            let program = Program::Reference(weakness);
            let name = format!("self-check, power cut, {}, synchronous={}", kind.name(), weakness.name());
            let result = trial::run(Setup { program: &program, ..setup }, kind, Blow::Power, SELF_CHECK_CUTS);
            match verdict.possible(&name, result)? {
                Some(totals) if weakness == Weakness::Full => verdict.judge(&name, &totals),
                Some(totals) => verdict.expect(&name, &totals, totals.lost),
                None => break,
            }
        }
    }
    Ok(())
}

fn all_faults(setup: Setup, verdict: &mut Verdict) -> io::Result<()> {
    for fault in Fault::ALL {
        if setup.is_interrupted() {
            break;
        }
        let name = format!("fault: {}", fault.name());
        let Some(report) = verdict.possible(&name, faults::run(setup, fault))? else { continue };
        let refused: Vec<String> =
            report.outcome.refused.iter().map(|(status, (count, _))| format!("{count} times {status}")).collect();
        let good = if report.problems.is_empty() { "" } else { ": FAILED" };
        let (acknowledged, lost) = (report.acknowledged, report.findings.lost);
        println!("{name}: {acknowledged} acknowledged, {lost} lost, refused {}{good}", refused.join(", "));
        report.problems.iter().for_each(|problem| println!("  {problem}"));
        verdict.found |= !report.problems.is_empty();
    }
    Ok(())
}
