//! The operators' pages and what they change: on which listener, with which token.

use super::{COUNT, SQL, bearer, said};
use crate::configured::{ADMIN, DISPLAY, Log, ask_from, ask_ops, route, serve, start, toml, with_ops};
use crate::server::{Server, Start, wait_for};

const CHANGES: [(&str, &str); 7] = [
    ("POST", "/-/reload"),
    ("POST", "/-/rollback"),
    ("POST", "/-/reset"),
    ("POST", "/-/reset/pool"),
    ("DELETE", "/-/cache"),
    ("PUT", "/-/flags/cache"),
    ("PUT", "/-/flags/nothing"),
];
const PAGES: [&str; 5] = ["/-/status", "/-/metrics", "/metrics", "/-/budget", "/-/flags"];

#[test]
fn pages_need_the_operators_token_or_listener() {
    let server = with_ops(start(SQL, &toml("", &route("/r", COUNT, "")))).run();
    for target in PAGES {
        for last in [1, 2] {
            let nothing = ask_from(last, server.address, "GET", target, &[]);
            assert_eq!(said(&nothing), (401, "unauthorized".to_string()), "{target} from 127.0.0.{last}");
            assert!(nothing.field("www-authenticate").is_some());
            assert_eq!(
                said(&ask_from(last, server.address, "GET", target, &[("Authorization", &bearer(DISPLAY))])),
                (403, "wrong-token".to_string())
            );
            assert_eq!(ask_from(last, server.address, "GET", target, &[("Authorization", &bearer(ADMIN))]).status, 200);
        }
        assert_eq!(ask_ops(&server, "GET", target, None).status, 200, "{target}");
    }
    for target in ["/-/health", "/-/ready"] {
        assert_eq!(server.get(target).text(), r#"{"status":"ok"}"#);
        assert_eq!(server.get_with(DISPLAY, target).text(), r#"{"status":"ok"}"#);
        assert!(server.get_with(ADMIN, target).text().contains("components"));
        assert!(ask_ops(&server, "GET", target, None).text().contains("components"));
    }
    assert_eq!(ask_ops(&server, "GET", "/r", None).status, 404, "the ops listener serves /-/ only");
}

#[test]
fn changes_need_the_operators_token_wherever_they_are_asked_for() {
    let server = with_ops(start(SQL, &toml("", &route("/r", COUNT, "")))).run();
    for (method, target) in CHANGES {
        assert_eq!(said(&server.request(method, target, &[])), (401, "unauthorized".to_string()), "{method} {target}");
        assert_eq!(
            said(&ask_ops(&server, method, target, None)),
            (401, "unauthorized".to_string()),
            "{method} {target} on the ops listener"
        );
        assert_eq!(said(&ask_ops(&server, method, target, Some(DISPLAY))), (403, "wrong-token".to_string()), "{method} {target}");
        assert_eq!(
            said(&ask_ops(&server, method, target, Some("wrong"))),
            (401, "unauthorized".to_string()),
            "{method} {target}"
        );
    }
    let status = server.status();
    assert_eq!(status["configuration"]["version"], 1, "nothing has changed: {status}");
    assert_eq!(ask_ops(&server, "DELETE", "/-/cache", Some(ADMIN)).status, 200);
    assert_eq!(ask_ops(&server, "POST", "/-/reload", Some(ADMIN)).status, 200);
    for (method, target, allow) in [
        ("GET", "/-/reload", "POST, OPTIONS"),
        ("DELETE", "/-/flags/cache", "PUT, OPTIONS"),
        ("POST", "/-/cache", "DELETE, OPTIONS"),
        ("POST", "/-/status", "GET, HEAD, OPTIONS"),
    ] {
        let answer = server.operate(method, target, "");
        assert_eq!((answer.status, answer.field("allow")), (405, Some(allow)), "{method} {target}");
    }
}

#[test]
fn without_ops_auth_nobody_changes_anything() {
    let plain = with_ops(Start::new().sql(SQL)).run();
    let text = toml("", &route("/r", COUNT, "")).replace("ops_auth = \"admin\"\n", "");
    let server = with_ops(Start::new().sql(SQL).config(text)).run();
    for (method, target) in CHANGES {
        for server in [&plain, &server] {
            for token in [None, Some(ADMIN)] {
                let fields = token.map(|token| ("Authorization", bearer(token)));
                let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
                assert_eq!(
                    said(&server.request(method, target, &fields)),
                    (403, "operators-only".to_string()),
                    "{method} {target}"
                );
                assert_eq!(
                    said(&ask_ops(server, method, target, token)),
                    (403, "operators-only".to_string()),
                    "{method} {target}"
                );
            }
        }
    }
    for target in PAGES {
        assert_eq!((plain.get(target).status, server.get(target).status, target), (200, 403, target));
        assert_eq!(server.get_with(ADMIN, target).status, 403, "there is no token for it: {target}");
        assert_eq!(ask_ops(&server, "GET", target, None).status, 200);
    }
}

#[test]
fn without_a_configuration_what_was_forwarded_is_not_near_by() {
    let server = Server::with(SQL);
    assert_eq!(server.get("/-/status").status, 200);
    for name in [
        "Forwarded",
        "X-Forwarded-For",
        "X-Real-IP",
        "Via",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Forwarded-Server",
        "X-Forwarded",
        "X-Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "Tailscale-User-Login",
    ] {
        for target in PAGES {
            assert_eq!((server.request("GET", target, &[(name, "x")]).status, name), (403, name), "{target}");
        }
        assert_eq!(server.request("GET", "/-/health", &[(name, "x")]).text(), r#"{"status":"ok"}"#);
    }
}

#[test]
fn the_log_says_what_an_operator_changed() {
    let (stderr, log) = Log::pipe();
    let server = serve_logged(stderr);
    server.operate("DELETE", "/-/cache", "");
    server.operate("PUT", "/-/flags/warming", "25%");
    wait_for("it is logged", || log.text().contains("cleared the cache") && log.text().contains("warming"));
}

fn serve_logged(stderr: std::process::Stdio) -> Server {
    start(SQL, &toml("", &route("/r", COUNT, ""))).stderr(stderr).run()
}

#[test]
fn resetting_the_pool_closes_idle_connections_and_no_others() {
    use std::io::{Read, Write};
    let server = serve(SQL, &toml("", &route("/r", COUNT, "")));
    let mut idle = server.connect();
    idle.write_all(b"GET /r HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("taken");
    assert_eq!(crate::server::read_answer(&mut idle, false).expect("an answer").status, 200);
    let mut half = server.connect();
    half.write_all(b"GET /r HTTP/1.1\r\nHost: loc").expect("taken");
    server.get("/-/health");
    let reset = server.operate("POST", "/-/reset/pool", "");
    assert_eq!((reset.status, reset.json()["closed"].as_u64()), (200, Some(1)), "{}", reset.text());
    assert_eq!(idle.read(&mut [0; 1]).expect("an end"), 0);
    half.write_all(b"alhost\r\n\r\n").expect("taken");
    assert_eq!(crate::server::read_answer(&mut half, false).expect("an answer").status, 200);
}
