//! What speaks against a configuration beside its text, and how whoever asked for it is told.

use std::io;
use std::path::Path;

use crate::api::problem::Problem;
use crate::config::{Config, Mistakes};
use crate::start::address::Address;
use crate::start::{Exit, StartError, shell_word};

/// Open write routes are for this machine alone, unless somebody says that they know.
pub(super) fn check_open_writes(config: &Config, text: &str, listen: &[Address], mistakes: &mut Mistakes) {
    let beyond = listen.iter().any(|address| matches!(address, Address::Tcp(address) if !address.ip().is_loopback()));
    if !beyond || config.open_writes {
        return;
    }
    for route in config.routes().iter().filter(|route| route.verb.writes() && route.auth.is_none()) {
        mistakes.at_line(
            text,
            route.line,
            format_args!("everybody in the network could write by {} {}", route.verb.name(), config.text(route.path)),
            format_args!("give it auth = \"NAME\" (flagstone token NAME), or say open_writes = true"),
        );
    }
}

pub(super) fn cannot_read(file: &Path, error: &io::Error) -> StartError {
    StartError::new(
        Exit::Configuration,
        format!("{}: the configuration cannot be read: {error}", file.display()),
        &[format!("ls -l {}", shell_word(file)), format!("flagstone --example > {}", shell_word(file))],
    )
}

pub(super) fn refused(mistakes: &Mistakes) -> Problem {
    let problem = Problem::new(422, "configuration-refused", "The configuration is refused");
    let Some(first) = mistakes.iter().next() else { return problem };
    let more = mistakes.count() - 1;
    let problem = problem.detail(format_args!("line {}: {}", first.line, first.message));
    match more {
        0 => problem.hint(format_args!("{}", first.hint)),
        _ => problem.hint(format_args!("{more} more in the log; flagstone --check shows all")),
    }
}
