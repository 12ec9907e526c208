//! Batches against real databases: every way in which a write can fail, in the middle of others.

mod causes;
mod commits;
mod disk;
mod idempotent;
mod model;
mod rows;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use rusqlite::Connection;

use crate::back::open::{How, open};
use crate::back::{Back, Workspace};
use crate::budget::{ANSWER_BYTES, REQUEST_BYTES};
use crate::config::{Config, Param, Route, Rows, Verb};
use crate::http::request::Step;
use crate::job::{Batch, BatchEnd, Commit, Done, Exchange, Go, Item, Micros, Reply, SlotId, Written};

/// A workspace for one test; too large to be made on a test's stack.
macro_rules! workspace {
    () => {{
        static WORKSPACE: crate::memory::StaticCell<crate::back::Workspace> =
            crate::memory::StaticCell::new(crate::back::Workspace::new());
        WORKSPACE.take().unwrap()
    }};
}
use workspace;

/// Long enough for everything but what is meant to be stopped.
const LONG: Micros = 60_000_000;

/// A database with a schema, in a folder that goes with it.
pub struct Database {
    _folder: tempfile::TempDir,
    pub path: PathBuf,
}

pub fn database(schema: &str) -> Database {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    Connection::open(&path).unwrap().execute_batch(schema).unwrap();
    Database { _folder: folder, path }
}

pub fn ours(path: &Path) -> Connection {
    open(path, How { immutable: false, writable: true, page_slots: 100, page_bytes: 4096 }).unwrap()
}

/// Adds a route; its parameters are the names behind a colon.
pub fn add(config: &mut Config, verb: Verb, path: &str, sql: &str, rows: Rows) {
    add_route(config, verb, path, sql, |route| route.rows = rows);
}

pub fn add_route(config: &mut Config, verb: Verb, path: &str, sql: &str, change: impl Fn(&mut Route)) {
    let mut names: Vec<&str> = Vec::new();
    for part in sql.split(':').skip(1) {
        let name = part.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let params: Vec<Param> = names
        .iter()
        .map(|name| {
            let name = config.keep(name.as_bytes()).unwrap();
            Param::undeclared(name)
        })
        .collect();
    let mut route = Route::new(verb, config.keep(path.as_bytes()).unwrap(), config.keep(sql.as_bytes()).unwrap(), 1);
    change(&mut route);
    config.add_route(route, &params).unwrap();
}

/// A request as a client sends it.
#[derive(Clone, Debug)]
pub struct Ask {
    method: &'static str,
    target: String,
    fields: String,
    body: String,
    /// From now on.
    time: Micros,
}

pub fn ask(method: &'static str, target: &str, body: &str) -> Ask {
    Ask { method, target: target.to_string(), fields: String::new(), body: body.to_string(), time: LONG }
}

pub fn post(target: &str, body: &str) -> Ask {
    ask("POST", target, body)
}

impl Ask {
    pub fn field(mut self, line: &str) -> Ask {
        self.fields.push_str(line);
        self.fields.push_str("\r\n");
        self
    }

    pub fn within(mut self, time: Micros) -> Ask {
        self.time = time;
        self
    }

    fn item(&self, now: Micros) -> Item {
        let mut exchange = Box::new(Exchange::new(vec![0; REQUEST_BYTES].leak()));
        let (method, target, fields, length) = (self.method, &self.target, &self.fields, self.body.len());
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
            {fields}\r\n{}",
            self.body
        );
        exchange.room()[..request.len()].copy_from_slice(request.as_bytes());
        exchange.filled = request.len();
        assert_eq!(exchange.advance(), Step::Ready, "{request}");
        let slot = SlotId { index: 0, generation: 0 };
        Item { slot, exchange, arrived: now, deadline: now + self.time, outcome: None }
    }
}

/// An outcome in short: status, slug of a problem or the body, and the problem's detail.
pub type Told = (u16, String, String);

pub struct Server<'c> {
    pub back: Back<'c>,
    pub reply: Reply,
    started: Instant,
}

impl<'c> Server<'c> {
    pub fn new(conn: &'c Connection, work: &'c mut Workspace, config: Config) -> Server<'c> {
        let started = Instant::now();
        let mut back = Back::new(conn, work, [7; 16], started, Rc::new(Config::new())).unwrap();
        back.prepare_writes(&config).unwrap();
        back.set_config(Rc::new(config));
        Server { back, reply: Reply::new(vec![0; ANSWER_BYTES].leak()), started }
    }

    pub fn batch(&self, asked: &[Ask]) -> Batch {
        let now = self.started.elapsed().as_micros() as Micros;
        let mut batch = Batch::new();
        for ask in asked {
            assert!(batch.items.push(ask.item(now)).is_ok());
        }
        batch
    }

    pub fn write(&mut self, batch: &mut Batch) -> BatchEnd {
        self.back.write(batch, &mut self.reply, &mut |_| Go::On)
    }

    /// Runs a batch that ends in the ordinary way.
    pub fn run(&mut self, asked: &[Ask]) -> (Vec<Told>, Commit) {
        let mut batch = self.batch(asked);
        match self.write(&mut batch) {
            BatchEnd::Ended(commit) => (self.told(&batch), commit),
            other => panic!("{other:?}"),
        }
    }

    /// Runs one write.
    pub fn one(&mut self, asked: Ask) -> Told {
        self.run(&[asked]).0.remove(0)
    }

    pub fn told(&self, batch: &Batch) -> Vec<Told> {
        batch.items.iter().map(|item| self.told_one(item.outcome.as_ref().expect("an outcome"))).collect()
    }

    fn told_one(&self, written: &Written) -> Told {
        match written {
            Written::Done(done) => (done.status, self.body(done).to_string(), String::new()),
            Written::Problem(problem) => (problem.status, problem.slug.to_string(), problem.detail.to_string()),
            Written::Later => (0, "later".to_string(), String::new()),
            Written::Abandoned => (0, "abandoned".to_string(), String::new()),
            Written::Panicked => (0, "panicked".to_string(), String::new()),
        }
    }

    pub fn body(&self, done: &Done) -> &str {
        std::str::from_utf8(done.span.of(self.reply.body())).unwrap()
    }
}

/// Another program's connection, that waits for nothing.
pub fn other(path: &Path) -> Connection {
    let conn = Connection::open(path).unwrap();
    conn.busy_timeout(std::time::Duration::ZERO).unwrap();
    conn
}

/// The only value of a query by another connection: what is committed.
pub fn committed(path: &Path, sql: &str) -> String {
    let conn = Connection::open(path).unwrap();
    conn.query_row(sql, [], |row| row.get::<_, Option<String>>(0)).unwrap().unwrap_or_default()
}
