//! A static that is handed out once, as `&'static mut`: how a fixed region of the binary becomes somebody's own.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::mm::Advice;

/// A value in static memory with exactly one owner at a time in the whole life of the process.
pub struct StaticCell<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached only through `take`, which succeeds once; `T: Send` lets that one owner be any thread.
unsafe impl<T: Send> Sync for StaticCell<T> {}

impl<T> StaticCell<T> {
    /// A cell that still holds its value.
    pub const fn new(value: T) -> StaticCell<T> {
        StaticCell { taken: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// The value, for the first caller; `None` for every later one.
    #[allow(clippy::mut_from_ref, reason = "the flag makes this the only reference")]
    pub fn take(&'static self) -> Option<&'static mut T> {
        if self.taken.swap(true, Ordering::AcqRel) {
            return None;
        }
        // SAFETY: the swap lets exactly one caller through, so this is the only reference ever made.
        Some(unsafe { &mut *self.value.get() })
    }
}

/// Bytes of a page, or of a part of one.
const PAGE: usize = 4096;
/// Mappings from this length on are worth huge pages, which are of 2 MiB and aligned to that.
const WORTH_HUGE: usize = 8 * 1024 * 1024;

/// Makes every page of `region` resident by writing to it, where the kernel cannot do it for all memory at once: see [`populate`], which is
/// to be called later either way.
pub fn prefault(region: &mut [u8]) {
    if !populates() {
        touch(region);
    }
}

/// Writes every page of `region`, so that it is resident from now on.
pub fn touch(region: &mut [u8]) {
    for at in (0..region.len()).step_by(PAGE) {
        let byte: *mut u8 = &mut region[at];
        // SAFETY: `byte` comes from a live `&mut u8`; a volatile write of the value it has changes nothing but residency.
        unsafe { byte.write_volatile(byte.read_volatile()) };
    }
}

/// Whether the kernel makes pages resident in one call (Linux 5.14).
pub(super) fn populates() -> bool {
    static ASKED: OnceLock<bool> = OnceLock::new();
    *ASKED.get_or_init(|| {
        let size = rustix::param::page_size();
        let page = (&raw const ASKED).cast_mut().map_addr(|address| address & !(size - 1)).cast();
        // SAFETY: populating reads and changes no byte; the page is that of a static.
        unsafe { rustix::mm::madvise(page, size, Advice::LinuxPopulateWrite) }.is_ok()
    })
}

/// Gives the whole pages inside `region` back to the kernel: their contents become zero, and they are no longer resident until the next use.
/// `region` is static memory, or anonymous memory of the heap.
pub fn give_back(region: &mut [u8]) {
    let skip = region.as_ptr().align_offset(PAGE).min(region.len());
    let whole = &mut region[skip..];
    let bytes = whole.len() / PAGE * PAGE;
    if bytes == 0 {
        return;
    }
    let start: *mut std::ffi::c_void = whole.as_mut_ptr().cast();
    // SAFETY: the range is whole pages inside one exclusive borrow of private writable memory; u8 may be any value, so zeroes are valid.
    let given = unsafe { rustix::mm::madvise(start, bytes, Advice::LinuxDontNeed) };
    debug_assert!(given.is_ok(), "the range is mapped and aligned");
}

/// Makes all private writable memory that the process has mapped resident: statics, the data of libraries, heap and stack.
///
/// In one call for each mapping: a fault for each page takes twice as long. Small statics and libraries' data have no owner who could touch
/// them at all; without this the first request that meets one takes a page. The long ones get huge pages where the kernel has them to give: that
/// is a third of the time of a start. Afterwards no more are wanted, because to make one the kernel would take back what was given back.
///
/// # Errors
/// What /proc/self/maps gave, or `EINVAL` from a kernel before Linux 5.14.
pub fn populate() -> std::io::Result<()> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    for (range, rights) in maps.lines().filter_map(|line| line.split_once(' ')) {
        let bounds = range.split_once('-').map(|(start, end)| (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16)));
        if let Some((Ok(start), Ok(end))) = bounds
            && rights.starts_with("rw-p")
        {
            let pointer = std::ptr::with_exposed_provenance_mut(start);
            // SAFETY: neither populating nor the size of pages reads or changes a byte; whether the range is still mapped the kernel checks.
            let advise = |advice| unsafe { rustix::mm::madvise(pointer, end - start, advice) };
            // A kernel without huge pages says so, and gives others.
            let huge = end - start >= WORTH_HUGE && advise(Advice::LinuxHugepage).is_ok();
            let populated = advise(Advice::LinuxPopulateWrite);
            if huge {
                advise(Advice::LinuxNoHugepage)?;
            }
            populated?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_static_is_handed_out_once() {
        static CELL: StaticCell<[u8; 4]> = StaticCell::new([7; 4]);
        assert_eq!(CELL.take().map(|bytes| bytes[3]), Some(7));
        assert!(CELL.take().is_none());
    }

    #[test]
    fn populating_makes_an_untouched_static_resident() {
        const PAGES: usize = 64;
        static UNTOUCHED: StaticCell<[u8; PAGES * 4096]> = StaticCell::new([0; PAGES * 4096]);
        let start = (UNTOUCHED.value.get().addr() + 4095) & !4095;
        let resident = || {
            // One 64-bit entry a page, whose top bit says "present" (proc_pid_pagemap(5)).
            let pagemap = std::fs::File::open("/proc/self/pagemap").unwrap();
            let mut entries = [0; (PAGES - 1) * 8];
            std::os::unix::fs::FileExt::read_exact_at(&pagemap, &mut entries, (start / 4096 * 8) as u64).unwrap();
            entries.chunks(8).filter(|entry| entry[7] & 0x80 != 0).count()
        };
        assert_eq!(resident(), 0, "nobody has touched it yet");
        // The stack of a test that ends meanwhile is no longer there.
        assert!((0..100).any(|_| populate().is_ok()));
        assert_eq!(resident(), PAGES - 1);
    }

    #[test]
    fn touching_keeps_the_bytes() {
        let mut region = vec![9; 10_000];
        touch(&mut region);
        assert!(region.iter().all(|&byte| byte == 9));
    }
}
