//! Tokens: how one is made, read out of a request and compared with those of the configuration. Knows their digests, never whose they are.
//!
//! A token is 256 random bits, so its plain SHA-256 is enough: there is no dictionary of those that a slow hash would have to hold up.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

/// What our tokens begin with, so that people and secret scanners know one when they see it.
const PREFIX: &str = "flg_";
/// Characters of a token: the prefix, and 32 bytes in base64url.
pub const TOKEN_CHARS: usize = PREFIX.len() + 43;
/// Characters of a digest as the configuration writes it.
pub const DIGEST_CHARS: usize = DIGEST_PREFIX.len() + 64;
/// The longest token that is looked at, in bytes: hashing is paid for by whoever sends it, but with our time.
pub const PRESENTED_BYTES: usize = 256;

const DIGEST_PREFIX: &str = "sha256:";

/// What a request brings to prove who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presented<'a> {
    /// No `Authorization` at all.
    Nothing,
    /// Something that is no bearer token: another scheme, two fields, no token68, or more than [`PRESENTED_BYTES`].
    Unreadable,
    /// A token, of which nothing is known yet.
    Token(&'a [u8]),
}

/// What the `Authorization` lines of a request present (RFC 9110 §11.6.2, which allows one; RFC 6750 §2.1).
pub fn presented<'a>(mut lines: impl Iterator<Item = &'a [u8]>) -> Presented<'a> {
    match (lines.next(), lines.next()) {
        (None, _) => Presented::Nothing,
        (Some(line), None) => bearer(line).map_or(Presented::Unreadable, Presented::Token),
        // Which of two a proxy in front of us had judged is anybody's guess.
        (Some(_), Some(_)) => Presented::Unreadable,
    }
}

/// The token in `Bearer SP token68`: the scheme in any case, one space or more, then the token and nothing else.
pub fn bearer(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"Bearer";
    let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
    let token = rest.trim_ascii_start();
    let spaces = &rest[..rest.len() - token.len()];
    let separated = !spaces.is_empty() && spaces.iter().all(|&byte| byte == b' ');
    (scheme.eq_ignore_ascii_case(SCHEME) && separated && token.len() <= PRESENTED_BYTES && is_token68(token)).then_some(token)
}

/// RFC 9110 §11.2: letters, digits and `-._~+/`, one at least, then any number of `=`.
fn is_token68(token: &[u8]) -> bool {
    let padding = token.iter().rev().take_while(|&&byte| byte == b'=').count();
    let body = &token[..token.len() - padding];
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    !body.is_empty() && body.iter().all(plain)
}

/// Which of the configuration's digests `token` has: the first one's place. The time tells neither whether there is one nor which: every
/// digest is compared, whole, and the place is chosen without a branch.
pub fn matching<'a>(token: &[u8], digests: impl Iterator<Item = &'a [u8; 32]>) -> Option<u8> {
    let digest = digest(token);
    let (mut found, mut place) = (Choice::from(0), 0_u8);
    for (index, known) in (0..u8::MAX).zip(digests) {
        let equal = digest.as_slice().ct_eq(known.as_slice());
        place.conditional_assign(&index, equal & !found);
        found |= equal;
    }
    bool::from(found).then_some(place)
}

/// SHA-256 of a token, as the configuration keeps it.
pub fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// The token of 32 random bytes, which the caller has from the kernel; shown once and never kept.
pub fn make(random: [u8; 32]) -> heapless::String<TOKEN_CHARS> {
    let mut text = [0; TOKEN_CHARS - PREFIX.len()];
    let written = URL_SAFE_NO_PAD.encode_slice(random, &mut text).expect("32 bytes are 43 characters");
    let mut token = heapless::String::new();
    for part in [PREFIX, core::str::from_utf8(&text[..written]).expect("base64 is ASCII")] {
        token.push_str(part).expect("prefix and 43 characters are TOKEN_CHARS");
    }
    token
}

/// A digest as the configuration writes it: `sha256:` and 64 hexadecimal digits.
pub fn digest_text(digest: &[u8; 32]) -> heapless::String<DIGEST_CHARS> {
    let mut text = heapless::String::new();
    text.push_str(DIGEST_PREFIX).expect("DIGEST_CHARS counts the prefix");
    for nibble in digest.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        text.push(char::from(b"0123456789abcdef"[usize::from(nibble)])).expect("DIGEST_CHARS counts 64 digits");
    }
    text
}

