//! A panic is caught, ends one connection at most, and gives its memory back: the released parts, in process, under the released heap.
//!
//! The network is a scripted one, in which each step sends one request and says where the network panics; or the request orders a drill, and
//! the next one meets it.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use flagstone::api::problem::Problem;
use flagstone::back::heap::Arenas;
use flagstone::back::open::{How, open};
use flagstone::back::{Back, Workspace};
use flagstone::budget::{ANSWER_BYTES, REQUEST_BYTES};
use flagstone::config::{Config, Mistakes, read_bytes};
use flagstone::event_loop::{self, End, Surroundings};
use flagstone::front::net::{Accepted, EVENTS, Net, Peer, Ready, Token};
use flagstone::front::slots::Listening;
use flagstone::front::{Front, Regions, Setup};
use flagstone::http::etag::TagKey;
use flagstone::http::request::Step;
use flagstone::job::{Change, Exchange, Go, Job, Micros, Outcome, Reply, SlotId, Task};
use flagstone::memory::StaticCell;
use flagstone::policy::credentials;
use flagstone::policy::hosts::Hosts;
use flagstone::policy::sharing::Share;
use flagstone::start::serve::{ProcessHeap, install_log};

#[global_allocator]
static HEAP: ProcessHeap = ProcessHeap::new();

static REPLY: StaticCell<[u8; ANSWER_BYTES]> = StaticCell::new([0; ANSWER_BYTES]);
const TOKEN: &str = "admin-0123456789";
/// Sockets that the front has dropped.
static CLOSED: AtomicUsize = AtomicUsize::new(0);

/// Where a step panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Nowhere,
    /// While a connection is served.
    Read,
    /// In a turn inside a running query.
    NestedTurn,
    /// While a job's outcome is answered.
    Finish,
    /// While the outcome is answered, with a message that is put together.
    FinishWithText,
}

struct Part {
    name: &'static str,
    at: At,
    /// Method and target.
    request: &'static str,
    /// The answer's status; `None` when the connection ends without one.
    status: Option<u16>,
    /// Allocations, as memory_budget.md lists them.
    allocations: u64,
}

const fn step(name: &'static str, at: At, request: &'static str, status: Option<u16>, allocations: u64) -> Part {
    Part { name, at, request, status, allocations }
}

const SCRIPT: &[Part] = &[
    step("before", At::Nowhere, "GET /tables/t/1", Some(200), 0),
    step("a panic while a connection is served", At::Read, "GET /tables/t/1", None, 2),
    step("after it", At::Nowhere, "GET /tables/t/1", Some(200), 0),
    step("a panic in a turn inside a query", At::NestedTurn, "GET /tables/slow", Some(200), 2),
    step("after it", At::Nowhere, "GET /tables/t/1", Some(200), 0),
    step("a panic while a job is answered", At::Finish, "GET /tables/t?limit=1", Some(500), 2),
    step("after it", At::Nowhere, "GET /tables/t/1", Some(200), 0),
    step("a panic with a text of its own", At::FinishWithText, "GET /tables/t?limit=2", Some(500), 5),
    step("a drill is ordered", At::Nowhere, "POST /-/drill/cache-panic", Some(202), 0),
    step("a panic in the cache", At::Nowhere, "GET /tables/t/1", Some(200), 2),
    step("a drill is ordered", At::Nowhere, "POST /-/drill/plain-panic", Some(202), 0),
    step("a panic in the back", At::Nowhere, "GET /tables/slow", Some(500), 2),
    step("a drill is ordered", At::Nowhere, "POST /-/drill/front-panic", Some(202), 0),
    step("a panic in the front", At::Nowhere, "GET /tables/t/1", Some(500), 2),
    step("after them", At::Nowhere, "GET /tables/t/1", Some(200), 0),
    step("an error of SQLite's", At::Nowhere, "GET /tables/failing", Some(500), 0),
    step("after it", At::Nowhere, "GET /tables/slow", Some(200), 0),
];

struct Socket;

impl Drop for Socket {
    fn drop(&mut self) {
        CLOSED.fetch_add(1, Ordering::SeqCst);
    }
}

/// One connection a step, made when the one before has ended.
struct Scripted {
    started: Instant,
    /// Steps that were begun.
    begun: usize,
    at: Cell<At>,
    turn_begins: Cell<bool>,
    /// How far this clock has gone before the real one.
    ahead: Cell<Micros>,
    request: heapless::Vec<u8, 256>,
    answer: heapless::Vec<u8, 4096>,
    connecting: bool,
    request_read: bool,
    /// Live bytes and allocations when the running step began.
    before: (usize, u64),
}

