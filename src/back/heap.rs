//! SQLite's memory: memsys5 and the page cache in static arenas, set before the library starts.
#![allow(unsafe_code)]

use std::ffi::{CString, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rusqlite::ffi;

use crate::budget::{SQLITE_HEAP_BYTES, SQLITE_HEAP_LIMIT_BYTES, SQLITE_PAGES_BYTES, SQLITE_UNIT_BYTES};
use crate::memory::StaticCell;
use crate::memory::statics::prefault;
use crate::ops::readings::Database;

/// SQLite wants its arenas aligned to 8; a page's alignment keeps prefaulting exact.
#[repr(align(4096))]
struct Aligned<const N: usize>([u8; N]);

static HEAP: StaticCell<Aligned<SQLITE_HEAP_BYTES>> = StaticCell::new(Aligned([0; SQLITE_HEAP_BYTES]));
static PAGES: StaticCell<Aligned<SQLITE_PAGES_BYTES>> = StaticCell::new(Aligned([0; SQLITE_PAGES_BYTES]));

/// Sorters keep at least this many pages before they spill; the default of 250 would hold a megabyte of heap.
const SORTER_PAGES: c_int = 16;
/// Fewer page slots than this and even one join would live in the heap.
const LEAST_PAGE_SLOTS: usize = 32;

/// SQLite's arenas, handed out once.
pub struct Arenas {
    heap: &'static mut [u8],
    pages: &'static mut [u8],
    /// SQLite has a pointer to it, which it forgets when it shuts down.
    folder: Option<CString>,
}

/// What went wrong while SQLite was given its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeapError {
    /// SQLite refused an option: it was compiled without it, or had started already.
    Option(&'static str),
    /// The page cache holds too few pages of this size; the constant to raise is FLAGSTONE_SQLITE_PAGES_KIB.
    PagesTooLarge {
        /// The database's page size in bytes.
        page: usize,
        /// The least value of the constant for it, in KiB.
        least_kib: usize,
    },
}

impl Arenas {
    /// The static arenas, resident; `None` when they were taken before.
    pub fn take() -> Option<Arenas> {
        let arenas = Arenas { heap: &mut HEAP.take()?.0, pages: &mut PAGES.take()?.0, folder: None };
        prefault(arenas.heap);
        prefault(arenas.pages);
        Some(arenas)
    }

    /// Gives SQLite its memory for a database with pages of `page` bytes and starts it; the number of page slots. May be called again, with
    /// no connection open, when the database was replaced by one with other pages.
    ///
    /// # Errors
    /// [`HeapError`].
    pub fn install(&mut self, page: usize) -> Result<usize, HeapError> {
        // SAFETY: no connection is open (the caller's contract, which SQLite's own checks back up).
        check("shutdown", unsafe { ffi::sqlite3_shutdown() })?;
        let mut header: c_int = 0;
        // SAFETY: SQLite is not initialised; PCACHE_HDRSZ takes a pointer to an int that it fills.
        check("SQLITE_CONFIG_PCACHE_HDRSZ", unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_PCACHE_HDRSZ, &raw mut header) })?;
        let slot = (page + header as usize).next_multiple_of(8);
        let slots = self.pages.len() / slot;
        if slots < LEAST_PAGE_SLOTS {
            return Err(HeapError::PagesTooLarge { page, least_kib: (slot * LEAST_PAGE_SLOTS).div_ceil(1024) });
        }
        // SAFETY: not initialised; takes no argument. Connections need no mutexes; rusqlite insists on those of the library.
        check("SQLITE_CONFIG_MULTITHREAD", unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_MULTITHREAD) })?;
        check("SQLITE_CONFIG_MUTEX", super::mutexes::install())?;
        let heap: *mut c_void = self.heap.as_mut_ptr().cast();
        let (heap_bytes, unit) = (self.heap.len() as c_int, SQLITE_UNIT_BYTES as c_int);
        // SAFETY: the arena is static, ours alone through `&mut self`, and of the length that is named.
        check("SQLITE_CONFIG_HEAP", unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_HEAP, heap, heap_bytes, unit) })?;
        let pages: *mut c_void = self.pages.as_mut_ptr().cast();
        // SAFETY: as above; `slot * slots` bytes lie within the arena.
        check("SQLITE_CONFIG_PAGECACHE", unsafe {
            ffi::sqlite3_config(ffi::SQLITE_CONFIG_PAGECACHE, pages, slot as c_int, slots as c_int)
        })?;
        // SAFETY: not initialised; takes two ints.
        check("SQLITE_CONFIG_LOOKASIDE", unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_LOOKASIDE, 0 as c_int, 0 as c_int) })?;
        // SAFETY: not initialised; takes an unsigned int.
        check("SQLITE_CONFIG_PMASZ", unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_PMASZ, SORTER_PAGES) })?;
        // SAFETY: not initialised; takes an int used as a boolean.
        check("SQLITE_CONFIG_SMALL_MALLOC", unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_SMALL_MALLOC, 1 as c_int) })?;
        // SAFETY: configuration is complete.
        check("initialize", unsafe { ffi::sqlite3_initialize() })?;
        super::vfs::install().map_err(|_| HeapError::Option("the VFS"))?;
        // SAFETY: takes a number; the limit then holds for every allocation.
        unsafe { ffi::sqlite3_hard_heap_limit64(SQLITE_HEAP_LIMIT_BYTES as i64) };
        // Beyond it a sorter goes to its file, which it would not do for the want of pages alone.
        // SAFETY: takes a number.
        unsafe { ffi::sqlite3_soft_heap_limit64(SQLITE_HEAP_LIMIT_BYTES as i64 / 2) };
        Ok(slots)
    }

    /// Names the folder for temporary files; after [`Arenas::install`] and before any connection is opened.
    pub fn set_temporary_folder(&mut self, folder: &Path) {
        let Ok(name) = CString::new(folder.as_os_str().as_bytes()) else { return };
        let name = self.folder.insert(name);
        // SAFETY: no connection is open and this is the only thread that uses SQLite, so nobody reads the variable meanwhile. The text lives
        // until the next call, before which `install` has made SQLite forget it; SQLite never writes to it.
        unsafe { ffi::sqlite3_temp_directory = name.as_ptr().cast_mut() };
    }
}

