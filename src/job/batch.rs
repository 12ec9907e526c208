//! Group commit's share of the common types: waiting writes that become one transaction, and what became of each.

use super::{Exchange, Micros, SlotId, Stamp, TableSet};
use crate::api::problem::Problem;
use crate::budget::{BATCH, BATCH_ITEM_BYTES};
use crate::http::accept::Media;
use crate::memory::Span;

/// One write that waits for its commit.
pub struct Item {
    /// Who asked.
    pub slot: SlotId,
    /// The request.
    pub exchange: Box<Exchange>,
    /// When the front accepted it.
    pub arrived: Micros,
    /// From when on it is stopped; it has then changed nothing.
    pub deadline: Micros,
    /// What became of it; `None` while nothing did, and after a panic.
    pub outcome: Option<Written>,
}

const _: () = assert!(size_of::<Item>() <= BATCH_ITEM_BYTES, "BATCH_ITEM_BYTES holds a waiting write");

/// What became of one write. Unless it is `Done`, nothing of it is in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// Committed, and on disk.
    Done(Done),
    /// An error to be told.
    Problem(Problem),
    /// Put it back into the queue: the reply had no room left for its answer, or the lock went to another process.
    Later,
    /// Stopped half-way because nobody waits for the answer.
    Abandoned,
    /// It panicked, and was rolled back.
    Panicked,
}

/// A committed write's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// 201 for a POST that gives rows, 200 for other rows, 204 without any.
    pub status: u16,
    /// What the body is; `None` when there is none, because no statement gives rows. An array of bare values is JSON.
    pub media: Option<Media>,
    /// Where in the reply the body stands.
    pub span: Span,
    /// Its route's place in the configuration that the batch was run with.
    pub route: u16,
    /// Whether it is an earlier answer to the same Idempotency-Key; nothing was written now.
    pub replayed: bool,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchEnd {
    /// Every item has its outcome.
    Ended(Commit),
    /// Another process holds the lock, and no item has an outcome: try again in a moment, until the busy timeout.
    Busy,
    /// What is on disk is not known any more. Every item has its outcome; the connection must be closed and the database opened anew.
    Lost,
}

/// What the commits of a batch, usually one, were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The state's name under our lock, before the first commit; `None` when nothing was committed or it has no certain name.
    pub before: Option<Stamp>,
    /// The state's name after the last commit.
    pub after: Option<Stamp>,
    /// Whether all that happened between the two was ours.
    pub only_ours: bool,
    /// The tables that were written, or may have been.
    pub tables: TableSet,
    /// How many transactions were committed.
    pub commits: u16,
    /// How many writes ran a second time, alone, because their batch was lost.
    pub replays: u16,
    /// Frames in the WAL after the last commit; 0 when that is not known.
    pub wal_frames: u32,
}

impl Commit {
    /// No commit yet.
    pub const NONE: Commit =
        Commit { before: None, after: None, only_ours: false, tables: TableSet::NONE, commits: 0, replays: 0, wal_frames: 0 };

    /// Adds one commit, from the state's name under its lock and the one behind it.
    pub fn add(&mut self, before: Option<Stamp>, after: Option<Stamp>) {
        let ours = match (before, after) {
            // Without a change SQLite commits nothing, and the name stays.
            (Some(before), Some(after)) => after == before || after.is_next_commit_of(&before),
            _ => false,
        };
        let joined = self.commits == 0 || (self.only_ours && self.after == before);
        self.only_ours = ours && joined;
        if self.commits == 0 {
            self.before = before;
        }
        self.after = after;
        self.commits += 1;
        self.wal_frames = after.map_or(0, |stamp| stamp.wal_frames());
    }
}

/// Writes that are committed together where that goes well.
#[derive(Default)]
pub struct Batch {
    /// In the order in which they arrived.
    pub items: heapless::Vec<Item, BATCH>,
}

impl Batch {
    /// None yet.
    pub const fn new() -> Batch {
        Batch { items: heapless::Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::StampMode;

    fn stamp(change: u32) -> Option<Stamp> {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&change.to_ne_bytes());
        Some(Stamp::new(StampMode::Wal, u64::from(change) + 7, [1, u64::from_ne_bytes(bytes), 0, 0, 0, 0]))
    }

    #[test]
    fn a_commit_is_only_ours_when_nobody_came_between() {
        type Name = Option<Stamp>;
        let cases: &[(&[(Name, Name)], bool)] = &[
            (&[(stamp(1), stamp(2))], true),
            (&[(stamp(1), stamp(1))], true),
            (&[(stamp(1), stamp(3))], false),
            (&[(stamp(u32::MAX), stamp(0))], true),
            (&[(stamp(2), stamp(1))], false),
            (&[(None, stamp(1))], false),
            (&[(stamp(1), None)], false),
            (&[(stamp(1), stamp(2)), (stamp(2), stamp(3))], true),
            (&[(stamp(1), stamp(2)), (stamp(3), stamp(4))], false),
            (&[(stamp(1), stamp(3)), (stamp(3), stamp(4))], false),
            (&[], false),
        ];
        for (commits, ours) in cases {
            let mut all = Commit::NONE;
            commits.iter().for_each(|&(before, after)| all.add(before, after));
            assert_eq!(all.only_ours, *ours, "{commits:?}");
            assert_eq!(all.before, commits.first().and_then(|commit| commit.0));
            assert_eq!(usize::from(all.commits), commits.len());
        }
    }
}
