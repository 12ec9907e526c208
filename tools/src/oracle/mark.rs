//! What every row carries: the group it belongs to and the version at which the group was last written, as text that
//! is found again in any format: `g3v71234567`. A write that will never be committed leaves `g3x71234567`.

/// Rows of `ledger` with `k % LEDGER_GROUPS` equal form a group.
pub const LEDGER_GROUPS: usize = 8;
/// The table of one row that every commit writes.
pub const NOW: usize = 8;
/// The large table.
pub const BULK: usize = 9;
/// The first of the small tables.
pub const SMALL: usize = 10;
/// How many small tables there are.
pub const SMALL_TABLES: usize = 4;
/// A table whose name is its mark: changed by schema changes alone.
pub const SCHEMA: usize = 14;
/// How many groups there are.
pub const GROUPS: usize = 15;
/// All of them.
pub const EVERY: u32 = (1 << GROUPS) - 1;

/// Nanoseconds since the run began: when the transaction got the write lock, or a little more than the version before it where that is
/// ahead of the time. Transactions are serial, so versions rise with them, and none is used twice.
pub type Version = i64;

/// What one row said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which group.
    pub group: usize,
    /// The version that wrote it.
    pub version: Version,
    /// Written to be rolled back.
    pub poison: bool,
}

/// The text for a group at a version.
pub fn text(group: usize, version: Version, poison: bool) -> String {
    format!("g{group}{}{version}", if poison { 'x' } else { 'v' })
}

/// Every different mark of a body, in order of appearance.
pub fn marks(body: &[u8]) -> Vec<Mark> {
    let mut found: Vec<Mark> = Vec::new();
    for at in 0..body.len() {
        let begins = body[at] == b'g' && (at == 0 || !body[at - 1].is_ascii_alphanumeric());
        let Some(mark) = begins.then(|| mark(&body[at + 1..])).flatten() else { continue };
        // Rows of one group stand in a row or close by.
        if !found.iter().rev().take(GROUPS).any(|known| *known == mark) {
            found.push(mark);
        }
    }
    found
}

fn mark(text: &[u8]) -> Option<Mark> {
    let (group, rest) = number(text)?;
    let poison = match rest.first()? {
        b'v' => false,
        b'x' => true,
        _ => return None,
    };
    let (version, _) = number(&rest[1..])?;
    let group = usize::try_from(group).ok().filter(|group| *group < GROUPS)?;
    Some(Mark { group, version, poison })
}

fn number(text: &[u8]) -> Option<(i64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let value = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
    Some((value, &text[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_in_every_format() {
        let three = Mark { group: 3, version: 71, poison: false };
        let eleven = Mark { group: 11, version: 9, poison: true };
        for body in [
            r#"[{"k":3,"mark":"g3v71"},{"k":11,"mark":"g3v71"},{"mark":"g11x9"}]"#,
            "k,mark\r\n3,g3v71\r\n4,g11x9",
            "{\"mark\":\"g3v71\"}\n{\"mark\":\"g11x9\"}\n",
            r#"[{"name":"schema_g3v71"},{"name":"g11x9"}]"#,
        ] {
            assert_eq!(marks(body.as_bytes()), [three, eleven], "{body}");
        }
        assert_eq!(marks(text(11, 9, true).as_bytes()), [eleven]);
        assert_eq!(marks(b"[] big3v7 g3 g3v gv7 g99v1 g3w1"), []);
    }
}
