//! How a row is run: its server, its threads, its healing, and at last what the database has.

use std::io::Error;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Leftovers;
use super::options::Options;
use super::probe::{self, Probed};
use super::question::{self, Question};
use super::report::Verdict;
use super::row::{Findings, Row, judge};
use super::scene::{self, Scene};
use super::server::Start;
use super::trial::{Stop, Trial};

/// Between two weighings of the process.
const WEIGH_EVERY: Duration = Duration::from_millis(20);
/// Between two commits of the other program.
const COMMIT_EVERY: Duration = Duration::from_millis(200);
/// After a row, before memory is weighed for the last time: the server's own look is once a second.
const SETTLE: Duration = Duration::from_millis(300);

/// Runs it.
pub fn run(row: &Row, options: &Options, program: &Path) -> Verdict {
    match tried(row, options, program) {
        Ok(findings) => {
            let red = judge(row, &findings);
            Verdict::Ran(Box::new(findings), red)
        }
        Err(Stop::Skip(why)) => Verdict::Skipped(why),
        Err(Stop::Fault(why)) => Verdict::Failed(why),
        Err(Stop::Internal(why)) => Verdict::Failed(format!("the harness: {why}")),
    }
}

fn tried(row: &Row, options: &Options, program: &Path) -> Result<Findings, Stop> {
    let folder = tempfile::Builder::new().prefix("flagstone-chaos-").tempdir()?;
    let mut leftovers = Leftovers { arm64: options.arm64.clone(), ..Leftovers::default() };
    let scene = Scene::make(program, folder.path())?;
    let mut start = Start {
        program: vec![program.into()],
        database: scene.database(),
        config: Some(scene.config()),
        arguments: Vec::new(),
        folder: folder.path().to_owned(),
        cgroup: None,
        descriptors: None,
        ports: (0, 0),
    };
    (row.prepare)(&mut start, &mut leftovers)?;
    let scene = scene.at(&start.database)?;
    let trial = Trial::start(row, options, scene, start)?;
    let probers = provoke(&trial)?;
    let mut findings = findings(&trial, probers)?;
    end(&trial, &mut findings)?;
    if let Some(cgroup) = &leftovers.cgroup {
        findings.lines.push(format!("the cgroup's peak {} KiB", cgroup.peak() / 1024));
        if cgroup.oom_kills() > 0 {
            findings.faults.push(format!("{} processes were killed for want of memory", cgroup.oom_kills()));
        }
    }
    Ok(findings)
}

/// Who asked all the while: critical routes where a stale answer is allowed and where it is not, and health.
struct Probers {
    stale: Probed,
    fresh: Probed,
    health: Probed,
}

/// Breaks, waits and lets heal while the probers ask.
fn provoke(trial: &Trial) -> Result<Probers, Stop> {
    let (address, operators) = match &*trial.server() {
        Some(server) => (server.address, server.operators),
        None => return Err(Stop::Internal("no server".to_owned())),
    };
    // A panic here must not leave the threads running.
    struct StopAtLast<'a>(&'a probe::Shared);
    impl Drop for StopAtLast<'_> {
        fn drop(&mut self) {
            self.0.stop();
        }
    }
    std::thread::scope(|scope| {
        let stop = StopAtLast(&trial.shared);
        let shared = &trial.shared;
        // Each alone: a fresh answer may have to wait where a stale one need not.
        let stale = scope.spawn(|| probe::probe(shared, address, &shared.critical, || Question::Fixed));
        let fresh = scope.spawn(|| probe::probe(shared, address, &shared.critical, || shared.now()));
        let health = scope.spawn(|| probe::probe(shared, operators, &shared.health, || Question::Health));
        scope.spawn(|| trial.watch.run(&trial.shared, &trial.operator));
        scope.spawn(|| {
            while !trial.shared.stopped() {
                trial.weigh();
                std::thread::sleep(WEIGH_EVERY);
            }
        });
        let other = scope.spawn(|| commit_now_and_then(trial));
        let ran = trial.calm().and_then(|()| (trial.row.run)(trial)).and_then(|()| {
            if trial.notes().mended.is_none() {
                trial.mended();
            }
            trial.heal()
        });
        drop(stop);
        let joined = (stale.join(), fresh.join(), health.join(), other.join());
        ran?;
        let (Ok(stale), Ok(fresh), Ok(health), Ok(other)) = joined else {
            return Err(Stop::Internal("a thread panicked".to_owned()));
        };
        other.map(|()| Probers { stale, fresh, health })
    })
}