impl Scripted {
    fn new() -> Scripted {
        Scripted {
            started: Instant::now(),
            begun: 0,
            at: Cell::new(At::Nowhere),
            turn_begins: Cell::new(false),
            ahead: Cell::new(0),
            request: heapless::Vec::new(),
            answer: heapless::Vec::new(),
            connecting: false,
            request_read: false,
            before: (0, 0),
        }
    }

    /// Looks at what the step that ended came to.
    fn check(&self) {
        let Some(step) = self.begun.checked_sub(1).and_then(|at| SCRIPT.get(at)) else { return };
        let status =
            self.answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|digits| digits.parse().ok());
        let heap = HEAP.readings();
        // A check that fails inside a turn would be caught as one more panic.
        if status != step.status || heap.live != self.before.0 || heap.sealed_allocations - self.before.1 != step.allocations {
            eprintln!("{}: status {status:?}, live bytes {} -> {}", step.name, self.before.0, heap.live);
            eprintln!("{} allocations, of which {} are listed", heap.sealed_allocations - self.before.1, step.allocations);
            std::process::exit(1);
        }
    }

    /// Begins the next step; false when there is none.
    fn begin(&mut self) -> bool {
        let Some(step) = SCRIPT.get(self.begun) else { return false };
        self.begun += 1;
        self.request.clear();
        self.answer.clear();
        for part in
            [step.request, " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer ", TOKEN, "\r\n\r\n"]
        {
            self.request.extend_from_slice(part.as_bytes()).expect("a short target");
        }
        self.at.set(step.at);
        (self.connecting, self.request_read) = (true, false);
        let heap = HEAP.readings();
        self.before = (heap.live, heap.sealed_allocations);
        true
    }

    /// Whether the panic of this step is due at `at`; once.
    fn due(&self, at: At) -> bool {
        let due = self.at.get() == at;
        if due {
            self.at.set(At::Nowhere);
        }
        due
    }
}

impl Net for Scripted {
    type Socket = Socket;

    fn now(&self) -> Micros {
        if matches!(self.at.get(), At::Finish | At::FinishWithText) {
            // As if much time had passed since the turn: an answer asks for the second by which it is dated.
            self.ahead.set(self.ahead.get() + 20_000);
        }
        self.started.elapsed().as_micros() as Micros + self.ahead.get()
    }

    fn unix_time(&self) -> u64 {
        // Once by each turn behind its wait; then by the head of every answer.
        if self.turn_begins.replace(false) {
            return 1_700_000_000;
        }
        if self.request_read && self.due(At::Finish) {
            panic!("while a job is answered");
        }
        if self.request_read && self.due(At::FinishWithText) {
            panic!("while job {} of {} is answered", self.begun, SCRIPT.len());
        }
        1_700_000_000
    }

    fn wait(&mut self, _: Option<Micros>, events: &mut heapless::Vec<Ready, EVENTS>) -> io::Result<()> {
        events.clear();
        self.turn_begins.set(true);
        if self.request_read && self.due(At::NestedTurn) {
            panic!("in a turn inside a query");
        }
        if CLOSED.load(Ordering::SeqCst) == self.begun {
            self.check();
            let token = if self.begin() { Token::Listener(0) } else { Token::Stop };
            let event = Ready { token, readable: true, writable: false, ended: false, gone: false };
            events.push(event).map_err(|_| io::ErrorKind::OutOfMemory)?;
        }
        Ok(())
    }

    fn accept(&mut self, _: usize) -> Accepted<Socket> {
        if std::mem::take(&mut self.connecting) { Accepted::Connection(Socket, Peer::Unix) } else { Accepted::Empty }
    }

    fn turn_away(&mut self, _: usize, _: &[u8]) {}

    fn wake_on(&mut self, _: std::os::fd::RawFd) -> io::Result<()> {
        Ok(())
    }

    fn close_listeners(&mut self) {}

    fn register(&mut self, _: &Socket, _: SlotId) -> io::Result<()> {
        Ok(())
    }

    fn read(&mut self, _: &mut Socket, into: &mut [u8]) -> io::Result<usize> {
        if self.due(At::Read) {
            panic!("while a connection is served");
        }
        if self.request_read {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.request_read = true;
        into[..self.request.len()].copy_from_slice(&self.request);
        Ok(self.request.len())
    }

    fn write(&mut self, _: &mut Socket, from: &[IoSlice]) -> io::Result<usize> {
        let mut count = 0;
        for slice in from {
            self.answer.extend_from_slice(slice).map_err(|_| io::ErrorKind::OutOfMemory)?;
            count += slice.len();
        }
        Ok(count)
    }

    fn finish_writing(&mut self, _: &mut Socket) {}
}

struct Quiet;

impl Surroundings for Quiet {
    fn read<N: Net>(&mut self, _: &mut Front<N>) {}

