//! Caching proxies with a known fault, to see the oracle fail: each is a mistake that a cache of this server could make.

use std::collections::HashMap;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::Failure;
use super::data;
use super::mark::{self, NOW};
use super::run::Shared;
use crate::rig::http::{Answer, Wire, field};

/// How long `stale-ttl` keeps an answer, in nanoseconds.
const TTL: i64 = 20_000_000;
/// Every so many requests `dirty` looks into a transaction of its own.
const DIRTY_EVERY: u64 = 50;
/// When `panic` does.
const PANIC_AT: u64 = 50;
/// Between two looks for connections and for the end.
const ACCEPT_EVERY: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(10);

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// An entry lives for a time, whatever is committed.
    StaleTtl,
    /// An entry lives while the WAL keeps its length: a checkpoint lets it be written from the start again.
    StaleAfterCheckpoint,
    /// An entry's stamp is read after its query, not before.
    StampAfter,
    /// A 304 for a tag that was good a moment ago.
    Stale304,
    /// An answer of two halves, each of another moment.
    Torn,
    /// A read through the connection of an open transaction.
    Dirty,
    /// A write through the server keeps the entries of other tables, whoever committed meanwhile.
    RenewForeign,
    /// A write through the server keeps the entries of the table that it wrote.
    RenewWritten,
    /// No fault at all: the proxy alone is no violation.
    Honest,
    /// No fault in an answer: the harness itself panics.
    Panic,
}

impl Plant {
    /// By its name on the command line.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "stale-ttl" => Self::StaleTtl,
            "stale-after-checkpoint" => Self::StaleAfterCheckpoint,
            "stamp-after" => Self::StampAfter,
            "stale-304" => Self::Stale304,
            "torn" => Self::Torn,
            "dirty" => Self::Dirty,
            "renew-foreign" => Self::RenewForeign,
            "renew-written" => Self::RenewWritten,
            "honest" => Self::Honest,
            "panic" => Self::Panic,
            _ => return None,
        })
    }
}

/// What was answered once, and what it was stamped with.
struct Entry {
    answer: Answer,
    stamp: i64,
}

/// The proxy.
pub struct Proxy<'a> {
    shared: &'a Shared,
    plant: Plant,
    listener: Mutex<Option<TcpListener>>,
    address: SocketAddr,
    server: SocketAddr,
    path: PathBuf,
    entries: Mutex<HashMap<String, Entry>>,
    asked: AtomicU64,
}

