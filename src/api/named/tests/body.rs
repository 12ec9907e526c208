//! What bodies bind.

use super::*;

const JSON: Option<&[u8]> = Some(b"application/json");
const FORM: Option<&[u8]> = Some(b"application/x-www-form-urlencoded");

fn bind_all(config: &Config, media: Option<&[u8]>, path: &str, query: &str, body: &[u8]) -> Result<Vec<Vec<Own>>, String> {
    let mut elements = Elements::new(media, body).map_err(|problem| said(&problem))?;
    let mut bound = Bound::new();
    let mut all = Vec::new();
    let route = &config.routes()[0];
    while let Some(result) = elements.bind_next(config, route, path.as_bytes(), query.as_bytes(), &mut bound) {
        if let Err(problem) = result {
            let after = elements.bind_next(config, route, path.as_bytes(), query.as_bytes(), &mut bound);
            assert!(after.is_none(), "nothing comes after a problem");
            assert!(bound.binds().is_empty() && bound.scratch().is_empty(), "nothing half bound is left");
            return Err(said(&problem));
        }
        all.push(own(&bound));
    }
    assert_eq!(all.len(), elements.count());
    Ok(all)
}

fn one_value(kind: Kind, json: &str) -> Result<Own, String> {
    let config = one(Verb::Post, "/", &[P::new("x", kind)]);
    let body = format!(" {{ \"\\u0078\" : {json} }} ");
    bind_all(&config, JSON, "/", "", body.as_bytes()).map(|mut all| all.remove(0).remove(0))
}

