//! Clients that go away and servers that stop while writes wait: what was acknowledged is there, and nothing is there twice.

use std::collections::BTreeSet;
use std::io::Write;

use rustix::process::Signal;

use super::{SQL, ask, log, log_routes, number, slug, text};
use crate::configured::{open, serve, start, toml};
use crate::server::{Server, read_answer, wait_for};

/// Writes wait long for another process's lock.
fn patient(top: &str) -> Server {
    let limits = "[limits]\nbusy_timeout = \"15s\"\nqueue = \"18s\"";
    serve(SQL, &toml("", &format!("{limits}\n{top}\n{}", log_routes())))
}

/// Closes without a farewell.
fn vanish(stream: std::net::TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).expect("open");
}

fn waiting(server: &Server, count: u64) {
    server.wait_for_status("they wait", |status| {
        number(status, "/connections/queued") + number(status, "/connections/running") == count
    });
}

#[test]
fn a_client_that_goes_away_while_its_write_waits_frees_its_place_at_once() {
    let server = patient("");
    let other = open(&server.database());
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let gone: Vec<_> = (0..3).map(|_| ask(server.address, "POST", "/log", &[], r#"{"a": "gone"}"#)).collect();
    let mut stays = ask(server.address, "POST", "/log", &[], r#"{"a": "stays"}"#);
    waiting(&server, 4);
    gone.into_iter().for_each(vanish);
    waiting(&server, 1);
    other.execute_batch("COMMIT").expect("nothing");
    assert_eq!(read_answer(&mut stays, false).expect("an answer").status, 204);
    // A write in the back's hands when its client left may be there: nobody was told. One that waited is not.
    wait_for("the others are answered for", || number(&server.status(), "/connections/running") == 0);
    assert!(log(&server).contains("stays"), "{}", log(&server));
}

#[test]
fn a_client_that_half_closes_behind_its_write_is_answered() {
    let server = patient("");
    let mut stream = server.connect();
    stream.write_all(text("POST", "/log", &[], r#"{"a": "half"}"#).as_bytes()).expect("it is taken");
    stream.shutdown(std::net::Shutdown::Write).expect("open");
    assert_eq!((read_answer(&mut stream, false).expect("an answer").status, log(&server)), (204, "half".into()));
}

#[test]
fn a_stop_answers_what_was_accepted_and_acknowledges_nothing_else() {
    let mut server = patient("");
    let database = server.database();
    let other = open(&database);
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let mut asked: Vec<_> =
        (0..12).map(|number| ask(server.address, "POST", "/log", &[], &format!("{{\"a\": \"n{number}\"}}"))).collect();
    waiting(&server, 12);
    server.signal(Signal::TERM);
    wait_for("it takes nobody in any more", || std::net::TcpStream::connect(server.address).is_err());
    other.execute_batch("COMMIT").expect("nothing");
    let mut acknowledged = BTreeSet::new();
    for (number, stream) in asked.iter_mut().enumerate() {
        match read_answer(stream, false) {
            Ok(answer) if answer.status == 204 => {
                acknowledged.insert(format!("n{number}"));
            }
            Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text()),
            Err(_) => {}
        }
    }
    assert_eq!(server.wait().code(), Some(0));
    let there = open(&database)
        .query_row("SELECT coalesce(group_concat(a, ' '), '') FROM log", [], |row| row.get::<_, String>(0))
        .expect("a text");
    let rows: Vec<String> = there.split_whitespace().map(str::to_string).collect();
    let once: BTreeSet<String> = rows.iter().cloned().collect();
    assert_eq!(once.len(), rows.len(), "nothing twice");
    assert_eq!(acknowledged, once, "the lock was free in time, so all that is there was acknowledged");
    assert_eq!(acknowledged.len(), 12);
}

#[test]
fn a_stop_does_not_wait_for_a_lock_for_ever() {
    let limits = "[limits]\nbusy_timeout = \"60s\"\nqueue = \"60s\"\ndrain = \"500ms\"";
    let mut server = serve(SQL, &toml("", &format!("{limits}\n{}", log_routes())));
    let database = server.database();
    let other = open(&database);
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let mut asked: Vec<_> = (0..4).map(|_| ask(server.address, "POST", "/log", &[], r#"{"a": 1}"#)).collect();
    waiting(&server, 4);
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0));
    for stream in &mut asked {
        if let Ok(answer) = read_answer(stream, false) {
            assert_eq!(answer.status, 503, "not acknowledged");
            slug(&answer);
        }
    }
    other.execute_batch("COMMIT").expect("nothing");
    let count = open(&database).query_row("SELECT count(*) FROM log", [], |row| row.get::<_, i64>(0)).expect("a count");
    assert_eq!(count, 0);
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let config = toml("", &log_routes());
    let server = start(SQL, &config).run();
    for number in 0..20 {
        assert_eq!(super::post(&server, "/log", &format!("{{\"a\": \"n{number}\"}}")).status, 204);
    }
    server.signal(Signal::KILL);
    let expected: Vec<String> = (0..20).map(|number| format!("n{number}")).collect();
    assert_eq!(log(&server), expected.join(" "));
}
