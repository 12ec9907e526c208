//! What the writers committed and when, and the verdict on an answer. Knows neither clock, socket nor database.
//!
//! Transactions that write are serial, and each announces its version, the version it was built upon and the groups it
//! writes before its COMMIT, and reports once that has returned. An answer's row of group `g` with version `v` is true
//! of the database from `v` until the next commit that writes `g`; a right answer has one moment that is true of all
//! its rows, not before the last commit that had returned when its request was sent.

use super::clock::Nanos;
use super::mark::{EVERY, Mark, Version};

/// What is known of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// COMMIT was about to be called.
    Begun,
    /// COMMIT has returned, or somebody has seen it.
    Committed,
    /// Rolled back, or lost with a killed writer.
    Lost,
}

/// A transaction that tried to commit.
#[derive(Clone, Copy, Debug)]
struct Commit {
    version: Version,
    groups: u32,
    begun: Nanos,
    state: State,
    /// From when on every new request must see it.
    binding: Nanos,
    seen: bool,
}

/// All of them, by version.
pub struct History {
    commits: Vec<Commit>,
    /// Commits that return before this moment bind only from it on: a replaced file may be noticed a little later.
    grace_until: Nanos,
}

/// What one answer showed, and when.
#[derive(Clone, Debug)]
pub struct Sight<'a> {
    /// Before the request's first byte was sent.
    pub sent: Nanos,
    /// After the answer's last byte had arrived.
    pub received: Nanos,
    /// What stood in it; for a 304 what stood in the answer whose tag was confirmed.
    pub marks: &'a [Mark],
}

/// What is wrong with an answer, or with the writers' own story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// It misses a commit that had returned before the request was sent.
    Stale { group: usize, shown: Version, wanted: Version, committed_at: Nanos },
    /// It shows a write that was made to be rolled back.
    Poison { group: usize, shown: Version },
    /// It shows a version that no transaction has tried to commit, or not yet, or not for this group, or that was lost.
    NeverCommitted { group: usize, shown: Version },
    /// Its rows are of no one moment.
    Torn { group: usize, shown: Version, ended: Version, other: usize, other_shown: Version },
    /// It has no row, where there is one at every moment.
    Empty,
    /// A commit that had returned, or was seen, is not in the database of the next.
    LostCommit { version: Version, base: Version },
}

impl History {
    /// The history of a database whose every row has version 0.
    pub fn new() -> Self {
        let made = Commit { version: 0, groups: EVERY, begun: 0, state: State::Committed, binding: 0, seen: true };
        Self { commits: vec![made], grace_until: 0 }
    }

    /// A transaction upon `base` is about to commit. What was tried in between is thereby lost.
    ///
    /// # Errors
    /// [`Violation::LostCommit`], also when a version that is now known to be lost was seen.
    pub fn begin(&mut self, version: Version, base: Version, groups: u32, now: Nanos) -> Result<(), Violation> {
        self.build_upon(version, base, now)?;
        self.insert(Commit { version, groups, begun: now, state: State::Begun, binding: Nanos::MAX, seen: false });
        Ok(())
    }

    /// A transaction is asked for whose place will be behind every commit of a lower version, or nowhere: its version, which is the `wanted`
    /// one or a little more.
    pub fn announce(&mut self, wanted: Version, now: Nanos, groups: u32) -> Version {
        let mut version = wanted;
        while self.find(version).is_some() {
            version += 1;
        }
        self.insert(Commit { version, groups, begun: now, state: State::Begun, binding: Nanos::MAX, seen: false });
        version
    }

    /// What was announced is committed, upon `base`.
    ///
    /// # Errors
    /// As [`History::begin`], and [`Violation::LostCommit`] for one whose place was given to others.
    pub fn acknowledged(&mut self, version: Version, base: Version, now: Nanos) -> Result<(), Violation> {
        self.build_upon(version, base, now)?;
        if self.find(version).is_none_or(|commit| commit.state == State::Lost) {
            return Err(Violation::LostCommit { version, base });
        }
        self.returned(version, now);
        Ok(())
    }

    fn insert(&mut self, commit: Commit) {
        let at = self.commits.partition_point(|other| other.version < commit.version);
        self.commits.insert(at, commit);
    }

    /// `version` comes next after `base`: what was tried in between is lost.
    fn build_upon(&mut self, version: Version, base: Version, now: Nanos) -> Result<(), Violation> {
        let from = now.max(self.grace_until);
        let end = self.commits.partition_point(|commit| commit.version < version);
        for commit in self.commits[..end].iter_mut().rev().take_while(|commit| commit.version >= base) {
            if commit.version == base {
                commit.state = State::Committed;
                commit.binding = commit.binding.min(from);
            } else if commit.state == State::Committed {
                return Err(Violation::LostCommit { version: commit.version, base });
            } else {
                commit.state = State::Lost;
            }
        }
        Ok(())
    }

