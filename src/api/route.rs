//! A path's meaning. Splits on `/` before anything is percent-decoded, because a table may be named `a/b`.

use crate::http::request::Method;

/// What a path asks for; segments are still percent-encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'p> {
    /// `/`: the tables, for people.
    Index,
    /// `/tables`: the tables, for programs.
    Tables,
    /// `/tables/T`: rows.
    Rows {
        /// The table's name as it stands in the path.
        table: &'p [u8],
    },
    /// `/tables/T/KEY`: one row.
    Row {
        /// The table's name as it stands in the path.
        table: &'p [u8],
        /// The key as it stands in the path, parts divided by commas.
        key: &'p [u8],
    },
    /// `/-/...`: for operators.
    Ops(Ops),
    /// Nothing of ours.
    None {
        /// Whether the path would mean something without its last slash.
        trailing_slash: bool,
    },
}

/// The operators' endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ops {
    /// `/-/health`
    Health,
    /// `/-/ready`
    Ready,
    /// `/-/metrics`, also `/metrics`
    Metrics,
    /// `/-/status`
    Status,
    /// `/-/budget`
    Budget,
    /// `/-/alerts`
    Alerts,
    /// `/-/risks`
    Risks,
    /// `/-/flags`
    Flags,
    /// `/-/flags/NAME`: PUT
    Flag,
    /// `/-/reload`: POST
    Reload,
    /// `/-/rollback`: POST
    Rollback,
    /// `/-/reset`: POST
    Reset,
    /// `/-/reset/pool`: POST
    ResetPool,
    /// `/-/cache`: DELETE
    Cache,
    /// `/-/drill/NAME`: POST
    Drill,
}

impl Ops {
    /// Whether it is a page to read; the others are things to do.
    pub const fn is_page(self) -> bool {
        self.change_method().is_none()
    }

    /// The method of the change that it is.
    pub const fn change_method(self) -> Option<Method> {
        match self {
            Ops::Health | Ops::Ready | Ops::Metrics | Ops::Status | Ops::Budget | Ops::Alerts | Ops::Risks | Ops::Flags => None,
            Ops::Flag => Some(Method::Put),
            Ops::Reload | Ops::Rollback | Ops::Reset | Ops::ResetPool | Ops::Drill => Some(Method::Post),
            Ops::Cache => Some(Method::Delete),
        }
    }
}

impl<'p> Route<'p> {
    /// The route of a path, without its query string.
    pub fn of(path: &'p [u8]) -> Route<'p> {
        match Route::exact(path) {
            Some(route) => route,
            None => {
                let bare = path.strip_suffix(b"/").unwrap_or(path);
                Route::None { trailing_slash: bare.len() < path.len() && Route::exact(bare).is_some() }
            }
        }
    }

    fn exact(path: &'p [u8]) -> Option<Route<'p>> {
        Some(match path {
            b"/" => Route::Index,
            b"/tables" => Route::Tables,
            b"/-/health" => Route::Ops(Ops::Health),
            b"/-/ready" => Route::Ops(Ops::Ready),
            b"/-/metrics" | b"/metrics" => Route::Ops(Ops::Metrics),
            b"/-/status" => Route::Ops(Ops::Status),
            b"/-/budget" => Route::Ops(Ops::Budget),
            b"/-/alerts" => Route::Ops(Ops::Alerts),
            b"/-/risks" => Route::Ops(Ops::Risks),
            b"/-/flags" => Route::Ops(Ops::Flags),
            b"/-/reload" => Route::Ops(Ops::Reload),
            b"/-/rollback" => Route::Ops(Ops::Rollback),
            b"/-/reset" => Route::Ops(Ops::Reset),
            b"/-/reset/pool" => Route::Ops(Ops::ResetPool),
            b"/-/cache" => Route::Ops(Ops::Cache),
            _ if path.starts_with(b"/-/flags/") => Route::Ops(Ops::Flag),
            _ if path.starts_with(b"/-/drill/") => Route::Ops(Ops::Drill),
            _ => return Route::of_table(path.strip_prefix(b"/tables/")?),
        })
    }

    fn of_table(rest: &'p [u8]) -> Option<Route<'p>> {
        let mut segments = rest.split(|&byte| byte == b'/');
        let table = segments.next().filter(|segment| !segment.is_empty())?;
        let Some(key) = segments.next() else {
            return Some(Route::Rows { table });
        };
        (!key.is_empty() && segments.next().is_none()).then_some(Route::Row { table, key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_their_routes() {
        let none = Route::None { trailing_slash: false };
        let slash = Route::None { trailing_slash: true };
        let cases: &[(&str, Route)] = &[
            ("/", Route::Index),
            ("/tables", Route::Tables),
            ("/tables/", slash),
            ("/tables/t", Route::Rows { table: b"t" }),
            ("/tables/a%2Fb", Route::Rows { table: b"a%2Fb" }),
            ("/tables/t/", slash),
            ("/tables/t/1", Route::Row { table: b"t", key: b"1" }),
            ("/tables/t/1,2%2C3", Route::Row { table: b"t", key: b"1,2%2C3" }),
            ("/tables/t/1/", slash),
            ("/tables/t/1/2", none),
            ("/tables//1", none),
            ("/tables/t//", none),
            ("/-/health", Route::Ops(Ops::Health)),
            ("/-/ready", Route::Ops(Ops::Ready)),
            ("/-/metrics", Route::Ops(Ops::Metrics)),
            ("/metrics", Route::Ops(Ops::Metrics)),
            ("/-/status", Route::Ops(Ops::Status)),
            ("/-/budget", Route::Ops(Ops::Budget)),
            ("/-/alerts", Route::Ops(Ops::Alerts)),
            ("/-/risks", Route::Ops(Ops::Risks)),
            ("/-/health/", slash),
            ("/-/flags", Route::Ops(Ops::Flags)),
            ("/-/flags/cache", Route::Ops(Ops::Flag)),
            ("/-/reset/pool", Route::Ops(Ops::ResetPool)),
            ("/-/drill/fall", Route::Ops(Ops::Drill)),
            ("/-/drill", none),
            ("/-/", none),
            ("/Tables", none),
            ("/favicon.ico", none),
            ("//", slash),
            ("", none),
        ];
        for (path, route) in cases {
            assert_eq!(Route::of(path.as_bytes()), *route, "{path}");
        }
    }
}
