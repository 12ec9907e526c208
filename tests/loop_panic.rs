//! What the loop's own barriers hold: a panic in a change of the configuration, in work of the background, in a reading, and while a batch's
//! writes are answered. The real front, back and loop in this process, with surroundings and a network that panic when they are told to.
//! A binary of its own, because the loop takes the process's signals.

mod server;

use std::cell::Cell;
use std::io::{self, IoSlice, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Instant;

use flagstone::api::problem::Problem;
use flagstone::back::open::{How, open};
use flagstone::back::{Back, Workspace, vfs};
use flagstone::budget::ANSWER_BYTES;
use flagstone::config::{Config, Mistakes, read_bytes};
use flagstone::event_loop::{self, End, Surroundings};
use flagstone::front::mio_net::MioNet;
use flagstone::front::net::{Accepted, EVENTS, Net, Peer, Ready};
use flagstone::front::slots::Listening;
use flagstone::front::{Front, Regions, Setup};
use flagstone::http::etag::TagKey;
use flagstone::job::{Change, Micros, Reply, SlotId};
use flagstone::policy::credentials;
use flagstone::policy::hosts::Hosts;
use server::{Answer, connect, read_answer, wait_for};

const TOKEN: &str = "admin-0123456789";

/// What is to panic next, and what happened.
#[derive(Default)]
struct Orders {
    change: AtomicU32,
    background: AtomicU32,
    reading: AtomicU32,
    answer: AtomicU32,
    over: AtomicU32,
    /// How often the database was opened anew, and panics that the front has counted.
    reopened: AtomicU32,
    panics: AtomicU32,
}

/// Takes one off a number of panics that are ordered.
fn due(order: &AtomicU32) -> bool {
    order.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
}

struct Around(Arc<Orders>);

impl Surroundings for Around {
    fn read<N: Net>(&mut self, front: &mut Front<N>) {
        self.0.panics.store(front.metrics.panics as u32, SeqCst);
        if due(&self.0.reading) {
            panic!("in a reading");
        }
    }

    fn database_replaced(&mut self) -> bool {
        false
    }

    fn flush_log(&mut self) {}

    fn configuration_edited(&mut self) -> bool {
        false
    }

    fn background<N: Net>(&mut self, _: &mut Front<N>, _: &mut Back<'_>) -> bool {
        if due(&self.0.background) {
            panic!("in the background");
        }
        false
    }

    fn wants_reopening(&mut self) -> bool {
        self.0.over.load(SeqCst) > 0
    }

    fn change<N: Net>(&mut self, _: Change, _: &mut Front<N>, _: &mut Back<'_>) -> Result<(), Problem> {
        if due(&self.0.change) {
            panic!("in a change");
        }
        Ok(())
    }
}

/// The real network, whose clock panics while an answer is made.
struct Armed {
    net: MioNet,
    orders: Arc<Orders>,
    /// The clock is asked once by each turn before it is asked for answers.
    turn_begins: Cell<bool>,
    /// How far this clock has gone before the real one.
    ahead: Cell<Micros>,
}

impl Net for Armed {
    type Socket = <MioNet as Net>::Socket;

    fn now(&self) -> Micros {
        if self.orders.answer.load(SeqCst) > 0 {
            // As if much time had passed since the turn: an answer asks for the second by which it is dated.
            self.ahead.set(self.ahead.get() + 20_000);
        }
        self.net.now() + self.ahead.get()
    }

    fn unix_time(&self) -> u64 {
        if !self.turn_begins.replace(false) && due(&self.orders.answer) {
            panic!("while an answer is made");
        }
        self.net.unix_time()
    }

    fn wait(&mut self, timeout: Option<Micros>, events: &mut heapless::Vec<Ready, EVENTS>) -> io::Result<()> {
        self.turn_begins.set(true);
        self.net.wait(timeout, events)
    }

    fn accept(&mut self, listener: usize) -> Accepted<Self::Socket> {
        match self.net.accept(listener) {
            Accepted::Connection(socket, _) => Accepted::Connection(socket, Peer::Unix),
            other => other,
        }
    }

    fn turn_away(&mut self, listener: usize, answer: &[u8]) {
        self.net.turn_away(listener, answer);
    }

    fn wake_on(&mut self, descriptor: RawFd) -> io::Result<()> {
        self.net.wake_on(descriptor)
    }

    fn close_listeners(&mut self) {
        self.net.close_listeners();
    }

    fn register(&mut self, socket: &Self::Socket, slot: SlotId) -> io::Result<()> {
        self.net.register(socket, slot)
    }

    fn read(&mut self, socket: &mut Self::Socket, into: &mut [u8]) -> io::Result<usize> {
        self.net.read(socket, into)
    }

    fn write(&mut self, socket: &mut Self::Socket, from: &[IoSlice]) -> io::Result<usize> {
        self.net.write(socket, from)
    }

    fn finish_writing(&mut self, socket: &mut Self::Socket) {
        self.net.finish_writing(socket);
    }
}

fn config() -> Rc<Config> {
    let digest: String = credentials::digest(TOKEN.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!(
        "ops_auth = \"admin\"\n[tokens]\nadmin = \"sha256:{digest}\"\n\
         [[route]]\npath = \"/log\"\nsql = \"SELECT a FROM log ORDER BY id\"\n\
         [[route]]\nmethod = \"POST\"\npath = \"/log\"\nsql = \"INSERT INTO log(a) VALUES (:a)\"\n"
    );
    let mut config = Config::new();
    config.from_file = true;
    read_bytes(text.as_bytes(), &mut config, &mut Mistakes::new()).expect("the test's configuration");
    Rc::new(config)
}

/// Serves until told otherwise, opening the database anew when the connection is lost.
fn serve(listener: TcpListener, path: PathBuf, orders: &Arc<Orders>) {
    let config = config();
    listener.set_nonblocking(true).expect("a socket");
    let started = Instant::now();
    let net = MioNet::new([listener.into()].into_iter().collect(), started, false).expect("a poll");
    let net = Armed { net, orders: Arc::clone(orders), turn_begins: Cell::new(false), ahead: Cell::new(0) };
    let setup = Setup {
        listeners: [Listening::Public].into_iter().collect(),
        config: Rc::clone(&config),
        tag_key: TagKey([7; 16]),
        hosts: Hosts::new("localhost"),
    };
    let mut front = Front::new(net, setup, Regions::leaked());
    drop(rusqlite::Connection::open_in_memory().expect("memory"));
    vfs::install().expect("the shim");
    let workspace = Workspace::take().expect("the first");
    let mut reply = Reply::new(vec![0; ANSWER_BYTES].leak());
    loop {
        let conn = open(&path, How { immutable: false, writable: true, page_slots: 100, page_bytes: 4096 }).expect("it opens");
        let mut back = Back::new(&conn, workspace, [7; 16], started, Rc::clone(&config)).expect("a schema");
        back.prepare_writes(&config).expect("nobody else writes");
        match event_loop::serve(&mut front, &mut back, &mut reply, &mut Around(Arc::clone(orders))) {
            End::ConnectionLost => orders.reopened.fetch_add(1, SeqCst),
            _ => return,
        };
    }
}

fn ask(address: SocketAddr, method: &str, target: &str, body: &str) -> TcpStream {
    let mut stream = connect(address);
    let text = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).expect("it is taken");
    stream
}

fn answer(mut stream: TcpStream) -> Answer {
    read_answer(&mut stream, false).expect("an answer")
}

#[test]
fn the_loop_lives_through_a_panic_in_each_of_its_parts() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data.db");
    let sql = "PRAGMA journal_mode = WAL; CREATE TABLE log(id INTEGER PRIMARY KEY, a)";
    rusqlite::Connection::open(&path).and_then(|conn| conn.execute_batch(sql)).expect("a database");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let orders = Arc::new(Orders::default());
    let server = std::thread::spawn({
        let (path, orders) = (path.clone(), Arc::clone(&orders));
        move || serve(listener, path, &orders)
    });

    // A change: the running configuration stays, whoever asked is told.
    orders.change.store(1, SeqCst);
    let failed = answer(ask(address, "POST", "/-/reload", ""));
    assert_eq!((failed.status, failed.json()["type"].as_str()), (500, Some("tag:flagstone,2026:internal")));
    assert_eq!(answer(ask(address, "POST", "/-/reload", "")).status, 200);
    assert_eq!(answer(ask(address, "GET", "/log", "")).text(), "[]");

    // The background: nobody knows where the connection stands.
    orders.background.store(1, SeqCst);
    assert_eq!(answer(ask(address, "POST", "/log", r#"{"a":0}"#)).status, 204);
    wait_for("the database is opened anew", || orders.reopened.load(SeqCst) == 1);
    assert_eq!(answer(ask(address, "GET", "/log", "")).text(), r#"[{"a":0}]"#);

    // A reading: the next one is taken a second later.
    orders.reading.store(1, SeqCst);
    wait_for("a reading panicked", || orders.reading.load(SeqCst) == 0);
    assert_eq!(answer(ask(address, "GET", "/log", "")).text(), r#"[{"a":0}]"#);

    a_batch_whose_answers_panic(address, &orders);
    wait_for("each was counted", || orders.panics.load(SeqCst) == 4);
    assert_eq!(orders.reopened.load(SeqCst), 1);
    orders.over.store(1, SeqCst);
    // Which wakes it.
    drop(connect(address));
    server.join().expect("it ends");
}

/// Writes that wait together: one's answer panics, and the others have theirs. All are in the database.
fn a_batch_whose_answers_panic(address: SocketAddr, orders: &Orders) {
    orders.answer.store(1, SeqCst);
    let writers: Vec<_> = (1..=6).map(|value| ask(address, "POST", "/log", &format!("{{\"a\":{value}}}"))).collect();
    let answers: Vec<Answer> = writers.into_iter().map(answer).collect();
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses.iter().filter(|&&status| status == 204).count(), 5, "{statuses:?}");
    let told = answers.iter().find(|answer| answer.status != 204).expect("one of them");
    assert_eq!((told.status, told.field("connection")), (503, Some("close")));
    assert_eq!(told.json()["type"], "tag:flagstone,2026:write-uncertain", "it is there, and nobody can tell");
    let rows = answer(ask(address, "GET", "/log", "")).json();
    assert_eq!(rows.as_array().map(Vec::len), Some(7), "{rows}");
}
