//! The database's locks and its log: another process that holds, commits or reads without end; a query that never ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::chaos::crowd::Manner;
use crate::chaos::probe::Shared;
use crate::chaos::question::Question;
use crate::chaos::register::Risk;
use crate::chaos::row::Row;
use crate::chaos::scene;
use crate::chaos::trial::{Stop, Trial};
use crate::chaos::watch::Sign;

/// Steps of the query that would take some 10 s and more.
const LONG: u32 = 2_000_000_000;
/// Growth of the log that shows that it is pinned, in bytes.
const PINNED: f64 = 2_000_000.0;

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        name: "held-lock",
        what: "another process holds BEGIN IMMEDIATE for 4 s while clients write and read",
        risks: &[Risk::Lock, Risk::Batching],
        signs: &[
            Sign::Acted(Risk::Lock),
            Sign::Alert("lock_contention"),
            Sign::Rise("flagstone_busy_retries_total", &[], 1.0),
            Sign::Rise("flagstone_refusals_total", &["reason=\"busy\""], 1.0),
        ],
        commits: false,
        quick: true,
        run: held_lock,
        ..Row::BLANK
    },
    Row {
        name: "constant-committer",
        what: "another process commits without pause, so that no kept answer lives long",
        risks: &[Risk::Lock, Risk::Cache],
        signs: &[Sign::Rise("flagstone_cache_gone_total", &["reason=\"stale\""], 20.0)],
        commits: false,
        quick: true,
        run: constant_committer,
        ..Row::BLANK
    },
    Row {
        name: "pinned-wal",
        what: "a reader of another process stands still while rows are written: the log cannot be copied back",
        risks: &[Risk::Lock],
        signs: &[Sign::Reach("flagstone_wal_pinned_seconds", &[], 1.0), Sign::Rise("flagstone_wal_bytes", &[], PINNED)],
        commits: false,
        run: pinned_wal,
        ..Row::BLANK
    },
    Row {
        name: "long-query",
        what: "queries that would take far longer than their 5 s",
        risks: &[Risk::Lock],
        signs: &[
            Sign::Acted(Risk::Lock),
            Sign::Rise("flagstone_query_timeouts_total", &[], 1.0),
            Sign::Rise("flagstone_nested_turns_total", &[], 1_000.0),
        ],
        allows: &[504],
        // The one connection is taken until the limit: whoever must have a fresh answer waits for that.
        fresh_gap: Duration::from_secs(11),
        run: long_query,
        ..Row::BLANK
    },
];

/// Readers and writers as everyday has them.
fn everyday(shared: &Shared, turn: u64) -> Question {
    let id = (turn % 200) as u32 + 1;
    match turn % 4 {
        0 => Question::Write(shared.key()),
        1 => Question::Fresh(id),
        2 => Question::Row(id),
        _ => Question::Item(id),
    }
}

fn held_lock(trial: &Trial) -> Result<(), Stop> {
    let other = trial.scene.open()?;
    trial.breaks("BEGIN IMMEDIATE, held by another program");
    other.execute_batch("BEGIN IMMEDIATE; UPDATE item SET name = name WHERE id = 1")?;
    let manner = Manner { connections: 12, time: Duration::from_secs(4), ..Manner::default() };
    let crowded = trial.crowd(&manner, || false, |turn| everyday(&trial.shared, turn))?;
    other.execute_batch("ROLLBACK")?;
    trial.mended();
    trial.heal()?;
    trial.must(crowded.tally.shed > 0, || "no write was refused while the lock was held".to_owned());
    trial.must(crowded.tally.served > 100, || "reads did not go on".to_owned());
    // What waited is answered, and what comes is written.
    let after = Manner { connections: 12, time: Duration::from_millis(500), ..Manner::default() };
    let crowded = trial.crowd(&after, || false, |_| Question::Write(trial.shared.key()))?;
    trial.must(!crowded.acknowledged.is_empty(), || "nothing was written after the lock was given back".to_owned());
    Ok(())
}

