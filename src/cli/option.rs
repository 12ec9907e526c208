//! The options of the command line: their names, what they take, what they are for. `--help`, "did you mean", the man page and the
//! shells' completions are made from this table and know no other.

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// It is there or it is not.
    Nothing,
    /// A value, called so and offered so by a shell.
    Value(&'static str, Offer),
    /// The same, which may be left out.
    Maybe(&'static str, Offer),
}

/// What a shell offers where a value is to be typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Some addresses.
    Address,
    /// Files.
    File,
    /// Folders.
    Folder,
    /// Paths of requests.
    Path,
    /// The default server.
    Url,
    /// Nothing: it is a number.
    Nothing,
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct CommandOption {
    /// Its letter, if it has one.
    pub short: Option<char>,
    /// Its name, without dashes.
    pub long: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// What follows it on a line that works: for messages.
    pub then: &'static str,
    /// What it is for, on one line of `--help`.
    pub doc: &'static str,
    /// What the man page says beyond that, in sentences.
    pub more: &'static str,
}

const fn option(
    short: Option<char>, long: &'static str, takes: Takes, then: &'static str, doc: &'static str, more: &'static str,
) -> CommandOption {
    CommandOption { short, long, takes, then, doc, more }
}

use Takes::{Maybe, Nothing, Value};

/// The table, in the order of `--help`.
pub const OPTIONS: &[CommandOption] = &[
    option(
        Some('l'),
        "listen",
        Value("ADDR", Offer::Address),
        "127.0.0.1:8080 data.db",
        "where to listen; may be repeated (default 127.0.0.1:8080)",
        "Wins over listen in the configuration.",
    ),
    option(
        Some('c'),
        "config",
        Value("FILE", Offer::File),
        "flagstone.toml data.db",
        "the configuration; without one every table is served to read",
        "See flagstone.toml(5). An edit is seen within two seconds; a mistake in it leaves the running configuration as it is.",
    ),
    option(
        None,
        "ops",
        Value("ADDR", Offer::Address),
        "127.0.0.1:8081 data.db",
        "a listener of its own for the pages under /-/",
        "It has connection slots of its own, so it answers while the server is full. Wins over ops in the configuration.",
    ),
    option(
        None,
        "demo",
        Maybe("DIR", Offer::Folder),
        "",
        "serve an example; deleted at exit unless DIR is given",
        "Home sensors and a calendar, with new readings while it runs.",
    ),
    option(
        None,
        "immutable",
        Nothing,
        "data.db",
        "promise that nobody writes: for a WAL database in a read-only folder",
        "Where somebody writes after all, answers may be stale or wrong.",
    ),
    option(
        None,
        "safe",
        Nothing,
        "data.db",
        "optimisations off, the last good configuration kept",
        "With no usable configuration: loopback only, tables off.",
    ),
    option(
        None,
        "safe-after",
        Value("N", Offer::Nothing),
        "3 data.db",
        "as --safe when N starts in a row came to no good end",
        "A start that served for a minute, or ended in an orderly way, is a good one. Counted in the state directory; for service managers.",
    ),
    option(
        None,
        "fallback",
        Nothing,
        "-c flagstone.toml data.db",
        "start from the last good copy when the configuration is broken",
        "Without it a broken configuration is exit code 78.",
    ),
    option(
        None,
        "no-sandbox",
        Nothing,
        "data.db",
        "without seccomp and Landlock: for debugging only",
        "The sandbox leaves a serving process the system calls of its loop, and the folders of database, state and configuration.",
    ),
    option(None, "check", Nothing, "-c flagstone.toml data.db", "validate everything, print each route's plan: exit 0 or 78", ""),
    option(None, "dump", Nothing, "-c flagstone.toml data.db", "print the effective configuration, tokens masked", ""),
    option(None, "example", Nothing, "", "print a commented flagstone.toml", "It has every key and its default."),
    option(
        None,
        "get",
        Value("PATH", Offer::Path),
        "/tables data.db",
        "answer one request on stdout, no server",
        "The exit code is 0 for an answer of 2xx.",
    ),
    option(
        None,
        "ready",
        Maybe("URL", Offer::Url),
        "",
        "ask a running server: exit 0 when it is ready, else 1",
        "URL is http://127.0.0.1:8080 where none is given.",
    ),
    option(None, "budget", Nothing, "", "print this binary's memory sheet", "Sizes are fixed when it is built."),
    option(Some('h'), "help", Nothing, "", "print this", ""),
    option(
        Some('V'),
        "version",
        Nothing,
        "",
        "print the version",
        "Version, commit, its date, SQLite, preset, target and budget, in one line.",
    ),
];

/// Command lines that work, and what each is for.
pub const EXAMPLES: &[(&str, &str)] = &[
    ("flagstone --demo", "a live example: home sensors and a calendar"),
    ("flagstone data.db", "every table, at http://127.0.0.1:8080/"),
    ("flagstone -l :8080 data.db", "the same for the whole network"),
    ("flagstone --example > flagstone.toml", "a configuration to start from"),
    ("flagstone -c flagstone.toml --check data.db", "is it right? each route's plan"),
    ("flagstone -c flagstone.toml data.db", "named routes, tokens, flags, limits"),
    ("flagstone --get /tables data.db", "one answer on stdout, no server"),
    ("flagstone --ready", "is the server up? exit 0 or 1"),
    ("curl http://127.0.0.1:8080/tables", "what it serves"),
    ("curl 'http://127.0.0.1:8080/tables/T?order=id.desc&limit=5'", ""),
];

/// How ADDR may be written.
pub const ADDRESSES: &str = "127.0.0.1:8080, :8080 (every interface), 8080, localhost:8080, [::1]:8080 or unix:PATH";

/// The process's exit codes, as of sysexits.h.
pub const EXIT_CODES: &[(u8, &str)] =
    &[(0, "done"), (64, "usage"), (66, "database"), (69, "address"), (70, "internal"), (78, "configuration")];

/// What the program does, in one line.
pub const SUMMARY: &str = "serves a SQLite database over HTTP, from memory fixed when it was built";

/// The option of that name.
pub fn find(long: &str) -> Option<&'static CommandOption> {
    OPTIONS.iter().find(|option| option.long == long)
}

impl CommandOption {
    /// What it takes, as help writes it: ` ADDR`, ` [DIR]` or nothing.
    pub fn value(&self) -> String {
        match self.takes {
            Takes::Nothing => String::new(),
            Takes::Value(name, _) => format!(" {name}"),
            Takes::Maybe(name, _) => format!(" [{name}]"),
        }
    }
}
