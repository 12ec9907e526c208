//! The process: without descriptors, stopped, killed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use crate::chaos::crowd::Manner;
use crate::chaos::question::Question;
use crate::chaos::register::Risk;
use crate::chaos::row::Row;
use crate::chaos::trial::{Stop, Trial};
use crate::chaos::watch::Sign;
use crate::rig::process::limit_descriptors;

/// As many as nobody reaches.
const PLENTY: u64 = 1024;

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        name: "no-descriptors",
        what: "the process may have no more descriptors than it has (EMFILE)",
        risks: &[Risk::Pool, Risk::Leak],
        signs: &[
            Sign::Rise("flagstone_accept_failures_total", &[], 1.0),
            Sign::Rise("flagstone_refusals_total", &["reason=\"no_descriptor\""], 1.0),
        ],
        quick: true,
        run: no_descriptors,
        ..Row::BLANK
    },
    Row {
        name: "stopped",
        what: "SIGSTOP for 10 s while clients ask, then SIGCONT",
        risks: &[Risk::Pool, Risk::Batching],
        signs: &[Sign::Alert("loop_gap"), Sign::Reach("flagstone_longest_gap_seconds", &["cause="], 1.0)],
        gap: Duration::from_secs(11),
        fresh_gap: Duration::from_secs(11),
        run: stopped,
        ..Row::BLANK
    },
    Row {
        name: "killed",
        what: "kill -9 five times while clients write, and started again each time",
        risks: &[Risk::Batching, Risk::Drift],
        signs: &[Sign::Rise("process_start_time_seconds", &[], 1.0)],
        gap: Duration::from_secs(3),
        fresh_gap: Duration::from_secs(3),
        quick: true,
        run: killed,
        ..Row::BLANK
    },
];

fn no_descriptors(trial: &Trial) -> Result<(), Stop> {
    let pid = trial.server().as_ref().map(|server| server.pid());
    trial.breaks("RLIMIT_NOFILE of the running process lowered to what it has open");
    limit_descriptors(pid, trial.descriptors() as u64)?;
    let manner = Manner { connections: 30, sources: 3, turns: 5, time: Duration::from_secs(2), ..Manner::default() };
    trial.crowd(&manner, || false, |turn| Question::Item((turn % 100) as u32 + 1))?;
    trial.await_signs(Duration::from_secs(3));
    limit_descriptors(pid, PLENTY)?;
    trial.mended();
    Ok(())
}

fn stopped(trial: &Trial) -> Result<(), Stop> {
    let time = Duration::from_secs(if trial.quick { 2 } else { 10 });
    let signal = |signal| trial.server().as_ref().map_or(Ok(()), |server| server.signal(signal));
    trial.breaks(format!("the process stands still for {} s", time.as_secs()));
    std::thread::scope(|scope| {
        let crowd = scope.spawn(|| {
            let patience = Duration::from_secs(20);
            let manner =
                Manner { connections: 30, sources: 3, time: time + Duration::from_secs(2), patience, ..Manner::default() };
            trial.crowd(
                &manner,
                || false,
                |turn| match turn % 3 {
                    0 => Question::Write(trial.shared.key()),
                    1 => Question::Fresh((turn % 100) as u32 + 1),
                    _ => Question::Item((turn % 100) as u32 + 1),
                },
            )
        });
        std::thread::sleep(Duration::from_millis(500));
        signal(Signal::STOP)?;
        std::thread::sleep(time);
        signal(Signal::CONT)?;
        trial.mended();
        trial.heal()?;
        crowd.join().map_err(|_| Stop::Internal("the crowd panicked".to_owned()))??;
        trial.await_signs(Duration::from_secs(3));
        Ok(())
    })
}

fn killed(trial: &Trial) -> Result<(), Stop> {
    let over = AtomicBool::new(false);
    let rounds = if trial.quick { 2 } else { 5 };
    trial.breaks(format!("SIGKILL, {rounds} times, while 12 clients write"));
    std::thread::scope(|scope| {
        let crowd = scope.spawn(|| {
            let manner = Manner { connections: 12, time: Duration::from_secs(60), ..Manner::default() };
            trial.crowd(
                &manner,
                || over.load(Ordering::Relaxed),
                |turn| {
                    if turn % 3 == 0 { Question::Item((turn % 100) as u32 + 1) } else { Question::Write(trial.shared.key()) }
                },
            )
        });
        let blows = || -> Result<(), Stop> {
            for _ in 0..rounds {
                std::thread::sleep(Duration::from_millis(400));
                if let Some(server) = trial.server().take() {
                    server.kill()?;
                }
                let ready_after = trial.start_again(&[])?;
                trial.say(format!("serves again {:.0} ms after its new start", ready_after.as_secs_f64() * 1000.0));
            }
            std::thread::sleep(Duration::from_millis(400));
            Ok(())
        };
        let blows = blows();
        trial.mended();
        over.store(true, Ordering::Relaxed);
        crowd.join().map_err(|_| Stop::Internal("the crowd panicked".to_owned()))??;
        blows
    })
}
