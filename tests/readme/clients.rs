//! The page's routes for Home Assistant, Grafana, Node-RED and MagicMirror, on the example database: the shapes that those read.

use std::io::Write;

use serde_json::Value;

use crate::configured::{self, SENSOR};
use crate::page::blocks;
use crate::server::{Answer, Server, Start, read_answer};

/// A server with the routes under a heading.
fn serve(heading: &str) -> Server {
    serve_routes(&configured::toml("", &blocks(heading, "toml").join("\n")))
}

fn serve_routes(toml: &str) -> Server {
    let start = Start::new();
    let database = flagstone::demo::build(&start.folder().join("demo")).expect("the example");
    start.database(&database).config(toml).run()
}

fn post(server: &Server, body: &str, fields: &str) -> Answer {
    let mut stream = server.connect();
    let head = format!(
        "POST /api/readings HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {SENSOR}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n{fields}\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("the request is taken");
    read_answer(&mut stream, false).expect("an answer")
}

/// Errors are what a client shows to its user: small, with words in it.
fn assert_small_problem(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.field("content-type"), Some("application/problem+json"));
    let length = answer.text().len();
    assert!(length < 512, "{length} bytes");
    assert!(answer.json()["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
}

fn is_flat(object: &Value) -> bool {
    object.as_object().is_some_and(|object| object.values().all(|value| !value.is_object() && !value.is_array()))
}

#[test]
fn home_assistant_reads_a_bare_value_and_an_object() {
    let server = serve("### Home Assistant");
    let bare = server.get("/api/value/2");
    assert_eq!((bare.status, bare.field("content-type")), (200, Some("text/plain; charset=utf-8")));
    let state: f64 = bare.text().parse().expect("a number and nothing else, no quotes, no line end");
    let one = server.get("/api/sensor/2");
    assert_eq!(one.field("content-type"), Some("application/json"));
    assert!(is_flat(&one.json()), "{}", one.text());
    assert_eq!(one.json()["value"].as_f64(), Some(state));
    let yaml = blocks("### Home Assistant", "yaml").concat();
    let listed = yaml.split_once("json_attributes: [").expect("attributes").1.split_once(']').expect("a list").0;
    for attribute in listed.split(", ") {
        assert!(one.json().get(attribute).is_some(), "{attribute}");
    }
    assert_small_problem(&server.get("/api/value/99"), 404);
    assert_small_problem(&server.get("/api/sensor/fridge"), 400);
}

#[test]
fn grafana_reads_a_flat_array_with_a_time_and_the_same_as_csv() {
    let server = serve("### Grafana (Infinity)");
    let query: Value = serde_json::from_str(blocks("### Grafana (Infinity)", "json")[0]).expect("JSON");
    let url = query["url"].as_str().expect("a URL").replace("http://pi.local:8080", "");
    // What Grafana puts in the place of its variables.
    let target =
        url.replace("${__from:date:iso}", "2020-01-01T00:00:00.000Z").replace("${__to:date:iso}", "2100-01-01T00:00:00.000Z");
    let answer = server.get(&target);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    let rows = json.as_array().expect("an array");
    assert!(rows.len() > 100);
    for row in rows {
        assert!(is_flat(row), "{row}");
        let time = row["time"].as_str().expect("a time");
        assert!(time.len() == 20 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
        assert!(row["value"].is_number() || row["value"].is_null(), "{row}");
        for column in query["columns"].as_array().expect("columns") {
            assert!(row.get(column["selector"].as_str().expect("a selector")).is_some(), "{column}");
        }
    }
    let csv = server.get(&format!("{target}&_format=csv"));
    assert_eq!(csv.field("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!((csv.text().lines().next(), csv.text().lines().count()), (Some("time,value"), rows.len() + 1));
    assert_eq!(server.get(&target.replace("from=2020", "from=2099")).text(), "[]");
    assert_small_problem(&server.get("/api/series/2?form=1"), 400);
}

#[test]
fn node_red_posts_readings_once_each() {
    let flow: Value = serde_json::from_str(blocks("### Node-RED", "json")[0]).expect("a flow that can be imported");
    assert_eq!(flow[1]["method"], "POST");
    let server = serve("### Node-RED");
    assert_eq!(flow[1]["url"], "http://pi.local:8080/api/readings");
    // The function's object, as the request node sends it.
    let body = r#"{"sensor":2,"at":"2026-01-31T12:00:00Z","value":4.5}"#;
    let first = post(&server, body, "Idempotency-Key: 9f1c\r\n");
    assert_eq!((first.status, first.field("idempotency-replayed")), (201, None), "{}", first.text());
    assert!(is_flat(&first.json()[0]));
    let again = post(&server, body, "Idempotency-Key: 9f1c\r\n");
    assert_eq!((again.status, again.field("idempotency-replayed"), again.text()), (201, Some("true"), first.text()));
    let joined = post(&server, &format!("[{body},{body}]"), "");
    assert_eq!((joined.status, joined.json().as_array().map(Vec::len)), (201, Some(2)), "{}", joined.text());
    assert_small_problem(&post(&server, r#"{"sensor":99,"at":"x","value":1}"#, ""), 422);
    assert_small_problem(&post(&server, r#"{"sensor":2,"value":1}"#, ""), 400);
}

#[test]
fn magicmirror_reads_a_calendar() {
    // The route is the example's own.
    let server = serve_routes(flagstone::config::EXAMPLE);
    let js = blocks("### MagicMirror", "js").concat();
    let url = js.split_once("url: \"http://pi.local:8080").expect("a URL").1.split_once('"').expect("a string").0;
    let answer = server.get(url);
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("text/calendar; charset=utf-8")));
    let text = answer.text();
    assert!(text.starts_with("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:") && text.ends_with("END:VCALENDAR\r\n"), "{text}");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count(), "every line ends in CRLF (RFC 5545 3.1)");
    let count = |word: &str| text.matches(word).count();
    assert!(count("BEGIN:VEVENT\r\n") > 3);
    for line in ["END:VEVENT\r\n", "\r\nUID:", "\r\nDTSTAMP:", "\r\nDTSTART", "\r\nSUMMARY:"] {
        assert_eq!(count(line), count("BEGIN:VEVENT\r\n"), "{line:?}");
    }
    // Nobody's calendar is an empty one, not an error.
    assert_eq!(server.get(&url.replace("family", "nobody")).status, 200);
    assert_small_problem(&server.get("/calendars/events.ics?calender=family"), 400);
}
