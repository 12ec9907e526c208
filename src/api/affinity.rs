//! Column affinity, derived from the declared type by SQLite's rules (datatype3.html §3.1).

/// What a column does to values that are compared with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// Numbers given as text are compared as numbers.
    Integer,
    /// Numbers are compared as text.
    Text,
    /// None at all: each value is compared as what it is.
    Blob,
    /// As `Integer`; kept apart because SQLite stores its values as floating point.
    Real,
    /// As `Integer`.
    Numeric,
}

impl Affinity {
    /// The affinity of a declared type. The rules are tried in SQLite's order: "CHARINT" is an integer, "FLOATING POINT"
    /// too, because it holds "INT".
    pub fn of(declared: &str) -> Affinity {
        let holds =
            |part: &str| declared.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()));
        if holds("INT") {
            Affinity::Integer
        } else if holds("CHAR") || holds("CLOB") || holds("TEXT") {
            Affinity::Text
        } else if holds("BLOB") || declared.is_empty() {
            Affinity::Blob
        } else if holds("REAL") || holds("FLOA") || holds("DOUB") {
            Affinity::Real
        } else {
            Affinity::Numeric
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_types_have_the_affinity_of_sqlites_table() {
        let cases = [
            ("INT", Affinity::Integer),
            ("unsigned big int", Affinity::Integer),
            ("CHARINT", Affinity::Integer),
            ("FLOATING POINT", Affinity::Integer),
            ("VARCHAR(255)", Affinity::Text),
            ("native character(70)", Affinity::Text),
            ("CLOB", Affinity::Text),
            ("TEXTBLOB", Affinity::Text),
            ("BLOB", Affinity::Blob),
            ("REALBLOB", Affinity::Blob),
            ("", Affinity::Blob),
            ("REAL", Affinity::Real),
            ("Double Precision", Affinity::Real),
            ("FLOAT", Affinity::Real),
            ("DECIMAL(10,5)", Affinity::Numeric),
            ("BOOLEAN", Affinity::Numeric),
            ("STRING", Affinity::Numeric),
            ("ANY", Affinity::Numeric),
        ];
        for (declared, affinity) in cases {
            assert_eq!(Affinity::of(declared), affinity, "{declared}");
        }
    }
}
