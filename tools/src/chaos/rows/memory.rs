//! Memory: a cgroup that holds the sheet and 4 MiB more, and a machine that is short of it.

use std::time::Duration;

use crate::chaos::Leftovers;
use crate::chaos::cgroup::Cgroup;
use crate::chaos::crowd::Manner;
use crate::chaos::question::{LARGEST, Question};
use crate::chaos::register::Risk;
use crate::chaos::row::Row;
use crate::chaos::server::Start;
use crate::chaos::trial::{Stop, Trial};
use crate::chaos::watch::Sign;

/// The rows.
pub const ROWS: &[Row] = &[Row {
    name: "small-cgroup",
    what: "a memory cgroup of the sheet and 4 MiB, without swap, while everything large is asked for at once",
    risks: &[Risk::Memory],
    signs: &[
        Sign::Rise("flagstone_temporary_written_bytes_total", &[], 1.0),
        Sign::Rise("flagstone_cache_inserted_total", &[], 100.0),
    ],
    allows: &[504, 507],
    fresh_gap: Duration::from_secs(6),
    prepare: in_cgroup,
    run: small_cgroup,
    ..Row::BLANK
}];

/// Puts the server into a cgroup of its sheet's size: what `MemoryMax` is to be in its unit.
///
/// # Errors
/// A machine without such a cgroup skips the row.
pub fn in_cgroup(start: &mut Start, leftovers: &mut Leftovers) -> Result<(), Stop> {
    let mut command = std::process::Command::new(&start.program[0]);
    let output = command.args(&start.program[1..]).arg("--budget").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let bytes = memory_max(&text).ok_or_else(|| Stop::Internal("--budget names no MemoryMax".to_owned()))?;
    let cgroup = Cgroup::new(bytes).map_err(|error| Stop::Skip(format!("no memory cgroup: {error}")))?;
    start.cgroup = Some(cgroup.folder().to_owned());
    leftovers.cgroup = Some(cgroup);
    Ok(())
}

/// What the sheet says that `MemoryMax` is to be, in bytes.
fn memory_max(sheet: &str) -> Option<u64> {
    let digits = sheet.split("MemoryMax: ").nth(1)?.split(' ').next()?;
    digits.parse::<u64>().ok().map(|kib| kib * 1024)
}

fn small_cgroup(trial: &Trial) -> Result<(), Stop> {
    trial.breaks("sorts, the largest answers, 20,000 keys, writes and 300 connections within the sheet and 4 MiB");
    std::thread::scope(|scope| {
        let time = Duration::from_secs(if trial.quick { 3 } else { 12 });
        let sorts = scope.spawn(move || -> Result<(), Stop> {
            for _ in 0..2 {
                trial.send("GET /sorted/200000 HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
            }
            Ok(())
        });
        let manner = Manner { connections: 300, sources: 25, time, ..Manner::default() };
        trial.crowd(
            &manner,
            || false,
            |turn| match turn % 40 {
                0 => Question::Large(0, LARGEST),
                1..8 => Question::Write(trial.shared.key()),
                8..20 => Question::Echo(turn),
                20 => Question::Large(turn as u32 % 1_900, 170),
                _ => Question::Item((turn % 400) as u32 + 1),
            },
        )?;
        sorts.join().map_err(|_| Stop::Internal("the sorts panicked".to_owned()))?
    })?;
    trial.mended();
    Ok(())
}
