//! What path and query bind.

use super::*;
use crate::api::table_query::Format;

fn bind(config: &Config, path: &str, query: &str) -> Result<(Vec<Own>, Option<Format>), String> {
    let mut bound = Bound::new();
    let place = find(config, Verb::Get, path.as_bytes()).expect("the path fits");
    match bound.bind_query(config, &config.routes()[place], path.as_bytes(), query.as_bytes()) {
        Ok(()) => Ok((own(&bound), bound.format())),
        Err(problem) => {
            assert!(bound.binds().is_empty() && bound.scratch().is_empty(), "nothing half bound is left");
            Err(said(&problem))
        }
    }
}

fn value(param: P, query: &str) -> Result<Own, String> {
    bind(&one(Verb::Get, "/", &[param]), "/", query).map(|(mut values, _)| values.remove(0))
}

#[test]
fn path_query_and_defaults_give_the_values_in_the_routes_order() {
    let params = [
        P::new("n", Kind::Integer).default(D::Integer(1)).between(1.0, 500.0),
        P::new("sensor", Kind::Any),
        P::new("unit", Kind::Text).default(D::Text("°C")),
        P::new("blob", Kind::Blob).default(D::Blob(b"\0\xff")),
        P::new("real", Kind::Real).default(D::Integer(2)),
        P::new("half", Kind::Real).default(D::Real(0.5)),
    ];
    let config = one(Verb::Get, "/api/:sensor/latest/:unused", &params);
    let (values, format) = bind(&config, "/api/k%C3%BCche%2F+1/latest/x", "").expect("defaults");
    let defaults = [text("°C"), Own::Blob(vec![0, 255]), Own::Real(2.0), Own::Real(0.5)];
    assert_eq!(values[..2], [Own::Integer(1), text("küche/+1")]);
    assert_eq!(values[2..], defaults);
    assert_eq!(format, None);
    let (values, format) = bind(&config, "/api/a/latest/x", "&n=500&&_format=csv&un%69t=a+b%2B&").expect("given");
    assert_eq!(values[..3], [Own::Integer(500), text("a"), text("a b+")]);
    assert_eq!(format, Some(Format::Csv));
}

#[test]
fn every_type_takes_what_it_says() {
    let cases: &[(Kind, &str, Own)] = &[
        (Kind::Any, "x=12", text("12")),
        (Kind::Any, "x", text("")),
        (Kind::Any, "x=a=b", text("a=b")),
        (Kind::Text, "x=%F0%9F%8C%A1", text("🌡")),
        (Kind::Text, "x=%00", text("\0")),
        (Kind::Integer, "x=-9223372036854775808", Own::Integer(i64::MIN)),
        (Kind::Integer, "x=9223372036854775807", Own::Integer(i64::MAX)),
        (Kind::Integer, "x=007", Own::Integer(7)),
        (Kind::Real, "x=5", Own::Real(5.0)),
        (Kind::Real, "x=-1.5e3", Own::Real(-1500.0)),
        (Kind::Real, "x=18446744073709551616", Own::Real(18_446_744_073_709_551_616.0)),
        (Kind::Boolean, "x=true", Own::Integer(1)),
        (Kind::Boolean, "x=0", Own::Integer(0)),
        (Kind::Json, "x=+%7B%22a%22:+%5B1,%20null%5D%7D%0A", text("{\"a\": [1, null]}")),
        (Kind::Json, "x=%22%22", text("\"\"")),
        (Kind::Blob, "x=", Own::Blob(vec![])),
        (Kind::Blob, "x=%2B/8=", Own::Blob(vec![0xfb, 0xff])),
        (Kind::Blob, "x=%2B/8", Own::Blob(vec![0xfb, 0xff])),
        (Kind::Blob, "x=AA%3d%3D", Own::Blob(vec![0])),
    ];
    for (kind, query, wanted) in cases {
        assert_eq!(value(P::new("x", *kind), query).as_ref(), Ok(wanted), "{query}");
    }
    let (encoded, decoded) = ("QUJD".repeat(100), b"ABC".repeat(100));
    assert_eq!(value(P::new("x", Kind::Blob), &format!("x={encoded}")), Ok(Own::Blob(decoded)));
}

