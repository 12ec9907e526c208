//! What the cache does when the machine is short of memory, and what keeps its critical answers from filling it.

use super::{Cache, Key};
use crate::budget::{CACHE_BLOCK_BYTES, CACHE_BLOCKS, CACHE_ENTRIES};

/// Critical answers leave last as long as they hold no more than so many hundredths of the cache; those beyond that come and go as others do.
const CRITICAL_SHARE: usize = 85;
/// The same while the machine is short of memory, when nothing else is kept.
const SHORT_SHARE: usize = 15;

impl Cache {
    /// Drops all but critical answers, gives the pages of what is dropped back to the kernel, and keeps nothing else until [`Cache::resume`].
    pub fn pause(&mut self) {
        self.short = true;
        for at in 0..CACHE_ENTRIES as u16 {
            let entry = &self.entries[usize::from(at)];
            let goes = entry.key != 0 && (!entry.lifetime.critical || self.critical_blocks > CACHE_BLOCKS * SHORT_SHARE / 100);
            if goes {
                self.drop_entry(at);
            }
        }
        self.blocks.give_pages_back();
    }

    /// Keeps all answers again; the pages come back with their use.
    pub fn resume(&mut self) {
        self.short = false;
    }

    /// Whether it keeps critical answers alone because the machine is short of memory.
    pub fn paused(&self) -> bool {
        self.short
    }

    /// Bytes that critical answers hold, and all that there are.
    pub fn critical_bytes(&self) -> (u64, u64) {
        ((self.critical_blocks * CACHE_BLOCK_BYTES) as u64, (CACHE_BLOCKS * CACHE_BLOCK_BYTES) as u64)
    }

    /// Whether one more critical answer may be one that leaves last.
    pub(super) fn has_room_for_critical(&self, key: Key, blocks: u16) -> bool {
        let share = if self.short { SHORT_SHARE } else { CRITICAL_SHARE };
        let old = self.index.get(key).map(|at| &self.entries[usize::from(at)]).filter(|old| old.lifetime.critical);
        let given_up = old.map_or(0, |old| old.bytes.len().div_ceil(CACHE_BLOCK_BYTES));
        self.critical_blocks - given_up + usize::from(blocks) <= CACHE_BLOCKS * share / 100
    }
}
