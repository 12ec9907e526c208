//! The sandbox around a server: that it holds, that everything works within it, and what is said where a part of it is not to be had.

mod configured;
mod server;

use std::path::Path;
use std::process::Command;

use configured::{Log, route, start, toml};
use server::{Server, Start, wait_for};

const SQL: &str =
    "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'one'), (2, 'two');";

/// The number behind `name` in /proc/PID/status.
fn kernel_says(server: &Server, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("our child");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name} in {text}"));
    line.trim_start_matches(':').trim().parse().expect("a number")
}

/// Whether a server here has both parts of it.
fn is_whole(server: &Server) -> bool {
    let whole = server.block.contains("  sandbox   seccomp, landlock\n");
    if !whole {
        eprintln!("skipped: {}", server.block.lines().find(|line| line.contains("sandbox")).unwrap_or_default());
    }
    whole
}

#[test]
fn a_server_is_within_it_before_it_serves() {
    let server = Server::with(SQL);
    let status = server.status();
    if !is_whole(&server) {
        return;
    }
    assert_eq!(kernel_says(&server, "NoNewPrivs"), 1);
    assert_eq!(kernel_says(&server, "Seccomp"), 2, "SECCOMP_MODE_FILTER");
    assert_eq!(kernel_says(&server, "Seccomp_filters"), 1, "all in one program");
    for part in ["seccomp", "landlock"] {
        assert_eq!(status["sandbox"][part]["state"], "on", "{status}");
        assert_eq!(status["sandbox"][part]["why"], "", "{status}");
        assert_eq!(server.metric(&format!("flagstone_sandbox{{part=\"{part}\"}}")), 1.0);
    }
}

#[test]
fn without_it_when_asked_and_that_is_said() {
    let (stderr, log) = Log::pipe();
    let mut server = Start::new().arguments(&["--no-sandbox"]).stderr(stderr).sql(SQL).run();
    assert!(server.block.contains("  sandbox   none; no seccomp: --no-sandbox; no landlock: --no-sandbox\n"), "{}", server.block);
    assert_eq!((kernel_says(&server, "Seccomp"), kernel_says(&server, "NoNewPrivs")), (0, 0));
    assert_eq!(server.status()["sandbox"]["seccomp"]["state"], "off");
    assert_eq!(server.status()["sandbox"]["landlock"]["why"], "--no-sandbox");
    assert_eq!(server.metric("flagstone_sandbox{part=\"landlock\"}"), 0.0);
    assert_eq!(server.end().code(), Some(0));
    wait_for("it is in the log", || log.text().matches("the sandbox is without").count() == 2);
}

#[test]
fn a_kernel_that_has_one_part_or_none_is_served_from_all_the_same() {
    let landlock = (libc::SYS_landlock_create_ruleset, libc::ENOSYS);
    // As under qemu-user, which knows the call and takes no filter.
    let seccomp = (libc::SYS_seccomp, libc::EINVAL);
    let whole = Server::with(SQL);
    if !is_whole(&whole) {
        return;
    }
    for (missing, line) in [
        (&[landlock][..], "seccomp; no landlock: not in this kernel"),
        (&[seccomp], "landlock; no seccomp: Invalid argument (os error 22)"),
        (&[landlock, seccomp], "none; no seccomp: Invalid argument (os error 22); no landlock: not in this kernel"),
    ] {
        let (stderr, log) = Log::pipe();
        let server = Start::new().failing(missing).stderr(stderr).sql(SQL).run();
        assert!(server.block.contains(&format!("  sandbox   {line}\n")), "{line}: {}", server.block);
        assert_eq!(server.get("/tables/t").status, 200);
        wait_for("it is in the log", || log.text().matches("the sandbox is without").count() == missing.len());
    }
}

/// The one link of a chain that the server is told of.
fn link(from: &Path, to: &Path) {
    std::os::unix::fs::symlink(from, to).expect("the test's folder");
}

