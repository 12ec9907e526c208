//! The server after its start: requests of every kind allocate nothing, map nothing and leave RssAnon where it was.

mod configured;
#[path = "memory_requests/routes.rs"]
mod routes;
mod server;
mod trace;
mod traffic;

use std::io::Read;
use std::process::Stdio;

use serde_json::Value;
use server::{Server, Start, wait_for};
use trace::{Calls, Tracer};

/// What the mix comes to at least.
const REQUESTS: usize = 10_000;
/// A view that fails at run time, one that cannot be prepared, and one with a value too long.
const FAILURES: [&str; 3] = ["/tables/failing", "/tables/missing", "/tables/toobig"];
/// Allocations of opening the database that has taken the old one's place.
const REOPENED: u64 = 24;

/// What the sheet may promise more than is resident when the server is ready: one row of it, the runtime's, is measured.
const HEAD_ROOM: u64 = 512 * 1024;

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
    let (statements, ending) = (server.setting("STATEMENTS"), traffic::ending(server));
    let caching = server.setting("CACHE_MIB") > 0;
    let mut sent = traffic::crowd(server) + traffic::grow_wal_index(server);
    let mut round = 0;
    while sent < REQUESTS {
        sent += traffic::pipelined(server, &traffic::keeping(round, statements), [1, 3, 16, 50][round % 4]);
        sent += traffic::singly(server, &ending);
        sent += traffic::cut_short(server) + traffic::expecting(server);
        sent += traffic::cached(server, caching, round) + traffic::joining(server, round);
        if round.is_multiple_of(8) {
            sent += traffic::paged(server);
        }
        round += 1;
    }
    sent
}

/// Whether the mix has met everything that the cache does.
fn check_cache(server: &Server) {
    let status = server.status();
    let count = |part: &str, name: &str| number(&status[part], name);
    assert!(count("cache", "joined") > 0, "{status}");
    assert!(count("cache", "refused") > 0, "too large, or no room at all: {status}");
    let kept = [("cache", "hit"), ("cache", "inserted"), ("cache_gone", "stale"), ("cache_gone", "evicted"), ("cache", "bypass")];
    if server.setting("CACHE_MIB") > 0 {
        assert!(kept.into_iter().all(|(part, name)| count(part, name) > 0), "{status}");
    } else {
        assert!(kept[..4].iter().all(|&(part, name)| count(part, name) == 0), "{status}");
    }
    eprintln!("{} {}", status["cache"], status["cache_gone"]);
}

fn kilobytes(pid: u32, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("our child");
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
    let places = anonymous(server.pid());
    let before = memory(&server);
    assert_eq!(number(&before, "rss_anon_bytes"), number(&before, "ready_rss_anon_bytes"));

    let (sent, calls) = watched(&server, || mix(&server));

    let after = memory(&server);
    assert!(sent >= REQUESTS, "{sent}");
    assert_eq!(number(&after, "heap_allocations_since_ready"), 0, "{after}");
    assert_eq!(number(&after, "heap_bytes"), number(&before, "heap_bytes"));
    let grown: Vec<_> = anonymous(server.pid()).into_iter().filter(|mapping| !places.contains(mapping)).collect();
    assert!(number(&after, "rss_anon_bytes") <= number(&after, "ready_rss_anon_bytes"), "{after}\n{grown:#?}");
    if let Some(calls) = calls {
        assert!(calls.total() > REQUESTS as u64, "the traffic was seen: {calls:?}");
        assert_eq!(calls.growing, Vec::<String>::new());
        // Whoever writes makes the wal-index grow; its parts are shared mappings, and on the sheet of kernel memory.
        let most = server.setting("WAL_INDEX_KIB") / 32;
        assert!((1..=most as u64).contains(&calls.wal_index_maps), "{calls:?}");
    }
    check_cache(&server);
    let peak = kilobytes(server.pid(), "VmHWM:");
    eprintln!("{} requests, VmHWM {peak} KiB, {after}", sent);
    let preset = server.status()["preset"].clone();
    // Text is larger without optimisation: the promise is the released binary's.
    if preset == "tiny" && std::env::var_os("FLAGSTONE_TEST_BINARY").is_some() {
        assert!(peak <= 8 * 1024, "tiny lives within 8 MiB of RSS, and this took {peak} KiB\n{:#?}", anonymous(server.pid()));
    }
}

