//! What write routes ask of the start: a database that may be written, in WAL mode, and who may write.

use std::os::unix::fs::PermissionsExt;

use super::{SQL, log_routes, look, post, writes};
use crate::configured::{ADMIN, SENSOR, route, start, toml};
use crate::server::{Start, binary};

/// Who owns nothing.
const NOBODY: u32 = 65_534;

fn rollback() -> String {
    SQL.replace("WAL", "DELETE")
}

#[test]
fn a_rollback_journal_is_switched_to_wal_and_the_start_says_so() {
    let server = start(&rollback(), &toml("", &log_routes())).run();
    assert!(server.block.contains("switched from a rollback journal to WAL"), "{}", server.block);
    assert!(server.block.contains("on disk"), "what an acknowledgement means: {}", server.block);
    assert_eq!(look(&server, "PRAGMA journal_mode"), "wal");
    assert_eq!(post(&server, "/log", r#"{"a": 1}"#).status, 204);
    let server = start(SQL, &toml("", &log_routes())).run();
    assert!(!server.block.contains("switched"), "{}", server.block);
    let server = start(&rollback(), &toml("", &route("/log", "SELECT a FROM log", ""))).run();
    assert_eq!(look(&server, "PRAGMA journal_mode"), "delete", "without a write route nothing is altered");
}

/// Its database may be read and not written; by root, who may everything, it is served as another user.
fn closed(start: Start) -> Start {
    let folder = start.folder().to_owned();
    let program = folder.join("flagstone");
    std::fs::copy(binary(), &program).expect("a copy of the binary");
    for (path, mode) in [(&program, 0o755), (&folder.join("data.db"), 0o444), (&folder, 0o755)] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("ours");
    }
    if rustix::process::geteuid().is_root() {
        return start.user(&program, NOBODY);
    }
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o555)).expect("ours");
    start
}

#[test]
fn a_database_that_may_not_be_written_is_refused() {
    let served = Start::new().sql(&rollback()).config(toml("", &log_routes()));
    let immutable = served.output(&["-l", "127.0.0.1:0", "--immutable", "-c", "flagstone.toml", "data.db"]);
    let text = String::from_utf8_lossy(&immutable.stderr).into_owned();
    assert_eq!((immutable.status.code(), text.contains("--immutable")), (Some(66), true), "{text}");

    let served = closed(served);
    let refused = served.output(&["-l", "127.0.0.1:0", "-c", "flagstone.toml", "data.db"]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(66), "{text}");
    assert!(text.contains("routes that write") && text.contains("chown"), "{text}");
}

#[test]
fn open_write_routes_beyond_this_machine_are_refused_unless_somebody_says_so() {
    let open = log_routes();
    let closed = writes("POST", "/log", "INSERT INTO log(a) VALUES (:a)", "auth = \"sensor\"");
    let served = |config: String| {
        let start = Start::new().sql(SQL).config(config);
        start.output(&["-l", "0.0.0.0:0", "--check", "-c", "flagstone.toml", "data.db"])
    };
    let refused = served(toml("", &open));
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(78), "{text}");
    assert!(text.contains("POST /log") && text.contains("open_writes"), "{text}");
    for config in [toml("open_writes = true", &open), toml("", &closed)] {
        let fine = served(config);
        assert_eq!(fine.status.code(), Some(0), "{}", String::from_utf8_lossy(&fine.stderr));
    }
    let start = Start::new().sql(SQL).config(toml("", &open));
    let refused = start.output(&["-l", "0.0.0.0:0", "-c", "flagstone.toml", "data.db"]);
    assert_eq!(refused.status.code(), Some(78), "and it does not serve: {}", String::from_utf8_lossy(&refused.stderr));
}

