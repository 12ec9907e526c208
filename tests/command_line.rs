//! The command line: options, messages and exit codes, as a user meets them.

mod server;

use std::net::TcpListener;
use std::path::Path;

use server::{Server, Start};

/// A folder with what people hand to a database server.
fn zoo() -> Start {
    let start = Start::new();
    let file = |name: &str| start.folder().join(name);
    let conn = rusqlite::Connection::open(file("data.db")).unwrap();
    conn.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT);
         WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 100) INSERT INTO t SELECT i, hex(randomblob(50)) FROM c;",
    )
    .unwrap();
    drop(conn);
    let whole = std::fs::read(file("data.db")).unwrap();
    assert!(whole.len() > 8192);
    std::fs::write(file("empty.db"), b"").unwrap();
    std::fs::write(file("short.db"), &whole[..50]).unwrap();
    std::fs::write(file("cut.db"), &whole[..6000]).unwrap();
    std::fs::write(file("packed.db.gz"), b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\x04\x00").unwrap();
    std::fs::write(file("dump.sql"), b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(a);\nCOMMIT;\n").unwrap();
    std::fs::write(file("data.db-wal"), b"\x37\x7f\x06\x82\x00\x2d\xe2\x18\x00\x00\x10\x00").unwrap();
    std::fs::rename(file("data.db-wal"), file("lost.db-wal")).unwrap();
    let mut random = vec![0_u8; 8192];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).unwrap();
    // Not by chance the beginning of something known.
    random[0] = 0xA5;
    std::fs::write(file("random.db"), random).unwrap();
    std::fs::create_dir(file("folder")).unwrap();
    std::fs::copy(file("data.db"), file("folder/inside.db")).unwrap();
    start
}

/// Exit code, standard output and standard error.
fn run(start: &Start, arguments: &[&str]) -> (i32, String, String) {
    let output = start.output(arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("no signal"), text(output.stdout), text(output.stderr))
}

