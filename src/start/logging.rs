//! The log of a serving process: env_logger into a ring of ours, which goes to stderr as that takes it.

use std::fmt::Write as _;
use std::io::Write as _;

use super::journal::{self, Lines};
use super::log_limit;
use crate::ops::log_ring;

/// The longest log line in bytes: SQLite's messages name what they are about, and a statement may stand in them.
const LONGEST_LINE: usize = 16 * 1024;

/// env_logger into the ring, at RUST_LOG's level or `info`. A line is `LEVEL message`; whoever collects stderr knows the time.
pub fn install_log() {
    let journal = journal::reads(std::io::stderr());
    let mut builder = env_logger::Builder::new();
    builder
        .filter_level(log::LevelFilter::Info)
        .parse_default_env()
        .target(env_logger::Target::Pipe(Box::new(log_ring::RingWriter)))
        .write_style(env_logger::WriteStyle::Never)
        .format(move |out, record| match log_limit::admits(record) {
            true if journal => Lines::new(Text(out), record.level())
                .write_fmt(format_args!("{:5} {}\n", record.level(), record.args()))
                .map_err(|_| std::io::ErrorKind::OutOfMemory.into()),
            true => writeln!(out, "{:5} {}", record.level(), record.args()),
            false => Ok(()),
        });
    // A logger that somebody installed before stays; tests do that.
    let _ = builder.try_init();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or(("?", 0), |place| (place.file(), place.line()));
        let text = panic.payload_as_str().unwrap_or("a payload that is no text");
        log::error!("panic at {}:{}: {text}", place.0, place.1);
    }));
    // The first line of a thread makes its buffer: now, at a level that is hardly ever off, and as long as lines get.
    log::error!("{:LONGEST_LINE$}", "");
    log_ring::discard();
}

/// `fmt` over bytes.
struct Text<W>(W);

impl<W: std::io::Write> std::fmt::Write for Text<W> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.write_all(text.as_bytes()).map_err(|_| std::fmt::Error)
    }
}
