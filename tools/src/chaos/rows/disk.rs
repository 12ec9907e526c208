//! The disk: full for real, on a small tmpfs.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use crate::chaos::Leftovers;
use crate::chaos::crowd::Manner;
use crate::chaos::question::Question;
use crate::chaos::register::Risk;
use crate::chaos::row::Row;
use crate::chaos::server::Start;
use crate::chaos::trial::{Stop, Trial};
use crate::chaos::watch::Sign;
use crate::durability::disk::{Disk, Kind};

/// The disk's size, in KiB: the database and some room.
const DISK_KIB: u32 = 12 * 1024;

/// The rows.
pub const ROWS: &[Row] = &[Row {
    name: "disk-full",
    what: "a small disk of its own is filled to the last byte while clients write, then emptied",
    risks: &[Risk::Batching, Risk::Lock],
    signs: &[Sign::Rise("flagstone_http_requests_total", &["code=\"507\""], 1.0)],
    allows: &[507],
    quick: true,
    prepare: on_small_disk,
    run: disk_full,
    ..Row::BLANK
}];

fn on_small_disk(start: &mut Start, leftovers: &mut Leftovers) -> Result<(), Stop> {
    let disk = Disk::new(Kind::Tmpfs(DISK_KIB)).map_err(|error| Stop::Skip(format!("no disk of its own: {error}")))?;
    start.database = disk.database();
    leftovers.disk = Some(disk);
    Ok(())
}

/// The file that fills the disk.
fn ballast(trial: &Trial) -> PathBuf {
    trial.scene.database().with_extension("ballast")
}

fn disk_full(trial: &Trial) -> Result<(), Stop> {
    trial.breaks("the disk is full to the last byte");
    let mut file = std::fs::File::create(ballast(trial))?;
    // Until it is full: that is the end that is wanted.
    while file.write_all(&[7; 4096]).is_ok() {}
    let mix = |turn: u64| match turn % 3 {
        0 => Question::Write(trial.shared.key()),
        1 => Question::Fresh((turn % 200) as u32 + 1),
        _ => Question::Item((turn % 200) as u32 + 1),
    };
    let time = Duration::from_secs(if trial.quick { 2 } else { 5 });
    let manner = Manner { connections: 12, time, ..Manner::default() };
    let crowded = trial.crowd(&manner, || false, mix)?;
    let full = crowded.tally.refused.get(&507).copied().unwrap_or(0);
    trial.must(full > 0, || "no write was told that the disk is full".to_owned());
    trial.say(format!("{} writes found room in the log before, {full} were refused", crowded.acknowledged.len()));
    std::fs::remove_file(ballast(trial))?;
    trial.mended();
    Ok(())
}
