//! The oracle, small: the server passes, each planted fault is caught, and no process outlives a run.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const DEADLINE: Duration = Duration::from_secs(30);

/// The server, built as the tests are.
fn server() -> &'static Path {
    static SERVER: OnceLock<PathBuf> = OnceLock::new();
    SERVER.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let tools = Path::new(env!("CARGO_BIN_EXE_tools"));
        let folder = tools.parent().unwrap();
        let mut command = Command::new(env!("CARGO"));
        command.current_dir(root).args(["build", "--workspace", "--locked", "--bin", "flagstone"]);
        if folder.ends_with("release") {
            command.arg("--release");
        }
        assert!(command.status().unwrap().success());
        folder.join("flagstone")
    })
}

/// An oracle whose files, and so the arguments of its processes, are all below `folder`.
fn oracle(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tools"));
    command.arg("oracle").args(words).arg("--server").arg(server()).env("TMPDIR", folder).env("RUST_BACKTRACE", "0");
    command
}

fn run(words: &[&str]) -> (Output, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = oracle(folder.path(), words).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // For whoever reads a failure: it holds the seed.
    println!("{words:?}: {text}");
    nothing_is_left(folder.path());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "files are left");
    (output, text)
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
}

/// An oracle that is under way: server and writers run.
fn started(folder: &Path) -> Child {
    let words = ["--seconds", "60", "--mode", "wal", "--connections", "2"];
    let oracle = oracle(folder, &words).stdout(Stdio::piped()).spawn().unwrap();
    wait_for("server and writers run", || processes(folder) >= 4);
    oracle
}

#[test]
fn the_server_answers_nothing_that_was_not_true() {
    let (output, text) = run(&["--seconds", "3", "--connections", "6"]);
    assert!(output.status.success(), "{text}");
    assert_eq!(text.matches(" 0 violations").count(), 3, "{text}");
    assert!(text.contains("kills") && text.contains("rollbacks") && text.contains("stops of the server"), "{text}");
}

#[test]
fn every_planted_fault_is_caught_and_an_honest_proxy_is_not() {
    for plant in
        ["stale-ttl", "stale-after-checkpoint", "stamp-after", "stale-304", "torn", "dirty", "renew-foreign", "renew-written"]
    {
        let (output, text) = run(&["--seconds", "30", "--mode", "wal", "--connections", "6", "--plant", plant]);
        assert_eq!(output.status.code(), Some(1), "{plant}: {text}");
        let wanted = match plant {
            "torn" => "Torn {",
            "dirty" => "Poison {",
            _ => "Stale {",
        };
        assert!(text.contains("VIOLATION, seed ") && text.contains(wanted), "{plant}: {text}");
    }
    let (output, text) = run(&["--requests", "1500", "--mode", "wal", "--connections", "6", "--plant", "honest"]);
    assert!(output.status.success(), "{text}");
}

#[test]
fn no_process_outlives_a_panic() {
    let (output, text) = run(&["--seconds", "30", "--mode", "wal", "--connections", "4", "--plant", "panic"]);
    assert_eq!(output.status.code(), Some(101), "{text}");
    assert!(text.contains("planted"), "{text}");
}

#[test]
fn no_process_outlives_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let oracle = started(folder.path());
    kill_process(Pid::from_child(&oracle), Signal::TERM).unwrap();
    let output = oracle.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("interrupted"), "{output:?}");
    nothing_is_left(folder.path());

    let mut oracle = started(folder.path());
    oracle.kill().unwrap();
    oracle.wait().unwrap();
    nothing_is_left(folder.path());
}
