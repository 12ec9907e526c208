//! While a commit waits for the disk, everything that needs no database is served: the real front, back and loop in this process, where a
//! sync can be made slow. A binary of its own, because the loop takes the process's signals.

mod server;

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use flagstone::api::problem::Problem;
use flagstone::back::open::{How, open};
use flagstone::back::{Back, Workspace, sync, vfs};
use flagstone::budget::ANSWER_BYTES;
use flagstone::config::{Config, Mistakes, read_bytes};
use flagstone::event_loop::{self, Surroundings};
use flagstone::front::mio_net::MioNet;
use flagstone::front::net::Net;
use flagstone::front::slots::Listening;
use flagstone::front::{Front, Regions, Setup};
use flagstone::http::etag::TagKey;
use flagstone::job::{Change, Reply};
use flagstone::policy::hosts::Hosts;
use server::{Answer, connect, read_answer};

/// How long a sync takes here.
const SYNC: Duration = Duration::from_millis(400);

const CONFIG: &str = r#"
[[route]]
path = "/log"
sql = "SELECT a FROM log ORDER BY id"

[[route]]
path = "/other"
sql = "SELECT a FROM other"

[[route]]
method = "POST"
path = "/log"
sql = "INSERT INTO log(a) VALUES (:a)"
"#;

/// Surroundings in which nothing happens until the test is over.
struct Quiet(Arc<AtomicBool>);

impl Surroundings for Quiet {
    fn read<N: Net>(&mut self, _: &mut Front<N>) {}

    fn database_replaced(&mut self) -> bool {
        false
    }

    fn flush_log(&mut self) {}

    fn configuration_edited(&mut self) -> bool {
        false
    }

    fn background<N: Net>(&mut self, _: &mut Front<N>, _: &mut Back<'_>) -> bool {
        false
    }

    fn wants_reopening(&mut self) -> bool {
        self.0.load(Relaxed)
    }

    fn change<N: Net>(&mut self, _: Change, _: &mut Front<N>, _: &mut Back<'_>) -> Result<(), Problem> {
        Ok(())
    }
}

/// Serves until told otherwise; whether its syncs go by a ring.
fn serve(listener: TcpListener, path: PathBuf, over: Arc<AtomicBool>, ring: &std::sync::mpsc::Sender<bool>) {
    let mut config = Config::new();
    config.from_file = true;
    read_bytes(CONFIG.as_bytes(), &mut config, &mut Mistakes::new()).expect("the test's configuration");
    let config = Rc::new(config);
    listener.set_nonblocking(true).expect("a socket");
    let started = Instant::now();
    let net = MioNet::new([listener.into()].into_iter().collect(), started, false).expect("a poll");
    let setup = Setup {
        listeners: [Listening::Public].into_iter().collect(),
        config: Rc::clone(&config),
        tag_key: TagKey([7; 16]),
        hosts: Hosts::new("localhost"),
    };
    let mut front = Front::new(net, setup, Regions::leaked());
    let by_ring = sync::set_up() == sync::SyncMode::IoUring;
    if let Some(completion) = sync::completion_fd() {
        front.wake_on(completion).expect("a descriptor");
        sync::front_is_woken(true);
    }
    // The shim that can be slow wants SQLite to be initialised, which any connection does.
    drop(rusqlite::Connection::open_in_memory().expect("memory"));
    vfs::install().expect("the shim");
    let conn = open(&path, How { immutable: false, writable: true, page_slots: 100, page_bytes: 4096 }).expect("it opens");
    let workspace = Workspace::take().expect("the first");
    let mut back = Back::new(&conn, workspace, [7; 16], started, Rc::clone(&config)).expect("a schema");
    back.prepare_writes(&config).expect("nobody else writes");
    front.readings.database.ready = true;
    let mut reply = Reply::new(vec![0; ANSWER_BYTES].leak());
    vfs::faults::set(vfs::faults::Faults { sync_delay_ms: SYNC.as_millis() as u32, ..Default::default() });
    ring.send(by_ring).expect("the test waits");
    event_loop::serve(&mut front, &mut back, &mut reply, &mut Quiet(over));
}

