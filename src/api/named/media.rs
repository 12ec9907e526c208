//! The formats of a named route's answer.

use crate::api::problem::Problem;
use crate::api::table_query::Format;
use crate::config::Rows;
use crate::http::accept::{self, Media};

/// The formats of rows, the preferred one first.
pub const ROW_MEDIA: &[Media] = &[Media::Json, Media::Csv, Media::Ndjson];

/// The format of an answer: what `_format=` asks for, else what the `Accept` lines like best. A bare value has the type that its route names.
///
/// # Errors
/// A 406 that lists what there is.
pub fn media<'a>(rows: Rows, format: Option<Format>, accept: impl Iterator<Item = &'a [u8]>) -> Result<Media, Problem> {
    match (rows, format) {
        (Rows::Value, _) => return Ok(Media::Value),
        (_, Some(Format::Json)) => return Ok(Media::Json),
        (_, Some(Format::Csv)) => return Ok(Media::Csv),
        (_, Some(Format::Ndjson)) => return Ok(Media::Ndjson),
        (_, None) => {}
    }
    accept::choose(ROW_MEDIA, accept).ok_or_else(|| not_acceptable(ROW_MEDIA))
}

/// 406: none of the offered formats is among those that the client takes.
pub fn not_acceptable(offered: &[Media]) -> Problem {
    Problem::new(406, "not-acceptable", "No acceptable format")
        .detail(format_args!("None of the types in Accept is served here."))
        .allow(offered.iter().map(|media| media.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_wins_over_accept_and_a_value_over_both() {
        let of = |rows, format, accept: &'static str| media(rows, format, std::iter::once(accept.as_bytes()));
        assert_eq!(of(Rows::Many, None, "text/csv"), Ok(Media::Csv));
        assert_eq!(of(Rows::One, Some(Format::Ndjson), "text/csv"), Ok(Media::Ndjson));
        assert_eq!(of(Rows::Value, Some(Format::Csv), "image/png"), Ok(Media::Value));
        assert_eq!(of(Rows::Many, None, "image/png").map_err(|problem| problem.status), Err(406));
    }
}
