//! Each threshold against its table, each duration, and that nothing flaps faster than they allow.

use proptest::prelude::*;

use super::*;

fn values(alert: Alert, value: Option<i64>) -> Values {
    let mut values = [None; Alert::ALL.len()];
    values[alert as usize] = value;
    values
}

/// What an alert comes to after its condition has held for long enough.
fn settled(alert: Alert, value: i64) -> Option<Level> {
    let mut alerts = Alerts::new();
    for second in 0..=u64::from(alert.rule().after) {
        alerts.look(&values(alert, Some(value)), second * S, |_| ());
    }
    alerts.standing(alert).level
}

#[test]
fn the_thresholds_are_those_of_the_specification() {
    use Level::{Critical, High, Warning};
    type Steps = &'static [(i64, Option<Level>)];
    let cases: &[(Alert, Steps)] = &[
        (Alert::CacheBytes, &[(699, None), (700, Some(Warning)), (850, Some(High)), (949, Some(High)), (950, Some(Critical))]),
        // 400 and 475 of 500.
        (Alert::CacheEntries, &[(799, None), (800, Some(Warning)), (949, Some(Warning)), (950, Some(High)), (1000, Some(High))]),
        (Alert::PoolUse, &[(699, None), (700, Some(Warning)), (850, Some(High)), (950, Some(Critical))]),
        (Alert::QueueWait, &[(199, None), (200, Some(Warning)), (500, Some(High)), (60_000, Some(High))]),
        (Alert::FailedConnections, &[(49, None), (50, Some(Warning))]),
        (Alert::HitRate, &[(700, None), (699, Some(Warning)), (0, Some(Warning))]),
        // 300, 400 and 450 of 512 MB.
        (Alert::SystemMemory, &[(589, None), (590, Some(Warning)), (780, Some(High)), (880, Some(Critical))]),
        (Alert::OwnMemory, &[(1000, None), (1019, None), (1020, Some(Critical))]),
        (Alert::MemorySlope, &[(-150_000, None), (0, None), (149_999, None), (150_000, Some(Warning))]),
        (Alert::DiskSpace, &[(513 * 1_048_576_000, None), (1_048_576_000, Some(Critical)), (0, Some(Critical))]),
    ];
    for (alert, steps) in cases {
        for (value, level) in *steps {
            assert_eq!(settled(*alert, *value), *level, "{alert:?} at {value}");
        }
    }
}

#[test]
fn every_rule_is_in_order() {
    let mut names = std::collections::BTreeSet::new();
    for alert in Alert::ALL {
        let rule = alert.rule();
        assert!(names.insert(rule.name), "{} comes twice", rule.name);
        assert!(rule.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", rule.name);
        let thresholds: Vec<i64> = rule.thresholds.iter().flatten().copied().collect();
        assert!(!thresholds.is_empty(), "{} never comes on", rule.name);
        let worse = |pair: &[i64]| if rule.side == Side::From { pair[0] < pair[1] } else { pair[0] > pair[1] };
        assert!(thresholds.windows(2).all(worse), "{}: a worse level has a worse threshold", rule.name);
        assert!(!rule.wrong.contains(['"', '\\']) && !rule.doing.contains(['"', '\\']), "{}: stands in JSON as it is", rule.name);
    }
}

#[test]
fn a_level_comes_after_its_duration_goes_after_the_other_and_is_told_once() {
    let alert = Alert::SystemMemory;
    let (after, clear) = (u64::from(alert.rule().after), u64::from(alert.rule().clear));
    let mut alerts = Alerts::new();
    let mut told = Vec::new();
    let mut look = |second: u64, value| alerts.look(&values(alert, value), second * S, |change| told.push((second, change)));
    for second in 0..after + 5 {
        look(100 + second, Some(600));
    }
    // Worse: the higher level has its own duration.
    for second in 0..=after {
        look(200 + second, Some(900));
    }
    // A moment of calm is none.
    look(300, Some(500));
    look(301, Some(900));
    for second in 0..=clear {
        look(400 + second, None);
    }
    use Level::{Critical, Warning};
    let change = |from, to, value| Change { alert, from, to, value };
    assert_eq!(
        told,
        [
            (100 + after, change(None, Some(Warning), Some(600))),
            (200 + after, change(Some(Warning), Some(Critical), Some(900))),
            (400 + clear, change(Some(Critical), None, None)),
        ]
    );
    assert_eq!(alerts.standing(alert), Standing { level: None, since: 100 * S, value: None });
}

#[test]
fn the_worst_is_the_highest_level_and_the_first_of_equals() {
    let mut alerts = Alerts::new();
    assert_eq!(alerts.worst(), None);
    let mut all = [None; Alert::ALL.len()];
    all[Alert::HeapReserve as usize] = Some(1000);
    all[Alert::FailedSyncs as usize] = Some(1000);
    all[Alert::ConfigReload as usize] = Some(1000);
    alerts.look(&all, 0, |_| ());
    assert_eq!(alerts.worst(), Some((Alert::HeapReserve, Level::Critical)));
}

proptest! {
    /// Whatever the readings do: a lamp that went on stays for its `clear`, one that went off stays off for its `after`.
    #[test]
    fn nothing_flaps_faster_than_its_durations(
        place in 0..Alert::ALL.len(),
        steps in proptest::collection::vec((1_u64..40, proptest::option::of(0_i64..6)), 1..200),
    ) {
        let alert = Alert::ALL[place];
        let rule = alert.rule();
        let worst = rule.thresholds.iter().flatten().copied().max().unwrap_or(0);
        let mut alerts = Alerts::new();
        let mut turned = [(false, 0_u64); Level::ALL.len()];
        let mut now = 1_000_000 * S;
        for (seconds, value) in steps {
            now += seconds * S;
            alerts.look(&values(alert, value.map(|fifths| worst * fifths / 4)), now, |_| ());
            for (lamp, (was, at)) in alerts.lamps[place].iter().zip(&mut turned) {
                if lamp.on != *was {
                    let least = if lamp.on { rule.after } else { rule.clear };
                    prop_assert!(now >= *at + u64::from(least) * S, "{} turned after {} s", rule.name, (now - *at) / S);
                    (*was, *at) = (lamp.on, now);
                }
            }
        }
    }

    /// No sequence leaves one stuck: when all is well for long enough, all lamps are off; when all is bad, all are on.
    #[test]
    fn nothing_is_stuck(steps in proptest::collection::vec(proptest::option::of(-10_000_000_000_000_i64..10_000_000_000_000), 0..20)) {
        let mut alerts = Alerts::new();
        let mut now = 0;
        for value in steps {
            now += 7 * S;
            alerts.look(&[value; Alert::ALL.len()], now, |_| ());
        }
        let lasting = |alerts: &mut Alerts, value: fn(Alert) -> Option<i64>, now: &mut Micros| {
            let values = Alert::ALL.map(value);
            for _ in 0..=35 {
                *now += 20 * S;
                alerts.look(&values, *now, |_| ());
            }
        };
        let bad = |alert: Alert| Some(if alert.rule().side == Side::From { i64::MAX } else { i64::MIN });
        lasting(&mut alerts, bad, &mut now);
        for alert in Alert::ALL {
            let highest = Level::ALL.into_iter().rev().find(|&level| alert.rule().thresholds[level as usize].is_some());
            prop_assert_eq!(alerts.standing(alert).level, highest);
        }
        lasting(&mut alerts, |_| None, &mut now);
        prop_assert_eq!(alerts.worst(), None);
    }
}
