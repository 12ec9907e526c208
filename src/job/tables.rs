//! A set of tables: what a commit wrote, what an answer was made of. Knows places, not names.

use crate::budget::TABLES;

const BITS: usize = u64::BITS as usize;
const WORDS: usize = TABLES.div_ceil(BITS);

/// Tables by their places in the catalog, or all of them, known or not.
///
/// Places are those of one schema: a set outlives a change of the schema no better than a stamp does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSet {
    words: [u64; WORDS],
    everything: bool,
}

impl TableSet {
    /// No table.
    pub const NONE: TableSet = TableSet { words: [0; WORDS], everything: false };
    /// Every table, also those that have no place.
    pub const EVERYTHING: TableSet = TableSet { words: [0; WORDS], everything: true };

    /// Adds the table at `place`; a place beyond the catalog's size is everything.
    pub fn insert(&mut self, place: usize) {
        match self.words.get_mut(place / BITS) {
            Some(word) => *word |= 1 << (place % BITS),
            None => self.everything = true,
        }
    }

    /// Whether the table at `place` is one of them.
    pub fn contains(&self, place: usize) -> bool {
        self.everything || self.words.get(place / BITS).is_some_and(|word| word >> (place % BITS) & 1 == 1)
    }

    /// What is in either.
    pub fn or(mut self, other: &TableSet) -> TableSet {
        self.words.iter_mut().zip(other.words).for_each(|(word, more)| *word |= more);
        self.everything |= other.everything;
        self
    }

    /// Whether a commit that wrote `self` may have changed what was made of `other`. Where either is everything it may: what has no
    /// place is changed by writes that are told by none.
    pub fn meets(&self, other: &TableSet) -> bool {
        self.everything || other.everything || self.words.iter().zip(other.words).any(|(word, more)| word & more != 0)
    }

    /// Whether it is every table.
    pub fn is_everything(&self) -> bool {
        self.everything
    }

    /// Whether it is no table.
    pub fn is_empty(&self) -> bool {
        *self == TableSet::NONE
    }
}

impl Default for TableSet {
    fn default() -> TableSet {
        TableSet::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_meet_where_they_share_a_table_or_one_is_everything() {
        let of = |places: &[usize]| {
            let mut set = TableSet::NONE;
            places.iter().for_each(|&place| set.insert(place));
            set
        };
        let last = TABLES - 1;
        let cases: &[(TableSet, TableSet, bool)] = &[
            (of(&[]), of(&[]), false),
            (of(&[0]), of(&[1]), false),
            (of(&[0, last]), of(&[last]), true),
            (of(&[]), TableSet::EVERYTHING, true),
            (TableSet::EVERYTHING, of(&[3]), true),
            (of(&[WORDS * BITS]), of(&[5]), true),
        ];
        for (one, other, meet) in cases {
            assert_eq!((one.meets(other), other.meets(one)), (*meet, *meet), "{one:?} {other:?}");
        }
        assert!(of(&[3]).contains(3) && !of(&[3]).contains(4) && TableSet::EVERYTHING.contains(4));
        assert_eq!(of(&[1]).or(&of(&[last])), of(&[last, 1]));
        assert!(of(&[]).is_empty() && !of(&[last]).is_empty() && !TableSet::EVERYTHING.is_empty());
    }
}
