//! What a configuration can have wrong, kind by kind: where it is said, what is said, and what is said to do about it.

use flagstone::budget::{CONFIG_FILE_BYTES, ROUTE_PARAMS, ROUTES};
use flagstone::config::{Config, Mistakes, read, read_bytes};

/// A text, the line of a mistake in it, a part of its message, a part of its hint.
type Case = (&'static str, u32, &'static str, &'static str);

const SYNTAX: &[Case] = &[
    ("a = ", 1, "the value is missing", "for example"),
    ("a\n", 1, "key with no value", ""),
    ("a = 5m", 1, "must be quoted", "text stands in quotes: \"5m\""),
    ("listen = 127.0.0.1:80", 1, "invalid", "text stands in quotes: \"127.0.0.1:80\""),
    ("a = \"x", 1, "invalid basic string", ""),
    ("a = 'x", 1, "invalid literal string", ""),
    ("a = \"\\q\"", 1, "escape", ""),
    ("[limits", 1, "unclosed table", ""),
    ("[[route]", 1, "unclosed array table", ""),
    ("hosts = [\"a\"\nops = \"b\"\n", 2, "an array above this line is not closed", "]"),
    ("a = 1 b = 2", 1, "must be quoted", ""),
    ("= 1", 1, "", ""),
    ("a = 1\na = 2", 2, "duplicate key \"a\"", "stands once"),
    ("[limits]\n[flags]\n[limits]", 3, "duplicate key \"limits\"", "stands once"),
    ("a = 01", 1, "", "text stands in quotes"),
    ("a = [[[[[[[[[1]]]]]]]]]", 1, "nested deeper", ""),
    ("a.b.c.d.e.f.g.h.i = 1", 1, "nested deeper", ""),
    ("a = 1\r\nb = \u{1}", 2, "", ""),
];

const SECTIONS: &[Case] = &[
    ("lisen = \":80\"", 1, "unknown key \"lisen\" in the top level", "did you mean \"listen\"?"),
    ("[limts]\nidle = \"5s\"", 1, "unknown key \"limts\"", "did you mean \"limits\"?"),
    ("zzz = 1", 1, "unknown key \"zzz\"", "allowed: listen, ops"),
    ("idle = \"5s\"", 1, "unknown key \"idle\" in the top level", "idle is a key of [limits]"),
    ("[limits]\nhosts = []", 2, "unknown key \"hosts\" in [limits]", "above the first [section]"),
    ("[limits]\nidel = \"5s\"", 2, "unknown key \"idel\" in [limits]", "did you mean \"idle\"?"),
    ("limits = 5", 1, "limits is a section, not an integer", "write [limits]"),
    ("[[limits]]\nidle = \"5s\"", 1, "[[limits]] stands for a list", "write [limits]"),
    ("[route]\npath = \"/a\"", 1, "route is a list of tables", "[[route]]"),
    ("route = [1]", 1, "a route is a table", "[[route]]"),
    ("listen = 8080", 1, "listen takes a text, not an integer", "write \"8080\""),
    ("listen = []", 1, "listen is empty", "127.0.0.1:8080"),
    ("listen = [\"\"]", 1, "listen is empty", "for example"),
    ("listen = ['1','2','3','4','5','6','7','8']", 1, "8 addresses: this build holds 7", "LISTEN"),
    ("state = \" \"", 1, "state is empty", "/var/lib/flagstone"),
    ("state = \"a\\u0000\"", 1, "NUL", ""),
    ("ops_auth = \"admin\"", 1, "names the token \"admin\", which [tokens] does not have", "flagstone token NAME"),
    (
        "ops_auth = 'amdin'\n[tokens]\nadmin = 'sha256:0000000000000000000000000000000000000000000000000000000000000000'",
        1,
        "names the token \"amdin\"",
        "did you mean \"admin\"?",
    ),
    ("hosts = \"pi\"", 1, "hosts takes an array of texts, not a string", "[\"pi.example.org\"]"),
    ("hosts = [1]", 1, "hosts takes a text, not an integer", "write \"1\""),
    ("hosts = [\"http://pi.example:80/x\"]", 1, "is no host name", "\"pi.example\""),
    ("hosts = [\"größe.example\"]", 1, "is no host name", "xn--"),
    ("trusted_proxies = [\"10.0.0.0/8\"]", 1, "is no IP address", "one by one"),
    ("open_writes = \"yes\"", 1, "open_writes takes true or false, not a string", "open_writes = true"),
    ("slots_per_client = 0", 1, "slots_per_client = 0 is out of range", "allowed: 1 to"),
    ("slots_per_client = 99999999999999999999", 1, "is out of range", "allowed: 1 to"),
    ("slots_per_client = 2.5", 1, "takes a whole number", "for example"),
    ("[tokens]\na = \"abc\"", 2, "a is not \"sha256:\" and 64 hexadecimal digits; 3", "flagstone token a"),
    ("[tokens]\na = 1", 2, "not an integer", "flagstone token a"),
    ("[tokens]\n\"a b\" = \"x\"", 2, "is no name for a token", "letters"),
    (
        "[tokens]\na = 'sha256:0000000000000000000000000000000000000000000000000000000000000000'\nb = 'sha256:0000000000000000000000000000000000000000000000000000000000000000'",
        3,
        "b and a are the same token",
        "flagstone token b",
    ),
    ("[cors]\norigins = [\"https://a.example/\"]", 2, "is no origin", "write \"https://a.example\""),
    ("[cors]\norigins = [\"a.example\"]", 2, "is no origin", "scheme://host[:port]"),
    ("[cors]\norigins = [\"https://A.example\"]", 2, "is no origin", "small letters"),
    ("[cors]\norigins = [\"https://a.example:99999\"]", 2, "is no origin", "scheme://host[:port]"),
    ("[tables]\nexpose = \"sensors\"", 2, "expose takes an array of names", "expose = [\"sensors\"]"),
    ("[tables]\nexpose = true", 2, "expose takes an array of texts, not a boolean", "for example"),
    ("[tables]\nexpose = [\"*\", \"a\"]", 2, "names beside \"*\"", "expose = \"*\""),
    ("[tables]\nexpose = [\"a\", \"A\"]", 2, "expose names \"A\" twice", "leave one out"),
    ("[flags]\ncache = \"onn\"", 2, "not \"onn\"", "did you mean \"on\"?"),
    ("[flags]\ncache = 25", 2, "not \"25\"", "\"0%\" to \"100%\""),
    ("[flags]\ncache = \"101%\"", 2, "not \"101%\"", "\"100%\""),
    ("[flags]\ncache = \"+5%\"", 2, "not \"+5%\"", "\"100%\""),
    ("[limits]\nidle = 300", 2, "idle takes a time with its unit, not an integer", "\"300s\""),
    ("[limits]\nidle = \"300\"", 2, "has no unit", "\"300s\""),
    ("[limits]\nidle = \"5 minutes\"", 2, "is no duration", "\"5m\""),
    ("[limits]\nidle = true", 2, "idle takes a time", "for example idle ="),
    ("[limits]\nidle = \"0\"", 2, "idle must not be 0", "at least 100ms"),
    ("[limits]\nidle = \"10ms\"", 2, "is out of range", "allowed: 100ms to 1h"),
    ("[limits]\nidle = \"2h\"", 2, "is out of range", "allowed: 100ms to 1h"),
    ("[limits]\nwal_autocheckpoint = -1", 2, "is out of range", "allowed: 0 to"),
    ("[limits]\nbatch_least = 0", 2, "is out of range", "allowed: 1 to 64"),
    ("[limits]\nbatch_window = \"1s\"", 2, "batch_window (1s) is longer than batch_wait (50ms)", "at most batch_wait"),
    ("[limits]\nqueue = \"20ms\"", 2, "batch_wait (50ms) is longer than queue (20ms)", "at most queue"),
];

/// Behind a method, path and SQL that are right, so that the key is in line 4.
const ROUTE_KEYS: &[Case] = &[
    ("tll = \"5m\"", 4, "unknown key \"tll\" in [[route]]", "did you mean \"ttl\"?"),
    ("listen = \"5m\"", 4, "unknown key \"listen\" in [[route]]", "above the first [section]"),
    ("rows = \"all\"", 4, "rows = \"all\" is unknown", "many, one, value"),
    ("rows = 1", 4, "rows takes a text", "many, one, value"),
    ("type = \"text/html\"", 4, "type goes with rows = \"value\" only", "rows = \"value\""),
    ("rows = \"value\"\ntype = \"html\"", 5, "\"html\" is no Content-Type", "text/calendar"),
    ("ttl = 60", 4, "ttl takes a time with its unit", "\"60s\""),
    ("max_age = \"1500ms\"", 4, "whole seconds", "Cache-Control"),
    ("idempotent = true", 4, "idempotent goes with writes only", "leave it out"),
    ("auth = \"x\"", 4, "names the token \"x\"", "flagstone token NAME"),
    ("params = [\"n\"]", 4, "params takes a table, not an array", "params = { n"),
    ("params = { n = \"integer\" }", 4, "parameter \"n\" stands neither in the SQL nor in the path", "write :n"),
];

/// Routes of their own.
const ROUTES_WHOLE: &[Case] = &[
    ("[[route]]\nsql = 'SELECT 1'", 1, "path is missing", "for example path"),
    ("[[route]]\npath = '/a'", 1, "sql is missing", "for example sql"),
    ("[[route]]\npath = 'a'\nsql = 'SELECT 1'", 2, "does not begin with a slash", "\"/a\""),
    ("[[route]]\npath = '/a/'\nsql = 'SELECT 1'", 2, "ends with a slash", "\"/a\""),
    ("[[route]]\npath = '/a//b'\nsql = 'SELECT 1'", 2, "empty segment", "leave one slash out"),
    ("[[route]]\npath = '/a?x=:x'\nsql = 'SELECT :x'", 2, "no query string", ":name in the SQL"),
    ("[[route]]\npath = '/a%20b'\nsql = 'SELECT 1'", 2, "has an escape", "decoded"),
    ("[[route]]\npath = '/a b'\nsql = 'SELECT 1'", 2, "a space", "- or _"),
    ("[[route]]\npath = '/a/../b'\nsql = 'SELECT 1'", 2, "\"..\" in a path", "leave it out"),
    ("[[route]]\npath = '/:1'\nsql = 'SELECT 1'", 2, "\":1\" is no name", "letter"),
    ("[[route]]\npath = '/:a/:a'\nsql = 'SELECT :a'", 2, "has \":a\" twice", "name of its own"),
    ("[[route]]\npath = '/1/2/3/4/5/6/7/8/9/a/b/c/d/e/f/g/h'\nsql = 'SELECT 1'", 2, "17 segments", "at most 16"),
    ("[[route]]\npath = '/-/x'\nsql = 'SELECT 1'", 2, "\"/-/x\" is reserved", "Flagstone's own"),
    ("[[route]]\npath = '/tables/x'\nsql = 'SELECT 1'", 2, "is reserved", "Flagstone's own"),
    ("[[route]]\npath = '/metrics'\nsql = 'SELECT 1'", 2, "is reserved", "Flagstone's own"),
    (
        "[[route]]\npath='/:a'\nsql='SELECT :a'\n[[route]]\npath='/:b'\nsql='SELECT :b'",
        5,
        "GET /:b is the same path as /:a in line 1",
        "one route",
    ),
    ("[[route]]\npath='/a'\nmethod='post'\nsql='DELETE FROM t'", 3, "method = \"post\" is unknown", "did you mean \"POST\"?"),
    ("[[route]]\npath='/a'\nmethod='POST'\nsql='DELETE FROM t'\nttl='5m'", 5, "ttl goes with GET only", "leave it out"),
    (
        "[[route]]\npath='/a'\nmethod='PUT'\nsql='DELETE FROM t'\ncritical=true",
        5,
        "critical goes with GET only",
        "answers to PUT",
    ),
    ("[[route]]\npath='/a'\nsql=''", 3, "sql is empty", "for example"),
    ("[[route]]\npath='/a'\nsql='-- nothing'", 3, "the SQL has no statement", "SELECT 1"),
    ("[[route]]\npath='/a'\nsql='SELECT 1; SELECT 2'", 3, "a GET route has one statement", "POST"),
    ("[[route]]\npath='/a'\nsql='DELETE FROM t'", 3, "a GET route changes nothing, but this is \"DELETE\"", "method = \"POST\""),
    ("[[route]]\npath='/a'\nsql='SELEC 1'", 3, "\"SELEC\" begins no statement", "did you mean \"SELECT\"?"),
    ("[[route]]\npath='/a'\nsql='PRAGMA user_version'", 3, "\"PRAGMA\" is not allowed", "allowed: SELECT"),
    ("[[route]]\npath='/a'\nmethod='POST'\nsql='BEGIN; DELETE FROM t'", 4, "\"BEGIN\" is not allowed", "transaction"),
    ("[[route]]\npath='/a'\nsql='SELECT ?'", 3, "the parameter \"?\"", "only :name"),
    ("[[route]]\npath='/a'\nsql='''\nSELECT 1,\n  @x'''", 5, "the parameter \"@x\"", "only :name"),
    ("[[route]]\npath='/a'\nsql=\"SELECT \\\n  $x\"", 3, "invalid basic string", "\"\"\""),
    ("[[route]]\npath='/a'\nsql=\"SELECT 'x\"", 3, "does not end", "close it"),
    ("[[route]]\npath='/:a'\nsql='SELECT :a'\nparams={b='text'}", 4, "parameter \"b\" stands neither", "they name: a"),
    ("[[route]]\npath='/:a'\nsql='SELECT :a'\nparams={a='txt'}", 4, "type = \"txt\" is unknown", "did you mean \"text\"?"),
    (
        "[[route]]\npath='/:a'\nsql='SELECT :a'\nparams={a=1}",
        4,
        "a takes a type, or a table with one, not an integer",
        "a = \"integer\"",
    ),
    (
        "[[route]]\npath='/:a'\nsql='SELECT :a'\nparams={a={default=1}}",
        4,
        "parameter \"a\" has no type",
        "allowed: text, integer",
    ),
    (
        "[[route]]\npath='/:a'\nsql='SELECT :a'\nparams={a={type='text',minn=1}}",
        4,
        "unknown key \"minn\" in params",
        "did you mean \"min\"?",
    ),
    (
        "[[route]]\npath='/:a'\nsql='SELECT :a'\nparams={a={type='integer',default='1'}}",
        4,
        "default takes a value of type = \"integer\", not a string",
        "default = 10",
    ),
    ("[[route]]\npath='/:a'\nsql='SELECT :a'\nparams={a={type='boolean',default=1}}", 4, "not an integer", "true"),
    (
        "[[route]]\npath='/:a'\nsql='SELECT :a'\nparams={a={type='integer',default=99999999999999999999}}",
        4,
        "more than 64 bits",
        "",
    ),
    ("[[route]]\npath='/:a'\nsql='SELECT :a'\nparams={a={type='real',default=nan}}", 4, "out of range", "finite"),
    ("[[route]]\npath='/:a'\nsql='SELECT :a'\nparams={a={type='json',default='{a}'}}", 4, "is not JSON", "both kinds"),
    ("[[route]]\npath='/:a'\nsql='SELECT :a'\nparams={a={type='blob',default='%'}}", 4, "is not base64", "padding"),
    (
        "[[route]]\npath='/:a'\nsql='SELECT :a'\nparams={a={type='integer',default=5,max=4}}",
        4,
        "default (5) is more than max (4)",
        "within",
    ),
    (
        "[[route]]\npath='/:a'\nsql='SELECT :a'\nparams={a={type='integer',default=5,min=6}}",
        4,
        "default (5) is less than min (6)",
        "within",
    ),
    (
        "[[route]]\npath='/:a'\nsql='SELECT :a'\nparams={a={type='text',default='äöü',max=2}}",
        4,
        "default (3 characters) is more than max (2)",
        "within",
    ),
    (
        "[[route]]\npath='/:a'\nsql='SELECT :a'\nparams={a={type='real',min=2,max=1.5}}",
        4,
        "min (2) is greater than max (1.5)",
        "no value",
    ),
    (
        "[[route]]\npath='/:a'\nsql='SELECT :a'\nparams={a={type='boolean',min=1}}",
        4,
        "min does not go with type = \"boolean\"",
        "length",
    ),
    ("[[route]]\npath='/:a'\nsql='SELECT :a'\nparams={a={type='integer',min=1.5}}", 4, "is no whole number", "integer"),
    ("[[route]]\npath='/:a'\nsql='SELECT :a'\nparams={a={type='text',min=-1}}", 4, "is no length", "characters"),
    (
        "[[route]]\npath='/:a'\nsql='SELECT :a'\nparams={a={type='integer',max='9'}}",
        4,
        "max takes a number, not a string",
        "max = 1",
    ),
];

/// Every mistake of a text as `line: message | hint`.
fn told(text: &str) -> Vec<(u32, String, String)> {
    let (mut config, mut mistakes) = (Config::new(), Mistakes::new());
    let result = read(text, &mut config, &mut mistakes);
    assert_eq!(result.is_err(), !mistakes.is_empty());
    mistakes.iter().map(|mistake| (mistake.line, mistake.message.to_string(), mistake.hint.to_string())).collect()
}

/// What is wrong with what is told of a case.
fn objection(&(text, line, message, hint): &Case, read: &str) -> Option<String> {
    let all = told(read);
    let right = |(at, said, advice): &(u32, String, String)| *at == line && said.contains(message) && advice.contains(hint);
    (all.len() != 1 || !all.iter().all(right))
        .then(|| format!("{text}\n    expected {line}: {message} | {hint}\n    told {all:?}"))
}

#[test]
fn every_kind_of_mistake_is_told_where_it_is() {
    let whole = SYNTAX.iter().chain(SECTIONS).chain(ROUTES_WHOLE).map(|case| objection(case, case.0));
    let keys = ROUTE_KEYS.iter().map(|case| objection(case, &format!("[[route]]\npath='/a'\nsql='SELECT 1'\n{}", case.0)));
    let objections: Vec<String> = whole.chain(keys).flatten().collect();
    assert!(objections.is_empty(), "\n{}", objections.join("\n\n"));
    assert!(SYNTAX.len() + SECTIONS.len() + ROUTES_WHOLE.len() + ROUTE_KEYS.len() > 100);
}

#[test]
fn all_mistakes_are_told_at_once_in_the_files_order() {
    let text =
        "[limits]\nidle = 5\n[flags]\ncache = 1\n[[route]]\npath = 'a'\nsql = 'SELECT :x, ?'\ntll = 1\n[cors]\norigins = ['x']\n";
    let lines: Vec<u32> = told(text).iter().map(|(line, _, _)| *line).collect();
    assert_eq!(lines, [2, 4, 6, 7, 8, 10]);
    let syntax = "a = 5m\nb = 1\nc = \"x\nd = 2\n[e\n";
    let lines: Vec<u32> = told(syntax).iter().map(|(line, _, _)| *line).collect();
    assert_eq!(lines, [1, 3, 5]);
}

#[test]
fn one_mistake_has_no_followers() {
    // A method that is none says nothing about what goes with GET, a path that is none nothing about its parameters.
    let text =
        "[[route]]\nmethod='PSOT'\npath='/a'\nsql='INSERT INTO t VALUES(:a); DELETE FROM t'\nidempotent=true\nparams={a='text'}";
    assert_eq!(told(text).len(), 1, "{:?}", told(text));
    let text = "[[route]]\npath='/a/:x/'\nsql='SELECT 1'\nparams={x='integer'}";
    assert_eq!(told(text).len(), 1, "{:?}", told(text));
}

#[test]
fn what_does_not_fit_names_the_limit_and_its_constant() {
    let route = |at: usize, sql: &str| format!("[[route]]\npath='/{at}'\nsql='{sql}'\n");
    let routes: String = (0..=ROUTES).map(|at| route(at, "SELECT 1")).collect();
    let all = told(&routes);
    assert_eq!((all.len(), all[0].0 as usize), (1, 3 * ROUTES + 1));
    assert_eq!(all[0].1, format!("{} routes: this build holds {ROUTES} (FLAGSTONE_ROUTES)", ROUTES + 1));

    let names: Vec<String> = (0..33).map(|at| format!(":p{at}")).collect();
    let all = told(&route(0, &format!("SELECT {}", names.join(","))));
    assert!(all.len() == 1 && all[0].1.contains("more than 32 parameters (PARAMS_PER_ROUTE"), "{all:?}");

    let full = format!("SELECT {}", names[..32].join(","));
    let many: String = (0..ROUTE_PARAMS / 32 + 1).map(|at| route(at, &full)).collect();
    let all = told(&many);
    assert!(all.len() == 1 && all[0].1.contains("(FLAGSTONE_ROUTE_PARAMS)"), "{all:?}");

    let token = |at: usize| format!("t{at}='sha256:{at:064x}'\n");
    let tokens: String = (0..17).map(token).collect();
    let all = told(&format!("[tokens]\n{tokens}"));
    assert!(all.len() == 1 && all[0].1.contains("17 tokens: this build holds 16"), "{all:?}");

    for (key, constant) in [("hosts", "HOSTS"), ("trusted_proxies", "PROXIES")] {
        let list: Vec<String> = (1..=17).map(|at| format!("'10.0.0.{at}'")).collect();
        let all = told(&format!("{key} = [{}]", list.join(",")));
        assert!(all.len() == 1 && all[0].1.contains("17 ") && all[0].1.contains(constant), "{all:?}");
    }
    let tables: Vec<String> = (0..65).map(|at| format!("'t{at}'")).collect();
    let all = told(&format!("[tables]\nexpose = [{}]", tables.join(",")));
    assert!(all.len() == 1 && all[0].1.contains("65 tables: this build holds 64 (EXPOSED"), "{all:?}");
}

#[test]
fn a_file_that_is_no_text_or_too_long_is_refused_before_it_is_parsed() {
    let (mut config, mut mistakes) = (Config::new(), Mistakes::new());
    assert!(read_bytes(b"a = 1\nb = \"\xff\"\n", &mut config, &mut mistakes).is_err());
    let mistake = mistakes.iter().next().expect("one").clone();
    assert_eq!((mistake.line, mistake.column), (2, 6));
    assert!(mistake.message.contains("byte 11 of the file is not UTF-8 (0xff)"), "{}", mistake.message);

    let long = vec![b'#'; CONFIG_FILE_BYTES + 1];
    assert!(read_bytes(&long, &mut config, &mut mistakes).is_err());
    assert!(mistakes.iter().next().expect("one").message.contains("FLAGSTONE_CONFIG_FILE_KIB"));
    assert!(read_bytes(&long[1..], &mut config, &mut mistakes).is_ok(), "of the longest length it is read");
}

#[test]
fn a_mistake_is_rendered_as_people_read_it() {
    let text = "[[route]]\npath = \"/a\"\nsql = \"SELECT 1\"\ntll = \"5m\"\n";
    let (mut config, mut mistakes) = (Config::new(), Mistakes::new());
    assert!(read(text, &mut config, &mut mistakes).is_err());
    let mut out = String::new();
    mistakes.render("flagstone.toml", text, &mut out).expect("a string");
    assert_eq!(
        out,
        "flagstone.toml:4:1: unknown key \"tll\" in [[route]]\n    tll = \"5m\"\n    ^^^\n  did you mean \"ttl\"? allowed: path, method, \
         sql, params, rows, type, ttl, stale_ok, stale_if_error, max_age, critical, auth, idempotent\n"
    );
}

#[test]
fn later_stages_point_into_a_routes_sql() {
    let text = "ops = \"x\"\n[[route]]\npath = '/a'\nsql = \"\"\"\nSELECT \\\n  valeu\nFROM t\"\"\"\n";
    let (mut config, mut mistakes) = (Config::new(), Mistakes::new());
    read(text, &mut config, &mut mistakes).expect("it is right");
    let line = config.routes()[0].line;
    let sql = config.text(config.routes()[0].sql);
    let at = sql.find("valeu").expect("there");
    mistakes.at_sql(text, line, at, format_args!("no such column: valeu"), format_args!(""));
    mistakes.at_sql(text, line, sql.len(), format_args!("at its end"), format_args!(""));
    mistakes.at_line(text, line, format_args!("the route"), format_args!(""));
    mistakes.at_key(text, "ops", format_args!("no address"), format_args!("127.0.0.1:8081"));
    mistakes.sort();
    let places: Vec<(u32, u32)> = mistakes.iter().map(|mistake| (mistake.line, mistake.column)).collect();
    assert_eq!(places, [(1, 7), (2, 1), (6, 3), (7, 7)]);
}
