//! Tokens: guessed, mistaken, and what is kept of answers that need one.

use super::{COUNT, SQL, bearer, said};
use crate::configured::{ADMIN, DISPLAY, SENSOR, ask_from, route, serve, toml, write};
use crate::server::Answer;

#[test]
fn guessing_is_slow() {
    let server = serve(SQL, &toml("", &route("/r", COUNT, "auth = \"display\"")));
    let ask = |last, token: &str| ask_from(last, server.address, "GET", "/r", &[("Authorization", token)]);
    let nothing = ask_from(2, server.address, "GET", "/r", &[]);
    assert_eq!(said(&nothing), (401, "unauthorized".to_string()));
    assert!(nothing.field("www-authenticate").is_some_and(|value| value.starts_with("Bearer")), "{nothing:?}");
    for _ in 0..20 {
        assert_eq!(said(&ask(2, &bearer(SENSOR))), (403, "wrong-token".to_string()), "known, and no guess");
        assert_eq!(ask_from(2, server.address, "GET", "/r", &[]).status, 401, "nothing is no guess");
    }
    let guesses = [
        "Bearer x",
        "Bearer",
        "Basic eDp5",
        "bearer wrong",
        "Bearer a b",
        "",
        "Token x",
        "Bearer \u{e9}",
        "Bearer x,y",
        "Bearer =",
    ];
    for (at, guess) in guesses.into_iter().enumerate() {
        let refused = ask(2, guess);
        assert_eq!((refused.status, at), (401, at), "{guess}: {}", refused.text());
        assert!(refused.field("www-authenticate").is_some());
        // A right one in between takes nothing back.
        if at < 9 {
            assert_eq!(ask(2, &bearer(DISPLAY)).status, 200);
        }
    }
    for token in [bearer("x"), bearer(DISPLAY), bearer(SENSOR)] {
        let refused = ask(2, &token);
        assert_eq!(said(&refused), (429, "too-many-attempts".to_string()), "no word on whether it was right");
        let wait: u32 = refused.field("retry-after").and_then(|wait| wait.parse().ok()).expect("seconds");
        assert!((1..=60).contains(&wait), "{wait}");
    }
    assert_eq!(ask_from(2, server.address, "GET", "/r", &[]).status, 401, "nothing is told apart from a guess");
    assert_eq!(
        ask_from(2, server.address, "GET", "/-/status", &[("Authorization", &bearer(ADMIN))]).status,
        429,
        "there neither"
    );
    assert_eq!(ask_from(2, server.address, "GET", "/-/health", &[("Authorization", &bearer("x"))]).status, 200, "health goes on");
    assert_eq!(ask(4, &bearer(DISPLAY)).status, 200, "another client");
    assert_eq!(server.get_with(DISPLAY, "/r").status, 200, "and one on this machine");
}

#[test]
fn two_tokens_at_once_are_none() {
    let server = serve(SQL, &toml("", &route("/r", COUNT, "auth = \"display\"")));
    let (one, other) = (bearer(DISPLAY), bearer(SENSOR));
    for pair in [[one.as_str(), &other], [&other, &one], [&one, &one]] {
        assert_eq!(server.request("GET", "/r", &pair.map(|token| ("Authorization", token))).status, 401);
    }
    for near in ["display-012345678", "display-01234567890", "DISPLAY-0123456789", "display"] {
        assert_eq!(server.get_with(near, "/r").status, 401, "{near}");
    }
    assert_eq!(server.get(&format!("/r?token={DISPLAY}")).status, 401, "not in the query");
    assert_eq!(server.get(&format!("/r?access_token={DISPLAY}")).status, 401);
}

fn gives_nothing_away(answer: &Answer, what: &str) {
    assert!(matches!(answer.status, 401 | 403), "{what}: {}", answer.status);
    for name in ["x-cache", "etag", "age"] {
        assert_eq!(answer.field(name), None, "{what}: {name}");
    }
    assert_eq!(answer.field("cache-control"), Some("no-store"), "{what}");
}

