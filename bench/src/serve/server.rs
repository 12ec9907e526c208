//! Builds a server, starts it, waits until it is ready, and stops it whatever happens.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::fetch;
use crate::load::target::{self, Address};

/// From the start to the first 200 of /-/ready.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// From SIGTERM to the end: the server drains for at most 10 s.
const STOPPED_WITHIN: Duration = Duration::from_secs(15);
/// Lines of the server's own words that are shown when it fails.
const LAST_WORDS: usize = 12;

/// A running server; dropping it stops it.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

/// A child that is stopped when the start fails half-way.
struct Guard(Option<Child>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            stop(child);
        }
    }
}

impl Server {
    /// Starts a program that prints its URL, and waits until `/-/ready` (or `/`, for the baseline) answers 200.
    pub fn start(program: &Path, arguments: &[OsString], folder: &Path, interrupt: &AtomicBool) -> io::Result<Self> {
        let log = folder.join("server.log");
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(fs::File::create(&log)?);
        let name = program.display();
        let child = command.spawn().map_err(|error| io::Error::other(format!("{name}: {error}")))?;
        let mut guard = Guard(Some(child));
        let ready = Self::await_ready(&mut guard, interrupt);
        match (ready, guard.0.take()) {
            (Ok(address), Some(child)) => Ok(Self { child, address }),
            (Err(error), child) => {
                guard.0 = child;
                Err(io::Error::other(format!("{name}: {error}{}", last_words(&log))))
            }
            (Ok(_), None) => unreachable!("only this function takes the child out of its guard"),
        }
    }

    fn await_ready(guard: &mut Guard, interrupt: &AtomicBool) -> io::Result<SocketAddr> {
        let child = guard.0.as_mut().expect("the caller has just put it in");
        let stdout = child.stdout.take().expect("stdout was asked to be a pipe");
        let (found, address) = mpsc::channel();
        // Reads on after the URL: a server that writes to a full pipe would stand still.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
                if let Some(address) = url_in(&String::from_utf8_lossy(&line)) {
                    // Nobody asks for the second URL.
                    let _ = found.send(address);
                }
            }
        });
        let deadline = Instant::now() + READY_WITHIN;
        let mut listening = None;
        let mut state = "it printed no URL".to_owned();
        loop {
            if let Some(status) = child.try_wait()? {
                return Err(io::Error::other(format!("ended before it was ready: {status}")));
            }
            if interrupt.load(Ordering::Relaxed) {
                return Err(io::Error::other("interrupted"));
            }
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("not ready within {} s: {state}", READY_WITHIN.as_secs())));
            }
            if listening.is_none() {
                listening = address.recv_timeout(Duration::from_millis(20)).ok();
            } else {
                std::thread::sleep(Duration::from_millis(10));
            }
            let Some(address) = listening else { continue };
            match fetch::get(address, "/-/ready") {
                Ok((200, _)) => return Ok(address),
                Ok((status, _)) => state = format!("/-/ready answers {status}"),
                Err(error) => state = format!("/-/ready: {error}"),
            }
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// SIGTERM to this one process, then patience, then SIGKILL. The child is waited for in every case.
pub fn stop(child: &mut Child) {
    if !matches!(child.try_wait(), Ok(None)) {
        return;
    }
    // A failure means that it ended just now; the wait below finds that out.
    let _ = kill_process(Pid::from_child(child), Signal::TERM);
    let deadline = Instant::now() + STOPPED_WITHIN;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() > deadline {
            eprintln!("bench: the server did not end {} s after SIGTERM and was killed", STOPPED_WITHIN.as_secs());
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The first loopback URL in a line of output.
fn url_in(line: &str) -> Option<SocketAddr> {
    let url = &line[line.find("http://")?..];
    let url = url.split(|char: char| char.is_whitespace() || char.is_control()).next()?;
    match target::parse(url.trim_end_matches([',', '.', ';', ')'])).ok()?.address {
        Address::Tcp(address) => Some(address),
        Address::Unix(_) => None,
    }
}

fn last_words(log: &Path) -> String {
    let log = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    let shown = &lines[lines.len().saturating_sub(LAST_WORDS)..];
    shown.iter().map(|line| format!("\n    {line}")).collect()
}

/// Builds the release binary of flagstone and returns where it is.
pub fn build() -> io::Result<PathBuf> {
    build_sized(&[], "")
}

/// The same with build constants of its own, in a folder of that name below the target folder.
pub fn build_sized(constants: &[(&str, String)], name: &str) -> io::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "-p", "flagstone", "--bin", "flagstone"]);
    command.args(["--message-format", "json-render-diagnostics"]);
    if !constants.is_empty() {
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| Path::new("target").join(name), |own| Path::new(&own).join(name));
        command.arg("--target-dir").arg(std::path::absolute(target)?);
        command.envs(constants.iter().map(|(name, value)| (name, value)));
    }
    let output = command.current_dir(folder).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("cargo build: {}", output.status)));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let found = messages.lines().rev().find_map(executable);
    found.ok_or_else(|| io::Error::other("cargo build named no executable"))
}

/// The executable in one of cargo's messages. Its other strings cannot hold an unescaped quote, so the key is unique.
fn executable(message: &str) -> Option<PathBuf> {
    let rest = message.split_once("\"executable\":\"")?.1;
    let mut path = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return Some(PathBuf::from(path)),
            '\\' => path.push(chars.next()?),
            char => path.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_is_found_in_a_line_for_people() {
        for (line, port) in [
            ("  open      http://127.0.0.1:4711/", Some(4711)),
            ("bare: http://127.0.0.1:1/", Some(1)),
            ("\x1b[1mhttp://127.0.0.1:8080/\x1b[0m", Some(8080)),
            ("see http://127.0.0.1:8080/.", Some(8080)),
            ("see http://example.org/", None),
            ("ready", None),
        ] {
            assert_eq!(url_in(line).map(|address| address.port()), port, "{line}");
        }
    }

    #[test]
    fn cargos_message_gives_the_path() {
        let message = r#"{"reason":"compiler-artifact","executable":"/a \"b\"/flagstone","fresh":true}"#;
        assert_eq!(executable(message), Some(PathBuf::from("/a \"b\"/flagstone")));
        assert_eq!(executable(r#"{"reason":"compiler-artifact","executable":null}"#), None);
    }

    #[test]
    fn a_server_that_fails_is_told_with_its_last_words_and_leaves_nothing_behind() {
        let folder = super::super::scratch::Scratch::new().unwrap();
        let script = |text: &str| vec![OsString::from("-c"), OsString::from(text)];
        let stop = AtomicBool::new(false);
        let start = |text| Server::start(Path::new("/bin/sh"), &script(text), folder.path(), &stop);
        let error = start("echo no such table >&2; exit 66").err().unwrap().to_string();
        assert!(error.contains("66") && error.contains("no such table"), "{error}");
        stop.store(true, Ordering::Relaxed);
        let began = Instant::now();
        let error = Server::start(Path::new("/bin/sleep"), &["60".into()], folder.path(), &stop).err().unwrap();
        assert!(error.to_string().contains("interrupted") && began.elapsed() < STOPPED_WITHIN, "{error}");
    }
}
