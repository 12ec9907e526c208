//! A small server with a chosen weakness, to see that the harness finds it: the routes of `record::CONFIG`, one transaction
//! a request, 201 after COMMIT.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Error, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

/// Between the steps that a weak server takes one by one: a kill is to fall into it.
const WINDOW: Duration = Duration::from_millis(2);

/// What it does wrong, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// `synchronous=FULL`: nothing.
    Full,
    /// `synchronous=NORMAL`: the log is not synced at a commit.
    Normal,
    /// `synchronous=OFF`: nothing is ever synced.
    Off,
    /// Acknowledges before it commits.
    Early,
    /// Commits a transaction's halves one after the other.
    Halves,
}

impl Weakness {
    const ALL: [(&str, Self); 5] =
        [("full", Self::Full), ("normal", Self::Normal), ("off", Self::Off), ("early", Self::Early), ("halves", Self::Halves)];

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, weakness)| weakness)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, known)| *known == self).map_or("full", |(name, _)| name)
    }
}

/// Serves until it is killed: a weakness, then the arguments of flagstone, of which the last is the database.
pub fn serve(arguments: impl Iterator<Item = OsString>) -> io::Result<()> {
    let words: Vec<OsString> = arguments.collect();
    let weakness = words.first().and_then(|word| Weakness::named(word.to_str()?));
    let (Some(weakness), Some(database)) = (weakness, words.last()) else { return Err(Error::other("not for people")) };
    let connection = open(Path::new(database), weakness).map_err(Error::other)?;
    let connection = Arc::new(Mutex::new(connection));
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("http://{}/", listener.local_addr()?);
    io::stdout().flush()?;
    for stream in listener.incoming() {
        let (stream, connection) = (stream?, Arc::clone(&connection));
        // A client that went away is no matter.
        std::thread::spawn(move || converse(stream, &connection, weakness).ok());
    }
    Ok(())
}

fn open(database: &Path, weakness: Weakness) -> rusqlite::Result<Connection> {
    let connection = Connection::open(database)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match weakness {
        Weakness::Full | Weakness::Early | Weakness::Halves => "FULL",
        Weakness::Normal => "NORMAL",
        Weakness::Off => "OFF",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "wal_autocheckpoint", 100)?;
    connection.query_row("SELECT count(*) FROM left_half", [], |_| Ok(()))?;
    Ok(connection)
}

fn converse(stream: TcpStream, connection: &Mutex<Connection>, weakness: Weakness) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream.try_clone()?);
    let mut output = stream;
    loop {
        let mut first = String::new();
        if input.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            input.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().map_err(Error::other)?;
            }
        }
        let mut body = vec![0; length];
        input.read_exact(&mut body)?;
        let body = String::from_utf8_lossy(&body);
        let target = first.split(' ').nth(1).unwrap_or_default();
        // Held until the answer is under way, so that an early one is early.
        let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        if first.starts_with("GET") {
            answer(&mut output, read(&connection, target))?;
        } else if weakness == Weakness::Early {
            answer(&mut output, Ok("[]".to_owned()).map(|body| (201, body)))?;
            std::thread::sleep(WINDOW);
            let _ = write(&connection, target, &body, weakness);
        } else {
            answer(&mut output, write(&connection, target, &body, weakness).map(|()| (201, "[]".to_owned())))?;
        }
    }
}

fn answer(output: &mut TcpStream, result: rusqlite::Result<(u16, String)>) -> io::Result<()> {
    let (status, body) = result.unwrap_or_else(|error| match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => (507, error.to_string()),
        _ => (503, error.to_string()),
    });
    write!(output, "HTTP/1.1 {status} Answer\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn read(connection: &Connection, target: &str) -> rusqlite::Result<(u16, String)> {
    let (path, key) = target.split_once("?key=").unwrap_or((target, "0"));
    let sql = match path {
        "/pair" => "SELECT json_group_array(value) FROM left_half WHERE key = ?1",
        "/parts" => "SELECT json_group_array(value) FROM parts WHERE key = ?1",
        "/-/ready" | "/constant" => "SELECT 'the same', ?1",
        _ => return Ok((404, String::new())),
    };
    let mut statement = connection.prepare(sql)?;
    Ok((200, statement.query_row([key.parse::<i64>().unwrap_or(0)], |row| row.get(0))?))
}

fn write(connection: &Connection, target: &str, body: &str, weakness: Weakness) -> rusqlite::Result<()> {
    const PAIR: [&str; 2] = [
        "INSERT INTO left_half SELECT ?1 ->> 'key', ?1 ->> 'value'",
        "INSERT INTO right_half SELECT ?1 ->> 'key', ?1 ->> 'value'",
    ];
    const PARTS: [&str; 1] = ["INSERT INTO parts SELECT value ->> 'key', value ->> 'part', value ->> 'value' FROM json_each(?1)"];
    let statements: &[&str] = if target == "/pair" { &PAIR } else { &PARTS };
    let run = || {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for (at, sql) in statements.iter().enumerate() {
            if at > 0 && weakness == Weakness::Halves {
                connection.execute_batch("COMMIT; BEGIN IMMEDIATE")?;
                std::thread::sleep(WINDOW);
            }
            connection.prepare(sql)?.execute([body])?;
        }
        connection.execute_batch("COMMIT")
    };
    run().inspect_err(|_| {
        if !connection.is_autocommit() {
            // Its own failure adds nothing to the first.
            let _ = connection.execute_batch("ROLLBACK");
        }
    })
}
