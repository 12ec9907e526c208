//! Durability, small: the harness finds each weakness of a server made weak, finds none in one that has none, and nothing of it
//! outlives it. Power cuts run where this machine can do them; the tool says so where it cannot.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(30);

/// Exit code of a machine that can cut no power.
const UNAVAILABLE: i32 = 69;

fn durability(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tools"));
    command.arg("durability").args(words).env("TMPDIR", folder);
    command
}

/// Runs it; its exit code and all that it said.
fn run(words: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = durability(folder.path(), words).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // For whoever reads a failure: it holds the seed.
    println!("{words:?}: {text}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "files are left");
    nothing_is_left(folder.path());
    (output.status.code(), text)
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

/// Loop devices of an image below `folder`.
fn loop_devices(folder: &Path) -> usize {
    let name = folder.to_str().unwrap();
    let entries = std::fs::read_dir("/sys/block").into_iter().flatten();
    let images = entries.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("loop/backing_file")).ok());
    images.filter(|image| image.contains(name)).count()
}

fn nothing_is_left(folder: &Path) {
    wait_for("the processes are gone", || processes(folder) == 0);
    wait_for("the loop devices are gone", || loop_devices(folder) == 0);
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(folder.to_str().unwrap()), "{mounts}");
}

#[test]
fn every_weakness_is_found_and_a_server_without_one_passes() {
    let (code, text) = run(&["--self-check", "--clients", "4"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("kill -9, early: 40 times") && text.contains("kill -9, halves: 40 times"), "{text}");
}

#[test]
fn a_loss_is_an_exit_code() {
    let (code, text) = run(&["--cuts", "10", "--server", "reference-off"]);
    if code != Some(UNAVAILABLE) {
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("FAILED") && text.contains("lost:"), "{text}");
    }
    let (code, text) = run(&["--kills", "20", "--server", "reference-halves"]);
    assert_eq!(code, Some(1), "{text}");
}

#[test]
fn a_failing_disk_is_told_and_survived() {
    let (code, text) = run(&["--faults", "--server", "reference-full", "--clients", "4"]);
    assert!(matches!(code, Some(0 | UNAVAILABLE)), "{text}");
}

#[test]
fn nothing_outlives_a_harness_that_is_killed() {
    for disk in ["ext4", "shim"] {
        let folder = tempfile::tempdir().unwrap();
        let words = ["--cuts", "100000", "--disk", disk, "--server", "reference-full"];
        let mut harness = durability(folder.path(), &words).stdout(Stdio::null()).spawn().unwrap();
        // The server names its database.
        wait_for("a server, or none can be", || processes(folder.path()) > 0 || harness.try_wait().unwrap().is_some());
        let _ = harness.kill();
        harness.wait().unwrap();
        nothing_is_left(folder.path());
    }
}

#[test]
fn the_server_keeps_what_it_acknowledged() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let built = Path::new(env!("CARGO_BIN_EXE_tools")).parent().unwrap();
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root).args(["build", "--workspace", "--locked", "--bin", "flagstone"]);
    if built.ends_with("release") {
        command.arg("--release");
    }
    assert!(command.status().unwrap().success());
    let server = built.join("flagstone");
    let (code, text) = run(&["--kills", "6", "--cuts", "6", "--clients", "4", "--server", server.to_str().unwrap()]);
    assert!(matches!(code, Some(0 | UNAVAILABLE)), "{text}");
}
