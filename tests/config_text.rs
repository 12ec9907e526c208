//! A configuration as text: the example, what is dumped and read again, what editors are told, and texts that nobody would write.

use std::fmt::Write;
use std::process::Command;

use flagstone::budget::{PRESET, ROUTES};
use flagstone::config::keys::{Form, KEYS, Section};
use flagstone::config::{
    Config, EXAMPLE, Expose, Hashes, Kind, Limits, Literal, Mistakes, Rows, Verb, changed_keys, dump, read, read_bytes,
    schema_json,
};
use proptest::prelude::*;

/// Reads what must be right.
fn right(text: &str) -> Config {
    let (mut config, mut mistakes) = (Config::new(), Mistakes::new());
    if read(text, &mut config, &mut mistakes).is_err() {
        let mut out = String::new();
        mistakes.render("flagstone.toml", text, &mut out).expect("a string");
        panic!("{out}\nin:\n{text}");
    }
    config
}

fn dumped(config: &Config, hashes: Hashes) -> String {
    let mut out = String::new();
    dump(config, hashes, &mut out).expect("a string");
    out
}

/// The example with every commented key taken in: `#key = ...` and `#[[...]]`, but not `# prose`.
fn uncommented() -> String {
    let mut table = String::new();
    let mut seen: Vec<String> = Vec::new();
    let mut text = String::new();
    for line in EXAMPLE.lines() {
        let bare =
            line.strip_prefix('#').filter(|rest| rest.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '['));
        let line = bare.unwrap_or(line);
        if line.starts_with('[') {
            table = format!("{line} {}", text.len());
        }
        // A route's defaults stand behind its keys: the file's own come first.
        let key = line.split(['=', '.', ' ']).next().unwrap_or_default();
        let name = format!("{table} {key}");
        if bare.is_some() && line.contains('=') && seen.contains(&name) {
            continue;
        }
        seen.push(name);
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[test]
fn the_example_is_right_and_shows_every_key() {
    let config = right(EXAMPLE);
    assert!(EXAMPLE.starts_with("#:schema "));
    assert!(config.routes().iter().all(|route| route.verb == Verb::Get) && config.routes().len() >= 5);
    assert!(config.routes().iter().any(|route| route.rows == Rows::Value && route.content_type.is_some()));
    let whole = right(&uncommented());
    assert!(whole.routes().iter().any(|route| route.verb == Verb::Post && route.idempotent && route.auth.is_some()));
    let (tree, all) = (uncommented(), |key: &str, at: &str| at.lines().any(|line| line.trim_start().starts_with(key)));
    for key in KEYS.iter().filter(|key| key.section != Section::Param) {
        assert!(all(&format!("{} ", key.name), &tree) || all(&format!("{}.", key.name), &tree), "{} is not shown", key.name);
    }
}

#[test]
fn what_the_example_shows_commented_out_holds_anyway() {
    if PRESET != "pi-zero-2w" {
        return;
    }
    let (with, without) = (right(&uncommented()), right(EXAMPLE));
    let changes = changed_keys(&without, &with);
    let examples = ["listen", "ops", "ops_auth", "state", "hosts", "trusted_proxies", "slots_per_client", "cors.origins"];
    let shown = ["tables.auth", "tokens.admin", "tokens.display", "GET /api/latest", "POST /api/readings"];
    let names: Vec<&str> = changes.names.iter().map(heapless::String::as_str).collect();
    assert_eq!(names, [&examples[..], &shown[..]].concat());
}

#[test]
fn the_examples_routes_run_on_the_demo() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = flagstone::demo::build(&folder.path().join("demo")).expect("the demo is made");
    let connection = rusqlite::Connection::open(path).expect("it opens");
    let config = right(EXAMPLE);
    for route in config.routes() {
        let mut statement =
            connection.prepare(config.text(route.sql)).unwrap_or_else(|error| panic!("{}: {error}", config.text(route.path)));
        for (at, param) in config.params(route).iter().enumerate() {
            let name = config.text(param.name);
            assert_eq!(statement.parameter_name(at + 1), Some(format!(":{name}").as_str()), "in the order of the statement");
            match (param.default, param.kind) {
                (Some(Literal::Integer(number)), _) => statement.raw_bind_parameter(at + 1, number),
                (Some(Literal::Text(span)), _) => statement.raw_bind_parameter(at + 1, config.text(span)),
                _ => statement.raw_bind_parameter(at + 1, 1),
            }
            .expect("it binds");
        }
        let mut rows = statement.raw_query();
        let first = rows.next().expect("it runs").unwrap_or_else(|| panic!("{} has a row", config.text(route.path)));
        if route.content_type.is_some() {
            let calendar: String = first.get(0).expect("text");
            assert!(
                calendar.starts_with("BEGIN:VCALENDAR\r\n") && calendar.ends_with("END:VEVENT\r\nEND:VCALENDAR\r\n"),
                "{calendar}"
            );
            assert!(calendar.contains("SUMMARY:Müll: Papier\r\n") && !calendar.replace("\r\n", "").contains('\n'));
        }
    }
}

