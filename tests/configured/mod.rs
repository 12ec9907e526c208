//! Servers with a configuration: tokens that the tests know, and other processes on the same database.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use flagstone::policy::credentials;
use socket2::{Domain, Socket, Type};

use crate::server::{Answer, DEADLINE, Server, Start, read_answer};

/// The token of operators.
pub const ADMIN: &str = "admin-0123456789";
/// A token that some routes ask for.
pub const DISPLAY: &str = "display-0123456789";
/// A token that others ask for.
pub const SENSOR: &str = "sensor-0123456789";

/// A configuration with `top` before its first section, the tokens above, and `rest` behind them.
pub fn toml(top: &str, rest: &str) -> String {
    let mut text = format!("ops_auth = \"admin\"\n{top}\n[tokens]\n");
    for (name, token) in [("admin", ADMIN), ("display", DISPLAY), ("sensor", SENSOR)] {
        let digest: String = credentials::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        text.push_str(&format!("{name} = \"sha256:{digest}\"\n"));
    }
    text + rest
}

/// A `[[route]]` with these lines.
pub fn route(path: &str, sql: &str, more: &str) -> String {
    format!("\n[[route]]\npath = \"{path}\"\nsql = \"\"\"{sql}\"\"\"\n{more}\n")
}

/// A server with a database made by `sql` and a configuration.
pub fn start(sql: &str, toml: &str) -> Start {
    Start::new().sql(sql).config(toml).operator(ADMIN)
}

/// The same, running.
pub fn serve(sql: &str, toml: &str) -> Server {
    start(sql, toml).run()
}

/// Another process's write, committed when this returns: the sqlite3 library in this process has no lock of the server's.
pub fn write(server: &Server, sql: &str) {
    open(&server.database()).execute_batch(sql).expect("the test's SQL");
}

/// Another process's connection.
pub fn open(path: &Path) -> rusqlite::Connection {
    let conn = rusqlite::Connection::open(path).expect("a database");
    conn.busy_timeout(crate::server::DEADLINE).expect("a connection");
    conn
}

/// What a server has written to its log, read as it comes.
#[derive(Clone)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// A server's standard error and what reads it.
    pub fn pipe() -> (Stdio, Log) {
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&bytes);
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut piece) {
                into.lock().expect("no panic").extend_from_slice(&piece[..count]);
            }
        });
        (Stdio::from(writer), Log(bytes))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic")).into_owned()
    }
}

/// One request from 127.0.0.`last`, over a connection of its own.
pub fn ask_from(last: u8, address: SocketAddr, method: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
    use std::io::Write;
    let socket = Socket::new(Domain::IPV4, Type::STREAM.cloexec(), None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into()).expect("an address of loopback");
    socket.connect(&address.into()).expect("the server accepts");
    socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
    let mut stream = std::net::TcpStream::from(socket);
    let host = if fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) { "" } else { "Host: localhost\r\n" };
    let mut text = format!("{method} {target} HTTP/1.1\r\n{host}Connection: close\r\n");
    for (name, value) in fields {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all((text + "\r\n").as_bytes()).expect("the request is taken");
    read_answer(&mut stream, method == "HEAD").expect("an answer")
}

/// One request over the operators' unix socket of [`with_ops`].
pub fn ask_ops(server: &Server, method: &str, target: &str, token: Option<&str>) -> Answer {
    use std::io::Write;
    let mut stream = std::os::unix::net::UnixStream::connect(server.folder.path().join("ops.sock")).expect("the ops listener");
    stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
    let auth = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let text = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{auth}Connection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).expect("it is taken");
    read_answer(&mut stream, false).expect("an answer")
}

/// With the operators' listener on a unix socket in the server's folder.
pub fn with_ops(start: Start) -> Start {
    start.arguments(&["--ops"]).arguments(&["unix:"]).folder_argument("ops.sock")
}
