//! Which format the client would like best: `Accept`, RFC 9110 §12.5.1.

use std::iter;

use super::list::{parts, trimmed};

/// A format that Flagstone can answer in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// `application/json`
    Json,
    /// `text/csv`
    Csv,
    /// `application/x-ndjson`
    Ndjson,
    /// `text/html`
    Html,
    /// A bare value, of the type that its route names; never negotiated.
    Value,
}

impl Media {
    const ALL: [Self; 5] = [Self::Json, Self::Csv, Self::Ndjson, Self::Html, Self::Value];

    /// The media type without parameters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv",
            Self::Ndjson => "application/x-ndjson",
            Self::Html => "text/html",
            Self::Value => "text/plain",
        }
    }

    /// How closely `range` names this type: 3 exactly, 2 as `type/*`, 1 as `*/*`, 0 not at all. Parameters are left
    /// out of it: `application/json; charset=utf-8` is a common spelling of the plain type.
    fn closeness(self, range: &[u8]) -> u8 {
        let name = self.name().as_bytes();
        if range.eq_ignore_ascii_case(name) {
            return 3;
        }
        if range == b"*/*" {
            return 1;
        }
        match range.strip_suffix(b"*") {
            Some(kind) if kind.ends_with(b"/") => {
                let same = name.get(..kind.len()).is_some_and(|head| head.eq_ignore_ascii_case(kind));
                2 * u8::from(same)
            }
            _ => 0,
        }
    }
}

/// What is known of one format's weight: by how close a range, and in thousandths.
#[derive(Clone, Copy, Default)]
struct Weight {
    closeness: u8,
    thousandths: u16,
}

/// The best of `offered` by all `Accept` lines. The closest range gives a format's weight; the highest weight wins, and
/// among equals the one offered first. No line, or nothing well-formed in them, accepts everything. `None` is a 406.
pub fn choose<'a>(offered: &[Media], mut accept: impl Iterator<Item = &'a [u8]>) -> Option<Media> {
    let (Some(line), another) = (accept.next(), accept.next()) else { return offered.first().copied() };
    // What most clients send: one range without a weight.
    if another.is_none() {
        if line == b"*/*" {
            return offered.first().copied();
        }
        if let Some(media) = Media::ALL.into_iter().find(|media| media.name().as_bytes() == line) {
            return offered.contains(&media).then_some(media);
        }
    }
    let mut weights = [Weight::default(); Media::ALL.len()];
    let mut asked = false;
    for element in iter::once(line).chain(another).chain(accept).flat_map(|line| parts(line, b',')) {
        let Some((range, thousandths)) = read_range(element) else {
            continue;
        };
        asked = true;
        for media in Media::ALL {
            let known = &mut weights[media as usize];
            let closeness = media.closeness(range);
            if closeness > known.closeness {
                *known = Weight { closeness, thousandths };
            } else if closeness == known.closeness && closeness > 0 {
                known.thousandths = known.thousandths.max(thousandths);
            }
        }
    }
    if !asked {
        return offered.first().copied();
    }
    let mut best: Option<(Media, u16)> = None;
    for &media in offered {
        let weight = weights[media as usize].thousandths;
        if weight > best.map_or(0, |(_, highest)| highest) {
            best = Some((media, weight));
        }
    }
    best.map(|(media, _)| media)
}

/// The range and its weight in `type/subtype *( ; parameter )`; `None` when malformed.
fn read_range(element: &[u8]) -> Option<(&[u8], u16)> {
    let mut sections = parts(element, b';');
    let range = sections.next()?;
    if !range.contains(&b'/') {
        return None;
    }
    let mut weight = 1000;
    for parameter in sections {
        if let [b'q' | b'Q', value @ ..] = parameter
            && let Some(value) = trimmed(value).strip_prefix(b"=")
        {
            weight = thousandths(trimmed(value))?;
        }
    }
    Some((range, weight))
}

/// RFC 9110 §12.4.2: 0 to 1 with up to three decimals.
fn thousandths(value: &[u8]) -> Option<u16> {
    let (whole, decimals) = match value {
        [whole @ (b'0' | b'1')] => (*whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', decimals @ ..] if decimals.len() <= 3 => (*whole, decimals),
        _ => return None,
    };
    let mut sum = u16::from(whole - b'0');
    for at in 0..3 {
        let digit = decimals.get(at).copied().unwrap_or(b'0');
        sum = sum * 10 + digit.is_ascii_digit().then(|| u16::from(digit - b'0'))?;
    }
    (sum <= 1000).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Media::{Csv, Html, Json, Ndjson};

    fn best(offered: &[Media], lines: &[&str]) -> Option<Media> {
        choose(offered, lines.iter().map(|line| line.as_bytes()))
    }

    #[test]
    fn the_choice_follows_weights_then_the_order_offered() {
        let all = &[Json, Csv, Ndjson, Html];
        for (lines, expected) in [
            (&[][..], Some(Json)),
            (&[""], Some(Json)),
            (&["*/*"], Some(Json)),
            (&["text/csv"], Some(Csv)),
            (&["TEXT/CSV"], Some(Csv)),
            (&["application/x-ndjson"], Some(Ndjson)),
            (&["text/*"], Some(Csv)),
            (&["text/*;q=0.5, application/json;q=0.4"], Some(Csv)),
            (&["text/csv;q=0.5", "text/html;q=0.6"], Some(Html)),
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], Some(Html)),
            (&["text/html;q=0.1, */*;q=0.2"], Some(Json)),
            (&["*/*, application/json;q=0"], Some(Csv)),
            (&["*/*;q=0"], None),
            (&["image/png"], None),
            (&["text/csv;q=0"], None),
            (&["text/csv;q=0.000, text/html ; Q = 0.001"], Some(Html)),
            (&["application/json; charset=utf-8"], Some(Json)),
            (&["text/html;level=\"a,b;q=0\", application/json;q=0.9"], Some(Html)),
            (&["text/csv;q=2"], Some(Json)),
            (&["text/csv;q=1.001, text/html"], Some(Html)),
            (&["gibberish"], Some(Json)),
            (&["application/jsonx"], None),
            (&["app*/*"], None),
            (&["text/csv;q=0.3, text/csv;q=0.9, text/html;q=0.5"], Some(Csv)),
        ] {
            assert_eq!(best(all, lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn only_what_is_offered_is_chosen() {
        assert_eq!(best(&[Json], &["text/csv, */*;q=0.1"]), Some(Json));
        assert_eq!(best(&[Json], &["text/csv"]), None);
        assert_eq!(best(&[Html, Json], &["*/*"]), Some(Html));
        assert_eq!(best(&[], &[]), None);
        assert_eq!(best(&[Json], &["text/plain"]), None);
        assert_eq!(best(&[Csv, Json], &["*/*", "application/json"]), Some(Csv));
    }

    #[test]
    fn weights_have_at_most_three_decimals() {
        for (value, expected) in [("1", 1000), ("0", 0), ("0.", 0), ("0.5", 500), ("0.123", 123), ("1.000", 1000)] {
            assert_eq!(thousandths(value.as_bytes()), Some(expected), "{value}");
        }
        for value in ["", "2", ".5", "0.1234", "1.001", "0.x", "-1", "0,5"] {
            assert_eq!(thousandths(value.as_bytes()), None, "{value}");
        }
    }
}