#[test]
fn a_route_is_read_as_it_is_written() {
    let config = right(concat!(
        "[tokens]\ndisplay = 'sha256:00000000000000000000000000000000000000000000000000000000000000Ff'\n[[route]]\npath = '/a/:x/:unused'\n",
        "sql = 'SELECT :y, :x, :y'\nparams = { y = { type = 'boolean', default = true }, x = 'integer' }\nrows = 'one'\nttl = '0'\n",
        "stale_ok = '5s'\nstale_if_error = '1h'\nmax_age = '1m'\ncritical = true\nauth = 'display'\n"
    ));
    let route = config.routes()[0];
    let names: Vec<(&str, Kind, bool)> =
        config.params(&route).iter().map(|param| (config.text(param.name), param.kind, param.declared)).collect();
    assert_eq!(names, [("y", Kind::Boolean, true), ("x", Kind::Integer, true), ("unused", Kind::Any, false)]);
    assert_eq!(config.params(&route)[0].default, Some(Literal::Integer(1)));
    assert_eq!((route.rows, route.ttl_ms, route.stale_ok_ms, route.stale_if_error_ms), (Rows::One, Some(0), 5000, 3_600_000));
    assert_eq!((route.max_age_s, route.critical, route.auth, route.line), (60, true, Some(0), 3));
    assert_eq!(config.tokens[0].sha256[31], 0xff);
    assert!(config.from_file && config.expose == Expose::Nothing);
}

#[test]
fn a_masked_dump_shows_no_hash_in_full() {
    let hash = "0123456789abcdef".repeat(4);
    let config = right(&format!("[tokens]\na = 'sha256:{hash}'\n"));
    assert!(dumped(&config, Hashes::Whole).contains(&hash));
    let masked = dumped(&config, Hashes::Masked);
    assert!(masked.contains("a = ") || masked.contains("\"a\" = "));
    assert!(masked.contains("\"sha256:01234567...\"") && !masked.contains("012345678"), "{masked}");
}

#[test]
fn changes_are_told_by_their_keys() {
    let old = right(
        "hosts=['a']\n[tokens]\nt='sha256:0000000000000000000000000000000000000000000000000000000000000000'\n[[route]]\npath='/a/:x'\nsql='SELECT :x'\n[[route]]\npath='/b'\nsql='SELECT 1'\n",
    );
    let new = right(
        "hosts=['b']\n[limits]\nidle='5s'\n[flags]\nwarming='25%'\n[[route]]\npath='/a/:y'\nsql='SELECT :y'\n[[route]]\npath='/b'\nsql='SELECT 1'\nttl='5m'\n",
    );
    assert_eq!(changed_keys(&old, &new).to_string(), "hosts, flags.warming, limits.idle, tokens.t, GET /a/:y, GET /b");
    assert!(changed_keys(&old, &old).is_empty());
    let many: String = (0..ROUTES).map(|at| format!("[[route]]\npath='/x{at}'\nsql='SELECT 1'\n")).collect();
    let changes = changed_keys(&Config::new(), &right(&many));
    assert_eq!(changes.names.len() + changes.omitted, ROUTES + 1, "expose, and every route");
}

#[test]
fn the_schema_is_json_and_knows_every_key() {
    let schema: serde_json::Value = serde_json::from_str(&schema_json()).expect("JSON");
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    for key in KEYS {
        let properties = match key.section {
            Section::Top => &schema["properties"],
            Section::Route => &schema["properties"]["route"]["items"]["properties"],
            Section::Param => {
                &schema["properties"]["route"]["items"]["properties"]["params"]["additionalProperties"]["anyOf"][1]["properties"]
            }
            section => &schema["properties"][section.name()]["properties"],
        };
        assert_eq!(properties[key.name]["description"], key.doc, "{}", key.name);
    }
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["route"]["items"]["additionalProperties"], false);
}

