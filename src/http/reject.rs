//! Why a request was refused before it had a meaning: status, stable slug, and what would have been right.

/// A refusal by the reader. Where a request ends is in doubt after each of them, so all of them close the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reject {
    /// A line feed without a carriage return before it.
    BareLf,
    /// A carriage return without a line feed after it.
    BareCr,
    /// The request line has not three parts with single spaces.
    RequestLine,
    /// The method is not a token.
    MethodName,
    /// A byte that no request target may hold.
    TargetByte,
    /// Neither origin-form, nor absolute-form, nor `*`.
    TargetForm,
    /// `*` with a method other than `OPTIONS`.
    AsteriskMethod,
    /// The authority of an absolute-form target is malformed.
    TargetAuthority,
    /// The version is not `HTTP/` digit `.` digit.
    VersionForm,
    /// A field line that begins with white space.
    ObsFold,
    /// White space between a field's name and its colon.
    SpaceBeforeColon,
    /// A field's name is empty, not a token, or has no colon after it.
    FieldName,
    /// A control character in a field's value.
    FieldValue,
    /// HTTP/1.1 without `Host`.
    HostMissing,
    /// More than one `Host`.
    HostRepeated,
    /// `Host` is not a host with an optional port.
    HostMalformed,
    /// Both `Content-Length` and `Transfer-Encoding`.
    LengthAndEncoding,
    /// More than one `Content-Length`, equal ones included.
    LengthRepeated,
    /// `Content-Length` is not a plain decimal number.
    LengthMalformed,
    /// `Transfer-Encoding` on HTTP/1.0.
    EncodingVersion,
    /// `Transfer-Encoding` is not exactly one `chunked`.
    EncodingMalformed,
    /// A chunk's size is not one to eight hexadecimal digits.
    ChunkSize,
    /// A chunk extension outside the grammar.
    ChunkExtension,
    /// More chunk extensions than any client needs.
    ChunkExtensionsTooLong,
    /// A chunk's data is not followed by CRLF.
    ChunkEnd,
    /// The body is larger than the limit.
    BodyTooLarge,
    /// The target is longer than the limit.
    TargetTooLong,
    /// An expectation other than `100-continue`.
    Expectation,
    /// The head is larger than the limit.
    HeadTooLarge,
    /// More than [`FIELDS`](super::request::FIELDS) fields.
    TooManyFields,
    /// The trailers are larger or more than the limit.
    TrailersTooLarge,
    /// A method that Flagstone does not know.
    UnknownMethod,
    /// A transfer coding that Flagstone does not know, before a final `chunked`.
    UnknownEncoding,
    /// A major version other than 1.
    UnsupportedVersion,
}

impl Reject {
    /// Every refusal, for tables of problems and counters.
    pub const ALL: [Self; 34] = [
        Self::BareLf,
        Self::BareCr,
        Self::RequestLine,
        Self::MethodName,
        Self::TargetByte,
        Self::TargetForm,
        Self::AsteriskMethod,
        Self::TargetAuthority,
        Self::VersionForm,
        Self::ObsFold,
        Self::SpaceBeforeColon,
        Self::FieldName,
        Self::FieldValue,
        Self::HostMissing,
        Self::HostRepeated,
        Self::HostMalformed,
        Self::LengthAndEncoding,
        Self::LengthRepeated,
        Self::LengthMalformed,
        Self::EncodingVersion,
        Self::EncodingMalformed,
        Self::ChunkSize,
        Self::ChunkExtension,
        Self::ChunkExtensionsTooLong,
        Self::ChunkEnd,
        Self::BodyTooLarge,
        Self::TargetTooLong,
        Self::Expectation,
        Self::HeadTooLarge,
        Self::TooManyFields,
        Self::TrailersTooLarge,
        Self::UnknownMethod,
        Self::UnknownEncoding,
        Self::UnsupportedVersion,
    ];

    /// The status of the answer.
    pub const fn status(&self) -> u16 {
        match self {
            Self::BodyTooLarge => 413,
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::HeadTooLarge | Self::TooManyFields | Self::TrailersTooLarge => 431,
            Self::UnknownMethod | Self::UnknownEncoding => 501,
            Self::UnsupportedVersion => 505,
            _ => 400,
        }
    }

