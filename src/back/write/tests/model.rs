//! Any batches of any writes end as if each write had been a transaction of its own, in their order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const SCHEMA: &str = "CREATE TABLE kv(k INTEGER PRIMARY KEY, v INTEGER CONSTRAINT small CHECK (v < 6));
    CREATE TABLE child(k INTEGER REFERENCES kv(k) DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE rule(x);
    CREATE TRIGGER rolls BEFORE INSERT ON rule BEGIN SELECT RAISE(ROLLBACK, 'no'); END";

#[derive(Clone, Debug)]
enum Write {
    Add(u8, u8),
    AddOrRollback(u8, u8),
    AddOrFail(u8, u8, u8),
    AddAll(Vec<u8>),
    Put(u8, u8),
    Remove(u8),
    /// Adds a row first, which must be gone again when there is nothing to remove.
    Move(u8, u8),
    Bump,
    Link(u8),
    Unlink(u8),
    Rule,
}

fn writes() -> impl Strategy<Value = Write> {
    let (k, v) = (0..8_u8, 0..8_u8);
    prop_oneof![
        4 => (k.clone(), v.clone()).prop_map(|(k, v)| Write::Add(k, v)),
        1 => (k.clone(), v.clone()).prop_map(|(k, v)| Write::AddOrRollback(k, v)),
        1 => (k.clone(), k.clone(), v.clone()).prop_map(|(a, b, v)| Write::AddOrFail(a, b, v)),
        1 => prop::collection::vec(k.clone(), 0..4).prop_map(Write::AddAll),
        2 => (k.clone(), v).prop_map(|(k, v)| Write::Put(k, v)),
        2 => k.clone().prop_map(Write::Remove),
        1 => (k.clone(), k.clone()).prop_map(|(a, b)| Write::Move(a, b)),
        1 => Just(Write::Bump),
        2 => k.clone().prop_map(Write::Link),
        2 => k.prop_map(Write::Unlink),
        1 => Just(Write::Rule),
    ]
}

fn config() -> Config {
    let mut config = Config::new();
    add(&mut config, Verb::Post, "/kv", "INSERT INTO kv VALUES (:k, :v) RETURNING k", Rows::Many);
    add(&mut config, Verb::Post, "/rollback", "INSERT OR ROLLBACK INTO kv VALUES (:k, :v)", Rows::Many);
    add(&mut config, Verb::Post, "/fail", "INSERT OR FAIL INTO kv VALUES (:a, :v), (:b, :v)", Rows::Many);
    add(&mut config, Verb::Put, "/kv", "INSERT OR REPLACE INTO kv VALUES (:k, :v)", Rows::Many);
    add(&mut config, Verb::Delete, "/kv/:k", "DELETE FROM kv WHERE k = CAST(:k AS INTEGER)", Rows::One);
    let moves = "INSERT OR IGNORE INTO kv VALUES (:b, 0); DELETE FROM kv WHERE k = :a RETURNING k";
    add(&mut config, Verb::Post, "/move", moves, Rows::One);
    add(&mut config, Verb::Post, "/bump", "UPDATE kv SET v = v + 1", Rows::Many);
    add(&mut config, Verb::Post, "/child", "INSERT INTO child VALUES (:k)", Rows::Many);
    add(&mut config, Verb::Delete, "/child", "DELETE FROM child WHERE k = CAST(:k AS INTEGER)", Rows::Many);
    add(&mut config, Verb::Post, "/rule", "INSERT INTO rule VALUES (1)", Rows::Many);
    config
}

impl Write {
    fn ask(&self) -> Ask {
        let kv = |k: u8, v: u8| format!(r#"{{"k": {k}, "v": {v}}}"#);
        match self {
            Write::Add(k, v) => post("/kv", &kv(*k, *v)),
            Write::AddOrRollback(k, v) => post("/rollback", &kv(*k, *v)),
            Write::AddOrFail(a, b, v) => post("/fail", &format!(r#"{{"a": {a}, "b": {b}, "v": {v}}}"#)),
            Write::AddAll(keys) => {
                let elements: Vec<String> = keys.iter().map(|&k| kv(k, 1)).collect();
                post("/kv", &format!("[{}]", elements.join(",")))
            }
            Write::Put(k, v) => ask("PUT", "/kv", &kv(*k, *v)),
            Write::Remove(k) => ask("DELETE", &format!("/kv/{k}"), ""),
            Write::Move(a, b) => post("/move", &format!(r#"{{"a": {a}, "b": {b}}}"#)),
            Write::Bump => post("/bump", ""),
            Write::Link(k) => post("/child", &format!(r#"{{"k": {k}}}"#)),
            Write::Unlink(k) => ask("DELETE", &format!("/child?k={k}"), ""),
            Write::Rule => post("/rule", ""),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    kv: BTreeMap<u8, u8>,
    child: BTreeMap<u8, usize>,
}

impl Model {
    /// The status of a write, and its effect when that is a success.
    fn apply(&mut self, write: &Write) -> u16 {
        let mut next = self.clone();
        let mut status = next.change(write);
        if status < 300 && next.child.keys().any(|k| !next.kv.contains_key(k)) {
            status = 422;
        }
        if status < 300 {
            *self = next;
        }
        status
    }

    fn insert(&mut self, k: u8, v: u8) -> u16 {
        match (v < 6, self.kv.contains_key(&k)) {
            (false, _) => 422,
            (true, true) => 409,
            (true, false) => {
                self.kv.insert(k, v);
                204
            }
        }
    }

    fn change(&mut self, write: &Write) -> u16 {
        match write {
            Write::Add(k, v) => match self.insert(*k, *v) {
                204 => 201,
                status => status,
            },
            Write::AddOrRollback(k, v) => self.insert(*k, *v),
            Write::AddOrFail(a, b, v) => match self.insert(*a, *v) {
                204 => self.insert(*b, *v),
                status => status,
            },
            Write::AddAll(keys) => match keys.iter().map(|&k| self.insert(k, 1)).find(|&status| status != 204) {
                Some(status) => status,
                None if keys.is_empty() => 200,
                None => 201,
            },
            Write::Put(_, 6..) => 422,
            Write::Put(k, v) => {
                self.kv.insert(*k, *v);
                204
            }
            Write::Remove(k) => self.kv.remove(k).map_or(404, |_| 204),
            Write::Move(a, b) => {
                self.kv.entry(*b).or_insert(0);
                self.kv.remove(a).map_or(404, |_| 201)
            }
            Write::Bump if self.kv.values().any(|&v| v >= 5) => 422,
            Write::Bump => {
                self.kv.values_mut().for_each(|v| *v += 1);
                204
            }
            Write::Link(k) => {
                *self.child.entry(*k).or_default() += 1;
                204
            }
            Write::Unlink(k) => {
                self.child.remove(k);
                204
            }
            Write::Rule => 422,
        }
    }
}

fn state(path: &Path) -> Model {
    let conn = Connection::open(path).unwrap();
    let mut model = Model::default();
    let mut kv = conn.prepare("SELECT k, v FROM kv").unwrap();
    model.kv.extend(kv.query_map([], |row| Ok((row.get::<_, u8>(0)?, row.get::<_, u8>(1)?))).unwrap().map(Result::unwrap));
    let mut child = conn.prepare("SELECT k, count(*) FROM child GROUP BY k").unwrap();
    model.child.extend(
        child.query_map([], |row| Ok((row.get::<_, u8>(0)?, row.get::<_, i64>(1)? as usize))).unwrap().map(Result::unwrap),
    );
    model
}

#[test]
fn batches_are_what_their_writes_would_have_been_alone() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let server = std::cell::RefCell::new(Server::new(&conn, work, config()));
    let lost = std::cell::Cell::new(0);
    let batches = prop::collection::vec(prop::collection::vec(writes(), 1..12), 1..6);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let ran = runner.run(&batches, |batches| {
        let mut server = server.borrow_mut();
        conn.execute_batch("BEGIN; DELETE FROM child; DELETE FROM kv; COMMIT").unwrap();
        let mut model = Model::default();
        for batch in &batches {
            let asked: Vec<Ask> = batch.iter().map(Write::ask).collect();
            let (told, commit) = server.run(&asked);
            lost.set(lost.get() + usize::from(commit.replays > 0));
            for (write, told) in batch.iter().zip(told) {
                let status = model.apply(write);
                prop_assert_eq!(told.0, status, "{:?} in {:?}: {:?}", write, batch, told);
            }
            prop_assert_eq!(&state(&database.path), &model);
            prop_assert!(commit.only_ours || commit.commits == 0);
        }
        Ok(())
    });
    ran.unwrap();
    assert!(lost.get() > 20, "{} lost batches are too few to say anything", lost.get());
}
