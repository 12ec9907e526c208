//! Processes that are stopped by their own pid whatever happens, and the server's executable.

use std::ffi::OsString;
use std::io::{self, Error};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};

/// The command that makes this program become another one, which ends with its parent.
pub const CHILD: &str = "rig-child";

/// As of sysexits.h.
const EXIT_INTERNAL: u8 = 70;

/// A child that does not outlive its owner.
pub struct Owned(pub Child);

impl Owned {
    /// Starts it.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        command.spawn().map(Self)
    }

    /// Sends a signal to this one process, which has not been waited for.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.0), signal)?)
    }

    /// Whether it ended by itself, and how.
    pub fn ended(&mut self) -> io::Result<Option<std::process::ExitStatus>> {
        self.0.try_wait()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // One that has ended is fine; SIGKILL reaches a stopped one too.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The child's side of [`CHILD`]: it is still this program, and about to be another one.
pub fn child_command(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    eprintln!("tools: {}", become_child(arguments));
    ExitCode::from(EXIT_INTERNAL)
}

/// Becomes the program named by the first word that is no option, with the others as its arguments; it ends when its parent does, even when
/// that is killed. `--cgroup FOLDER` puts it into one first, `--descriptors N` lets it have so many.
fn become_child(words: impl Iterator<Item = OsString>) -> Error {
    child(words).err().unwrap_or_else(|| Error::other("no program"))
}

fn child(mut words: impl Iterator<Item = OsString>) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| Error::other("a value is missing"));
        match word.to_str() {
            Some("--cgroup") => {
                let own = std::process::id().to_string();
                std::fs::write(Path::new(&value()?).join("cgroup.procs"), own)?;
            }
            Some("--descriptors") => {
                let count = value()?.to_str().and_then(|digits| digits.parse().ok());
                limit_descriptors(None, count.ok_or_else(|| Error::other("no number"))?)?;
            }
            _ => return Err(Command::new(word).args(words).exec()),
        }
    }
    Ok(())
}

/// Lets a process, or this one, have so many descriptors; its hard limit stays.
pub fn limit_descriptors(process: Option<Pid>, count: u64) -> io::Result<()> {
    let hard = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit { current: Some(count), maximum: hard };
    prlimit(process, Resource::Nofile, limit)?;
    Ok(())
}

/// Builds the server with cargo, optimised, and says where it is.
pub fn build() -> io::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or_else(|| Error::other("no workspace"))?;
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["build", "--release", "--locked", "-p", "flagstone", "--bin", "flagstone"]);
    command.args(["--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit());
    let output = command.output()?;
    if !output.status.success() {
        return Err(Error::other(format!("cargo build: {}", output.status)));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    // The server's is the last that names an executable.
    let path = messages.lines().rev().find_map(|line| line.split("\"executable\":\"").nth(1)?.split('"').next());
    path.map(PathBuf::from).ok_or_else(|| Error::other("cargo build named no executable"))
}
