//! A body as the elements that a write route runs for: none or one object, one form, or an array of objects, all or nothing.
//!
//! The body is read twice: once whole when it is taken, so that no element runs before the last is known to be JSON, then element by element.

use super::json::{Error, Reader, Shape};
use super::{Bound, ELEMENTS, refusal};
use crate::api::problem::Problem;
use crate::config::{Config, Route};

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Nothing,
    Form,
    Object,
    Array,
}

/// The elements of a body that has been read once. A clone begins where the original stands.
#[derive(Clone, Debug)]
pub struct Elements<'b> {
    body: &'b [u8],
    layout: Layout,
    count: usize,
    /// Elements that have been bound; all of them after a problem.
    done: usize,
    /// Where the array's next element, or the comma before it, stands.
    at: usize,
}

impl<'b> Elements<'b> {
    /// Reads a body. An empty one is no body, whatever its Content-Type says; parameters of the Content-Type mean nothing.
    ///
    /// # Errors
    /// 415 for another type than JSON (`application/json`, `application/*+json`) or a form; 400 for malformed JSON, and for JSON that is neither
    /// an object nor an array of objects; 413 for more than [`ELEMENTS`].
    pub fn new(content_type: Option<&[u8]>, body: &'b [u8]) -> Result<Elements<'b>, Problem> {
        let layout = match content_type.map(media_type) {
            _ if body.is_empty() => Layout::Nothing,
            Some(media) if is_json(media) => return Elements::of_json(body),
            Some(media) if media.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") => Layout::Form,
            media => return Err(refusal::unsupported(media)),
        };
        Ok(Elements { body, layout, count: 1, done: 0, at: 0 })
    }

    fn of_json(body: &'b [u8]) -> Result<Elements<'b>, Problem> {
        let mut reader = Reader::new(body).map_err(refusal::malformed_body)?;
        let mut elements = Elements { body, layout: Layout::Object, count: 1, done: 0, at: 0 };
        if reader.peek() == Some(b'[') {
            elements.layout = Layout::Array;
            elements.count = count(&mut reader, &mut elements.at)?;
        } else {
            let value = reader.value().map_err(refusal::malformed_body)?;
            reader.end().map_err(refusal::malformed_body)?;
            if value.shape != Shape::Object {
                return Err(refusal::not_an_object(format_args!("the body is {}", value.shape.name())));
            }
        }
        Ok(elements)
    }

    /// How many there are; without a body, or with one that is no array, one.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether the body is an array, be it of one element or none.
    pub fn is_array(&self) -> bool {
        self.layout == Layout::Array
    }

    /// Binds the next element: each parameter has its value from the path, else the query, else the body, else its default. Path and query are
    /// read for the first element only, so all of them want the same `bound`, and nobody else's values in between.
    ///
    /// # Errors
    /// As [`Bound::bind_query`]; an array's problem says which element. Nothing is bound then, and nothing comes after it.
    pub fn bind_next(
        &mut self, config: &Config, route: &Route, path: &[u8], query: &[u8], bound: &mut Bound,
    ) -> Option<Result<(), Problem>> {
        if self.done == self.count {
            return None;
        }
        let is_first = self.done == 0;
        self.done += 1;
        let mut result = Ok(());
        if is_first {
            result = bound.bind_target(config, route, path, query);
        } else {
            bound.back_to_target();
        }
        if result.is_ok() {
            result = self.bind_element(config, route, bound).map_err(|problem| match self.layout {
                Layout::Array => refusal::of_element(problem, self.done, self.count),
                _ => problem,
            });
        }
        if result.is_err() {
            bound.forget();
            self.done = self.count;
        }
        Some(result)
    }

    fn bind_element(&mut self, config: &Config, route: &Route, bound: &mut Bound) -> Result<(), Problem> {
        let params = config.params(route);
        match self.layout {
            Layout::Nothing => {}
            Layout::Form => bound.bind_form(config, params, self.body)?,
            Layout::Object => bound.bind_object(config, params, self.body)?,
            Layout::Array => {
                let object = self.next_object().map_err(refusal::malformed_body)?;
                bound.bind_object(config, params, object)?;
            }
        }
        bound.fill(config, route)
    }

    fn next_object(&mut self) -> Result<&'b [u8], Error> {
        let mut reader = Reader::inside(self.body, self.at);
        reader.next(b']', self.done == 1)?;
        let value = reader.value()?;
        self.at = reader.position();
        Ok(value.raw)
    }
}

/// Reads an array whole and counts its elements, all of them objects; `first` becomes the place after its bracket.
fn count(reader: &mut Reader, first: &mut usize) -> Result<usize, Problem> {
    reader.enter().map_err(refusal::malformed_body)?;
    *first = reader.position();
    let mut count = 0;
    while reader.next(b']', count == 0).map_err(refusal::malformed_body)? {
        let value = reader.value().map_err(refusal::malformed_body)?;
        count += 1;
        if value.shape != Shape::Object {
            return Err(refusal::not_an_object(format_args!("element {count} of the array is {}", value.shape.name())));
        }
        if count > ELEMENTS {
            return Err(refusal::too_many_elements());
        }
    }
    reader.end().map_err(refusal::malformed_body)?;
    Ok(count)
}

/// Type and subtype of a Content-Type (RFC 9110 §8.3.1), without its parameters.
fn media_type(content_type: &[u8]) -> &[u8] {
    let end = content_type.iter().position(|&byte| byte == b';').unwrap_or(content_type.len());
    content_type[..end].trim_ascii()
}

/// `application/json`, and what is JSON by its suffix (RFC 6839 §3.1).
fn is_json(media: &[u8]) -> bool {
    const PREFIX: &[u8] = b"application/";
    const SUFFIX: &[u8] = b"+json";
    let Some((prefix, subtype)) = media.split_at_checked(PREFIX.len()) else {
        return false;
    };
    let suffix = subtype.len().checked_sub(SUFFIX.len()).map(|at| &subtype[at..]);
    prefix.eq_ignore_ascii_case(PREFIX)
        && (subtype.eq_ignore_ascii_case(b"json") || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(SUFFIX)))
}
