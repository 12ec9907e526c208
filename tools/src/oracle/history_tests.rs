use super::*;

const BOTH: u32 = 0b11;

fn mark(group: usize, version: Version) -> Mark {
    Mark { group, version, poison: false }
}

/// Versions 10 (group 0), 20 (group 1) and 30 (both), each begun at its version and returned 5 later; 40 begun.
fn history() -> History {
    let mut history = History::new();
    for (version, base, groups) in [(10, 0, 0b01), (20, 10, 0b10), (30, 20, BOTH)] {
        history.begin(version, base, groups, version).unwrap();
        history.returned(version, version + 5);
    }
    history.begin(40, 30, BOTH, 40).unwrap();
    history
}

fn judge(sent: Nanos, received: Nanos, marks: &[Mark]) -> Result<(), Violation> {
    history().judge(&Sight { sent, received, marks })
}

#[test]
fn an_answer_may_be_as_old_as_the_last_commit_before_its_request() {
    assert_eq!(judge(34, 60, &[mark(0, 10), mark(1, 20)]), Ok(()), "30 had not returned");
    let stale = Violation::Stale { group: 0, shown: 10, wanted: 30, committed_at: 35 };
    assert_eq!(judge(35, 60, &[mark(0, 10), mark(1, 20)]), Err(stale));
    assert_eq!(judge(1000, 1001, &[mark(0, 30)]), Ok(()), "40 never returned");
    assert_eq!(judge(29, 60, &[mark(0, 10)]), Ok(()), "20 did not touch group 0");
    assert!(matches!(judge(15, 60, &[mark(0, 0)]), Err(Violation::Stale { .. })));
}

#[test]
fn what_was_not_yet_committing_is_a_dirty_read() {
    assert_eq!(judge(35, 39, &[mark(0, 40)]), Err(Violation::NeverCommitted { group: 0, shown: 40 }));
    assert_eq!(judge(35, 40, &[mark(0, 40)]), Ok(()));
    assert_eq!(judge(35, 60, &[mark(0, 41)]), Err(Violation::NeverCommitted { group: 0, shown: 41 }));
    assert_eq!(judge(12, 60, &[mark(1, 10)]), Err(Violation::NeverCommitted { group: 1, shown: 10 }), "10 wrote no group 1");
    let poison = Mark { group: 1, version: 20, poison: true };
    assert_eq!(judge(12, 60, &[poison]), Err(Violation::Poison { group: 1, shown: 20 }));
    assert_eq!(judge(12, 60, &[]), Err(Violation::Empty));
}

#[test]
fn rows_of_different_moments_are_torn() {
    let torn = Violation::Torn { group: 0, shown: 0, ended: 10, other: 1, other_shown: 20 };
    assert_eq!(judge(0, 60, &[mark(0, 0), mark(1, 20)]), Err(torn));
    assert_eq!(judge(0, 60, &[mark(0, 10), mark(1, 0)]), Ok(()), "true between 10 and 20");
    assert!(matches!(judge(0, 60, &[mark(0, 30), mark(1, 20)]), Err(Violation::Torn { .. })));
}

#[test]
fn what_one_answer_showed_no_later_request_may_miss() {
    let mut history = history();
    let newest = [mark(0, 40)];
    history.judge(&Sight { sent: 36, received: 50, marks: &newest }).unwrap();
    let older = [mark(0, 30)];
    assert_eq!(history.judge(&Sight { sent: 49, received: 60, marks: &older }), Ok(()));
    assert!(matches!(history.judge(&Sight { sent: 50, received: 60, marks: &older }), Err(Violation::Stale { .. })));
}

#[test]
fn the_next_transaction_tells_what_became_of_a_killed_one() {
    let mut lost = history();
    lost.begin(50, 30, BOTH, 50).unwrap();
    let killed = [mark(0, 40)];
    let verdict = lost.judge(&Sight { sent: 36, received: 60, marks: &killed });
    assert_eq!(verdict, Err(Violation::NeverCommitted { group: 0, shown: 40 }));

    let mut kept = history();
    kept.begin(50, 40, BOTH, 50).unwrap();
    assert_eq!((kept.floor(49), kept.floor(50)), (30, 40));

    let mut seen = history();
    seen.judge(&Sight { sent: 36, received: 50, marks: &killed }).unwrap();
    assert_eq!(seen.begin(50, 30, BOTH, 51), Err(Violation::LostCommit { version: 40, base: 30 }));
    assert!(matches!(seen.rolled_back(40), Err(Violation::NeverCommitted { .. })));
    assert_eq!(history().rolled_back(40), Ok(()));
}

#[test]
fn a_replaced_file_binds_after_its_grace() {
    let mut history = history();
    history.replaced(41, 100);
    history.returned(40, 42);
    history.begin(50, 40, BOTH, 60).unwrap();
    assert_eq!((history.floor(140), history.floor(141)), (30, 40));
}

#[test]
fn a_write_through_the_server_has_its_place_by_its_version() {
    // 50 is announced, then others commit 45 upon 40, and it commits upon that.
    let mut history = history();
    assert_eq!(history.announce(50, 41, 0b10), 50);
    assert_eq!(history.announce(50, 41, 0b10), 51, "none is used twice");
    history.begin(45, 40, BOTH, 46).unwrap();
    history.returned(45, 47);
    assert_eq!(history.acknowledged(50, 45, 52), Ok(()));
    assert_eq!((history.floor(51), history.floor(52)), (45, 50), "from its acknowledgement on");
    let stale = history.judge(&Sight { sent: 53, received: 54, marks: &[mark(1, 45)] });
    assert!(matches!(stale, Err(Violation::Stale { wanted: 50, .. })), "{stale:?}");
    // 51 was overtaken by 60, so it may not be seen, nor acknowledged.
    history.begin(60, 50, BOTH, 60).unwrap();
    history.returned(60, 61);
    assert_eq!(history.acknowledged(51, 50, 62), Err(Violation::LostCommit { version: 51, base: 50 }));
}

#[test]
fn a_write_through_the_server_that_forgets_a_commit_is_found() {
    let mut history = history();
    history.returned(40, 45);
    history.announce(50, 46, 0b10);
    assert_eq!(history.acknowledged(50, 30, 52), Err(Violation::LostCommit { version: 40, base: 30 }));
}
