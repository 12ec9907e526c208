//! What `--help` prints: examples first, because they are what is looked for.

use core::fmt::Write;

use super::option::{ADDRESSES, EXAMPLES, EXIT_CODES, OPTIONS, SUMMARY};

/// Where an example's comment begins.
const COMMENT: usize = 39;
/// How long an option and its value may be, so that the descriptions stand below each other.
const NAME: usize = 15;

/// The text. Allocates: for the command line.
pub fn help() -> String {
    let mut out = String::new();
    // Writing into a String does not fail.
    let _ = write(&mut out);
    out
}

fn write(out: &mut String) -> core::fmt::Result {
    writeln!(out, "flagstone {SUMMARY}.\n\nExamples")?;
    for (line, what) in EXAMPLES {
        let line = format!("  {line:COMMENT$}  {what}");
        writeln!(out, "{}", line.trim_end())?;
    }
    writeln!(out, "\nUsage\n  flagstone [OPTIONS] [DATABASE]")?;
    writeln!(out, "  {:COMMENT$}  make a token, print what to configure\n\nOptions", "flagstone token NAME")?;
    for option in OPTIONS {
        let short = option.short.map_or("    ".to_owned(), |letter| format!("-{letter}, "));
        let name = option.long.to_owned() + &option.value();
        writeln!(out, "  {short}--{name:NAME$}{}", option.doc)?;
    }
    writeln!(out, "ADDR is {ADDRESSES}.")?;
    let codes: Vec<String> = EXIT_CODES.iter().map(|(code, what)| format!("{code} {what}")).collect();
    writeln!(out, "Exit codes: {}.", codes.join(", "))
}
