//! The servers that are compared: how each is found, set up on a free port of this machine, and stopped.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::scene::{self, Scene, body};
use crate::serve::fetch;
use crate::serve::server::stop;

/// From the start to the first answer: the slowest imports half of Python first.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Flagstone, everything on.
    Flagstone,
    /// Flagstone, each request run by the database.
    Uncached,
    /// An epoll loop that reads and writes a constant.
    Bare,
    /// nginx with files.
    Nginx,
    /// nginx with a constant in its configuration.
    NginxReturn,
    /// h2o with files.
    H2o,
    /// lighttpd with files.
    Lighttpd,
    /// caddy with files.
    Caddy,
    /// Datasette on the same database.
    Datasette,
    /// sqlite-web on the same database.
    SqliteWeb,
}

impl Peer {
    /// All of them.
    pub const ALL: [Peer; 10] = [
        Peer::Flagstone,
        Peer::Uncached,
        Peer::Bare,
        Peer::Nginx,
        Peer::NginxReturn,
        Peer::H2o,
        Peer::Lighttpd,
        Peer::Caddy,
        Peer::Datasette,
        Peer::SqliteWeb,
    ];

    /// Its name in tables and options.
    pub const fn name(self) -> &'static str {
        match self {
            Peer::Flagstone => "flagstone",
            Peer::Uncached => "flagstone uncached",
            Peer::Bare => "bare",
            Peer::Nginx => "nginx",
            Peer::NginxReturn => "nginx-return",
            Peer::H2o => "h2o",
            Peer::Lighttpd => "lighttpd",
            Peer::Caddy => "caddy",
            Peer::Datasette => "datasette",
            Peer::SqliteWeb => "sqlite-web",
        }
    }

    /// Whether it is flagstone itself.
    pub const fn is_ours(self) -> bool {
        matches!(self, Peer::Flagstone | Peer::Uncached)
    }

    /// Its program, and the argument that asks for its version.
    const fn program(self) -> (&'static str, &'static str) {
        match self {
            Peer::Flagstone | Peer::Uncached | Peer::Bare => ("", "--version"),
            Peer::Nginx | Peer::NginxReturn => ("nginx", "-v"),
            Peer::H2o => ("h2o", "-v"),
            Peer::Lighttpd => ("lighttpd", "-v"),
            Peer::Caddy => ("caddy", "version"),
            Peer::Datasette => ("datasette", "--version"),
            Peer::SqliteWeb => ("sqlite_web", "--version"),
        }
    }
}

/// A peer that runs.
pub struct Running {
    /// Which.
    pub peer: Peer,
    /// What it calls itself.
    pub version: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where flagstone listens for operators; nobody else does.
    pub ops: SocketAddr,
    child: Child,
}

impl Running {
    /// Starts a peer in a folder of its own below `folder`. `None` when it is not installed.
    pub fn start(peer: Peer, flagstone: &Path, venv: &Path, scene: &Scene, folder: &Path) -> io::Result<Option<Running>> {
        let (name, version) = peer.program();
        let program = match peer {
            Peer::Flagstone | Peer::Uncached => flagstone.to_owned(),
            Peer::Bare => std::env::current_exe()?,
            _ => match scene::find(name, Some(venv)) {
                Some(program) => program,
                None => return Ok(None),
            },
        };
        let own = folder.join(peer.name().replace(' ', "-"));
        fs::create_dir(&own)?;
        let (address, ops) = (free_address()?, free_address()?);
        let mut arguments = arguments(peer, address, scene, &own)?;
        if peer.is_ours() {
            arguments.extend(["--ops".into(), ops.to_string().into()]);
        }
        let log = fs::File::create(own.join("log"))?;
        let mut command = Command::new(&program);
        command.args(&arguments).current_dir(&own).env("HOME", &own).env("STATE_DIRECTORY", &own);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().map_err(|error| io::Error::other(format!("{}: {error}", program.display())))?;
        let version = match peer {
            Peer::Bare => "an epoll loop that reads and writes a constant of 1 KB".to_owned(),
            _ => scene::version(&program, version),
        };
        let mut running = Running { peer, version, address, ops, child };
        running.wait_until_ready(&own)?;
        Ok(Some(running))
    }

