//! The project's own tools: `tools --help` lists them.
#![deny(unsafe_code)]

mod chaos;
mod durability;
mod oracle;
mod package;
mod pi_vm;
mod rig;
mod rules;
mod sim;

use std::ffi::OsString;
use std::process::ExitCode;

const HELP: &str = "\
tools: what the project checks itself with

    cargo run -p tools --release -- sim --seeds 1000     the front in a simulated world, from seeds
    cargo run -p tools --release -- oracle --seconds 60  answers while other processes commit: none may be stale
    cargo run -p tools --release -- durability           kills, power cuts, failing disks: what was acknowledged is there
    cargo run -p tools --release -- chaos                each risk of the register provoked, each promise checked
    cargo run -p tools -- pi-vm --tarball FILE           an emulated machine of 512 MB serves, and its power is cut
    cargo run -p tools -- package                        binaries, archives and packages, in target/package
    cargo run -p tools --release -- soak                 ten million requests, and nothing is left of them
    cargo run -p tools -- rules                          the alerts as Prometheus rules

tools COMMAND --help explains the options of each.
";

/// Exit codes as of sysexits.h; 1 is a run that found something.
const EXIT_FOUND: u8 = 1;
const EXIT_USAGE: u8 = 64;

/// A command line that cannot be followed, and why.
#[derive(Debug)]
pub struct Usage(pub String);

impl From<lexopt::Error> for Usage {
    fn from(error: lexopt::Error) -> Usage {
        Usage(error.to_string())
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    // These have exit codes of their own, and processes that are this program again.
    let with_processes = match arguments.peek().and_then(|name| name.to_str()) {
        Some("oracle") => Some(oracle::command as fn(_) -> _),
        Some(rig::process::CHILD) => Some(rig::process::child_command as fn(_) -> _),
        Some(oracle::WRITER) => Some(oracle::writer_command as fn(_) -> _),
        Some("soak") => Some(chaos::soak::command as fn(_) -> _),
        Some("chaos") => Some(chaos::command as fn(_) -> _),
        Some("durability") => Some(durability::command as fn(_) -> _),
        Some("pi-vm") => Some(pi_vm::command as fn(_) -> _),
        Some(durability::LOOK) => Some(durability::look_command as fn(_) -> _),
        Some(durability::REFERENCE) => Some(durability::reference_command as fn(_) -> _),
        _ => None,
    };
    if let Some(command) = with_processes {
        arguments.next();
        return command(arguments);
    }
    match command(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FOUND),
        Err(Usage(text)) => {
            eprintln!("tools: {text}\nTry: tools --help");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Runs one command; false means that it found something.
fn command(mut arguments: impl Iterator<Item = OsString>) -> Result<bool, Usage> {
    let name = arguments.next().unwrap_or_default();
    match name.to_str() {
        Some("sim") => sim::command::command(arguments),
        Some("package") => package::command(arguments),
        Some("rules") => rules::command(arguments),
        Some("-h" | "--help") => {
            print!("{HELP}");
            Ok(true)
        }
        Some("") => Err(Usage("a command is missing".to_owned())),
        _ => Err(Usage(format!("{name:?} is no command of these"))),
    }
}
