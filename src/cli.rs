//! The command line: words in, one [`Command`] out. Opens nothing and decides nothing about the database.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use lexopt::{Arg, Parser, ValueExt};

use crate::start::address::Address;
use crate::start::{StartError, shell_word, suggest};
pub use help::help;
use option::{CommandOption, OPTIONS, Takes};

mod help;
pub mod option;

/// What other servers call the same thing.
const KNOWN_ELSEWHERE: [(&str, &str); 6] =
    [("port", "listen"), ("p", "listen"), ("host", "listen"), ("bind", "listen"), ("address", "listen"), ("v", "version")];

/// Version, commit, its date, SQLite, preset, target and budget, in one line.
pub fn version() -> String {
    format!(
        "{} ({}, {}), SQLite {}, preset {}, {}, {} MiB",
        env!("CARGO_PKG_VERSION"),
        env!("FLAGSTONE_BUILD_COMMIT"),
        env!("FLAGSTONE_BUILD_DATE"),
        rusqlite::version(),
        crate::budget::PRESET,
        env!("FLAGSTONE_BUILD_TARGET"),
        (crate::budget::PROCESS_BYTES + crate::budget::KERNEL_BYTES).div_ceil(1 << 20),
    )
}

/// What is served, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The database file; absent only with `demo`.
    pub database: Option<PathBuf>,
    /// Serve the example instead of a database.
    pub demo: Option<Demo>,
    /// Where to listen, in the order given, without repetitions; empty stands for 127.0.0.1:8080.
    pub listen: Vec<Address>,
    /// The listener for operators.
    pub ops: Option<Address>,
    /// The user's promise that nobody writes to the database.
    pub immutable: bool,
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// Optimisations off, and the last good configuration.
    pub safe: bool,
    /// The same when so many starts in a row came to no good end.
    pub safe_after: Option<u32>,
    /// Start from the last good configuration when the file is broken.
    pub fallback: bool,
    /// Without the sandbox, for debugging.
    pub no_sandbox: bool,
}

/// Where the example lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demo {
    /// In a folder of its own, deleted at exit.
    Temporary,
    /// In a folder that the user named, kept.
    Kept(PathBuf),
}

/// What the process is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Serve until a signal.
    Serve(Options),
    /// Print [`help`].
    Help,
    /// Print the version line.
    Version,
    /// Print the memory sheet.
    Budget,
    /// Print a commented configuration.
    Example,
    /// Validate configuration and database, and print each route's plan.
    Check(Options),
    /// Print the effective configuration.
    Dump(Options),
    /// Make a token and print what to configure for it.
    Token {
        /// What routes will call it.
        name: String,
    },
    /// Answer one GET on stdout.
    Get {
        /// The request's target; begins with a slash.
        path: String,
        /// What to answer from; names no address.
        options: Options,
    },
    /// Ask a running server whether it is ready.
    Ready {
        /// Which server; absent stands for the default address.
        url: Option<String>,
    },
}

/// What has been read so far: the words do not come in a fixed order.
#[derive(Default)]
struct Words {
    options: Options,
    demo: Option<Option<PathBuf>>,
    get: Option<String>,
    ready: Option<Option<String>>,
    budget: bool,
    example: bool,
    check: bool,
    dump: bool,
    positional: Vec<OsString>,
}

/// Reads the arguments behind the program's name. `--help` and `--version` win over all that follows them.
///
/// Errors are of usage (64) and have one line.
pub fn parse<I>(arguments: I) -> Result<Command, StartError>
where
    I: IntoIterator,
    I::Item: Into<OsString>,
{
    let mut parser = Parser::from_args(arguments);
    let mut words = Words::default();
    while let Some(argument) = parser.next().map_err(usage)? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Short('V') | Arg::Long("version") => return Ok(Command::Version),
            Arg::Short('l') | Arg::Long("listen") => {
                let address = address("listen", &mut parser)?;
                // The same address twice is one listener, not "address already in use" by ourselves.
                if !words.options.listen.contains(&address) || is_any_port(&address) {
                    words.options.listen.push(address);
                }
            }
            Arg::Long("ops") => {
                let address = address("ops", &mut parser)?;
                once("--ops", &mut words.options.ops, address)?;
            }
            Arg::Long("get") => {
                let path = text("get", &mut parser)?;
                once("--get", &mut words.get, path)?;
            }
            // The value of these two may also stand apart, as the first word that is no option: see `assemble`.
            Arg::Long("demo") => {
                let folder = parser.optional_value().map(PathBuf::from);
                once("--demo", &mut words.demo, folder)?;
            }
            Arg::Long("ready") => {
                let url = parser.optional_value().map(unicode).transpose()?;
                once("--ready", &mut words.ready, url)?;
            }
            Arg::Short('c') | Arg::Long("config") => {
                let file = parser.value().map_err(|_| needs_value("config"))?;
                once("--config", &mut words.options.config, PathBuf::from(file))?;
            }
            Arg::Long("immutable") => words.options.immutable = true,
            Arg::Long("safe") => words.options.safe = true,
            Arg::Long("safe-after") => {
                let count = count("safe-after", &mut parser)?;
                once("--safe-after", &mut words.options.safe_after, count)?;
            }
            Arg::Long("fallback") => words.options.fallback = true,
            Arg::Long("no-sandbox") => words.options.no_sandbox = true,
            Arg::Long("check") => words.check = true,
            Arg::Long("dump") => words.dump = true,
            Arg::Long("example") => words.example = true,
            Arg::Long("budget") => words.budget = true,
            Arg::Value(word) => words.positional.push(word),
            Arg::Short(name) => return Err(unknown("-", &name.to_string())),
            Arg::Long(name) => return Err(unknown("--", name)),
        }
    }
    assemble(words)
}