    fn wait_until_ready(&mut self, own: &Path) -> io::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while fetch::get(self.address, "/").is_err() {
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(own.join("log")).unwrap_or_default();
                let name = self.peer.name();
                return Err(io::Error::other(format!("{name} does not answer ({ended:?}): {}", log.trim())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Its processes: the one that was started and all below it.
    pub fn processes(&self) -> Vec<u32> {
        let mut all = vec![self.child.id()];
        let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid: u32| Some((pid, parent(pid)?)))
            .collect();
        let mut at = 0;
        while let Some(&above) = all.get(at) {
            all.extend(parents.iter().filter(|(_, parent)| *parent == above).map(|(pid, _)| *pid));
            at += 1;
        }
        all
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// A free port of 127.0.0.1, as of now.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Writes a peer's configuration and says how it is started. One process or one worker, no access log, keep-alive without end.
fn arguments(peer: Peer, address: SocketAddr, scene: &Scene, own: &Path) -> io::Result<Vec<OsString>> {
    let port = address.port();
    let files = scene.files.display();
    let file = |name: &str, text: String| -> io::Result<PathBuf> {
        let path = own.join(name);
        fs::write(&path, text)?;
        Ok(path)
    };
    Ok(match peer {
        Peer::Flagstone | Peer::Uncached => {
            let configuration = if peer == Peer::Flagstone { &scene.cached } else { &scene.uncached };
            vec!["-c".into(), configuration.into(), "-l".into(), address.to_string().into(), scene.database.clone().into()]
        }
        Peer::Bare => vec!["bare".into(), "-l".into(), address.to_string().into()],
        Peer::Nginx | Peer::NginxReturn => {
            let place = match peer {
                Peer::Nginx => format!("root {files}; open_file_cache max=100; sendfile on; tcp_nopush on;"),
                _ => format!("default_type text/plain; return 200 \"{}\";", body(1024)),
            };
            let text = format!(
                "daemon off; worker_processes 1; pid {0}/pid; error_log {0}/error.log;\n\
                 events {{ worker_connections 1024; }}\n\
                 http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;\n\
                 client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;\n\
                 server {{ listen {address} backlog=1024; location / {{ {place} }} }} }}\n",
                own.display()
            );
            vec!["-c".into(), file("nginx.conf", text)?.into(), "-p".into(), own.into()]
        }
        Peer::H2o => {
            let text = format!(
                "listen:\n  host: 127.0.0.1\n  port: {port}\nnum-threads: 1\nhttp1-request-timeout: 3600\n\
                 hosts:\n  default:\n    paths:\n      /:\n        file.dir: {files}\n"
            );
            vec!["-c".into(), file("h2o.conf", text)?.into()]
        }
        Peer::Lighttpd => {
            let text = format!(
                "server.document-root = \"{files}\"\nserver.bind = \"127.0.0.1\"\nserver.port = {port}\n\
                 server.max-keep-alive-requests = 0\nserver.max-keep-alive-idle = 3600\nmimetype.assign = ( \".txt\" => \"text/plain\" )\n"
            );
            vec!["-D".into(), "-f".into(), file("lighttpd.conf", text)?.into()]
        }
        Peer::Caddy => {
            let text =
                format!("{{\n admin off\n auto_https off\n}}\nhttp://127.0.0.1:{port} {{\n root * {files}\n file_server\n}}\n");
            ["run", "--adapter", "caddyfile", "--config"]
                .map(OsString::from)
                .into_iter()
                .chain([file("Caddyfile", text)?.into()])
                .collect()
        }
        Peer::Datasette => vec![
            "serve".into(),
            scene.database.clone().into(),
            "--host".into(),
            "127.0.0.1".into(),
            "--port".into(),
            port.to_string().into(),
            "--setting".into(),
            "suggest_facets".into(),
            "off".into(),
        ],
        Peer::SqliteWeb => ["-H", "127.0.0.1", "-p", &port.to_string(), "-x", "-r"]
            .map(OsString::from)
            .into_iter()
            .chain([scene.database.clone().into()])
            .collect(),
    })
}
