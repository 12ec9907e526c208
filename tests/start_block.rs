//! The start: what its block says, where it listens, what it keeps, and what it leaves behind.

mod server;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use server::{Start, end_of, read_answer, wait_for};

const SQL: &str =
    "PRAGMA journal_mode = WAL; CREATE TABLE readings(id INTEGER PRIMARY KEY, v); INSERT INTO readings VALUES (1, 2);
    CREATE VIEW latest AS SELECT v FROM readings;";

fn ask(socket: &Path, target: &str) -> server::Answer {
    let mut stream = UnixStream::connect(socket).expect("the socket");
    stream.set_read_timeout(Some(server::DEADLINE)).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    read_answer(&mut stream, false).expect("an answer")
}

#[test]
fn the_block_says_what_is_served_where_and_what_next() {
    let mut server = Start::new().sql(SQL).run();
    let block = server.block.clone();
    let url = format!("http://{}/", server.address);
    for part in [
        "flagstone 0.",
        "data.db (",
        ", WAL)",
        &format!("serving   {url}\n"),
        &format!("status    {url}-/status\n"),
        "tables    2: latest, readings\n",
        "MB, fixed",
        "only this machine can reach it",
        &format!("flagstone -l :{} ", server.address.port()),
    ] {
        assert!(block.contains(part), "{part} is missing:\n{block}");
    }
    assert!(!block.contains("note"), "{block}");
    assert_eq!(server.get("/").status, 200);
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn on_every_interface_the_block_tells_the_name_and_not_how_to_open_it() {
    // The harness's own address is on loopback; this one goes to the network, whose port the kernel chooses too.
    let server = Start::new().arguments(&["-l", "0.0.0.0:0"]).sql(SQL).run();
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name = name.split('.').next().unwrap();
    assert!(server.block.contains(&format!("http://{name}.local:")), "{}", server.block);
    assert!(!server.block.contains("only this machine"), "{}", server.block);
    // The name that the block tells is one that the server answers to.
    let mut stream = server.connect();
    write!(stream, "GET /tables HTTP/1.1\r\nHost: {name}.local:{}\r\n\r\n", server.address.port()).unwrap();
    assert_eq!(read_answer(&mut stream, false).unwrap().status, 200);
    write!(stream, "GET /tables HTTP/1.1\r\nHost: rebound.example\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut stream, false).unwrap().status, 421);
}

#[test]
fn a_unix_socket_is_served_reused_when_stale_and_removed_at_the_end() {
    let start = Start::new();
    let socket = start.folder().join("public.sock");
    // What a server that was killed leaves behind.
    drop(UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    let mut server = start.arguments(&["-l", &format!("unix:{}", socket.display())]).sql(SQL).run();
    assert_eq!(ask(&socket, "/tables/readings").text(), r#"[{"id":1,"v":2}]"#);
    assert!(server.block.contains(&format!("curl --unix-socket {}", socket.display())), "{}", server.block);
    // A second one is refused and takes nothing away.
    let other = Start::new();
    let database = server.database();
    let arguments = ["-l", &format!("unix:{}", socket.display()), database.to_str().unwrap()];
    let refused = other.output(&arguments);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(69), "{said}");
    assert!(said.contains(&format!("(pid {})", server.pid())) && said.contains("--ready unix:"), "{said}");
    assert_eq!(ask(&socket, "/tables").status, 200);
    let ready = other.output(&["--ready", &format!("unix:{}", socket.display())]);
    assert_eq!(ready.status.code(), Some(0));
    assert_eq!(server.end().code(), Some(0));
    assert!(!socket.exists(), "the socket's file is gone");
    // What is not a socket is left alone.
    std::fs::write(&socket, "mine").unwrap();
    assert_eq!(other.output(&arguments).status.code(), Some(69));
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "mine");
}

fn tag(start: Start) -> String {
    start.run().get("/tables/readings").field("etag").expect("a tag").to_string()
}

#[test]
fn tags_stay_with_the_state_directory() {
    let kept = tempfile::tempdir().unwrap();
    let state = |name: &str| kept.path().join(name).to_str().unwrap().to_string();
    let start = |name: &str| Start::new().environment("STATE_DIRECTORY", &state(name)).sql(SQL);
    let first = tag(start("one"));
    assert_eq!(tag(start("one")), first, "the same installation");
    assert_ne!(tag(start("two")), first, "another installation");
    // systemd may name several; the first is the one.
    assert_eq!(tag(start(&format!("one:{}", state("two")))), first);
    assert!(kept.path().join("one/etag.key").exists());
    // Without the variable it is below HOME, one for each database.
    let server = Start::new().sql(SQL).run();
    let below = server.folder.path().join(".local/state/flagstone");
    assert_eq!(std::fs::read_dir(below).unwrap().count(), 1);
}

#[test]
fn without_a_place_for_state_it_serves_and_says_so() {
    let server = Start::new().environment("HOME", "/dev/null").sql(SQL).run();
    assert!(server.block.contains("note") && server.block.contains("nothing is kept"), "{}", server.block);
    assert_eq!(server.get("/tables/readings").status, 200);
}

/// Starts the example and waits for its block; the path of its database, and the way to end it.
fn demo(temporary: &Path, arguments: &[&str], signal: Signal) -> PathBuf {
    let start = Start::new().environment("TMPDIR", temporary.to_str().unwrap()).arguments(arguments);
    let (mut child, _folder) = start.spawn();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let (mut database, mut address) = (None, None);
    let mut block = String::new();
    while !block.contains("\ntry\n") {
        let mut line = String::new();
        assert!(out.read_line(&mut line).unwrap() > 0, "it ended: {block}");
        if let Some(rest) = line.trim().strip_prefix("database ") {
            database = rest.trim().split(" (").next().map(PathBuf::from);
        }
        if let Some(rest) = line.trim().strip_prefix("serving ") {
            address = rest.trim().trim_start_matches("http://").trim_end_matches('/').parse().ok();
        }
        block.push_str(&line);
    }
    let database = database.expect("a database line");
    assert!(database.exists());
    let address: std::net::SocketAddr = address.expect("an address");
    // The lines to copy answer with rows.
    for target in
        ["/tables/latest", "/tables/today?select=title,starts_at", "/tables/readings?sensor=eq.2&limit=5", "/tables/sensors/3"]
    {
        let mut stream = server::connect(address);
        write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let answer = read_answer(&mut stream, false).unwrap();
        assert!(answer.status == 200 && answer.body.len() > 10, "{target}: {}", answer.text());
    }
    if arguments.len() > 1 {
        assert!(block.contains(&format!("--demo {}", arguments[1])), "what to type names the folder:\n{block}");
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
    let ended = end_of(&mut child);
    // Whatever became of it, nothing of the test's own stays behind.
    let _ = child.kill();
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
    database
}

#[test]
fn a_demo_goes_with_its_server() {
    let temporary = tempfile::tempdir().unwrap();
    for signal in [Signal::TERM, Signal::INT] {
        let database = demo(temporary.path(), &["--demo"], signal);
        assert!(database.starts_with(temporary.path()), "{}", database.display());
        wait_for("nothing is left", || std::fs::read_dir(temporary.path()).unwrap().count() == 0);
    }
}

/// The readings that the example is made with, in one text.
fn first_readings(database: &Path) -> String {
    let conn = rusqlite::Connection::open(database).expect("a database");
    let all = "SELECT group_concat(id || at || coalesce(value, '-')) FROM (SELECT * FROM readings ORDER BY id LIMIT 10000)";
    conn.query_row(all, [], |row| row.get(0)).expect("readings")
}

#[test]
fn a_demo_in_a_folder_is_kept_and_found_again() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("example");
    let arguments = ["--demo", folder.to_str().unwrap()];
    let database = demo(temporary.path(), &arguments, Signal::TERM);
    assert_eq!(database, folder.join("demo.db"));
    let made = first_readings(&database);
    demo(temporary.path(), &arguments, Signal::INT);
    // It goes on where it was: the server adds readings while it runs.
    assert_eq!(made, first_readings(&database), "it is the same example");
    // A file that is somebody's own is not touched.
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(&database, "mine").unwrap();
    let refused = Start::new().output(&arguments);
    assert_eq!(refused.status.code(), Some(66));
    assert_eq!(std::fs::read_to_string(&database).unwrap(), "mine");
}