#[test]
fn a_reload_that_brings_the_first_write_route_opens_the_database_to_write() {
    let read = route("/log", "SELECT a FROM log", "");
    let server = start(&rollback(), &toml("", &read)).run();
    let mut kept = server.connect();
    assert_eq!(post(&server, "/log", r#"{"a": 1}"#).status, 405);
    std::fs::write(server.config_path(), toml("", &log_routes())).expect("ours");
    let answer = server.operate("POST", "/-/reload", "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let first = post(&server, "/log", r#"{"a": "x"}"#);
    assert_eq!(first.status, 204, "the answer to the reload means that they work: {}", first.text());
    assert!(server.get("/log").text().ends_with(r#"{"a":"x"}]"#));
    assert_eq!(look(&server, "PRAGMA journal_mode"), "wal");
    // Who was connected is so still.
    std::io::Write::write_all(&mut kept, super::text("GET", "/log", &[], "").as_bytes()).expect("it is taken");
    assert_eq!(crate::server::read_answer(&mut kept, false).expect("an answer").status, 200);
    // And back: the route is gone, the server stays.
    std::fs::write(server.config_path(), toml("", &read)).expect("ours");
    assert_eq!(server.operate("POST", "/-/reload", "").status, 200);
    assert_eq!((post(&server, "/log", r#"{"a": 1}"#).status, server.get("/log").status), (405, 200));
}

#[test]
fn a_reload_that_brings_write_routes_to_a_database_that_may_not_be_written_is_refused() {
    let read = route("/log", "SELECT a FROM log", "");
    let start = || start(&rollback(), &toml("", &read));
    for server in [start().arguments(&["--immutable"]).run(), closed(start()).run()] {
        // An editor's way, which works beside a file that nobody may write.
        let new = server.folder.path().join("new.toml");
        std::fs::set_permissions(server.folder.path(), PermissionsExt::from_mode(0o755)).expect("ours");
        std::fs::write(&new, toml("", &log_routes())).expect("ours");
        std::fs::rename(&new, server.config_path()).expect("one folder");
        let answer = server.operate("POST", "/-/reload", "");
        assert_eq!(answer.status, 422, "{}", answer.text());
        assert!(answer.text().contains("may not be written"), "{}", answer.text());
        assert_eq!((server.get("/log").status, post(&server, "/log", r#"{"a": 1}"#).status), (200, 405), "the old one stays");
    }
}

#[test]
fn a_reload_with_an_idempotent_route_makes_its_table() {
    let server = start(SQL, &toml("", &log_routes())).run();
    let once = writes("POST", "/once", "INSERT INTO log(a) VALUES (:a)", "idempotent = true\nauth = \"sensor\"");
    std::fs::write(server.config_path(), toml("", &(log_routes() + &once))).expect("ours");
    assert_eq!(server.operate("POST", "/-/reload", "").status, 200);
    let token = format!("Bearer {SENSOR}");
    let fields = [("Idempotency-Key", "k"), ("Authorization", token.as_str())];
    for replayed in [None, Some("true")] {
        let answer = super::write(&server, "POST", "/once", &fields, r#"{"a": "once"}"#);
        assert_eq!((answer.status, answer.field("idempotency-replayed")), (204, replayed), "{}", answer.text());
    }
    assert_eq!(super::log(&server), "once");
    assert_eq!(server.get_with(ADMIN, "/-/status").status, 200);
}

#[test]
fn the_demo_takes_readings_with_the_token_that_it_prints() {
    let server = Start::new().arguments(&["--demo"]).run();
    let token = server.block.split("Bearer ").nth(1).and_then(|rest| rest.split('\'').next()).expect("a token").to_string();
    let body = r#"{"sensor": 1, "value": 21.5}"#;
    assert_eq!(post(&server, "/api/readings", body).status, 401);
    let answer = super::write(&server, "POST", "/api/readings", &[("Authorization", &format!("Bearer {token}"))], body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let id = answer.json()[0]["id"].as_u64().expect("an id");
    assert_eq!(server.get(&format!("/tables/readings/{id}")).json()["value"], 21.5);
}
