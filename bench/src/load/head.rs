//! The head of a reply: status, framing, and whether the server closes (RFC 9112 §4, §6). Pure.

/// Longest head that is waited for; a server that sends more is malformed, not slow.
pub const HEAD_MAX: usize = 64 * 1024;
/// Most header fields in one head.
pub const FIELDS_MAX: usize = 128;
/// Why a reply cannot be understood. The connection is useless afterwards: its framing is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// httparse refuses the head.
    Head,
    /// The head passes [`HEAD_MAX`] or [`FIELDS_MAX`].
    HeadTooLarge,
    /// A length that is no number, two that differ, or a length beside Transfer-Encoding (RFC 9112 §6.3).
    Length,
    /// A bad chunk-size line, or data that does not end in CR LF.
    Chunk,
}

/// The framing that a head announces.
pub enum Framing {
    /// 1xx: the reply proper follows.
    Interim,
    /// No body, whatever the fields say.
    Empty,
    /// So many bytes.
    Length(u64),
    /// Chunks (RFC 9112 §7.1).
    Chunked,
    /// All until the connection ends.
    UntilClose,
}

/// What a head says about its reply.
pub struct Head {
    /// Bytes of the head itself.
    pub length: usize,
    /// Status code.
    pub status: u16,
    /// The server closes after the body.
    pub close: bool,
    /// How the body ends.
    pub framing: Framing,
}

/// Parses a head; None while it is incomplete. `head_only` says that the request was HEAD.
pub fn parse(bytes: &[u8], head_only: bool) -> Result<Option<Head>, Malformed> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length > HEAD_MAX => {
            return Err(Malformed::HeadTooLarge);
        }
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Malformed::HeadTooLarge),
        Err(_) => return Err(Malformed::Head),
    };
    // A complete parse has both; 0 would be a status that no server can send.
    let status = response.code.unwrap_or(0);
    let minor = response.version.unwrap_or(1);
    let (mut announced, mut chunked, mut encoded, mut closing, mut keeping) = (None, false, false, false, false);
    for field in response.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            let length = digits(field.value)?;
            if announced.is_some_and(|before| before != length) {
                return Err(Malformed::Length);
            }
            announced = Some(length);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            encoded = true;
            chunked = tokens(field.value).last().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"));
        } else if field.name.eq_ignore_ascii_case("connection") {
            closing |= tokens(field.value).any(|token| token.eq_ignore_ascii_case(b"close"));
            keeping |= tokens(field.value).any(|token| token.eq_ignore_ascii_case(b"keep-alive"));
        }
    }
    let framing = match (status, announced) {
        (100 | 102..=199, _) => Framing::Interim,
        (101 | 204 | 304, _) => Framing::Empty,
        _ if head_only => Framing::Empty,
        (_, Some(_)) if encoded => return Err(Malformed::Length),
        (_, Some(length)) => Framing::Length(length),
        (_, None) if chunked => Framing::Chunked,
        (_, None) => Framing::UntilClose,
    };
    let close = closing || (minor == 0 && !keeping) || matches!(framing, Framing::UntilClose);
    Ok(Some(Head { length, status, close, framing }))
}

/// Digits only: Rust's own parse would take "+5".
fn digits(value: &[u8]) -> Result<u64, Malformed> {
    let text = std::str::from_utf8(value).map_err(|_| Malformed::Length)?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Malformed::Length);
    }
    text.parse().map_err(|_| Malformed::Length)
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}
