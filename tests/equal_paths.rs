//! Whatever is kept of earlier answers: an answer has the bytes and the tag of one that is made afresh. Random tables and requests go to a
//! server that has seen them before, over one pipelined connection, with commits and an open transaction of another process's in
//! between, and with drills that put the optimised path off, let it panic and damage what it keeps; the same is asked of `flagstone --get` and of
//! a server that has just been started.
//! The seed is printed; `FLAGSTONE_SEED` repeats it, `FLAGSTONE_CASES` asks for more.

#[allow(dead_code, reason = "the SQL that a case stands for is compared elsewhere")]
#[path = "table_property/case.rs"]
mod case;
mod configured;
mod server;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use case::{Case, cases, encode};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rusqlite::Connection;
use server::{Answer, Server, Start, read_answer};

/// Cases of a run: each takes about half a second without optimisation.
const CASES: u32 = 9;
/// How often a case commits.
const COMMITS: usize = 2;

/// One request, asked more than once.
#[derive(Clone, Debug)]
struct Ask {
    place: usize,
    limit: u16,
    format: usize,
    counted: bool,
    head: bool,
    tag: Option<bool>,
}

/// A case, what is asked of it, and the order.
#[derive(Clone, Debug)]
struct Conversation {
    case: Case,
    asks: Vec<Ask>,
    order: Vec<usize>,
    changes: Vec<usize>,
    falls: Vec<usize>,
}

fn conversations() -> impl Strategy<Value = Conversation> {
    let ask = (0..8_usize, 1..20_u16, 0..5_usize, any::<bool>(), prop::bool::weighted(0.2), any::<Option<bool>>())
        .prop_map(|(place, limit, format, counted, head, tag)| Ask { place, limit, format, counted, head, tag });
    let asks = prop::collection::vec(ask, 3..6);
    let order = prop::collection::vec(0..6_usize, 10..24);
    let falls = prop::collection::vec(0..FALLS.len(), COMMITS + 1);
    (cases(), asks, order, prop::collection::vec(0..CHANGES.len(), COMMITS), falls)
        .prop_map(|(case, asks, order, changes, falls)| Conversation { case, asks, order, changes, falls })
}

/// What is ordered before everything is asked once more, and how it is taken back: each leads to the plain path, or to none of what is kept.
const FALLS: [(&str, &str); 4] =
    [("fall", "seconds=60"), ("cache-panic", "count=2"), ("cache-flip", "count=9"), ("slow-read", "ms=1")];

/// What is done to a table `{t}` with its last column `{c}`.
const CHANGES: [&str; 5] = [
    "UPDATE OR IGNORE {t} SET {c} = 'changed'",
    "UPDATE OR IGNORE {t} SET {c} = coalesce({c}, '') || '+'",
    "DELETE FROM {t} WHERE {c} IS (SELECT {c} FROM {t} LIMIT 1)",
    "INSERT OR IGNORE INTO {t} DEFAULT VALUES; UPDATE OR REPLACE {t} SET {c} = 7.5",
    "ALTER TABLE {t} ADD COLUMN further TEXT DEFAULT 'more'",
];

impl Ask {
    fn target(&self, case: &Case) -> String {
        let table = encode(case.table()).replace('+', "%20");
        let format = ["", "", "_format=csv", "_format=ndjson", "_format=json"][self.format];
        let limit = format!("limit={}", self.limit);
        let query = case.query();
        let (path, parts) = match self.place {
            0 => ("/tables".to_owned(), vec![]),
            1 => (format!("/tables/{table}/1"), vec![format]),
            2 => (format!("/tables/{table}"), vec![limit.as_str(), "nonsense=eq.1"]),
            3 => (format!("/tables/{table}"), vec![limit.as_str(), format]),
            _ => (format!("/tables/{table}"), vec![query.as_str(), limit.as_str(), format]),
        };
        let query = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&");
        if query.is_empty() { path } else { format!("{path}?{query}") }
    }

