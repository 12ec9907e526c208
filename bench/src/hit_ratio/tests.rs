use super::*;

fn shares(pattern: Pattern, sizes: Sizes, seed: u64) -> [Ratios; 7] {
    let trace = Trace::new(pattern, sizes, SMALL.entries, 200 * SMALL.entries, seed);
    columns().map(|(_, ratios)| ratios(&trace, SMALL))
}

#[test]
fn no_policy_exceeds_the_bound() {
    for pattern in PATTERNS {
        for sizes in [Sizes::Equal, Sizes::HeavyTailed] {
            let [policies @ .., bound] = shares(pattern, sizes, 3);
            for ratios in policies {
                let under = ratios.requests <= bound.requests && ratios.bytes <= bound.bytes && ratios.time <= bound.time;
                assert!(under, "{pattern:?} {sizes:?}: {ratios:?} over {bound:?}");
            }
        }
    }
}

#[test]
fn ours_beats_fifo_and_lru_where_popularity_lasts_and_scans_pass_through() {
    for seed in [3, 4] {
        for pattern in [Pattern::Zipf(0.8), Pattern::Zipf(1.0), Pattern::Scans, Pattern::OneHitWonders, Pattern::Loop] {
            let [fifo, lru, _, _, _, ours, _] = shares(pattern, Sizes::Equal, seed);
            assert!(ours.requests > fifo.requests + 5.0, "{pattern:?}: {ours:?} {fifo:?}");
            assert!(ours.requests > lru.requests + 5.0, "{pattern:?}: {ours:?} {lru:?}");
        }
    }
}

#[test]
fn ours_gives_no_requests_away_for_the_database_time_that_it_saves() {
    for pattern in [Pattern::Zipf(0.8), Pattern::Zipf(1.0), Pattern::Scans] {
        let [_, _, sieve, s3_fifo, _, ours, _] = shares(pattern, Sizes::HeavyTailed, 3);
        for peer in [sieve, s3_fifo] {
            assert!(ours.requests > peer.requests - 1.0, "{pattern:?}: {ours:?} {peer:?}");
        }
    }
}

/// With two places, MIN never keeps c.
#[test]
fn the_bound_of_a_trace_worked_by_hand() {
    let item = trace::Item { bytes: BLOCK_BYTES, blocks: 1, micros: 100 };
    let trace = Trace { name: "by hand", items: vec![item; 3], requests: vec![0, 1, 2, 0, 1, 2, 0], commit_every: None };
    let capacity = Capacity { entries: 2, blocks: 2 };
    // a b c, then a hit, b hit, c miss, a hit: three of seven, where LRU has none.
    assert_eq!(bound::bound(&trace, capacity).requests, 300.0 / 7.0);
    assert_eq!(replay(&trace, capacity, &mut peers::Lru::default()).requests, 0.0);
    // A commit before the fourth request leaves nothing to hit but a at the end.
    let trace = Trace { commit_every: Some(3), ..trace };
    assert_eq!(bound::bound(&trace, capacity).requests, 0.0);
}

#[test]
fn the_same_seed_makes_the_same_trace() {
    let make = |seed| Trace::new(Pattern::Shifting, Sizes::HeavyTailed, 64, 1000, seed);
    assert_eq!(make(1).requests, make(1).requests);
    assert_eq!(make(1).items, make(1).items);
    assert_ne!(make(1).requests, make(2).requests);
}

#[test]
fn the_command_line() {
    let parsed = |text: &str| parse(text.split_whitespace().map(OsString::from));
    assert_eq!(parsed("--smoke --seed 9"), Ok(Some(Plan { seed: 9, requests: 60, smoke: true })));
    assert_eq!(parsed("--help"), Ok(None));
    assert!(parsed("--requests 9").is_err() && parsed("--frob").is_err() && parsed("500").is_err());
    assert!(["--smoke", "--seed", "--requests"].iter().all(|option| HELP.contains(option)));
}
