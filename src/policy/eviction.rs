//! Who leaves a full cache: scans pass through without pushing out what is asked for, and of what is asked for, large cheap answers go first.
//!
//! Two queues and a memory, as in S3-FIFO (Yang et al., SOSP 2023). *Newcomers* stand in line; a tenth of the cache is theirs. One that
//! was hit twice when its turn comes is promoted, others leave and are remembered as ghosts; who comes back while its ghost lives is
//! promoted at once. The *promoted* are kept by a score that ages, as in GreedyDual-Size-Frequency (Cherkasova 1998):
//! `age + hits x worth`, where the age is the last victim's score and
//! `worth = sqrt(cost) / (blocks + blocks of an average entry)`. Hits only count in `touch`; scores are brought up to date when their
//! entry is about to leave (second chance), so a hit moves nothing.
//!
//! # What was tried
//! `cargo run -p bench --release -- hit-ratio` prints the table by which this was chosen. Means over its seven traces with sizes and
//! costs, % of requests / bytes / database time saved:
//!
//! | policy | 500 entries, 25 MiB | 64 entries, 512 KiB | what it lacks |
//! |---|---|---|---|
//! | FIFO | 31.1 / 30.3 / 26.3 | 21.0 / 19.1 / 13.4 | |
//! | LRU | 34.0 / 33.3 / 28.5 | 23.8 / 21.8 / 14.8 | scans and loops empty it |
//! | SIEVE | 39.3 / 38.8 / 35.0 | 31.8 / 29.1 / 19.0 | loops miss always, changed popularity is learnt late |
//! | S3-FIFO | 51.8 / 51.2 / 47.3 | 34.2 / 32.1 / 21.6 | blind for size and cost |
//! | GDSF | 44.3 / 42.4 / 58.5 | 28.0 / 23.7 / 43.7 | one-hit wonders that are dear push out what is hit |
//! | this | 52.6 / 54.4 / 55.4 | 40.1 / 32.7 / 35.7 | popularity that changes costs it 2 points against S3-FIFO |
//! | bound | 60.7 / 67.6 / 69.4 | 56.0 / 48.1 / 58.2 | |
//!
//! With equal sizes and costs: 52.9 against S3-FIFO's 51.8 and a bound of 60.7 (500 entries). What a part is worth: remembering what
//! went stale, 0.3 points of requests (2 in the trace with commits). The root of the cost: with the cost itself 1.4 more of time and 1.4
//! fewer requests (2.0 and 7.4 in the small cache), without any cost 10 less of time. The entry's own share beside its blocks: without it
//! 11 less of bytes (in the small cache 2 less, and 4 more of requests). A tenth for newcomers: a twentieth changes half a point
//! either way, a fifth costs 1 to 3.
//!
//! What was left out, by prototypes on the six traces without commits: SIEVE that takes the least score of the next 8 or 32 (10 points
//! behind SIEVE on Zipf); S3-FIFO whose dear entries get extra laps (4 to 7 points behind in time); S3-FIFO that takes the least score
//! of the oldest 8 (3 to 5 fewer requests; as much time or, in the small cache, 7 more, but by keeping a few dear entries for ever
//! that nobody asks for, which is also what the least of the oldest 4 newcomers would gain here). What brought nothing: ghosts that live four
//! times as long (S3-FIFO loses 1 to 3 points) or have twice the places; GDSF with ghosts that keep their hits (loops of equal
//! answers miss always); halving hits at each second chance; sparing dear newcomers once; promotion at the first hit; more hits
//! remembered than 8 (changed popularity is learnt later).

use crate::policy::ghosts::Ghosts;