    fn fields(&self) -> Vec<(&'static str, &'static str)> {
        if self.counted { vec![("Prefer", "count=exact")] } else { vec![] }
    }
}

/// The databases' servers: one that lives through all cases, and how another is started.
struct World {
    old: Server,
    database: PathBuf,
    state: PathBuf,
    conn: Connection,
}

impl World {
    fn new(folder: &Path) -> World {
        let (database, state) = (folder.join("data.db"), folder.join("state"));
        let conn = Connection::open(&database).expect("a database");
        conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; CREATE TABLE first(a)").expect("SQL");
        let config = configured::toml("", "[tables]\nexpose = \"*\"\n");
        let old = start(&state).database(&database).config(config).operator(configured::ADMIN).run();
        World { old, database, state, conn }
    }

    /// Drops everything and makes the case's own, in one transaction.
    fn make(&self, case: &Case) {
        let mut sql = String::from("BEGIN;");
        for kind in ["view", "table"] {
            for name in self.names(kind) {
                write!(sql, "DROP {kind} {};", quoted(&name)).expect("memory");
            }
        }
        self.conn.execute_batch(&format!("{sql} {} COMMIT", case.script())).expect("the case's SQL");
    }

    fn names(&self, kind: &str) -> Vec<String> {
        let mut names = self.conn.prepare("SELECT name FROM sqlite_schema WHERE type = ?1 ORDER BY name").expect("SQL");
        names.query_map([kind], |row| row.get(0)).expect("SQL").collect::<Result<_, _>>().expect("names")
    }

    fn change(&self, change: usize) {
        let table = self.names("table").pop().expect("every case has a table");
        let last = "SELECT name FROM pragma_table_info(?1) ORDER BY cid DESC LIMIT 1";
        let column: String = self.conn.query_row(last, [&table], |row| row.get(0)).expect("a column");
        let further = column == "further" && CHANGES[change].contains("further");
        let sql = CHANGES[if further { 0 } else { change }];
        // A refused change (NOT NULL, a key) is a commit of nothing.
        let _ = self.conn.execute_batch(&sql.replace("{t}", &quoted(&table)).replace("{c}", &quoted(&column)));
    }

    /// What is true now, for each ask: the answer of a server that has never been asked before, whose content is what `--get` prints.
    fn fresh(&self, talk: &Conversation) -> Result<Vec<Answer>, TestCaseError> {
        let server = start(&self.state).database(&self.database).run();
        let one = start(&self.state);
        let mut printed = HashMap::new();
        talk.asks
            .iter()
            .map(|ask| {
                let target = ask.target(&talk.case);
                let answer = server.request("GET", &target, &ask.fields());
                let printed = printed.entry(target.clone()).or_insert_with(|| {
                    let output = one.output(&["--get", &target, self.database.to_str().expect("UTF-8")]);
                    (output.status.success(), output.stdout)
                });
                // As text, for whoever reads a failure; every answer is UTF-8.
                let told = (printed.0, String::from_utf8_lossy(&printed.1));
                prop_assert_eq!((answer.status == 200, String::from_utf8_lossy(&answer.body)), told, "{}", target);
                Ok(answer)
            })
            .collect()
    }

