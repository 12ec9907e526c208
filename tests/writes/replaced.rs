//! The files beside a database that is written: gone after a clean stop, and never laid over another database.

use rusqlite::Connection;

use crate::configured::{serve, toml};
use crate::server::{Server, wait_for};

const GENRES: &str = "CREATE TABLE genre(id INTEGER PRIMARY KEY, name TEXT);";
const ROUTES: &str = "\n[tables]\nexpose = \"*\"\n\n[[route]]\nmethod = \"POST\"\npath = \"/genre\"\nsql = \"INSERT INTO genre(name) VALUES (:name)\"\n";

fn names(server: &Server) -> String {
    server.get("/tables/genre?select=name").text()
}

fn post(server: &Server, name: &str) {
    let answer = server.request("POST", &format!("/genre?name={name}"), &[]);
    assert_eq!(answer.status, 204, "{}", answer.text());
}

#[test]
fn after_a_clean_stop_the_file_alone_is_whole() {
    let mut server = serve(GENRES, &toml("", ROUTES));
    post(&server, "a");
    assert_eq!(server.end().code(), Some(0));
    let beside = |suffix: &str| server.folder.path().join(format!("data.db{suffix}"));
    assert!(!beside("-wal").exists() && !beside("-shm").exists(), "the last one out removes them");
    std::fs::copy(beside(""), beside("-copy")).expect("a copy");
    let rows = Connection::open(beside("-copy")).expect("a database");
    assert_eq!(rows.query_row("SELECT count(*) FROM genre", [], |row| row.get::<_, i64>(0)), Ok(1));
}

#[test]
fn a_replacement_is_served_as_it_is_and_not_with_the_old_ones_log() {
    for mode in ["DELETE", "WAL"] {
        let mut server = serve(GENRES, &toml("", ROUTES));
        (0..5).for_each(|n| post(&server, &format!("old{n}")));
        let new = server.folder.path().join("new.db");
        let made = Connection::open(&new).expect("a database");
        made.execute_batch(&format!("PRAGMA journal_mode = {mode}; {GENRES} INSERT INTO genre VALUES (777, 'new')"))
            .expect("rows");
        made.close().expect("it is closed");
        std::fs::rename(&new, server.database()).expect("a rename");
        wait_for("the new one is served", || names(&server) == r#"[{"name":"new"}]"#);
        post(&server, "more");
        assert_eq!(names(&server), r#"[{"name":"new"},{"name":"more"}]"#, "{mode}");
        assert_eq!(server.end().code(), Some(0));
        let conn = Connection::open(server.database()).expect("a database");
        assert_eq!(conn.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).as_deref(), Ok("ok"));
        assert_eq!(conn.query_row("SELECT count(*) FROM genre", [], |row| row.get::<_, i64>(0)), Ok(2));
    }
}