#[test]
fn what_is_not_of_its_type_is_a_400_that_names_it() {
    let integers = "| digits, as in 42 or -7";
    let blob = "400 malformed-parameter: 'x' must be base64 | letters, digits, + and / (RFC 4648, section 4); in a query + is written %2B";
    let cases: &[(Kind, &str, &str)] = &[
        (Kind::Integer, "x=5.5", &format!("400 malformed-parameter: 'x' is '5.5'; it must be an integer {integers}")),
        (Kind::Integer, "x=", &format!("400 malformed-parameter: 'x' is ''; it must be an integer {integers}")),
        (Kind::Integer, "x=%ff", &format!("400 malformed-parameter: 'x' is '\u{FFFD}'; it must be an integer {integers}")),
        (
            Kind::Integer,
            "x=9223372036854775808",
            "400 malformed-parameter: 'x' is '9223372036854775808', beyond 64 bits | \
             integers go from -9223372036854775808 to 9223372036854775807",
        ),
        (Kind::Real, "x=nan", "400 malformed-parameter: 'x' is 'nan'; it must be a number | as in 21.5 or 1e-3"),
        (Kind::Real, "x=1e999", "400 malformed-parameter: 'x' is '1e999', beyond the range of a double | numbers go to 1.8e308"),
        (Kind::Boolean, "x=True", "400 malformed-parameter: 'x' is 'True'; it must be a boolean | true or false, or 1 or 0"),
        (Kind::Text, "x=a%ff", "400 malformed-parameter: 'x' is not UTF-8 | percent-encode UTF-8"),
        (Kind::Any, "x=%C3", "400 malformed-parameter: 'x' is not UTF-8 | percent-encode UTF-8"),
        (
            Kind::Json,
            "x=[1,]",
            "400 malformed-parameter: 'x' must be JSON; byte 3: no value begins like this | \
             text is JSON only in double quotes, percent-encoded: %22text%22",
        ),
        (Kind::Blob, "x=A", blob),
        (Kind::Blob, "x=AB==", blob),
        (Kind::Blob, "x=AA=", blob),
        (Kind::Blob, "x=AA==AA==", blob),
        (Kind::Blob, "x=A===", blob),
        (Kind::Blob, "x====", blob),
        (Kind::Blob, "x=====", blob),
        (Kind::Blob, "x=-_8=", blob),
        (Kind::Blob, "x=+/8=", blob),
        (Kind::Any, "x=%4", "400 malformed-parameter: '%4' is not a percent escape | write %25 for a percent sign"),
    ];
    for (kind, query, wanted) in cases {
        assert_eq!(value(P::new("x", *kind), query), Err(wanted.to_string()), "{query}");
    }
}

#[test]
fn bounds_are_of_numbers_and_of_lengths() {
    let exact = 9_007_199_254_740_992.0;
    let cases: &[(Kind, f64, f64, &str, &str)] = &[
        (Kind::Integer, 1.0, 500.0, "1", ""),
        (Kind::Integer, 1.0, 500.0, "500", ""),
        (Kind::Integer, 1.0, 500.0, "501", "'x' is 501 | 1 to 500 are allowed"),
        (Kind::Integer, 1.0, 500.0, "0", "'x' is 0 | 1 to 500 are allowed"),
        (Kind::Integer, 0.5, 1.5, "0", "'x' is 0 | 0.5 to 1.5 are allowed"),
        (Kind::Integer, -1.5, 1.5, "-1", ""),
        (Kind::Integer, -1.5, 1.5, "-2", "'x' is -2 | -1.5 to 1.5 are allowed"),
        (Kind::Integer, -1e300, 1e300, "9223372036854775807", ""),
        (Kind::Integer, 0.0, exact, "9007199254740993", "'x' is 9007199254740993 | 0 to 9.007199254740992e15 are allowed"),
        (Kind::Real, 0.0, 1.0, "1.0000001", "'x' is 1.0000001 | 0 to 1 are allowed"),
        (Kind::Real, 0.0, 1.0, "1", ""),
        (Kind::Text, 1.0, 3.0, "%C3%BC%C3%BC%C3%BC", ""),
        (Kind::Text, 1.0, 3.0, "abcd", "'x' has 4 characters | 1 to 3 characters are allowed"),
        (Kind::Any, 1.0, 3.0, "", "'x' has 0 characters | 1 to 3 characters are allowed"),
        (Kind::Blob, 1.0, 1.0, "AAAA", ""),
        (Kind::Json, 0.0, 1.0, "1234", ""),
        (Kind::Boolean, 5.0, 6.0, "true", ""),
    ];
    for (kind, min, max, text, wanted) in cases {
        let problem = value(P::new("x", *kind).between(*min, *max), &format!("x={text}")).err().unwrap_or_default();
        let wanted = if wanted.is_empty() { String::new() } else { format!("400 parameter-out-of-range: {wanted}") };
        assert_eq!(problem, wanted, "{kind:?} {text}");
    }
    let least = P { min: Some(1.0), ..P::new("x", Kind::Real) };
    assert_eq!(value(least, "x=0.5"), Err("400 parameter-out-of-range: 'x' is 0.5 | at least 1".to_string()));
    let most = P { max: Some(2.0), ..P::new("x", Kind::Text) };
    assert_eq!(value(most, "x=abc"), Err("400 parameter-out-of-range: 'x' has 3 characters | at most 2 characters".to_string()));
}

