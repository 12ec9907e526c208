//! General rules: the JSON reader against serde_json, one value through every door, and nothing that panics.

use proptest::collection::vec as list;
use proptest::prelude::*;
use serde_json::Value as Json;

use super::super::json::whole;
use super::*;

const KINDS: [Kind; 7] = [Kind::Any, Kind::Text, Kind::Integer, Kind::Real, Kind::Boolean, Kind::Json, Kind::Blob];
const NAMES: [&str; 7] = ["any", "text", "integer", "real", "boolean", "json", "blob"];

fn scalars() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (-9_i64..10).prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        any::<String>().prop_map(Json::from),
        "[a-c\"\\\\/\n\u{1}é😀]{0,6}".prop_map(Json::from),
    ]
}

fn documents() -> impl Strategy<Value = Json> {
    scalars().prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            list(inner.clone(), 0..6).prop_map(Json::from),
            list((any::<String>(), inner), 0..6).prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

/// A string with some of its characters escaped.
fn escaped(text: &str, which: u64) -> String {
    let mut out = String::from("\"");
    for (at, letter) in text.chars().enumerate() {
        match letter {
            _ if which >> (at % 64) & 1 == 1 => {
                letter.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out += &format!("\\u{unit:04x}"))
            }
            '"' | '\\' => out.extend(['\\', letter]),
            '\0'..' ' => out += &format!("\\u{:04X}", u32::from(letter)),
            _ => out.push(letter),
        }
    }
    out + "\""
}

