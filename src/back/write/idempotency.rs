//! Answers that are kept by their Idempotency-Key, in the transaction of the write that they answer (draft-ietf-httpapi-idempotency-key-header).
//!
//! The digest of a request is salted and lies with its salt, so it means the same after a restart, and nobody can make another request with it.

use std::hash::Hasher;

use rusqlite::types::ValueRef;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::api::problem::Problem;
use crate::back::constraint::{Fault, fault};
use crate::back::held::Held;
use crate::back::sqlite_error::SqliteError;
use crate::back::statement::Statement;
use crate::budget::ANSWER_BYTES;
use crate::config::Verb;
use crate::http::accept::Media;
use crate::http::request::Request;
use crate::job::{Done, Reply};
use crate::memory::Span;
use crate::memory::sink::Sink;

/// Makes the table and the index by which its old rows go, where they are missing.
pub const OWN_SCHEMA: &str = "CREATE TABLE IF NOT EXISTS main.flagstone_idempotency(key TEXT NOT NULL, route TEXT NOT NULL, \
    digest BLOB NOT NULL, status INT NOT NULL, media INT NOT NULL, body BLOB NOT NULL, at INTEGER NOT NULL, \
    PRIMARY KEY (route, key)) WITHOUT ROWID; \
    CREATE INDEX IF NOT EXISTS main.flagstone_idempotency_at ON flagstone_idempotency(at)";
/// How long an answer is kept is in both: 24 h.
const FIND: &str = "SELECT digest, status, media, body FROM main.flagstone_idempotency \
    WHERE route = ?1 || ' ' || ?2 AND key = ?3 AND at > unixepoch() - 86400";
const KEEP: &str = "INSERT OR REPLACE INTO main.flagstone_idempotency(route, key, digest, status, media, body, at) \
    VALUES (?1 || ' ' || ?2, ?3, ?4, ?5, ?6, ?7, unixepoch())";
/// A few with each that comes: more than one, so that the table shrinks again.
const FORGET: &str = "DELETE FROM main.flagstone_idempotency WHERE (route, key) IN \
    (SELECT route, key FROM main.flagstone_idempotency WHERE at <= unixepoch() - 86400 ORDER BY at LIMIT 4)";

/// Characters of a key.
const KEY_BYTES: usize = 255;
/// Bytes of an answer that is kept.
const KEPT_BYTES: usize = if ANSWER_BYTES < 32 * 1024 { ANSWER_BYTES } else { 32 * 1024 };
const SALT: usize = 16;
const DIGEST: usize = 32;

/// Whose answer is kept: a client's key at a route.
pub struct Key<'k> {
    verb: &'static str,
    path: &'k str,
    key: &'k str,
}

/// What is known of a key.
pub enum Earlier {
    /// Nothing: it is new.
    Nothing,
    /// The answer to the same request, which stands in the reply now.
    Answer(Done),
}

impl<'k> Key<'k> {
    /// The key in a request's field lines; `None` without one.
    ///
    /// # Errors
    /// 400 for more than one, and for what is not 1 to 255 visible ASCII characters.
    pub fn of(mut fields: impl Iterator<Item = &'k [u8]>, path: &'k str, verb: Verb) -> Result<Option<Key<'k>>, Problem> {
        let Some(first) = fields.next() else { return Ok(None) };
        let visible = (1..=KEY_BYTES).contains(&first.len()) && first.iter().all(u8::is_ascii_graphic);
        let key = std::str::from_utf8(first).ok().filter(|_| visible && fields.next().is_none());
        let key = key.ok_or_else(|| {
            Problem::new(400, "bad-idempotency-key", "Malformed Idempotency-Key")
                .detail(format_args!("one field of 1 to {KEY_BYTES} visible ASCII characters"))
                .hint(format_args!("use a random UUID for each write"))
        })?;
        Ok(Some(Key { verb: verb.name(), path, key }))
    }

    fn bind(&self, statement: &mut Statement<'_>) -> Result<(), SqliteError> {
        for (at, text) in [self.verb, self.path, self.key].into_iter().enumerate() {
            statement.bind(at + 1, ValueRef::Text(text.as_bytes()))?;
        }
        Ok(())
    }
}

