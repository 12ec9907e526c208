//! Starts a server, loads it, reads what that cost it, and sets it beside the baseline.

pub mod calls;
pub mod fetch;
pub mod figures;
pub mod options;
pub mod process;
pub mod scratch;
pub mod server;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use self::figures::{Comparison, Figures};
use self::options::Plan;
use self::process::Memory;
use self::scratch::Scratch;
use self::server::Server;
use crate::load;
use crate::load::options::Options;
use crate::machine::{self, Cores};

/// Time between two samples of the server's memory: rare enough not to disturb the driver.
const SAMPLE_EVERY: Duration = Duration::from_millis(50);
/// Most seconds of the run in which calls are counted.
const COUNTED_SECONDS: &str = "10";
/// The server's counter of allocations after start-up.
const ALLOCATIONS: &str = "flagstone_heap_allocations_total";
/// The baseline's name in the tables.
const BASELINE: &str = "bare (constant 1 KB)";

/// Does what the plan says and prints it. False when a run was not clean or nothing could be loaded.
pub fn run(plan: &Plan, stop: &AtomicBool) -> io::Result<bool> {
    let program = match (&plan.server, plan.bare_only) {
        (_, true) => None,
        (Some(program), false) => Some(program.clone()),
        // Built before anything is pinned: the compiler wants all cores.
        (None, false) => Some(server::build()?),
    };
    let cores = Cores::choose()?;
    let folder = Scratch::new()?;
    let mut comparison = Comparison::new(cores, program.as_deref(), options_of(plan, "127.0.0.1:80", "/", &[])?);
    let bench = Bench { plan, stop, cores, folder: &folder };
    let baseline = bench.serve(&std::env::current_exe()?, &[OsString::from("bare")])?;
    comparison.baseline = Some(bench.measure(baseline, "/", BASELINE, &mut comparison)?.0);
    if let Some(program) = program {
        let mut server = bench.serve(&program, &bench.server_arguments())?;
        for target in &plan.targets {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            match fetch::get(server.address, target) {
                Ok((200, _)) => {}
                Ok((status, _)) => {
                    comparison.notes.push(format!("{target}: skipped, it answers {status}"));
                    continue;
                }
                Err(error) => {
                    comparison.notes.push(format!("{target}: skipped, {error}"));
                    continue;
                }
            }
            let (figures, still) = bench.measure(server, target, target, &mut comparison)?;
            comparison.targets.push(figures);
            server = still;
            if !server.is_alive() {
                comparison.notes.push(format!("the server ended during {target}"));
                comparison.died = true;
                break;
            }
        }
    }
    print!("{}", if plan.json { comparison.json() } else { comparison.text() });
    Ok(comparison.is_clean(plan.bare_only) && !stop.load(Ordering::Relaxed))
}

/// What every measurement needs.
struct Bench<'a> {
    plan: &'a Plan,
    stop: &'a AtomicBool,
    cores: Cores,
    folder: &'a Scratch,
}

impl Bench<'_> {
    /// Starts a program on the server's core; the driver then moves to its own.
    fn serve(&self, program: &Path, arguments: &[OsString]) -> io::Result<Server> {
        // A child inherits the mask: so every thread that it will ever have is pinned, without a race.
        machine::pin(self.cores.server)?;
        let server = Server::start(program, arguments, self.folder.path(), self.stop);
        machine::pin(self.cores.driver)?;
        server
    }

    fn server_arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = match &self.plan.database {
            Some(database) => vec![database.into()],
            None => vec!["--demo".into(), self.folder.path().join("demo").into()],
        };
        arguments.extend(["-l".into(), "127.0.0.1:0".into()]);
        arguments
    }

    /// Loads one target, reads the cost, and counts the calls in a second run.
    fn measure(&self, server: Server, path: &str, name: &str, comparison: &mut Comparison) -> io::Result<(Figures, Server)> {
        let pid = server.pid();
        let options = options_of(self.plan, &server.address.to_string(), path, &[])?;
        let allocations = allocations(&server);
        let reset = process::reset_high_water(pid);
        let before = process::read(pid)?;
        let mut peak = before.memory;
        let mut sampled = Instant::now();
        let tally = load::run(&options, self.stop, || {
            if sampled.elapsed() >= SAMPLE_EVERY {
                sampled = Instant::now();
                peak = higher(peak, process::memory(pid).unwrap_or_default());
            }
        })?;
        let after = process::read(pid).unwrap_or_default();
        peak = higher(peak, after.memory);
        if reset {
            // The kernel's own mark misses nothing between two samples.
            peak.rss = peak.rss.max(after.memory.high);
        }
        let allocations = match (allocations, self::allocations(&server)) {
            (Some(before), Some(after)) => Some(after - before),
            _ => None,
        };
        let calls = if self.stop.load(Ordering::Relaxed) { None } else { self.count_calls(&server, path, comparison)? };
        let figures = Figures { name: name.to_owned(), options, tally, before, peak, after, calls, allocations };
        Ok((figures, server))
    }

    /// System calls a reply, in a run of its own; None, with a note, when nothing can count them.
    fn count_calls(&self, server: &Server, path: &str, comparison: &mut Comparison) -> io::Result<Option<f64>> {
        let counted = self.plan.counted.to_string();
        let ending = ["-n", &counted, "-t", COUNTED_SECONDS].map(OsString::from);
        let options = options_of(self.plan, &server.address.to_string(), path, &ending)?;
        let counter = match calls::Counter::attach(server.pid(), self.folder.path()) {
            Ok(counter) => counter,
            Err(error) => {
                comparison.note_once(format!("system calls were not counted: {error}"));
                return Ok(None);
            }
        };
        let tally = load::run(&options, self.stop, || {})?;
        match counter.finish() {
            Ok((calls, tool)) if tally.replies() > 0 => {
                comparison.note_once(format!("system calls were counted by {tool}, connecting included"));
                Ok(Some(calls as f64 / tally.replies() as f64))
            }
            Ok(_) => Ok(None),
            Err(error) => {
                comparison.note_once(format!("system calls were not counted: {error}"));
                Ok(None)
            }
        }
    }
}

/// The load's options for a path of a server, as `bench load` would read them.
fn options_of(plan: &Plan, authority: &str, path: &str, more: &[OsString]) -> io::Result<Options> {
    let mut arguments = options::with_target(&format!("http://{authority}{path}"), &plan.load);
    arguments.extend_from_slice(more);
    match load::options::parse(arguments) {
        Ok(Some(options)) => Ok(options),
        Ok(None) => Err(io::Error::other("--help among the load's options")),
        Err(usage) => Err(io::Error::other(usage.0)),
    }
}

fn allocations(server: &Server) -> Option<f64> {
    let (status, page) = fetch::get(server.address, "/-/metrics").ok()?;
    (status == 200).then(|| fetch::metric(&String::from_utf8_lossy(&page), ALLOCATIONS)).flatten()
}

fn higher(left: Memory, right: Memory) -> Memory {
    Memory { rss: left.rss.max(right.rss), anon: left.anon.max(right.anon), high: left.high.max(right.high) }
}