/// A name or value of a query, with some of its bytes escaped that need not be.
fn percent(text: &[u8], which: u64) -> String {
    let mut out = String::new();
    for (at, &byte) in text.iter().enumerate() {
        match byte {
            b' ' if which >> (at % 64) & 1 == 1 => out.push('+'),
            _ if byte.is_ascii_alphanumeric() && which >> (at % 64) & 1 == 1 => out.push(char::from(byte)),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

fn base64(bytes: &[u8], padded: bool) -> String {
    use base64::Engine;
    let mut text = vec![0; bytes.len() * 2 + 4];
    let length = base64::engine::general_purpose::STANDARD.encode_slice(bytes, &mut text).expect("fits");
    text.truncate(length);
    let text = String::from_utf8(text).expect("ASCII");
    if padded { text } else { text.trim_end_matches('=').to_string() }
}

/// Bytes from the text of a document, and some that break it.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    const BYTES: &[u8] = b"{}[]:,\"\\ \n01-+.eEutrfn/d8DcC\x00\x1f\x7f\x80\xc3\xa9\xed\xff";
    let edits = list((any::<prop::sample::Index>(), 0..3_u8, prop::sample::select(BYTES)), 1..4);
    (documents(), any::<bool>(), edits).prop_map(|(document, pretty, edits)| {
        let text = if pretty { serde_json::to_vec_pretty(&document) } else { serde_json::to_vec(&document) };
        let mut text = text.expect("a document");
        for (place, edit, byte) in edits {
            let at = place.index(text.len().max(1));
            match edit {
                0 if at < text.len() => text[at] = byte,
                1 if at < text.len() => drop(text.remove(at)),
                _ => text.insert(at, byte),
            }
        }
        text
    })
}

/// Words of JSON in any order: most are malformed near their end.
fn words() -> impl Strategy<Value = Vec<u8>> {
    const WORDS: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        " ",
        "\"a\"",
        "\"\\u00e9\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\ude00\"",
        "\"a",
        "0",
        "-",
        "1",
        ".",
        "e",
        "+",
        "true",
        "null",
        "nul",
        "{\"a\":",
        "[1,",
    ];
    list(prop::sample::select(WORDS), 0..9).prop_map(|words| words.concat().into_bytes())
}

/// serde_json's verdict; none where it stops at a number beyond a double, which the reader leaves to whoever wants the number.
fn is_json(text: &[u8]) -> Option<bool> {
    match serde_json::from_slice::<Json>(text) {
        Ok(_) => Some(true),
        Err(error) => (!error.to_string().contains("number out of range")).then_some(false),
    }
}

fn everything(verb: Verb) -> Config {
    let params: Vec<P> = NAMES.iter().zip(KINDS).map(|(name, kind)| P::new(name, kind)).collect();
    one(verb, "/", &params)
}

fn bind_body(config: &Config, media: &str, query: &str, body: &[u8]) -> Result<Vec<Own>, Problem> {
    let mut bound = Bound::new();
    let mut elements = Elements::new(Some(media.as_bytes()), body)?;
    elements
        .bind_next(config, &config.routes()[0], b"/", query.as_bytes(), &mut bound)
        .expect("one element")
        .map(|()| own(&bound))
}

/// What an undeclared parameter binds; a number beyond 64 bits has none.
fn kept(value: &Json) -> Option<Own> {
    Some(match value {
        Json::Null => Own::Null,
        Json::Bool(value) => Own::Integer(i64::from(*value)),
        Json::Number(number) => number.as_i64().map(Own::Integer).or(number.as_f64().map(Own::Real))?,
        Json::String(value) => text(value),
        nested => text(&nested.to_string()),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_reader_accepts_what_serde_json_accepts(text in prop_oneof![mutated(), words(), list(any::<u8>(), 0..12)]) {
        if let Some(is_json) = is_json(&text) {
            prop_assert_eq!(whole(&text).is_ok(), is_json, "{:?} {}", whole(&text), text.escape_ascii());
        }
    }
}

proptest! {
    #[test]
    fn a_document_is_one_value(document in documents()) {
        let text = serde_json::to_string_pretty(&document).expect("a document");
        let padded = format!(" {text}\n");
        prop_assert_eq!(whole(padded.as_bytes()).map(|value| value.raw), Ok(text.as_bytes()));
    }

    #[test]
    fn undeclared_values_are_kept_as_they_are(document in documents(), which in any::<u64>()) {
        let config = one(Verb::Post, "/", &[P::new("x", Kind::Any)]);
        let json = match &document {
            Json::String(text) => escaped(text, which),
            other => other.to_string(),
        };
        let bound = bind_body(&config, "application/json", "", format!("{{{}: {json}}}", escaped("x", which)).as_bytes());
        prop_assert_eq!(bound.ok(), kept(&document).map(|value| vec![value]), "{}", json);
    }

    #[test]
    fn a_value_is_the_same_through_query_form_and_json(
        any in any::<String>(), text in any::<String>(), integer in any::<i64>(), real in any::<f64>().prop_filter("finite", |x| x.is_finite()),
        boolean in any::<bool>(), json in documents().prop_filter("null is NULL", |json| !json.is_null()), blob in list(any::<u8>(), 0..80),
        (padded, which) in (any::<bool>(), any::<u64>()),
    ) {
        let base64 = base64(&blob, padded);
        let json = json.to_string();
        let real_text = serde_json::to_string(&real).expect("finite");
        let texts = [any.clone(), text.clone(), integer.to_string(), real_text.clone(), boolean.to_string(), json.clone(), base64.clone()];
        let values = [
            Own::Text(any.clone()), Own::Text(text.clone()), Own::Integer(integer), Own::Real(real), Own::Integer(i64::from(boolean)),
            Own::Text(json.clone()), Own::Blob(blob),
        ];
        let pairs: Vec<String> =
            NAMES.iter().zip(&texts).map(|(name, text)| format!("{}={}", percent(name.as_bytes(), which), percent(text.as_bytes(), which))).collect();
        let pairs = pairs.join("&");
        let config = everything(Verb::Post);
        let object = format!(
            r#"{{"any":{},"text":{},"integer":{integer},"real":{real_text},"boolean":{boolean},"json":{json},"blob":{}}}"#,
            escaped(&any, which), escaped(&text, which), escaped(&base64, which),
        );
        let form = bind_body(&config, "application/x-www-form-urlencoded", "", pairs.as_bytes());
        prop_assert_eq!(form.as_ref(), Ok(&values.to_vec()));
        prop_assert_eq!(bind_body(&config, "application/json", "", object.as_bytes()), form);
        let mut bound = Bound::new();
        prop_assert_eq!(bound.bind_query(&config, &config.routes()[0], b"/", pairs.as_bytes()), Ok(()));
        prop_assert_eq!(own(&bound), values);
    }

    #[test]
    fn an_array_binds_what_its_objects_bind(objects in list((scalars(), prop::option::of("[a-z]{0,9}")), 0..8), space in "[ \n]{0,2}") {
        let params = [P::new("x", Kind::Any), P::new("y", Kind::Text).default(D::Text("default"))];
        let config = one(Verb::Post, "/", &params);
        let text = |(x, y): &(Json, Option<String>)| match y {
            Some(y) => format!("{{\"y\":\"{y}\",{space}\"x\":{x}}}"),
            None => format!("{{{space}\"x\":{space}{x}}}"),
        };
        let objects: Vec<String> = objects.iter().map(text).collect();
        let array = format!("{space}[{}{space}]", objects.join(&format!("{space},")));
        let mut elements = Elements::new(Some(b"application/json"), array.as_bytes()).expect("an array");
        let mut bound = Bound::new();
        prop_assert_eq!(elements.count(), objects.len());
        for object in &objects {
            prop_assert_eq!(elements.bind_next(&config, &config.routes()[0], b"/", b"", &mut bound), Some(Ok(())));
            prop_assert_eq!(Ok(own(&bound)), bind_body(&config, "application/json", "", object.as_bytes()));
        }
        prop_assert_eq!(elements.bind_next(&config, &config.routes()[0], b"/", b"", &mut bound), None);
    }

    #[test]
    fn nothing_panics_and_every_problem_is_small(
        query in "((any|text|integer|real|boolean|json|blob|x|_format)(=[^&]{0,8})?&){0,5}", body in prop_oneof![mutated(), words()],
        name in prop::sample::select(&NAMES[..]), form in any::<bool>(),
    ) {
        let config = everything(Verb::Put);
        let mut body = [format!("{{\"{name}\":").as_bytes(), &body, b"}"].concat();
        let media = if form { "application/x-www-form-urlencoded" } else { "application/json" };
        for _ in 0..2 {
            if let Err(problem) = bind_body(&config, media, &query, &body) {
                said(&problem);
            }
            body.pop();
        }
    }
}
