//! Batches of writes allocate nothing of Rust's heap, also where SQLite refuses one of them.

mod counting;

use std::rc::Rc;
use std::sync::Mutex;
use std::time::Instant;

use rusqlite::ffi;

use counting::allocations;
use flagstone::back::open::{How, open};
use flagstone::back::{Back, Workspace};
use flagstone::budget::{ANSWER_BYTES, REQUEST_BYTES};
use flagstone::config::{Config, Param, Route, Rows, Verb};
use flagstone::http::request::Step;
use flagstone::job::{Batch, BatchEnd, Exchange, Go, Item, Micros, Reply, SlotId, Written};

const ROUNDS: u64 = 50;

fn add(config: &mut Config, verb: Verb, path: &str, sql: &str, names: &[&str], change: impl Fn(&mut Route)) {
    let params: Vec<Param> = names.iter().map(|name| Param::undeclared(config.keep(name.as_bytes()).expect("room"))).collect();
    let mut route = Route::new(verb, config.keep(path.as_bytes()).expect("room"), config.keep(sql.as_bytes()).expect("room"), 1);
    change(&mut route);
    config.add_route(route, &params).expect("room");
}

fn config() -> Config {
    let mut config = Config::new();
    add(&mut config, Verb::Post, "/t", "INSERT INTO t(a) VALUES (:a) RETURNING id, a", &["a"], |_| {});
    add(&mut config, Verb::Put, "/t/:id", "UPDATE t SET a = :a WHERE id = :id", &["a", "id"], |route| route.rows = Rows::One);
    let two = "INSERT INTO log VALUES (:a); DELETE FROM t WHERE id = :id AND a = :a";
    add(&mut config, Verb::Post, "/two", two, &["a", "id"], |_| {});
    add(&mut config, Verb::Post, "/once", "INSERT INTO log VALUES (:a) RETURNING 1", &["a"], |route| route.idempotent = true);
    add(&mut config, Verb::Post, "/unique", "INSERT INTO u VALUES (:a)", &["a"], |_| {});
    config
}

fn item(request: &str) -> Item {
    let mut exchange = Box::new(Exchange::new(vec![0; REQUEST_BYTES].leak()));
    exchange.room()[..request.len()].copy_from_slice(request.as_bytes());
    exchange.filled = request.len();
    assert_eq!(exchange.advance(), Step::Ready, "{request}");
    let slot = SlotId { index: 0, generation: 0 };
    Item { slot, exchange, arrived: 0, deadline: Micros::MAX, outcome: None }
}

/// The process's only one, which makes the tests run one after the other: SQLite's memory is limited for all connections at once.
static WORKSPACE: Mutex<Option<&'static mut Workspace>> = Mutex::new(None);

fn request(method: &str, target: &str, body: &str, key: &str) -> String {
    let (length, key) = (body.len(), if key.is_empty() { String::new() } else { format!("Idempotency-Key: {key}\r\n") });
    format!(
        "{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{key}\r\n{body}"
    )
}

