//! Configurations for the tests of this folder.

use crate::config::{Config, Kind, Literal, Param, Route, Verb};
use crate::memory::Span;

/// A parameter for [`route`].
#[derive(Clone, Copy, Debug)]
pub struct P {
    pub name: &'static str,
    pub kind: Kind,
    pub default: Option<D>,
    pub min: Option<f64>,
    pub max: Option<f64>,
}

/// A default for [`P`].
#[derive(Clone, Copy, Debug)]
pub enum D {
    Integer(i64),
    Real(f64),
    Text(&'static str),
    Blob(&'static [u8]),
}

impl P {
    pub fn new(name: &'static str, kind: Kind) -> P {
        P { name, kind, default: None, min: None, max: None }
    }

    pub fn default(self, default: D) -> P {
        P { default: Some(default), ..self }
    }

    pub fn between(self, min: f64, max: f64) -> P {
        P { min: Some(min), max: Some(max), ..self }
    }
}

/// Adds a route.
pub fn route(config: &mut Config, verb: Verb, path: &str, params: &[P]) {
    let route = Route::new(verb, config.keep(path.as_bytes()).unwrap(), Span::default(), 1);
    let params: Vec<Param> = params
        .iter()
        .map(|param| Param {
            name: config.keep(param.name.as_bytes()).unwrap(),
            kind: param.kind,
            default: param.default.map(|default| match default {
                D::Integer(number) => Literal::Integer(number),
                D::Real(number) => Literal::Real(number),
                D::Text(text) => Literal::Text(config.keep(text.as_bytes()).unwrap()),
                D::Blob(bytes) => Literal::Blob(config.keep(bytes).unwrap()),
            }),
            min: param.min,
            max: param.max,
            declared: param.kind != Kind::Any,
        })
        .collect();
    config.add_route(route, &params).unwrap();
}

/// A configuration with one route.
pub fn one(verb: Verb, path: &str, params: &[P]) -> Config {
    let mut config = Config::new();
    route(&mut config, verb, path, params);
    config
}
