//! The cache of answers: an arena of equal blocks, an index, an eviction policy, and the rules of what may enter.
//!
//! An entry is a ready-made head (all fields but status, date and connection) and a body, valid for one state of the database: a hit compares
//! that state with the present one. Entries are written to sockets by the call that finds them, so that none is ever held while it goes.

mod answer;
mod counts;
mod shortage;

use std::hash::Hasher;
use std::io::IoSlice;

use siphasher::sip::SipHasher13;

use crate::budget::{
    CACHE_BLOCK_BYTES, CACHE_BLOCKS, CACHE_BODY_BYTES, CACHE_ENTRIES, CACHE_GHOSTS, CACHE_STATE_BYTES, CACHE_TABLE,
};
use crate::http::etag::EntityTag;
use crate::job::{Micros, Stamp, TableSet};
use crate::memory::{Blocks, Chain};
use crate::policy::cache_index::CacheIndex;
use crate::policy::eviction::Eviction;
pub use answer::{Answer, Lifetime};
pub use counts::Counts;

/// What an answer is known by: a keyed hash of route, values, format and scope. Zero is nobody's key.
pub type Key = u128;
/// From the hash of a target as it was sent to its key; the front keeps [`CACHE_TABLE`] of them.
pub type Shortcut = (Key, Key);

/// One in so many hits has its checksum verified.
const VERIFY_EVERY: u64 = 64;
/// Entries that the sweep verifies each second.
const SWEEP: usize = 8;
/// After so many mismatches something is wrong with the memory or with us: the cache is emptied and rests.
const MISMATCHES: u64 = 3;
/// How long it rests, in microseconds.
const REST: Micros = 30_000_000;

/// One answer.
struct Entry {
    key: Key,
    /// None in an empty place.
    stamp: Option<Stamp>,
    /// Head and body.
    bytes: Chain,
    head: usize,
    tag: Option<EntityTag>,
    checksum: u64,
    lifetime: Lifetime,
    tables: TableSet,
    made: Micros,
    /// When it was last known to be true of the database.
    verified: Micros,
    /// A drill has flipped a bit of it.
    flipped: bool,
}

impl Entry {
    const EMPTY: Entry = Entry {
        key: 0,
        stamp: None,
        bytes: Chain::EMPTY,
        head: 0,
        tag: None,
        checksum: 0,
        lifetime: Lifetime { ttl: 0, stale_ok: 0, stale_if_error: 0, critical: false },
        tables: TableSet::NONE,
        made: 0,
        verified: 0,
        flipped: false,
    };

    /// Whether it was known to be true not more than `limit` ago, and there is such a limit.
    fn known_within(&self, limit: Micros, now: Micros) -> bool {
        limit > 0 && now <= self.verified + limit
    }
}

/// Everything that is boxed for the cache at start: entries, index, eviction with its ghosts, and the front's shortcuts from raw targets.
const STATE_BYTES: usize = CACHE_ENTRIES * size_of::<Entry>()
    + size_of::<CacheIndex<CACHE_TABLE>>()
    + size_of::<Eviction<CACHE_ENTRIES, CACHE_GHOSTS>>()
    + CACHE_TABLE * size_of::<Shortcut>();
const _: () = assert!(STATE_BYTES <= CACHE_STATE_BYTES, "the entries' state is larger than budget.rs has it");

/// Why an answer did not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Its body is larger than an entry may be.
    TooLarge,
    /// The cache is resting after checksum mismatches.
    Resting,
    /// Everything in it was kept, and there was no room beside it.
    NoRoom,
}

/// What a look-up found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// An entry of the present state.
    Hit(u16),
    /// An entry of an older state that may still be given, last known to be true so many microseconds ago.
    Stale(u16, Micros),
    /// Nothing, or nothing any more.
    Miss,
    /// The cache is resting.
    Resting,
}

/// The cache's fixed regions.
pub struct CacheRegions {
    /// Its blocks.
    pub blocks: &'static mut [[u8; CACHE_BLOCK_BYTES]],
    /// Their index.
    pub next: &'static mut [u16],
}

/// The cache.
pub struct Cache {
    blocks: Blocks<CACHE_BLOCK_BYTES>,
    entries: Box<[Entry]>,
    free: heapless::Vec<u16, CACHE_ENTRIES>,
    index: Box<CacheIndex<CACHE_TABLE>>,
    eviction: Box<Eviction<CACHE_ENTRIES, CACHE_GHOSTS>>,
    resting_until: Micros,
    /// Only critical answers are kept, because the machine is short of memory.
    short: bool,
    /// Blocks of critical answers.
    critical_blocks: usize,
    swept: usize,
    /// Since a bit fell over every hit is verified, until the sweep has seen so many places more: damage seldom comes alone.
    suspect: usize,
    entries_high: usize,
    /// What it has counted.
    pub counts: Counts,
}

