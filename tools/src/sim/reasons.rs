//! Which reasons for a close fit what its connection had done.

use flagstone::config::Limits;
use flagstone::job::Micros;
use flagstone::ops::metrics::CloseReason;

use super::check::PROGRESS_BYTES;
use super::ledger::Last;
use super::request::Want;
use super::world::{Dropped, World};

/// Turns, and what is noted in them, are this much apart at most where a reason depends on a time.
const SLACK: Micros = 50_000;

/// How long a kept connection is idle while the server is hard pressed; `front/ladder.rs` says why.
const BUSY_IDLE_MS: u64 = 5000;

/// From when on a client that takes nothing is in the way of others.
const STALLED: Micros = 1_000_000;

/// The reasons that would be true of a dropped connection.
pub fn fitting(world: &World, dropped: Dropped, output_was_full: bool) -> Vec<CloseReason> {
    const MS: Micros = 1000;
    let config = Limits::DEFAULT;
    let connection = &world.connections[dropped.connection];
    let ledger = &connection.ledger;
    let past = |since: Micros, limit: u64| dropped.at + SLACK >= since + limit * MS;
    let (mid, owed) = (ledger.mid_answer(), ledger.owed().is_some());
    let whole = !mid && !owed;
    let unread = connection.settled > ledger.read;
    let ended = connection.client_fin && connection.inbound.is_empty() && whole && ledger.last.is_none();
    let partial = ledger.read > ledger.answered_to;
    let rejected = ledger.asked.front().is_some_and(|asked| matches!(asked.want, Want::Reject(_)) && asked.start < ledger.read);
    let quiet = whole && !unread && !partial && ledger.last.is_none() && ledger.answers > 0;
    let accepted = connection.accepted.unwrap_or(0);
    let timed_out = ledger.last == Some(Last::Timeout) && !mid;
    // Turned away, and gone before it could be told.
    let unheard = (!connection.registered && connection.reset) || ledger.turned_away;
    let wordless = output_was_full && partial;
    CloseReason::ALL
        .iter()
        .copied()
        .filter(|reason| match reason {
            CloseReason::ClientAsked => ledger.last == Some(Last::Asked) && !mid,
            CloseReason::ClientClosed => ended && !partial,
            CloseReason::CutShort => ended && partial,
            CloseReason::Abandoned => connection.reset && !whole,
            CloseReason::Reset => connection.reset,
            CloseReason::Rejected => !mid && (ledger.last == Some(Last::Reject) || rejected && output_was_full),
            CloseReason::FirstByteTimeout => ledger.read == 0 && !unread && past(accepted, config.first_byte_ms),
            CloseReason::HeadTimeout | CloseReason::BodyTimeout => timed_out || wordless,
            CloseReason::IdleTimeout => {
                let hard_pressed = world.busy_until.is_some_and(|end| end.saturating_add(SLACK) >= connection.last_activity);
                quiet && past(connection.last_activity, if hard_pressed { BUSY_IDLE_MS } else { config.idle_ms })
            }
            // What waits may also be the answer to a request that came in part.
            CloseReason::WriteTimeout => {
                (!whole || partial) && connection.is_stuck(dropped.at, config.write_ms * MS - SLACK, PROGRESS_BYTES)
            }
            // Who has said nothing for so long makes room for others, too.
            CloseReason::TooSlow => {
                (!whole || partial) && connection.is_stuck(dropped.at, STALLED - SLACK, PROGRESS_BYTES)
                    || ledger.read == 0 && past(accepted, STALLED / MS)
            }
            CloseReason::Reclaimed => quiet,
            CloseReason::Refused => ledger.last == Some(Last::Refused) || unheard || owed && output_was_full,
            CloseReason::Drained => world.stopping,
            CloseReason::Panicked => !mid && ledger.last == Some(Last::Panicked) || owed && output_was_full,
        })
        .collect()
}

/// Whether each dropped connection can be given a reason of its own among those that were counted.
pub fn matched(fits: &[Vec<CloseReason>], counted: &[CloseReason]) -> bool {
    if fits.len() != counted.len() {
        return false;
    }
    let mut given = vec![None; counted.len()];
    (0..fits.len()).all(|drop| give(drop, fits, counted, &mut given, &mut vec![false; counted.len()]))
}

/// Kuhn's algorithm: finds a reason for one connection, moving others to other reasons where they have a choice.
fn give(
    drop: usize, fits: &[Vec<CloseReason>], counted: &[CloseReason], given: &mut [Option<usize>], tried: &mut [bool],
) -> bool {
    for (at, reason) in counted.iter().enumerate() {
        if tried[at] || !fits[drop].contains(reason) {
            continue;
        }
        tried[at] = true;
        if given[at].is_none_or(|other| give(other, fits, counted, given, tried)) {
            given[at] = Some(drop);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_given_so_that_all_have_one() {
        use CloseReason::{ClientAsked, Drained, Reset};
        let fits = vec![vec![Reset, Drained], vec![Reset], vec![Drained, ClientAsked]];
        assert!(matched(&fits, &[Reset, Drained, ClientAsked]));
        assert!(!matched(&fits, &[Reset, ClientAsked, ClientAsked]));
        assert!(!matched(&fits, &[Reset, Drained]));
    }
}
