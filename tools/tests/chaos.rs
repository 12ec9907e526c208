//! Chaos, small: rows that take a second or two pass, each planted fault is found for what it is, and nothing outlives a run.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(30);

/// The server, built as the tests are.
fn server() -> &'static Path {
    static SERVER: OnceLock<PathBuf> = OnceLock::new();
    SERVER.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let folder = Path::new(env!("CARGO_BIN_EXE_tools")).parent().unwrap();
        let mut command = Command::new(env!("CARGO"));
        command.current_dir(root).args(["build", "--workspace", "--locked", "--bin", "flagstone"]);
        if folder.ends_with("release") {
            command.arg("--release");
        }
        assert!(command.status().unwrap().success());
        folder.join("flagstone")
    })
}

fn tools(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tools"));
    command.args(words).arg("--server").arg(server()).env("TMPDIR", folder);
    command
}

/// Runs it; its exit code and all that it said.
fn run(words: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let Output { status, stdout, stderr } = tools(folder.path(), words).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    println!("{words:?}: {text}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "files are left");
    nothing_is_left(folder.path());
    (status.code(), text)
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Processes that name a file below `folder`.
fn processes(folder: &Path) -> usize {
    let name = folder.to_str().unwrap();
    let entries = std::fs::read_dir("/proc").unwrap();
    let commands = entries.filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
    commands.filter(|command| String::from_utf8_lossy(command).contains(name)).count()
}

fn nothing_is_left(folder: &Path) {
    wait_for("the processes are gone", || processes(folder) == 0);
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(folder.to_str().unwrap()), "{mounts}");
}

#[test]
fn quick_rows_pass() {
    let rows = ["client-cap", "half-closed", "pool-reset", "broken-file", "failing-batch", "no-descriptors", "legacy-database"];
    let words: Vec<&str> = ["chaos", "--quick"].into_iter().chain(rows.iter().flat_map(|row| ["--only", row])).collect();
    let (code, text) = run(&words);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("7 passed, 0 skipped, 0 red"), "{text}");
    assert_eq!(text.matches(" 0 wrong").count(), rows.len(), "{text}");
}

#[test]
fn each_planted_fault_is_found_for_what_it_is() {
    for (fault, row, word) in [
        ("flip", "failing-batch", "wrong answers: "),
        ("pause", "failing-batch", "without an answer"),
        ("blind", "failing-batch", "not seen: flagstone_write_replays_total"),
        ("forget", "failing-batch", "acknowledged writes are lost"),
        ("terse", "held-lock", "retry-after is None"),
    ] {
        let (code, text) = run(&["chaos", "--quick", "--only", row, "--plant", fault]);
        assert_eq!(code, Some(1), "{fault}: {text}");
        assert!(text.contains(&format!("{row}: RED")) && text.contains(word), "{fault}: {text}");
    }
    let (code, text) = run(&["chaos", "--quick", "--only", "failing-batch", "--plant", "honest"]);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn a_row_that_this_machine_cannot_run_says_why() {
    let (code, text) = run(&["chaos", "--only", "arm64"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("arm64: skipped: no server for ARM64"), "{text}");
}

#[test]
fn a_small_soak_leaves_nothing() {
    let (code, text) = run(&["soak", "--requests", "20000"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("soak: passed") && text.contains("slope"), "{text}");
}

#[test]
fn nothing_outlives_a_run_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut chaos = tools(folder.path(), &["chaos", "--only", "disk-full"]).stdout(Stdio::null()).spawn().unwrap();
    wait_for("its server, or its end", || processes(folder.path()) > 1 || chaos.try_wait().unwrap().is_some());
    chaos.kill().unwrap();
    chaos.wait().unwrap();
    nothing_is_left(folder.path());
}
