//! A proxy with a known fault between chaos and the server, which chaos must find; an honest one must pass.

use std::io::{self, Error, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::rig::http::Wire;

/// One answer in so many is spoilt.
const EVERY: u64 = 40;
/// When the pause begins and how long it is, from the first connection on.
const PAUSE_AFTER: Duration = Duration::from_millis(1500);
const PAUSE: Duration = Duration::from_millis(4000);
/// Between two looks for a connection.
const LOOK: Duration = Duration::from_millis(2);
/// For a client or the server to go on.
const PATIENCE: Duration = Duration::from_secs(30);

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    Honest,
    /// The last byte of an answer is another one, now and then.
    Flip,
    /// Nothing is answered for a while.
    Pause,
    /// The pages at `/-/` stay as they were at first.
    Blind,
    /// Writes are acknowledged, and reach nobody.
    Forget,
    /// 503 and 429 do not say when to come again.
    Terse,
}

impl Fault {
    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "honest" => Self::Honest,
            "flip" => Self::Flip,
            "pause" => Self::Pause,
            "blind" => Self::Blind,
            "forget" => Self::Forget,
            "terse" => Self::Terse,
            _ => return None,
        })
    }
}

/// A proxy; it ends with its owner.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
}

/// What its connections share.
struct Shared {
    fault: Fault,
    upstream: SocketAddr,
    answers: AtomicU64,
    began: Instant,
    /// The first metrics that were seen.
    page: Mutex<Option<Vec<u8>>>,
}

impl Proxy {
    /// Listens, and hands on to the server.
    ///
    /// # Errors
    /// Of the socket.
    pub fn start(upstream: SocketAddr, fault: Fault) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let (address, stop) = (listener.local_addr()?, Arc::new(AtomicBool::new(false)));
        let shared =
            Arc::new(Shared { fault, upstream, answers: AtomicU64::new(0), began: Instant::now(), page: Mutex::new(None) });
        let over = Arc::clone(&stop);
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((client, _)) => {
                        let shared = Arc::clone(&shared);
                        // A client or a server that goes away ends this connection, and that is all.
                        std::thread::spawn(move || converse(client, &shared).ok());
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(LOOK),
                    Err(_) => return,
                }
            }
        });
        Ok(Self { address, stop })
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn converse(client: TcpStream, shared: &Shared) -> io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_read_timeout(Some(PATIENCE))?;
    let server = TcpStream::connect(shared.upstream)?;
    server.set_read_timeout(Some(PATIENCE))?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let (mut to_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let (mut client, mut server) = (Wire::new(client), Wire::new(server));
    while let Some(head) = client.head()? {
        let body = client.body(&head)?;
        if shared.fault == Fault::Forget && head.starts_with("POST /write ") {
            to_client.write_all(&forgotten(&body))?;
            continue;
        }
        to_server.write_all(&[head.as_bytes(), &body].concat())?;
        let answer = server.answer(false)?.ok_or_else(|| Error::other("the server closed"))?;
        let bytes = shared.spoil(&head, answer.bytes(), answer.body.len(), answer.status);
        to_client.write_all(&bytes)?;
    }
    Ok(())
}

/// The acknowledgement of a write that nobody has made.
fn forgotten(body: &[u8]) -> Vec<u8> {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let body = format!(r#"[{{"key":{}}}]"#, value["key"]);
    format!("HTTP/1.1 201 Created\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

impl Shared {
    fn spoil(&self, head: &str, mut bytes: Vec<u8>, body: usize, status: u16) -> Vec<u8> {
        let number = self.answers.fetch_add(1, Ordering::Relaxed);
        let is_page = head.starts_with("GET /-/metrics");
        match self.fault {
            Fault::Flip if number % EVERY == EVERY - 1 && body > 0 && !head.contains("/-/") => {
                if let Some(last) = bytes.last_mut() {
                    *last ^= 1;
                }
            }
            Fault::Pause => {
                let since = self.began.elapsed();
                if since > PAUSE_AFTER {
                    std::thread::sleep((PAUSE_AFTER + PAUSE).saturating_sub(since));
                }
            }
            Fault::Blind if is_page => {
                let mut page = self.page.lock().unwrap_or_else(PoisonError::into_inner);
                return page.get_or_insert(bytes).clone();
            }
            Fault::Terse if matches!(status, 503 | 429) => {
                let text = String::from_utf8_lossy(&bytes).replace("retry-after:", "x-nothing:");
                return text.into_bytes();
            }
            _ => {}
        }
        bytes
    }
}