    /// Sends all of it in one piece to the server that has seen it before, and compares.
    fn compare(&self, talk: &Conversation, fresh: &[Answer], before: &[Answer]) -> Result<(), TestCaseError> {
        let mut text = String::new();
        let order: Vec<usize> = talk.order.iter().map(|place| place % talk.asks.len()).collect();
        for (turn, &place) in order.iter().enumerate() {
            let ask = &talk.asks[place];
            let method = if ask.head { "HEAD" } else { "GET" };
            write!(text, "{method} {} HTTP/1.1\r\nHost: localhost\r\n", ask.target(&talk.case)).expect("memory");
            for (name, value) in ask.fields() {
                write!(text, "{name}: {value}\r\n").expect("memory");
            }
            if let Some(tag) = self.sent_tag(ask, turn, &fresh[place], before.get(place)) {
                write!(text, "If-None-Match: {tag}\r\n").expect("memory");
            }
            text.push_str("\r\n");
        }
        let mut stream = self.old.connect();
        stream.write_all(text.as_bytes()).expect("the requests are taken");
        for (turn, &place) in order.iter().enumerate() {
            let (ask, wanted) = (&talk.asks[place], &fresh[place]);
            let answer = read_answer(&mut stream, ask.head).expect("an answer");
            let sent = self.sent_tag(ask, turn, wanted, before.get(place));
            let unmodified = sent.is_some() && sent == wanted.field("etag");
            let told = format!("{ask:?} {}\n{answer:?}\n{wanted:?}", ask.target(&talk.case));
            prop_assert_eq!(answer.status, if unmodified { 304 } else { wanted.status }, "{}", told);
            prop_assert_eq!(answer.field("etag"), wanted.field("etag"), "{}", told);
            if unmodified {
                continue;
            }
            for name in ["content-type", "content-length", "content-range", "link", "vary", "cache-control"] {
                prop_assert_eq!(answer.field(name), wanted.field(name), "{}: {}", name, told);
            }
            prop_assert_eq!(&answer.body, if ask.head { &[][..] } else { &wanted.body[..] }, "{}", told);
        }
        Ok(())
    }

    /// The tag that the request carries: at every second turn, today's or that of before the last commit.
    fn sent_tag<'a>(&self, ask: &Ask, turn: usize, fresh: &'a Answer, before: Option<&'a Answer>) -> Option<&'a str> {
        let todays = ask.tag.filter(|_| turn % 2 == 1)?;
        if todays { fresh.field("etag") } else { before?.field("etag") }
    }

    /// Asks while a drill holds.
    fn fall(&self, fall: usize, ask: impl Fn() -> Result<(), TestCaseError>) -> Result<(), TestCaseError> {
        let (name, order) = FALLS[fall];
        let drill = |order: &str| assert_eq!(self.old.operate("POST", &format!("/-/drill/{name}"), order).status, 202, "{name}");
        drill(order);
        let asked = ask();
        drill("seconds=0");
        asked
    }

    fn converse(&self, talk: &Conversation) -> Result<(), TestCaseError> {
        self.make(&talk.case);
        let mut before = Vec::new();
        for commit in 0..=COMMITS {
            let fresh = self.fresh(talk)?;
            self.compare(talk, &fresh, &before)?;
            self.compare(talk, &fresh, &before)?;
            self.fall(talk.falls[commit], || self.compare(talk, &fresh, &before))?;
            let Some(&change) = talk.changes.get(commit) else { break };
            // What is not committed is not there, and what is rolled back never was.
            self.conn.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
            self.change(change);
            self.compare(talk, &fresh, &before)?;
            if !self.conn.is_autocommit() {
                self.conn.execute_batch("ROLLBACK").expect("an open transaction");
            }
            self.compare(talk, &fresh, &before)?;
            self.change(change);
            before = fresh;
        }
        Ok(())
    }
}

fn start(state: &Path) -> Start {
    Start::new().environment("STATE_DIRECTORY", state.to_str().expect("UTF-8"))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[test]
fn an_answer_that_was_given_before_equals_one_made_afresh() {
    let seed = std::env::var("FLAGSTONE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| RandomState::new().hash_one("seed"));
    let cases_wanted = std::env::var("FLAGSTONE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    println!("FLAGSTONE_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::new(folder.path());
    let config = Config { cases: cases_wanted, max_shrink_iters: 20, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    if let Err(error) = runner.run(&conversations(), |talk| world.converse(&talk)) {
        panic!("FLAGSTONE_SEED={seed}: {error}");
    }
}