/// The digest that [`digest_text`] writes, its digits in either case; `None` for anything else.
pub fn read_digest(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix(DIGEST_PREFIX)?.as_bytes();
    let mut digest = [0; 32];
    if digits.len() != 2 * digest.len() {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    for (byte, pair) in digest.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_a_bearer_token_of_token68_is_presented() {
        let long = [b"Bearer ".to_vec(), vec![b'a'; PRESENTED_BYTES]].concat();
        let too_long = [&long[..], b"a"].concat();
        let cases: [(&[u8], Option<&[u8]>); 20] = [
            (b"Bearer abc", Some(b"abc")),
            (b"bEARER abc", Some(b"abc")),
            (b"Bearer    abc", Some(b"abc")),
            (b"Bearer a-._~+/Z9==", Some(b"a-._~+/Z9==")),
            (&long, Some(&long[7..])),
            (&too_long, None),
            (b"", None),
            (b"Bearer", None),
            (b"Bearer ", None),
            (b"Bearer=abc", None),
            (b"Bearerabc", None),
            (b"Bearer\tabc", None),
            (b"Bearer \tabc", None),
            (b"Bearer =", None),
            (b"Bearer a=b", None),
            (b"Bearer a b", None),
            (b"Bearer a, Bearer b", None),
            (b"Bearer \"abc\"", None),
            (b"Bearer \xc3\xa4", None),
            (b"Basic YTpi", None),
        ];
        for (value, token) in cases {
            assert_eq!(bearer(value), token, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn two_fields_smuggle_no_second_token_past_a_proxy() {
        let lines = |lines: &[&'static str]| presented(lines.iter().map(|line| line.as_bytes()).collect::<Vec<_>>().into_iter());
        assert_eq!(lines(&[]), Presented::Nothing);
        assert_eq!(lines(&["Bearer a"]), Presented::Token(b"a"));
        assert_eq!(lines(&["Bearer a", "Bearer b"]), Presented::Unreadable);
        assert_eq!(lines(&["Basic YTpi"]), Presented::Unreadable);
    }

    #[test]
    fn a_token_is_found_at_its_place_and_no_other_is() {
        let digests: Vec<[u8; 32]> = ["display", "sensor", "ops"].iter().map(|token| digest(token.as_bytes())).collect();
        let cases = [
            ("display", Some(0)),
            ("sensor", Some(1)),
            ("ops", Some(2)),
            ("op", None),
            ("ops ", None),
            ("Display", None),
            ("", None),
        ];
        for (token, place) in cases {
            assert_eq!(matching(token.as_bytes(), digests.iter()), place, "{token}");
        }
        assert_eq!(matching(b"a", [].iter()), None, "without tokens there is none that is right");
        let twice = [digest(b"b"), digest(b"a"), digest(b"a")];
        assert_eq!(matching(b"a", twice.iter()), Some(1), "the first of two equal ones");
    }

    #[test]
    fn a_stolen_configuration_opens_nothing() {
        let token = make([7; 32]);
        let kept = digest(token.as_bytes());
        assert_eq!(matching(digest_text(&kept).as_bytes(), [kept].iter()), None);
        assert_eq!(matching(&kept, [kept].iter()), None);
    }

    #[test]
    fn every_digest_is_compared_though_the_first_is_right() {
        let digests = [digest(b"a"); 5];
        let mut compared = 0;
        assert_eq!(matching(b"a", digests.iter().inspect(|_| compared += 1)), Some(0));
        assert_eq!(compared, 5);
        // A digest that differs in its first byte, in its last or nowhere: the answer is exact.
        for at in [0, 31] {
            let mut near = digest(b"a");
            near[at] ^= 1;
            assert_eq!(matching(b"a", [near].iter()), None);
        }
    }

    #[test]
    fn a_known_token_has_its_known_digest() {
        assert_eq!(make([0; 32]).as_str(), "flg_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(make([0xff; 32]).as_str(), format!("flg_{}8", "_".repeat(42)));
        let text = digest_text(&digest(b"abc"));
        assert_eq!(text.as_str(), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(read_digest(&text.to_ascii_uppercase()), None, "the prefix is in lower case");
        for wrong in
            ["", "sha256:", &text[7..], &text[..70], &format!("{text}0"), &text.replace('b', "g"), &text.replace('b', "+")]
        {
            assert_eq!(read_digest(wrong), None, "{wrong}");
        }
        assert_eq!(read_digest(&text.replace('b', "B")), Some(digest(b"abc")));
    }

    proptest! {
        #[test]
        fn a_made_token_is_presented_and_found(random: [u8; 32], other: [u8; 32]) {
            let token = make(random);
            let line = format!("Bearer {token}");
            prop_assert_eq!(token.len(), TOKEN_CHARS);
            prop_assert_eq!(bearer(line.as_bytes()), Some(token.as_bytes()));
            let digests = [digest(make(other).as_bytes()), digest(token.as_bytes())];
            prop_assert_eq!(matching(token.as_bytes(), digests.iter()), Some(u8::from(other != random)));
        }

        #[test]
        fn a_digest_survives_its_text(bytes: [u8; 32]) {
            prop_assert_eq!(read_digest(&digest_text(&bytes)), Some(bytes));
        }

        #[test]
        fn any_bytes_are_judged_without_a_panic(value: Vec<u8>) {
            if let Some(token) = bearer(&value) {
                prop_assert!(is_token68(token) && value.ends_with(token));
            }
        }
    }
}
