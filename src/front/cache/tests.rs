//! The rules of what may enter, what is found and what goes.

use super::*;
use crate::http::etag::{TagKey, Tagger};
use crate::job::StampMode;

fn cache() -> Cache {
    let regions = CacheRegions { blocks: vec![[0; CACHE_BLOCK_BYTES]; CACHE_BLOCKS].leak(), next: vec![0; CACHE_BLOCKS].leak() };
    Cache::new(regions)
}

const LIFETIME: Lifetime = Lifetime { ttl: 1000, stale_ok: 0, stale_if_error: 0, critical: false };

fn tag() -> EntityTag {
    Tagger::new(&TagKey([1; 16])).finish()
}

fn insert(cache: &mut Cache, key: Key, stamp: Stamp, size: usize, now: Micros) -> Result<(), Refused> {
    let body: Vec<u8> = (0..size).map(|at| (at as u8).wrapping_mul(key as u8)).collect();
    insert_for(cache, LIFETIME, key, stamp, &body, now)
}

fn insert_for(cache: &mut Cache, lifetime: Lifetime, key: Key, stamp: Stamp, body: &[u8], now: Micros) -> Result<(), Refused> {
    cache.insert(
        key,
        stamp,
        &Answer { head: b"head\r\n\r\n", body, tag: tag(), cost: 1, lifetime, tables: TableSet::EVERYTHING },
        now,
    )
}

fn body(cache: &Cache, at: u16) -> Vec<u8> {
    let mut slices = [IoSlice::new(&[]); CACHE_SLICES];
    let count = cache.slices(at, true, &mut slices);
    slices[..count].iter().flat_map(|slice| slice.to_vec()).skip(b"head\r\n\r\n".len()).collect()
}

fn state(number: u64) -> Stamp {
    Stamp::new(StampMode::Wal, 1, [number; 6])
}

#[test]
fn an_entry_dies_with_its_state_and_with_its_age() {
    let mut cache = cache();
    assert_eq!(cache.find(7, state(1), 0), Found::Miss);
    insert(&mut cache, 7, state(1), 5000, 0).unwrap();
    let Found::Hit(at) = cache.find(7, state(1), 1) else { panic!("it is there") };
    assert_eq!(body(&cache, at).len(), 5000);
    assert_eq!(body(&cache, at)[3], 21);
    assert_eq!(cache.find(7, state(2), 2), Found::Miss, "another state");
    assert_eq!(cache.find(7, state(1), 3), Found::Miss, "it has gone for good");
    insert(&mut cache, 7, state(1), 10, 4).unwrap();
    assert!(matches!(cache.find(7, state(1), 1003), Found::Hit(_)));
    assert_eq!(cache.find(7, state(1), 1004), Found::Miss, "too old");
    assert_eq!((cache.counts.stale, cache.counts.expired, cache.counts.hits), (1, 1, 2));
    assert_eq!((cache.entries(), cache.blocks().0), (0, 0), "nothing is left behind");
}

#[test]
fn an_old_answer_is_given_as_long_as_it_may_be_and_counted_from_when_it_was_true() {
    let mut cache = cache();
    let lifetime = Lifetime { stale_ok: 100, stale_if_error: 300, ..LIFETIME };
    insert_for(&mut cache, lifetime, 7, state(1), b"old", 0).unwrap();
    assert!(matches!(cache.find(7, state(1), 50), Found::Hit(_)));
    assert!(matches!(cache.find(7, state(2), 150), Found::Stale(_, 100)));
    assert_eq!(cache.find(7, state(2), 151), Found::Miss, "older than it may be");
    assert!(matches!(cache.find_old(7, 350), Some((_, 300))), "but kept for a failure");
    assert_eq!((cache.find_old(7, 351), cache.find_old(8, 0)), (None, None));
    assert_eq!(cache.find(7, state(2), 351), Found::Miss);
    assert_eq!((cache.entries(), cache.counts.stale_hits, cache.counts.stale), (0, 2, 1), "and then it goes");
    insert_for(&mut cache, Lifetime { stale_ok: 5000, ..LIFETIME }, 7, state(1), b"old", 1000).unwrap();
    assert_eq!(cache.find(7, state(2), 2000), Found::Miss, "nothing outlives its ttl");
}

