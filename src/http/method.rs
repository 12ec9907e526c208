//! The request methods that Flagstone knows, RFC 9110 §9 and RFC 5789 §2.

/// A method that has a meaning here. All others, `TRACE` and `CONNECT` among them, are answered with 501.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
}

impl Method {
    /// Length in bytes of the longest name; a longer word is unknown before its end is seen.
    pub(super) const LONGEST: usize = "OPTIONS".len();

    /// The method with this name; names are case-sensitive (RFC 9110 §9.1).
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"PATCH" => Self::Patch,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            _ => return None,
        })
    }

    /// The name as it is sent, for `Allow` and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }

    /// Whether the method asks for no change of state (RFC 9110 §9.2.1).
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Method; 7] =
        [Method::Get, Method::Head, Method::Post, Method::Put, Method::Patch, Method::Delete, Method::Options];

    #[test]
    fn every_name_leads_back_to_its_method_and_none_is_longer_than_the_longest() {
        for method in ALL {
            assert_eq!(Method::named(method.name().as_bytes()), Some(method));
            assert!(method.name().len() <= Method::LONGEST);
        }
    }

    #[test]
    fn names_are_case_sensitive_and_trace_and_connect_are_unknown() {
        for name in ["get", "Get", "TRACE", "CONNECT", "", "GETS"] {
            assert_eq!(Method::named(name.as_bytes()), None, "{name}");
        }
    }
}