impl Cache {
    /// An empty cache.
    pub fn new(regions: CacheRegions) -> Cache {
        assert_eq!(regions.blocks.len(), CACHE_BLOCKS, "the arena is the budget's");
        let mut free = heapless::Vec::new();
        for entry in (0..CACHE_ENTRIES as u16).rev() {
            let pushed = free.push(entry);
            assert!(pushed.is_ok(), "one place an entry");
        }
        Cache {
            blocks: Blocks::new(regions.blocks, regions.next),
            entries: (0..CACHE_ENTRIES).map(|_| Entry::EMPTY).collect(),
            free,
            index: Box::new(CacheIndex::new()),
            eviction: Box::new(Eviction::new(CACHE_BLOCKS)),
            resting_until: 0,
            short: false,
            critical_blocks: 0,
            swept: 0,
            suspect: 0,
            entries_high: 0,
            counts: Counts::default(),
        }
    }

    /// Looks for an answer that is true of the present state `current`, or may be given all the same.
    pub fn find(&mut self, key: Key, current: Stamp, now: Micros) -> Found {
        if self.resting(now) {
            return Found::Resting;
        }
        let Some(at) = self.index.get(key) else {
            self.counts.misses += 1;
            return Found::Miss;
        };
        let entry = &mut self.entries[usize::from(at)];
        let (old, expired) = (entry.stamp != Some(current), now >= entry.made + entry.lifetime.ttl);
        let gone = if old || expired {
            if old && !expired && entry.known_within(entry.lifetime.stale_ok, now) {
                if self.suspect > 0 && !self.verify(at, now) {
                    self.counts.misses += 1;
                    return Found::Miss;
                }
                let entry = &self.entries[usize::from(at)];
                let age = now.saturating_sub(entry.verified);
                self.counts.stale_hits += 1;
                self.eviction.touch(at);
                return Found::Stale(at, age);
            }
            if entry.known_within(entry.lifetime.stale_if_error, now) {
                self.counts.misses += 1;
                return Found::Miss;
            }
            if old { &mut self.counts.stale } else { &mut self.counts.expired }
        } else if self.is_to_be_verified() && !self.verify(at, now) {
            self.counts.misses += 1;
            return if now < self.resting_until { Found::Resting } else { Found::Miss };
        } else {
            self.entries[usize::from(at)].verified = now;
            self.counts.hits += 1;
            self.eviction.touch(at);
            return Found::Hit(at);
        };
        *gone += 1;
        self.counts.misses += 1;
        self.drop_entry(at);
        Found::Miss
    }

    /// The entry that an equal request got, for `times` more of them, if it is of the present state and has the same tag; counted like as many
    /// hits of [`Cache::find`]. Otherwise nothing is counted, because each will be looked for.
    pub fn find_again(&mut self, key: Key, tag: &EntityTag, current: Stamp, times: usize, now: Micros) -> Option<u16> {
        let at = self.index.get(key).filter(|_| !self.resting(now))?;
        let (entry, hits) = (&mut self.entries[usize::from(at)], self.counts.hits + times as u64);
        if entry.stamp != Some(current) || now >= entry.made + entry.lifetime.ttl || entry.tag.as_ref() != Some(tag) {
            return None;
        }
        entry.verified = now;
        let verified = self.suspect > 0 || hits / VERIFY_EVERY != self.counts.hits / VERIFY_EVERY;
        if verified && !self.verify(at, now) {
            return None;
        }
        self.counts.hits = hits;
        self.counts.repeated += times as u64;
        self.eviction.touch(at);
        Some(at)
    }

    /// Whether it has an answer that is true of the present state; counts nothing.
    pub fn holds(&self, key: Key, current: Stamp, now: Micros) -> bool {
        let entry = self.index.get(key).map(|at| &self.entries[usize::from(at)]);
        self.resting(now) || entry.is_some_and(|entry| entry.stamp == Some(current) && now < entry.made + entry.lifetime.ttl)
    }

    /// Whether [`Cache::find_old`] would find something; counts nothing.
    pub fn has_old(&self, key: Key, now: Micros) -> bool {
        let entry = self.index.get(key).filter(|_| !self.resting(now)).map(|at| &self.entries[usize::from(at)]);
        entry.is_some_and(|entry| entry.known_within(entry.lifetime.stale_if_error, now))
    }

    /// An old answer for when no new one can be made, if its route allows that, and how long ago it was last known to be true.
    pub fn find_old(&mut self, key: Key, now: Micros) -> Option<(u16, Micros)> {
        let at = self.index.get(key).filter(|_| !self.resting(now))?;
        let entry = &self.entries[usize::from(at)];
        let age = now.saturating_sub(entry.verified);
        if !entry.known_within(entry.lifetime.stale_if_error, now) || (self.suspect > 0 && !self.verify(at, now)) {
            return None;
        }
        self.counts.stale_hits += 1;
        Some((at, age))
    }