#[test]
fn what_is_kept_for_one_token_is_nobody_elses() {
    let routes = [
        route("/display", COUNT, "auth = \"display\"\nttl = \"1h\"\nstale_ok = \"1h\"\nstale_if_error = \"1h\""),
        route("/sensor", COUNT, "auth = \"sensor\""),
        route("/open", COUNT, ""),
    ];
    let config = toml("", &format!("[tables]\nexpose = \"*\"\nauth = \"display\"\n{}", routes.concat()));
    let server = serve(SQL, &config);
    for target in ["/display", "/tables/t", "/tables/t/1", "/tables", "/"] {
        let first = server.get_with(DISPLAY, target);
        assert_eq!(first.status, 200);
        assert_eq!(server.get_with(DISPLAY, target).field("x-cache"), Some("hit"), "{target}");
        assert!(first.field("vary").is_some_and(|vary| vary.contains("Authorization")), "{target}");
        assert!(first.field("cache-control").is_some_and(|store| store.contains("private")), "{target}");
        let tag = first.field("etag").expect("a tag").to_string();
        for token in [None, Some(SENSOR), Some(ADMIN), Some("unknown")] {
            let auth = token.map(bearer);
            for method in ["GET", "HEAD"] {
                for tag in [None, Some(tag.as_str()), Some("*")] {
                    let mut fields: Vec<(&str, &str)> = auth.iter().map(|auth| ("Authorization", auth.as_str())).collect();
                    fields.extend(tag.map(|tag| ("If-None-Match", tag)));
                    gives_nothing_away(&server.request(method, target, &fields), &format!("{method} {target} {fields:?}"));
                }
            }
        }
        let unchanged = server.request("GET", target, &[("Authorization", &bearer(DISPLAY)), ("If-None-Match", &tag)]);
        assert_eq!((unchanged.status, unchanged.field("x-cache")), (304, Some("hit")), "{target}");
    }
    // Equal SQL, and yet entries of their own.
    assert_eq!(server.get_with(SENSOR, "/sensor").field("x-cache"), Some("miss"));
    assert_eq!(server.get("/open").field("x-cache"), Some("miss"));
    // An old answer needs the token too.
    write(&server, "INSERT INTO t(v) VALUES ('three')");
    assert_eq!(server.get_with(DISPLAY, "/display").field("x-cache"), Some("stale"));
    gives_nothing_away(&server.get("/display"), "stale");
    gives_nothing_away(&server.get_with(SENSOR, "/display"), "stale");
}

#[test]
fn a_route_that_gets_another_token_leaves_its_entries_behind() {
    let with = |auth: &str| toml("", &route("/r", COUNT, auth));
    let server = serve(SQL, &with("auth = \"display\""));
    server.get_with(DISPLAY, "/r");
    let tag = server.get_with(DISPLAY, "/r").field("etag").expect("a tag").to_string();
    for (auth, token, other) in
        [("auth = \"sensor\"", Some(SENSOR), Some(DISPLAY)), ("", None, None), ("auth = \"display\"", Some(DISPLAY), None)]
    {
        std::fs::write(server.config_path(), with(auth)).expect("the test's file");
        assert_eq!(server.operate("POST", "/-/reload", "").status, 200);
        let fields = |token: Option<&str>| token.map(|token| ("Authorization", bearer(token)));
        let ask = |token: Option<&str>, tag: Option<&str>| {
            let auth = fields(token);
            let mut list: Vec<(&str, &str)> = auth.iter().map(|(name, value)| (*name, value.as_str())).collect();
            list.extend(tag.map(|tag| ("If-None-Match", tag)));
            server.request("GET", "/r", &list)
        };
        if other.is_some() || !auth.is_empty() {
            gives_nothing_away(&ask(other, Some(&tag)), auth);
        }
        if auth != "auth = \"display\"" {
            assert_eq!(ask(token, None).field("x-cache"), Some("miss"), "{auth}");
        }
        assert_eq!(ask(token, None).status, 200);
    }
}