/// Commits new versions until told to stop; how many.
fn commit(trial: &Trial, until: &AtomicBool, pause: Duration) -> Result<u64, Stop> {
    let other = trial.scene.open()?;
    let mut version = trial.shared.version.load(Ordering::Acquire);
    let first = version;
    while !until.load(Ordering::Relaxed) && !trial.shared.stopped() {
        version += 1;
        scene::set_version(&other, version)?;
        trial.shared.version.store(version, Ordering::Release);
        std::thread::sleep(pause);
    }
    Ok(version - first)
}

/// A crowd, while another program commits.
fn beside_commits(trial: &Trial, manner: &Manner, pause: Duration) -> Result<u64, Stop> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let committer = scope.spawn(|| commit(trial, &over, pause));
        let crowded = trial.crowd(manner, || false, |turn| everyday(&trial.shared, turn));
        over.store(true, Ordering::Relaxed);
        let commits = committer.join().map_err(|_| Stop::Internal("the committer panicked".to_owned()))?;
        crowded.and(commits)
    })
}

fn constant_committer(trial: &Trial) -> Result<(), Stop> {
    trial.breaks("another program commits without pause");
    let time = Duration::from_secs(if trial.quick { 2 } else { 6 });
    let commits = beside_commits(trial, &Manner { connections: 12, time, ..Manner::default() }, Duration::ZERO)?;
    trial.mended();
    trial.say(format!("{commits} commits in {} s", time.as_secs()));
    Ok(())
}

fn pinned_wal(trial: &Trial) -> Result<(), Stop> {
    let reader = trial.scene.open()?;
    trial.breaks("a read transaction of another program stays open while it is written");
    reader.execute_batch("BEGIN")?;
    let _: i64 = reader.query_row("SELECT count(*) FROM now", [], |row| row.get(0))?;
    let filler = trial.scene.open()?;
    let manner = Manner { connections: 8, time: Duration::from_secs(4), ..Manner::default() };
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        filler.execute("INSERT INTO ballast(filler) VALUES (randomblob(200000))", [])?;
        beside_commits(trial, &Manner { time: Duration::from_millis(200), ..manner.clone() }, Duration::from_millis(2))?;
        if trial.watch.all_seen() {
            break;
        }
    }
    let pinned = trial.watch.last().metrics.sum("flagstone_wal_bytes", &[]).unwrap_or(0.0);
    reader.execute_batch("COMMIT")?;
    trial.mended();
    trial.heal()?;
    // Once nobody pins it, the server's own checkpoints start the log anew; so the file grows no more.
    beside_commits(trial, &Manner { time: Duration::from_secs(2), ..manner.clone() }, Duration::from_millis(2))?;
    let size = |trial: &Trial| std::fs::metadata(trial.scene.database().with_extension("db-wal")).map_or(0, |file| file.len());
    let before = size(trial);
    beside_commits(trial, &Manner { time: Duration::from_secs(2), ..manner }, Duration::from_millis(2))?;
    let after = size(trial);
    trial.must(after <= before, || format!("the log still grows, from {before} to {after} bytes"));
    trial.say(format!("the log had {pinned} bytes while it was pinned; later {before}, then {after}"));
    Ok(())
}

fn long_query(trial: &Trial) -> Result<(), Stop> {
    trial.breaks("two sums over 2,000,000,000 steps, one after the other");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Cached answers go on beside it.
        let crowd = scope.spawn(|| {
            let manner = Manner { connections: 4, time: Duration::from_secs(30), ..Manner::default() };
            trial.crowd(&manner, || over.load(Ordering::Relaxed), |turn| Question::Item((turn % 50) as u32 + 1))
        });
        let slow = || -> Result<(), Stop> {
            for _ in 0..2 {
                let began = Instant::now();
                trial.ask(Question::Work(LONG))?;
                let took = began.elapsed();
                trial.must(took < Duration::from_secs(11), || format!("it was answered after {took:?}"));
                trial.say(format!("stopped after {:.1} s", took.as_secs_f64()));
            }
            Ok(())
        };
        let slow = slow();
        trial.mended();
        // The register is brought up to date once a second, between two jobs.
        trial.await_signs(Duration::from_secs(3));
        over.store(true, Ordering::Relaxed);
        let crowded = crowd.join().map_err(|_| Stop::Internal("the crowd panicked".to_owned()))??;
        trial.say(format!("{} answers were served beside them", crowded.tally.served));
        slow
    })
}
