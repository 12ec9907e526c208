//! The same Idempotency-Key is one write, however often it is sent.

use super::*;

fn server<'c>(conn: &'c Connection, work: &'c mut Workspace) -> Server<'c> {
    let mut config = Config::new();
    let idempotent = |rows: Rows| {
        move |route: &mut Route| {
            route.idempotent = true;
            route.rows = rows;
        }
    };
    add_route(&mut config, Verb::Post, "/t", "INSERT INTO t(x) VALUES (:x) RETURNING id, x", idempotent(Rows::Many));
    add_route(&mut config, Verb::Post, "/value", "INSERT INTO t(x) VALUES (:x) RETURNING x", idempotent(Rows::Value));
    add_route(&mut config, Verb::Put, "/t", "INSERT INTO t(x) VALUES (:x)", idempotent(Rows::Many));
    let long = "INSERT INTO t(x) VALUES (:x) RETURNING zeroblob(100000)";
    add_route(&mut config, Verb::Post, "/long", long, idempotent(Rows::Many));
    add(&mut config, Verb::Post, "/plain", "INSERT INTO t(x) VALUES (:x) RETURNING id", Rows::Many);
    Server::new(conn, work, config)
}

const SCHEMA: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, x UNIQUE)";

fn keyed(asked: Ask, key: &str) -> Ask {
    asked.field(&format!("Idempotency-Key: {key}"))
}

fn x(value: usize) -> String {
    format!(r#"{{"x": {value}}}"#)
}

fn count(path: &Path, table: &str) -> String {
    committed(path, &format!("SELECT CAST(count(*) AS TEXT) FROM {table}"))
}

fn replayed(batch: &Batch) -> Vec<bool> {
    batch.items.iter().map(|item| matches!(item.outcome, Some(Written::Done(Done { replayed: true, .. })))).collect()
}

#[test]
fn a_key_is_written_once_and_answered_as_often_as_it_is_sent() {
    let (work, later) = (workspace!(), workspace!());
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let mut server = server(&conn, work);
    let asked = [
        (keyed(post("/t", &x(1)), "a"), 201, r#"[{"id":1,"x":1}]"#),
        (keyed(post("/value", &x(2)), "a"), 201, "2"),
        (keyed(ask("PUT", "/t", &x(3)), "a"), 204, ""),
        (keyed(post("/t?_format=csv", &x(4)), "\"quoted-4\""), 201, "id,x\r\n4,4\r\n"),
    ];
    for (asked, status, body) in &asked {
        // Twice in one batch, once after it, and once after a restart.
        let mut batch = server.batch(&[asked.clone(), asked.clone()]);
        server.write(&mut batch);
        let told = server.told(&batch);
        let wanted = (*status, body.to_string(), String::new());
        assert_eq!(told, [wanted.clone(), wanted.clone()]);
        assert_eq!(replayed(&batch), [false, true]);
        let mut batch = server.batch(std::slice::from_ref(asked));
        server.write(&mut batch);
        assert_eq!((server.told(&batch), replayed(&batch)), (vec![wanted], vec![true]));
    }
    assert_eq!((count(&database.path, "t"), count(&database.path, "flagstone_idempotency")), ("4".into(), "4".into()));
    assert!(server.back.catalog().find_table(b"flagstone_idempotency").is_none(), "it is not shown");
    drop(server);
    drop(conn);
    let conn = ours(&database.path);
    let mut server = self::server(&conn, later);
    for (asked, status, body) in &asked {
        assert_eq!(server.one(asked.clone()), (*status, body.to_string(), String::new()));
    }
    assert_eq!(count(&database.path, "t"), "4");
}

#[test]
fn the_same_key_with_another_request_is_refused() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let mut server = server(&conn, work);
    assert_eq!(server.one(keyed(post("/t", &x(1)), "k")).0, 201);
    for other in [post("/t", &x(2)), post("/t?x=1", ""), post("/t", r#"{"x":1}"#)] {
        let told = server.one(keyed(other, "k"));
        assert_eq!((told.0, told.1.as_str()), (422, "idempotency-key-reused"));
    }
    assert_eq!(server.one(keyed(post("/plain", &x(3)), "k")).0, 201, "a route that keeps nothing does not look");
    assert_eq!(server.one(post("/t", &x(4))).0, 201, "nor does one without a key");
    assert_eq!(count(&database.path, "t"), "3");
}

#[test]
fn only_what_was_written_is_kept() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let mut server = server(&conn, work);
    server.one(post("/t", &x(1)));
    assert_eq!(server.one(keyed(post("/t", &x(1)), "k")).0, 409);
    let told = server.one(keyed(post("/long", &x(2)), "k"));
    assert_eq!((told.0, told.1.as_str()), (500, "answer-too-large"));
    assert_eq!((count(&database.path, "t"), count(&database.path, "flagstone_idempotency")), ("1".into(), "0".into()));
    conn.execute_batch("DELETE FROM t").unwrap();
    assert_eq!(server.one(keyed(post("/t", &x(1)), "k")).0, 201, "an error is tried again");
}

#[test]
fn a_key_is_one_field_of_visible_ascii() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let mut server = server(&conn, work);
    let long = "k".repeat(256);
    for asked in [
        keyed(post("/t", &x(1)), ""),
        keyed(post("/t", &x(1)), "with space"),
        keyed(post("/t", &x(1)), "ü"),
        keyed(post("/t", &x(1)), &long),
        keyed(keyed(post("/t", &x(1)), "a"), "b"),
    ] {
        let told = server.one(asked);
        assert_eq!((told.0, told.1.as_str()), (400, "bad-idempotency-key"));
    }
    assert_eq!(server.one(keyed(post("/t", &x(1)), &long[1..])).0, 201);
}

#[test]
fn a_day_later_a_key_is_forgotten() {
    let work = workspace!();
    let database = database(SCHEMA);
    let conn = ours(&database.path);
    let mut server = server(&conn, work);
    for key in 0..10 {
        assert_eq!(server.one(keyed(post("/t", &x(key)), &key.to_string())).0, 201);
    }
    conn.execute_batch("UPDATE flagstone_idempotency SET at = at - 86400; DELETE FROM t").unwrap();
    let mut batch = server.batch(&[keyed(post("/t", &x(3)), "3")]);
    server.write(&mut batch);
    assert_eq!((server.told(&batch)[0].0, replayed(&batch)), (201, vec![false]));
    assert_eq!(count(&database.path, "flagstone_idempotency"), "6", "one is new, four of the old ones are gone");
    server.one(keyed(post("/t", &x(20)), "20"));
    server.one(keyed(post("/t", &x(21)), "21"));
    assert_eq!(count(&database.path, "flagstone_idempotency"), "3");
}
