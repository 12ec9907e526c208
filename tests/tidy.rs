//! The house's rules, read from its source: who may import whom, where unsafe may stand, how long a file may be.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, from the top; each may import from itself and from what stands below it.
const ORDER: &[&str] = &[
    "main",
    "start",
    "event_loop",
    "front",
    "back",
    "cli",
    "demo",
    "job",
    "api",
    "http",
    "policy",
    "config",
    "ops",
    "memory",
    "budget",
];

/// Imports against the order that have a reason.
const EXCEPTIONS: &[(&str, &str, &str)] =
    &[("demo", "start", "its errors are start errors"), ("cli", "start", "its errors are start errors, its addresses start's")];

/// A source file: its room, its path and its lines without comments and test modules.
struct Source {
    room: String,
    path: PathBuf,
    lines: Vec<(usize, String)>,
    length: usize,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("src is there") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(source(&root, &path));
            }
        }
    }
    assert!(sources.len() > 40, "the walk finds the source");
    sources
}

fn source(root: &Path, path: &Path) -> Source {
    let text = fs::read_to_string(path).expect("UTF-8");
    let inside = path.strip_prefix(root).expect("below src");
    let room = inside.components().next().expect("a name").as_os_str().to_string_lossy().trim_end_matches(".rs").to_string();
    let is_test =
        path.file_stem().is_some_and(|stem| stem == "tests") || path.components().any(|part| part.as_os_str() == "tests");
    let code = if is_test { "" } else { text.split("#[cfg(test)]\nmod ").next().expect("split gives one part at least") };
    let lines = code.lines().enumerate().map(|(at, line)| (at + 1, without_comment(line).to_string())).collect();
    Source { room, path: inside.to_path_buf(), lines, length: text.lines().count() }
}

fn without_comment(line: &str) -> &str {
    line.split("//").next().expect("split gives one part at least")
}

fn place(room: &str) -> usize {
    ORDER.iter().position(|&known| known == room).unwrap_or_else(|| panic!("{room} is not in the list of rooms"))
}

/// Every line of the rooms that `rule` objects to, with what it says.
fn objections(rule: impl Fn(&Source, &str) -> Option<String>) -> Vec<String> {
    let mut all = Vec::new();
    for source in sources() {
        for (number, line) in &source.lines {
            if let Some(why) = rule(&source, line) {
                all.push(format!("src/{}:{number}: {why}: {}", source.path.display(), line.trim()));
            }
        }
    }
    all
}

fn assert_none(objections: &[String]) {
    assert!(objections.is_empty(), "\n{}", objections.join("\n"));
}

/// The rooms that a line names by `crate::`.
fn imported(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("crate::").map(|(at, word)| {
        let rest = &line[at + word.len()..];
        rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap_or_default()
    })
}

#[test]
fn a_room_imports_only_from_below() {
    assert_none(&objections(|source, line| {
        if matches!(source.room.as_str(), "lib" | "build") {
            return None;
        }
        imported(line)
            .filter(|room| !room.is_empty())
            .find(|room| {
                let excepted = EXCEPTIONS.iter().any(|(from, to, _)| *from == source.room && to == room);
                place(room) < place(&source.room) && !excepted
            })
            .map(|room| format!("{} imports from {room}, which stands above it", source.room))
    }));
}

#[test]
fn front_and_back_never_see_each_other() {
    let foreign = |source: &Source, line: &str, room: &str, words: &[&str]| {
        (source.room == room)
            .then(|| words.iter().find(|word| line.contains(**word)))
            .flatten()
            .map(|word| format!("{room} names {word}"))
    };
    assert_none(&objections(|source, line| {
        foreign(source, line, "front", &["rusqlite", "crate::back"])
            .or_else(|| foreign(source, line, "back", &["mio", "crate::front", "socket"]))
    }));
}

