//! The project's own tools; `tools COMMAND --help` explains each.
#![deny(unsafe_code)]

mod oracle;

use std::process::ExitCode;

/// Exit code of a wrong command line, as of sysexits.h.
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let command = arguments.next().unwrap_or_default();
    match command.to_str() {
        Some("oracle") => oracle::command(arguments),
        Some(oracle::CHILD) => oracle::child_command(arguments),
        Some(oracle::WRITER) => oracle::writer_command(arguments),
        _ => {
            eprintln!("tools: the commands are: oracle");
            ExitCode::from(EXIT_USAGE)
        }
    }
}