#[test]
fn undeclared_parameters_keep_their_json_type() {
    let cases = [
        (r#""5""#, text("5")),
        (r#""a\u00e9\n\ud83d\ude00""#, text("aé\n😀")),
        ("5", Own::Integer(5)),
        ("-9223372036854775808", Own::Integer(i64::MIN)),
        ("-0", Own::Integer(0)),
        ("5.0", Own::Real(5.0)),
        ("1e3", Own::Real(1000.0)),
        ("true", Own::Integer(1)),
        ("false", Own::Integer(0)),
        ("null", Own::Null),
        (r#"{"a": [1, "b\u0041"]}"#, text(r#"{"a": [1, "b\u0041"]}"#)),
        ("[ 1e999 ]", text("[ 1e999 ]")),
    ];
    for (json, wanted) in cases {
        assert_eq!(one_value(Kind::Any, json), Ok(wanted), "{json}");
    }
    let wrong = |detail: &str| Err(format!("400 malformed-parameter: {detail}"));
    let beyond = "integers go from -9223372036854775808 to 9223372036854775807";
    assert_eq!(
        one_value(Kind::Any, "9223372036854775808"),
        wrong(&format!("'x' is '9223372036854775808', beyond 64 bits | {beyond}"))
    );
    assert_eq!(one_value(Kind::Any, "-1e999"), wrong("'x' is '-1e999', beyond the range of a double | numbers go to 1.8e308"));
}

#[test]
fn declared_parameters_take_their_type_and_null() {
    let taken: &[(Kind, &str, Own)] = &[
        (Kind::Text, r#""5""#, text("5")),
        (Kind::Integer, "5", Own::Integer(5)),
        (Kind::Real, "5", Own::Real(5.0)),
        (Kind::Real, "18446744073709551616", Own::Real(18_446_744_073_709_551_616.0)),
        (Kind::Boolean, "true", Own::Integer(1)),
        (Kind::Boolean, "false", Own::Integer(0)),
        (Kind::Json, "\"a\\u0041\"", text("\"a\\u0041\"")),
        (Kind::Json, "[1,\n 2]", text("[1,\n 2]")),
        (Kind::Json, "9223372036854775808", text("9223372036854775808")),
        (Kind::Blob, r#""AP\/\u002b""#, Own::Blob(vec![0x00, 0xff, 0xfe])),
        (Kind::Blob, r#""""#, Own::Blob(vec![])),
    ];
    for (kind, json, wanted) in taken {
        assert_eq!(one_value(*kind, json).as_ref(), Ok(wanted), "{kind:?} {json}");
        assert_eq!(one_value(*kind, "null"), Ok(Own::Null));
    }
    let refused = [
        (Kind::Text, "5", "'x' is '5'; it must be text | write it in double quotes"),
        (Kind::Text, "[]", "'x' is '[]'; it must be text | write it in double quotes"),
        (Kind::Integer, "5.0", "'x' is '5.0'; it must be an integer | digits without quotes, as in 42 or -7"),
        (Kind::Integer, "\"5\"", "'x' is '\"5\"'; it must be an integer | digits without quotes, as in 42 or -7"),
        (Kind::Real, "\"5\"", "'x' is '\"5\"'; it must be a number | without quotes, as in 21.5 or 1e-3"),
        (Kind::Real, "1e999", "'x' is '1e999', beyond the range of a double | numbers go to 1.8e308"),
        (Kind::Boolean, "1", "'x' is '1'; it must be a boolean | true or false, without quotes"),
        (Kind::Blob, "\"A\"", "'x' must be base64 | a string of letters, digits, + and / (RFC 4648, section 4)"),
        (Kind::Blob, "12", "'x' must be base64 | a string of letters, digits, + and / (RFC 4648, section 4)"),
    ];
    for (kind, json, wanted) in refused {
        assert_eq!(one_value(kind, json), Err(format!("400 malformed-parameter: {wanted}")), "{kind:?} {json}");
    }
}

#[test]
fn path_goes_before_query_and_query_before_body() {
    let params = [P::new("id", Kind::Integer), P::new("a", Kind::Any), P::new("b", Kind::Any).default(D::Text("d"))];
    let config = one(Verb::Put, "/:id", &params);
    let row = |id, a: &str, b: &str| Ok(vec![vec![Own::Integer(id), text(a), text(b)]]);
    assert_eq!(bind_all(&config, JSON, "/7", "a=q", br#"{"a": "body", "b": "B", "id": "ignored"}"#), row(7, "q", "B"));
    assert_eq!(bind_all(&config, FORM, "/7", "", b"a=b+c&id=9"), row(7, "b c", "d"));
    assert_eq!(bind_all(&config, None, "/7", "a=q&b=", b""), row(7, "q", ""));
    assert_eq!(bind_all(&config, JSON, "/7", "a=q", b""), row(7, "q", "d"));
    assert_eq!(bind_all(&config, Some(b"text/plain"), "/7", "a=q", b""), row(7, "q", "d"));
    let cases: &[(&str, &[u8], &str)] = &[
        ("", b"{}", "400 missing-parameter: 'a' is missing; it is text | give it in the body, or in the query"),
        ("", br#"{"a":1,"A":2}"#, "400 unknown-parameter: 'A' is not a parameter of this route | did you mean 'a'? | a, b"),
        ("", br#"{"a":1,"\u0061":2}"#, "400 malformed-parameter: 'a' is given twice | give it once"),
        ("a=1", br#"{"a":1,"a":2}"#, "400 malformed-parameter: 'a' is given twice | give it once"),
        (
            "a=1",
            br#"{"a":1}x"#,
            "400 malformed-body: the body is not JSON; byte 7: something follows the value | send a JSON object, or an array of objects",
        ),
        ("", b"5", "400 malformed-body: the body is a number | send a JSON object, or an array of objects"),
        (
            "",
            b" ",
            "400 malformed-body: the body is not JSON; byte 1: the text ends too early | send a JSON object, or an array of objects",
        ),
        (
            "_format=csv&id=1",
            b"{}",
            "400 unknown-parameter: 'id' is part of the path, not of the query | leave it out of the query",
        ),
    ];
    for (query, body, wanted) in cases {
        assert_eq!(bind_all(&config, JSON, "/7", query, body), Err(wanted.to_string()), "{}", body.escape_ascii());
    }
    let form = [
        ("a=1&a=2", "400 malformed-parameter: 'a' is given twice | give it once"),
        (
            "_format=csv",
            "400 unknown-parameter: '_format' is not a parameter of this route | leave it out, or use one of the allowed names | a, b",
        ),
    ];
    for (body, wanted) in form {
        assert_eq!(bind_all(&config, FORM, "/7", "", body.as_bytes()), Err(wanted.to_string()), "{body}");
    }
}

#[test]
fn an_array_binds_element_by_element() {
    let params =
        [P::new("id", Kind::Text), P::new("a", Kind::Integer).between(0.0, 9.0), P::new("b", Kind::Any).default(D::Text("d"))];
    let config = one(Verb::Post, "/:id", &params);
    let body = br#" [ {"a":1,"b":"x"} , {"a":2}, {"b":null,"a":3} ] "#;
    let rows = bind_all(&config, JSON, "/k", "", body).expect("binds");
    let row = |a, b| vec![text("k"), Own::Integer(a), b];
    assert_eq!(rows, [row(1, text("x")), row(2, text("d")), row(3, Own::Null)]);
    assert_eq!(bind_all(&config, JSON, "/k", "", b"[]"), Ok(vec![]));
    let cases: &[(&[u8], &str)] = &[
        (br#"[{"a":1},{"a":10}]"#, "400 parameter-out-of-range: element 2 of 2: 'a' is 10 | 0 to 9 are allowed"),
        (
            br#"[{"a":1},{}]"#,
            "400 missing-parameter: element 2 of 2: 'a' is missing; it is an integer | give it in the body, or in the query",
        ),
        (
            br#"[{"a":1},{"a":2},7]"#,
            "400 malformed-body: element 3 of the array is a number | send a JSON object, or an array of objects",
        ),
        (
            br#"[{"a":1},]"#,
            "400 malformed-body: the body is not JSON; byte 9: no value begins like this | send a JSON object, or an array of objects",
        ),
        (
            br#"[{"a":1}"#,
            "400 malformed-body: the body is not JSON; byte 8: the text ends too early | send a JSON object, or an array of objects",
        ),
        (
            br#"[{"a":1}]]"#,
            "400 malformed-body: the body is not JSON; byte 9: something follows the value | send a JSON object, or an array of objects",
        ),
    ];
    for (body, wanted) in cases {
        assert_eq!(bind_all(&config, JSON, "/k", "", body), Err(wanted.to_string()), "{}", body.escape_ascii());
    }
    // What is wrong with the query is no element's fault.
    assert_eq!(
        bind_all(&config, JSON, "/k", "c=1", b"[{\"a\":1},{\"a\":2}]"),
        Err("400 unknown-parameter: 'c' is not a parameter of this route | leave it out, or use one of the allowed names | a, b"
            .to_string())
    );
}

#[test]
fn elements_are_counted_to_their_limit() {
    let array = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
    assert_eq!(Elements::new(JSON, array(ELEMENTS).as_bytes()).map(|elements| elements.count()), Ok(ELEMENTS));
    assert_eq!(
        Elements::new(JSON, array(ELEMENTS + 1).as_bytes()).map_err(|problem| said(&problem)).err().as_deref(),
        Some("413 too-many-elements: the array has more than 1000 elements | send the rest in further requests")
    );
}

#[test]
fn each_element_has_the_whole_room() {
    let default: &'static str = "d".repeat(VALUE_BYTES / 2).leak();
    let config = one(Verb::Post, "/", &[P::new("a", Kind::Any), P::new("b", Kind::Any).default(D::Text(default))]);
    let body = br#"[{"a":"1"},{"a":"2"},{"a":"3"},{"a":"4"}]"#;
    assert_eq!(bind_all(&config, JSON, "/", "", body).map(|rows| rows.len()), Ok(4));
}

#[test]
fn a_clone_begins_again() {
    let config = one(Verb::Post, "/", &[P::new("a", Kind::Any)]);
    let first = Elements::new(JSON, b"[{\"a\":1},{\"a\":2}]").expect("JSON");
    let mut bound = Bound::new();
    for _ in 0..2 {
        let mut elements = first.clone();
        for wanted in [1, 2] {
            assert_eq!(elements.bind_next(&config, &config.routes()[0], b"/", b"", &mut bound), Some(Ok(())));
            assert_eq!(own(&bound), [Own::Integer(wanted)]);
        }
        assert_eq!(elements.bind_next(&config, &config.routes()[0], b"/", b"", &mut bound), None);
    }
}

#[test]
fn the_content_type_decides() {
    let json = ["application/json", "Application/JSON ; charset=utf-8", " application/vnd.api+json", "application/x+JSON;a=b"];
    for media in json {
        assert!(Elements::new(Some(media.as_bytes()), b"{}").is_ok(), "{media}");
        assert!(Elements::new(Some(media.as_bytes()), b"x=1").is_err(), "{media}");
    }
    for media in ["application/x-www-form-urlencoded", "Application/X-WWW-Form-URLencoded;charset=UTF-8"] {
        assert!(Elements::new(Some(media.as_bytes()), b"x=1").is_ok(), "{media}");
    }
    let rest = "send the header Content-Type: application/json | application/json, application/x-www-form-urlencoded";
    for media in
        ["text/plain", "text/json", "application/jsonx", "application/json+x", "application/", "json", "multipart/form-data", ""]
    {
        let problem = Elements::new(Some(media.as_bytes()), b"{}").map_err(|problem| said(&problem)).err();
        assert_eq!(problem, Some(format!("415 unsupported-media-type: a body of type '{media}' is not read here | {rest}")));
    }
    let problem = Elements::new(None, b"{}").map_err(|problem| said(&problem)).err();
    assert_eq!(problem, Some(format!("415 unsupported-media-type: the body has no Content-Type | {rest}")));
}