impl Drop for Arenas {
    fn drop(&mut self) {
        // SAFETY: as above. The text goes with the arenas, so SQLite must not find it any more.
        unsafe { ffi::sqlite3_temp_directory = std::ptr::null_mut() };
    }
}

/// Lets SQLite use its whole heap until the next [`Arenas::install`]: making the demo needs more than a query may, and at start a failure by
/// fragmentation is told, not suffered.
pub fn lift_limit() {
    // SAFETY: takes a number; 0 is no limit but the arena's end.
    unsafe { ffi::sqlite3_hard_heap_limit64(0) };
    // SAFETY: takes a number.
    unsafe { ffi::sqlite3_soft_heap_limit64(0) };
}

fn check(option: &'static str, code: c_int) -> Result<(), HeapError> {
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(HeapError::Option(option)) }
}

/// Gives the memory of unused pages and buffers back to SQLite's heap.
pub fn release(conn: &rusqlite::Connection) {
    // SAFETY: the connection is open for as long as it is borrowed. The result only says whether there was something to free.
    unsafe { ffi::sqlite3_db_release_memory(conn.handle()) };
}

/// Fills in what SQLite counts about its memory.
pub fn read(readings: &mut Database) {
    (readings.heap_bytes, readings.heap_peak_bytes) = status(ffi::SQLITE_STATUS_MEMORY_USED);
    (_, readings.largest_bytes) = status(ffi::SQLITE_STATUS_MALLOC_SIZE);
    (readings.pages, readings.pages_peak) = status(ffi::SQLITE_STATUS_PAGECACHE_USED);
    (_, readings.pages_overflow_peak_bytes) = status(ffi::SQLITE_STATUS_PAGECACHE_OVERFLOW);
}

fn status(what: c_int) -> (u64, u64) {
    let (mut now, mut peak) = (0, 0);
    // SAFETY: both pointers are to live integers of the right size; an unknown `what` leaves them as they are.
    unsafe { ffi::sqlite3_status64(what, &raw mut now, &raw mut peak, 0) };
    (now.max(0) as u64, peak.max(0) as u64)
}
