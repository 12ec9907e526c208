//! The command line: options in, exit code out.

use std::io::Write;
use std::process::ExitCode;

use flagstone::cli::{self, Command};
use flagstone::config;
use flagstone::start::serve::ProcessHeap;
use flagstone::start::{Exit, StartError, check, client, get, journal, serve, sheet};

#[global_allocator]
static HEAP: ProcessHeap = ProcessHeap::new();

fn main() -> ExitCode {
    // The default hook's backtrace needs more heap than there is, and an allocation that fails inside it waits for its own lock.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or(("?", 0), |place| (place.file(), place.line()));
        let text = panic.payload_as_str().unwrap_or("a payload that is no text");
        let _ = writeln!(std::io::stderr(), "flagstone: panic at {}:{}: {text}; try: flagstone --version", place.0, place.1);
    }));
    match std::panic::catch_unwind(run) {
        Ok(Ok(code)) => ExitCode::from(code),
        Ok(Err(error)) => {
            journal::last_words(format_args!("flagstone: {error}"));
            ExitCode::from(error.exit)
        }
        Err(_) => {
            // The hook has told why, into the log once that was there.
            flagstone::ops::log_ring::flush(std::io::stderr());
            ExitCode::from(Exit::Internal.code())
        }
    }
}

fn run() -> Result<u8, StartError> {
    let command = cli::parse(std::env::args_os().skip(1))?;
    sheet::refuse_run_time_sizes()?;
    match command {
        Command::Help => put(&cli::help()),
        Command::Version => put(&format!("flagstone {}\n", cli::version())),
        Command::Budget => put(&sheet::sheet()),
        Command::Ready { url } => {
            let (code, line) = client::ready(url.as_deref());
            match code {
                0 | 1 => put(&format!("{line}\n")),
                _ => eprintln!("flagstone: {line}"),
            }
            return Ok(code);
        }
        Command::Get { path, options } => return get::get(&path, &options, &HEAP),
        Command::Example => put(config::EXAMPLE),
        Command::Check(options) => put(&check::check(&options, &HEAP)?),
        Command::Dump(options) => put(&check::dump(&options)?),
        Command::Token { name } => put(&check::token(&name)),
        Command::Serve(options) => serve::serve(&options, &HEAP)?,
    }
    Ok(0)
}

/// Prints; a reader that has gone (`| head`) has what it wanted.
fn put(text: &str) {
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
