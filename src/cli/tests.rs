//! Lines as people type them, right and wrong.

use super::*;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(|word| word.replace('~', " ")).collect()
}

fn parsed(line: &str) -> Command {
    parse(words(line)).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn served(line: &str) -> Options {
    match parsed(line) {
        Command::Serve(options) => options,
        other => panic!("{line}: {other:?}"),
    }
}

fn at(text: &str) -> Address {
    text.parse().expect("an address")
}

#[test]
fn a_database_alone_is_served_at_the_default_address() {
    let options = served("data.db");
    let expected = Options { database: Some(PathBuf::from("data.db")), ..Options::default() };
    assert_eq!(options, expected);
}

#[test]
fn addresses_may_be_repeated_and_written_in_every_style() {
    let options = served("-l8080 --listen=:8081 -l [::1]:82 --ops unix:/run/ops data.db -l 127.0.0.1:8080");
    assert_eq!(options.listen, [at("8080"), at(":8081"), at("[::1]:82")], "the same twice is one");
    assert_eq!(options.ops, Some(at("unix:/run/ops")));
    assert_eq!(served("-l 0 -l 0 x.db").listen.len(), 2, "port 0 is another one each time");
}

#[test]
fn the_optional_values_may_stand_apart() {
    assert_eq!(served("--demo").demo, Some(Demo::Temporary));
    for line in ["--demo dir", "--demo=dir", "dir --demo", "--demo -l 80 dir"] {
        let options = served(line);
        assert_eq!(options.demo, Some(Demo::Kept(PathBuf::from("dir"))), "{line}");
        assert_eq!(options.database, None, "{line}");
    }
    assert_eq!(parsed("--ready"), Command::Ready { url: None });
    for line in ["--ready pi:80", "--ready=pi:80"] {
        assert_eq!(parsed(line), Command::Ready { url: Some("pi:80".into()) }, "{line}");
    }
}

#[test]
fn each_mode_is_recognised() {
    assert_eq!(parsed("--help"), Command::Help);
    assert_eq!(parsed("-h --unheard-of"), Command::Help);
    assert_eq!(parsed("-V"), Command::Version);
    assert_eq!(parsed("--version data.db"), Command::Version);
    assert_eq!(parsed("--budget"), Command::Budget);
    assert_eq!(parsed("--example"), Command::Example);
    assert_eq!(parsed("token display"), Command::Token { name: "display".into() });
    let Command::Check(options) = parsed("-c flagstone.toml data.db --check") else { panic!("a check") };
    assert_eq!((options.config, options.database), (Some("flagstone.toml".into()), Some("data.db".into())));
    let Command::Dump(options) = parsed("--dump --config=x.toml") else { panic!("a dump") };
    assert_eq!(options.config, Some("x.toml".into()));
    let options = served("--safe --fallback -cx.toml data.db");
    assert!(options.safe && options.fallback && options.config == Some("x.toml".into()));
    assert_eq!(served("./token").database, Some(PathBuf::from("./token")));
    let Command::Get { path, options } = parsed("--get /tables --immutable my~data.db") else {
        panic!("not a get");
    };
    assert_eq!((path.as_str(), options.immutable), ("/tables", true));
    assert_eq!(options.database, Some(PathBuf::from("my data.db")));
    assert_eq!(served("-- -odd.db").database, Some(PathBuf::from("-odd.db")));
}

#[test]
fn a_wrong_line_is_answered_with_one_line_that_ends_with_something_to_type() {
    let cases = [
        ("", "no database", "flagstone data.db"),
        ("--lisen 80 x.db", "unknown option --lisen; did you mean --listen?", "flagstone --listen 127.0.0.1:8080 data.db"),
        ("--immutabel x.db", "did you mean --immutable?", "flagstone --immutable data.db"),
        ("--port 80", "did you mean --listen?", "flagstone --listen"),
        ("-p 80", "unknown option -p; did you mean --listen?", "flagstone --listen"),
        ("-x", "unknown option -x", "flagstone --help"),
        ("--frobnicate", "unknown option --frobnicate", "flagstone --help"),
        ("-c", "--config needs a FILE", "flagstone --config flagstone.toml data.db"),
        ("-ca -cb data.db", "--config is given twice", "flagstone --help"),
        ("--fallback data.db", "none is named", "flagstone -c flagstone.toml --fallback data.db"),
        ("--check --dump x.db", "--check and --dump do not go together", "flagstone --help"),
        ("--example x.db", "--example takes no database", "flagstone --help"),
        ("token", "token needs a NAME", "flagstone token display"),
        ("token a b", "a token has one name; b is one word too many", "flagstone --help"),
        ("token a.b", "letters, digits, _ and -", "flagstone token display"),
        ("--listen", "--listen needs an ADDR", "flagstone --listen 127.0.0.1:8080 data.db"),
        ("x.db -l", "--listen needs an ADDR", "flagstone --listen 127.0.0.1:8080 data.db"),
        ("--get", "--get needs a PATH", "flagstone --get /tables data.db"),
        ("-l 70000 x.db", "port 70000 is out of range 1-65535 (0 = any free port)", "flagstone --listen 127.0.0.1:8080 data.db"),
        ("--ops pi:81 x.db", "--ops pi:81: \"pi\" is a host name; use an IP literal", "flagstone --ops 127.0.0.1:81 data.db"),
        ("--ops 1 --ops 2 x.db", "--ops is given twice", "flagstone --help"),
        ("--ops 8080 -l 8080 x.db", "the same address", "flagstone --ops 127.0.0.1:8081 data.db"),
        ("--immutable=yes x.db", "--immutable takes no value", "flagstone --help"),
        ("a.db b.db", "one database at a time; b.db is one word too many", "flagstone --help"),
        ("--demo d x.db", "--demo takes one folder; x.db", "flagstone --help"),
        ("--get tables x.db", "begins with a slash", "flagstone --get /tables x.db"),
        ("--get /a -l 80 my~x.db", "listens nowhere", "flagstone --get /a 'my x.db'"),
        ("--get /a --ready", "--get and --ready do not go together", "flagstone --help"),
        ("--budget x.db", "--budget takes no database", "flagstone --help"),
        ("--ready a b", "--ready takes one URL", "flagstone --help"),
    ];
    for (line, essential, typed) in cases {
        let error = parse(words(line)).expect_err(line);
        assert_eq!(error.exit, 64, "{line}");
        assert!(error.message.contains(essential), "{line}: {error}");
        let last = error.message.rsplit("try: ").next().expect("a remedy");
        assert!(last.starts_with(typed), "{line}: {error}");
        assert_eq!(error.message.lines().count(), 1, "{line}: {error}");
    }
}

#[test]
fn the_help_fits_a_screen_and_names_every_option() {
    let help = help();
    assert!(help.lines().count() <= 40);
    for line in help.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    // Descriptions stand below each other, so no option is too long for its column.
    for line in help.lines().filter(|line| line.trim_start().starts_with('-')) {
        assert!(line.as_bytes()[22] == b' ' && line.as_bytes()[23] != b' ', "{line}");
    }
    let examples = help.find("Examples").expect("examples");
    assert!(examples < help.find("Options").expect("options"));
}

#[test]
fn the_table_has_the_options_that_are_read_and_no_others() {
    let read = include_str!("../cli.rs");
    for option in OPTIONS {
        assert!(read.contains(&format!("Arg::Long(\"{}\")", option.long)), "--{}", option.long);
        if let Some(short) = option.short {
            assert!(read.contains(&format!("Arg::Short('{short}') | Arg::Long(\"{}\")", option.long)), "-{short}");
        }
        if let Err(error) = parse([format!("--{}", option.long)]) {
            assert!(!error.message.contains("unknown option"), "{error}");
        }
        assert!(!option.doc.is_empty() && !option.doc.ends_with('.') && (option.more.is_empty() || option.more.ends_with('.')));
    }
    assert_eq!(read.matches("Arg::Long(\"").count(), OPTIONS.len());
    assert_eq!(read.matches("Arg::Short('").count(), OPTIONS.iter().filter(|option| option.short.is_some()).count());
}

#[test]
fn the_lines_that_messages_suggest_can_be_typed() {
    for option in OPTIONS {
        let line = typed(option);
        assert!(parse(words(&line)).is_ok(), "{line}");
    }
}

#[test]
fn a_name_that_is_no_utf8_is_a_database_but_no_address() {
    use std::os::unix::ffi::OsStringExt;
    let odd = OsString::from_vec(b"d\xff.db".to_vec());
    let Ok(Command::Serve(options)) = parse([odd.clone()]) else { panic!("not served") };
    assert_eq!(options.database, Some(PathBuf::from(&odd)));
    let error = parse(["-l".into(), odd]).expect_err("no address");
    assert!(error.message.contains("is not UTF-8"), "{error}");
}