/// What every message has: its program's name, and at its end something to type.
fn assert_message(arguments: &[&str], said: &str) {
    assert!(said.starts_with("flagstone: "), "{arguments:?}: {said}");
    let last = said.trim_end().lines().last().expect("a line");
    let typed = last.rsplit("try: ").next().expect("a part").trim_start_matches("  or:  ");
    let command = typed.split(' ').find(|word| !word.contains('=')).unwrap_or_default();
    assert!(
        ["flagstone", "sqlite3", "gunzip", "ls", "file", "sqlcipher", "sudo", "fuser"].contains(&command),
        "{arguments:?} ends with nothing to type: {said}"
    );
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn what_cannot_be_served_is_named_with_what_to_do() {
    let start = zoo();
    let folder_before = names(start.folder());
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["dta.db"], 66, &["dta.db: no such file", "there is data.db", "try: flagstone data.db"]),
        (&["DATA.DB"], 66, &["no such file", "data.db"]),
        (&["data"], 66, &["no such file", "data.db"]),
        (&["nowhere/data.db"], 66, &["there is no folder nowhere"]),
        (&["folder"], 66, &["a folder, not a database", "folder/inside.db"]),
        (&["empty.db"], 66, &["empty (0 bytes)"]),
        (&["short.db"], 66, &["truncated", "50 bytes", "100"]),
        (&["cut.db"], 66, &["truncated", "4096", "the file has 6000 bytes"]),
        (&["packed.db.gz"], 66, &["gzip", "gunzip -k packed.db.gz && flagstone packed.db"]),
        (&["dump.sql"], 66, &["SQL text", "sqlite3 new.db < dump.sql"]),
        (&["lost.db-wal"], 66, &["write-ahead log", "flagstone lost.db"]),
        (&["random.db"], 66, &["looks random", "encrypted"]),
        (&["/dev/null"], 66, &["not a regular file"]),
        (&["--get", "/", "dta.db"], 66, &["there is data.db"]),
        (&[""], 64, &["name is empty"]),
        (&[], 64, &["no database is named", "flagstone --demo"]),
        (&["data.db", "other.db"], 64, &["one database at a time", "other.db"]),
        (&["--lisen", "8080", "data.db"], 64, &["unknown option --lisen", "did you mean --listen?"]),
        (&["--imutable", "data.db"], 64, &["did you mean --immutable?"]),
        (&["--port", "8080", "data.db"], 64, &["did you mean --listen?"]),
        (&["--frobnicate"], 64, &["unknown option --frobnicate"]),
        (&["-x"], 64, &["unknown option -x"]),
        (&["-l"], 64, &["--listen needs an ADDR"]),
        (&["-l", "99999", "data.db"], 64, &["99999", "out of range 1-65535"]),
        (&["-l", "127.0.0.1:65536", "data.db"], 64, &["65536", "out of range 1-65535"]),
        (&["-l", "example.org:80", "data.db"], 64, &["example.org", "host name"]),
        (&["--get", "tables", "data.db"], 64, &["begins with a slash", "--get /tables data.db"]),
        (&["--immutable=yes", "data.db"], 64, &["takes no value"]),
        (&["--get", "/", "--ready"], 64, &["do not go together"]),
        (&["--budget", "data.db"], 64, &["takes no database"]),
    ];
    for (arguments, exit, essentials) in cases {
        let (code, out, said) = run(&start, arguments);
        assert_eq!(code, *exit, "{arguments:?}: {said}");
        assert_eq!(out, "", "{arguments:?}");
        assert_message(arguments, &said);
        for essential in *essentials {
            assert!(said.contains(essential), "{arguments:?}: {essential} is missing: {said}");
        }
    }
    assert_eq!(names(start.folder()), folder_before, "nothing was created by a typo");
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn get_prints_exactly_the_body_and_its_exit_code_says_how_it_went() {
    let start = zoo();
    let server = Start::new().database(&start.folder().join("data.db")).run();
    for (target, exit) in [
        ("/", 0),
        ("/tables", 0),
        ("/tables/t?limit=2", 0),
        ("/tables/t/1", 0),
        ("/tables/t?_format=csv&limit=3", 0),
        ("/tables/none", 1),
        ("/tables/t?limit=no", 1),
        ("/nowhere", 1),
    ] {
        let (code, out, err) = run(&start, &["--get", target, "data.db"]);
        assert_eq!((code, err.as_str()), (exit, ""), "{target}");
        assert_eq!(out, server.get(target).text(), "{target}");
    }
    // Pages as long as an answer may be, and operators' pages, come whole too.
    let (code, out, _) = run(&start, &["--get", "/-/status", "data.db"]);
    assert_eq!((code, serde_json::from_str::<serde_json::Value>(&out).unwrap()["state"].as_str()), (0, Some("serving")));
}

#[test]
fn ready_asks_a_running_server() {
    let start = zoo();
    let server = Server::with("CREATE TABLE t(a)");
    let url = format!("http://{}", server.address);
    for url in [
        url.clone(),
        url.replace("http://", ""),
        format!("{url}/"),
        format!("{url}/-/ready"),
        url.replace("127.0.0.1", "localhost"),
    ] {
        let (code, out, err) = run(&start, &["--ready", &url]);
        assert_eq!((code, out, err.as_str()), (0, format!("ready: {url}\n"), ""));
    }
    std::fs::write(server.folder.path().join("rubbish"), "rubbish").unwrap();
    std::fs::rename(server.folder.path().join("rubbish"), server.database()).unwrap();
    server::wait_for("it is not ready any more", || run(&start, &["--ready", &url]).0 == 1);
    let (_, out, _) = run(&start, &["--ready", &url]);
    assert!(out.contains("503"), "{out}");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, out, _) = run(&start, &["--ready", &free.to_string()]);
    assert_eq!(code, 1);
    assert!(out.contains("nothing listens there"), "{out}");
    assert_eq!(run(&start, &["--ready", "https://localhost"]).0, 64);
}

