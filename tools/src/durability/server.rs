//! The server's process: flagstone, or the reference with its weakness; it is killed by its own pid whatever happens.

use std::io::{self, BufRead, BufReader, Error};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::reference::Weakness;
use super::{REFERENCE, record};
use crate::rig::line::Line;
use crate::rig::process;

/// From the start of the process to its first 200 of /-/ready.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// Which server.
#[derive(Clone, Debug)]
pub enum Program {
    /// An executable that takes flagstone's arguments.
    Flagstone(PathBuf),
    /// The one in here.
    Reference(Weakness),
}

impl Program {
    /// For people.
    pub fn name(&self) -> String {
        match self {
            Self::Flagstone(path) => path.display().to_string(),
            Self::Reference(weakness) => format!("the reference server, {}", weakness.name()),
        }
    }
}

/// A server that is ready.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// From the start of its process until it was ready.
    pub ready_after: Duration,
    /// Where its operators' pages are, once it said so.
    operators: Arc<OnceLock<SocketAddr>>,
}

impl Server {
    /// Starts it on a database; its configuration, log and state are put into `folder`.
    pub fn start(program: &Program, database: &Path, folder: &Path) -> io::Result<Self> {
        let began = Instant::now();
        let mut command = Command::new(std::env::current_exe()?);
        // A child in between, which becomes the server: it ends when this program does, even when that is killed.
        command.arg(process::CHILD);
        match program {
            Program::Flagstone(path) => command.arg(path),
            Program::Reference(weakness) => command.arg(std::env::current_exe()?).args([REFERENCE, weakness.name()]),
        };
        let config = folder.join("flagstone.toml");
        std::fs::write(&config, record::CONFIG)?;
        command.arg("-c").arg(config).args(["-l", "127.0.0.1:0", "--ops", "127.0.0.1:0"]).arg(database);
        command.env("STATE_DIRECTORY", folder.join("state")).stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(std::fs::File::create(folder.join("server.log"))?);
        let mut child = command.spawn()?;
        let stdout = child.stdout.take();
        // From here on it is killed when something fails.
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { child, address, ready_after: Duration::ZERO, operators: Arc::default() };
        let mut lines = BufReader::new(stdout.ok_or_else(|| Error::other("no stdout"))?).lines();
        server.address = loop {
            let Some(line) = lines.next() else { return Err(Error::other(last_words(folder))) };
            if let Some(address) = url_in(&line?) {
                break address;
            }
        };
        // What it prints later must not fill the pipe; the operators' address is among it.
        let operators = Arc::clone(&server.operators);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok).filter(|line| line.contains("/-/status")) {
                let _ = url_in(&line).map(|address| operators.set(address));
            }
        });
        while !server.is_ready().unwrap_or(false) {
            if began.elapsed() > READY_WITHIN || server.child.try_wait()?.is_some() {
                return Err(Error::other(format!("it does not get ready: {}", last_words(folder))));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        server.ready_after = began.elapsed();
        Ok(server)
    }

    fn is_ready(&self) -> io::Result<bool> {
        let answer = Line::open(self.address)?.ask("GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        Ok(answer.is_some_and(|answer| answer.status == 200))
    }

    /// Syncs for writes since its start, where its status page counts them.
    pub fn syncs(&self) -> Option<u64> {
        let answer = Line::open(*self.operators.get()?).ok()?.ask("GET /-/status HTTP/1.1\r\nHost: localhost\r\n\r\n").ok()??;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let writes = text.split("\"writes\":{").nth(1)?.split('}').next()?;
        let digits = writes.split("\"syncs\":").nth(1)?;
        digits.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Whether it ended by itself, and how.
    pub fn ended(&mut self) -> io::Result<Option<std::process::ExitStatus>> {
        self.child.try_wait()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address of a URL in a line.
fn url_in(line: &str) -> Option<SocketAddr> {
    line.split("http://").nth(1)?.split(['/', ' ']).next()?.parse().ok()
}

/// The end of the server's log.
fn last_words(folder: &Path) -> String {
    let log = std::fs::read_to_string(folder.join("server.log")).unwrap_or_default();
    let last: Vec<&str> = log.lines().rev().take(6).collect();
    last.into_iter().rev().collect::<Vec<_>>().join(" / ")
}
