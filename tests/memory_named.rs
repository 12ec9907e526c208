//! Matching and binding a request on a named route allocates nothing, whether it succeeds or is refused: in a binary of its own, because the
//! heap is the whole process's.

mod counting;

use counting::allocations;
use flagstone::api::named::matching::allowed;
use flagstone::api::named::{Bound, Elements, find};
use flagstone::config::{Config, Kind, Literal, Param, Route, Verb};
use flagstone::memory::Span;

const KINDS: [(&str, Kind); 7] = [
    ("id", Kind::Any),
    ("text", Kind::Text),
    ("n", Kind::Integer),
    ("real", Kind::Real),
    ("on", Kind::Boolean),
    ("json", Kind::Json),
    ("blob", Kind::Blob),
];

const JSON: Option<&[u8]> = Some(b"application/json");
const FORM: Option<&[u8]> = Some(b"application/x-www-form-urlencoded");

/// A query, a Content-Type and a body.
type Request = (&'static str, Option<&'static [u8]>, &'static [u8]);

/// As many end in a problem as do not.
const REQUESTS: [Request; 10] = [
    ("text=%C3%BC&n=5&real=1e3&on=true&json=%5B1%5D&blob=QUJD", None, b""),
    ("n=5", JSON, br#"{"text":"\ud83d\ude00","n":6,"real":1.5,"on":false,"json":{"a":[1,2]},"blob":"QUJD"}"#),
    ("", FORM, b"text=a+b&n=5&real=1&on=1&json=null&blob=QQ"),
    ("real=1&on=1&json=1&blob=", JSON, br#"[{"text":"a"},{"text":"\u00e9","n":4},{"text":null}]"#),
    ("real=1&on=1&json=1&blob=", JSON, b"[]"),
    ("text=%ff", None, b""),
    ("n=5.5", None, b""),
    ("colour=red&n=5", None, b""),
    ("real=1&on=1&json=1&blob=", JSON, br#"[{"text":"a"},{"text":5}]"#),
    ("", JSON, br#"[{"text":"a"},"#),
];

fn configuration() -> Config {
    let mut config = Config::new();
    for (verb, path) in [(Verb::Get, "/a/:id"), (Verb::Post, "/:x/b"), (Verb::Post, "/a/:id"), (Verb::Delete, "/a/b")] {
        let route = Route::new(verb, config.keep(path.as_bytes()).expect("room"), Span::default(), 1);
        let params = KINDS.map(|(name, kind)| Param {
            name: config.keep(name.as_bytes()).expect("room"),
            kind,
            default: (kind == Kind::Integer).then_some(Literal::Integer(1)),
            min: Some(0.0),
            max: Some(1000.0),
            declared: kind != Kind::Any,
        });
        config.add_route(route, &params).expect("room");
    }
    config
}

/// Serves all requests; returns elements bound, problems and bytes fed to keys.
fn serve(config: &Config, bound: &mut Bound) -> (usize, usize, usize) {
    let (mut elements_bound, mut problems, mut fed) = (0, 0, 0);
    for (query, media, body) in REQUESTS {
        let path = b"/%61/b%2F1";
        let place = find(config, Verb::Post, path).expect("there is one");
        assert_eq!((place, &*allowed(config, path).text()), (2, "GET, HEAD, POST, OPTIONS"));
        let route = &config.routes()[place];
        let Ok(mut elements) = Elements::new(media, body) else {
            problems += 1;
            continue;
        };
        while let Some(result) = elements.bind_next(config, route, path, query.as_bytes(), bound) {
            match result {
                Ok(()) => elements_bound += 1,
                Err(_) => problems += 1,
            }
            bound.feed(|bytes| fed += bytes.len());
        }
    }
    (elements_bound, problems, fed)
}

#[test]
fn binding_allocates_nothing() {
    let config = configuration();
    let mut bound = Bound::new();
    let before = allocations();
    let served = serve(&config, &mut bound);
    assert_eq!(allocations(), before);
    assert_eq!((served.0, served.1), (7, 5));
    assert!(served.2 > 0);
}
