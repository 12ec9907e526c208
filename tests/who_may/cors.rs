//! Which pages may read answers (CORS).

use super::{COUNT, SQL, bearer};
use crate::configured::{DISPLAY, route, serve, toml};
use crate::server::{Answer, Server};

fn with(origins: &str) -> Server {
    let routes = [route("/r", COUNT, ""), route("/private", COUNT, "auth = \"display\"")].concat();
    serve(SQL, &toml("", &format!("[cors]\norigins = [{origins}]\n{routes}")))
}

fn allowed(answer: &Answer) -> Option<&str> {
    answer.field("access-control-allow-origin")
}

fn preflight(server: &Server, origin: &str, target: &str) -> Answer {
    let fields =
        [("Origin", origin), ("Access-Control-Request-Method", "GET"), ("Access-Control-Request-Headers", "authorization")];
    server.request("OPTIONS", target, &fields)
}

#[test]
fn a_listed_origin_is_told_and_no_other() {
    let server = with("\"https://app.example\", \"http://localhost:3000\"");
    let token = bearer(DISPLAY);
    for round in 0..2 {
        for (origin, told) in [
            ("https://app.example", true),
            ("http://localhost:3000", true),
            ("https://evil.example", false),
            ("http://app.example", false),
            ("https://app.example:8443", false),
            ("https://sub.app.example", false),
            ("https://app.example.evil.example", false),
            ("null", false),
            ("*", false),
        ] {
            let expected = told.then_some(origin);
            let answer = server.request("GET", "/r", &[("Origin", origin)]);
            assert_eq!((answer.status, allowed(&answer)), (200, expected), "{origin}");
            assert_eq!(answer.field("access-control-expose-headers").is_some(), told);
            assert!(answer.field("vary").is_some_and(|vary| vary.contains("Origin")), "round {round}");
            // What a cache kept for one page names no page to another.
            assert_eq!(answer.field("x-cache") == Some("hit"), round > 0 || origin != "https://app.example");
            let tag = answer.field("etag").expect("a tag").to_string();
            let unchanged = server.request("GET", "/r", &[("Origin", origin), ("If-None-Match", &tag)]);
            assert_eq!((unchanged.status, allowed(&unchanged)), (304, expected), "{origin}");
            let private = server.request("GET", "/private", &[("Origin", origin), ("Authorization", &token)]);
            assert_eq!((private.status, allowed(&private)), (200, expected), "{origin}");
            for (target, status) in [("/nowhere", 404), ("/r?x=1", 400), ("/private", 401)] {
                let problem = server.request("GET", target, &[("Origin", origin)]);
                assert_eq!((problem.status, allowed(&problem)), (status, expected), "a page may read what went wrong: {target}");
            }
            let asked = preflight(&server, origin, "/private");
            assert_eq!((asked.status, allowed(&asked)), (204, expected), "{origin}");
            let headers = asked.field("access-control-allow-headers");
            assert_eq!(headers.is_some_and(|headers| headers.contains("Authorization")), told, "{origin}");
            assert_eq!(asked.field("access-control-max-age").is_some(), told);
        }
    }
    assert_eq!(allowed(&server.get("/r")), None, "no page, no word");
    for answer in [server.get("/r"), preflight(&server, "https://app.example", "/r")] {
        assert_eq!(answer.field("access-control-allow-credentials"), None, "no cookies, so none to share");
    }
}

#[test]
fn any_origin_may_read_what_is_open() {
    let server = with("\"*\"");
    for origin in ["https://any.example", "null"] {
        assert_eq!(allowed(&server.request("GET", "/r", &[("Origin", origin)])), Some("*"));
        let asked = preflight(&server, origin, "/r");
        assert_eq!(allowed(&asked), Some("*"));
        assert_eq!(asked.field("access-control-allow-methods"), Some("GET, HEAD"));
        assert!(!asked.field("access-control-allow-headers").expect("headers").contains("Authorization"));
        let private = server.request("GET", "/private", &[("Origin", origin), ("Authorization", &bearer(DISPLAY))]);
        assert_eq!((private.status, allowed(&private)), (200, None), "what a token opens is for pages that were named");
    }
}

#[test]
fn without_origins_nothing_is_said() {
    let server = with("");
    let answer = server.request("GET", "/r", &[("Origin", "https://app.example")]);
    assert_eq!((answer.status, allowed(&answer)), (200, None));
    let asked = preflight(&server, "https://app.example", "/r");
    assert_eq!((asked.status, allowed(&asked), asked.field("allow")), (204, None, Some("GET, HEAD, OPTIONS")));
}
