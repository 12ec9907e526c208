//! "Did you mean": the nearest of some names by edit distance. Knows names, not what they name.

/// The longest name, in bytes, that is compared: two rows of this length lie on the stack.
const COMPARED_BYTES: usize = 64;
/// The largest edit distance that still counts as a slip of the fingers.
const DISTANCE_MAX: usize = 2;

/// The candidate nearest to `typed`: at most two edits away, fewer for very short names; the first of equals.
pub fn nearest<'a>(typed: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut best = None;
    let mut bound = DISTANCE_MAX.min(typed.len() / 2);
    for candidate in candidates {
        let Some(distance) = distance(typed.as_bytes(), candidate.as_bytes()) else {
            continue;
        };
        if distance < bound || (distance == bound && best.is_none()) {
            bound = distance;
            best = Some(candidate);
        }
    }
    best
}

/// Levenshtein's distance over bytes, ASCII letters without case. `None` for names too long or too unlike in length.
fn distance(one: &[u8], other: &[u8]) -> Option<usize> {
    if one.len() > COMPARED_BYTES || other.len() > COMPARED_BYTES || one.len().abs_diff(other.len()) > DISTANCE_MAX {
        return None;
    }
    let mut above = [0_usize; COMPARED_BYTES + 1];
    for (column, cost) in above.iter_mut().enumerate() {
        *cost = column;
    }
    for (row, a) in one.iter().enumerate() {
        let mut diagonal = above[0];
        above[0] = row + 1;
        for (column, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(!a.eq_ignore_ascii_case(b));
            diagonal = above[column + 1];
            above[column + 1] = replaced.min(diagonal + 1).min(above[column] + 1);
        }
    }
    Some(above[other.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_within_two_edits_is_meant() {
        let names = ["readings", "sensors", "reading", "id", "größe"];
        let cases = [
            ("readins", Some("readings")),
            ("redaings", Some("readings")),
            ("READING", Some("reading")),
            ("sensor", Some("sensors")),
            ("calendar", None),
            ("ix", Some("id")),
            ("x", None),
            ("", None),
            ("grösse", Some("größe")),
        ];
        for (typed, meant) in cases {
            assert_eq!(nearest(typed, names.into_iter()), meant, "{typed}");
        }
    }

    #[test]
    fn distances_are_levenshteins() {
        assert_eq!(distance(b"kitten", b"sittin"), Some(2));
        assert_eq!(distance(b"", b"ab"), Some(2));
        assert_eq!(distance(b"abc", b"abc"), Some(0));
        assert_eq!(distance(b"abc", b"abcdef"), None);
        assert_eq!(distance(&[b'a'; 65], &[b'a'; 65]), None);
    }
}
