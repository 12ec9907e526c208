//! The server's process, and what the kernel says of it.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Error};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::rig::line::Line;
use crate::rig::process::{CHILD, Owned};

/// From the start of the process to its first 200 of /-/ready.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// From SIGTERM to its end: the server's own drain, and some more.
const STOPPED_WITHIN: Duration = Duration::from_secs(13);

/// How it is started.
#[derive(Clone, Debug)]
pub struct Start {
    /// The executable, and words before the server's own: an emulator's.
    pub program: Vec<OsString>,
    /// What it serves.
    pub database: PathBuf,
    /// Its configuration.
    pub config: Option<PathBuf>,
    /// Further arguments.
    pub arguments: Vec<OsString>,
    /// For its log and what it keeps.
    pub folder: PathBuf,
    /// The cgroup that it is put into.
    pub cgroup: Option<PathBuf>,
    /// How many descriptors it may have.
    pub descriptors: Option<u64>,
    /// Ports of its two listeners, public and for operators; 0 for any.
    pub ports: (u16, u16),
}

/// A server that is ready.
pub struct Server {
    child: Owned,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where its operators' pages are.
    pub operators: SocketAddr,
    /// From the start of its process until it was ready.
    pub ready_after: Duration,
}

impl Server {
    /// Starts it. The thread that does must outlive it.
    ///
    /// # Errors
    /// The end of its log, when it ends at once.
    pub fn start(start: &Start) -> io::Result<Self> {
        let began = Instant::now();
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(CHILD);
        if let Some(cgroup) = &start.cgroup {
            command.arg("--cgroup").arg(cgroup);
        }
        if let Some(count) = start.descriptors {
            command.arg("--descriptors").arg(count.to_string());
        }
        command.args(&start.program);
        if let Some(config) = &start.config {
            command.arg("-c").arg(config);
        }
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string();
        command.arg("-l").arg(local(start.ports.0)).arg("--ops").arg(local(start.ports.1));
        command.args(&start.arguments).arg(&start.database);
        command.env("STATE_DIRECTORY", start.folder.join("state")).stdin(Stdio::null()).stdout(Stdio::piped());
        let log = std::fs::OpenOptions::new().create(true).append(true).open(start.folder.join("server.log"))?;
        command.stderr(log);
        let mut child = Owned::start(&mut command)?;
        let stdout = child.0.stdout.take().ok_or_else(|| Error::other("no stdout"))?;
        let mut lines = BufReader::new(stdout).lines();
        let mut next = |path: &str| loop {
            let line = lines.next().ok_or_else(|| Error::other(last_words(&start.folder)))??;
            let url = line.split("http://").nth(1).filter(|rest| rest.contains(path));
            if let Some(address) = url.and_then(|rest| rest.split(['/', ' ']).next()?.parse().ok()) {
                break Ok::<SocketAddr, Error>(address);
            }
        };
        let (address, operators) = (next("/")?, next("/-/status")?);
        // What it prints later must not fill the pipe.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let mut server = Self { child, address, operators, ready_after: Duration::ZERO };
        while !server.is_ready().unwrap_or(false) {
            if began.elapsed() > READY_WITHIN {
                return Err(Error::other(format!("not ready: {}", last_words(&start.folder))));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        server.ready_after = began.elapsed();
        Ok(server)
    }

    fn is_ready(&self) -> io::Result<bool> {
        let answer = Line::open(self.operators)?.ask("GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        Ok(answer.is_some_and(|answer| answer.status == 200))
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child.0)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.child.signal(signal)
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(mut self) -> io::Result<()> {
        self.child.0.kill()?;
        self.child.0.wait().map(drop)
    }

    /// SIGTERM, and waits for its orderly end; `None` when that does not come.
    pub fn stop(mut self) -> io::Result<Option<ExitStatus>> {
        let until = Instant::now() + STOPPED_WITHIN;
        if self.child.ended()?.is_none() {
            self.child.signal(Signal::TERM)?;
        }
        while Instant::now() < until {
            if let Some(status) = self.child.ended()? {
                return Ok(Some(status));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(None)
    }
}

/// Its anonymous resident memory, in bytes; 0 when it is gone.
pub fn rss_anon(pid: Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|text| text.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// How many descriptors it has open; 0 when it is gone.
pub fn descriptors(pid: Pid) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).map_or(0, |entries| entries.count())
}

/// The end of its log.
pub fn last_words(folder: &Path) -> String {
    let log = std::fs::read_to_string(folder.join("server.log")).unwrap_or_default();
    let last: Vec<&str> = log.lines().rev().take(8).collect();
    last.into_iter().rev().collect::<Vec<_>>().join(" / ")
}
