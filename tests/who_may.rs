//! Who may do what, each rule with what attacks it: foreign names, foreign pages, forged addresses, guessed tokens, other people's entries.

mod configured;
#[path = "who_may/cors.rs"]
mod cors;
#[path = "who_may/operators.rs"]
mod operators;
#[path = "who_may/proxy.rs"]
mod proxy;
#[path = "who_may/secrets.rs"]
mod secrets;
mod server;
#[path = "who_may/tokens.rs"]
mod tokens;

use configured::{ADMIN, ask_from, route, serve, start, toml};
use server::{Answer, Server};

const SQL: &str =
    "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'one'), (2, 'two');";
const COUNT: &str = "SELECT count(*) AS n FROM t";

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Status and slug; the slug is empty where there is no problem.
fn said(answer: &Answer) -> (u16, String) {
    let slug = match answer.field("content-type") {
        Some("application/problem+json") => {
            answer.json()["type"].as_str().and_then(|kind| kind.rsplit(':').next()).map(str::to_string)
        }
        _ => None,
    };
    (answer.status, slug.unwrap_or_default())
}

#[test]
fn a_rebound_name_reaches_nothing() {
    let routes = route("/r", COUNT, "");
    let server =
        serve(SQL, &toml("hosts = [\"pi.example.org\", \"Other.Example\"]", &format!("[tables]\nexpose = \"*\"\n{routes}")));
    let port = server.address.port();
    let plain = Server::with(SQL);
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name").trim().to_string();
    let good =
        ["localhost", "LOCALHOST.", "127.0.0.1", "192.168.1.7", "[::1]", &format!("localhost:{port}"), "127.0.0.1:1", &hostname];
    let listed = ["pi.example.org", "PI.example.org.", "pi.example.org:443", "other.example"];
    let bad = [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "xpi.example.org",
        "a.pi.example.org",
        "pi.example.org.evil.example",
        "*",
        "localhost.localdomain",
        "2130706433",
        "0x7f.1",
    ];
    for target in ["/r", "/tables/t", "/tables", "/", "/-/health", "/-/status", "/metrics", "/nowhere"] {
        let ask = |server: &Server, host: &str| {
            ask_from(1, server.address, "GET", target, &[("Host", host), ("Authorization", &bearer(ADMIN))])
        };
        for host in good.into_iter().chain(listed) {
            assert_ne!((ask(&server, host).status, host, target), (421, host, target));
        }
        for host in bad {
            let answer = ask(&server, host);
            assert_eq!((answer.status, host, target), (421, host, target));
            assert!(!answer.text().contains("\"n\"") && answer.field("etag").is_none());
        }
        for host in listed {
            assert_eq!((ask(&plain, host).status, host), (421, host), "listed nowhere");
        }
    }
    // An absolute target's authority counts, not the Host beside it (RFC 9112 §3.2.2).
    let absolute = |target: &str, host: &str| ask_from(1, server.address, "GET", target, &[("Host", host)]).status;
    assert_eq!(absolute("http://evil.example/r", "localhost"), 421);
    assert_eq!(absolute("http://localhost/r", "evil.example"), 200);
    assert_eq!(ask_from(1, server.address, "OPTIONS", "*", &[("Host", "evil.example")]).status, 421);
}

#[test]
fn a_foreign_page_changes_nothing_even_with_the_token() {
    let write = route("/w", "INSERT INTO t(v) VALUES ('forged')", "method = \"POST\"");
    let server =
        serve(SQL, &toml("", &format!("[cors]\norigins = [\"https://app.example\", \"*\"]\n{}{write}", route("/r", COUNT, ""))));
    let own = format!("http://127.0.0.1:{}", server.address.port());
    let host = format!("127.0.0.1:{}", server.address.port());
    // Origin, Sec-Fetch-Site, and whether it may.
    let cases = [
        (None, None, true),
        (Some(own.as_str()), None, true),
        (Some(own.as_str()), Some("same-origin"), true),
        (None, Some("none"), true),
        (Some("https://app.example"), Some("cross-site"), true),
        (Some("https://evil.example"), None, false),
        (Some("https://evil.example"), Some("same-origin"), false),
        (Some("https://app.example.evil.example"), None, false),
        (Some("http://app.example"), None, false),
        (Some("https://app.example:444"), None, false),
        (Some("null"), None, false),
        (Some(""), None, false),
        (None, Some("cross-site"), false),
        (None, Some("cross-origin"), false),
        (Some(own.as_str()), Some("cross-site"), false),
        (Some("http://127.0.0.1:1"), None, false),
        (Some("http://localhost:99"), Some("same-site"), false),
    ];
    let places = [
        ("POST", "/-/reload"),
        ("PUT", "/-/flags/cache"),
        ("DELETE", "/-/cache"),
        ("POST", "/w"),
        ("POST", "/nowhere"),
        ("PUT", "/r"),
    ];
    for (origin, site, may) in cases {
        for (method, target) in places {
            let token = bearer(ADMIN);
            let mut fields = vec![("Host", host.as_str()), ("Authorization", token.as_str())];
            fields.extend(origin.map(|origin| ("Origin", origin)));
            fields.extend(site.map(|site| ("Sec-Fetch-Site", site)));
            let answer = ask_from(1, server.address, method, target, &fields);
            let foreign = said(&answer) == (403, "foreign-origin".to_string());
            assert_eq!(foreign, !may, "{method} {target} {fields:?}: {}", answer.text());
        }
        // To read is everybody's, and to be told what may be done.
        let mut fields = vec![("Host", host.as_str())];
        fields.extend(origin.map(|origin| ("Origin", origin)));
        assert_eq!(ask_from(1, server.address, "GET", "/r", &fields).status, 200);
    }
    assert!(!server.get("/r").text().contains("forged"));
}

