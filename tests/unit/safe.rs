//! After several starts in a row that came to no good end the server starts as with `--safe`.

use std::path::PathBuf;

use super::configured::{ADMIN, route, start, toml};
use super::server::{Server, Start};

const SQL: &str = super::SQL;
const NOTE: &str = "starts in a row came to no good end: optimisations are off, as with --safe";

fn begin() -> Start {
    start(SQL, &toml("", &route("/r", "SELECT 1 AS one", ""))).arguments(&["--safe-after", "3"])
}

/// The next start in the same folder, which is on the same database.
fn again(server: Server) -> Start {
    let start = Start::new().operator(ADMIN).folder_of(server);
    let (database, config) = (start.folder().join("data.db"), start.folder().join("flagstone.toml"));
    let config = config.to_str().expect("UTF-8").to_string();
    start.database(&database).arguments(&["-c", &config, "--safe-after", "3"])
}

/// Whether the optimisations are off, and that the block says so then.
fn is_safe(server: &Server) -> bool {
    let flags = server.operate("GET", "/-/flags", "").json();
    let wanted = |name: &str| {
        let all = flags.as_array().expect("flags");
        all.iter().find(|flag| flag["name"] == name).map(|flag| flag["wanted"].clone()).expect("the flag")
    };
    let off = wanted("cache") == "0%";
    assert_eq!(server.block.contains(NOTE), off, "{}", server.block);
    assert_eq!(wanted("single_flight") == "0%", off, "{flags}");
    off
}

fn kept(server: &Server) -> PathBuf {
    let mut all = std::fs::read_dir(server.folder.path().join(".local/state/flagstone")).expect("a state directory");
    all.next().expect("one database's").expect("an entry").path().join("starts")
}

#[test]
fn three_crashes_in_a_row_make_the_next_start_safe_and_a_clean_stop_ends_that() {
    let mut server = begin().run();
    for crash in 1..=3 {
        assert!(!is_safe(&server), "before crash {crash}");
        assert!(kept(&server).exists());
        server.signal(rustix::process::Signal::KILL);
        server.wait();
        server = again(server).run();
    }
    assert!(is_safe(&server));
    assert_eq!(server.get("/r").json()[0]["one"], 1, "its routes are served");
    assert_eq!(server.end().code(), Some(0));
    assert!(!kept(&server).exists());
    let server = again(server).run();
    assert!(!is_safe(&server));
}

#[test]
fn crashes_between_good_ends_are_not_in_a_row() {
    let mut server = begin().run();
    for _ in 0..4 {
        server.signal(rustix::process::Signal::KILL);
        server.wait();
        server = again(server).run();
        assert!(!is_safe(&server));
        assert_eq!(server.end().code(), Some(0));
        server = again(server).run();
    }
    assert!(!is_safe(&server));
}

#[test]
fn nothing_is_counted_unasked() {
    let server = start(SQL, &toml("", &route("/r", "SELECT 1 AS one", ""))).run();
    assert!(!kept(&server).exists());
}