    /// Whether the next hit is one of the share whose checksum is verified.
    fn is_to_be_verified(&self) -> bool {
        self.suspect > 0 || (self.counts.hits + 1).is_multiple_of(VERIFY_EVERY)
    }

    /// Keeps an answer that is true of the state `stamp`.
    ///
    /// # Errors
    /// [`Refused`]; nothing is kept then.
    pub fn insert(&mut self, key: Key, stamp: Stamp, answer: &Answer, now: Micros) -> Result<(), Refused> {
        let Answer { head, body, tag, cost, lifetime, tables } = *answer;
        let blocks = (head.len() + body.len()).div_ceil(CACHE_BLOCK_BYTES) as u16;
        let lifetime = Lifetime { critical: lifetime.critical && self.has_room_for_critical(key, blocks), ..lifetime };
        let refused = if self.resting(now) || (self.short && !lifetime.critical) {
            Some(Refused::Resting)
        } else if body.len() > CACHE_BODY_BYTES {
            Some(Refused::TooLarge)
        } else {
            self.make_room(key, head.len() + body.len())
        };
        if let Some(refused) = refused {
            self.counts.refused += 1;
            return Err(refused);
        }
        let at = self.free.pop().expect("make_room leaves an entry");
        let mut bytes = Chain::EMPTY;
        let pushed = self.blocks.push(&mut bytes, head).and_then(|()| self.blocks.push(&mut bytes, body));
        assert!(pushed.is_ok(), "make_room leaves the blocks");
        let cost = u32::try_from(cost).unwrap_or(u32::MAX);
        self.entries[usize::from(at)] = Entry {
            key,
            stamp: Some(stamp),
            bytes,
            head: head.len(),
            tag: Some(tag),
            checksum: checksum([head, body].into_iter()),
            lifetime,
            tables,
            made: now,
            verified: now,
            flipped: false,
        };
        let indexed = self.index.insert(key, at);
        assert_eq!(indexed, Ok(None), "the index is twice as large as the cache, and the key's old entry was dropped");
        self.eviction.insert(at, (key >> 64) as u64, blocks, cost, lifetime.critical);
        self.critical_blocks += if lifetime.critical { usize::from(blocks) } else { 0 };
        self.counts.inserted += 1;
        self.counts.largest = self.counts.largest.max((head.len() + body.len()) as u64);
        self.entries_high = self.entries_high.max(self.entries());
        Ok(())
    }

    /// A commit of ours led from the state `before` to `after`, with nobody else's between, and wrote `tables`: what was made of others stays true.
    pub fn renew(&mut self, before: Stamp, after: Stamp, tables: &TableSet) {
        for entry in self.entries.iter_mut().filter(|entry| entry.stamp == Some(before) && !tables.meets(&entry.tables)) {
            entry.stamp = Some(after);
            self.counts.renewed += 1;
        }
    }

    /// An entry's tag, as found by [`Cache::find`].
    pub fn tag(&self, at: u16) -> Option<EntityTag> {
        self.entries[usize::from(at)].tag
    }

    /// An entry's bytes as slices, head then body or the head alone; how many were filled.
    pub fn slices<'a>(&'a self, at: u16, body: bool, slices: &mut [IoSlice<'a>]) -> usize {
        let entry = &self.entries[usize::from(at)];
        self.blocks.slices(&entry.bytes, if body { usize::MAX } else { entry.head }, slices)
    }