    /// Its COMMIT has returned.
    pub fn returned(&mut self, version: Version, now: Nanos) {
        let from = now.max(self.grace_until);
        if let Some(commit) = self.find(version) {
            commit.state = State::Committed;
            commit.binding = commit.binding.min(from);
        }
    }

    /// Its COMMIT has failed and it was rolled back.
    ///
    /// # Errors
    /// [`Violation::NeverCommitted`] when it was seen.
    pub fn rolled_back(&mut self, version: Version) -> Result<(), Violation> {
        match self.find(version) {
            Some(commit) if commit.seen => {
                Err(Violation::NeverCommitted { group: commit.groups.trailing_zeros() as usize, shown: version })
            }
            Some(commit) => {
                commit.state = State::Lost;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The file was replaced: what the new one holds binds after `grace`.
    pub fn replaced(&mut self, now: Nanos, grace: Nanos) {
        self.grace_until = now + grace;
    }

    /// Judges an answer. What it rightly shows binds every request sent after it was received.
    ///
    /// # Errors
    /// The first thing wrong with it.
    pub fn judge(&mut self, sight: &Sight<'_>) -> Result<(), Violation> {
        if sight.marks.is_empty() {
            return Err(Violation::Empty);
        }
        for mark in sight.marks {
            let Mark { group, version: shown, poison } = *mark;
            if poison {
                return Err(Violation::Poison { group, shown });
            }
            let known = self.find(shown).is_some_and(|commit| {
                commit.state != State::Lost && commit.begun <= sight.received && commit.groups & (1 << group) != 0
            });
            if !known {
                return Err(Violation::NeverCommitted { group, shown });
            }
        }
        self.judge_age(sight)?;
        for mark in sight.marks {
            if let Some(commit) = self.find(mark.version) {
                commit.seen = true;
                commit.state = State::Committed;
                commit.binding = commit.binding.min(sight.received);
            }
        }
        Ok(())
    }

    fn judge_age(&self, sight: &Sight<'_>) -> Result<(), Violation> {
        let newest = sight.marks.iter().max_by_key(|mark| mark.version).ok_or(Violation::Empty)?;
        let floor = self.floor(sight.sent);
        let mut stale = None;
        for &Mark { group, version: shown, .. } in sight.marks {
            let Some(next) = self.next_commit(group, shown) else { continue };
            if next.version <= newest.version {
                let (other, other_shown) = (newest.group, newest.version);
                return Err(Violation::Torn { group, shown, ended: next.version, other, other_shown });
            }
            if next.version <= floor {
                stale.get_or_insert(Violation::Stale { group, shown, wanted: next.version, committed_at: next.binding });
            }
        }
        stale.map_or(Ok(()), Err)
    }

    /// The newest version that a request sent at `sent` must see.
    pub fn floor(&self, sent: Nanos) -> Version {
        let bound = self.commits.iter().rev().find(|commit| commit.binding <= sent);
        bound.map_or(0, |commit| commit.version)
    }

    /// The first commit after `version` that writes `group` and is known to have happened.
    fn next_commit(&self, group: usize, version: Version) -> Option<&Commit> {
        let after = self.commits.partition_point(|commit| commit.version <= version);
        self.commits[after..].iter().find(|commit| commit.state == State::Committed && commit.groups & (1 << group) != 0)
    }

    fn find(&mut self, version: Version) -> Option<&mut Commit> {
        let at = self.commits.binary_search_by_key(&version, |commit| commit.version).ok()?;
        Some(&mut self.commits[at])
    }

    /// The transactions around a moment, for a report.
    pub fn around(&self, sent: Nanos, received: Nanos) -> Vec<String> {
        const BEFORE: usize = 4;
        let first = self.commits.partition_point(|commit| commit.begun < sent).saturating_sub(BEFORE);
        let last = self.commits.partition_point(|commit| commit.begun <= received);
        let near = self.commits[first..last].iter().take(16);
        near.map(|commit| {
            let Commit { version, begun, state, groups, binding, .. } = *commit;
            let binding = if binding == Nanos::MAX { "-".to_owned() } else { binding.to_string() };
            format!("version {version} begun {begun} returned or seen {binding} groups {groups:#x} {state:?}")
        })
        .collect()
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
