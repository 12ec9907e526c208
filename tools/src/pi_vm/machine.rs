//! One emulated machine: qemu's process, its console, and its end, by a command or by cutting its power.

use std::fs;
use std::io::{self, BufRead, BufReader, Error, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::archive::Archive;

/// From power on to the server's first answer. Emulated, a boot takes 3 to 10 s on a machine that has nothing else to do.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// From the order to stop until it is off.
const OFF_WITHIN: Duration = Duration::from_secs(60);

const INIT: &str = include_str!("init.sh");

/// What a machine is made of.
pub struct Parts<'a> {
    /// Kernel, modules and busybox, by tools/arm64/machine.sh.
    pub folder: &'a Path,
    /// What was packaged.
    pub tarball: &'a [u8],
    /// The kernel's command line, besides what every boot has.
    pub kernel: &'a str,
    /// The server's arguments.
    pub arguments: &'a str,
    /// Its disk, `/data` there; without one that is memory.
    pub disk: Option<&'a Path>,
}

/// A machine that runs.
pub struct Machine {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    /// What the console said.
    pub console: Vec<String>,
    /// The host's loopback address that its port 8080 is reached by.
    pub address: SocketAddr,
    /// The initramfs, which goes with it.
    initrd: PathBuf,
}

impl Machine {
    /// Switches it on and waits until its server says where it listens.
    ///
    /// # Errors
    /// What could not be started, or the console's last lines.
    pub fn boot(parts: &Parts, scratch: &Path) -> io::Result<Machine> {
        let initrd = scratch.join("initrd");
        fs::write(&initrd, initramfs(parts)?)?;
        // Free now and, most probably, in a moment too; qemu says so if it is not.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new("qemu-system-aarch64");
        command
            .args("-machine virt -cpu cortex-a53 -smp 4 -m 512 -no-reboot -display none -monitor none -serial stdio".split(' '));
        command.arg("-kernel").arg(parts.folder.join("vmlinuz")).arg("-initrd").arg(&initrd);
        command.arg("-append").arg(format!("console=ttyAMA0 quiet panic=-1 {}", parts.kernel));
        command.arg("-netdev").arg(format!("user,id=net,restrict=on,hostfwd=tcp:{address}-:8080"));
        command.args(["-device", "virtio-net-device,netdev=net"]);
        if let Some(disk) = parts.disk {
            command.arg("-drive").arg(format!("if=none,id=disk,format=raw,file={}", disk.display()));
            command.args(["-device", "virtio-blk-device,drive=disk"]);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or_else(|| Error::other("no console"))?;
        let stdin = child.stdin.take().ok_or_else(|| Error::other("no console"))?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).split(b'\n').map_while(Result::ok);
            for line in lines {
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        // From here on it is switched off when something fails.
        let mut machine = Machine { child, stdin, lines, console: Vec::new(), address, initrd };
        machine.wait_for("http://", READY_WITHIN)?;
        Ok(machine)
    }

    /// Waits for a line of the console that holds `text`, from now on.
    ///
    /// # Errors
    /// The console's last lines, when it does not come in time.
    pub fn wait_for(&mut self, text: &str, time: Duration) -> io::Result<()> {
        let until = Instant::now() + time;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let found = line.contains(text);
                    self.console.push(line);
                    if found {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    let last = self.console[self.console.len().saturating_sub(8)..].join(" / ");
                    return Err(Error::other(format!("the machine does not say {text:?}: {last}")));
                }
            }
        }
    }

    /// The last word of the console on `topic`, as in "pi: topic words".
    pub fn said(&self, topic: &str) -> Option<&str> {
        self.console.iter().rev().find_map(|line| line.strip_prefix("pi: ")?.strip_prefix(topic)?.strip_prefix(' '))
    }

    /// The server's RssAnon in KiB, read anew.
    ///
    /// # Errors
    /// As [`Machine::wait_for`].
    pub fn anonymous_kib(&mut self) -> io::Result<u64> {
        // One may be under way that was read before.
        for _ in 0..2 {
            self.wait_for("pi: anon ", READY_WITHIN)?;
        }
        let words = self.said("anon").and_then(|words| words.split(' ').next()?.parse().ok());
        words.ok_or_else(|| Error::other("no RssAnon"))
    }

    /// The power is gone: whatever the machine had not handed to its disk is lost.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn cut(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Ends the server by SIGTERM and switches the machine off; the server's exit status.
    ///
    /// # Errors
    /// As [`Machine::wait_for`].
    pub fn stop(mut self) -> io::Result<String> {
        self.stdin.write_all(b"stop\n")?;
        self.wait_for("pi: off", OFF_WITHIN)?;
        let ended = self.said("ended").unwrap_or("?").to_owned();
        let until = Instant::now() + OFF_WITHIN;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > until {
                return Err(Error::other("the machine does not go off"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(ended)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // One that is off already is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.initrd);
    }
}

fn initramfs(parts: &Parts) -> io::Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in ["bin", "modules", "dev", "proc", "sys"] {
        archive.folder(folder);
    }
    archive.program("bin/busybox", &fs::read(parts.folder.join("busybox"))?);
    let mut modules: Vec<PathBuf> =
        fs::read_dir(parts.folder.join("modules"))?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    modules.sort();
    for module in modules {
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        archive.file(&format!("modules/{name}"), &fs::read(&module)?);
    }
    archive.file("flagstone.tar.gz", parts.tarball);
    archive.file("scenario", format!("ARGUMENTS='{}'\n", parts.arguments).as_bytes());
    archive.program("init", INIT.as_bytes());
    Ok(archive.finish())
}
