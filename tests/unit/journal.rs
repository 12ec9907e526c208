//! Priorities in front of the log's lines, for the journal alone.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::SQL;
use super::configured::{route, start, toml};
use super::server::{Start, end_of, wait_for};

/// A file for the log, and how $JOURNAL_STREAM would name it.
fn stream(folder: &Path) -> (File, String) {
    let file = File::create(folder.join("stderr")).expect("the test's folder");
    let metadata = file.metadata().expect("a file");
    let name = format!("{}:{}", metadata.dev(), metadata.ino());
    (file, name)
}

/// What a server writes about a reload that it refuses: an error of several lines, and a warning.
fn log_of(name_of: impl Fn(&str) -> Option<String>) -> String {
    let start = start(SQL, &toml("", &route("/r", "SELECT 1 AS one", "")));
    let (file, name) = stream(start.folder());
    let start = start.stderr(file.into()).arguments(&["--no-sandbox"]);
    let server = match name_of(&name) {
        Some(name) => start.environment("JOURNAL_STREAM", &name),
        None => start,
    }
    .run();
    std::fs::write(server.config_path(), "nonsense = 1").expect("the test's folder");
    server.signal(rustix::process::Signal::HUP);
    let mut text = String::new();
    wait_for("the refusal is in the log", || {
        text = std::fs::read_to_string(server.folder.path().join("stderr")).expect("the log");
        text.contains("flagstone --example")
    });
    text
}

#[test]
fn each_line_has_a_priority_where_the_journal_reads() {
    let text = log_of(|name| Some(name.to_string()));
    let priority = |line: &str| {
        let known = ["<3>", "<4>", "<6>"].into_iter().find(|priority| line.starts_with(priority));
        known.unwrap_or_else(|| panic!("{line:?} has none:\n{text}"))
    };
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() > 5, "{text}");
    for line in &lines {
        let level =
            [("WARN ", "<4>"), ("INFO ", "<6>"), ("ERROR ", "<3>")].into_iter().find(|(word, _)| line[3..].starts_with(word));
        // A line that goes on has the priority of its message, which is an error here.
        assert_eq!(priority(line), level.map_or("<3>", |(_, priority)| priority), "{text}");
    }
}

#[test]
fn nobody_else_sees_one() {
    for text in [log_of(|_| None), log_of(|_| Some("1:2".to_string())), log_of(|_| Some("nonsense".to_string()))] {
        assert!(!text.is_empty() && text.lines().all(|line| !line.starts_with('<')), "{text}");
    }
}

#[test]
fn last_words_have_one_too() {
    let start = Start::new();
    let (file, name) = stream(start.folder());
    let missing = start.folder().join("missing.db");
    let start = start.environment("JOURNAL_STREAM", &name).stderr(file.into()).database(&missing);
    let (mut child, folder) = start.spawn();
    assert_eq!(end_of(&mut child).and_then(|status| status.code()), Some(66));
    let text = std::fs::read_to_string(folder.path().join("stderr")).expect("the log");
    assert!(text.lines().count() > 1 && text.lines().all(|line| line.starts_with("<3>")), "{text}");
}