#[test]
fn a_forged_address_changes_nothing() {
    let server = start(SQL, &toml("", &route("/r", COUNT, "auth = \"display\""))).run();
    let forged = ["127.0.0.1", "::1", "203.0.113.1"];
    for address in forged {
        let forwarded = format!("for=\"{address}\"");
        for fields in [
            vec![("X-Forwarded-For", address)],
            vec![("Forwarded", forwarded.as_str())],
            vec![("X-Real-IP", address)],
            vec![("Via", address)],
        ] {
            for target in ["/-/status", "/-/metrics", "/metrics", "/-/budget", "/-/flags"] {
                assert_eq!((ask_from(2, server.address, "GET", target, &fields).status, target), (401, target), "{fields:?}");
            }
            assert_eq!(ask_from(2, server.address, "GET", "/-/health", &fields).text(), r#"{"status":"ok"}"#);
        }
    }
    // Ten wrong tokens are this client's, whoever it says it is.
    let wrong = bearer("wrong");
    for guess in 0..10 {
        let fields = [("Authorization", wrong.as_str()), ("X-Forwarded-For", &format!("198.51.100.{guess}"))];
        assert_eq!(ask_from(2, server.address, "GET", "/r", &fields).status, 401, "guess {guess}");
    }
    for fields in [("X-Forwarded-For", "198.51.100.99"), ("Forwarded", "for=198.51.100.99"), ("X-Real-IP", "198.51.100.99")] {
        let refused = ask_from(2, server.address, "GET", "/r", &[("Authorization", &wrong), fields]);
        assert_eq!(said(&refused), (429, "too-many-attempts".to_string()), "{fields:?}");
    }
    // Nor can it lock out whom it names.
    let named = ask_from(198, server.address, "GET", "/r", &[("Authorization", &bearer(configured::DISPLAY))]);
    assert_eq!(named.status, 200);
}

#[test]
fn a_trusted_proxy_names_its_clients() {
    let server = start(SQL, &toml("trusted_proxies = [\"127.0.0.3\"]", &route("/r", COUNT, "auth = \"display\""))).run();
    let wrong = bearer("wrong");
    let ask = |last, client: &str, token: &str| {
        ask_from(last, server.address, "GET", "/r", &[("Authorization", token), ("X-Forwarded-For", client)]).status
    };
    for proxy in [3, 1] {
        let guesser = format!("203.0.113.{proxy}");
        for _ in 0..10 {
            assert_eq!(ask(proxy, &guesser, &wrong), 401);
        }
        assert_eq!(ask(proxy, &guesser, &wrong), 429);
        assert_eq!(ask(proxy, &format!("127.0.0.1, {guesser}"), &wrong), 429, "what stands left of it is its own word");
        assert_eq!(ask(proxy, "203.0.113.77", &wrong), 401, "others behind the same proxy are heard");
        assert_eq!(ask(proxy, "203.0.113.77", &bearer(configured::DISPLAY)), 200);
    }
    assert_eq!(ask(2, "203.0.113.3", &bearer(configured::DISPLAY)), 200, "nobody else is that client by saying so");
    // Through it nobody is near by, whatever is said.
    assert_eq!(ask_from(3, server.address, "GET", "/-/status", &[("X-Forwarded-For", "127.0.0.1")]).status, 401);
}

#[test]
fn open_writes_stay_on_this_machine_unless_somebody_says_so() {
    let open = route("/w", "INSERT INTO t(v) VALUES (:v)", "method = \"POST\"");
    let closed = route("/w", "INSERT INTO t(v) VALUES (:v)", "method = \"POST\"\nauth = \"sensor\"");
    let said = toml("open_writes = true", &open);
    let started = start(SQL, &toml("", &open));
    let path = |name: &str| started.folder().join(name).to_str().expect("UTF-8").to_string();
    for address in ["0.0.0.0:0", "[::]:0", ":0"] {
        let output = started.output(&["-l", address, "-c", &path("flagstone.toml"), &path("data.db")]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{address}: {text}");
        assert!(text.contains("POST /w") && text.contains("open_writes"), "{text}");
    }
    // A reload does not bring them in either.
    for (first, then, status) in [(&closed, toml("", &open), 422), (&closed, said, 200)] {
        let server = start(SQL, &toml("", first)).arguments(&["-l", "0.0.0.0:0"]).run();
        std::fs::write(server.config_path(), then).expect("the test's file");
        let answer = server.operate("POST", "/-/reload", "");
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    let server = start(SQL, &toml("", &open)).run();
    assert_eq!(server.operate("POST", "/-/reload", "").status, 200, "on loopback everybody is this machine's");
}