/// The other program that has the database open: it commits a new version of one row now and then.
fn commit_now_and_then(trial: &Trial) -> Result<(), Stop> {
    let mut version = 0;
    let mut next = Instant::now();
    while !trial.shared.stopped() {
        if Instant::now() >= next && trial.row.commits {
            next = Instant::now() + COMMIT_EVERY;
            // Opened anew each time: the row may replace the file. A lock or a full disk keeps it from this one commit.
            let committed = trial.scene.open().and_then(|connection| {
                connection.busy_timeout(Duration::ZERO)?;
                scene::set_version(&connection, version + 1)
            });
            if committed.is_ok() {
                version += 1;
                trial.shared.version.store(version, Ordering::Release);
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn findings(trial: &Trial, probers: Probers) -> Result<Findings, Stop> {
    std::thread::sleep(SETTLE);
    let after = trial.weigh();
    let budget = trial.operator.page("/-/budget")?.unwrap_or_default();
    let sheet = budget["process_bytes"].as_u64().ok_or_else(|| Error::other("no sheet"))?;
    let sought = trial.watch.sought();
    let mut notes = trial.notes();
    let (broke_at, broke) = notes.broke.take().unwrap_or_else(|| (Instant::now(), String::new()));
    let seen =
        sought.iter().map(|sought| (sought.sign.to_string(), sought.seen.map(|at| at.saturating_duration_since(broke_at))));
    let mended = notes.mended.unwrap_or(broke_at);
    let healed = notes.healed.map(|at| at.saturating_duration_since(mended));
    let sick = std::mem::take(&mut notes.sick);
    let mut tally = std::mem::take(&mut notes.tally);
    // Critical questions are refused by nothing but what the row allows; health is judged by its own time.
    let Probers { stale, fresh, health } = probers;
    tally.merge(stale.tally);
    tally.merge(fresh.tally);
    let wrong_health = health.tally.wrong;
    let waits = trial.shared.waits();
    let mut faults = std::mem::take(&mut notes.faults);
    if wrong_health > 0 {
        faults.push(format!("{wrong_health} wrong answers of health: {}", health.tally.examples.join("; ")));
    }
    Ok(Findings {
        broke,
        seen: seen.collect(),
        healed,
        sick,
        tally,
        critical: waits.0,
        gaps: (stale.gap, fresh.gap),
        health: waits.1,
        memory: (notes.memory.0, notes.memory.1, after),
        sheet,
        writes: (0, 0),
        lines: std::mem::take(&mut notes.lines),
        faults,
    })
}

/// Stops the server, and compares what was acknowledged with what the database has.
fn end(trial: &Trial, findings: &mut Findings) -> Result<(), Stop> {
    let server = trial.server().take();
    let status = server.map(super::server::Server::stop).transpose()?;
    match status {
        Some(Some(status)) if status.success() => {}
        Some(Some(status)) => findings.faults.push(format!("it ended with {status}")),
        Some(None) => findings.faults.push("it did not end after SIGTERM".to_owned()),
        None => findings.faults.push("it was gone at the end".to_owned()),
    }
    let connection = trial.scene.open()?;
    let whole: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if whole != "ok" {
        findings.faults.push(format!("the database is not whole: {whole}"));
    }
    let mut statement = connection.prepare("SELECT value FROM written WHERE key = ?1")?;
    let acknowledged = std::mem::take(&mut trial.notes().acknowledged);
    let lost = acknowledged.iter().filter(|&&key| {
        let found: rusqlite::Result<String> = statement.query_row([key as i64], |row| row.get(0));
        found.ok() != Some(question::value(key))
    });
    findings.writes = (acknowledged.len() as u64, lost.count() as u64);
    Ok(())
}