    fn database_replaced(&mut self) -> bool {
        false
    }

    fn flush_log(&mut self) {
        flagstone::ops::log_ring::discard();
    }

    fn background<N: Net>(&mut self, _: &mut Front<N>, _: &mut Back<'_>) -> bool {
        false
    }

    fn wants_reopening(&mut self) -> bool {
        false
    }

    fn configuration_edited(&mut self) -> bool {
        false
    }

    fn change<N: Net>(&mut self, _: Change, _: &mut Front<N>, _: &mut Back<'_>) -> Result<(), Problem> {
        unreachable!("nobody asks for another configuration")
    }
}

const SQL: &str = "
    CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT);
    INSERT INTO t VALUES (1, 'one');
    CREATE VIEW failing AS SELECT abs(-9223372036854775807 - id) AS value FROM t;
    CREATE VIEW slow AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT count(*) AS n FROM n;";

/// Tables for everybody, and a token for operators.
fn config() -> Rc<Config> {
    let digest: String = credentials::digest(TOKEN.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("ops_auth = \"admin\"\n[tokens]\nadmin = \"sha256:{digest}\"\n[tables]\nexpose = \"*\"\n");
    let mut config = Config::new();
    config.from_file = true;
    read_bytes(text.as_bytes(), &mut config, &mut Mistakes::new()).expect("the test's configuration");
    Rc::new(config)
}

fn setup(config: Rc<Config>) -> Setup {
    let mut listeners = heapless::Vec::new();
    listeners.push(Listening::Public).expect("room for eight");
    Setup { listeners, config, tag_key: TagKey([7; 16]), hosts: Hosts::new("test") }
}

#[test]
fn a_panic_ends_one_connection_and_its_memory_is_given_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data.db");
    // First in the process: SQLite's memory is set before the library starts.
    let mut arenas = Arenas::take().expect("the first to take them");
    let page_slots = arenas.install(4096).expect("SQLite takes its memory");
    rusqlite::Connection::open(&path).expect("a database").execute_batch(SQL).expect("SQL");
    let conn = open(&path, How { immutable: false, writable: false, page_slots, page_bytes: 4096 }).expect("a database");
    let config = config();
    let work = Workspace::take().expect("the first to take it");
    let mut back = Back::new(&conn, work, [7; 16], Instant::now(), Rc::clone(&config)).expect("a schema");
    let mut reply = Reply::new(REPLY.take().expect("the first to take it"));
    let mut front = Front::new(Scripted::new(), setup(config), Regions::take().expect("the first to take them"));
    install_log();
    HEAP.seal();

    assert_eq!(event_loop::serve(&mut front, &mut back, &mut reply, &mut Quiet), End::Drained);

    let planted = SCRIPT.iter().filter(|step| step.request.starts_with("POST")).count();
    let panics = planted + SCRIPT.iter().filter(|step| step.at != At::Nowhere).count();
    assert_eq!(front.metrics.panics, panics as u64);
    a_panic_in_the_job_itself(&mut back, &mut reply);
}

/// What the loop's barrier meets when a turn panics all the way through SQLite: the payload comes out behind it, and the next job works.
fn a_panic_in_the_job_itself(back: &mut Back<'_>, reply: &mut Reply) {
    const REQUEST: &[u8] = b"GET /tables/slow HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut exchange = Box::new(Exchange::new(vec![0; REQUEST_BYTES].leak()));
    exchange.room()[..REQUEST.len()].copy_from_slice(REQUEST);
    exchange.filled = REQUEST.len();
    assert_eq!(exchange.advance(), Step::Ready);
    let job = Job {
        task: Task::Tables,
        slot: SlotId { index: 0, generation: 0 },
        exchange,
        arrived: 0,
        deadline: Micros::MAX,
        share: Share::Alone,
    };
    let before = HEAP.readings();

    let caught = catch_unwind(AssertUnwindSafe(|| back.run(&job, reply, &mut |_| panic!("in a turn"))));

    let payload = caught.expect_err("the panic comes out behind SQLite");
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"in a turn"));
    drop(payload);
    let after = HEAP.readings();
    // The payload and its frame, thrown twice.
    assert_eq!((after.live, after.sealed_allocations - before.sealed_allocations), (before.live, 3));
    let outcome = back.run(&job, reply, &mut |_| Go::On);
    assert!(matches!(outcome, Outcome::Rows(..)), "{outcome:?}");
    assert_eq!(reply.body(), br#"[{"n":100000}]"#);
    assert_eq!(HEAP.readings().live, before.live);
}
