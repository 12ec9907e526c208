//! What this machine and this card can hold, for whoever has to choose the sizes of a build.

pub mod options;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use self::options::Plan;
use crate::compare::case::{CASES, Case};
use crate::compare::measure::{self, Sample, SlowQuery};
use crate::compare::peer::{Peer, Running};
use crate::compare::scene::Scene;
use crate::machine::{self, Cores};
use crate::serve::scratch::Scratch;
use crate::serve::{fetch, server};

/// Measures and prints. False when a measurement was not clean.
pub fn run(plan: &Plan, stop: &AtomicBool) -> io::Result<bool> {
    let flagstone = match &plan.server {
        Some(program) => fs::canonicalize(program)?,
        None => server::build()?,
    };
    let cores = Cores::choose()?;
    let folder = Scratch::new()?;
    let card = match &plan.folder {
        Some(folder) => Scratch::below(folder)?,
        None => Scratch::new()?,
    };
    let scene = Scene::make(folder.path(), card.path())?;
    let mut all = Vec::new();
    for peer in [Peer::Flagstone, Peer::Uncached] {
        machine::pin(cores.server)?;
        let started = Running::start(peer, &flagstone, Path::new(""), &scene, folder.path());
        machine::pin(cores.driver)?;
        all.extend(started?);
    }
    let [cached, uncached] = &all[..] else { return Err(io::Error::other("flagstone does not start")) };
    println!("machine          {}\nbinary           {}", machine::line(), cached.version);
    println!("database on      {}", plan.folder.as_deref().unwrap_or(&std::env::temp_dir()).display());
    let mut profile = Profile { plan, stop, clean: true };
    profile.answers(cached, uncached)?;
    profile.writes(cached)?;
    memory(cached)?;
    if cores.shared() {
        println!("note             one core for server and driver: alone the server can do more");
    }
    Ok(profile.clean && !stop.load(Ordering::Relaxed))
}

struct Profile<'a> {
    plan: &'a Plan,
    stop: &'a AtomicBool,
    clean: bool,
}

impl Profile<'_> {
    fn measure(&mut self, running: &Running, name: &str) -> io::Result<Sample> {
        let case: &Case = CASES.iter().find(|case| case.name == name).expect("the names are those of the cases");
        let path = case.paths.iter().find(|(peer, _)| *peer == running.peer).map_or("/", |(_, path)| path);
        let sample = measure::sample(running, case, path, self.plan.seconds, self.stop)?;
        self.clean &= sample.clean;
        Ok(sample)
    }

    fn answers(&mut self, cached: &Running, uncached: &Running) -> io::Result<()> {
        for (label, running, name) in [
            ("cached, 1 KB", cached, "cached-1k"),
            ("cached, 100 KB", cached, "cached-100k"),
            ("one row by key", uncached, "key"),
            ("page of 100 rows", uncached, "page"),
        ] {
            line(label, &self.measure(running, name)?);
        }
        let query = SlowQuery::begin(cached)?;
        let beside = self.measure(cached, "slow-query")?;
        query.end()?;
        println!("beside a query of 3 s: a cached answer of 1 KB has p99 {:.1} ms", beside.p99_us / 1000.0);
        Ok(())
    }

    fn writes(&mut self, running: &Running) -> io::Result<()> {
        let (mut writes, mut syncs) = (value(running, "flagstone_writes_total")?, value(running, "flagstone_syncs_total")?);
        for (label, name) in [("writes, 1 client", "write-1"), ("writes, 32", "write-32")] {
            line(label, &self.measure(running, name)?);
            let (all, synced) = (value(running, "flagstone_writes_total")?, value(running, "flagstone_syncs_total")?);
            println!("                 {:.1} writes for each sync", (all - writes) / (synced - syncs).max(1.0));
            (writes, syncs) = (all, synced);
        }
        let longest = value(running, "flagstone_sync_longest_seconds")?;
        println!(
            "longest fsync    {:.1} ms: so long a write may wait, and whoever needs the database behind it",
            longest * 1000.0
        );
        Ok(())
    }
}

fn memory(running: &Running) -> io::Result<()> {
    let own = measure::resident(running, false).anon;
    let process = value(running, "flagstone_budget_process_bytes")? / 1024.0;
    let kernel = value(running, "flagstone_budget_kernel_bytes")? / 1024.0;
    let machine = |name: &str| -> Option<u64> {
        let text = fs::read_to_string("/proc/meminfo").ok()?;
        text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
    };
    println!("memory           {own} KiB resident of its own; the sheet has {process:.0} KiB, and {kernel:.0} KiB in the kernel");
    if let (Some(total), Some(available)) = (machine("MemTotal:"), machine("MemAvailable:")) {
        println!("                 of {total} KiB in this machine, {available} KiB of them available now");
    }
    let slots = value(running, "flagstone_use_limit{part=\"public slots\"}")?;
    println!("connections      {slots:.0} at once, each kept for 30 s without a request (FLAGSTONE_SLOTS)");
    Ok(())
}

fn line(label: &str, sample: &Sample) {
    let (p50, p99) = (sample.p50_us / 1000.0, sample.p99_us / 1000.0);
    let note = if sample.clean { "" } else { "  not clean" };
    println!(
        "{label:17}{:8.0} a second, p50 {p50:.2} ms, p99 {p99:.2} ms, {:.1} us of CPU each{note}",
        sample.rate, sample.cpu_us
    );
}

/// A metric by its whole name.
fn value(running: &Running, name: &str) -> io::Result<f64> {
    let (_, page) = fetch::get(running.ops, "/-/metrics")?;
    fetch::metric(&String::from_utf8_lossy(&page), name).ok_or_else(|| io::Error::other(format!("/-/metrics has no {name}")))
}