/// Writes schema and example where `tools/check-schema.sh` finds them, and has taplo check the example, and a file that is wrong, where it is.
#[test]
fn an_editor_finds_the_example_right_and_a_wrong_file_wrong() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("schema");
    std::fs::create_dir_all(&folder).expect("a folder");
    let schema = folder.join("flagstone.schema.json");
    std::fs::write(&schema, schema_json()).expect("written");
    let wrong =
        ["[limits]\nidle = 5\n", "tll = 1\n", "[[route]]\npath = '/a'\n", "[[route]]\npath='/a'\nsql='SELECT 1'\nrows='all'\n"];
    let files = [("example.toml", EXAMPLE.to_string(), true), ("whole.toml", uncommented(), true)];
    let files = files.into_iter().chain(wrong.iter().map(|text| ("wrong.toml", (*text).to_string(), false)));
    for (name, text, expected) in files {
        let path = folder.join(name);
        std::fs::write(&path, &text).expect("written");
        let url = format!("file://{}", schema.display());
        match Command::new("taplo").args(["check", "--no-auto-config", "--schema", &url]).arg(&path).output() {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.success(), expected, "{name}:\n{text}\n{said}");
            }
            Err(_) => {
                return eprintln!("taplo is not there: the schema is not checked against the example (tools/check-schema.sh)");
            }
        }
    }
}

/// A text of the kinds that TOML has trouble with.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,8}", "[\\PC]{1,8}", "[a'\"\\\\\n\t\r\u{1}ä]{1,12}"]
        .prop_filter("not blank", |text| !text.trim().is_empty())
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::from("\""), |mut out, letter| {
        write!(out, "\\U{:08x}", u32::from(letter)).expect("a string");
        out
    }) + "\""
}

prop_compose! {
    fn any_route()(
        verb in prop_oneof![Just("GET"), Just("POST"), Just("DELETE")],
        comment in any_text(),
        rows in prop_oneof![Just("many"), Just("one"), Just("value")],
        ttl in proptest::option::of(0_u64..1_000_000),
        stale in 0_u64..86_400_000,
        age in 0_u64..100_000,
        flag in any::<bool>(),
        auth in any::<bool>(),
        text in any_text(),
        integer in any::<i64>(),
        real in -1e300_f64..1e300,
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        bound in -1_000_000_i64..1_000_000,
    ) -> String {
        let mut out = format!("method = \"{verb}\"\nrows = \"{rows}\"\n");
        let sql = format!("SELECT :t, :i, :r, :b, :j, :z, :any /* {} */", comment.replace("*/", ""));
        writeln!(out, "sql = {}", escaped(&sql)).expect("a string");
        if rows == "value" {
            out.push_str("type = \"text/csv; header=present\"\n");
        }
        if auth {
            out.push_str("auth = \"one\"\n");
        }
        if verb == "GET" {
            ttl.into_iter().for_each(|ttl| writeln!(out, "ttl = \"{ttl}ms\"").expect("a string"));
            writeln!(out, "stale_ok = \"{stale}ms\"\nstale_if_error = \"{}ms\"\nmax_age = \"{age}s\"\ncritical = {flag}", stale + 1).expect("a string");
        } else {
            writeln!(out, "idempotent = {flag}").expect("a string");
        }
        writeln!(
            out,
            "params.t = {{ type = \"text\", default = {}, max = 1000 }}\nparams.i = {{ type = \"integer\", default = {integer} }}\n\
             params.r = {{ type = \"real\", default = {real:?} }}\nparams.b = {{ type = \"blob\", default = \"{}\" }}\n\
             params.j = {{ type = \"json\", default = '[\"\\n\", {integer}]' }}\nparams.z = {{ type = \"real\", min = {bound}.25, max = {bound}.5 }}",
            escaped(&text),
            base64::display::Base64Display::new(&bytes, &base64::engine::general_purpose::STANDARD),
        ).expect("a string");
        if bound < 0 { out.replace(&format!("min = {bound}.25, max = {bound}.5"), &format!("min = {bound}.5, max = {bound}.25")) } else { out }
    }
}