#[test]
fn version_help_and_budget_are_short_and_complete() {
    let start = Start::new();
    let (code, version, _) = run(&start, &["--version"]);
    assert_eq!((code, version.lines().count()), (0, 1), "{version}");
    for part in ["flagstone ", env!("CARGO_PKG_VERSION"), "SQLite 3.", "preset ", std::env::consts::ARCH, " MiB", "20"] {
        assert!(version.contains(part), "{part} is missing: {version}");
    }
    assert_eq!(run(&start, &["-V"]).1, version);
    let (code, help, _) = run(&start, &["--help"]);
    assert_eq!(code, 0);
    assert!(help.lines().count() <= 40, "{} lines", help.lines().count());
    let place = |word: &str| help.find(word).unwrap_or_else(|| panic!("{word} is missing"));
    assert!(place("Examples") < place("Usage") && place("Usage") < place("Options"));
    for option in [
        "--listen",
        "--config",
        "--ops",
        "--demo",
        "--immutable",
        "--no-sandbox",
        "--get",
        "--ready",
        "--budget",
        "--help",
        "--version",
    ] {
        place(option);
    }
    assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    assert_eq!(run(&start, &["-h"]).1, help);
    assert_eq!(run(&start, &["--help", "--nonsense"]), (0, help, String::new()));
    let (code, budget, _) = run(&start, &["--budget"]);
    assert_eq!(code, 0);
    for part in ["SQLite heap", "FLAGSTONE_SLOTS", "MemoryMax", "together"] {
        assert!(budget.contains(part), "{part} is missing: {budget}");
    }
}

#[test]
fn a_size_set_at_run_time_is_refused_with_a_hint() {
    let start = zoo().environment("FLAGSTONE_SLOTS", "7");
    let (code, _, said) = run(&start, &["data.db"]);
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("FLAGSTONE_SLOTS") && said.contains("cargo build"), "{said}");
}

#[test]
fn a_taken_port_is_told_with_its_holder_and_another() {
    let start = zoo();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let (code, _, said) = run(&start, &["-l", &address, "data.db"]);
    assert_eq!(code, 69, "{said}");
    let pid = format!("(pid {})", std::process::id());
    for part in [&format!("{address} is taken by "), &pid, "try: flagstone -l ", " data.db"] {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
    // The suggestion keeps what else was said.
    let (_, _, said) = run(&start, &["--immutable", "-l", &address, "data.db"]);
    assert!(said.contains("--immutable data.db"), "{said}");
    let (code, _, said) = run(&start, &["-l", "192.0.2.77:8080", "data.db"]);
    assert_eq!(code, 69, "{said}");
    assert!(said.contains("does not have the address 192.0.2.77"), "{said}");
    let (code, _, said) = run(&start, &["-l", "127.0.0.1:0", "--ops", &address, "data.db"]);
    assert_eq!(code, 69, "{said}");
}

#[test]
fn a_holder_is_found_among_thousands_of_sockets() {
    let start = zoo();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap();
    // Each leaves a line in the kernel's table, connected or waiting to be forgotten.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    for _ in 0..3000 {
        let client = std::net::TcpStream::connect(other.local_addr().unwrap()).unwrap();
        let (accepted, _) = other.accept().unwrap();
        drop(client);
        drop(accepted);
    }
    let (code, _, said) = run(&start, &["-l", &address.to_string(), "data.db"]);
    assert_eq!(code, 69, "{said}");
    assert!(said.contains(&format!("(pid {})", std::process::id())), "{said}");
}

#[test]
fn output_into_a_closed_pipe_is_no_panic() {
    let start = zoo();
    for arguments in [&["--help"][..], &["--version"], &["--budget"], &["--get", "/tables", "data.db"]] {
        // The reader is gone before the first byte is written.
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        drop(reader);
        let mut command = std::process::Command::new(server::binary());
        let ran =
            command.args(arguments).current_dir(start.folder()).env("HOME", start.folder()).stdout(writer).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!((ran.status.code(), said.as_str()), (Some(0), ""), "{arguments:?}");
    }
}
