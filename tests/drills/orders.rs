//! How drills are ordered: names, bodies, tokens, methods; and that each ends by itself.

use serde_json::{Value, json};

use crate::configured::{ADMIN, DISPLAY};
use crate::scene::{drill, scene, seen};
use crate::server::{Server, wait_for};

const NAMES: [&str; 15] = [
    "cache-panic",
    "flight-panic",
    "batch-panic",
    "warming-panic",
    "plain-panic",
    "front-panic",
    "cache-flip",
    "slow-sync",
    "slow-read",
    "io-error",
    "disk-full",
    "memory",
    "clock-jump",
    "fall",
    "last-word",
];

#[test]
fn each_drill_is_armed_shown_and_taken_back() {
    let server = scene();
    for name in NAMES {
        assert_eq!((&seen(&server, name)["armed_until"], &seen(&server, name)["drilled_at"]), (&Value::Null, &Value::Null));
        // One bit at once would be all that was ordered.
        let answer = drill(&server, name, if name == "cache-flip" { "count=1000" } else { "" });
        assert_eq!(answer.json(), json!({"drill": name, "seconds": 10}));
        let armed = seen(&server, name);
        let (until, at) = (armed["armed_until"].as_i64(), armed["drilled_at"].as_i64().expect("a time"));
        if name == "clock-jump" {
            assert!(until.is_some(), "{armed}");
        } else {
            assert!(until.is_some_and(|until| (until - at).abs_diff(10) <= 2), "{armed}");
        }
        assert_eq!(drill(&server, name, "seconds=0").json(), json!({"drill": name, "seconds": 0}));
        let taken_back = seen(&server, name);
        assert_eq!((&taken_back["armed_until"], &taken_back["drilled_at"]), (&Value::Null, &armed["drilled_at"]), "{name}");
    }
    assert_eq!(server.get("/critical").status, 200);
}

#[test]
fn what_is_no_order_is_refused_and_arms_nothing() {
    let server = scene();
    let cases = [
        ("/-/drill/slow-snyc", "", 404, "slow-sync"),
        ("/-/drill/", "", 404, ""),
        ("/-/drill/earthquake", "", 404, ""),
        ("/-/drill/slow-sync", "seconds=61", 400, ""),
        ("/-/drill/slow-sync", "seconds=-1", 400, ""),
        ("/-/drill/slow-sync", "count=1", 400, ""),
        ("/-/drill/slow-sync", "ms=0", 400, ""),
        ("/-/drill/slow-sync", "{\"seconds\":", 400, ""),
        ("/-/drill/slow-sync", "{\"seconds\":\"soon\"}", 400, ""),
        ("/-/drill/clock-jump", "offset=-5&monotonic=1", 400, ""),
    ];
    for (target, body, status, hint) in cases {
        let answer = server.operate("POST", target, body);
        assert_eq!(answer.status, status, "{target} {body}: {}", answer.text());
        let problem = answer.json();
        assert!(problem["hint"].as_str().unwrap_or_default().contains(hint), "{target}: {problem}");
        assert!(answer.body.len() < 512 && problem["allowed"].as_str().is_some_and(|allowed| !allowed.is_empty()), "{problem}");
    }
    let armed = |server: &Server| NAMES.into_iter().filter(|name| !seen(server, name)["drilled_at"].is_null()).count();
    assert_eq!(armed(&server), 0);
    for (method, status) in [("GET", 405), ("PUT", 405), ("DELETE", 405), ("OPTIONS", 204)] {
        let answer = server.operate(method, "/-/drill/fall", "");
        assert_eq!((answer.status, answer.field("allow")), (status, Some("POST, OPTIONS")), "{method}");
    }
}

#[test]
fn a_drill_needs_the_token_of_operators() {
    let server = scene();
    let ask = |token: Option<&str>| {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let fields: Vec<_> = bearer.iter().map(|bearer| ("Authorization", bearer.as_str())).collect();
        server.request("POST", "/-/drill/fall", &fields).status
    };
    assert_eq!([ask(None), ask(Some("wrong")), ask(Some(DISPLAY))], [401, 401, 403]);
    assert_eq!(seen(&server, "fall")["drilled_at"], Value::Null);
    assert_eq!(ask(Some(ADMIN)), 202);
    // Without a configuration nobody has a token, on loopback neither.
    let server = Server::with("CREATE TABLE t(id INTEGER PRIMARY KEY)");
    assert_eq!(server.operate("POST", "/-/drill/fall", "").status, 403);
}

#[test]
fn a_drill_that_is_forgotten_ends() {
    let server = scene();
    drill(&server, "fall", "seconds=1");
    drill(&server, "last-word", r#"{"seconds": 1}"#);
    assert_eq!(server.get("/plain").status, 503);
    wait_for("both are over", || ["fall", "last-word"].iter().all(|name| seen(&server, name)["armed_until"].is_null()));
    let again = server.get("/plain");
    assert_eq!((again.status, again.field("x-cache")), (200, Some("miss")));
}