#[test]
fn what_fails_inside_sqlite_allocates_nothing() {
    let server = talkative();
    let before = memory(&server);
    for target in FAILURES {
        for _ in 0..10 {
            traffic::pipelined(&server, &[traffic::fails(target)], 1);
        }
        let now = memory(&server);
        assert_eq!(number(&now, "heap_allocations_since_ready"), 0, "{target}: {now}");
    }
    traffic::pipelined(&server, &[traffic::too_slow()], 1);
    assert_eq!(number(&memory(&server), "heap_allocations_since_ready"), 0, "a query at its time limit");
    for abandoned in 1..=3_u64 {
        traffic::abandon(&server);
        server.wait_for_status("the query is given up", |status| status["requests"]["abandoned"].as_u64() == Some(abandoned));
    }
    let now = memory(&server);
    assert_eq!(number(&now, "heap_allocations_since_ready"), 0, "queries that nobody waits for");
    assert_eq!(number(&now, "heap_bytes"), number(&before, "heap_bytes"));
    assert!(number(&now, "rss_anon_bytes") <= number(&now, "ready_rss_anon_bytes"), "{now}");
}

#[test]
fn a_replaced_database_takes_what_the_page_lists_and_gives_it_back() {
    // At the level of `info`, so that the first log line ever is one of these.
    let server = Start::new().sql("CREATE TABLE t(a)").stderr(Stdio::null()).run();
    let mut live = None;
    for reopened in 1..=3_u64 {
        let new = server.folder.path().join("new.db");
        let sql = format!("CREATE TABLE u{reopened}(a)");
        rusqlite::Connection::open(&new).expect("a database").execute_batch(&sql).expect("SQL");
        std::fs::rename(&new, server.database()).expect("one folder");
        wait_for("the new table is there", || server.get(&format!("/tables/u{reopened}")).status == 200);
        let now = memory(&server);
        assert_eq!(number(&now, "heap_allocations_since_ready"), REOPENED * reopened, "{now}");
        assert_eq!(*live.get_or_insert(number(&now, "heap_bytes")), number(&now, "heap_bytes"));
        assert!(number(&now, "rss_anon_bytes") <= number(&now, "ready_rss_anon_bytes"), "{now}");
    }
}

#[test]
fn the_data_limit_is_what_was_in_use_when_the_server_became_ready() {
    let server = Server::with("CREATE TABLE t(a)");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).expect("our child");
    let line = limits.lines().find(|line| line.starts_with("Max data size")).expect("a limit of data");
    let soft: u64 = line["Max data size".len()..].split_whitespace().next().and_then(|word| word.parse().ok()).expect(line);
    assert_eq!(soft, kilobytes(server.pid(), "VmData:") * 1024);
}

#[test]
fn what_is_resident_is_what_the_sheet_says() {
    let server = Server::with(traffic::SQL);
    let memory = memory(&server);
    let (real, sheet) = (number(&memory, "ready_rss_anon_bytes"), number(&memory, "sheet_process_bytes"));
    assert!(real <= sheet, "the sheet is a bound: {memory}");
    assert!(sheet - real <= HEAD_ROOM, "and a near one: {memory}");
    let (connections, entries) = (
        server.setting("SLOTS") + server.setting("OPS_SLOTS") + server.setting("REFUSAL_SLOTS"),
        server.setting("CACHE_ENTRIES"),
    );
    // START_UP_BYTES, CONFIGS_BYTES and CACHE_STATE_BYTES of the binary that runs, which need not be this build's.
    let values = 2 * (server.setting("TARGET_BYTES") + server.setting("BODY_BYTES"));
    let configuration = 3 * server.setting("CONFIG_FILE_KIB") * 1024
        + 320 * server.setting("ROUTES")
        + 192 * server.setting("ROUTE_PARAMS")
        + 40 * 1024;
    let slots = connections * (1024 + flagstone::budget::REPEAT_BYTES + 320);
    let rows = server.operate("GET", "/-/budget", "").json()["process"].as_array().expect("rows").clone();
    let admission = rows.iter().find(|row| row["name"] == "admission").and_then(|row| row["bytes"].as_u64()).expect("a row");
    let planned = 64 * 1024 + slots + values + configuration + admission as usize + flagstone::budget::cache_state_bytes(entries);
    assert!(number(&memory, "heap_peak_bytes") <= planned as u64, "start-up allocates what the heap has for it: {memory}");
}

#[test]
#[allow(clippy::zombie_processes, reason = "the watching thread has waited for it")]
fn the_tracer_sees_a_process_grow() {
    use std::process::Command;
    let (stdin, mut go) = std::io::pipe().expect("a pipe");
    // A new program maps its memory: what the server must never be seen to do.
    let child = Command::new("sh").args(["-c", "read line; exec true"]).stdin(stdin).spawn().expect("sh");
    let Ok(tracer) = Tracer::attach(child.id()) else { return eprintln!("ptrace is not permitted") };
    std::io::Write::write_all(&mut go, b"go\n").expect("it reads");
    let calls = tracer.ended();
    assert!(calls.growing.iter().any(|call| call.starts_with("mmap")), "{calls:?}");
    assert!(calls.growing.iter().any(|call| call.starts_with("brk")), "{calls:?}");
}