#[test]
fn our_own_commit_spares_what_was_made_of_other_tables() {
    let mut cache = cache();
    let of = |place: usize| {
        let mut set = TableSet::NONE;
        set.insert(place);
        set
    };
    for (key, tables) in [(1, of(1)), (2, of(2)), (3, TableSet::EVERYTHING)] {
        let answer = Answer { head: b"head\r\n\r\n", body: b"x", tag: tag(), cost: 1, lifetime: LIFETIME, tables };
        cache.insert(key, state(1), &answer, 0).unwrap();
    }
    cache.renew(state(7), state(8), &of(1));
    cache.renew(state(1), state(2), &of(1));
    let found: Vec<bool> = (1..=3).map(|key| matches!(cache.find(key, state(2), 1), Found::Hit(_))).collect();
    assert_eq!((found, cache.counts.renewed), (vec![false, true, false], 1));
}

#[test]
fn what_is_too_large_stays_out_and_the_largest_fits() {
    let mut cache = cache();
    assert_eq!(insert(&mut cache, 1, state(1), CACHE_BODY_BYTES + 1, 0), Err(Refused::TooLarge));
    assert_eq!(insert(&mut cache, 1, state(1), CACHE_BODY_BYTES, 0), Ok(()));
    let Found::Hit(at) = cache.find(1, state(1), 0) else { panic!("it is there") };
    assert_eq!(body(&cache, at).len(), CACHE_BODY_BYTES);
}

#[test]
fn a_full_cache_makes_room_and_never_mixes_entries_up() {
    let mut cache = cache();
    let mut seed = 7_u64;
    for round in 0..5_000_u64 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let key = Key::from(1 + (seed >> 33) % (2 * CACHE_ENTRIES as u64));
        let size = ((seed >> 20) % 60_000) as usize;
        match cache.find(key, state(1), 0) {
            Found::Hit(at) => {
                let body = body(&cache, at);
                assert!(body.iter().enumerate().all(|(at, &byte)| byte == (at as u8).wrapping_mul(key as u8)), "round {round}");
            }
            _ => insert(&mut cache, key, state(1), size, 0).unwrap(),
        }
    }
    assert!(cache.counts.evicted > 100 && cache.counts.hits > 100);
    assert!(cache.entries() <= CACHE_ENTRIES);
    cache.clear();
    assert_eq!((cache.entries(), cache.blocks().0), (0, 0));
}

#[test]
fn damage_is_dropped_and_repeated_damage_turns_the_cache_off_for_a_while() {
    let mut cache = cache();
    for number in 1..=MISMATCHES {
        assert!(!cache.resting(0));
        insert(&mut cache, 5, state(1), 100, 0).unwrap();
        let Found::Hit(at) = cache.find(5, state(1), 0) else { panic!("it is there") };
        cache.damage(at);
        for _ in 0..CACHE_ENTRIES.div_ceil(SWEEP) {
            cache.sweep(0);
        }
        assert_eq!(cache.counts.mismatches, number, "the sweep has come by");
    }
    assert_eq!(cache.find(5, state(1), 1), Found::Resting);
    assert_eq!(insert(&mut cache, 5, state(1), 100, 1), Err(Refused::Resting));
    assert_eq!(cache.entries(), 0);
    assert_eq!(insert(&mut cache, 5, state(1), 100, REST), Ok(()), "it is back by itself");
}

#[test]
fn a_damaged_entry_is_not_served_by_the_hit_that_verifies_it() {
    let mut cache = cache();
    insert(&mut cache, 5, state(1), 100, 0).unwrap();
    let Found::Hit(at) = cache.find(5, state(1), 0) else { panic!("it is there") };
    cache.damage(at);
    let served = (0..2 * VERIFY_EVERY).take_while(|_| matches!(cache.find(5, state(1), 0), Found::Hit(_))).count();
    assert!(served < VERIFY_EVERY as usize, "{served}");
    assert_eq!(cache.counts.mismatches, 1);
}

