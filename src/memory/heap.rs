//! Rust's heap: a TLSF allocator over a static arena, counted, and sealed once the server is ready.
//!
//! Nothing can grow it. When it is full, a block that was set aside at start is released so that the work in hand can end, and
//! [`Heap::in_reserve`] tells the front to refuse new work.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::*};

use rlsf::Tlsf;

use crate::budget::HEAP_RESERVE_BYTES;

type Pool = Tlsf<'static, u32, u32, 20, 16>;

/// A global allocator of `N` bytes.
pub struct Heap<const N: usize> {
    busy: AtomicBool,
    state: UnsafeCell<State>,
    region: UnsafeCell<Region<N>>,
    sealed: AtomicBool,
    in_reserve: AtomicBool,
    live: AtomicUsize,
    peak: AtomicUsize,
    allocations: AtomicU64,
    sealed_allocations: AtomicU64,
}

#[repr(align(4096))]
struct Region<const N: usize>(MaybeUninit<[u8; N]>);

struct State {
    pool: Pool,
    filled: bool,
    reserve: Option<NonNull<u8>>,
}

/// What [`Heap::readings`] tells; all since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// Bytes allocated now.
    pub live: usize,
    /// The most that `live` has been.
    pub peak: usize,
    /// Successful allocations.
    pub allocations: u64,
    /// Those of them after [`Heap::seal`].
    pub sealed_allocations: u64,
}

// SAFETY: `state` and `region` are reached only inside `with`, whose flag lets one thread in at a time; the rest is atomic.
unsafe impl<const N: usize> Sync for Heap<N> {}

impl<const N: usize> Heap<N> {
    const RESERVE: Layout = match Layout::from_size_align(HEAP_RESERVE_BYTES, 16) {
        Ok(layout) => layout,
        Err(_) => panic!("a reserve of a legal size"),
    };

    /// An empty heap; its region is given to the pool at the first allocation.
    #[allow(clippy::new_without_default, reason = "a heap is a static, made where its size is chosen")]
    pub const fn new() -> Heap<N> {
        assert!(N > 4 * HEAP_RESERVE_BYTES, "FLAGSTONE_HEAP_KIB leaves too little beside the reserve");
        Heap {
            busy: AtomicBool::new(false),
            state: UnsafeCell::new(State { pool: Tlsf::new(), filled: false, reserve: None }),
            region: UnsafeCell::new(Region(MaybeUninit::uninit())),
            sealed: AtomicBool::new(false),
            in_reserve: AtomicBool::new(false),
            live: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            allocations: AtomicU64::new(0),
            sealed_allocations: AtomicU64::new(0),
        }
    }

    /// From now on allocations are counted apart: a request is meant to make none.
    pub fn seal(&self) {
        self.sealed.store(true, Relaxed);
    }

    /// Whether the set-aside block had to be released: new work should be refused until the process restarts.
    pub fn in_reserve(&self) -> bool {
        self.in_reserve.load(Relaxed)
    }

    /// The counts.
    pub fn readings(&self) -> Readings {
        Readings {
            live: self.live.load(Relaxed),
            peak: self.peak.load(Relaxed),
            allocations: self.allocations.load(Relaxed),
            sealed_allocations: self.sealed_allocations.load(Relaxed),
        }
    }

    /// Whether `block` lies in this heap's region.
    pub fn holds(&self, block: *const u8) -> bool {
        let first = self.region.get().cast_const().cast::<u8>();
        (first..first.wrapping_add(N)).contains(&block)
    }

    /// Writes to every page of the region.
    pub fn touch(&self) {
        self.with(|_, region| {
            let base = region.cast::<u8>();
            for at in (0..N).step_by(4096) {
                // SAFETY: `at < N`, so the byte is inside the region, and `with` keeps every allocator call out
                // meanwhile; the value written is the one read.
                unsafe { base.add(at).write_volatile(base.add(at).read_volatile()) };
            }
        });
    }