fn assemble(mut words: Words) -> Result<Command, StartError> {
    only_one_mode(&words)?;
    let mut positional = std::mem::take(&mut words.positional).into_iter();
    if let Some(url) = words.ready {
        let url = match url {
            Some(url) => Some(url),
            None => positional.next().map(unicode).transpose()?,
        };
        none_left(positional, "--ready takes one URL")?;
        return Ok(Command::Ready { url });
    }
    if words.budget {
        none_left(positional, "--budget takes no database")?;
        return Ok(Command::Budget);
    }
    if words.example {
        none_left(positional, "--example takes no database")?;
        return Ok(Command::Example);
    }
    let mut options = words.options;
    if positional.as_slice().first().is_some_and(|word| word == "token") && options == Options::default() {
        positional.next();
        return token(positional);
    }
    if words.dump {
        options.database = positional.next().map(PathBuf::from);
        none_left(positional, "one database at a time")?;
        return Ok(Command::Dump(options));
    }
    match words.demo {
        None => options.database = positional.next().map(PathBuf::from),
        Some(folder) => {
            let folder = folder.or_else(|| positional.next().map(PathBuf::from));
            options.demo = Some(folder.map_or(Demo::Temporary, Demo::Kept));
        }
    }
    let taken = if options.demo.is_some() { "--demo takes one folder" } else { "one database at a time" };
    none_left(positional, taken)?;
    if options.database.as_ref().is_some_and(|database| database.as_os_str().is_empty()) {
        let what = "the database's name is empty, perhaps an unset variable of the shell";
        return Err(StartError::usage(what, "flagstone data.db, or flagstone --demo"));
    }
    if options.database.is_none() && options.demo.is_none() {
        let example = match &options.config {
            Some(file) => format!("flagstone -c {} data.db", shell_word(file)),
            None => "flagstone data.db, or flagstone --demo".to_string(),
        };
        return Err(StartError::usage("no database is named", &example));
    }
    if options.fallback && options.config.is_none() {
        let what = "--fallback is about a broken configuration, and none is named";
        return Err(StartError::usage(what, "flagstone -c flagstone.toml --fallback data.db"));
    }
    match words.get {
        Some(path) => get(path, options),
        None if words.check => Ok(Command::Check(options)),
        None => serve(options),
    }
}

fn token(mut words: impl Iterator<Item = OsString>) -> Result<Command, StartError> {
    let example = "flagstone token display";
    let name = words.next().ok_or_else(|| needs("token", "a NAME", example)).and_then(unicode)?;
    none_left(words, "a token has one name")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        let what = format!("a token's name has 1 to 64 letters, digits, _ and -; {name:?} has not");
        return Err(StartError::usage(what, example));
    }
    Ok(Command::Token { name })
}

fn needs(option: &str, value: &str, example: &str) -> StartError {
    StartError::usage(format!("{option} needs {value}"), example)
}

fn serve(options: Options) -> Result<Command, StartError> {
    if let Some(ops) = options.ops.as_ref().filter(|ops| !is_any_port(ops))
        && options.listen.contains(ops)
    {
        let what = format!("--ops and --listen name the same address, {ops}");
        return Err(StartError::usage(what, "flagstone --ops 127.0.0.1:8081 data.db"));
    }
    Ok(Command::Serve(options))
}

fn get(path: String, options: Options) -> Result<Command, StartError> {
    let database = options.database.as_deref().map_or_else(|| "--demo".to_owned(), shell_word);
    if !options.listen.is_empty() || options.ops.is_some() {
        let what = "--get answers on stdout and listens nowhere, so --listen and --ops do not go with it";
        let path = shell_word(Path::new(&path));
        return Err(StartError::usage(what, &format!("flagstone --get {path} {database}")));
    }
    if !path.starts_with('/') {
        let what = format!("the path of --get begins with a slash, {path:?} does not");
        let path = shell_word(Path::new(&format!("/{path}")));
        return Err(StartError::usage(what, &format!("flagstone --get {path} {database}")));
    }
    Ok(Command::Get { path, options })
}