#[test]
fn database_and_configuration_behind_links_are_replaced_where_they_are() {
    let real = tempfile::tempdir().expect("a folder");
    let start = Start::new().operator(configured::ADMIN);
    let (database, config) = (real.path().join("real.db"), real.path().join("real.toml"));
    let make = |path: &Path, value: &str| {
        let sql = format!("PRAGMA journal_mode = WAL; CREATE TABLE t(v); INSERT INTO t VALUES ('{value}')");
        rusqlite::Connection::open(path).expect("a database").execute_batch(&sql).expect("SQL");
    };
    let says = |word: &str| toml("", &route("/r", &format!("SELECT v || ' {word}' AS said FROM t"), "rows = \"value\""));
    make(&database, "old");
    std::fs::write(&config, says("one")).expect("a file");
    link(&database, &start.folder().join("data.db"));
    link(&config, &start.folder().join("flagstone.toml"));
    let (named, told) = (start.folder().join("data.db"), start.folder().join("flagstone.toml"));
    let server = start.arguments(&["-c", told.to_str().expect("UTF-8")]).database(&named).run();
    assert_eq!(server.get("/r").text(), "old one");
    // As an editor does, and as a copy that is moved into place.
    std::fs::write(real.path().join("real.toml~"), says("two")).expect("a file");
    std::fs::rename(real.path().join("real.toml~"), &config).expect("one folder");
    wait_for("the new configuration", || server.get("/r").text() == "old two");
    make(&real.path().join("next.db"), "new");
    std::fs::rename(real.path().join("next.db"), &database).expect("one folder");
    wait_for("the new database", || server.get("/r").text() == "new two");
    // The link itself, by what stands beside it.
    make(&server.folder.path().join("beside.db"), "beside");
    std::fs::rename(server.folder.path().join("beside.db"), &named).expect("one folder");
    wait_for("the database that took the link's place", || server.get("/r").text() == "beside two");
}

#[test]
fn the_first_route_that_writes_comes_by_a_reload_and_syncs_by_the_ring_made_before() {
    let reads = toml("", &route("/r", "SELECT count(*) AS n FROM t", "rows = \"value\""));
    let writes = format!(
        "{reads}\n[[route]]\nmethod = \"POST\"\npath = \"/w\"\nsql = \"INSERT INTO t(v) VALUES (:v)\"\nauth = \"sensor\"\n"
    );
    let mut server = start(SQL, &reads).run();
    std::fs::write(server.config_path(), &writes).expect("the test's folder");
    server.signal(rustix::process::Signal::HUP);
    let send = || server.request("POST", "/w?v=x", &[("Authorization", &format!("Bearer {}", configured::SENSOR))]).status;
    wait_for("it takes writes", || matches!(send(), 200 | 204));
    let other = start(SQL, &writes).run();
    if other.block.contains("syncs: io_uring") {
        let status = server.wait_for_status("a sync by the ring", |status| status["writes"]["ring_syncs"].as_u64() > Some(0));
        assert_eq!(status["writes"]["syncs"], status["writes"]["ring_syncs"], "{status}");
    }
    assert_eq!(server.end().code(), Some(0));
    assert!(!server.folder.path().join("data.db-wal").exists(), "the last one out removes the WAL");
}

#[test]
fn a_wal_index_beyond_its_bound_fails_reads_and_ends_nothing() {
    let sql = "PRAGMA page_size = 512; PRAGMA journal_mode = WAL; CREATE TABLE t(v); INSERT INTO t VALUES (1);";
    let server = Server::with(sql);
    if !is_whole(&server) {
        return;
    }
    let rows = || server.get("/tables/t?limit=1");
    assert_eq!(rows().status, 200);
    // Nobody checkpoints, so each page is a frame, and 4,096 of them are a piece of the wal-index.
    let frames = (server.setting("WAL_INDEX_KIB") / 32 + 2) * 4096;
    let writer = configured::open(&server.database());
    writer.execute_batch("PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF;").expect("SQL");
    let many =
        "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) SELECT zeroblob(400) FROM n";
    writer.execute(many, [frames as i64]).expect("SQL");
    assert!(
        std::fs::metadata(server.database().with_extension("db-shm")).expect("a wal-index").len()
            > (server.setting("WAL_INDEX_KIB") * 1024) as u64
    );
    let refused = rows();
    assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")), "{}", refused.text());
    assert_eq!(refused.json()["type"], "tag:flagstone,2026:wal-too-long");
    assert_eq!(server.get("/-/health").status, 200);
    writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("nobody reads");
    wait_for("it answers again", || rows().status == 200);
}

#[test]
fn one_answer_on_stdout_needs_no_sandbox() {
    let start = Start::new().sql(SQL);
    let database = start.folder().join("data.db");
    let output = start.output(&["--get", "/tables/t/1", database.to_str().expect("UTF-8")]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), r#"{"id":1,"v":"one"}"#);
    let refused = Command::new(server::binary()).args(["--no-sandbx", "data.db"]).output().expect("the program");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("did you mean --no-sandbox?"));
}