    /// The one way to the pool: one thread at a time.
    fn with<R>(&self, body: impl FnOnce(&mut State, *mut Region<N>) -> R) -> R {
        while self.busy.swap(true, Acquire) {
            std::hint::spin_loop();
        }
        // SAFETY: the flag is held, so no other reference to the state exists; the allocator is never re-entered from `body`.
        let state = unsafe { &mut *self.state.get() };
        if !state.filled {
            state.filled = true;
            let region = NonNull::slice_from_raw_parts(
                NonNull::new(self.region.get().cast::<u8>()).expect("a static's address is not null"),
                N,
            );
            // SAFETY: the region is a static that nobody else touches and that lives as long as the pool.
            unsafe { state.pool.insert_free_block_ptr(region) };
            state.reserve = state.pool.allocate(Self::RESERVE);
        }
        let result = body(state, self.region.get());
        self.busy.store(false, Release);
        result
    }

    fn allocate(&self, layout: Layout) -> *mut u8 {
        let block = self.with(|state, _| {
            state.pool.allocate(layout).or_else(|| {
                let reserve = state.reserve.take()?;
                self.in_reserve.store(true, Relaxed);
                // SAFETY: the reserve was allocated from this pool with this alignment and is given back once.
                unsafe { state.pool.deallocate(reserve, Self::RESERVE.align()) };
                state.pool.allocate(layout)
            })
        });
        let Some(block) = block else { return std::ptr::null_mut() };
        self.grew(layout.size());
        self.allocations.fetch_add(1, Relaxed);
        if self.sealed.load(Relaxed) {
            self.sealed_allocations.fetch_add(1, Relaxed);
        }
        block.as_ptr()
    }

    fn grew(&self, bytes: usize) {
        let live = self.live.fetch_add(bytes, Relaxed) + bytes;
        self.peak.fetch_max(live, Relaxed);
    }
}

// SAFETY: blocks come from a TLSF pool over a region that lives for ever, disjoint and aligned as `layout` asks; null means full.
unsafe impl<const N: usize> GlobalAlloc for Heap<N> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.allocate(layout)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(block) = NonNull::new(block) else { return };
        // SAFETY: the caller hands back a block of this allocator with its layout.
        self.with(|state, _| unsafe { state.pool.deallocate(block, layout.align()) });
        self.live.fetch_sub(layout.size(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_heap_says_so_uses_its_reserve_once_and_works_again() {
        static HEAP: Heap<{ 8 * HEAP_RESERVE_BYTES }> = Heap::new();
        let layout = Layout::from_size_align(4096, 8).unwrap();
        let mut blocks = Vec::new();
        loop {
            // SAFETY: the layout has a size.
            let block = unsafe { HEAP.alloc(layout) };
            if block.is_null() {
                break;
            }
            blocks.push(block);
        }
        assert!(HEAP.in_reserve());
        assert!(blocks.len() >= 7 * HEAP_RESERVE_BYTES / 4096, "{} blocks", blocks.len());
        assert_eq!(HEAP.readings().live, blocks.len() * 4096);
        let count = blocks.len();
        for block in blocks.drain(..) {
            // SAFETY: each block came from this heap with this layout.
            unsafe { HEAP.dealloc(block, layout) };
        }
        assert_eq!(HEAP.readings().live, 0);
        assert_eq!(HEAP.readings().peak, count * 4096);
        // SAFETY: the layout has a size.
        assert!(!unsafe { HEAP.alloc(layout) }.is_null());
    }

    #[test]
    fn allocations_after_the_seal_are_counted_apart() {
        static HEAP: Heap<{ 8 * HEAP_RESERVE_BYTES }> = Heap::new();
        let layout = Layout::from_size_align(64, 8).unwrap();
        // SAFETY: the layout has a size.
        unsafe { HEAP.alloc(layout) };
        HEAP.seal();
        // SAFETY: the layout has a size.
        unsafe { HEAP.alloc(layout) };
        let readings = HEAP.readings();
        assert_eq!((readings.allocations, readings.sealed_allocations), (2, 1));
    }
}
