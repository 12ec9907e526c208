//! Equal blocks with a free list, and the byte queues that are chained from them: what clients have not taken yet.
//!
//! Knows nothing of who owns a chain. A chain that is dropped without [`Blocks::release`] is a leak; the owner of the pool can see it,
//! because `free()` and the lengths of all chains must add up.

use std::io::IoSlice;

/// The pool has too few free blocks for what was asked; nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

const NONE: u16 = u16::MAX;

/// A pool of blocks of `BYTES` bytes each.
pub struct Blocks<const BYTES: usize> {
    data: &'static mut [[u8; BYTES]],
    next: &'static mut [u16],
    head: u16,
    free: usize,
    least_free: usize,
}

/// A queue of bytes in a [`Blocks`] pool: bytes enter behind and leave in front.
#[derive(Debug)]
pub struct Chain {
    first: u16,
    last: u16,
    /// Bytes of the first block that have left already.
    start: usize,
    len: usize,
}

impl Chain {
    /// A chain that holds nothing.
    pub const EMPTY: Chain = Chain { first: NONE, last: NONE, start: 0, len: 0 };

    /// Bytes in the queue.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no byte waits.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<const BYTES: usize> Blocks<BYTES> {
    /// A pool over `data`, with `next` as its index; both of equal length, below 65,535.
    pub fn new(data: &'static mut [[u8; BYTES]], next: &'static mut [u16]) -> Blocks<BYTES> {
        assert_eq!(data.len(), next.len(), "one index entry a block");
        assert!(data.len() < NONE as usize, "block numbers are 16 bits");
        let least_free = data.len();
        let mut blocks = Blocks { data, next, head: NONE, free: 0, least_free };
        blocks.reset();
        blocks
    }

    /// Takes all blocks back, whoever holds them: every chain is to be forgotten. For a pool whose state is not to be trusted.
    pub fn reset(&mut self) {
        for (at, entry) in self.next.iter_mut().enumerate() {
            *entry = at as u16 + 1;
        }
        if let Some(last) = self.next.last_mut() {
            *last = NONE;
        }
        self.free = self.data.len();
        self.head = if self.free == 0 { NONE } else { 0 };
    }

    /// Blocks that nobody holds.
    pub const fn free(&self) -> usize {
        self.free
    }

    /// All blocks.
    pub const fn total(&self) -> usize {
        self.data.len()
    }

    /// The most blocks that were ever in use at once.
    pub const fn high_water(&self) -> usize {
        self.data.len() - self.least_free
    }

    /// Blocks that a chain holds.
    pub const fn held(chain: &Chain) -> usize {
        if chain.len == 0 { 0 } else { (chain.start + chain.len).div_ceil(BYTES) }
    }

    /// The memory that the pool was made over; what chains still held is gone.
    pub fn into_parts(self) -> (&'static mut [[u8; BYTES]], &'static mut [u16]) {
        (self.data, self.next)
    }

    /// Blocks that `push` of `bytes` more bytes would take from the pool.
    pub const fn needed(&self, chain: &Chain, bytes: usize) -> usize {
        let used = (chain.start + chain.len) % BYTES;
        let room = if chain.len == 0 || used == 0 { 0 } else { BYTES - used };
        bytes.saturating_sub(room).div_ceil(BYTES)
    }

    /// Appends all of `bytes`, or nothing.
    ///
    /// # Errors
    /// [`Full`] when the pool has too few blocks.
    pub fn push(&mut self, chain: &mut Chain, mut bytes: &[u8]) -> Result<(), Full> {
        if self.needed(chain, bytes.len()) > self.free {
            return Err(Full);
        }
        while !bytes.is_empty() {
            let used = (chain.start + chain.len) % BYTES;
            if chain.len == 0 || used == 0 {
                self.extend(chain);
            }
            let used = (chain.start + chain.len) % BYTES;
            let take = bytes.len().min(BYTES - used);
            self.data[chain.last as usize][used..used + take].copy_from_slice(&bytes[..take]);
            chain.len += take;
            bytes = &bytes[take..];
        }
        Ok(())
    }

    /// Takes `count` bytes off the front; blocks that are empty then go back to the pool.
    pub fn consume(&mut self, chain: &mut Chain, count: usize) {
        assert!(count <= chain.len, "only what is queued can leave");
        chain.start += count;
        chain.len -= count;
        while chain.first != NONE && (chain.start >= BYTES || chain.len == 0) {
            let block = chain.first;
            chain.first = self.next[block as usize];
            chain.start = chain.start.saturating_sub(BYTES);
            self.give_back(block);
        }
        if chain.len == 0 {
            *chain = Chain::EMPTY;
        }
    }

    /// Gives all blocks of a chain back.
    pub fn release(&mut self, chain: &mut Chain) {
        self.consume(chain, chain.len);
    }

    /// At most `most` of the queue's bytes from the front as slices for one writev; returns how many of `slices` were filled.
    pub fn slices<'a>(&'a self, chain: &Chain, most: usize, slices: &mut [IoSlice<'a>]) -> usize {
        let (mut block, mut start, mut left, mut count) = (chain.first, chain.start, chain.len.min(most), 0);
        while left > 0 && count < slices.len() {
            let take = left.min(BYTES - start);
            slices[count] = IoSlice::new(&self.data[block as usize][start..start + take]);
            count += 1;
            left -= take;
            start = 0;
            block = self.next[block as usize];
        }
        count
    }

