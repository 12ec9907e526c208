//! The commands as a person runs them: exit codes, the report's form, and that no server is left behind.

use std::process::{Command, Output};

fn bench(arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bench")).args(arguments.split_whitespace()).output().expect("bench runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_target_elsewhere_is_a_usage_error() {
    for target in ["http://192.0.2.1/", "http://example.org/", "https://127.0.0.1/"] {
        let output = bench(&format!("load {target} -n 1"));
        assert_eq!(output.status.code(), Some(64), "{target}: {}", text(&output));
    }
    assert!(text(&bench("load http://192.0.2.1/")).contains("not a loopback address"));
}

#[test]
fn nobody_listening_is_told_and_exits_1() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = bench(&format!("load http://{unused}/ -c 2"));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("connect refused: 2"), "{}", text(&output));
}

#[test]
fn help_names_every_option() {
    for (command, options) in [
        ("load", "--bind-sources --expect --no-keep-alive -p, --rate"),
        ("serve-and-load", "--smoke"),
        ("hit-ratio", "--smoke"),
        ("compare", "--only --peer --rounds --seconds --server --venv --report --smoke"),
        ("profile", "--folder --seconds --server --smoke"),
        ("start", "--mib --rounds --folder --server --smoke"),
        ("crowd", "--idle --busy --rounds --server --smoke"),
    ] {
        let output = bench(&format!("{command} --help"));
        assert_eq!(output.status.code(), Some(0));
        assert!(options.split(' ').all(|option| text(&output).contains(option)), "{}", text(&output));
    }
}

#[test]
fn a_comparison_without_its_server_says_so() {
    for command in ["compare", "profile", "start", "crowd"] {
        let output = bench(&format!("{command} --smoke --server /nowhere/flagstone"));
        assert_eq!(output.status.code(), Some(70), "{}", text(&output));
    }
}

#[test]
fn hit_ratios_are_printed_for_each_policy_and_the_bound() {
    let output = bench("hit-ratio --smoke");
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert!(
        ["fifo", "lru", "sieve", "s3-fifo", "gdsf", "ours", "bound", "seed 7"].iter().all(|name| shown.contains(name)),
        "{shown}"
    );
    assert_eq!(bench("hit-ratio --frob").status.code(), Some(64));
}

#[test]
fn the_baseline_is_served_loaded_measured_and_stopped() {
    let output = bench("serve-and-load --smoke --bare-only");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let shown = text(&output);
    assert!(shown.contains("bare (constant 1 KB)") && shown.contains("closed loop"), "{shown}");

    let output = bench("serve-and-load --smoke --bare-only -- --json -r 200");
    let json = text(&output);
    assert_eq!(output.status.code(), Some(0), "{json}");
    assert!(json.starts_with("{\"machine\":") && json.contains("\"requests\":50,"), "{json}");
    // Left-over children would be children of this very bench, so reaped with it: look for the folder instead.
    let left = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten();
    let left = left.filter(|entry| entry.file_name().to_string_lossy().starts_with("flagstone-bench-"));
    let dead = left.filter(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.split('-').nth(2).unwrap_or_default().to_owned();
        !std::path::Path::new(&format!("/proc/{pid}")).exists()
    });
    assert_eq!(dead.count(), 0);
}

#[test]
fn a_server_that_does_not_start_is_an_internal_error() {
    let output = bench("serve-and-load --smoke --server /bin/false");
    assert_eq!(output.status.code(), Some(70), "{}", text(&output));
    assert!(text(&output).contains("ended before it was ready"), "{}", text(&output));
}

/// Processes whose parent is this one, by /proc.
fn children(parent: u32) -> Vec<u32> {
    let listed = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

#[test]
fn sigterm_in_mid_run_stops_the_server_too() {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["serve-and-load", "--bare-only", "--", "-t", "60"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let server = loop {
        if let Some(&server) = children(bench.id()).first() {
            break server;
        }
        assert!(std::time::Instant::now() < deadline, "no server was started");
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    std::thread::sleep(std::time::Duration::from_millis(200));
    rustix::process::kill_process(rustix::process::Pid::from_child(&bench), rustix::process::Signal::TERM).unwrap();
    assert_eq!(bench.wait().unwrap().code(), Some(1));
    assert!(!std::path::Path::new(&format!("/proc/{server}")).exists(), "{server} lives on");
}

#[test]
fn sigint_ends_a_load_with_its_report() {
    let mut server = Command::new(env!("CARGO_BIN_EXE_bench")).arg("bare").stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(server.stdout.as_mut().unwrap()), &mut line).unwrap();
    let url = line.trim().strip_prefix("bare: ").unwrap();
    let load = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["load", url, "-t", "60", "-c", "2"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(400));
    rustix::process::kill_process(rustix::process::Pid::from_child(&load), rustix::process::Signal::INT).unwrap();
    let output = load.wait_with_output().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    let shown = text(&output);
    assert!(shown.contains("interrupted") && shown.contains("status 200"), "{shown}");
    assert_eq!(output.status.code(), Some(0), "{shown}");
}
