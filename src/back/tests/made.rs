//! What a job says of its rows: the stamp, whether they are volatile, what they cost.

use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use rusqlite::Connection;

use super::other::Other;
use crate::back::open::{How, open};
use crate::back::{Back, Workspace};
use crate::budget::{ANSWER_BYTES, REQUEST_BYTES};
use crate::config::Config;
use crate::job::{Exchange, Go, Job, Made, Micros, Outcome, Reply, SlotId, Task};
use crate::memory::StaticCell;
use crate::policy::sharing::Share;

const SCHEMA: &str = "CREATE TABLE n(i INTEGER PRIMARY KEY, at TEXT DEFAULT (datetime('now'))); INSERT INTO n(i) VALUES (1), (2);
    CREATE TABLE empty(a);
    CREATE VIEW plain AS SELECT i * 2 AS double FROM n;
    CREATE VIEW chance AS SELECT i FROM n WHERE random() IS NOT NULL;
    CREATE VIEW deep AS SELECT i FROM chance";

/// A workspace for one test; too large to be made on a test's stack.
macro_rules! workspace {
    () => {{
        static WORKSPACE: StaticCell<Workspace> = StaticCell::new(Workspace::new());
        WORKSPACE.take().unwrap()
    }};
}

struct Server<'c> {
    back: Back<'c>,
    reply: Reply,
    started: Instant,
}

impl<'c> Server<'c> {
    fn new(conn: &'c Connection, work: &'c mut Workspace) -> Server<'c> {
        let started = Instant::now();
        let reply = Reply::new(vec![0; ANSWER_BYTES].leak());
        Server { back: Back::new(conn, work, [7; 16], started, Rc::new(Config::new())).unwrap(), reply, started }
    }

    fn now(&self) -> Micros {
        self.started.elapsed().as_micros() as Micros
    }

    fn ask(&mut self, target: &str, fields: &str, turn: &mut dyn FnMut(Micros) -> Go) -> Outcome {
        self.ask_in(Share::Alone, target, fields, turn)
    }

    fn ask_in(&mut self, share: Share, target: &str, fields: &str, turn: &mut dyn FnMut(Micros) -> Go) -> Outcome {
        let mut exchange = Box::new(Exchange::new(vec![0; REQUEST_BYTES].leak()));
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        exchange.room()[..request.len()].copy_from_slice(request.as_bytes());
        exchange.filled = request.len();
        exchange.advance();
        let now = self.now();
        let job = Job {
            task: Task::Tables,
            slot: SlotId { index: 0, generation: 0 },
            exchange,
            arrived: now,
            deadline: now + 10_000_000,
            share,
        };
        self.back.run(&job, &mut self.reply, turn)
    }

    fn made(&mut self, target: &str) -> Made {
        self.made_with(target, "")
    }

    fn made_with(&mut self, target: &str, fields: &str) -> Made {
        match self.ask(target, fields, &mut |_| Go::On) {
            Outcome::Rows(_, made) => made,
            other => panic!("{target}: {other:?}"),
        }
    }

    fn made_in(&mut self, share: Share, target: &str) -> Made {
        match self.ask_in(share, target, "", &mut |_| Go::On) {
            Outcome::Rows(_, made) => made,
            other => panic!("{target}: {other:?}"),
        }
    }

    fn body(&self) -> &str {
        std::str::from_utf8(self.reply.body()).unwrap()
    }
}

fn database(mode: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let conn = Connection::open(folder.path().join("x.db")).unwrap();
    conn.execute_batch(&format!("PRAGMA journal_mode = {mode}; {SCHEMA}")).unwrap();
    folder
}

fn ours(folder: &Path, immutable: bool) -> Connection {
    open(&folder.join("x.db"), How { immutable, writable: false, page_slots: 100, page_bytes: 4096 }).unwrap()
}