impl<'a> Proxy<'a> {
    /// In front of `server`, which serves the database at `path`.
    pub fn new(shared: &'a Shared, plant: Plant, server: SocketAddr, path: &Path) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let (entries, asked) = (Mutex::default(), AtomicU64::new(0));
        let (address, listener) = (listener.local_addr()?, Mutex::new(Some(listener)));
        Ok(Self { shared, plant, listener, address, server, path: path.to_owned(), entries, asked })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the run ends, each connection on a thread of its own.
    pub fn run(&self) -> Result<(), Failure> {
        std::thread::scope(|scope| {
            // Closed before the threads are waited for: a reader that was not accepted any more must not wait for an answer.
            let taken = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
            let listener = taken.ok_or_else(|| Failure::Internal("the proxy runs once".to_owned()))?;
            while !self.shared.stopped() {
                match listener.accept() {
                    Ok((client, _)) => {
                        scope.spawn(|| {
                            let _guard = self.shared.stop_on_panic();
                            // A connection ends with an error when either side goes; what matters is what was answered.
                            let _ = self.serve(client);
                        });
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(ACCEPT_EVERY),
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        })
    }

    fn serve(&self, client: TcpStream) -> Result<(), Failure> {
        client.set_nonblocking(false)?;
        client.set_nodelay(true)?;
        client.set_read_timeout(Some(PATIENCE))?;
        let upstream = TcpStream::connect(self.server)?;
        upstream.set_nodelay(true)?;
        upstream.set_read_timeout(Some(PATIENCE))?;
        let (mut client, mut upstream) = (Wire::new(client), Wire::new(upstream));
        let conn = Connection::open(&self.path)?;
        conn.busy_timeout(Duration::from_millis(200))?;
        while let Some(head) = client.head()? {
            let body = client.body(&head)?;
            let answer = match body.is_empty() {
                true => self.answer(&head, &mut upstream, &conn)?,
                false => self.written(&head, &body, &mut upstream, &conn)?,
            };
            client.stream().write_all(&answer.bytes())?;
        }
        Ok(())
    }

    fn answer(&self, head: &str, upstream: &mut Wire, conn: &Connection) -> Result<Answer, Failure> {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        match self.plant {
            Plant::StaleTtl => {
                let now = self.shared.clock.now();
                self.cached(head, upstream, || Some(now), |stamp| stamp + TTL > now)
            }
            Plant::StaleAfterCheckpoint => {
                // By name: opening the file would take SQLite's locks of this process away.
                let length = std::fs::metadata(self.path.with_extension("db-wal")).map_or(0, |wal| wal.len() as i64);
                self.cached(head, upstream, || Some(length), |stamp| stamp == length)
            }
            Plant::RenewForeign | Plant::RenewWritten => {
                // Read before the query, as it should be.
                let now = data::version(conn).ok();
                self.cached(head, upstream, || now, |stamp| Some(stamp) == now)
            }
            Plant::StampAfter => {
                let now = data::version(conn).ok();
                self.cached(head, upstream, || data::version(conn).ok(), |stamp| Some(stamp) == now)
            }
            Plant::Stale304 => self.unmodified(head, upstream),
            Plant::Torn => self.torn(head, upstream),
            Plant::Dirty if asked.is_multiple_of(DIRTY_EVERY) && head.starts_with("GET /tables/now ") => {
                dirty(conn, self.shared.clock.now())
            }
            Plant::Dirty | Plant::Honest => forward(head, upstream),
            Plant::Panic => {
                assert!(asked < PANIC_AT, "planted");
                forward(head, upstream)
            }
        }
    }

    /// A write: it goes through, and entries are renewed as the fault has it.
    fn written(&self, head: &str, body: &[u8], upstream: &mut Wire, conn: &Connection) -> Result<Answer, Failure> {
        let before = data::version(conn).ok();
        let answer = forward([head.as_bytes(), body].concat(), upstream)?;
        let after = data::version(conn).ok();
        if let (Some(before), Some(after), 201) = (before, after, answer.status) {
            let base = std::str::from_utf8(&answer.body).ok().and_then(|body| body.get(8..body.len() - 1)?.parse().ok());
            // What a write changes besides the one that it is of.
            let touched = ["/tables/now", "/tables/both", "/tables/four"];
            let table = head.split([' ', '/']).nth(3).unwrap_or_default().replace("poke", "small3");
            let written = format!("/tables/{table}");
            for (request, entry) in self.entries().iter_mut().filter(|(_, entry)| entry.stamp == before) {
                let is_of = |table: &str| request.contains(table);
                let renewed = match self.plant {
                    Plant::RenewForeign => !touched.into_iter().any(is_of) && !is_of(&written),
                    // That nobody came between is certain here.
                    Plant::RenewWritten => base == Some(before) && is_of(&written),
                    _ => false,
                };
                if renewed {
                    entry.stamp = after;
                }
            }
        }
        Ok(answer)
    }

    /// From the entries where `good` says so of the stamp; else from the server, stamped by `stamp`.
    fn cached(
        &self, head: &str, upstream: &mut Wire, stamp: impl Fn() -> Option<i64>, good: impl Fn(i64) -> bool,
    ) -> Result<Answer, Failure> {
        if let Some(entry) = self.entries().get(head).filter(|entry| good(entry.stamp)) {
            return Ok(with_hit(&entry.answer));
        }
        let answer = forward(head, upstream)?;
        if let Some(stamp) = stamp().filter(|_| answer.status == 200 || answer.status == 304) {
            self.entries().insert(head.to_owned(), Entry { answer: answer.clone(), stamp });
        }
        Ok(answer)
    }

    fn unmodified(&self, head: &str, upstream: &mut Wire) -> Result<Answer, Failure> {
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let now = self.shared.clock.now();
        if let Some(sent) = field(head, "if-none-match") {
            let entries = self.entries();
            let good = entries.get(&target).filter(|entry| entry.stamp + TTL > now);
            let tag = good.and_then(|entry| entry.answer.field("etag")).filter(|tag| sent.contains(tag));
            if let Some(tag) = tag {
                let head = format!("HTTP/1.1 304 Not Modified\r\nETag: {tag}\r\n\r\n");
                return Ok(Answer { status: 304, head, body: Vec::new() });
            }
        }
        let answer = forward(head, upstream)?;
        if answer.status == 200 {
            self.entries().insert(target, Entry { answer: answer.clone(), stamp: now });
        }
        Ok(answer)
    }

    fn torn(&self, head: &str, upstream: &mut Wire) -> Result<Answer, Failure> {
        let mut answer = forward(head, upstream)?;
        if answer.status == 200 && head.starts_with("GET /tables/ledger?limit=64 ") {
            let before = self.entries().insert(head.to_owned(), Entry { answer: answer.clone(), stamp: 0 });
            if let Some(before) = before.filter(|before| before.answer.body.len() == answer.body.len()) {
                // Rows of all groups stand in the first half and in the second.
                let half = answer.body.len() / 2;
                answer.body[half..].copy_from_slice(&before.answer.body[half..]);
            }
        }
        Ok(answer)
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forward(request: impl AsRef<[u8]>, upstream: &mut Wire) -> Result<Answer, Failure> {
    let request = request.as_ref();
    upstream.stream().write_all(request)?;
    let answer = upstream.answer(request.starts_with(b"HEAD "))?;
    answer.ok_or_else(|| Failure::Internal("the server closed the connection".to_owned()))
}

fn with_hit(answer: &Answer) -> Answer {
    let head = answer.head.strip_suffix("\r\n").unwrap_or(&answer.head);
    Answer { head: format!("{head}X-Cache: hit\r\n\r\n"), ..answer.clone() }
}

fn dirty(conn: &Connection, version: i64) -> Result<Answer, Failure> {
    conn.execute_batch("BEGIN IMMEDIATE")?;
    data::write(conn, NOW, version, true, data::Way::Update)?;
    let mark: String = conn.query_row("SELECT mark FROM now", [], |row| row.get(0))?;
    conn.execute_batch("ROLLBACK")?;
    debug_assert_eq!(mark, mark::text(NOW, version, true));
    let body = format!("[{{\"id\":1,\"mark\":\"{mark}\"}}]").into_bytes();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    Ok(Answer { status: 200, head, body })
}
