//! One measurement of one peer: the load, and what it cost the peer's processes.

use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::case::Case;
use super::peer::Running;
use crate::load;
use crate::load::options::Options;
use crate::serve::{fetch, process};

/// How long the slow query shall take.
const SLOW: Duration = Duration::from_secs(3);
/// Steps of the slow query by which its speed is found out.
const TRIAL_STEPS: u64 = 2_000_000;

/// What one measurement gave.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// The server's processor time for each answer, in microseconds.
    pub cpu_us: f64,
    /// Answers a second.
    pub rate: f64,
    /// Median latency in microseconds.
    pub p50_us: f64,
    /// 99th percentile of it.
    pub p99_us: f64,
    /// Nothing failed.
    pub clean: bool,
}

/// Resident memory of a peer's processes together, in KiB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Resident {
    /// All of it, shared pages counted for each.
    pub rss: u64,
    /// Their own.
    pub anon: u64,
}

/// Loads `path` of a running peer for `seconds`.
pub fn sample(running: &Running, case: &Case, path: &str, seconds: f64, stop: &AtomicBool) -> io::Result<Sample> {
    let tag = match case.name {
        "not-modified" => fetch::field(running.address, path, "etag")?,
        _ => None,
    };
    let options = options(running, case, path, seconds, tag.as_deref())?;
    let processes = running.processes();
    let before = cpu(&processes);
    let tally = load::run(&options, stop, || {})?;
    let spent = cpu(&processes).saturating_sub(before);
    let clean = tally.is_clean(&options);
    if !clean {
        let (name, peer, example) = (case.name, running.peer.name(), tally.example.as_deref().unwrap_or_default());
        eprintln!("bench: {name}: {peer}: answers {:?}, failures {:?} {example}", tally.statuses, tally.faults);
    }
    Ok(Sample {
        cpu_us: spent.as_secs_f64() * 1e6 / tally.replies().max(1) as f64,
        rate: tally.rate(),
        p50_us: tally.latency_us(50.0),
        p99_us: tally.latency_us(99.0),
        clean,
    })
}

/// What a peer's processes have in memory, or had at most since the last [`begin_peak`].
pub fn resident(running: &Running, at_peak: bool) -> Resident {
    let mut all = Resident::default();
    for memory in running.processes().into_iter().filter_map(|pid| process::memory(pid).ok()) {
        all.rss += if at_peak { memory.high } else { memory.rss };
        all.anon += memory.anon;
    }
    all
}

/// Lets the peaks begin anew.
pub fn begin_peak(running: &Running) {
    for pid in running.processes() {
        // Where the kernel does not allow it the peak is of the whole life.
        process::reset_high_water(pid);
    }
}

fn cpu(processes: &[u32]) -> Duration {
    processes.iter().filter_map(|&pid| process::read(pid).ok()).map(|reading| reading.cpu).sum()
}

fn options(running: &Running, case: &Case, path: &str, seconds: f64, tag: Option<&str>) -> io::Result<Options> {
    let mut arguments: Vec<OsString> = vec![format!("http://{}{path}", running.address).into()];
    arguments.extend(["-t".into(), seconds.to_string().into()]);
    arguments.extend(case.arguments(tag).into_iter().map(OsString::from));
    match load::options::parse(arguments) {
        Ok(Some(options)) => Ok(options),
        Ok(None) => Err(io::Error::other("--help among the load's options")),
        Err(usage) => Err(io::Error::other(usage.0)),
    }
}

/// Queries of three seconds, one after the other, until it is dropped.
pub struct SlowQuery {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<io::Result<()>>>,
}

impl SlowQuery {
    /// Finds out how many steps take three seconds, and begins.
    pub fn begin(running: &Running) -> io::Result<SlowQuery> {
        let address = running.address;
        let ask = move |steps: u64| match fetch::get_within(10 * SLOW, address, &format!("/slow?steps={steps}"))? {
            (200, _) => Ok(()),
            (status, _) => Err(io::Error::other(format!("/slow?steps={steps}: {status}"))),
        };
        let began = Instant::now();
        ask(TRIAL_STEPS)?;
        let steps = TRIAL_STEPS as f64 * SLOW.as_secs_f64() / began.elapsed().as_secs_f64();
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !flag.load(Ordering::Relaxed) {
                ask(steps as u64)?;
            }
            Ok(())
        });
        Ok(SlowQuery { stop, thread: Some(thread) })
    }

    /// Ends with the query that runs.
    ///
    /// # Errors
    /// That a query failed: then nothing was measured beside it.
    pub fn end(mut self) -> io::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it ends once");
        thread.join().map_err(|_| io::Error::other("the slow query's thread panicked"))?
    }
}