#[test]
fn the_pure_rooms_have_no_clock_no_socket_and_no_file() {
    const WORDS: &[&str] = &[
        "std::time",
        "Instant",
        "SystemTime",
        "std::net",
        "TcpStream",
        "std::fs",
        "File::",
        "std::io",
        "rustix",
        "mio",
        "rusqlite",
        "std::env",
    ];
    assert_none(&objections(|source, line| {
        let pure = matches!(source.room.as_str(), "api" | "http" | "policy" | "config" | "budget" | "job");
        WORDS.iter().find(|word| pure && line.contains(**word)).map(|word| format!("a pure room names {word}"))
    }));
}

#[test]
fn unsafe_stands_in_memory_and_back_alone() {
    assert_none(&objections(|source, line| {
        let word = line.contains("unsafe ") && !line.contains("unsafe_code");
        (word && !matches!(source.room.as_str(), "memory" | "back")).then(|| "unsafe outside its rooms".to_string())
    }));
}

#[test]
fn nobody_but_sqlite_opens_the_database_while_it_is_served() {
    // Who opens files, and which: none of them the database, its -wal, -shm or -journal while a connection is open.
    const OPENERS: &[(&str, &str)] = &[
        ("start/inspect", "looks before SQLite opens"),
        ("start/port_holder", "/proc"),
        ("memory/statics.rs", "/proc/self/maps"),
        ("start/state.rs", "keys in the state directory"),
        ("start/starts.rs", "the count of starts in the state directory, and /proc"),
        ("start/kept.rs", "configurations in the state directory"),
        ("start/configuration.rs", "the configuration's file"),
        ("demo", "makes the demo before it is served"),
        ("ops/process.rs", "/proc/self"),
        ("ops/kernel_file.rs", "/proc and /sys"),
        ("ops/system", "/proc and /sys"),
        ("front/mio_net.rs", "/dev/null as a spare descriptor"),
    ];
    const WORDS: &[&str] =
        &["File::open", "OpenOptions", "fs::read", "fs::copy", "fs::write", "fs::open(", "File::create", "fs::openat"];
    assert_none(&objections(|source, line| {
        let path = source.path.to_string_lossy().replace('\\', "/");
        let known = OPENERS.iter().any(|(opener, _)| path.starts_with(opener));
        WORDS.iter().find(|word| !known && line.contains(**word)).map(|word| format!("{word} in a place that opens no files"))
    }));
}

#[test]
fn nothing_is_left_for_later() {
    const WORDS: &[&str] = &["todo!(", "unimplemented!(", "dbg!(", "#[ignore", "FIXME", "allow(dead_code", "allow(unused"];
    assert_none(&objections(|_, line| WORDS.iter().find(|word| line.contains(**word)).map(|word| format!("has {word}"))));
}

#[test]
fn files_and_functions_stay_short() {
    const FILE: usize = 500;
    const FUNCTION: usize = 70;
    let mut long = Vec::new();
    for source in sources() {
        if source.length > FILE {
            long.push(format!("src/{}: {} lines, at most {FILE}", source.path.display(), source.length));
        }
        let mut start = None;
        for (number, line) in &source.lines {
            let depth = line.len() - line.trim_start().len();
            let word = line.trim_start();
            let begins = ["fn ", "pub fn ", "pub(super) fn ", "pub(crate) fn ", "const fn ", "pub const fn ", "unsafe fn "];
            if begins.iter().any(|begin| word.starts_with(begin)) && !word.ends_with('}') && !word.ends_with(';') {
                start = Some((*number, depth));
            }
            if let Some((from, at)) = start
                && word.starts_with('}')
                && depth == at
            {
                if number - from > FUNCTION {
                    long.push(format!(
                        "src/{}:{from}: a function of {} lines, at most {FUNCTION}",
                        source.path.display(),
                        number - from
                    ));
                }
                start = None;
            }
        }
    }
    assert_none(&long);
}

#[test]
fn no_room_is_called_for_having_no_purpose() {
    const NAMES: &[&str] = &["utils", "util", "helpers", "helper", "common", "manager", "misc"];
    for source in sources() {
        for part in source.path.components() {
            let name = part.as_os_str().to_string_lossy();
            assert!(!NAMES.contains(&name.trim_end_matches(".rs")), "{}", source.path.display());
        }
    }
}