/// No entry: ends a list. `N` is smaller.
const NONE: u16 = u16::MAX;
/// The share of the cache that newcomers have: one in so many entries or blocks.
const NEWCOMERS: usize = 10;
/// A newcomer with fewer hits is not promoted.
const PROMOTING_HITS: u8 = 2;
/// Hits beyond these add nothing to a score, so that yesterday's favourite does not outlive its day for long.
const HITS_MAX: u8 = 8;
/// Pinned entries that are put off for one victim before all are looked through.
const PUT_OFF_MAX: usize = 8;
/// Set in the score of an entry that is to be evicted last.
const CRITICAL: u64 = 1 << 63;
/// Scores are set back when they get here, far from `CRITICAL`.
const SCORE_MAX: u64 = 1 << 62;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Absent,
    /// Linked by `before` and `after`.
    Newcomer,
    /// At `before` in the heap.
    Promoted,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u64,
    score: u64,
    worth: u32,
    blocks: u16,
    before: u16,
    after: u16,
    /// Hits that the score contains.
    hits: u8,
    /// Hits since.
    fresh: u8,
    state: State,
}

/// The order of at most `N` entries (numbers `0..N`, given by the caller), with `GHOSTS` places for fingerprints; `2 x N` serve well.
///
/// A touch is one addition. Insert, removal and a victim cost at most logarithmic time, amortised over the touches; one victim alone
/// looks at each entry a bounded number of times.
#[derive(Debug)]
pub struct Eviction<const N: usize, const GHOSTS: usize> {
    entries: [Entry; N],
    /// The promoted: a binary heap, least score first.
    heap: [u16; N],
    promoted: usize,
    oldest: u16,
    newest: u16,
    newcomers: usize,
    newcomer_blocks: usize,
    /// Blocks of the whole cache.
    blocks: usize,
    /// The highest score that has left.
    age: u64,
    ghosts: Ghosts<N, GHOSTS>,
}

impl<const N: usize, const GHOSTS: usize> Eviction<N, GHOSTS> {
    /// The order of an empty cache of `blocks` blocks.
    pub const fn new(blocks: usize) -> Self {
        const { assert!(N > 0 && N <= 65_000, "entry numbers are 16 bits") };
        let absent =
            Entry { key: 0, score: 0, worth: 0, blocks: 0, before: NONE, after: NONE, hits: 0, fresh: 0, state: State::Absent };
        Eviction {
            entries: [absent; N],
            heap: [NONE; N],
            promoted: 0,
            oldest: NONE,
            newest: NONE,
            newcomers: 0,
            newcomer_blocks: 0,
            blocks,
            age: 0,
            ghosts: Ghosts::new(),
        }
    }

    /// Takes everybody out and forgets who was there.
    pub fn clear(&mut self) {
        for entry in &mut self.entries {
            (entry.state, entry.before, entry.after) = (State::Absent, NONE, NONE);
        }
        (self.oldest, self.newest) = (NONE, NONE);
        (self.promoted, self.newcomers, self.newcomer_blocks, self.age) = (0, 0, 0, 0);
        self.ghosts.clear();
    }

