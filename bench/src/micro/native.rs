//! Instructions of the loops on this machine: valgrind's callgrind, or perf where that is missing.

use std::path::Path;
use std::process::Command;

use super::loops::Loop;
use super::version;

/// What counts here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// `valgrind --tool=callgrind`. Its processor has AVX2 at most, so that glibc takes the same functions on all that have it.
    Callgrind,
    /// `perf stat`, where the kernel and the machine lend their counters.
    Perf,
}

impl Counter {
    /// The first that works here.
    ///
    /// # Errors
    /// What is missing.
    pub fn find() -> Result<Counter, String> {
        if Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success()) {
            return Ok(Counter::Callgrind);
        }
        match perf(Command::new("perf").args(["stat", "-x,", "-e", "instructions:u", "true"])) {
            Ok(_) => Ok(Counter::Perf),
            Err(error) => Err(format!("nothing counts instructions here: no valgrind, and {error}; try: apt install valgrind")),
        }
    }

    /// Instructions of a run of `program`.
    ///
    /// # Errors
    /// What the counter or the loop said.
    pub fn run(self, program: &Path, each: Loop, iterations: u64) -> Result<u64, String> {
        let arguments = ["loop", each.name(), &iterations.to_string()];
        let counted = match self {
            Counter::Callgrind => {
                let command = &mut Command::new("valgrind");
                callgrind(command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program).args(arguments))
            }
            Counter::Perf => {
                perf(Command::new("perf").args(["stat", "-x,", "-e", "instructions:u"]).arg(program).args(arguments))
            }
        };
        counted.map_err(|error| format!("{}: {error}", each.name()))
    }

    /// What the figures depend on besides the source: versions, as the programs tell them.
    pub fn made_by(self) -> Vec<String> {
        let by = match self {
            Counter::Callgrind => version("valgrind"),
            Counter::Perf => version("perf"),
        };
        vec![
            format!("Instructions of one iteration of `bench loop NAME` on {}, by `bench micro`", std::env::consts::ARCH),
            version("rustc"),
            version("cc"),
            by,
        ]
    }
}

/// "==1234== Collected : 5678"
fn callgrind(command: &mut Command) -> Result<u64, String> {
    told(command, |line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

/// "5678,,instructions:u,..."
fn perf(command: &mut Command) -> Result<u64, String> {
    told(command, |line| line.split_once(",,instructions:u")?.0.parse().ok())
}

/// Runs it, and looks for a figure in what it said on stderr.
fn told(command: &mut Command, figure: impl Fn(&str) -> Option<u64>) -> Result<u64, String> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    match said.lines().find_map(figure) {
        Some(counted) if output.status.success() => Ok(counted),
        _ => Err(format!("{} ended with {}: {}", command.get_program().display(), output.status, said.trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo \"$0\" >&2", text]);
        command
    }

    #[test]
    fn what_the_counters_print_is_read() {
        assert_eq!(callgrind(&mut says("==7== Collected : 5678\n==7==")), Ok(5678));
        assert_eq!(perf(&mut says("5678,,instructions:u,1000,100.00,,")), Ok(5678));
        assert!(
            perf(&mut says("<not supported>,,instructions:u,0,100.00,,")).is_err_and(|error| error.contains("not supported"))
        );
    }
}
