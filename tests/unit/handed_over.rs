//! Sockets that a service manager listens on.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::SQL;
use super::server::{self, Start, end_of, read_answer, wait_for};

/// Ends its process.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the program with a socket as descriptor 3, as systemd does it: the shell becomes the program, so its pid is the one that is meant.
fn hand(start: &Start, socket: OwnedFd, variables: &str, arguments: &[&str]) -> Running {
    let script = format!("{variables} exec \"$0\" \"$@\" 3<&0 </dev/null");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(server::binary()).args(arguments);
    command.current_dir(start.folder()).env("HOME", start.folder()).env_remove("STATE_DIRECTORY");
    Running(command.stdin(Stdio::from(socket)).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("sh"))
}

const OURS: &str = "LISTEN_PID=$$ LISTEN_FDS=1";

fn ask(stream: &mut (impl std::io::Read + Write), target: &str) -> u16 {
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it is taken");
    read_answer(stream, false).expect("an answer").status
}

fn ask_at(address: SocketAddr, target: &str) -> u16 {
    ask(&mut server::connect(address), target)
}

/// A database in the start's folder.
fn with_database() -> Start {
    Start::new().sql(SQL)
}

/// A listener on a port of the kernel's choice, and where it is.
fn listener() -> (OwnedFd, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener.into(), address)
}

#[test]
fn a_socket_is_served_in_the_place_of_the_default() {
    let start = with_database();
    let (socket, address) = listener();
    // Blocking, and with a client that came before the server.
    let mut early = TcpStream::connect(address).expect("the queue");
    let _running = hand(&start, socket, OURS, &["data.db"]);
    assert_eq!(ask(&mut early, "/tables/t/1"), 200);
    assert_eq!(ask_at(address, "/-/status"), 200, "it is on loopback");
}

#[test]
fn a_unix_socket_is_served_and_left_to_who_made_it() {
    let start = with_database();
    let path = start.folder().join("handed.sock");
    let socket = UnixListener::bind(&path).expect("a socket");
    let mut running = hand(&start, socket.into(), OURS, &["data.db"]);
    assert_eq!(ask(&mut UnixStream::connect(&path).expect("the queue"), "/tables/t/1"), 200);
    let pid = rustix::process::Pid::from_child(&running.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("our child");
    assert_eq!(end_of(&mut running.0).and_then(|status| status.code()), Some(0));
    assert!(path.exists(), "it is not ours to remove");
}

#[test]
fn the_name_ops_makes_it_the_operators_and_others_are_public() {
    let start = with_database();
    let (socket, ops) = listener();
    let (held, public) = listener();
    drop(held);
    let variables = format!("{OURS} LISTEN_FDNAMES=ops");
    let _running = hand(&start, socket, &variables, &["-l", &public.to_string(), "data.db"]);
    assert_eq!((ask_at(ops, "/-/status"), ask_at(ops, "/tables")), (200, 404), "nothing else is served there");
    assert_eq!(ask_at(public, "/tables"), 200, "what the command line names comes beside it");
    let (socket, public) = listener();
    let _running = hand(&start, socket, &format!("{OURS} LISTEN_FDNAMES=flagstone.socket"), &["data.db"]);
    assert_eq!(ask_at(public, "/tables"), 200);
}

#[test]
fn what_was_meant_for_another_process_is_left_alone() {
    let start = with_database();
    let (socket, address) = listener();
    let (held, own) = listener();
    drop(held);
    let _running = hand(&start, socket, "LISTEN_PID=1 LISTEN_FDS=1", &["-l", &own.to_string(), "data.db"]);
    wait_for("it serves where it was told to", || TcpStream::connect(own).is_ok());
    assert_eq!(ask_at(own, "/tables"), 200);
    drop(_running);
    assert!(TcpStream::connect(address).is_err(), "nobody held it any more");
}

#[test]
fn what_cannot_be_accepted_from_is_refused() {
    let start = with_database();
    let connected = {
        let (listener, address) = (TcpListener::bind("127.0.0.1:0").expect("a port"), ());
        let () = address;
        TcpStream::connect(listener.local_addr().expect("an address")).expect("the queue")
    };
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    for (socket, why) in [(OwnedFd::from(connected), "it does not listen"), (datagrams.into(), "it is no stream socket")] {
        let mut running = hand(&start, socket, OURS, &["data.db"]);
        assert_eq!(end_of(&mut running.0).and_then(|status| status.code()), Some(69), "{why}");
        let mut said = String::new();
        std::io::Read::read_to_string(&mut running.0.stderr.take().expect("a pipe"), &mut said).expect("UTF-8");
        assert!(said.contains("descriptor 3") && said.contains(why) && said.contains("try: systemctl"), "{said}");
    }
}

#[test]
fn with_no_usable_configuration_it_is_this_machine_alone_here_too() {
    let start = with_database();
    std::fs::write(start.folder().join("flagstone.toml"), "nonsense = 1").expect("the test's folder");
    let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
    let address: SocketAddr = ([127, 0, 0, 1], listener.local_addr().expect("an address").port()).into();
    let (held, own) = self::listener();
    drop(held);
    let arguments = ["--safe", "-c", "flagstone.toml", "-l", &own.to_string(), "data.db"];
    let _running = hand(&start, listener.into(), OURS, &arguments);
    wait_for("it serves on loopback", || TcpStream::connect(own).is_ok());
    assert_eq!(ask_at(own, "/-/health"), 200);
    wait_for("what the whole network reaches is closed", || TcpStream::connect(address).is_err());
}

#[test]
fn systemds_own_activation_starts_it_at_the_first_connection() {
    const PROGRAM: &str = "/usr/bin/systemd-socket-activate";
    if !Path::new(PROGRAM).exists() {
        return eprintln!("skipped: {PROGRAM} is not installed");
    }
    let start = with_database();
    let ((first, public), (second, ops)) = (listener(), listener());
    drop((first, second));
    let mut command = Command::new(PROGRAM);
    command.args(["-l", &public.to_string(), "-l", &ops.to_string(), "--fdname=web:ops"]);
    command.arg(server::binary()).arg("data.db").current_dir(start.folder());
    // It passes TERM, PATH and the like on, and nothing else.
    command.env("HOME", start.folder()).stdout(Stdio::null()).stderr(Stdio::null());
    let running = Running(command.spawn().expect("systemd"));
    wait_for("systemd listens", || TcpStream::connect(public).is_ok());
    assert_eq!(ask_at(public, "/tables/t/2"), 200);
    assert_eq!((ask_at(ops, "/-/status"), ask_at(ops, "/tables")), (200, 404));
    let name = std::fs::read_to_string(format!("/proc/{}/comm", running.0.id())).expect("our child");
    assert_eq!(
        name.trim(),
        server::binary().file_name().expect("a name").to_str().expect("UTF-8")[..].chars().take(15).collect::<String>()
    );
}
