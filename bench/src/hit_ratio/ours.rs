//! The server's own policy and index, behind the interface of the others.

use flagstone::policy::cache_index::CacheIndex;
use flagstone::policy::eviction::Eviction;

use super::replay::{Capacity, Policy};
use super::trace::{Item, mix};

/// Policy, index and the keys by entry, as the cache has them.
pub struct Ours<const N: usize, const GHOSTS: usize, const SLOTS: usize> {
    eviction: Eviction<N, GHOSTS>,
    index: CacheIndex<SLOTS>,
    keys: [u32; N],
    free: Vec<u16>,
}

impl<const N: usize, const GHOSTS: usize, const SLOTS: usize> Ours<N, GHOSTS, SLOTS> {
    pub fn new(capacity: Capacity) -> Self {
        assert_eq!(capacity.entries, N);
        let free = (0..N as u16).rev().collect();
        Ours { eviction: Eviction::new(capacity.blocks), index: CacheIndex::new(), keys: [0; N], free }
    }
}

/// Stands for the keyed hash of a request.
fn hash(key: u32) -> u128 {
    u128::from(mix(u64::from(key) + 1)) << 64 | u128::from(mix(!u64::from(key)))
}

impl<const N: usize, const GHOSTS: usize, const SLOTS: usize> Policy for Ours<N, GHOSTS, SLOTS> {
    fn insert(&mut self, key: u32, item: Item) {
        let entry = self.free.pop().expect("the replay keeps to the capacity");
        self.keys[usize::from(entry)] = key;
        assert_eq!(self.index.insert(hash(key), entry), Ok(None));
        self.eviction.insert(entry, (hash(key) >> 64) as u64, item.blocks, item.micros, false);
    }

    fn touch(&mut self, key: u32) {
        let entry = self.index.get(hash(key)).expect("the key is present");
        self.eviction.touch(entry);
    }

    fn evict(&mut self) -> u32 {
        let entry = self.eviction.victim(|_| true).expect("the cache is not empty");
        self.eviction.evicted(entry);
        let key = self.keys[usize::from(entry)];
        assert_eq!(self.index.remove(hash(key)), Some(entry));
        self.free.push(entry);
        key
    }

    fn clear(&mut self) {
        for entry in 0..N as u16 {
            let hash = hash(self.keys[usize::from(entry)]);
            // A free entry's last key may stand in another entry by now.
            if self.index.get(hash) == Some(entry) {
                self.index.remove(hash);
                self.eviction.remove(entry);
                self.free.push(entry);
            }
        }
        assert!(self.eviction.is_empty() && self.index.is_empty());
    }
}