#[test]
fn a_batch_of_writes_allocates_nothing() {
    let mut alone = WORKSPACE.lock().expect("no test fails beside another");
    let work = alone.get_or_insert_with(|| Workspace::take().expect("the first"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.db");
    let seed =
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a); CREATE TABLE log(a); CREATE TABLE u(a UNIQUE); INSERT INTO u VALUES (1)";
    rusqlite::Connection::open(&path).and_then(|conn| conn.execute_batch(seed)).expect("a database");
    let conn = open(&path, How { immutable: false, writable: true, page_slots: 100, page_bytes: 4096 }).expect("it opens");
    let config = config();
    let mut back = Back::new(&conn, work, [7; 16], Instant::now(), Rc::new(Config::new())).expect("a schema");
    back.prepare_writes(&config).expect("it is made ready");
    back.set_config(Rc::new(config));
    let mut reply = Reply::new(vec![0; ANSWER_BYTES].leak());
    let good = [
        request("POST", "/t", r#"{"a": "some text"}"#, ""),
        request("POST", "/t", r#"[{"a": 1}, {"a": 2.5}, {"a": null}]"#, ""),
        request("PUT", "/t/1", r#"{"a": 7}"#, ""),
        request("PUT", "/t/nothing", r#"{"a": 7}"#, ""),
        request("POST", "/two", r#"{"a": 1, "id": 2}"#, ""),
        request("POST", "/once", r#"{"a": 1}"#, "key"),
        request("POST", "/once", r#"{"a": 2}"#, "key"),
        request("POST", "/nowhere", "{}", ""),
    ];
    let mut run = |requests: &[String], wanted: &[u16]| {
        let mut batch = Box::new(Batch::new());
        requests.iter().for_each(|request| assert!(batch.items.push(item(request)).is_ok()));
        let mut counted = 0;
        for round in 0..=ROUNDS {
            batch.items.iter_mut().for_each(|item| item.outcome = None);
            let before = allocations();
            let end = back.write(&mut batch, &mut reply, &mut |_| Go::On);
            // The first prepares.
            counted += if round > 0 { allocations() - before } else { 0 };
            assert!(matches!(end, BatchEnd::Ended(_)), "{end:?}");
            for (item, wanted) in batch.items.iter().zip(wanted) {
                let status = match &item.outcome {
                    Some(Written::Done(done)) => done.status,
                    Some(Written::Problem(problem)) => problem.status,
                    other => panic!("{other:?}"),
                };
                assert_eq!(status, *wanted);
            }
        }
        counted
    };
    assert_eq!(run(&good, &[201, 201, 204, 404, 204, 201, 422, 404]), 0);
    assert_eq!(run(&good[..1], &[201]), 0, "nor does one alone");
    let refused = [good[0].clone(), request("POST", "/unique", r#"{"a": 1}"#, ""), good[0].clone()];
    assert_eq!(run(&refused, &[201, 409, 201]), 0, "of a message no more is kept than is told");
}

#[test]
fn a_write_that_needs_more_memory_than_there_is_takes_no_neighbour_with_it() {
    let mut alone = WORKSPACE.lock().expect("no test fails beside another");
    let work = alone.get_or_insert_with(|| Workspace::take().expect("the first"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.db");
    rusqlite::Connection::open(&path).and_then(|conn| conn.execute_batch("CREATE TABLE log(a)")).expect("a database");
    let conn = open(&path, How { immutable: false, writable: true, page_slots: 100, page_bytes: 4096 }).expect("it opens");
    let mut config = Config::new();
    add(&mut config, Verb::Post, "/small", "INSERT INTO log VALUES (:a)", &["a"], |_| {});
    let large = "INSERT INTO log VALUES ('before'); INSERT INTO log SELECT group_concat(hex(randomblob(1000))) FROM \
        (WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k LIMIT 400) SELECT i FROM k)";
    add(&mut config, Verb::Post, "/large", large, &[], |_| {});
    let mut back = Back::new(&conn, work, [7; 16], Instant::now(), Rc::new(Config::new())).expect("a schema");
    back.set_config(Rc::new(config));
    let mut reply = Reply::new(vec![0; ANSWER_BYTES].leak());
    let small = request("POST", "/small", r#"{"a": "n"}"#, "");
    let large = request("POST", "/large", "", "");
    let mut statuses = |places: [&str; 5]| {
        let mut batch = Box::new(Batch::new());
        places.iter().for_each(|request| assert!(batch.items.push(item(request)).is_ok()));
        assert!(matches!(back.write(&mut batch, &mut reply, &mut |_| Go::On), BatchEnd::Ended(_)));
        let status = |item: &Item| match &item.outcome {
            Some(Written::Done(done)) => (done.status, ""),
            Some(Written::Problem(problem)) => (problem.status, problem.slug),
            other => panic!("{other:?}"),
        };
        batch.items.iter().map(status).collect::<Vec<_>>()
    };
    let (ok, full) = ((204, ""), (503, "sqlite-memory"));
    assert_eq!(statuses([&small, &small, &large, &small, &small]), [ok; 5], "without a limit there is enough");
    // SAFETY: these take and give numbers.
    unsafe { ffi::sqlite3_hard_heap_limit64(ffi::sqlite3_memory_used() + 300_000) };
    for place in 0..5 {
        let mut asked = [small.as_str(); 5];
        asked[place] = &large;
        let mut wanted = [ok; 5];
        wanted[place] = full;
        assert_eq!(statuses(asked), wanted);
    }
    // SAFETY: as above; 0 is no limit.
    unsafe { ffi::sqlite3_hard_heap_limit64(0) };
    let count = |what: &str| conn.query_row("SELECT count(*) FROM log WHERE a = ?1", [what], |row| row.get::<_, i64>(0));
    assert_eq!((count("n"), count("before")), (Ok(4 + 20), Ok(1)));
}
