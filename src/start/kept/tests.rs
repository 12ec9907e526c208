//! The kept files in a folder of their own, also after what a power cut or a stranger may leave there.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::config::history::{Changed, Outcome, VERSIONS};

struct Place {
    folder: TempDir,
    history: History,
    kept: Kept,
}

impl Place {
    fn new() -> Place {
        Place::open(tempfile::tempdir().unwrap())
    }

    fn open(folder: TempDir) -> Place {
        let mut history = History::new();
        let kept = Kept::open(folder.path(), &mut history);
        assert_eq!(kept.note(), None);
        Place { folder, history, kept }
    }

    /// The same place as the next process finds it.
    fn again(self) -> Place {
        Place::open(self.folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn record(&mut self) -> u64 {
        let version = self.next();
        self.kept.record(&version).unwrap();
        version.number
    }

    /// A version with a line of about 200 bytes.
    fn next(&mut self) -> Version {
        self.history.record(7, 1_735_689_599, Outcome::Reloaded, Changed::try_from("limits.idle ".repeat(13).as_str()).unwrap())
    }

    fn copies(&self) -> (Option<String>, Option<String>) {
        let (mut good, mut before) = (vec![0; CONFIG_FILE_BYTES], vec![0; CONFIG_FILE_BYTES]);
        (self.kept.good(&mut good).map(str::to_owned), self.kept.before(&mut before).map(str::to_owned))
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_string())
}

#[test]
fn versions_and_copies_survive_a_restart() {
    let mut place = Place::new();
    assert_eq!((place.record(), place.record(), place.copies()), (1, 2, (None, None)));
    place.kept.keep_good("a = 1").unwrap();
    assert_eq!(place.copies(), (some("a = 1"), None));
    place.kept.keep_good("a = 2").unwrap();
    let mut place = place.again();
    assert_eq!(place.copies(), (some("a = 2"), some("a = 1")));
    assert_eq!(place.history.newest_first().map(|version| version.number).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(place.record(), 3);
    place.kept.keep_good("a = 2").unwrap();
    assert_eq!(place.copies().1, some("a = 1"), "the same text pushes nothing out");
    place.kept.keep_good("a = 1").unwrap();
    assert_eq!(place.copies(), (some("a = 1"), some("a = 2")), "a rollback can be rolled back");
    assert_eq!(place.names(), ["config.audit", "config.before.toml", "config.good.toml"]);
    for name in place.names() {
        assert_eq!(
            fs::metadata(place.path(&name)).unwrap().permissions().mode() & 0o777,
            0o600,
            "{name} may hold tokens' digests"
        );
    }
    assert_eq!(place.kept.failures(), 0);
}

#[test]
fn where_nothing_may_be_written_nothing_is_kept_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    for folder in [file, folder.path().join("missing"), folder.path().join("x".repeat(PATH_BYTES))] {
        let mut history = History::new();
        let mut kept = Kept::open(&folder, &mut history);
        assert!(kept.note().unwrap().ends_with("no version of the configuration is kept"), "{:?}", kept.note());
        let version = history.record(1, 2, Outcome::Started, Changed::new());
        assert!(kept.record(&version).is_ok() && kept.keep_good("a = 1").is_ok());
        assert_eq!((kept.good(&mut [0; 9]), kept.before(&mut [0; 9]), kept.failures()), (None, None, 0));
    }
    assert_eq!(Kept::nowhere("because".to_string()).note(), Some("because"));
}

#[test]
fn the_audit_is_bounded_and_keeps_the_newest() {
    let mut place = Place::new();
    let (mut last, mut largest, mut cuts) = (0, 0, 0);
    for _ in 0..500 {
        let before = fs::metadata(place.path("config.audit")).unwrap().ino();
        last = place.record();
        let now = fs::metadata(place.path("config.audit")).unwrap();
        largest = largest.max(now.len());
        cuts += u32::from(now.ino() != before);
    }
    assert!(cuts >= 2 && largest <= AUDIT_LONG + LINE_BYTES as u64, "{cuts} cuts, {largest} bytes");
    let audit = fs::read(place.path("config.audit")).unwrap();
    let lines: Vec<Version> = audit
        .split_inclusive(|&byte| byte == b'\n')
        .map(|line| Version::read(line.strip_suffix(b"\n").unwrap()).unwrap())
        .collect();
    assert!(lines.windows(2).all(|pair| pair[0].number + 1 == pair[1].number), "whole lines, none missing");
    assert_eq!(lines.last().unwrap().number, last);
    assert!(lines.len() > 70, "half of it stayed: {} lines", lines.len());
    assert_eq!(place.again().record(), last + 1);
}

#[test]
fn a_disk_without_room_bounds_the_audit_too() {
    let mut place = Place::new();
    place.record();
    // A folder in the place of the new file cannot be removed as one, so nothing can be cut.
    fs::create_dir_all(place.path("config.new")).unwrap();
    let mut refused = 0;
    for _ in 0..400 {
        let version = place.next();
        refused += u64::from(place.kept.record(&version).is_err());
    }
    let length = fs::metadata(place.path("config.audit")).unwrap().len();
    assert!(refused > 0 && length <= AUDIT_BYTES && length > AUDIT_LONG, "{refused} refused, {length} bytes");
    assert_eq!(place.kept.failures(), refused);
    assert!(place.kept.keep_good("a = 1").is_err());
    assert_eq!((place.copies(), place.kept.failures()), ((None, None), refused + 1));
    fs::remove_dir(place.path("config.new")).unwrap();
    place.record();
    assert!(
        fs::metadata(place.path("config.audit")).unwrap().len() <= AUDIT_KEPT + LINE_BYTES as u64,
        "and comes back by itself"
    );
    place.kept.keep_good("a = 1").unwrap();
}

#[test]
fn an_audit_that_is_all_garbage_is_cut_and_used_again() {
    for garbage in [vec![0; 40_000], vec![b'x'; 200_000], b"\n".repeat(70_000), vec![0xff; 3]] {
        let place = Place::new();
        fs::write(place.path("config.audit"), &garbage).unwrap();
        let mut place = place.again();
        assert_eq!(place.record(), 1);
        assert!(fs::metadata(place.path("config.audit")).unwrap().len() <= AUDIT_KEPT + 2 * LINE_BYTES as u64);
        assert_eq!(place.again().record(), 2);
    }
}

#[test]
fn a_power_cut_at_any_step_leaves_a_good_copy() {
    // What stands in the folder when the power goes: before the new copy is whole, after the second name, after the one before is it,
    // after all but the folder's sync.
    type Cut = fn(&Place);
    let cuts: [(&str, Cut, &str); 5] = [
        ("new half written", |place| fs::write(place.path("config.new"), "b").unwrap(), "a = 2"),
        (
            "second name",
            |place| {
                fs::write(place.path("config.new"), "a = 3").unwrap();
                fs::hard_link(place.path("config.good.toml"), place.path("config.old")).unwrap();
            },
            "a = 2",
        ),
        (
            "good and before are one",
            |place| {
                fs::remove_file(place.path("config.before.toml")).unwrap();
                fs::hard_link(place.path("config.good.toml"), place.path("config.before.toml")).unwrap();
            },
            "a = 2",
        ),
        (
            "good and before are one, and the second name is left",
            |place| {
                fs::remove_file(place.path("config.before.toml")).unwrap();
                fs::hard_link(place.path("config.good.toml"), place.path("config.before.toml")).unwrap();
                fs::hard_link(place.path("config.good.toml"), place.path("config.old")).unwrap();
            },
            "a = 2",
        ),
        (
            "a file system without second names, between two renames",
            |place| fs::rename(place.path("config.good.toml"), place.path("config.before.toml")).unwrap(),
            "a = 2",
        ),
    ];
    for (name, cut, good) in cuts {
        let mut place = Place::new();
        place.kept.keep_good("a = 1").unwrap();
        place.kept.keep_good("a = 2").unwrap();
        cut(&place);
        let mut place = place.again();
        let (found, before) = place.copies();
        assert_eq!(found.clone().or(before), some(good), "{name}");
        place.kept.keep_good("a = 4").unwrap();
        let (now, before) = place.copies();
        assert_eq!((now, before), (some("a = 4"), some("a = 2")), "{name}");
        assert_eq!(place.names(), ["config.audit", "config.before.toml", "config.good.toml"], "{name}");
    }
}

#[test]
fn a_good_copy_that_somebody_removed_is_made_again() {
    let mut place = Place::new();
    place.kept.keep_good("a = 1").unwrap();
    place.kept.keep_good("a = 2").unwrap();
    fs::remove_file(place.path("config.good.toml")).unwrap();
    place.kept.keep_good("a = 3").unwrap();
    assert_eq!((place.copies(), place.kept.failures()), ((some("a = 3"), some("a = 1")), 0));
}

#[test]
fn there_is_a_whole_good_copy_at_every_moment() {
    let mut place = Place::new();
    let texts = ["a".repeat(CONFIG_FILE_BYTES), "b".repeat(9)];
    place.kept.keep_good(&texts[0]).unwrap();
    let reader = Kept::open(place.folder.path(), &mut History::new());
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looks = scope.spawn(|| {
            let (mut room, mut looks) = (vec![0; CONFIG_FILE_BYTES], 0);
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let good = reader.good(&mut room).expect("there is one");
                assert!(texts.iter().any(|text| text == good), "it is whole");
                looks += 1;
            }
            looks
        });
        (1..=200).for_each(|round| place.kept.keep_good(&texts[round % 2]).unwrap());
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(looks.join().unwrap() > 0);
    });
}

