use proptest::prelude::*;

use super::*;

/// Spreads small numbers over 64 bits, as a keyed hash does.
fn hash(number: u64) -> u64 {
    let z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// Evicts one, whichever may go.
fn evict<const N: usize, const GHOSTS: usize>(eviction: &mut Eviction<N, GHOSTS>) -> u16 {
    let victim = eviction.victim(|_| true).expect("something may go");
    eviction.evicted(victim);
    victim
}

#[derive(Clone, Debug)]
enum Step {
    Insert {
        entry: u16,
        key: u64,
        blocks: u16,
        cost: u32,
        critical: bool,
    },
    Touch(u16),
    Remove(u16),
    /// Asks with these entries pinned, and evicts what is named.
    Evict {
        pinned: u16,
    },
    /// Asks only.
    Ask {
        pinned: u16,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let entry = || prop_oneof![0..4_u16, 0..12_u16];
    let cost = prop_oneof![Just(0_u32), 1..1000_u32, Just(u32::MAX)];
    let blocks = prop_oneof![Just(0_u16), 1..30_u16, Just(u16::MAX)];
    let step = prop_oneof![
        8 => (entry(), 0..14_u64, blocks, cost, any::<bool>())
            .prop_map(|(entry, key, blocks, cost, critical)| Step::Insert { entry, key, blocks, cost, critical }),
        8 => entry().prop_map(Step::Touch),
        3 => entry().prop_map(Step::Remove),
        5 => any::<u16>().prop_map(|pinned| Step::Evict { pinned }),
        2 => any::<u16>().prop_map(|pinned| Step::Ask { pinned }),
    ];
    prop::collection::vec(step, 1..400)
}

/// The model is who is present and whether it is critical; the order is the policy's own affair.
fn keeps_its_promises<const N: usize>(steps: &[Step]) -> Result<(), TestCaseError> {
    let mut eviction: Eviction<N, 8> = Eviction::new(N * 2);
    let mut present: [Option<bool>; N] = [None; N];
    for step in steps {
        match *step {
            Step::Insert { entry, key, blocks, cost, critical } if present.get(usize::from(entry)) == Some(&None) => {
                eviction.insert(entry, hash(key), blocks, cost, critical);
                present[usize::from(entry)] = Some(critical);
            }
            Step::Touch(entry) if usize::from(entry) < N => eviction.touch(entry),
            Step::Remove(entry) if usize::from(entry) < N => {
                eviction.remove(entry);
                present[usize::from(entry)] = None;
            }
            Step::Evict { pinned } | Step::Ask { pinned } => {
                let may_go = |entry: u16| pinned >> entry & 1 == 0;
                let among = |critical| (0..N as u16).any(|e| may_go(e) && present[usize::from(e)] == Some(critical));
                match eviction.victim(may_go) {
                    Some(victim) => {
                        let critical = present[usize::from(victim)];
                        prop_assert!(critical.is_some() && may_go(victim), "{} is absent or pinned", victim);
                        prop_assert!(critical == Some(false) || !among(false), "{} is critical", victim);
                        if matches!(step, Step::Evict { .. }) {
                            eviction.evicted(victim);
                            present[usize::from(victim)] = None;
                        }
                    }
                    None => prop_assert!(!among(false) && !among(true)),
                }
            }
            _ => {}
        }
        prop_assert_eq!(eviction.len(), present.iter().flatten().count());
        prop_assert_eq!(eviction.is_empty(), present.iter().flatten().next().is_none());
        is_in_order(&eviction)?;
    }
    Ok(())
}

/// The line is linked both ways and counted, the heap is one, and each entry knows where it stands.
fn is_in_order<const N: usize, const GHOSTS: usize>(eviction: &Eviction<N, GHOSTS>) -> Result<(), TestCaseError> {
    let (mut at, mut before, mut line, mut blocks) = (eviction.oldest, NONE, 0, 0);
    while at != NONE {
        let entry = eviction.entries[usize::from(at)];
        prop_assert!(entry.state == State::Newcomer && entry.before == before);
        (before, at) = (at, entry.after);
        line += 1;
        blocks += usize::from(entry.blocks);
        prop_assert!(line <= N);
    }
    prop_assert_eq!((line, blocks, before), (eviction.newcomers, eviction.newcomer_blocks, eviction.newest));
    for at in 0..eviction.promoted {
        let entry = eviction.entries[usize::from(eviction.heap[at])];
        prop_assert!(entry.state == State::Promoted && usize::from(entry.before) == at);
        prop_assert!(at == 0 || eviction.score_at((at - 1) / 2) <= eviction.score_at(at));
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_victim_is_present_unpinned_and_critical_last_only(steps in steps()) {
        keeps_its_promises::<2>(&steps)?;
        keeps_its_promises::<3>(&steps)?;
        keeps_its_promises::<4>(&steps)?;
        // Here a newcomer is not many, and the heap has branches.
        keeps_its_promises::<16>(&steps)?;
    }
}

#[test]
fn a_scan_of_one_hit_wonders_pushes_out_nothing_that_is_hit() {
    let mut eviction: Eviction<20, 40> = Eviction::new(1000);
    (0..20).for_each(|entry| eviction.insert(entry, hash(u64::from(entry)), 1, 100, false));
    (0..16).for_each(|hot| eviction.touch(hot));
    for number in 0..1000_u64 {
        (0..16).for_each(|hot| eviction.touch(hot));
        let victim = evict(&mut eviction);
        assert!(victim >= 16, "the scan's request {number} pushed out {victim}");
        eviction.insert(victim, hash(1000 + number), 1, 100, false);
    }
    // Nor does a scan during which nobody asks for them.
    for number in 0..1000_u64 {
        let victim = evict(&mut eviction);
        assert!(victim >= 16, "the scan's request {number} pushed out {victim}");
        eviction.insert(victim, hash(5000 + number), 1, 100, false);
    }
}

#[test]
fn at_equal_hits_large_cheap_answers_leave_before_small_dear_ones() {
    // (blocks, cost) of two entries that are both promoted; the first should leave first.
    let cases =
        [((25, 100), (1, 100)), ((1, 50), (1, 5000)), ((25, 50), (1, 200_000)), ((25, 50), (25, 51 * 51)), ((2, 0), (1, 0))];
    for ((first, second), swapped) in cases.into_iter().flat_map(|case| [(case, false), (case, true)]) {
        let mut eviction: Eviction<2, 4> = Eviction::new(4);
        let (large, small) = if swapped { (1, 0) } else { (0, 1) };
        for (entry, (blocks, cost)) in if swapped { [(small, second), (large, first)] } else { [(large, first), (small, second)] }
        {
            eviction.insert(entry, hash(u64::from(entry)), blocks, cost, false);
            eviction.touch(entry);
            eviction.touch(entry);
        }
        assert_eq!(evict(&mut eviction), large, "{first:?} before {second:?}");
    }
}

#[test]
fn more_hits_outweigh_and_age_wears_them_off() {
    let mut eviction: Eviction<3, 8> = Eviction::new(3);
    for (entry, hits) in [(0, 1), (1, 2), (2, 100)] {
        eviction.insert(entry, hash(u64::from(entry)), 1, 100, true);
        (0..hits).for_each(|_| eviction.touch(entry));
    }
    assert_eq!(evict(&mut eviction), 0);
    // 2 was hit most, but that was long ago: others that come and go raise the age past it.
    let outlived = (0..100).take_while(|round| {
        eviction.insert(0, hash(100 + round), 1, 100, true);
        eviction.touch(1);
        let victim = evict(&mut eviction);
        assert_ne!(victim, 1, "1 is hit all the time");
        victim == 0
    });
    let outlived = outlived.count();
    assert!((3..50).contains(&outlived), "{outlived}");
}

#[test]
fn who_comes_back_soon_is_promoted_whether_it_was_evicted_or_stale() {
    let mut eviction: Eviction<4, 8> = Eviction::new(4);
    let promoted = |eviction: &Eviction<4, 8>, entry: u16| eviction.entries[usize::from(entry)].state == State::Promoted;
    eviction.insert(0, hash(1), 1, 100, false);
    assert!(!promoted(&eviction, 0));
    assert_eq!(evict(&mut eviction), 0);
    eviction.insert(3, hash(1), 1, 100, false);
    assert!(promoted(&eviction, 3), "its ghost was there");
    eviction.remove(3);
    eviction.insert(2, hash(1), 1, 100, false);
    assert!(promoted(&eviction, 2), "a commit does not make it a stranger");
    eviction.insert(1, hash(2), 1, 100, false);
    eviction.remove(1);
    eviction.insert(1, hash(2), 1, 100, false);
    assert!(!promoted(&eviction, 1), "a newcomer that went stale is one still");
}

#[test]
fn scores_are_set_back_long_before_they_overflow() {
    let mut eviction: Eviction<4, 8> = Eviction::new(4);
    eviction.age = SCORE_MAX;
    eviction.insert(0, hash(0), 1, u32::MAX, true);
    eviction.age = SCORE_MAX - 10;
    for entry in 1..4 {
        eviction.insert(entry, hash(u64::from(entry)), 1, 100 * u32::from(entry), false);
        (0..2).for_each(|_| eviction.touch(entry));
    }
    assert_eq!(evict(&mut eviction), 1);
    assert!(eviction.age < SCORE_MAX, "{}", eviction.age);
    assert_eq!([evict(&mut eviction), evict(&mut eviction), evict(&mut eviction)], [2, 3, 0]);
    // Pinned and asked for without end: the score stops short of the critical bit.
    eviction.insert(0, hash(9), 1, 100, true);
    eviction.entries[0].score = u64::MAX;
    assert_eq!(eviction.victim(|_| false), None);
    assert_eq!(evict(&mut eviction), 0);
    assert_eq!(eviction.age, 0);
}

/// All pinned but the last in every order: found, and each call asks about no entry more than a few times.
#[test]
fn one_victim_looks_at_each_entry_a_few_times_at_most() {
    use std::cell::Cell;
    for critical in [false, true] {
        let mut eviction: Eviction<200, 400> = Eviction::new(200);
        (0..200).for_each(|entry| eviction.insert(entry, hash(u64::from(entry)), 1, 100, critical && entry % 2 == 0));
        (0..200).filter(|entry| entry % 3 == 0).for_each(|entry| (0..8).for_each(|_| eviction.touch(entry)));
        for only in (0..200).step_by(7) {
            let asked = Cell::new(0);
            let victim = eviction.victim(|entry| {
                asked.set(asked.get() + 1);
                entry == only
            });
            assert_eq!(victim, Some(only));
            assert!(asked.get() <= 4 * 200 + 2 * PUT_OFF_MAX, "{}", asked.get());
        }
    }
}
