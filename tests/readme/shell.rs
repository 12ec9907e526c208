//! A shell in a folder of its own that has the binary under test as `flagstone`, on a port of its own.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::page::{Step, matches};
use crate::server::{DEADLINE, binary, wait_for};

/// The shell; whatever it has started ends with it.
pub struct Shell {
    child: Child,
    said: Arc<Mutex<Vec<u8>>>,
    /// Bytes that belong to earlier commands.
    read: usize,
    commands: usize,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Shell {
    /// `None` where there is no bash or no curl, and nobody says that there must be.
    pub fn new() -> Option<Shell> {
        let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
        if !there("bash") || !there("curl") {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "bash or curl is not installed");
            eprintln!("bash or curl is not installed: the tutorial is not typed");
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let bin = folder.path().join("bin");
        std::fs::create_dir(&bin).expect("the test's folder");
        // The page serves at the default address, which is one for all tests.
        let script = format!(
            "#!/usr/bin/env bash\ncase \" $* \" in\n  *' --'*|' token '*) exec '{0}' \"$@\" ;;\n  *) exec '{0}' -l 127.0.0.1:{port} \"$@\" ;;\nesac\n",
            binary().display()
        );
        std::fs::write(bin.join("flagstone"), script).expect("the test's folder");
        std::fs::set_permissions(bin.join("flagstone"), std::fs::Permissions::from_mode(0o755)).expect("the test's folder");
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let child = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .current_dir(folder.path())
            .env_clear()
            .envs([("PATH", path.as_str()), ("LC_ALL", "C.UTF-8")])
            .env("HOME", folder.path())
            .stdin(Stdio::piped())
            .stdout(writer.try_clone().expect("a pipe"))
            .stderr(writer)
            .process_group(0)
            .spawn()
            .expect("bash starts");
        let said = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&said);
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut piece) {
                into.lock().expect("no panic").extend_from_slice(&piece[..count]);
            }
        });
        Some(Shell { child, said, read: 0, commands: 0, port, _folder: folder })
    }

    /// Types a command until the page's output comes. What only looks is typed again, because a person waits a second too before looking.
    pub fn take(&mut self, step: &Step) {
        let port = format!(":{}", self.port);
        let (command, shown) = (step.command.replace(":8080", &port), step.shown.replace(":8080", &port));
        let looks = ["curl ", "grep "].iter().any(|word| command.starts_with(word));
        let deadline = Instant::now() + DEADLINE;
        loop {
            let mut seen = self.run(&command);
            // What runs in the background speaks when it is ready.
            while command.ends_with('&') && !matches(&shown, &seen) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
                seen = self.since();
            }
            if matches(&shown, &seen) {
                self.read = self.said.lock().expect("no panic").len();
                return;
            }
            assert!(looks && Instant::now() < deadline, "$ {command}\nshows\n{seen}\nand the page says\n{shown}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Types a command; what it said until it ended.
    fn run(&mut self, command: &str) -> String {
        self.commands += 1;
        self.read = self.said.lock().expect("no panic").len();
        let end = format!("\n@@ {}\n", self.commands);
        let input = self.child.stdin.as_mut().expect("a shell");
        write!(input, "{command}\nprintf '\\n@@ %d\\n' {}\n", self.commands).expect("the shell reads");
        wait_for(&format!("the end of {command}"), || self.text().contains(&end));
        self.since()
    }

    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.said.lock().expect("no panic")[self.read..]).into_owned();
        // `flagstone token` names the default address, whatever port is served.
        text.replace(":8080", &format!(":{}", self.port))
    }

    /// What was said since the last command was typed, without the marks of ends.
    fn since(&self) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("@@ ")).collect();
        lines.join("\n").trim_matches('\n').to_string()
    }

    /// The tutorial ends what it has started.
    pub fn has_stopped_the_server(&self) {
        wait_for("the server has stopped", || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err());
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if let Ok(Some(group)) = i32::try_from(self.child.id()).map(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on, below those that the kernel gives to whoever asks for any.
fn free_port() -> u16 {
    let start = 20_000 + (std::process::id() % 10_000) as u16;
    (start..32_000).find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok()).expect("a free port")
}
