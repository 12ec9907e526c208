//! Writes that share a transaction: some of them fail, some take it back, and none may take another with it.

use std::time::Duration;

use crate::chaos::crowd::Manner;
use crate::chaos::question::Question;
use crate::chaos::register::Risk;
use crate::chaos::row::Row;
use crate::chaos::trial::{Stop, Trial};
use crate::chaos::watch::Sign;

/// The rows.
pub const ROWS: &[Row] = &[Row {
    name: "failing-batch",
    what: "40 writers, of whom every fifth takes the whole transaction back",
    risks: &[Risk::Batching],
    signs: &[
        Sign::Acted(Risk::Batching),
        Sign::Rise("flagstone_write_replays_total", &[], 10.0),
        Sign::Rise("flagstone_http_requests_total", &["code=\"409\""], 10.0),
    ],
    quick: true,
    run: failing_batch,
    ..Row::BLANK
}];

fn failing_batch(trial: &Trial) -> Result<(), Stop> {
    let taken = trial.shared.key();
    trial.ask(Question::Write(taken))?;
    trial.breaks("one write in five is INSERT OR ROLLBACK of a key that is taken");
    let time = Duration::from_secs(if trial.quick { 2 } else { 6 });
    let manner = Manner { connections: 40, time, ..Manner::default() };
    let crowded = trial.crowd(
        &manner,
        || false,
        |turn| {
            if turn % 5 == 0 { Question::Conflict(taken) } else { Question::Write(trial.shared.key()) }
        },
    )?;
    trial.mended();
    trial.await_signs(Duration::from_secs(2));
    // Each that was acknowledged is there, as a reader sees it now; after the end all are compared with the file.
    for &key in crowded.acknowledged.iter().rev().take(50) {
        trial.ask(Question::Written(key))?;
    }
    Ok(())
}
