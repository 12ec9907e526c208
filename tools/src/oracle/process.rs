//! The server under test.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Error};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::rig::http::Wire;
use crate::rig::process::{CHILD, Owned};

/// From the start of the server to its first 200 of /-/ready.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// The server under test.
pub struct Server {
    child: Mutex<Owned>,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts it on a database and waits until it is ready.
    pub fn start(program: &Path, database: &Path, folder: &Path, config: Option<&Path>) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(CHILD).arg(program);
        command.args(["-l".into(), "127.0.0.1:0".into(), database.as_os_str().to_owned()] as [OsString; 3]);
        if let Some(config) = config {
            command.arg("-c").arg(config);
        }
        command.env("STATE_DIRECTORY", folder.join("state")).stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(std::fs::File::create(folder.join("server.log"))?);
        let mut owned = Owned::start(&mut command)?;
        let stdout = owned.0.stdout.take().ok_or_else(|| Error::other("no stdout"))?;
        let mut lines = BufReader::new(stdout).lines();
        let address = loop {
            let line = lines.next().ok_or_else(|| Error::other("the server printed no URL"))??;
            let url = line.split("http://").nth(1).map(|rest| rest.trim_end().trim_end_matches('/'));
            if let Some(address) = url.and_then(|text| text.parse().ok()) {
                break address;
            }
        };
        // What it prints later must not fill the pipe.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let server = Self { child: Mutex::new(owned), address };
        let deadline = Instant::now() + READY_WITHIN;
        while !server.is_ready().unwrap_or(false) {
            if Instant::now() > deadline {
                return Err(Error::other("the server is not ready"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    fn is_ready(&self) -> io::Result<bool> {
        let mut stream = std::net::TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(READY_WITHIN))?;
        io::Write::write_all(&mut stream, b"GET /-/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        Ok(Wire::new(stream).answer(false)?.is_some_and(|answer| answer.status == 200))
    }

    /// Lets it stand still, or go on.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.child().signal(signal)
    }

    /// Whether it ended by itself, and how.
    pub fn ended(&self) -> io::Result<Option<std::process::ExitStatus>> {
        self.child().ended()
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Owned> {
        // A panic elsewhere does not make a pid wrong.
        self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
