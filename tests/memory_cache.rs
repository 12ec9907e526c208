//! The cache gives its pages back to the kernel and takes them again: in a binary of its own, because RssAnon is the whole process's.

use std::io::IoSlice;

use flagstone::budget::{CACHE_BLOCK_BYTES, CACHE_BLOCKS, CACHE_BODY_BYTES, CACHE_ENTRIES};
use flagstone::front::cache::{Answer, CACHE_SLICES, Cache, CacheRegions, Found, Key, Lifetime};
use flagstone::http::etag::{TagKey, Tagger};
use flagstone::job::{Stamp, StampMode, TableSet};
use flagstone::memory::StaticCell;

static BLOCKS: StaticCell<[[u8; CACHE_BLOCK_BYTES]; CACHE_BLOCKS]> = StaticCell::new([[0; CACHE_BLOCK_BYTES]; CACHE_BLOCKS]);
static NEXT: StaticCell<[u16; CACHE_BLOCKS]> = StaticCell::new([0; CACHE_BLOCKS]);

const ARENA: usize = CACHE_BLOCKS * CACHE_BLOCK_BYTES;
/// What else the process may take or give meanwhile, and what the kernel's own count may be off by.
const NEAR: usize = ARENA / 16;
const STATE: Stamp = Stamp::new(StampMode::Wal, 1, [1; 6]);
const HEAD: &[u8] = b"head\r\n\r\n";

fn rss_anon() -> usize {
    let text = std::fs::read_to_string("/proc/self/status").expect("our own");
    let line = text.lines().find(|line| line.starts_with("RssAnon:")).expect("Linux has it");
    line.split_whitespace().nth(1).and_then(|number| number.parse::<usize>().ok()).expect("a number") * 1024
}

fn insert(cache: &mut Cache, key: Key, body: &[u8]) {
    let tag = Tagger::new(&TagKey([1; 16])).finish();
    let lifetime = Lifetime { ttl: 1_000_000, stale_ok: 0, stale_if_error: 0, critical: false };
    let answer = Answer { head: HEAD, body, tag, cost: 1, lifetime, tables: TableSet::EVERYTHING };
    cache.insert(key, STATE, &answer, 0).expect("there is room, or it is made");
}

/// Entries of the largest size until every block has been used.
fn fill(cache: &mut Cache, body: &[u8]) {
    for key in 1..=CACHE_ENTRIES as Key {
        insert(cache, key, body);
        if cache.counts.evicted > 0 {
            break;
        }
    }
    cache.counts.evicted = 0;
}

/// What an entry holds behind its head.
fn body(cache: &mut Cache, key: Key) -> Vec<u8> {
    let Found::Hit(at) = cache.find(key, STATE, 0) else { panic!("it is there") };
    let mut slices = [IoSlice::new(&[]); CACHE_SLICES];
    let count = cache.slices(at, true, &mut slices);
    slices[..count].iter().flat_map(|slice| slice.to_vec()).skip(HEAD.len()).collect()
}

#[test]
fn an_emergency_gives_the_arenas_pages_back_and_the_next_use_takes_them_again() {
    if ARENA == 0 {
        return eprintln!("this build keeps no answers");
    }
    let regions =
        CacheRegions { blocks: BLOCKS.take().expect("the first to take it"), next: NEXT.take().expect("the first to take it") };
    let mut cache = Cache::new(regions);
    let large = vec![7; CACHE_BODY_BYTES];
    let empty = rss_anon();
    fill(&mut cache, &large);
    let full = rss_anon();
    assert!(full >= empty + ARENA - NEAR, "{empty} -> {full}");
    for round in 0..3 {
        cache.pause();
        let given = rss_anon();
        assert!(full - given >= ARENA - NEAR, "round {round}: {full} -> {given}, and the arena has {ARENA}");
        assert_eq!((cache.entries(), cache.find(1, STATE, 0)), (0, Found::Miss));
        cache.resume();
        let small: Vec<u8> = (0..50_000_u32).map(|at| at as u8).collect();
        insert(&mut cache, 1, &small);
        assert_eq!(body(&mut cache, 1), small, "a page that was given back is a page");
        assert!(rss_anon() < given + ARENA / 2, "only what is used comes back");
        fill(&mut cache, &large);
        let again = rss_anon();
        assert!(again.abs_diff(full) <= NEAR, "round {round}: {full} and again {again}");
        eprintln!("RssAnon: full {full}, given back {given}, full again {again}");
    }
}
