//! "Did you mean": the nearest of a set of names, for messages about typing errors. Pure.

/// Damerau's edit distance in its optimal-string-alignment form: insertions, deletions, substitutions and
/// swaps of neighbours count one each; no part of the text is edited twice. Counted in characters.
pub fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before_last: Vec<usize> = vec![0; right.len() + 1];
    let mut last: Vec<usize> = (0..=right.len()).collect();
    let mut row: Vec<usize> = vec![0; right.len() + 1];
    for i in 1..=left.len() {
        row[0] = i;
        for j in 1..=right.len() {
            let changed = usize::from(left[i - 1] != right[j - 1]);
            let mut best = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + changed);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            row[j] = best;
        }
        std::mem::swap(&mut before_last, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    last[right.len()]
}

/// The candidate nearest to `name`, at most `most` edits away; case costs nothing; the first wins a tie.
///
/// Fewer edits than `name` has characters are required: otherwise a name of two letters is near to every other one.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>, most: usize) -> Option<&'a str> {
    let name = name.to_lowercase();
    let length = name.chars().count();
    candidates
        .into_iter()
        .map(|candidate| (distance(&name, &candidate.to_lowercase()), candidate))
        .filter(|(edits, _)| *edits <= most && *edits < length)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn distances_are_those_of_the_textbook() {
        let cases = [
            ("", "", 0),
            ("", "abc", 3),
            ("listen", "listen", 0),
            ("lisen", "listen", 1),
            ("lsiten", "listen", 1),
            ("kitten", "sitting", 3),
            // Optimal string alignment, unlike full Damerau, does not edit inside a swap.
            ("ca", "abc", 3),
            ("Süd", "Sud", 1),
            ("冷蔵庫", "冷庫蔵", 1),
        ];
        for (left, right, edits) in cases {
            assert_eq!(distance(left, right), edits, "{left} {right}");
        }
    }

    #[test]
    fn the_nearest_name_is_offered_and_a_far_one_is_not() {
        let options = ["listen", "ops", "demo", "get", "ready", "help"];
        let cases = [
            ("lisen", Some("listen")),
            ("LISTEN", Some("listen")),
            ("dmeo", Some("demo")),
            ("readyy", Some("ready")),
            ("immutable", None),
            ("xy", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(nearest(name, options, 2), expected, "{name}");
        }
        assert_eq!(nearest("data", ["date", "dataa"], 2), Some("date"), "the first wins a tie");
    }

    proptest! {
        #[test]
        fn a_distance_is_symmetric_and_zero_only_for_equals(left in "[a-c]{0,6}", right in "[a-c]{0,6}") {
            let edits = distance(&left, &right);
            prop_assert_eq!(edits, distance(&right, &left));
            prop_assert_eq!(edits == 0, left == right);
            prop_assert!(edits <= left.len().max(right.len()));
            prop_assert!(edits >= left.len().abs_diff(right.len()));
        }
    }
}