/// Looks for the answer to an earlier request with this key, and puts it into the reply.
///
/// # Errors
/// 422 when that was another request.
pub fn earlier(
    held: &mut Held<'_>, key: &Key<'_>, bytes: &[u8], request: &Request, route: u16, reply: &mut Reply,
) -> Result<Earlier, Fault> {
    let told = |error: SqliteError| fault(&error);
    let statement = held.get(FIND).map_err(told)?;
    key.bind(statement).map_err(told)?;
    let mut rows = statement.rows();
    let Some(row) = rows.next().map_err(told)? else { return Ok(Earlier::Nothing) };
    let (ValueRef::Blob(kept), ValueRef::Integer(status), ValueRef::Integer(media), ValueRef::Blob(body)) =
        (row.value(0), row.value(1), row.value(2), row.value(3))
    else {
        // Somebody else wrote this row.
        return Ok(Earlier::Nothing);
    };
    let same = kept.first_chunk().is_some_and(|&salt| digest(salt, bytes, request) == kept);
    if !same {
        let problem = Problem::new(422, "idempotency-key-reused", "The Idempotency-Key was used before")
            .detail(format_args!("with another path, query or body"))
            .hint(format_args!("use a new key for each write"));
        return Err(problem.into());
    }
    let start = reply.len();
    // Alone in the reply it fits: it did when it was kept.
    reply.put(body).map_err(|_| Fault::Later)?;
    let span = Span::between(start, reply.len());
    let status = u16::try_from(status).unwrap_or(200);
    Ok(Earlier::Answer(Done { status, media: media_of(media), span, route, replayed: true }))
}

/// Keeps a write's answer, and forgets a few that are too old.
///
/// # Errors
/// 500 when it is too long to be kept.
pub fn keep(held: &mut Held<'_>, key: &Key<'_>, bytes: &[u8], request: &Request, done: &Done, body: &[u8]) -> Result<(), Fault> {
    if body.len() > KEPT_BYTES {
        let problem = Problem::new(500, "answer-too-large", "The answer is too large")
            .detail(format_args!("An idempotent route's answer may have {KEPT_BYTES} bytes; nothing was written."))
            .hint(format_args!("give fewer columns back"));
        return Err(problem.into());
    }
    let told = |error: SqliteError| fault(&error);
    let salt = salt(held, key);
    let digest = digest(salt, bytes, request);
    let statement = held.get(KEEP).map_err(told)?;
    key.bind(statement).map_err(told)?;
    let values = [
        ValueRef::Blob(&digest),
        ValueRef::Integer(i64::from(done.status)),
        ValueRef::Integer(number_of(done.media)),
        ValueRef::Blob(body),
    ];
    for (at, value) in values.into_iter().enumerate() {
        statement.bind(at + 4, value).map_err(told)?;
    }
    let kept = statement.run().map_err(told);
    statement.clear_bindings();
    kept?;
    held.get(FORGET).and_then(|statement| statement.run()).map_err(told)
}

/// Unknown to clients: this process's secret and the key tell it.
fn salt(held: &Held<'_>, key: &Key<'_>) -> [u8; SALT] {
    held.secret(key.key.as_bytes())
}

/// The salt, and under it path, query and body.
fn digest(salt: [u8; SALT], bytes: &[u8], request: &Request) -> [u8; DIGEST] {
    let mut hasher = SipHasher13::new_with_key(&salt);
    for part in [request.path(bytes), request.query(bytes).unwrap_or_default(), request.body(bytes)] {
        hasher.write(&(part.len() as u64).to_le_bytes());
        hasher.write(part);
    }
    let mut digest = [0; DIGEST];
    digest[..SALT].copy_from_slice(&salt);
    digest[SALT..].copy_from_slice(&hasher.finish128().as_bytes());
    digest
}

/// What a body is, as the table has it: never renumbered.
const MEDIA: [(i64, Option<Media>); 5] =
    [(0, None), (1, Some(Media::Json)), (2, Some(Media::Csv)), (3, Some(Media::Ndjson)), (4, Some(Media::Value))];

fn number_of(media: Option<Media>) -> i64 {
    MEDIA.iter().find(|(_, known)| *known == media).map_or(1, |(number, _)| *number)
}

fn media_of(number: i64) -> Option<Media> {
    MEDIA.iter().find(|(known, _)| *known == number).map_or(Some(Media::Json), |(_, media)| *media)
}
