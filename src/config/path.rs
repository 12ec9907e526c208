//! A route's path: what it may look like, and when two of them are one. Knows text alone.

use core::ops::Range;

use super::sql_names::is_param_name;

/// Segments of a path.
pub const SEGMENTS: usize = 16;

/// Why a path is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathError {
    /// It does not begin with a slash.
    NoSlash,
    /// It has a segment without anything in it; where.
    EmptySegment(Range<usize>),
    /// It ends with a slash.
    EndsWithSlash,
    /// More than [`SEGMENTS`].
    TooManySegments(usize),
    /// It has a `?` or `#`; where.
    Query(usize),
    /// It has an escape; where.
    Escape(usize),
    /// It has a space or a control character; where.
    Unprintable(Range<usize>),
    /// `.` or `..`, which clients take away; where.
    Dots(Range<usize>),
    /// A parameter whose name is none; where.
    ParamName(Range<usize>),
    /// A parameter that stands there already; where.
    Twice(Range<usize>),
    /// A path that Flagstone answers itself.
    Reserved,
}

/// The segments of a path, each with its place; none for `/`.
pub fn segments(path: &str) -> impl Iterator<Item = (Range<usize>, &str)> + Clone {
    let mut start = 0;
    path.split('/').filter_map(move |segment| {
        let range = start..start + segment.len();
        start = range.end + 1;
        (range.start > 0 && path.len() > 1).then_some((range, segment))
    })
}

/// The parameters of a path: their names with their places.
pub fn params(path: &str) -> impl Iterator<Item = (Range<usize>, &str)> + Clone {
    segments(path).filter_map(|(range, segment)| Some((range.start + 1..range.end, segment.strip_prefix(':')?)))
}

/// Checks a path.
///
/// # Errors
/// The first [`PathError`].
pub fn check(path: &str) -> Result<(), PathError> {
    if !path.starts_with('/') {
        return Err(PathError::NoSlash);
    }
    if let Some((at, letter)) = path.char_indices().find(|(_, letter)| letter.is_control() || letter.is_whitespace()) {
        return Err(PathError::Unprintable(at..at + letter.len_utf8()));
    }
    if let Some(at) = path.find(['?', '#']) {
        return Err(PathError::Query(at));
    }
    if let Some(at) = path.find('%') {
        return Err(PathError::Escape(at));
    }
    if path.len() > 1 && path.ends_with('/') && !path.ends_with("//") {
        return Err(PathError::EndsWithSlash);
    }
    let count = segments(path).count();
    if count > SEGMENTS {
        return Err(PathError::TooManySegments(count));
    }
    for (range, segment) in segments(path) {
        match segment {
            "" => return Err(PathError::EmptySegment(range)),
            "." | ".." => return Err(PathError::Dots(range)),
            _ => {}
        }
        let Some(name) = segment.strip_prefix(':') else { continue };
        if !is_param_name(name) {
            return Err(PathError::ParamName(range));
        }
        if params(&path[..range.start]).any(|(_, other)| other == name) {
            return Err(PathError::Twice(range));
        }
    }
    let first = segments(path).next().map_or("", |(_, segment)| segment);
    if matches!(first, "-" | "tables") || path == "/metrics" {
        return Err(PathError::Reserved);
    }
    Ok(())
}

/// Whether two paths answer the same requests: equal words and parameters at the same places, whatever the parameters are called.
pub fn same_shape(one: &str, other: &str) -> bool {
    let shape = |path: &'_ str| -> usize { segments(path).count() };
    shape(one) == shape(other)
        && segments(one).zip(segments(other)).all(|((_, one), (_, other))| {
            match (one.strip_prefix(':'), other.strip_prefix(':')) {
                (Some(_), Some(_)) => true,
                (None, None) => one == other,
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_checked() {
        let cases = [
            ("/", Ok(())),
            ("/a", Ok(())),
            ("/a/:b/c:d/é", Ok(())),
            ("/:a/:b", Ok(())),
            ("/metrics/x", Ok(())),
            ("/tablesx", Ok(())),
            ("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16", Ok(())),
            ("", Err(PathError::NoSlash)),
            ("a/b", Err(PathError::NoSlash)),
            ("/a/", Err(PathError::EndsWithSlash)),
            ("//", Err(PathError::EmptySegment(1..1))),
            ("/a//b", Err(PathError::EmptySegment(3..3))),
            ("/a?b", Err(PathError::Query(2))),
            ("/a#b", Err(PathError::Query(2))),
            ("/a%20b", Err(PathError::Escape(2))),
            ("/a b", Err(PathError::Unprintable(2..3))),
            ("/a/../b", Err(PathError::Dots(3..5))),
            ("/a/:", Err(PathError::ParamName(3..4))),
            ("/a/:1", Err(PathError::ParamName(3..5))),
            ("/:a/b/:a", Err(PathError::Twice(6..8))),
            ("/-", Err(PathError::Reserved)),
            ("/-/health", Err(PathError::Reserved)),
            ("/tables", Err(PathError::Reserved)),
            ("/tables/:t", Err(PathError::Reserved)),
            ("/metrics", Err(PathError::Reserved)),
            ("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", Err(PathError::TooManySegments(17))),
        ];
        for (path, expected) in cases {
            assert_eq!(check(path), expected, "{path}");
        }
    }

    #[test]
    fn two_paths_are_one_when_they_answer_the_same() {
        assert!(same_shape("/a/:b", "/a/:c"));
        assert!(same_shape("/", "/"));
        assert!(!same_shape("/a/:b", "/a/b"));
        assert!(!same_shape("/a", "/a/:b"));
        assert!(!same_shape("/a", "/"));
        assert!(!same_shape("/a", "/A"));
    }
}
