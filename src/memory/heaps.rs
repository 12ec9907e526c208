//! Two heaps behind one global allocator: the main one, and one that a bounded piece of work takes its memory from and gives all of it back.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::heap::{Heap, Readings};

/// A main heap of `MAIN` bytes and one of `ASIDE` bytes for work inside [`Heaps::aside`].
pub struct Heaps<const MAIN: usize, const ASIDE: usize> {
    main: Heap<MAIN>,
    aside: Heap<ASIDE>,
    is_aside: AtomicBool,
    overflows: AtomicU64,
}

impl<const MAIN: usize, const ASIDE: usize> Heaps<MAIN, ASIDE> {
    /// Two empty heaps.
    #[allow(clippy::new_without_default, reason = "a heap is a static, made where its size is chosen")]
    pub const fn new() -> Heaps<MAIN, ASIDE> {
        Heaps { main: Heap::new(), aside: Heap::new(), is_aside: AtomicBool::new(false), overflows: AtomicU64::new(0) }
    }

    /// Runs `work`, whose allocations come from the second heap, and from the main one only when that is full. For the one thread that
    /// serves; blocks may be freed at any time, also behind it.
    pub fn aside<R>(&self, work: impl FnOnce() -> R) -> R {
        struct Back<'a>(&'a AtomicBool, bool);
        impl Drop for Back<'_> {
            fn drop(&mut self) {
                self.0.store(self.1, Relaxed);
            }
        }
        let _back = Back(&self.is_aside, self.is_aside.swap(true, Relaxed));
        work()
    }

    /// From now on allocations of the main heap are counted apart.
    pub fn seal(&self) {
        self.main.seal();
    }

    /// Whether the main heap's set-aside block had to be released.
    pub fn in_reserve(&self) -> bool {
        self.main.in_reserve()
    }

    /// The main heap's counts.
    pub fn readings(&self) -> Readings {
        self.main.readings()
    }

    /// The second heap's counts.
    pub fn aside_readings(&self) -> Readings {
        self.aside.readings()
    }

    /// How often work aside needed the main heap.
    pub fn overflows(&self) -> u64 {
        self.overflows.load(Relaxed)
    }

    /// Makes both regions resident, as [`prefault`](super::statics::prefault) does.
    pub fn prefault(&self) {
        if !super::statics::populates() {
            self.main.touch();
            self.aside.touch();
        }
    }
}

// SAFETY: each block is of one of two allocators, and goes back to the one whose region it lies in.
unsafe impl<const MAIN: usize, const ASIDE: usize> GlobalAlloc for Heaps<MAIN, ASIDE> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.is_aside.load(Relaxed) {
            // SAFETY: the caller's promises are passed on.
            let block = unsafe { self.aside.alloc(layout) };
            if !block.is_null() {
                return block;
            }
            self.overflows.fetch_add(1, Relaxed);
        }
        // SAFETY: the caller's promises are passed on.
        unsafe { self.main.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if self.aside.holds(block) {
            // SAFETY: the block lies in this heap's region, so it came from it.
            unsafe { self.aside.dealloc(block, layout) };
        } else {
            // SAFETY: it came from one of the two, and not from the other.
            unsafe { self.main.dealloc(block, layout) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::HEAP_RESERVE_BYTES;

    #[test]
    fn work_aside_leaves_the_main_heap_alone_until_its_own_is_full() {
        static HEAPS: Heaps<{ 16 * HEAP_RESERVE_BYTES }, { 8 * HEAP_RESERVE_BYTES }> = Heaps::new();
        let layout = Layout::from_size_align(4096, 8).unwrap();
        // SAFETY: the layout has a size.
        let alloc = || unsafe { HEAPS.alloc(layout) };
        // SAFETY: only blocks of `alloc` come here, each once.
        let free = |block| unsafe { HEAPS.dealloc(block, layout) };
        let before = alloc();
        let within = HEAPS.aside(|| {
            free(before);
            alloc()
        });
        assert_eq!((HEAPS.readings().live, HEAPS.aside_readings().live), (0, 4096));
        free(within);
        assert_eq!((HEAPS.readings().allocations, HEAPS.aside_readings().live), (1, 0), "it goes back to where it came from");
        let blocks: Vec<_> = HEAPS.aside(|| (0..100).map(|_| alloc()).collect());
        assert!(blocks.iter().all(|block| !block.is_null()));
        let (main, aside) = (HEAPS.readings().live / 4096, HEAPS.aside_readings().live / 4096);
        assert!(aside > 50 && main == 100 - aside && HEAPS.overflows() == main as u64, "{main} {aside}");
        blocks.into_iter().for_each(free);
        assert_eq!((HEAPS.readings().live, HEAPS.aside_readings().live), (0, 0));
    }
}