prop_compose! {
    fn any_config()(
        routes in proptest::collection::vec(any_route(), 0..6),
        state in proptest::option::of(any_text()),
        tables in proptest::option::of(proptest::collection::btree_set("[a-z ]{1,5}x", 0..5)),
        percent in 0_u8..=100,
        idle in 100_u64..3_600_000,
        writes in any::<bool>(),
        address in any::<std::net::IpAddr>(),
    ) -> String {
        let mut out = format!("open_writes = {writes}\ntrusted_proxies = [\"{address}\"]\nlisten = \":80\"\nops_auth = \"one\"\n");
        state.into_iter().for_each(|state| writeln!(out, "state = {}", escaped(&state)).expect("a string"));
        writeln!(out, "slots_per_client = {}\nhosts = [\"h{idle}.example\"]\nops = \"unix:/{idle}\"", 1 + idle % 9).expect("a string");
        let flags = [percent, 100 - percent, percent / 2, percent / 3];
        writeln!(out, "[flags]\nwarming = \"{}%\"\ncache = \"{}%\"\nbatching = \"{}%\"\nsingle_flight = \"{}%\"", flags[0], flags[1], flags[2], flags[3])
            .expect("a string");
        writeln!(out, "[limits]\nwal_autocheckpoint = {}\nbatch_least = {}", idle % 1000, 1 + idle % 64).expect("a string");
        for key in KEYS {
            // The same for all: those that ask something of each other keep their order.
            if let Form::Limit(_, _, field) = key.form {
                writeln!(out, "{} = \"{}ms\"", key.name, *field(&mut Limits::DEFAULT.clone()) + idle % 1000).expect("a string");
            }
        }
        writeln!(out, "[tokens]\none = \"sha256:{idle:064x}\"\n[cors]\norigins = [\"*\"]").expect("a string");
        match tables {
            Some(tables) => writeln!(out, "[tables]\nexpose = {tables:?}").expect("a string"),
            None => out.push_str("[tables]\nexpose = \"*\"\n"),
        }
        for (at, route) in routes.iter().enumerate() {
            writeln!(out, "[[route]]\npath = \"/r{at}/:any\"\n{route}").expect("a string");
        }
        out.replace("expose = {", "expose = [").replace("\"}\n", "\"]\n").replace("expose = [}", "expose = []")
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_dumped_reads_back_as_the_same(text in any_config()) {
        let config = right(&text);
        let first = dumped(&config, Hashes::Whole);
        let again = right(&first);
        let changes = changed_keys(&config, &again);
        prop_assert!(changes.is_empty(), "{changes}\n{text}\n{first}");
        prop_assert_eq!(first, dumped(&again, Hashes::Whole));
    }

    #[test]
    fn any_bytes_give_a_configuration_or_mistakes_inside_the_file(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        answered(&bytes)?;
    }

    #[test]
    fn any_words_of_toml_do(words in proptest::collection::vec(prop_oneof![
        Just("["), Just("]"), Just("{"), Just("}"), Just("="), Just("\n"), Just("\""), Just("'"), Just("\"\"\""), Just("."), Just(","),
        Just("route"), Just("path"), Just("sql"), Just("\"/a\""), Just("\"SELECT :a\""), Just("params"), Just("type"), Just("1"), Just("#"),
        Just("limits"), Just("idle"), Just("\"5s\""), Just("true"), Just("\\"), Just("a"), Just("[[route]]\n"), Just("1979-05-27"),
    ], 0..40)) {
        answered(words.concat().as_bytes())?;
    }

    #[test]
    fn a_mutated_example_does(edits in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..12, "[\\PC\n\t\r\"'\\[\\]{}=.,]{0,4}"), 1..4)) {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        for (at, length, with) in edits {
            let at = at.index(bytes.len());
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, with.bytes());
        }
        answered(&bytes)?;
    }
}

#[test]
fn the_example_cut_at_any_byte_is_answered() {
    for end in 0..EXAMPLE.len() {
        answered(&EXAMPLE.as_bytes()[..end]).unwrap_or_else(|error| panic!("cut at {end}: {error}"));
    }
}

/// Either a configuration or mistakes, each in a line of the file; rendered and dumped without a panic.
fn answered(bytes: &[u8]) -> Result<(), TestCaseError> {
    let (mut config, mut mistakes) = (Config::new(), Mistakes::new());
    let result = read_bytes(bytes, &mut config, &mut mistakes);
    prop_assert_eq!(result.is_err(), !mistakes.is_empty());
    let lines = bytes.split(|byte| *byte == b'\n').count() as u32;
    for mistake in mistakes.iter() {
        prop_assert!((1..=lines).contains(&mistake.line) && mistake.column >= 1, "{:?}", mistake);
        prop_assert!(!mistake.message.is_empty());
    }
    let mut out = String::new();
    mistakes.render("flagstone.toml", bytes, &mut out).expect("a string");
    if result.is_ok() {
        dumped(&config, Hashes::Masked);
    }
    Ok(())
}
