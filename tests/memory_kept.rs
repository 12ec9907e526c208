//! Keeping the configuration's versions allocates nothing while the server runs: in a binary of its own, because every allocation of the
//! process counts.

mod counting;

use counting::allocations;
use flagstone::config::history::{History, Outcome, changed, hash};
use flagstone::start::kept::Kept;

#[test]
fn versions_and_copies_are_kept_without_the_heap() {
    let folder = tempfile::tempdir().expect("a folder");
    // As long a path as is taken: 382 or 383 bytes with the name of the longest file.
    let mut deep = folder.path().to_path_buf();
    while deep.as_os_str().len() + "/config.before.toml".len() < 382 {
        let left = 383 - deep.as_os_str().len() - "/config.before.toml".len();
        deep.push("d".repeat(left.saturating_sub(1).clamp(1, 100)));
    }
    std::fs::create_dir_all(&deep).expect("a deep folder");
    let mut history = History::new();
    let mut kept = Kept::open(&deep, &mut history);
    assert_eq!(kept.note(), None);
    let mut room = vec![0; 64 * 1024];
    let texts = ["a = 1", "a = 2", "a = 3"];
    let mut last = history.clone();
    let before = allocations();
    let mut failures = 0;
    for round in 0..200 {
        let text = texts[round % 3];
        failures += u32::from(kept.keep_good(text).is_err());
        let version = history.record(hash(text.as_bytes()), 7, Outcome::Reloaded, changed(["limits.idle"; 40].into_iter()));
        failures += u32::from(kept.record(&version).is_err());
        failures += u32::from(kept.good(&mut room) != Some(text));
        failures += u32::from(round > 0 && kept.before(&mut room) != Some(texts[(round + 2) % 3]));
    }
    assert_eq!((allocations(), failures), (before, 0));
    drop(Kept::open(&deep, &mut last));
    assert!(last.newest_first().eq(history.newest_first()));
    // What fails allocates nothing either.
    std::fs::remove_dir_all(&deep).expect("the folder goes");
    let version = history.record(1, 2, Outcome::Reset, changed([].into_iter()));
    let before = allocations();
    let failed = kept.record(&version).is_err() && kept.keep_good("a = 4").is_err() && kept.before(&mut room).is_none();
    assert_eq!((allocations(), failed), (before, true));
}
