//! A thousand reloads, good and bad, under fifty kept connections: no request fails, and memory is what it was.
//! `FLAGSTONE_RELOADS` asks for another number.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use flagstone::budget::CONFIG_FILE_BYTES;
use flagstone::config::history;
use rustix::process::Signal;
use serde_json::Value;

use super::{SQL, put};
use crate::configured::{ADMIN, ask_ops, route, start, toml, with_ops};
use crate::server::{Server, wait_for};
use crate::wire::Wire;

const RELOADS: usize = 1000;
const CLIENTS: usize = 50;
/// Reloads of every kind before memory is looked at.
const WARM_UP: usize = 16;

/// One of two good ones; `round` makes each text one of its own.
fn good(word: &str, round: usize) -> String {
    let more: String = (0..8)
        .map(|n| {
            route(
                &format!("/more{n}/:x"),
                "SELECT v FROM t WHERE id = :x AND v <> :y",
                "params = { x = { type = \"integer\" }, y = { type = \"text\", default = \"\" } }",
            )
        })
        .collect();
    let routes = [
        route("/r", &format!("SELECT '{word}' AS w, count(*) AS n FROM t"), "stale_ok = \"1s\""),
        route("/same/:n", "SELECT v FROM t WHERE id = :n", "rows = \"value\"\nparams = { n = { type = \"integer\" } }"),
        more,
    ];
    toml("", &format!("# {round}\n[tables]\nexpose = [\"t\"]\n{}", routes.concat()))
}

/// The text of a round, and whether it is good.
fn text(round: usize) -> (Vec<u8>, bool) {
    let word = if round.is_multiple_of(2) { "even" } else { "odd" };
    let whole = good(word, round);
    match round % 8 {
        2 => (whole.replace("FROM t\"", "FROM nowhere\"").into_bytes(), false),
        // Inside a string, whose end is then missing.
        3 => (whole.as_bytes()[..whole.rfind("SELECT").expect("SQL") + round % 30].to_vec(), false),
        4 => (format!("{whole}#{}\n", "x".repeat(70 * 1024)).into_bytes(), false),
        5 => (format!("# {round}\n").bytes().chain((0..=255).cycle().take(8192)).collect(), false),
        _ => (whole.into_bytes(), true),
    }
}

fn status(server: &Server) -> Value {
    let answer = ask_ops(server, "GET", "/-/status", None);
    assert_eq!(answer.status, 200);
    answer.json()
}

/// One reload, in whichever way its round has; returns when it is done.
fn reload(server: &Server, round: usize) {
    let (bytes, good) = text(round);
    put(server, &bytes);
    if (round / 8 + round).is_multiple_of(2) {
        let answer = ask_ops(server, "POST", "/-/reload", Some(ADMIN));
        assert_eq!(answer.status, if good { 200 } else { 422 }, "round {round}: {}", answer.text());
        return;
    }
    server.signal(Signal::HUP);
    let hash = format!("{:016x}", history::hash(&bytes[..bytes.len().min(CONFIG_FILE_BYTES + 1)]));
    wait_for("the signal is heard", || {
        let newest = status(server)["configuration"]["versions"][0].as_str().expect("a version").to_string();
        newest.contains(&hash) && newest.contains(if good { "reloaded" } else { "refused" })
    });
}

/// Asks over all connections at once, again and again; every answer is right by one of the configurations.
fn ask_throughout(server: &Server, stop: &AtomicBool, asked: &AtomicUsize) {
    let targets: [(&str, &[&str]); 4] = [
        ("/r", &[r#"[{"w":"even","n":2}]"#, r#"[{"w":"odd","n":2}]"#]),
        ("/same/2", &["two"]),
        ("/tables/t/1", &[r#"{"id":1,"v":"one"}"#]),
        ("/more3/1", &[r#"[{"v":"one"}]"#]),
    ];
    let mut wires: Vec<Wire> = (0..CLIENTS).map(|_| Wire::to(server.address)).collect();
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) {
        turn += 1;
        let target = |client: usize| targets[(client + turn) % targets.len()];
        for (client, wire) in wires.iter().enumerate() {
            wire.send(crate::wire::get(target(client).0));
        }
        for (client, wire) in wires.iter_mut().enumerate() {
            let (answer, (target, bodies)) = (wire.answer(), target(client));
            assert_eq!(answer.status, 200, "{target}: {}", answer.text());
            assert!(bodies.contains(&answer.text().as_str()), "{target}: {}", answer.text());
        }
        asked.fetch_add(CLIENTS, Ordering::Relaxed);
        // The reloads want the processor too.
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Memory by readings that are newer than this call.
fn memory(server: &Server) -> Value {
    let now = status(server)["uptime_seconds"].as_u64().expect("a number");
    wait_for("newer readings", || status(server)["uptime_seconds"].as_u64() >= Some(now + 3));
    status(server)["memory"].clone()
}

#[test]
fn a_thousand_reloads_fail_no_request_and_take_no_memory() {
    let reloads = std::env::var("FLAGSTONE_RELOADS").ok().and_then(|text| text.parse().ok()).unwrap_or(RELOADS);
    let server = with_ops(start(SQL, &good("odd", 0))).stderr(std::process::Stdio::null()).run();
    let number = |memory: &Value, name: &str| memory[name].as_u64().unwrap_or_else(|| panic!("{name} in {memory}"));
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (before, after) = std::thread::scope(|scope| {
        let clients = scope.spawn(|| ask_throughout(&server, &stop, &asked));
        let work = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (1..=WARM_UP).for_each(|round| reload(&server, round));
            let before = memory(&server);
            (WARM_UP + 1..=WARM_UP + reloads).for_each(|round| reload(&server, round));
            (before, memory(&server))
        }));
        stop.store(true, Ordering::Relaxed);
        clients.join().expect("no request failed");
        work.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    let now = status(&server);
    eprintln!("{} requests during {reloads} reloads, {after}", asked.load(Ordering::Relaxed));
    assert!(asked.load(Ordering::Relaxed) >= reloads, "the clients asked throughout");
    assert_eq!(number(&after, "rss_anon_bytes"), number(&before, "rss_anon_bytes"), "{before}\n{after}");
    assert!(number(&after, "rss_anon_bytes") <= number(&after, "ready_rss_anon_bytes"), "{after}");
    assert_eq!(number(&after, "heap_bytes"), number(&before, "heap_bytes"));
    assert_eq!(number(&after, "configuration_heap_bytes"), 0, "all that reading took is given back");
    let arena = flagstone::budget::CONFIG_ARENA_BYTES as u64;
    assert!((1..=arena).contains(&number(&after, "configuration_heap_peak_bytes")), "{after}");
    assert_eq!(
        number(&after, "configuration_heap_peak_bytes"),
        number(&before, "configuration_heap_peak_bytes"),
        "no round takes more than its kind"
    );
    assert_eq!(number(&after, "heap_allocations_since_ready"), 0, "{after}");
    assert_eq!(now["panics"], 0);
    let refused: u64 = now["refused"].as_object().expect("reasons").values().filter_map(Value::as_u64).sum();
    assert_eq!(refused, 0, "{now}");
}