#[test]
fn a_copy_that_cannot_be_a_configuration_is_none() {
    let place = Place::new();
    for garbage in [vec![], vec![0xff, 0xfe], vec![b'#'; CONFIG_FILE_BYTES + 1]] {
        fs::write(place.path("config.good.toml"), &garbage).unwrap();
        assert_eq!(place.copies(), (None, None));
    }
    let mut place = place.again();
    assert!(place.kept.keep_good(&"#".repeat(CONFIG_FILE_BYTES + 1)).is_err(), "longer than a file may be");
    place.kept.keep_good(&"#".repeat(CONFIG_FILE_BYTES)).unwrap();
    let (good, before) = place.copies();
    assert_eq!((good.map(|text| text.len()), before), (Some(CONFIG_FILE_BYTES), None), "garbage is nothing to roll back to");
    assert_eq!(place.kept.good(&mut [0; 9]), None, "a room that is too small");
}

#[test]
fn a_link_laid_into_the_folder_leads_nowhere() {
    let elsewhere = tempfile::tempdir().unwrap();
    let victim = elsewhere.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let mut place = Place::new();
    place.kept.keep_good("a = 1").unwrap();
    for name in ["config.audit", "config.good.toml", "config.before.toml", "config.new", "config.old"] {
        let _ = fs::remove_file(place.path(name));
        symlink(&victim, place.path(name)).unwrap();
    }
    assert_eq!(place.copies(), (None, None));
    let version = place.history.record(1, 2, Outcome::Reset, Changed::new());
    assert!(place.kept.record(&version).is_err());
    let _ = place.kept.keep_good("a = 2");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert!(Kept::open(place.folder.path(), &mut History::new()).note().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_line_torn_by_a_power_cut_costs_itself_alone(lines in 1..20_u64, cut: prop::sample::Index, after in 1..4_u64) {
        let mut place = Place::new();
        (0..lines).for_each(|_| { place.record(); });
        let audit = fs::read(place.path("config.audit")).unwrap();
        let cut = cut.index(audit.len() + 1);
        fs::write(place.path("config.audit"), &audit[..cut]).unwrap();
        let whole = audit[..cut].iter().filter(|&&byte| byte == b'\n').count() as u64;
        let mut place = place.again();
        for number in 1..=after {
            prop_assert_eq!(place.record(), whole + number);
        }
        let found: Vec<u64> = place.again().history.newest_first().map(|version| version.number).collect();
        let expected: Vec<u64> = (1..=whole + after).rev().take(VERSIONS).collect();
        prop_assert_eq!(found, expected);
    }
}
