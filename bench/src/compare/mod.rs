//! Flagstone beside every other server that is installed: the same bytes, the same load, the same machine, in turns.

pub mod case;
pub mod in_process;
pub mod measure;
pub mod options;
pub mod peer;
pub mod report;
pub mod scene;
pub mod table;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use self::case::{CASES, Case};
use self::measure::{Sample, SlowQuery};
use self::options::Plan;
use self::peer::{Peer, Running};
use self::scene::Scene;
use self::table::{Compared, IN_PROCESS, Line, Results};
use crate::machine::{self, Cores};
use crate::serve::scratch::Scratch;
use crate::serve::{fetch, server};

/// Does what the plan says and prints it. False when a peer gave another answer or a run was not clean.
pub fn run(plan: &Plan, stop: &AtomicBool) -> io::Result<bool> {
    // Built before anything is pinned: the compiler wants all cores.
    let flagstone = match &plan.server {
        Some(program) => fs::canonicalize(program)?,
        None => server::build()?,
    };
    let cores = Cores::choose()?;
    let folder = Scratch::new()?;
    let scene = Scene::make(folder.path(), folder.path())?;
    let venv = fs::canonicalize(&plan.venv).unwrap_or_else(|_| plan.venv.clone());
    let mut results = Results::default();
    let mut comparison = Comparison { plan, stop, scene: &scene, cores, running: Vec::new() };
    let wanted = Peer::ALL.into_iter().filter(|peer| peer.is_ours() || plan.peers.contains(peer));
    let wanted: Vec<Peer> = wanted.filter(|&peer| comparison.needs(peer)).collect();
    for peer in wanted {
        machine::pin(cores.server)?;
        let started = Running::start(peer, &flagstone, &venv, &scene, folder.path());
        machine::pin(cores.driver)?;
        comparison.take(peer, started, &mut results)?;
    }
    let idle: Vec<_> = comparison.running.iter().map(|running| measure::resident(running, false)).collect();
    comparison.running.iter().for_each(measure::begin_peak);
    for case in CASES.iter().filter(|case| plan.only.is_empty() || plan.only.iter().any(|name| name == case.name)) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let compared = comparison.compare(case, &mut results)?;
        results.failed |= !compared.lines.iter().all(|line| line.clean);
        results.cases.push(compared);
    }
    for (running, idle) in comparison.running.iter().zip(idle) {
        results.memory.push((running.peer, idle, measure::resident(running, true)));
    }
    let setup = setup(plan, cores);
    print!("{}", results.text(&setup));
    write_report(&plan.report, &results, &setup)?;
    Ok(!results.failed && !stop.load(Ordering::Relaxed))
}

fn setup(plan: &Plan, cores: Cores) -> String {
    let shared = if cores.shared() { ", which is one and the same: only CPU figures mean anything" } else { "" };
    format!(
        "set-up    {} rounds of {} s, all peers in turn in each; servers on core {}, the driver on core {}{shared}",
        plan.rounds, plan.seconds, cores.server, cores.driver
    )
}

fn write_report(folder: &Path, results: &Results, setup: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("report.svg"), report::svg(results))?;
    fs::write(folder.join("report.html"), report::html(results, setup))?;
    println!("report    {}", folder.join("report.html").display());
    Ok(())
}

/// The peers that run.
struct Comparison<'a> {
    plan: &'a Plan,
    stop: &'a AtomicBool,
    scene: &'a Scene,
    cores: Cores,
    running: Vec<Running>,
}

impl Comparison<'_> {
    /// Whether any case that is wanted asks this peer.
    fn needs(&self, peer: Peer) -> bool {
        let wanted = |case: &&Case| self.plan.only.is_empty() || self.plan.only.iter().any(|name| name == case.name);
        CASES.iter().filter(wanted).any(|case| case.paths.iter().any(|(asked, _)| *asked == peer))
    }

    /// A peer that is missing or does not start is a line; without flagstone there is nothing to compare.
    fn take(&mut self, peer: Peer, started: io::Result<Option<Running>>, results: &mut Results) -> io::Result<()> {
        match started {
            Ok(Some(running)) => {
                results.peers.push((peer, running.version.clone()));
                self.running.push(running);
            }
            Ok(None) => results.notes.push(format!("{}: not installed", peer.name())),
            Err(error) if peer.is_ours() => return Err(error),
            Err(error) => {
                results.notes.push(format!("{}: {error}", peer.name()));
                results.failed = true;
            }
        }
        Ok(())
    }

    /// One case: each peer's answer is looked at, then all are measured in turn, round by round.
    fn compare(&self, case: &Case, results: &mut Results) -> io::Result<Compared> {
        let mut right: Vec<(&Running, &str, Vec<Sample>)> = Vec::new();
        for (peer, path) in case.paths {
            let Some(running) = self.running.iter().find(|running| running.peer == *peer) else { continue };
            match objection(running, case, path) {
                None => right.push((running, path, Vec::new())),
                Some(objection) => {
                    results.notes.push(format!("{}: {}: {path}: {objection}", case.name, running.peer.name()));
                    results.failed = true;
                }
            }
        }
        let (mut beside, mut in_process) = (Vec::new(), Vec::new());
        for _ in 0..self.plan.rounds {
            for (running, path, samples) in &mut right {
                samples.push(measure::sample(running, case, path, self.plan.seconds, self.stop)?);
                if case.beside_slow_query {
                    let query = SlowQuery::begin(running)?;
                    beside.push(measure::sample(running, case, path, self.plan.seconds, self.stop)?);
                    query.end()?;
                }
            }
            if let Some((sql, parameter)) = case.in_process {
                machine::pin(self.cores.server)?;
                in_process.push(in_process::sample(&self.scene.database, sql, parameter, self.plan.seconds)?);
                machine::pin(self.cores.driver)?;
            }
        }
        let peers = right.iter().map(|(running, _, samples)| Line::of(running.peer.name(), running.peer.is_ours(), samples));
        let mut lines: Vec<Line> = peers.flatten().collect();
        lines.extend(Line::of("flagstone, a query of 3 s running", true, &beside));
        lines.extend(Line::of(IN_PROCESS, false, &in_process));
        Ok(Compared { case: *case, lines })
    }
}

/// What is wrong with a peer's answer to a case.
fn objection(running: &Running, case: &Case, path: &str) -> Option<String> {
    if case.writes() {
        // A write is looked at by its status, under load.
        return None;
    }
    match fetch::get(running.address, path) {
        Ok((200, body)) => case.objection(&body),
        Ok((status, _)) => Some(format!("status {status}")),
        Err(error) => Some(error.to_string()),
    }
}