    /// Verifies some entries, in turn; called about once a second.
    pub fn sweep(&mut self, now: Micros) {
        for _ in 0..SWEEP.min(CACHE_ENTRIES) {
            self.suspect = self.suspect.saturating_sub(1);
            self.swept = (self.swept + 1) % CACHE_ENTRIES;
            if self.entries[self.swept].key != 0 {
                self.verify(self.swept as u16, now);
            }
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        for at in 0..CACHE_ENTRIES as u16 {
            if self.entries[usize::from(at)].key != 0 {
                self.drop_entry(at);
            }
        }
    }

    /// Begins again from nothing, whatever state a panic has left it in. What was counted stays.
    pub fn rebuild(&mut self) {
        self.entries.iter_mut().for_each(|entry| *entry = Entry::EMPTY);
        self.free.clear();
        // One place an entry.
        self.free.extend((0..CACHE_ENTRIES as u16).rev());
        self.blocks.reset();
        self.index.clear();
        self.eviction.clear();
        (self.swept, self.suspect, self.critical_blocks) = (0, 0, 0);
    }

    /// Gives the regions back.
    pub fn into_regions(self) -> CacheRegions {
        let (blocks, next) = self.blocks.into_parts();
        CacheRegions { blocks, next }
    }

    /// Entries in it.
    pub fn entries(&self) -> usize {
        CACHE_ENTRIES - self.free.len()
    }

    /// The most entries that ever were in it.
    pub fn entries_high(&self) -> usize {
        self.entries_high
    }

    /// Blocks in use and the most that ever were.
    pub fn blocks(&self) -> (usize, usize) {
        (self.blocks.total() - self.blocks.free(), self.blocks.high_water())
    }

    /// What its places hold, counted one by one: entries, those that the index leads to, blocks.
    pub(super) fn held(&self) -> (usize, usize, usize) {
        let held = || self.entries.iter().enumerate().filter(|(_, entry)| entry.key != 0);
        let indexed = held().filter(|&(at, entry)| self.index.get(entry.key) == Some(at as u16)).count();
        (held().count(), indexed, held().map(|(_, entry)| Blocks::<CACHE_BLOCK_BYTES>::held(&entry.bytes)).sum())
    }

    /// Whether it keeps and gives nothing: after mismatches.
    pub fn resting(&self, now: Micros) -> bool {
        now < self.resting_until
    }

    fn make_room(&mut self, key: Key, bytes: usize) -> Option<Refused> {
        if let Some(old) = self.index.get(key) {
            self.drop_entry(old);
        }
        while self.free.is_empty() || self.blocks.needed(&Chain::EMPTY, bytes) > self.blocks.free() {
            let Some(victim) = self.eviction.victim(|_| true) else { return Some(Refused::NoRoom) };
            self.eviction.evicted(victim);
            self.forget(victim);
            self.counts.evicted += 1;
        }
        None
    }

    fn drop_entry(&mut self, at: u16) {
        self.eviction.remove(at);
        self.forget(at);
    }

    fn forget(&mut self, at: u16) {
        let entry = &mut self.entries[usize::from(at)];
        self.index.remove(entry.key);
        if entry.lifetime.critical {
            self.critical_blocks -= entry.bytes.len().div_ceil(CACHE_BLOCK_BYTES);
        }
        self.blocks.release(&mut entry.bytes);
        *entry = Entry::EMPTY;
        let pushed = self.free.push(at);
        assert!(pushed.is_ok(), "one place an entry");
    }

    /// Whether an entry is what was kept; if not it goes, and after a few the whole cache does.
    fn verify(&mut self, at: u16, now: Micros) -> bool {
        self.counts.verified += 1;
        let entry = &self.entries[usize::from(at)];
        let mut slices = [IoSlice::new(&[]); CACHE_SLICES];
        let count = self.blocks.slices(&entry.bytes, usize::MAX, &mut slices);
        if checksum(slices[..count].iter().map(|slice| &**slice)) == entry.checksum {
            return true;
        }
        self.counts.mismatches += 1;
        self.suspect = CACHE_ENTRIES;
        log::error!("a cached answer was damaged in memory; it is dropped ({} so far)", self.counts.mismatches);
        self.drop_entry(at);
        if self.counts.mismatches.is_multiple_of(MISMATCHES) {
            self.clear();
            self.resting_until = now + REST;
            self.counts.rests += 1;
            log::error!("the cache is emptied and rests for {} s", REST / 1_000_000);
        }
        false
    }

    /// Flips a bit in the body of an entry that is whole, for drills and tests; whether there was one. From then on every hit is verified,
    /// as after a mismatch: a drill gives nobody a wrong answer.
    pub fn damage_one(&mut self) -> bool {
        let whole = |entry: &&mut Entry| entry.key != 0 && !entry.flipped && entry.bytes.len() > entry.head;
        let Some(entry) = self.entries.iter_mut().find(whole) else { return false };
        let Some(byte) = self.blocks.byte(&entry.bytes, entry.head) else { return false };
        *byte ^= 1;
        entry.flipped = true;
        self.suspect = CACHE_ENTRIES;
        true
    }

    /// Flips a bit of an entry, as it may happen to memory: nobody knows.
    #[cfg(test)]
    fn damage(&mut self, at: u16) {
        if let Some(byte) = self.blocks.byte(&self.entries[usize::from(at)].bytes, 0) {
            *byte ^= 1;
        }
    }
}

/// Slices that the longest entry has.
pub const CACHE_SLICES: usize = (CACHE_BODY_BYTES + crate::budget::ANSWER_HEAD_BYTES).div_ceil(CACHE_BLOCK_BYTES) + 1;

fn checksum<'b>(parts: impl Iterator<Item = &'b [u8]>) -> u64 {
    // Against bits that fall over, not against people: the key may be known.
    let mut hasher = SipHasher13::new();
    for part in parts {
        hasher.write(part);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