    /// Entries that are present.
    pub fn len(&self) -> usize {
        self.newcomers + self.promoted
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Enters an entry that is not present: `key` is a hash of its key, `cost_micros` the time that making its answer took.
    /// A `critical` one leaves when nothing else may.
    pub fn insert(&mut self, entry: u16, key: u64, blocks: u16, cost_micros: u32, critical: bool) {
        debug_assert!(self.entries[usize::from(entry)].state == State::Absent, "an entry is inserted once");
        self.forget(entry);
        let worth = self.worth(blocks, cost_micros);
        let known = self.ghosts.take(key);
        self.entries[usize::from(entry)] =
            Entry { key, score: 0, worth, blocks, before: NONE, after: NONE, hits: 0, fresh: 0, state: State::Absent };
        if known || critical {
            self.promote(entry, if critical { CRITICAL } else { 0 });
        } else {
            self.append(entry);
        }
    }

    /// Counts a hit.
    pub fn touch(&mut self, entry: u16) {
        let fresh = &mut self.entries[usize::from(entry)].fresh;
        *fresh = (*fresh + 1).min(HITS_MAX);
    }

    /// Takes out an entry that leaves for another reason than want of room. If it had been promoted it will be again when it comes
    /// back soon: what a commit made stale is no less popular for that.
    pub fn remove(&mut self, entry: u16) {
        let Entry { key, state, .. } = self.entries[usize::from(entry)];
        if state == State::Promoted {
            self.ghosts.remember(key);
        }
        self.forget(entry);
    }

    /// Takes out an entry that `victim` named.
    pub fn evicted(&mut self, entry: u16) {
        let Entry { key, state, score, .. } = self.entries[usize::from(entry)];
        match state {
            State::Absent => {}
            State::Newcomer => self.ghosts.remember(key),
            State::Promoted => self.age = self.age.max(score & !CRITICAL),
        }
        self.forget(entry);
        if self.age > SCORE_MAX {
            self.set_back();
        }
    }

    /// The entry that should leave next, among those that `may_go`; it stays until `evicted`.
    /// `None` when none may go.
    pub fn victim(&mut self, may_go: impl Fn(u16) -> bool) -> Option<u16> {
        let many = NEWCOMERS * self.newcomers >= N || NEWCOMERS * self.newcomer_blocks >= self.blocks;
        let newcomer = if many { self.newcomer(&may_go) } else { None };
        newcomer.or_else(|| self.least(&may_go, false)).or_else(|| self.newcomer(&may_go)).or_else(|| self.least(&may_go, true))
    }

    /// The oldest newcomer that may go; promotes those before it that were hit.
    fn newcomer(&mut self, may_go: &impl Fn(u16) -> bool) -> Option<u16> {
        let mut at = self.oldest;
        // Bounded by N: each step goes to a newer one.
        while at != NONE {
            let Entry { after, fresh, .. } = self.entries[usize::from(at)];
            if fresh >= PROMOTING_HITS {
                self.unlink(at);
                self.promote(at, 0);
            } else if may_go(at) {
                return Some(at);
            }
            at = after;
        }
        None
    }

    /// The promoted entry of the least score that may go, a critical one only if `critical`.
    fn least(&mut self, may_go: &impl Fn(u16) -> bool, critical: bool) -> Option<u16> {
        let mut put_off = 0;
        // Bounded: an entry's fresh hits are gone after one visit, and pinned ones are put off a few times only.
        while self.promoted > 0 && put_off < PUT_OFF_MAX {
            let top = self.heap[0];
            let Entry { score, fresh, .. } = self.entries[usize::from(top)];
            if score & CRITICAL != 0 && !critical {
                return None;
            }
            if fresh == 0 {
                if may_go(top) {
                    return Some(top);
                }
                put_off += 1;
            }
            self.raise(top);
        }
        let promoted = self.heap[..self.promoted].iter().copied();
        let kind = |entry: u16| critical || self.entries[usize::from(entry)].score & CRITICAL == 0;
        promoted.filter(|&entry| kind(entry) && may_go(entry)).min_by_key(|&entry| self.entries[usize::from(entry)].score)
    }

    /// Adds the fresh hits of the entry at the heap's top to its score; one that is pinned is in use, which counts as its old hits.
    fn raise(&mut self, top: u16) {
        let entry = &mut self.entries[usize::from(top)];
        entry.hits = (entry.hits + entry.fresh).min(HITS_MAX);
        entry.fresh = 0;
        let raised = (entry.score & !CRITICAL) + u64::from(entry.worth) * u64::from(entry.hits);
        // Never reached but by raising pinned entries for years with nobody leaving; all are set back when the next one leaves.
        entry.score = entry.score & CRITICAL | raised.min(CRITICAL - 1);
        self.sift_down(0);
    }

    /// What a hit is worth: the root of the cost, so that neither a slow query is kept for good nor a fast one never, by the share of
    /// the cache that the entry holds, of blocks and of entries alike.
    fn worth(&self, blocks: u16, cost_micros: u32) -> u32 {
        let share = u64::from(blocks) + (self.blocks / N).max(1) as u64;
        let root = (u64::from(cost_micros.max(1)) << 16).isqrt();
        u32::try_from((root << 8) / share).unwrap_or(u32::MAX).max(1)
    }

    /// Takes an entry out of where it stands.
    fn forget(&mut self, entry: u16) {
        match self.entries[usize::from(entry)].state {
            State::Absent => {}
            State::Newcomer => self.unlink(entry),
            State::Promoted => self.take_from_heap(entry),
        }
        self.entries[usize::from(entry)].state = State::Absent;
    }

    /// Puts an absent entry at the end of the newcomers' line.
    fn append(&mut self, entry: u16) {
        let newest = std::mem::replace(&mut self.newest, entry);
        let new = &mut self.entries[usize::from(entry)];
        (new.state, new.before, new.after) = (State::Newcomer, newest, NONE);
        self.newcomer_blocks += usize::from(new.blocks);
        self.newcomers += 1;
        match newest {
            NONE => self.oldest = entry,
            _ => self.entries[usize::from(newest)].after = entry,
        }
    }

    fn unlink(&mut self, entry: u16) {
        let Entry { before, after, blocks, .. } = self.entries[usize::from(entry)];
        match before {
            NONE => self.oldest = after,
            _ => self.entries[usize::from(before)].after = after,
        }
        match after {
            NONE => self.newest = before,
            _ => self.entries[usize::from(after)].before = before,
        }
        self.newcomer_blocks -= usize::from(blocks);
        self.newcomers -= 1;
    }

    /// Puts an entry that stands nowhere into the heap; `kind` is `CRITICAL` or 0.
    fn promote(&mut self, entry: u16, kind: u64) {
        let new = &mut self.entries[usize::from(entry)];
        (new.state, new.hits, new.fresh) = (State::Promoted, 1, 0);
        new.score = kind | (self.age + u64::from(new.worth)).min(CRITICAL - 1);
        let at = self.promoted;
        self.promoted += 1;
        self.place(at, entry);
        self.sift_up(at);
    }

    fn take_from_heap(&mut self, entry: u16) {
        let at = usize::from(self.entries[usize::from(entry)].before);
        self.promoted -= 1;
        let last = self.heap[self.promoted];
        if last != entry {
            self.place(at, last);
            self.sift_down(at);
            self.sift_up(usize::from(self.entries[usize::from(last)].before));
        }
    }

    fn score_at(&self, at: usize) -> u64 {
        self.entries[usize::from(self.heap[at])].score
    }

    fn place(&mut self, at: usize, entry: u16) {
        self.heap[at] = entry;
        self.entries[usize::from(entry)].before = at as u16;
    }

    fn exchange(&mut self, a: usize, b: usize) {
        let (first, second) = (self.heap[a], self.heap[b]);
        self.place(a, second);
        self.place(b, first);
    }

    fn sift_up(&mut self, mut at: usize) {
        while at > 0 && self.score_at(at) < self.score_at((at - 1) / 2) {
            self.exchange(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let least = match (left < self.promoted, right < self.promoted) {
                (true, true) if self.score_at(right) < self.score_at(left) => right,
                (true, _) => left,
                _ => return,
            };
            if self.score_at(at) <= self.score_at(least) {
                return;
            }
            self.exchange(at, least);
            at = least;
        }
    }

    /// Takes the age off all scores. The order stays, and so the heap is one still.
    fn set_back(&mut self) {
        let age = std::mem::take(&mut self.age);
        for &entry in &self.heap[..self.promoted] {
            let score = &mut self.entries[usize::from(entry)].score;
            *score = *score & CRITICAL | (*score & !CRITICAL).saturating_sub(age);
        }
    }
}

#[cfg(test)]
mod tests;