#[test]
fn names_are_checked() {
    let config =
        one(Verb::Get, "/:sensor", &[P::new("sensor", Kind::Any), P::new("limit", Kind::Integer), P::new("unit", Kind::Any)]);
    let cases = [
        ("limit=1", "400 missing-parameter: 'unit' is missing; it is text | add unit= to the query"),
        ("unit=C", "400 missing-parameter: 'limit' is missing; it is an integer | add limit= to the query"),
        ("limti=1", "400 unknown-parameter: 'limti' is not a parameter of this route | did you mean 'limit'? | limit, unit"),
        (
            "colour=1",
            "400 unknown-parameter: 'colour' is not a parameter of this route | \
             leave it out, or use one of the allowed names | limit, unit",
        ),
        ("sensor=b", "400 unknown-parameter: 'sensor' is part of the path, not of the query | leave it out of the query"),
        ("limit=1&unit=&lim%69t=1", "400 malformed-parameter: 'limit' is given twice | give it once"),
        ("_format=csv&_format=csv", "400 malformed-parameter: '_format' is given twice | give it once"),
        ("_format=xml", "400 malformed-parameter: _format='xml' is not a format | json, csv, ndjson"),
        (
            "=1",
            "400 unknown-parameter: '' is not a parameter of this route | leave it out, or use one of the allowed names | limit, unit",
        ),
        ("%", "400 malformed-parameter: '%' is not a percent escape | write %25 for a percent sign"),
    ];
    for (query, wanted) in cases {
        assert_eq!(bind(&config, "/a", query), Err(wanted.to_string()), "{query}");
    }
    assert_eq!(
        bind(&one(Verb::Get, "/", &[]), "/", "x=1"),
        Err("400 unknown-parameter: 'x' is not a parameter of this route | leave it out: this route takes none".to_string())
    );
    assert_eq!(
        bind(&one(Verb::Get, "/:n", &[P::new("n", Kind::Integer)]), "/x", ""),
        Err("400 malformed-parameter: 'n' is 'x'; it must be an integer | digits, as in 42 or -7".to_string())
    );
    let format = one(Verb::Get, "/", &[P::new("_format", Kind::Any)]);
    assert_eq!(bind(&format, "/", "_format=xml"), Ok((vec![text("xml")], None)));
}

#[test]
fn the_room_is_bounded_and_made_once() {
    let long: &'static str = "d".repeat(VALUE_BYTES - 2).leak();
    let config = one(Verb::Get, "/", &[P::new("x", Kind::Any), P::new("y", Kind::Any).default(D::Text(long))]);
    let mut bound = Bound::new();
    let room = bound.scratch().as_ptr();
    let route = &config.routes()[0];
    assert_eq!(bound.bind_query(&config, route, b"/", b"x=ab"), Ok(()));
    let problem = bound.bind_query(&config, route, b"/", b"x=abc").expect_err("no room");
    assert_eq!((problem.status, problem.slug), (400, "query-too-large"));
    let too_much = format!("x={}%41", "%41".repeat(VALUE_BYTES));
    assert_eq!(
        bound.bind_query(&config, route, b"/", too_much.as_bytes()).map_err(|problem| problem.slug),
        Err("query-too-large")
    );
    assert_eq!(bound.scratch().as_ptr(), room);
}

#[test]
fn only_what_is_bound_takes_room() {
    let params = [P::new("blob", Kind::Blob), P::new("n", Kind::Integer), P::new("json", Kind::Json), P::new("t", Kind::Any)];
    let config = one(Verb::Get, "/", &params);
    let mut bound = Bound::new();
    let query = b"blob=QUJD&n=12345&json=%20[1]%20&t=a%62&_format=csv";
    assert_eq!(bound.bind_query(&config, &config.routes()[0], b"/", query), Ok(()));
    assert_eq!(bound.scratch(), b"ABC[1]ab");
}

#[test]
fn different_values_feed_different_bytes() {
    let fed = |params: &[P], query: &str| {
        let config = one(Verb::Get, "/", params);
        let mut bound = Bound::new();
        bound.bind_query(&config, &config.routes()[0], b"/", query.as_bytes()).expect("binds");
        let mut bytes = Vec::new();
        bound.feed(|part| bytes.extend_from_slice(part));
        bytes
    };
    let texts = [P::new("x", Kind::Any), P::new("y", Kind::Any)];
    let any = |query| fed(&texts, query);
    assert_ne!(any("x=ab&y=c"), any("x=a&y=bc"));
    assert_ne!(any("x=&y=a"), any("x=a&y="));
    assert_ne!(any("x=a%03b&y="), any("x=a&y=b%03"));
    assert_eq!(any("x=a&y=b"), any("y=b&x=%61"));
    let as_kind = |kind, query| fed(&[P::new("x", kind)], query);
    let each = [
        as_kind(Kind::Text, "x=AAAA"),
        as_kind(Kind::Blob, "x=QUFBQQ"),
        as_kind(Kind::Integer, "x=1"),
        as_kind(Kind::Real, "x=1"),
        as_kind(Kind::Real, "x=5e-324"),
    ];
    for (at, one) in each.iter().enumerate() {
        assert!(each[at + 1..].iter().all(|other| one != other), "{one:?}");
    }
    assert_eq!(as_kind(Kind::Integer, "x=1"), as_kind(Kind::Boolean, "x=true"));
}