    /// The stable last part of the problem's `type`.
    pub const fn slug(&self) -> &'static str {
        match self {
            Self::BareLf => "bare-lf",
            Self::BareCr => "bare-cr",
            Self::RequestLine => "request-line",
            Self::MethodName => "method-name",
            Self::TargetByte => "target-byte",
            Self::TargetForm => "target-form",
            Self::AsteriskMethod => "asterisk-method",
            Self::TargetAuthority => "target-authority",
            Self::VersionForm => "version-form",
            Self::ObsFold => "obs-fold",
            Self::SpaceBeforeColon => "space-before-colon",
            Self::FieldName => "field-name",
            Self::FieldValue => "field-value",
            Self::HostMissing => "host-missing",
            Self::HostRepeated => "host-repeated",
            Self::HostMalformed => "host-malformed",
            Self::LengthAndEncoding => "length-and-encoding",
            Self::LengthRepeated => "length-repeated",
            Self::LengthMalformed => "length-malformed",
            Self::EncodingVersion => "encoding-version",
            Self::EncodingMalformed => "encoding-malformed",
            Self::ChunkSize => "chunk-size",
            Self::ChunkExtension => "chunk-extension",
            Self::ChunkExtensionsTooLong => "chunk-extensions-too-long",
            Self::ChunkEnd => "chunk-end",
            Self::BodyTooLarge => "body-too-large",
            Self::TargetTooLong => "target-too-long",
            Self::Expectation => "expectation",
            Self::HeadTooLarge => "head-too-large",
            Self::TooManyFields => "too-many-fields",
            Self::TrailersTooLarge => "trailers-too-large",
            Self::UnknownMethod => "unknown-method",
            Self::UnknownEncoding => "unknown-encoding",
            Self::UnsupportedVersion => "unsupported-version",
        }
    }

    /// What was wrong and what would be right; plain ASCII without quotes, so that it goes into JSON as it is.
    #[rustfmt::skip] // one refusal, one line
    pub const fn detail(&self) -> &'static str {
        match self {
            Self::BareLf => "a line ends in LF alone; every line of a head or of chunk framing ends in CRLF",
            Self::BareCr => "a CR without LF after it; every line of a head or of chunk framing ends in CRLF",
            Self::RequestLine => "the request line is METHOD SP target SP HTTP/1.1 with single spaces",
            Self::MethodName => "the method holds a byte that is not a letter, digit or token character",
            Self::TargetByte => "the target holds a control, space, non-ASCII byte or #; percent-encode it",
            Self::TargetForm => "the target begins with /, http:// or https://, or is * with OPTIONS",
            Self::AsteriskMethod => "the target * goes with OPTIONS only",
            Self::TargetAuthority => "the authority in the target is host or host:port, without user information",
            Self::VersionForm => "the version is HTTP/1.1 or HTTP/1.0, in capitals, directly before CRLF",
            Self::ObsFold => "a field line begins with white space; send each field on one line",
            Self::SpaceBeforeColon => "white space between a field name and its colon; put the colon directly after the name",
            Self::FieldName => "a field line is name: value with a name of token characters",
            Self::FieldValue => "a field value holds a control character; only tabs are allowed",
            Self::HostMissing => "HTTP/1.1 needs a Host field",
            Self::HostRepeated => "more than one Host field; send exactly one",
            Self::HostMalformed => "Host is a name, an IPv4 address or a bracketed IPv6 address, with an optional :port",
            Self::LengthAndEncoding => "both Content-Length and Transfer-Encoding; send one of them",
            Self::LengthRepeated => "more than one Content-Length field; send exactly one",
            Self::LengthMalformed => "Content-Length is one decimal number without sign, space or list",
            Self::EncodingVersion => "HTTP/1.0 has no Transfer-Encoding; use Content-Length or HTTP/1.1",
            Self::EncodingMalformed => "Transfer-Encoding is exactly: chunked",
            Self::ChunkSize => "a chunk size is 1 to 8 hexadecimal digits, without prefix, sign or space",
            Self::ChunkExtension => "a chunk extension is ;name or ;name=value with tokens or a quoted string",
            Self::ChunkExtensionsTooLong => "the chunk extensions of one body may hold 256 bytes in all",
            Self::ChunkEnd => "chunk data of the announced size is followed by CRLF",
            Self::BodyTooLarge => "the body is larger than this server takes; send it in smaller parts",
            Self::TargetTooLong => "the request target is longer than this server takes; shorten path or query",
            Self::Expectation => "the only expectation that can be met is 100-continue",
            Self::HeadTooLarge => "the head is larger than this server takes; send fewer or shorter fields",
            Self::TooManyFields => "a head may hold 64 fields",
            Self::TrailersTooLarge => "the trailers may hold 16 fields and 1024 bytes",
            Self::UnknownMethod => "known methods are GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS",
            Self::UnknownEncoding => "the only transfer coding that this server knows is chunked",
            Self::UnsupportedVersion => "this server speaks HTTP/1.0 and HTTP/1.1",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_distinct_and_details_go_into_json_as_they_are() {
        for (i, one) in Reject::ALL.iter().enumerate() {
            assert!(matches!(one.status(), 400 | 413 | 414 | 417 | 431 | 501 | 505));
            assert!(one.slug().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
            assert!(one.detail().bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\'));
            assert!(one.detail().len() <= 120, "a problem stays under 512 bytes");
            for other in &Reject::ALL[i + 1..] {
                assert_ne!(one.slug(), other.slug());
            }
        }
    }
}
