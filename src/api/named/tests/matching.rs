//! Which route a path means, against a model that compares whole lists of segments.

use proptest::prelude::*;

use super::super::matching::{allowed, find, means_something_without_slash};
use super::*;

fn paths(routes: &[(Verb, &str)]) -> Config {
    let mut config = Config::new();
    for (verb, path) in routes {
        route(&mut config, *verb, path, &[]);
    }
    config
}

#[test]
fn the_most_literal_path_from_the_left_is_meant() {
    let config = paths(&[
        (Verb::Get, "/"),
        (Verb::Get, "/:x/b"),
        (Verb::Get, "/a/:x"),
        (Verb::Get, "/a/b"),
        (Verb::Get, "/a/:x/c"),
        (Verb::Get, "/:y/b/c"),
        (Verb::Get, "/größe/:x"),
        (Verb::Get, "/a b/100%"),
        (Verb::Get, "/:z"),
    ]);
    let cases = [
        ("/", Some(0)),
        ("/a/b", Some(3)),
        ("/a/z", Some(2)),
        ("/z/b", Some(1)),
        ("/a/b/c", Some(4)),
        ("/z/b/c", Some(5)),
        ("/z/z/c", None),
        ("/%61/%62", Some(3)),
        ("/a%2Fb", Some(8)),
        ("/gr%C3%B6%c3%9fe/1", Some(6)),
        ("/a%20b/100%25", Some(7)),
        ("/a+b/100%25", None),
        ("/a b/100%", None),
        ("/a/", None),
        ("//b", None),
        ("//", None),
        ("/a/b/", None),
        ("/A/b", Some(1)),
        ("/%zz", Some(8)),
        ("/a/:x", Some(2)),
        ("", None),
        ("a/b", None),
        ("*", None),
    ];
    for (path, meant) in cases {
        assert_eq!(find(&config, Verb::Get, path.as_bytes()), meant, "{path}");
        assert_eq!(find(&config, Verb::Put, path.as_bytes()), None);
        assert_eq!(allowed(&config, path.as_bytes()).is_empty(), meant.is_none());
    }
    for (path, hint) in [("/a/b/", true), ("/a/", true), ("/z/z/c/", false), ("/a/b", false), ("//", true), ("/a/b//", false)] {
        assert_eq!(means_something_without_slash(&config, path.as_bytes()), hint, "{path}");
    }
}

#[test]
fn a_path_is_asked_with_what_its_routes_are() {
    let config =
        paths(&[(Verb::Get, "/a/:x"), (Verb::Post, "/a/:y"), (Verb::Delete, "/a/b"), (Verb::Put, "/:z/b"), (Verb::Patch, "/p")]);
    let cases = [
        ("/a/c", "GET, HEAD, POST, OPTIONS"),
        ("/a/b", "GET, HEAD, POST, PUT, DELETE, OPTIONS"),
        ("/b/b", "PUT, OPTIONS"),
        ("/p", "PATCH, OPTIONS"),
    ];
    for (path, text) in cases {
        assert_eq!(allowed(&config, path.as_bytes()).text(), text, "{path}");
    }
    assert_eq!(find(&config, Verb::Post, b"/a/b"), Some(1));
    assert_eq!(find(&config, Verb::Patch, b"/a/b"), None);
    let everything = [Verb::Get, Verb::Post, Verb::Put, Verb::Patch, Verb::Delete].map(|verb| (verb, "/x"));
    let allowed = allowed(&paths(&everything), b"/x");
    assert_eq!(allowed.text().len(), Allowed::TEXT_BYTES);
    assert_eq!(
        said(&allowed.problem()),
        "405 method-not-allowed: nothing is served at this path with this method | use one of the allowed methods | \
         GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    );
}

/// The place of the best route: segments as lists, ranked by their kinds as a string in which literals sort first.
fn model(routes: &[String], path: &str) -> Option<usize> {
    let asked: Vec<&str> = path.split('/').collect();
    let fits = |route: &&(usize, &String)| {
        let wanted: Vec<&str> = route.1.split('/').collect();
        wanted.len() == asked.len()
            && wanted
                .iter()
                .zip(&asked)
                .all(|(wanted, asked)| if wanted.starts_with(':') { !asked.is_empty() } else { wanted == asked })
    };
    let rank = |route: &&(usize, &String)| {
        let kinds: String = route.1.split('/').map(|segment| if segment.starts_with(':') { '1' } else { '0' }).collect();
        (kinds, route.0)
    };
    let routes: Vec<(usize, &String)> = routes.iter().enumerate().collect();
    routes.iter().filter(fits).min_by_key(rank).map(|(place, _)| *place)
}

proptest! {
    #[test]
    fn matching_agrees_with_the_model(
        routes in proptest::collection::vec("(/(a|b|:x|:y)){1,4}", 1..12), paths in proptest::collection::vec("(/(a|b|c|)){1,4}", 1..12),
    ) {
        let config = super::matching::paths(&routes.iter().map(|path| (Verb::Get, path.as_str())).collect::<Vec<_>>());
        for path in &paths {
            prop_assert_eq!(find(&config, Verb::Get, path.as_bytes()), model(&routes, path), "{}", path);
            let encoded: String = path.bytes().map(|byte| if byte == b'/' { "/".into() } else { format!("%{byte:02X}") }).collect();
            prop_assert_eq!(find(&config, Verb::Get, encoded.as_bytes()), model(&routes, path), "{}", encoded);
        }
    }
}
