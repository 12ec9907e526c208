//! What a write that succeeds answers, where its values come from, and what shares its transaction.

use super::{Fields, log, look, post, slug, text, with, write, writes};
use crate::configured::route;
use crate::server::read_answer;

#[test]
fn a_status_says_what_was_done() {
    let things = "INSERT INTO things(name, price) VALUES (:name, :price)";
    let server = with(
        &[
            writes("POST", "/silent", things, ""),
            writes("POST", "/things", &format!("{things} RETURNING id, name, price"), ""),
            writes("POST", "/one", &format!("{things} RETURNING id, name"), "rows = \"one\""),
            writes("POST", "/id", &format!("{things} RETURNING id"), "rows = \"value\"\ntype = \"text/x-id\""),
            writes("POST", "/maybe", &format!("{things} ON CONFLICT DO NOTHING RETURNING id"), ""),
            writes(
                "PUT",
                "/things/:id",
                "UPDATE things SET price = :price WHERE id = :id RETURNING name, price",
                "rows = \"one\"",
            ),
            writes("PATCH", "/things/:id", "UPDATE things SET price = :price WHERE id = :id", "rows = \"one\""),
            writes("DELETE", "/things/:id", "DELETE FROM things WHERE id = :id", ""),
            writes("DELETE", "/one/:id", "DELETE FROM things WHERE id = :id", "rows = \"one\""),
        ]
        .concat(),
    );
    let cases = [
        ("POST", "/silent", r#"{"name": "a", "price": 1}"#, 204, ""),
        ("POST", "/things", r#"{"name": "grün", "price": 2.5}"#, 201, r#"[{"id":2,"name":"grün","price":2.5}]"#),
        ("POST", "/one", r#"{"name": "c", "price": null}"#, 201, r#"{"id":3,"name":"c"}"#),
        ("POST", "/id", r#"{"name": "d", "price": 0}"#, 201, "4"),
        ("POST", "/maybe", r#"{"name": "d", "price": 0}"#, 200, "[]"),
        ("POST", "/maybe", r#"{"name": "e", "price": 0}"#, 201, r#"[{"id":5}]"#),
        ("PUT", "/things/5", r#"{"price": 7}"#, 200, r#"{"name":"e","price":7.0}"#),
        ("PATCH", "/things/5", r#"{"price": 8}"#, 204, ""),
        ("DELETE", "/things/5", "", 204, ""),
        ("DELETE", "/things/5", "", 204, ""),
        ("DELETE", "/one/4", "", 204, ""),
    ];
    for (method, target, body, status, wanted) in cases {
        let answer = write(&server, method, target, &[], body);
        assert_eq!((answer.status, answer.text().as_str()), (status, wanted), "{method} {target} {body}");
        let kind = match (status, target) {
            (204, _) => None,
            (_, "/id") => Some("text/x-id"),
            _ => Some("application/json"),
        };
        assert_eq!(answer.field("content-type"), kind, "{method} {target}");
        assert_eq!((answer.field("etag"), answer.field("x-cache"), answer.field("idempotency-replayed")), (None, None, None));
        assert_eq!(answer.field("content-length").is_none(), status == 204, "RFC 9110 8.6: {answer:?}");
    }
    for (method, target) in [("PUT", "/things/77"), ("PATCH", "/things/77"), ("DELETE", "/one/77")] {
        let answer = write(&server, method, target, &[], if method == "DELETE" { "" } else { r#"{"price": 1}"# });
        assert_eq!((answer.status, slug(&answer).as_str()), (404, "no-row"), "{method} {target}");
    }
    assert_eq!(look(&server, "SELECT group_concat(name || ifnull(price, '-'), ' ') FROM things"), "a1.0 grün2.5 c-");
}

#[test]
fn rows_come_in_the_format_that_is_asked_for() {
    let server = with(&writes("POST", "/log", "INSERT INTO log(a) VALUES (:a) RETURNING a, typeof(a) AS t", ""));
    let body = r#"[{"a": "x,y"}, {"a": 1}]"#;
    for (accept, kind, wanted) in [
        ("text/csv", "text/csv; charset=utf-8", "a,t\r\n\"x,y\",text\r\n1,integer\r\n"),
        ("application/x-ndjson", "application/x-ndjson", "{\"a\":\"x,y\",\"t\":\"text\"}\n{\"a\":1,\"t\":\"integer\"}\n"),
    ] {
        let answer = write(&server, "POST", "/log", &[("Accept", accept)], body);
        assert_eq!((answer.status, answer.text().as_str(), answer.field("content-type")), (201, wanted, Some(kind)));
    }
    assert_eq!(post(&server, "/log?_format=csv", body).text(), "a,t\r\n\"x,y\",text\r\n1,integer\r\n");
    let refused = write(&server, "POST", "/log", &[("Accept", "image/png")], r#"{"a": "never"}"#);
    assert_eq!((refused.status, log(&server).contains("never")), (406, false));
}

#[test]
fn values_come_from_path_query_and_body_in_this_order() {
    let sql = "INSERT INTO log(a) VALUES (:p || '|' || :q || '|' || :b) RETURNING a";
    let typed = "INSERT INTO log(a) VALUES (:x) RETURNING a, typeof(a) AS t";
    let declared = "params = { x = { type = \"integer\", default = 7, max = 500 } }";
    let server = with(
        &[
            writes("POST", "/log/:p", sql, "rows = \"value\""),
            writes("POST", "/any", typed, "rows = \"one\""),
            writes("POST", "/typed", typed, &format!("rows = \"one\"\n{declared}")),
        ]
        .concat(),
    );
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let json = [("Content-Type", "application/json; charset=utf-8")];
    let suffix = [("Content-Type", "application/vnd.x+json")];
    let cases: &[(&str, Fields, &str, &str)] = &[
        ("/log/1?q=2", &json, r#"{"b": "3"}"#, "1|2|3"),
        ("/log/1", &json, r#"{"q": "x", "b": 3}"#, "1|x|3"),
        ("/log/a%2Fb?q=c+d", &form, "b=%C3%BC+e", "a/b|c d|ü e"),
        ("/log/1?q=2&b=3", &[], "", "1|2|3"),
        ("/log/1?q=2", &suffix, r#"{"b": true}"#, "1|2|1"),
        ("/any", &json, r#"{"x": 1}"#, r#"{"a":1,"t":"integer"}"#),
        ("/any", &json, r#"{"x": 1.5}"#, r#"{"a":1.5,"t":"real"}"#),
        ("/any", &json, r#"{"x": null}"#, r#"{"a":null,"t":"null"}"#),
        ("/any", &json, r#"{"x": "1"}"#, r#"{"a":"1","t":"text"}"#),
        ("/any", &json, r#"{"x": [1]}"#, r#"{"a":"[1]","t":"text"}"#),
        ("/any", &form, "x=1", r#"{"a":"1","t":"text"}"#),
        ("/any?x=1", &[], "", r#"{"a":"1","t":"text"}"#),
        ("/typed", &form, "x=1", r#"{"a":1,"t":"integer"}"#),
        ("/typed", &[], "", r#"{"a":7,"t":"integer"}"#),
        ("/typed?x=500", &json, "{}", r#"{"a":500,"t":"integer"}"#),
    ];
    for (target, fields, body, wanted) in cases {
        let answer = write(&server, "POST", target, fields, body);
        assert_eq!((answer.status, answer.text().as_str()), (201, *wanted), "{target} {body}");
    }
}

#[test]
fn an_array_is_written_whole_or_not_at_all() {
    let server = with(
        &[
            writes("POST", "/log", "INSERT INTO log(a) VALUES (:a)", ""),
            writes("POST", "/rows", "INSERT INTO log(a) VALUES (:a) RETURNING id, a", ""),
            writes("POST", "/values", "INSERT INTO log(a) VALUES (:a) RETURNING a", "rows = \"value\""),
            writes("POST", "/typed", "INSERT INTO log(a) VALUES (:a)", "params = { a = \"integer\" }"),
        ]
        .concat(),
    );
    assert_eq!(post(&server, "/log", r#"[{"a": 1}, {"a": 2}]"#).status, 204);
    assert_eq!(post(&server, "/log", "[]").status, 204);
    let rows = post(&server, "/rows", r#"[{"a": 3}, {"a": 4}]"#);
    assert_eq!((rows.status, rows.text().as_str()), (201, r#"[{"id":3,"a":3},{"id":4,"a":4}]"#));
    let one = post(&server, "/rows", r#"[{"a": 5}]"#);
    assert_eq!(one.text(), r#"[{"id":5,"a":5}]"#, "an array answers with an array");
    assert_eq!(post(&server, "/values", r#"[{"a": "x"}, {"a": null}]"#).text(), r#"["x",null]"#);
    let before = log(&server);
    let cases = [
        // The trigger refuses nine, the third is of the wrong type, the second is no object, the last one is cut off.
        ("/log", r#"[{"a": 1}, {"a": 9}, {"a": 2}]"#, 422, "constraint-trigger", "element 2 of 3"),
        ("/typed", r#"[{"a": 1}, {"a": 2}, {"a": "x"}]"#, 400, "malformed-parameter", "element 3 of 3"),
        ("/log", r#"[{"a": 1}, 2]"#, 400, "malformed-body", "element 2"),
        ("/log", r#"[{"a": 1}, {"a": 2}"#, 400, "malformed-body", ""),
    ];
    for (target, body, status, kind, place) in cases {
        let answer = post(&server, target, body);
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        if kind != "malformed-parameter" {
            assert_eq!(slug(&answer), kind);
        }
        assert!(answer.json()["detail"].as_str().is_some_and(|detail| detail.contains(place)), "{body}: {}", answer.text());
    }
    let many = |count: usize| format!("[{}]", vec![r#"{"a":0}"#; count].join(","));
    let most = flagstone::api::named::ELEMENTS;
    let answer = post(&server, "/log", &many(most + 1));
    assert_eq!((answer.status, slug(&answer).as_str()), (413, "too-many-elements"));
    assert_eq!(log(&server), before, "nothing of all that");
    assert_eq!(post(&server, "/log", &many(most)).status, 204);
}

#[test]
fn statements_of_one_route_are_one_transaction() {
    let two = "INSERT INTO log(a) VALUES (:a); UPDATE kinds SET name = :a WHERE id = :id; SELECT name FROM kinds WHERE id = :id;
        INSERT INTO log(a) VALUES (:last)";
    let server = with(&(writes("POST", "/two", two, "rows = \"one\"") + &route("/kinds", "SELECT name FROM kinds", "")));
    let good = post(&server, "/two", r#"{"a": "x", "id": 1, "last": 5}"#);
    assert_eq!((good.status, good.text().as_str()), (201, r#"{"name":"x"}"#), "{}", good.text());
    assert_eq!(log(&server), "x 5");
    let bad = post(&server, "/two", r#"{"a": "y", "id": 1, "last": 9}"#);
    assert_eq!((bad.status, slug(&bad).as_str()), (422, "constraint-trigger"));
    let missing = post(&server, "/two", r#"{"a": "z", "id": 77, "last": 5}"#);
    assert_eq!((missing.status, slug(&missing).as_str()), (404, "no-row"));
    let rolled = post(&server, "/two", r#"{"a": "y", "id": 1, "last": 99}"#);
    assert_eq!((rolled.status, slug(&rolled).as_str()), (422, "constraint-trigger"), "it ended the transaction itself");
    assert_eq!((log(&server), server.get("/kinds").text()), ("x 5".into(), r#"[{"name":"x"},{"name":"two"}]"#.into()));
}

#[test]
fn pipelined_writes_and_reads_are_answered_in_order() {
    let routes = writes("POST", "/log", "INSERT INTO log(a) VALUES (:a) RETURNING a", "rows = \"value\"");
    let server = with(&(routes + &route("/count", "SELECT count(*) FROM log", "rows = \"value\"")));
    let mut stream = server.connect();
    let mut sent = String::new();
    for number in 0..20 {
        let body = if number == 7 { r#"{"a": 9}"#.to_string() } else { format!("{{\"a\": \"n{number}\"}}") };
        sent.push_str(&text("POST", "/log", &[], &body));
        sent.push_str(&text("GET", "/count", &[], ""));
    }
    std::io::Write::write_all(&mut stream, sent.as_bytes()).expect("it is taken");
    for number in 0..20_u32 {
        let answer = read_answer(&mut stream, false).expect("an answer");
        let wanted = if number == 7 { (422, None) } else { (201, Some(format!("n{number}"))) };
        assert_eq!((answer.status, (answer.status == 201).then(|| answer.text())), wanted);
        let count = read_answer(&mut stream, false).expect("an answer");
        let expected = if number < 7 { number + 1 } else { number };
        assert_eq!(count.text(), expected.to_string(), "a read behind a write sees it, and none behind itself");
    }
}