fn only_one_mode(words: &Words) -> Result<(), StartError> {
    let modes = [
        ("--get", words.get.is_some()),
        ("--ready", words.ready.is_some()),
        ("--budget", words.budget),
        ("--example", words.example),
        ("--check", words.check),
        ("--dump", words.dump),
    ];
    let mut given = modes.iter().filter(|(_, given)| *given).map(|(name, _)| *name);
    if let (Some(first), Some(second)) = (given.next(), given.next()) {
        let what = format!("{first} and {second} do not go together");
        return Err(StartError::usage(what, "flagstone --help"));
    }
    Ok(())
}

fn none_left(mut rest: impl Iterator<Item = OsString>, what: &str) -> Result<(), StartError> {
    match rest.next() {
        None => Ok(()),
        Some(word) => {
            let word = shell_word(Path::new(&word));
            Err(StartError::usage(format!("{what}; {word} is one word too many"), "flagstone --help"))
        }
    }
}

fn once<T>(name: &str, place: &mut Option<T>, value: T) -> Result<(), StartError> {
    if place.replace(value).is_some() {
        return Err(StartError::usage(format!("{name} is given twice"), "flagstone --help"));
    }
    Ok(())
}

/// Port 0 names another port each time.
fn is_any_port(address: &Address) -> bool {
    matches!(address, Address::Tcp(address) if address.port() == 0)
}

fn address(long: &str, parser: &mut Parser) -> Result<Address, StartError> {
    let text = text(long, parser)?;
    text.parse::<Address>().map_err(|error| {
        let suggestion = error.suggestion();
        StartError::usage(format!("--{long} {text}: {error}"), &format!("flagstone --{long} {suggestion} data.db"))
    })
}

fn text(long: &str, parser: &mut Parser) -> Result<String, StartError> {
    parser.value().map_err(|_| needs_value(long)).and_then(unicode)
}

/// A number from 1.
fn count(long: &str, parser: &mut Parser) -> Result<u32, StartError> {
    let text = text(long, parser)?;
    text.parse().ok().filter(|&count| count > 0).ok_or_else(|| {
        let what = format!("--{long} takes a number from 1, and {text:?} is none");
        StartError::usage(what, &format!("flagstone {}", option::find(long).map_or_else(String::new, typed)))
    })
}

fn needs_value(long: &str) -> StartError {
    let known = option::find(long);
    let value = match known.map(|option| option.takes) {
        Some(Takes::Value(name, _) | Takes::Maybe(name, _)) if name.starts_with('A') => format!("an {name}"),
        Some(Takes::Value(name, _) | Takes::Maybe(name, _)) => format!("a {name}"),
        Some(Takes::Nothing) | None => "a value".to_owned(),
    };
    needs(&format!("--{long}"), &value, &format!("flagstone {}", known.map_or_else(String::new, typed)))
}

/// An option as it stands on a line that works.
fn typed(option: &CommandOption) -> String {
    format!("--{} {}", option.long, option.then).trim_end().to_owned()
}

fn unicode(value: OsString) -> Result<String, StartError> {
    value.string().map_err(usage)
}

fn unknown(dashes: &str, name: &str) -> StartError {
    let shown = name.escape_debug();
    let elsewhere = KNOWN_ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == name).map(|(_, ours)| *ours);
    // A single letter has none: every other one would be as near.
    let long = elsewhere.or_else(|| suggest::nearest(name, OPTIONS.iter().map(|option| option.long), 2));
    match long.and_then(option::find) {
        Some(meant) => {
            let what = format!("unknown option {dashes}{shown}; did you mean --{}?", meant.long);
            StartError { message: what + &format!(" try: flagstone {}", typed(meant)), ..StartError::usage("", "-") }
        }
        None => StartError::usage(format!("unknown option {dashes}{shown}"), "flagstone --help"),
    }
}

/// What lexopt found wrong, in our words.
fn usage(error: lexopt::Error) -> StartError {
    use lexopt::Error;
    let what = match error {
        Error::UnexpectedValue { option, value } => {
            format!("{option} takes no value, but {value:?} was given")
        }
        Error::MissingValue { option } => format!("{} needs a value", option.unwrap_or_default()),
        Error::NonUnicodeValue(value) => format!("{value:?} is not UTF-8"),
        other => other.to_string(),
    };
    StartError::usage(what, "flagstone --help")
}

#[cfg(test)]
mod tests;