#[test]
fn a_pause_leaves_critical_answers_alone_and_the_next_use_works() {
    let mut cache = cache();
    let critical = Lifetime { critical: true, ..LIFETIME };
    for key in 1..40 {
        insert(&mut cache, 2 * key + 1, state(1), 3000, 0).unwrap();
        insert_for(&mut cache, critical, 2 * key, state(1), &[key as u8; 3000], 0).unwrap();
    }
    cache.pause();
    assert_eq!((cache.entries(), cache.critical_bytes().0), (39, 39 * 2 * CACHE_BLOCK_BYTES as u64));
    for key in 1..40 {
        let Found::Hit(at) = cache.find(2 * key, state(1), 0) else { panic!("{key} is critical") };
        assert_eq!(body(&cache, at), [key as u8; 3000], "and its pages are not given away");
        assert_eq!(cache.find(2 * key + 1, state(1), 0), Found::Miss);
    }
    assert_eq!(insert(&mut cache, 6001, state(1), 50_000, 0), Err(Refused::Resting));
    insert_for(&mut cache, critical, 6002, state(1), &[7; 3000], 0).unwrap();
    assert!(matches!(cache.find(6002, state(1), 0), Found::Hit(_)), "critical answers are kept on");
    cache.resume();
    assert_eq!(cache.counts.mismatches, 0);
    cache.clear();
    assert_eq!((cache.critical_bytes().0, cache.blocks().0), (0, 0));
}

#[test]
fn critical_answers_never_have_the_whole_cache_to_themselves() {
    let mut cache = cache();
    let critical = Lifetime { critical: true, ..LIFETIME };
    let size = CACHE_BODY_BYTES;
    let many = (2 * CACHE_BLOCKS * CACHE_BLOCK_BYTES / size) as u128;
    for key in 1..=many {
        insert_for(&mut cache, critical, key, state(1), &vec![1; size], 0).unwrap();
    }
    let (held, all) = cache.critical_bytes();
    assert!(held * 100 <= all * 85 && held * 100 >= all * 60, "{held} of {all}");
    cache.pause();
    let (held, all) = cache.critical_bytes();
    assert!(held * 100 <= all * 15 && held > 0, "{held} of {all} while memory is short");
    assert_eq!(cache.blocks().0 * CACHE_BLOCK_BYTES, held as usize);
}

#[test]
fn after_a_pause_the_cache_is_used_as_before() {
    let mut cache = cache();
    insert(&mut cache, 5, state(1), 50_000, 0).unwrap();
    cache.pause();
    cache.resume();
    assert_eq!(cache.find(5, state(1), 0), Found::Miss);
    insert(&mut cache, 6, state(1), 50_000, 0).unwrap();
    let Found::Hit(at) = cache.find(6, state(1), 0) else { panic!("it is there") };
    assert_eq!(body(&cache, at)[1], 6);
}

#[test]
fn a_bit_that_fell_over_makes_every_hit_suspect_until_all_were_swept() {
    let mut cache = cache();
    for key in 1..=3 {
        insert(&mut cache, key, state(1), 5000, 0).unwrap();
    }
    assert!(cache.damage_one() && cache.damage_one());
    let found = (1..=3).filter(|&key| matches!(cache.find(key, state(1), 1), Found::Hit(_))).count();
    assert_eq!((found, cache.counts.mismatches), (1, 2), "no damaged answer was given");
    let verified = cache.counts.verified;
    let hits = (0..10).filter(|_| (1..=3).any(|key| matches!(cache.find(key, state(1), 1), Found::Hit(_)))).count();
    assert_eq!((hits, cache.counts.verified - verified), (10, 10), "damage seldom comes alone");
    (0..CACHE_ENTRIES.div_ceil(SWEEP)).for_each(|_| cache.sweep(1));
    let verified = cache.counts.verified;
    (0..10).for_each(|_| assert!((1..=3).any(|key| matches!(cache.find(key, state(1), 1), Found::Hit(_)))));
    assert!(cache.counts.verified - verified <= 1, "only the usual share");
}

#[test]
fn a_cache_is_made_anew_from_any_state() {
    let mut cache = cache();
    for key in 1..=40 {
        insert(&mut cache, key, state(1), 5000, 0).unwrap();
    }
    // As a panic halfway would leave it: blocks without an owner, a place that is neither free nor held, a key that leads nowhere.
    cache.entries[3].bytes = Chain::EMPTY;
    cache.entries[5].key = 0;
    cache.free.pop();
    cache.index.insert(99, 7).unwrap();
    cache.rebuild();
    assert_eq!((cache.entries(), cache.blocks().0, cache.held()), (0, 0, (0, 0, 0)));
    assert_eq!(cache.find(99, state(1), 1), Found::Miss);
    for key in 1..=CACHE_ENTRIES as Key {
        insert(&mut cache, key, state(1), 100, 1).unwrap();
    }
    assert_eq!((cache.entries(), cache.counts.evicted), (CACHE_ENTRIES, 0), "all of it can be used");
}
