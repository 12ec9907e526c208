//! The notifications: ready, reloading, stopping, the status line, the watchdog's food.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::SQL;
use super::configured::{route, start, toml};
use super::server::{DEADLINE, Start, end_of};

/// A service manager's ear.
struct Manager(UnixDatagram);

impl Manager {
    fn at(start: &Start) -> (Manager, String) {
        let path = start.folder().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
        (Manager(socket), path.to_str().expect("UTF-8").to_string())
    }

    /// The next message.
    fn hear(&self) -> String {
        let mut bytes = [0; 1024];
        let count = self.0.recv(&mut bytes).expect("a message");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    /// The next message that does not begin so.
    fn unlike(&self, beginning: &str) -> String {
        loop {
            let message = self.hear();
            if !message.starts_with(beginning) {
                return message;
            }
        }
    }

    /// The next message that is neither food nor status.
    fn fact(&self) -> String {
        loop {
            let message = self.hear();
            if message != "WATCHDOG=1" && !message.starts_with("STATUS=") {
                return message;
            }
        }
    }

    /// How long it took until each `WATCHDOG=1` within `time`, the last wait included.
    fn waits(&self, time: Duration) -> Vec<Duration> {
        let (until, mut last, mut waits) = (Instant::now() + time, Instant::now(), Vec::new());
        loop {
            let message = self.hear();
            let now = Instant::now();
            if message == "WATCHDOG=1" {
                waits.push(now - last);
                last = now;
            }
            if now >= until {
                return waits;
            }
        }
    }
}

#[test]
fn it_says_that_it_is_ready_when_it_serves_and_that_it_stops_when_it_stops() {
    let start = Start::new();
    let (manager, name) = Manager::at(&start);
    let start = start.environment("NOTIFY_SOCKET", &name).sql(SQL);
    let mut server = start.run();
    assert_eq!(manager.hear(), "READY=1", "and nothing before it");
    assert_eq!(server.get("/tables/t/1").status, 200);
    assert!(manager.hear().starts_with("STATUS="), "serving, or what a busy machine makes of it");
    server.signal(Signal::TERM);
    assert_eq!(manager.fact(), "STOPPING=1");
    assert_eq!(server.wait().code(), Some(0));
    manager.0.set_nonblocking(true).expect("a socket");
    assert!(manager.0.recv(&mut [0; 64]).is_err(), "once is enough, and nobody watches");
}

#[test]
fn a_start_that_is_refused_was_never_ready() {
    let start = Start::new();
    let (manager, name) = Manager::at(&start);
    let (mut child, _folder) = start.environment("NOTIFY_SOCKET", &name).sql(SQL).config("nonsense = 1").spawn();
    assert_eq!(end_of(&mut child).and_then(|status| status.code()), Some(78));
    manager.0.set_nonblocking(true).expect("a socket");
    assert!(manager.0.recv(&mut [0; 64]).is_err());
}

#[test]
fn a_reload_is_told_of_from_its_beginning_to_its_end_also_when_it_is_refused() {
    let toml = toml("", &route("/r", "SELECT 1 AS one", ""));
    let start = start(SQL, &toml);
    let (manager, name) = Manager::at(&start);
    let server = start.environment("NOTIFY_SOCKET", &name).run();
    assert_eq!(manager.fact(), "READY=1");
    for text in [toml.clone(), toml.replace("one", "two"), "nonsense = 1".to_string()] {
        let before = monotonic();
        std::fs::write(server.config_path(), text).expect("the test's folder");
        server.signal(Signal::HUP);
        let message = manager.fact();
        let micros = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").and_then(|micros| micros.parse().ok());
        assert!(micros.is_some_and(|micros| (before..=monotonic()).contains(&micros)), "{message}");
        assert_eq!(manager.fact(), "READY=1");
    }
}

fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1000
}

#[test]
fn the_watchdog_is_fed_while_it_idles_and_while_a_query_runs_within_its_time() {
    const INTERVAL: Duration = Duration::from_millis(1000);
    let slow = "SELECT count(*) AS n FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n)";
    let toml = toml("", &route("/slow", slow, "")) + "\n[limits]\nroute_query = \"3s\"\n";
    let start = start(SQL, &toml);
    let (manager, name) = Manager::at(&start);
    let micros = INTERVAL.as_micros().to_string();
    let server = start.environment("NOTIFY_SOCKET", &name).environment("WATCHDOG_USEC", &micros).run();
    assert_eq!(manager.fact(), "READY=1");
    let check = |waits: &[Duration], what: &str| {
        assert!(waits.len() >= 3 && waits.iter().all(|wait| *wait < INTERVAL), "{what}: {waits:?}");
        // At most every half interval: some 100 ms are for a busy machine between the sending and the hearing.
        assert!(waits.iter().skip(1).all(|wait| *wait >= INTERVAL / 2 - Duration::from_millis(100)), "{what}: {waits:?}");
    };
    check(&manager.waits(2 * INTERVAL), "idle");
    std::thread::scope(|scope| {
        let query = scope.spawn(|| {
            let began = Instant::now();
            (server.get("/slow").status, began.elapsed())
        });
        check(&manager.waits(Duration::from_millis(2800)), "during a query");
        let (status, took) = query.join().expect("an answer");
        assert_eq!(status, 504);
        assert!(took >= Duration::from_secs(3), "{took:?}");
    });
    check(&manager.waits(2 * INTERVAL), "afterwards");
}

#[test]
fn another_processs_watchdog_is_not_fed() {
    let start = Start::new();
    let (manager, name) = Manager::at(&start);
    let start = start.environment("NOTIFY_SOCKET", &name).environment("WATCHDOG_USEC", "200000").environment("WATCHDOG_PID", "1");
    let mut server = start.sql(SQL).run();
    assert_eq!(manager.hear(), "READY=1");
    assert!(manager.hear().starts_with("STATUS="));
    // Several intervals, by the server's own clock.
    server.wait_for_status("time passes", |status| status["uptime_seconds"].as_u64() >= Some(2));
    server.signal(Signal::TERM);
    let message = manager.unlike("STATUS=");
    assert_eq!(message, "STOPPING=1", "the next message of all but how it is");
    server.wait();
}

#[test]
fn a_name_without_a_file_is_a_socket_too_and_a_missing_one_stops_nothing() {
    let name = format!("flagstone-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a short name");
    let socket = UnixDatagram::bind_addr(&address).expect("a socket");
    socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
    let server = Start::new().environment("NOTIFY_SOCKET", &format!("@{name}")).sql(SQL).run();
    assert_eq!(Manager(socket).hear(), "READY=1");
    drop(server);
    let server = Start::new().environment("NOTIFY_SOCKET", "/nowhere/notify").sql(SQL).run();
    assert_eq!(server.get("/tables/t/1").status, 200);
}

#[test]
fn the_status_line_tells_what_is_worst() {
    let start = start(SQL, &toml("", &route("/r", "SELECT 1 AS one", "")));
    let (manager, name) = Manager::at(&start);
    let server = start.environment("NOTIFY_SOCKET", &name).run();
    assert_eq!(server.operate("POST", "/-/drill/last-word", r#"{"seconds":10}"#).status, 202);
    while !manager.hear().starts_with("STATUS=critical: ") {}
    while manager.hear().starts_with("STATUS=critical: ") {}
}