    /// Gives the pages that hold nothing of anybody's back to the kernel; their next use takes them again, zeroed.
    pub fn give_pages_back(&mut self) {
        // A bit for each block that a number can name.
        let mut free = [0_u64; 1024];
        let mut block = self.head;
        while block != NONE {
            free[usize::from(block) / 64] |= 1 << (block % 64);
            block = self.next[usize::from(block)];
        }
        let is_free = |block: &usize| free[block / 64] & 1 << (block % 64) != 0;
        let mut from = 0;
        while let Some(start) = (from..self.data.len()).find(is_free) {
            from = (start..self.data.len()).find(|block| !is_free(block)).unwrap_or(self.data.len());
            super::statics::give_back(self.data[start..from].as_flattened_mut());
        }
    }

    /// The byte at a place of a chain, to be damaged by drills and tests.
    pub fn byte(&mut self, chain: &Chain, at: usize) -> Option<&mut u8> {
        let (mut block, mut at) = (chain.first, chain.start + at);
        if at >= chain.start + chain.len {
            return None;
        }
        while at >= BYTES {
            block = self.next[block as usize];
            at -= BYTES;
        }
        Some(&mut self.data[block as usize][at])
    }

    fn extend(&mut self, chain: &mut Chain) {
        let block = self.head;
        assert!(block != NONE, "the caller has counted the free blocks");
        self.head = self.next[block as usize];
        self.free -= 1;
        self.least_free = self.least_free.min(self.free);
        self.next[block as usize] = NONE;
        if chain.len == 0 {
            *chain = Chain { first: block, last: block, start: 0, len: 0 };
        } else {
            self.next[chain.last as usize] = block;
            chain.last = block;
        }
    }

    fn give_back(&mut self, block: u16) {
        self.next[block as usize] = self.head;
        self.head = block;
        self.free += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pool(blocks: usize) -> Blocks<4> {
        Blocks::new(vec![[0; 4]; blocks].leak(), vec![0; blocks].leak())
    }

    fn bytes(pool: &Blocks<4>, chain: &Chain) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let count = pool.slices(chain, usize::MAX, &mut slices);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn pages_that_are_given_back_take_nobodys_bytes() {
        let mut pool: Blocks<2048> = Blocks::new(vec![[0; 2048]; 64].leak(), vec![0; 64].leak());
        let mut chains: Vec<Chain> = (0..32).map(|_| Chain::EMPTY).collect();
        for (at, chain) in chains.iter_mut().enumerate() {
            pool.push(chain, &[at as u8 + 1; 3000]).unwrap();
        }
        chains.iter_mut().skip(1).step_by(3).for_each(|chain| pool.release(chain));
        chains.iter_mut().skip(2).step_by(3).for_each(|chain| pool.release(chain));
        pool.give_pages_back();
        for (at, chain) in chains.iter().enumerate().step_by(3) {
            let mut slices = [IoSlice::new(&[]); 4];
            let count = pool.slices(chain, usize::MAX, &mut slices);
            assert!(slices[..count].iter().all(|slice| slice.iter().all(|&byte| usize::from(byte) == at + 1)), "{at}");
        }
        let mut all = Chain::EMPTY;
        let free = pool.free() * 2048;
        pool.push(&mut all, &vec![9; free]).unwrap();
    }

    #[test]
    fn a_push_that_does_not_fit_takes_nothing() {
        let mut pool = pool(2);
        let mut chain = Chain::EMPTY;
        assert_eq!(pool.push(&mut chain, b"123456789"), Err(Full));
        assert_eq!((pool.free(), chain.len()), (2, 0));
        assert_eq!(pool.push(&mut chain, b"12345678"), Ok(()));
        assert_eq!(pool.push(&mut chain, b"9"), Err(Full));
        pool.consume(&mut chain, 4);
        assert_eq!(pool.push(&mut chain, b"9"), Ok(()));
        assert_eq!(bytes(&pool, &chain), b"56789");
        pool.release(&mut chain);
        assert_eq!((pool.free(), pool.high_water()), (2, 2));
    }

    proptest! {
        #[test]
        fn chains_are_queues_and_no_block_is_lost(steps in proptest::collection::vec((0_usize..3, any::<bool>(), 0_usize..14), 1..200)) {
            let mut pool = pool(12);
            let mut chains = [Chain::EMPTY, Chain::EMPTY, Chain::EMPTY];
            let mut models = [Vec::new(), Vec::new(), Vec::new()];
            let mut value = 0_u8;
            for (which, push, count) in steps {
                if push {
                    let added: Vec<u8> = (0..count).map(|i| value.wrapping_add(i as u8)).collect();
                    value = value.wrapping_add(count as u8);
                    let fits = pool.needed(&chains[which], count) <= pool.free();
                    prop_assert_eq!(pool.push(&mut chains[which], &added).is_ok(), fits);
                    if fits {
                        models[which].extend(added);
                    }
                } else {
                    let count = count.min(models[which].len());
                    pool.consume(&mut chains[which], count);
                    models[which].drain(..count);
                }
                for (chain, model) in chains.iter().zip(&models) {
                    prop_assert_eq!(&bytes(&pool, chain), model);
                }
                prop_assert_eq!(pool.free() + chains.iter().map(Blocks::<4>::held).sum::<usize>(), 12);
            }
            for chain in &mut chains {
                pool.release(chain);
            }
            prop_assert_eq!(pool.free(), 12);
        }
    }
}