fn ask(stream: &mut TcpStream, method: &str, target: &str, body: &str) {
    let text = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).expect("it is taken");
}

fn get(address: SocketAddr, target: &str) -> (Answer, Duration) {
    let (mut stream, began) = (connect(address), Instant::now());
    ask(&mut stream, "GET", target, "");
    (read_answer(&mut stream, false).expect("an answer"), began.elapsed())
}

/// Whether there is nothing to read yet.
fn is_silent(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).expect("a socket");
    peeked.is_err()
}

#[test]
fn cached_answers_and_health_are_served_while_a_commit_waits_for_the_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data.db");
    let sql = "PRAGMA journal_mode = WAL; CREATE TABLE log(id INTEGER PRIMARY KEY, a); CREATE TABLE other(a); INSERT INTO other VALUES (1)";
    rusqlite::Connection::open(&path).and_then(|conn| conn.execute_batch(sql)).expect("a database");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let over = Arc::new(AtomicBool::new(false));
    let (ready, is_ready) = std::sync::mpsc::channel();
    let server = std::thread::spawn({
        let (path, over) = (path.clone(), Arc::clone(&over));
        move || serve(listener, path, over, &ready)
    });
    if is_ready.recv().expect("it serves") {
        beside_a_slow_sync(address);
    } else {
        eprintln!("skipped: without io_uring a sync stops everything");
    }
    over.store(true, Relaxed);
    // Which wakes it.
    drop(connect(address));
    server.join().expect("it ends");
}

fn beside_a_slow_sync(address: SocketAddr) {
    // The first commit makes the WAL, with a sync of its own.
    let mut writer = connect(address);
    ask(&mut writer, "POST", "/log", r#"{"a": 0}"#);
    assert_eq!(read_answer(&mut writer, false).expect("an answer").status, 204);
    for target in ["/other", "/log"] {
        get(address, target);
        assert_eq!(get(address, target).0.field("x-cache"), Some("hit"));
    }
    let began = Instant::now();
    ask(&mut writer, "POST", "/log", r#"{"a": 1}"#);
    let mut served = 0;
    let mut longest = Duration::ZERO;
    while is_silent(&writer) {
        let (other, took) = get(address, "/other");
        if !is_silent(&writer) {
            break;
        }
        assert_eq!((other.status, other.text().as_str()), (200, r#"[{"a":1}]"#));
        let (health, slower) = get(address, "/-/health");
        assert_eq!(health.status, 200);
        longest = longest.max(took).max(slower);
        served += 1;
    }
    let acknowledged = read_answer(&mut writer, false).expect("an answer");
    assert_eq!(acknowledged.status, 204);
    assert!(began.elapsed() >= SYNC, "acknowledged before it was on disk: {:?}", began.elapsed());
    assert!(served >= 5, "{served} beside one sync");
    assert!(longest < SYNC / 2, "the longest took {longest:?}");
    assert_eq!(get(address, "/log").0.text(), r#"[{"a":0},{"a":1}]"#);
    // Writes that come meanwhile wait together, and share the next sync.
    let began = Instant::now();
    ask(&mut writer, "POST", "/log", r#"{"a": 2}"#);
    let mut others: Vec<TcpStream> = (0..6).map(|_| connect(address)).collect();
    for stream in &mut others {
        ask(stream, "POST", "/log", r#"{"a": 3}"#);
    }
    for stream in others.iter_mut().chain([&mut writer]) {
        assert_eq!(read_answer(stream, false).expect("an answer").status, 204);
    }
    assert!(began.elapsed() < SYNC * 4, "two batches, maybe three: {:?}", began.elapsed());
}
