//! The configuration: broken, flapping, rolled back; flags that say what nobody meant.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use crate::chaos::crowd::Manner;
use crate::chaos::question::Question;
use crate::chaos::register::Risk;
use crate::chaos::row::Row;
use crate::chaos::trial::{Stop, Trial};
use crate::chaos::watch::Sign;

const FAILURES: &str = "flagstone_config_reload_failures_total";
const DRIFT: &str = "flagstone_config_drift";
const ASKED: &str = "flagstone_flag_evaluations_total";
/// For an edit to be seen: the server looks once a second, and wants it to have lain still.
const SEEN_WITHIN: Duration = Duration::from_secs(5);

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        name: "broken-file",
        what: "the configuration's file is replaced by five kinds of broken ones, then mended",
        risks: &[Risk::Drift],
        signs: &[
            Sign::Acted(Risk::Drift),
            Sign::Alert("config_reload"),
            Sign::Rise(FAILURES, &[], 5.0),
            Sign::Reach(DRIFT, &[], 1.0),
        ],
        quick: true,
        run: broken,
        ..Row::BLANK
    },
    Row {
        name: "flapping-file",
        what: "good and broken configurations in turn as fast as SIGHUP goes, then a rollback",
        risks: &[Risk::Drift],
        signs: &[Sign::Rise(FAILURES, &[], 1.0), Sign::Status("/configuration/version", 3.0)],
        run: flapping,
        ..Row::BLANK
    },
    Row {
        name: "odd-flags",
        what: "flags set to what they cannot be, to odd shares, and all off",
        risks: &[Risk::Flags],
        signs: &[Sign::Rise(ASKED, &["result=\"off\""], 100.0), Sign::Reach(DRIFT, &[], 1.0)],
        quick: true,
        run: odd_flags,
        ..Row::BLANK
    },
];

/// A crowd of readers until `act` returns.
fn beside_readers<T>(trial: &Trial, act: impl FnOnce() -> Result<T, Stop>) -> Result<T, Stop> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers = scope.spawn(|| {
            let manner = Manner { connections: 6, time: Duration::from_secs(60), ..Manner::default() };
            trial.crowd(
                &manner,
                || over.load(Ordering::Relaxed),
                |turn| {
                    let id = (turn % 300) as u32 + 1;
                    if turn % 2 == 0 { Question::Item(id) } else { Question::Fresh(id) }
                },
            )
        });
        let acted = act();
        over.store(true, Ordering::Relaxed);
        readers.join().map_err(|_| Stop::Internal("the readers panicked".to_owned()))??;
        acted
    })
}

/// What a change of the configuration was answered with.
fn change(trial: &Trial, path: &str) -> Result<u16, Stop> {
    Ok(trial.operator.ask("POST", path, "")?.status)
}

fn broken(trial: &Trial) -> Result<(), Stop> {
    let good = trial.scene.text().to_owned();
    let kinds = [
        ("no TOML", good.replace("[[route]]", "[[route")),
        ("an unknown key", format!("sots_per_client = 3\n{good}")),
        ("SQL that does not prepare", good.replace("FROM now", "FROM nwo")),
        ("half a file", good[..good.len() / 2].to_owned()),
        ("100 KiB", format!("{good}\n# {}\n", "x".repeat(100 * 1024))),
    ];
    trial.breaks("five kinds of broken configuration, each put in place of the file and loaded");
    beside_readers(trial, || {
        for (kind, text) in &kinds {
            trial.scene.write(text)?;
            let status = change(trial, "/-/reload")?;
            trial.must(status == 422, || format!("{kind}: POST /-/reload was answered with {status}"));
        }
        trial.await_signs(SEEN_WITHIN);
        Ok(())
    })?;
    trial.scene.configure("")?;
    let status = change(trial, "/-/reload")?;
    trial.must(status == 200, || format!("the good one again: {status}"));
    trial.mended();
    let drift = trial.operator.metrics()?.sum(DRIFT, &[]);
    trial.must(drift == Some(0.0), || format!("the drift is {drift:?} when the file is good again"));
    Ok(())
}

fn flapping(trial: &Trial) -> Result<(), Stop> {
    trial.breaks("40 changes of the file, one in three broken, each with a SIGHUP");
    beside_readers(trial, || {
        for turn in 0..40 {
            match turn % 3 {
                0 => trial.scene.configure("\n[limits]\ncache_ttl = \"4m\"\n")?,
                1 => trial.scene.configure("\n[limits]\ncache_ttl = \"3m\"\n[flags]\nwarming = \"off\"\n")?,
                _ => trial.scene.configure("\n[limits]\ncache_ttl = \"soon\"\n")?,
            }
            if let Some(server) = &*trial.server() {
                server.signal(Signal::HUP)?;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        trial.await_signs(SEEN_WITHIN);
        for path in ["/-/rollback", "/-/rollback", "/-/reset"] {
            let status = change(trial, path)?;
            trial.must(status == 200, || format!("POST {path} was answered with {status}"));
        }
        Ok(())
    })?;
    trial.scene.configure("")?;
    let status = change(trial, "/-/reload")?;
    trial.must(status == 200, || format!("the good one again: {status}"));
    trial.mended();
    Ok(())
}

fn odd_flags(trial: &Trial) -> Result<(), Stop> {
    let put = |name: &str, value: &str| -> Result<u16, Stop> {
        Ok(trial.operator.ask("PUT", &format!("/-/flags/{name}"), value)?.status)
    };
    trial.breaks("flags set to nonsense, to odd shares, and all off");
    for value in ["maybe", "101%", "-1%", "", "1e2%", "on on", "50", "\u{fffd}", &"9".repeat(300)] {
        let status = put("cache", value)?;
        trial.must(status == 400, || format!("cache = {value:?} was answered with {status}"));
    }
    let status = put("cahce", "off")?;
    trial.must(status == 404, || format!("an unknown flag was answered with {status}"));
    // A share of the clients: of 60 addresses some have it and some not, each always the same.
    trial.must(put("cache", "50%")? == 200, || "50% is refused".to_owned());
    let manner =
        Manner { connections: 60, sources: 60, turns: 20, count: 6_000, time: Duration::from_secs(10), ..Manner::default() };
    trial.crowd(&manner, || false, |turn| Question::Item((turn % 40) as u32 + 1))?;
    let seen = trial.operator.metrics()?;
    let of = |result: &str| seen.sum(ASKED, &["flag=\"cache\"", result]).unwrap_or(0.0);
    let (on, off) = (of("result=\"on\""), of("result=\"off\""));
    trial.must(on > 0.0 && off > 0.0, || format!("of half the clients: {on} times on, {off} times off"));
    for flag in ["cache", "batching", "single_flight", "warming"] {
        trial.must(put(flag, "off")? == 200, || format!("{flag} cannot be switched off"));
    }
    // Without any of them the answers are the same.
    let plain = Manner { connections: 10, count: 3_000, time: Duration::from_secs(10), ..Manner::default() };
    trial.crowd(
        &plain,
        || false,
        |turn| match turn % 5 {
            0 => Question::Write(trial.shared.key()),
            1 => Question::Large(0, 40),
            _ => Question::Item((turn % 300) as u32 + 1),
        },
    )?;
    trial.await_signs(SEEN_WITHIN);
    for flag in ["cache", "batching", "single_flight", "warming"] {
        trial.must(put(flag, "configured")? == 200, || format!("{flag} does not go by the file again"));
    }
    trial.mended();
    Ok(())
}
