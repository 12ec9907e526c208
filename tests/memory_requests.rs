//! The server after its start: requests of every kind allocate nothing, map nothing and leave RssAnon where it was.

mod server;
mod trace;
mod traffic;

use std::io::Read;
use std::process::Stdio;

use flagstone::budget;
use serde_json::Value;
use server::{Server, Start};
use trace::{Calls, Tracer};

/// What the mix comes to at least.
const REQUESTS: usize = 10_000;
/// Allocations of one failed request, as memory_budget.md lists them: in the order of `traffic::failing`.
const FAILURES: [(&str, u64); 3] =
    [("a view that fails at run time", 1), ("a view that cannot be prepared", 1), ("a value too long", 1)];

/// A server that logs at debug level into a pipe that is read.
fn talkative() -> Server {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut reader = reader;
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while reader.read(&mut bytes).is_ok_and(|count| count > 0) {}
    });
    Start::new().sql(traffic::SQL).environment("RUST_LOG", "debug").stderr(Stdio::from(writer)).run()
}

/// The memory figures, read by the server after this call.
fn memory(server: &Server) -> Value {
    let now = server.status()["uptime_seconds"].as_u64().expect("a number");
    // Readings are taken once a second, not by the page itself.
    let status = server.wait_for_status("newer readings", |status| status["uptime_seconds"].as_u64() >= Some(now + 3));
    status["memory"].clone()
}

fn number(memory: &Value, name: &str) -> u64 {
    memory[name].as_u64().unwrap_or_else(|| panic!("{name} in {memory}"))
}

/// Everything that is no error of SQLite's, until there were [`REQUESTS`].
fn mix(server: &Server) -> usize {
    let mut sent = traffic::crowd(server);
    let mut round = 0;
    while sent < REQUESTS {
        sent += traffic::pipelined(server, &traffic::keeping(round), [1, 3, 16, 50][round % 4]);
        sent += traffic::singly(server, &traffic::ending());
        sent += traffic::cut_short(server) + traffic::expecting(server);
        if round.is_multiple_of(8) {
            sent += traffic::paged(server);
        }
        round += 1;
    }
    sent
}

fn kilobytes(pid: u32, file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).expect("our child");
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in {text}"));
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// Runs `work` while system calls are counted; where ptrace is not permitted, compares the process's private mappings instead.
fn watched<R>(server: &Server, work: impl FnOnce() -> R) -> (R, Option<Calls>) {
    match Tracer::attach(server.pid()) {
        Ok(tracer) => {
            let result = work();
            (result, Some(tracer.detach()))
        }
        Err(error) => {
            eprintln!("ptrace is not permitted ({error}): /proc/PID/maps before and after are compared instead");
            let before = mappings(server.pid());
            let result = work();
            assert_eq!(mappings(server.pid()), before);
            (result, None)
        }
    }
}

/// Anonymous memory of each mapping in KiB, by its address and name: where growth would be.
fn anonymous(pid: u32) -> Vec<(String, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps")).expect("our child");
    let mut mappings: Vec<(String, u64)> = Vec::new();
    for line in text.lines() {
        if let Some(amount) = line.strip_prefix("Anonymous:") {
            let amount = amount.trim().trim_end_matches(" kB").parse().expect("a number");
            mappings.last_mut().expect("a mapping before its figures").1 = amount;
        } else if line.split_whitespace().next().is_some_and(|word| word.contains('-')) {
            mappings.push((line.to_string(), 0));
        }
    }
    mappings
}

/// Address ranges of everything but shared mappings of files.
fn mappings(pid: u32) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("our child");
    let private = text.lines().filter(|line| !line.split_whitespace().nth(1).is_some_and(|rights| rights.ends_with('s')));
    private.map(str::to_string).collect()
}

#[test]
fn ten_thousand_requests_of_every_kind_take_no_memory() {
    let server = talkative();
    assert_eq!(std::fs::read_dir(format!("/proc/{}/task", server.pid())).expect("our child").count(), 1, "one thread");
    let before = memory(&server);
    let places = anonymous(server.pid());
    let (sent, calls) = watched(&server, || mix(&server));
    let after = memory(&server);
    eprintln!("{sent} requests\nbefore {before}\nafter {after}");
    if let Some(calls) = &calls {
        eprintln!("{} system calls, wal-index maps {}", calls.total(), calls.wal_index_maps);
        eprintln!("{:?}\n{:?}", calls.counts, calls.growing);
    }
    eprintln!("VmHWM {} KiB, VmRSS {}", kilobytes(server.pid(), "status", "VmHWM:"), kilobytes(server.pid(), "status", "VmRSS:"));
    for (before, after) in places.iter().zip(anonymous(server.pid())) {
        if before.1 != after.1 {
            eprintln!("{} -> {after:?}", before.1);
        }
    }
    let cases = traffic::failing();
    let mut last = number(&after, "heap_allocations_since_ready");
    for case in cases.chunks(1) {
        for _ in 0..10 {
            traffic::pipelined(&server, case, 1);
        }
        let now = memory(&server);
        eprintln!("{} {now}", number(&now, "heap_allocations_since_ready") - last);
        last = number(&now, "heap_allocations_since_ready");
    }
    let _ = (budget::PRESET, FAILURES);
}
