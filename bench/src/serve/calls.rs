//! Counts another process's system calls, by perf where it may, else by strace.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longest wait for a counter to be attached, and again for its figures.
const PATIENCE: Duration = Duration::from_secs(5);
/// perf opens its counter first and enables it a moment later.
const SETTLE: Duration = Duration::from_millis(30);

/// A counter at work. Dropping it ends it.
pub struct Counter {
    child: Child,
    output: PathBuf,
    tool: Tool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Perf,
    Strace,
}

impl Counter {
    /// Attaches to the process; the error says why neither tool works.
    pub fn attach(pid: u32, folder: &Path) -> Result<Self, String> {
        Self::start(Tool::Perf, pid, folder)
            .or_else(|perf| Self::start(Tool::Strace, pid, folder).map_err(|strace| format!("perf: {perf}; strace: {strace}")))
    }

    fn start(tool: Tool, pid: u32, folder: &Path) -> Result<Self, String> {
        let (output, errors) = (folder.join("calls.txt"), folder.join("calls.err"));
        let mut command = match tool {
            Tool::Perf => {
                let mut command = Command::new("perf");
                command.args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-o"]);
                command.arg(&output);
                command
            }
            Tool::Strace => {
                let mut command = Command::new("strace");
                command.args(["-c", "-f", "-o"]).arg(&output);
                command
            }
        };
        command.args(["-p", &pid.to_string()]).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(fs::File::create(&errors).map_err(text)?);
        let child = command.spawn().map_err(text)?;
        let mut counter = Self { child, output, tool };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = fs::read_to_string(&errors).unwrap_or_default();
            if counter.child.try_wait().map_err(text)?.is_some() {
                return Err(said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it ended at once").to_owned());
            }
            if counter.attached(&said) {
                std::thread::sleep(SETTLE);
                return Ok(counter);
            }
            if Instant::now() > deadline {
                return Err("it did not attach".to_owned());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn attached(&self, said: &str) -> bool {
        match self.tool {
            Tool::Strace => said.contains("attached"),
            Tool::Perf => fs::read_dir(format!("/proc/{}/fd", self.child.id())).is_ok_and(|files| {
                let opened =
                    |file: fs::DirEntry| fs::read_link(file.path()).is_ok_and(|to| to.ends_with("anon_inode:[perf_event]"));
                files.flatten().any(opened)
            }),
        }
    }

    /// Ends the count: the calls, and by whom they were counted.
    pub fn finish(mut self) -> Result<(u64, &'static str), String> {
        self.stop().map_err(text)?;
        let written = fs::read_to_string(&self.output).map_err(text)?;
        let (calls, name) = match self.tool {
            Tool::Perf => (perf_calls(&written), "perf"),
            Tool::Strace => (strace_calls(&written), "strace"),
        };
        calls.map(|calls| (calls, name)).ok_or_else(|| format!("{name} wrote no count"))
    }

    fn stop(&mut self) -> io::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), Signal::INT)?;
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                self.child.kill()?;
                self.child.wait()?;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        // Nothing is left to be told to when this fails.
        let _ = self.stop();
    }
}

fn text(error: io::Error) -> String {
    error.to_string()
}

/// `12345,,raw_syscalls:sys_enter,...`
fn perf_calls(written: &str) -> Option<u64> {
    let line = written.lines().find(|line| line.contains("raw_syscalls:sys_enter"))?;
    line.split(',').next()?.parse().ok()
}

/// `100.00    0.001234           3       411        12 total`: the errors' column may be empty.
fn strace_calls(written: &str) -> Option<u64> {
    let line = written.lines().rfind(|line| line.trim_end().ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tools_outputs_are_understood() {
        assert_eq!(perf_calls("# started\n\n12345,,raw_syscalls:sys_enter,99,100.00,,\n"), Some(12345));
        assert_eq!(perf_calls("<not counted>,,raw_syscalls:sys_enter,0,100.00,,\n"), None);
        let table = "% time     seconds  usecs/call     calls    errors syscall\n------\n\
             60.00    0.000100           1       100           epoll_wait\n------\n\
             100.00    0.000166           0       411        12 total\n";
        assert_eq!(strace_calls(table), Some(411));
        assert_eq!(strace_calls(&table.replace("        12 total", "           total")), Some(411));
        assert_eq!(strace_calls(""), None);
    }
}
