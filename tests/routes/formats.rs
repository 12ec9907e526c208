//! The formats of rows: by `_format`, by Accept, refused.

use super::{route, slug, with, x_cache};

#[test]
fn rows_come_as_json_csv_or_ndjson() {
    let sql = "SELECT name AS \"na,me\", note FROM things WHERE name IN ('a/b', 'x y') UNION ALL SELECT 'q\"', NULL";
    let server = with(&[route("/r", sql, ""), route("/one", &format!("{sql} LIMIT 1"), "rows = \"one\"")]);
    let json = r#"[{"na,me":"a/b","note":"slash"},{"na,me":"x y","note":"space"},{"na,me":"q\"","note":null}]"#;
    let csv = "\"na,me\",note\r\na/b,slash\r\nx y,space\r\n\"q\"\"\",\r\n";
    let ndjson =
        "{\"na,me\":\"a/b\",\"note\":\"slash\"}\n{\"na,me\":\"x y\",\"note\":\"space\"}\n{\"na,me\":\"q\\\"\",\"note\":null}\n";
    // Query, Accept, and the format that answers.
    let cases = [
        ("", "*/*", "application/json", json),
        ("", "text/csv", "text/csv; charset=utf-8", csv),
        ("", "application/x-ndjson", "application/x-ndjson", ndjson),
        ("", "text/csv;q=0.5, application/json", "application/json", json),
        ("", "application/json;q=0, */*", "text/csv; charset=utf-8", csv),
        ("?_format=csv", "application/json", "text/csv; charset=utf-8", csv),
        ("?_format=ndjson", "text/html", "application/x-ndjson", ndjson),
        ("?_format=json", "text/csv", "application/json", json),
    ];
    let mut tags = std::collections::HashMap::new();
    for round in 0..2 {
        for (query, accept, kind, body) in cases {
            let answer = server.request("GET", &format!("/r{query}"), &[("Accept", accept)]);
            assert_eq!(
                (answer.status, answer.field("content-type"), answer.text().as_str()),
                (200, Some(kind), body),
                "{query} {accept} in round {round}"
            );
            assert!(answer.field("vary").is_some_and(|vary| vary.contains("Accept")), "{answer:?}");
            let tag = answer.field("etag").expect("a tag").to_string();
            assert_eq!(*tags.entry(kind).or_insert_with(|| tag.clone()), tag, "one a format");
            assert!(round == 0 || x_cache(&answer) == "hit");
        }
    }
    assert_eq!(tags.values().collect::<std::collections::HashSet<_>>().len(), 3, "{tags:?}");
    assert_eq!(server.get("/one?_format=csv").text(), "\"na,me\",note\r\na/b,slash\r\n");
    for accept in ["image/png", "text/html", "application/json;q=0"] {
        let refused = server.request("GET", "/r", &[("Accept", accept)]);
        assert_eq!((refused.status, slug(&refused).as_str()), (406, "not-acceptable"), "{accept}");
        assert!(refused.json()["allowed"].as_str().is_some_and(|allowed| allowed.contains("text/csv")));
        assert_eq!(server.request("GET", "/r?_format=csv", &[("Accept", accept)]).status, 200, "the query wins: {accept}");
    }
    for query in ["?_format=xml", "?_format=", "?_format=csv&_format=csv"] {
        assert_eq!((server.get(&format!("/r{query}")).status, query), (400, query));
    }
}

#[test]
fn a_value_has_its_own_type_whatever_is_asked() {
    let server = with(&[route("/v", "SELECT 'x'", "rows = \"value\"\ntype = \"image/svg+xml\"")]);
    for (query, accept) in [("", "image/svg+xml"), ("", "text/csv"), ("?_format=csv", "*/*")] {
        let answer = server.request("GET", &format!("/v{query}"), &[("Accept", accept)]);
        assert_eq!((answer.field("content-type"), answer.text().as_str()), (Some("image/svg+xml"), "x"), "{query} {accept}");
    }
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let server =
        with(&[route("/r", "SELECT count(*) AS n FROM things", ""), route("/v", "SELECT count(*) FROM things", "ttl = \"0\"")]);
    for target in ["/r", "/v"] {
        let tag = server.get(target).field("etag").expect("a tag").to_string();
        for (value, status) in [
            (tag.clone(), 304),
            (format!("W/{tag}"), 304),
            (format!("\"other\", {tag}"), 304),
            ("*".to_string(), 304),
            ("\"other\"".to_string(), 200),
            (tag.trim_matches('"').to_string(), 200),
        ] {
            for method in ["GET", "HEAD"] {
                let answer = server.request(method, target, &[("If-None-Match", &value)]);
                assert_eq!(answer.status, status, "{method} {target} {value}");
                assert_eq!(answer.field("etag"), Some(tag.as_str()));
                if status == 304 {
                    assert_eq!((answer.field("content-length"), answer.body.len()), (None, 0));
                    assert!(answer.field("vary").is_some() && answer.field("cache-control").is_some());
                }
            }
        }
        crate::configured::write(&server, "INSERT INTO things VALUES ('new', 'one more')");
        let answer = server.request("GET", target, &[("If-None-Match", &tag)]);
        assert_eq!(answer.status, 200, "{target}: another state has another tag");
        assert_ne!(answer.field("etag"), Some(tag.as_str()));
    }
}
