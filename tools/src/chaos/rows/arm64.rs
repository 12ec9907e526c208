//! ARM64: the server built for it, emulated, must answer the same bytes.

use std::path::Path;
use std::time::Duration;

use crate::chaos::Leftovers;
use crate::chaos::crowd::Manner;
use crate::chaos::question::Question;
use crate::chaos::register::Risk;
use crate::chaos::row::Row;
use crate::chaos::server::Start;
use crate::chaos::trial::{Stop, Trial};
use crate::chaos::watch::Sign;

/// The emulator of one process.
const EMULATOR: &str = "qemu-aarch64";

/// The rows.
pub const ROWS: &[Row] = &[Row {
    name: "arm64",
    what: "the server for ARM64 under qemu-aarch64 serves reads, writes and refusals, each answer compared to the byte",
    risks: &[Risk::Arm64],
    signs: &[Sign::Rise("flagstone_http_requests_total", &["code=\"200\""], 300.0)],
    gap: Duration::from_secs(3),
    fresh_gap: Duration::from_secs(3),
    // The emulator's own memory is beside the server's.
    weighs: false,
    quick: true,
    prepare: emulated,
    run: arm64,
    ..Row::BLANK
}];

fn emulated(start: &mut Start, leftovers: &mut Leftovers) -> Result<(), Stop> {
    let Some(program) = &leftovers.arm64 else {
        return Err(Stop::Skip("no server for ARM64: --arm64 PATH names one".to_owned()));
    };
    let folders = std::env::var("PATH").unwrap_or_default();
    if !folders.split(':').any(|folder| Path::new(folder).join(EMULATOR).exists()) {
        return Err(Stop::Skip(format!("no {EMULATOR}")));
    }
    start.program = vec![EMULATOR.into(), program.into()];
    Ok(())
}

fn arm64(trial: &Trial) -> Result<(), Stop> {
    trial.breaks("another processor, emulated");
    let manner = Manner { connections: 6, count: 2_000, time: Duration::from_secs(30), ..Manner::default() };
    trial.crowd(
        &manner,
        || false,
        |turn| {
            let id = (turn % 400) as u32 + 1;
            match turn % 8 {
                0 => Question::Write(trial.shared.key()),
                1 => Question::Fresh(id),
                2 => Question::Row(id),
                3 => Question::Large(id, 60),
                4 => Question::Work(id),
                5 => Question::Nowhere,
                6 => Question::Echo(turn),
                _ => Question::Item(id),
            }
        },
    )?;
    trial.mended();
    trial.await_signs(Duration::from_secs(3));
    Ok(())
}