#[test]
fn what_is_made_of_the_data_alone_has_the_current_stamp() {
    let work = workspace!();
    for (mode, immutable) in [("wal", false), ("delete", false), ("delete", true)] {
        let folder = database(mode);
        let conn = ours(folder.path(), immutable);
        let mut server = Server::new(&conn, work);
        let freshness = server.back.freshness();
        let everything = ["/", "/tables", "/tables/n", "/tables/n/1", "/tables/empty", "/tables/plain", "/tables/n?i=in.(1,2)"];
        for target in everything {
            let made = server.made(target);
            assert!(made.stamp.is_some() && made.stamp == freshness.current(), "{mode} {target}: {made:?}");
            assert!(!made.volatile);
        }
        let made = server.made_with("/tables/n?limit=1", "Prefer: count=exact\r\n");
        assert_eq!(server.reply.content_range, "0-0/2");
        assert!(made.stamp.is_some() && made.stamp == freshness.current(), "{mode}: page and count have one stamp");
        assert!(conn.is_autocommit());
        drop(server);
        assert_eq!(freshness.current(), None, "a back that is gone names nothing");
    }
}

#[test]
fn rows_of_chance_are_known_as_such() {
    let work = workspace!();
    for mode in ["wal", "delete"] {
        let folder = database(mode);
        let conn = ours(folder.path(), false);
        let mut server = Server::new(&conn, work);
        for target in ["/tables/chance", "/tables/deep", "/tables/deep"] {
            let made = server.made(target);
            assert!(made.volatile, "{mode} {target}");
            assert!(!server.made("/tables/plain").volatile, "it is the job's statements that count");
        }
        assert!(server.made_with("/tables/chance?limit=1", "Prefer: count=exact\r\n").volatile);
        // The view changes under a statement that is held.
        let mut other = Other::new(&folder.path().join("x.db"));
        assert!(!server.made("/tables/plain").volatile);
        other.done("DROP VIEW plain; CREATE VIEW plain AS SELECT i * 2 + random() AS double FROM n");
        assert!(server.made("/tables/plain").volatile, "{mode}: prepared anew while it ran");
        assert!(server.made("/tables/plain").volatile, "{mode}: and held");
        other.done("DROP VIEW plain; CREATE VIEW plain AS SELECT i * 3 AS double FROM n");
        assert!(!server.made("/tables/plain").volatile);
        assert_eq!(server.body(), r#"[{"double":3},{"double":6}]"#);
    }
}

#[test]
fn a_commit_while_rows_are_made_leaves_them_an_old_stamp_or_none() {
    let work = workspace!();
    let folder = database("wal");
    let conn = ours(folder.path(), false);
    let mut other = Other::new(&folder.path().join("x.db"));
    other.done("INSERT INTO n(i) WITH RECURSIVE k(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM k LIMIT 900) SELECT i FROM k");
    let mut server = Server::new(&conn, work);
    let freshness = server.back.freshness();
    let mut commits = 0;
    let outcome = server.ask("/tables/n?limit=1000", "Prefer: count=exact\r\n", &mut |_| {
        other.done("DELETE FROM n WHERE i = (SELECT max(i) FROM n)");
        commits += 1;
        Go::On
    });
    let Outcome::Rows(_, made) = outcome else { panic!("{outcome:?}") };
    assert!(commits > 0, "the job was long enough for a turn");
    assert_eq!(server.reply.content_range, "0-901/902", "page and count speak of one state");
    assert!(made.stamp.is_some() && made.stamp != freshness.current());
    let again = server.made("/tables/n");
    assert_eq!(again.stamp, freshness.current());
}

#[test]
fn a_listing_is_stamped_with_the_schema_that_it_shows() {
    let work = workspace!();
    for mode in ["wal", "delete"] {
        let folder = database(mode);
        let conn = ours(folder.path(), false);
        let mut server = Server::new(&conn, work);
        let freshness = server.back.freshness();
        let mut other = Other::new(&folder.path().join("x.db"));
        for table in ["first", "second"] {
            let before = server.made("/tables").stamp;
            other.done(&format!("CREATE TABLE {table}(a)"));
            let made = server.made("/tables");
            assert!(server.body().contains(table), "{mode}");
            assert!(made.stamp != before && made.stamp.is_some() && made.stamp == freshness.current(), "{mode}");
        }
    }
}

#[test]
fn a_change_of_the_journal_mode_costs_one_stamp() {
    let work = workspace!();
    let folder = database("delete");
    let conn = ours(folder.path(), false);
    let mut server = Server::new(&conn, work);
    let freshness = server.back.freshness();
    assert!(server.made("/tables/n").stamp.is_some());
    let mut other = Other::new(&folder.path().join("x.db"));
    other.done("PRAGMA journal_mode = wal; INSERT INTO n(i) VALUES (3)");
    assert_eq!(freshness.current(), None);
    assert_eq!(server.made("/tables/n?select=i").stamp, None);
    assert_eq!(server.body(), r#"[{"i":1},{"i":2},{"i":3}]"#);
    assert!(freshness.current().is_some(), "the front's handle follows");
    assert_eq!(server.made("/tables/n").stamp, freshness.current());
}

#[test]
fn a_transaction_that_was_left_open_shows_its_old_state_to_nobody() {
    let work = workspace!();
    let folder = database("wal");
    let conn = ours(folder.path(), false);
    let mut server = Server::new(&conn, work);
    conn.execute_batch("BEGIN; SELECT count(*) FROM n").unwrap();
    Other::new(&folder.path().join("x.db")).done("INSERT INTO n(i) VALUES (3)");
    let made = server.made("/tables/n?select=i");
    assert_eq!(server.body(), r#"[{"i":1},{"i":2},{"i":3}]"#);
    assert_eq!(made.stamp, server.back.freshness().current());
}

#[test]
fn who_shares_a_read_transaction_sees_its_state_and_who_does_not_the_newest() {
    const ROWS: &str = "/tables/n?select=i";
    let work = workspace!();
    for (mode, shared) in [("wal", true), ("delete", false)] {
        let folder = database(mode);
        let conn = ours(folder.path(), false);
        let mut server = Server::new(&conn, work);
        let freshness = server.back.freshness();
        let mut other = Other::new(&folder.path().join("x.db"));
        let begun = server.made_in(Share::Begin, ROWS);
        assert_eq!((begun.stamp, conn.is_autocommit()), (freshness.current(), !shared), "{mode}");
        other.done("INSERT INTO n(i) VALUES (3)");
        assert_ne!(begun.stamp, freshness.current());
        for target in [ROWS, "/tables/n/3", "/tables/empty", ROWS] {
            let joined = server.ask_in(Share::Join, target, "Prefer: count=exact\r\n", &mut |_| Go::On);
            match joined {
                Outcome::Rows(_, made) => assert_eq!(made.stamp == begun.stamp, shared, "{mode} {target}"),
                Outcome::Problem(problem) => assert_eq!((problem.status, shared), (404, true), "the third row has yet to come"),
                other => panic!("{target}: {other:?}"),
            }
        }
        assert_eq!(server.body() == r#"[{"i":1},{"i":2}]"#, shared, "{mode}");
        assert_eq!(server.reply.content_range, if shared { "0-1/2" } else { "0-2/3" }, "what is counted is of that state too");
        assert_eq!(server.made(ROWS).stamp, freshness.current(), "{mode}");
        assert_eq!(server.body(), r#"[{"i":1},{"i":2},{"i":3}]"#);
        assert!(conn.is_autocommit());

        // Nothing to join: it is as if alone.
        other.done("INSERT INTO n(i) VALUES (4)");
        assert_eq!(server.made_in(Share::Join, ROWS).stamp, freshness.current(), "{mode}");
        assert_eq!(server.body(), r#"[{"i":1},{"i":2},{"i":3},{"i":4}]"#);
        server.made_in(Share::Begin, ROWS);
        server.back.end_sharing();
        assert!(conn.is_autocommit());
        other.done("DELETE FROM n WHERE i = 4");
        assert_eq!(server.made_in(Share::Begin, "/tables/n/3").stamp, freshness.current(), "{mode}: each that begins is new");
    }
}

#[test]
fn a_schema_that_changes_within_a_shared_read_transaction_changes_behind_it() {
    let work = workspace!();
    let folder = database("wal");
    let conn = ours(folder.path(), false);
    let mut server = Server::new(&conn, work);
    server.made_in(Share::Begin, "/tables/n");
    Other::new(&folder.path().join("x.db")).done("CREATE TABLE new(a); ALTER TABLE n ADD COLUMN b; INSERT INTO new VALUES (7)");
    let joined = server.ask_in(Share::Join, "/tables/new", "", &mut |_| Go::On);
    assert!(matches!(joined, Outcome::Problem(problem) if problem.status == 404), "they asked before it was there");
    server.made_in(Share::Join, "/tables/n/1");
    assert!(!server.body().contains("\"b\""));
    server.made("/tables/new");
    assert_eq!(server.body(), r#"[{"a":7}]"#);
    server.made_in(Share::Begin, "/tables/n/1");
    assert!(server.body().contains("\"b\""));
}

#[test]
fn the_cost_is_the_jobs_own_time() {
    let work = workspace!();
    let folder = database("wal");
    let conn = ours(folder.path(), false);
    let mut server = Server::new(&conn, work);
    let mut other = Other::new(&folder.path().join("x.db"));
    other.done("INSERT INTO n(i) WITH RECURSIVE k(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM k LIMIT 900) SELECT i FROM k");
    let (before, mut in_turns) = (server.now(), 0);
    let outcome = server.ask("/tables/n?limit=1000", "", &mut |_| {
        let begun = Instant::now();
        while begun.elapsed().as_micros() < 20_000 {
            std::hint::spin_loop();
        }
        in_turns += begun.elapsed().as_micros() as Micros;
        Go::On
    });
    let Outcome::Rows(_, made) = outcome else { panic!("{outcome:?}") };
    let whole = server.now() - before;
    assert!(in_turns > 0 && made.cost > 0);
    assert!(made.cost <= whole - in_turns, "{} of {whole} with {in_turns} in turns", made.cost);
}

#[test]
fn what_is_kept_of_one_look_up_is_right_for_the_next() {
    const SETS: &[&str] = &[
        "DROP TABLE IF EXISTS pair; CREATE TABLE pair(a TEXT, b INTEGER, \"odd \"\"name\" REAL, PRIMARY KEY(a, b)) WITHOUT ROWID;
         INSERT INTO pair VALUES ('x', 1, 0.5), ('y', 2, NULL)",
        "DROP TABLE IF EXISTS pair; CREATE TABLE pair(b INTEGER, a TEXT, PRIMARY KEY(b, a)); INSERT INTO pair VALUES (1, 'x')",
        "DROP TABLE IF EXISTS pair",
        "DROP TABLE n; CREATE TABLE n(i INTEGER PRIMARY KEY, AT TEXT DEFAULT 'then', more BLOB); INSERT INTO n(i) VALUES (1), (2)",
        "UPDATE n SET at = 'later'",
        "CREATE TABLE IF NOT EXISTS aa(a); DELETE FROM empty; INSERT INTO empty VALUES (7)",
        "DROP TABLE IF EXISTS aa",
    ];
    const TARGETS: &[&str] = &[
        "/tables/n/1",
        "/tables/n/2",
        "/tables/n/3",
        "/tables/n/x",
        "/tables/n/1,2",
        "/tables/n/1?select=i",
        "/tables/n/1?nothing=1",
        "/tables/n/2?_format=csv",
        "/tables/n?limit=1",
        "/tables/pair/x,1",
        "/tables/pair/1,x",
        "/tables/pair/y,2",
        "/tables/pair/x",
        "/tables/empty/1",
        "/tables/plain/1",
        "/tables/none/1",
        "/tables/empty",
        "/tables/pair?_format=csv",
        "/tables",
    ];
    let (work, other_work) = (workspace!(), workspace!());
    let folder = database("wal");
    let (conn, other_conn) = (ours(folder.path(), false), ours(folder.path(), false));
    let (mut server, mut forgetful) = (Server::new(&conn, work), Server::new(&other_conn, other_work));
    let writer = Connection::open(folder.path().join("x.db")).unwrap();
    let seed = std::process::id();
    let mut random = u64::from(seed);
    for round in 0..6000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let choice = (random >> 33) as usize;
        if choice.is_multiple_of(4) {
            writer.execute_batch(SETS[choice / 4 % SETS.len()]).unwrap();
        }
        let target = TARGETS[choice / 100 % TARGETS.len()];
        let fields = ["", "Accept: text/csv\r\n", "Accept: application/json\r\n"][choice / 2000 % 3];
        let outcome = |server: &mut Server<'_>| match server.ask(target, fields, &mut |_| Go::On) {
            Outcome::Rows(media, _) => format!("{media:?} {}", server.body()),
            other => format!("{other:?}"),
        };
        forgetful.back.work.forget_plans();
        forgetful.back.held.clear();
        let (given, right) = (outcome(&mut server), outcome(&mut forgetful));
        assert_eq!(given, right, "seed {seed}, round {round}: {target} {fields}");
    }
}
