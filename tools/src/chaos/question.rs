//! What is asked, and the verdict on an answer: the content of every one is known beforehand, to the byte.

use std::fmt::Write;

use crate::rig::http::Answer;

/// Rows of the table `item`.
pub const ITEMS: u32 = 2_100;
/// Bytes of an item's body.
const BODY: usize = 480;
/// Rows of the largest answer that fits the limit of 1 MiB.
pub const LARGEST: u32 = 1_950;
/// A problem is shorter than this.
const PROBLEM_MAX: usize = 512;

/// A request whose answer is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Critical; of what nobody changes.
    Fixed,
    /// Critical; of a row that is changed all the while, and was this version at least when it was asked.
    Now(u64),
    /// A row by its key, kept in the cache.
    Item(u32),
    /// The same as a table's row.
    Row(u32),
    /// The same, made anew each time.
    Fresh(u32),
    /// So many rows behind this one, kept or not by their size.
    Large(u32, u32),
    /// A sum that takes so many steps.
    Work(u32),
    /// A write.
    Write(u64),
    /// What such a write wrote.
    Written(u64),
    /// A write of a key that is there, by a statement that takes its whole transaction back.
    Conflict(u64),
    /// A word given back, kept by its key.
    Echo(u64),
    /// A path that leads nowhere.
    Nowhere,
    /// `/-/health`.
    Health,
}

/// What an answer was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// As it must be.
    Served,
    /// 503 or 429, saying when to come again.
    Shed,
    /// Another refusal, in good form.
    Refused(u16),
    /// Not true, or in no form.
    Wrong(String),
}

/// An item's body.
fn body(id: u32) -> String {
    let word = format!("{id}.{:08x} ", id.wrapping_mul(0x9e37_79b9));
    word.chars().cycle().take(BODY).collect()
}

/// What the row `id` of `item` holds.
pub fn item(id: u32) -> (String, String) {
    (format!("item {id}"), body(id))
}

/// What stands beside a version of the row in `now`.
pub fn mark(version: u64) -> String {
    format!("m{:016x}", version.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// What a write brings.
pub fn value(key: u64) -> String {
    format!("v{key}-{:x}", key.wrapping_mul(0xd1b5_4a32_d192_ed03))
}

fn row(id: u32) -> String {
    let (name, body) = item(id);
    format!(r#"{{"id":{id},"name":"{name}","body":"{body}"}}"#)
}

fn rows(behind: u32, count: u32) -> String {
    let mut text = String::from("[");
    for id in behind + 1..=behind + count {
        let comma = if id == behind + 1 { "" } else { "," };
        let _ = write!(text, "{comma}{}", row(id));
    }
    text + "]"
}

impl Question {
    /// The path, with its query.
    pub fn target(&self) -> String {
        match self {
            Self::Fixed => "/critical/fixed".to_owned(),
            Self::Now(_) => "/critical/now".to_owned(),
            Self::Item(id) => format!("/item/{id}"),
            Self::Row(id) => format!("/tables/item/{id}"),
            Self::Fresh(id) => format!("/fresh/{id}"),
            Self::Large(behind, count) => format!("/large/{behind}/{count}"),
            Self::Work(steps) => format!("/work/{steps}"),
            Self::Write(_) => "/write".to_owned(),
            Self::Written(key) => format!("/written/{key}"),
            Self::Conflict(_) => "/write-or-rollback".to_owned(),
            Self::Echo(number) => format!("/echo/w{number}"),
            Self::Nowhere => "/nowhere".to_owned(),
            Self::Health => "/-/health".to_owned(),
        }
    }

    /// The request, whole.
    pub fn request(&self) -> String {
        let target = self.target();
        let (Self::Write(key) | Self::Conflict(key)) = self else {
            return format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        };
        let body = format!(r#"{{"key":{key},"value":"{}"}}"#, value(*key));
        let length = body.len();
        let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
        format!("{head}Content-Length: {length}\r\n\r\n{body}")
    }

    /// Status and body of the true answer; `None` where more than one body is true.
    pub fn truth(&self) -> (u16, Option<String>) {
        let (status, body) = match self {
            Self::Fixed => (200, rows(0, 5)),
            Self::Item(id) | Self::Row(id) | Self::Fresh(id) => (200, row(*id)),
            Self::Large(behind, count) => (200, rows(*behind, *count)),
            Self::Work(steps) => (200, (u64::from(*steps) * (u64::from(*steps) + 1) / 2).to_string()),
            Self::Write(key) => (201, format!(r#"[{{"key":{key}}}]"#)),
            Self::Written(key) => (200, value(*key)),
            Self::Echo(number) => (200, format!(r#"{{"word":"w{number}"}}"#)),
            Self::Nowhere => return (404, None),
            Self::Conflict(_) => return (409, None),
            Self::Now(_) | Self::Health => return (200, None),
        };
        (status, Some(body))
    }

    /// The verdict.
    pub fn judge(&self, answer: &Answer) -> Judgement {
        let (status, truth) = self.truth();
        let result = if answer.status == status {
            match (self, truth) {
                (Self::Now(floor), _) => now_is_true(&answer.body, *floor, answer.field("x-cache") == Some("stale")),
                (_, Some(truth)) if truth.as_bytes() == answer.body => Ok(()),
                (_, Some(truth)) => Err(format!("{} bytes, not the {} that are true", answer.body.len(), truth.len())),
                (Self::Nowhere | Self::Conflict(_), None) => problem(answer),
                (_, None) if answer.body.is_empty() || answer.body.len() > 4096 => Err("no body of health".to_owned()),
                (_, None) => Ok(()),
            }
            .map(|()| Judgement::Served)
        } else {
            problem(answer).map(|()| match answer.status {
                503 | 429 => Judgement::Shed,
                other => Judgement::Refused(other),
            })
        };
        result.unwrap_or_else(|why| {
            let start = String::from_utf8_lossy(&answer.body[..answer.body.len().min(160)]).into_owned();
            Judgement::Wrong(format!("{}: {} {why}: {start}", self.target(), answer.status))
        })
    }
}

fn now_is_true(body: &[u8], floor: u64, stale: bool) -> Result<(), String> {
    let text = String::from_utf8_lossy(body);
    let version = text.strip_prefix(r#"{"version":"#).and_then(|rest| rest.split(',').next()?.parse::<u64>().ok());
    let version = version.ok_or("no version")?;
    if text != format!(r#"{{"version":{version},"mark":"{}"}}"#, mark(version)) {
        return Err("version and mark do not belong together".to_owned());
    }
    // A stale answer says so; nothing else may be older than the last commit before the request.
    if version < floor && !stale { Err(format!("older than version {floor}")) } else { Ok(()) }
}

/// Whether an error has the form that is promised: problem+json, short, of its status, with a time to come again where it is for now.
fn problem(answer: &Answer) -> Result<(), String> {
    if answer.status < 400 {
        return Err("an answer to something else".to_owned());
    }
    if answer.field("content-type") != Some("application/problem+json") {
        return Err("not problem+json".to_owned());
    }
    if answer.body.len() >= PROBLEM_MAX {
        return Err(format!("a problem of {} bytes", answer.body.len()));
    }
    let parsed: serde_json::Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
    if parsed["status"] != answer.status || !parsed["type"].is_string() {
        return Err("the problem is of another status, or has no type".to_owned());
    }
    let again = answer.field("retry-after").map(str::parse::<u32>);
    if matches!(answer.status, 503 | 429) && !matches!(again, Some(Ok(1..=3600))) {
        return Err(format!("retry-after is {:?}", answer.field("retry-after")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, fields: &str, body: &str) -> Answer {
        let head = format!("HTTP/1.1 {status} x\r\n{fields}content-length: {}\r\n\r\n", body.len());
        Answer { status, head, body: body.as_bytes().to_vec() }
    }

    const PROBLEM: &str = "content-type: application/problem+json\r\n";

    #[test]
    fn a_changed_byte_is_wrong_in_every_answer() {
        for question in [Question::Fixed, Question::Item(7), Question::Fresh(2000), Question::Work(9), Question::Write(3)] {
            let (status, truth) = question.truth();
            let truth = truth.unwrap();
            assert_eq!(question.judge(&answer(status, "", &truth)), Judgement::Served);
            for place in [0, truth.len() / 2, truth.len() - 1] {
                let mut bytes = truth.clone().into_bytes();
                bytes[place] ^= 1;
                let false_one = answer(status, "", &String::from_utf8(bytes).unwrap());
                assert!(matches!(question.judge(&false_one), Judgement::Wrong(_)), "{question:?} {place}");
            }
            let of_another = answer(status, "", &Question::Item(8).truth().1.unwrap());
            assert!(matches!(question.judge(&of_another), Judgement::Wrong(_)), "{question:?}");
        }
    }

    #[test]
    fn an_old_version_is_wrong_unless_it_says_that_it_is_stale() {
        let of = |version: u64| format!(r#"{{"version":{version},"mark":"{}"}}"#, mark(version));
        assert_eq!(Question::Now(3).judge(&answer(200, "", &of(3))), Judgement::Served);
        assert_eq!(Question::Now(3).judge(&answer(200, "", &of(4))), Judgement::Served);
        assert!(matches!(Question::Now(3).judge(&answer(200, "x-cache: hit\r\n", &of(2))), Judgement::Wrong(_)));
        assert_eq!(Question::Now(3).judge(&answer(200, "x-cache: stale\r\n", &of(2))), Judgement::Served);
        let torn = format!(r#"{{"version":4,"mark":"{}"}}"#, mark(3));
        assert!(matches!(Question::Now(3).judge(&answer(200, "", &torn)), Judgement::Wrong(_)));
    }

    #[test]
    fn a_refusal_without_its_form_is_wrong() {
        let body = r#"{"type":"tag:x","status":503}"#;
        let good = answer(503, &format!("{PROBLEM}retry-after: 1\r\n"), body);
        assert_eq!(Question::Fixed.judge(&good), Judgement::Shed);
        for (fields, body) in [
            (PROBLEM.to_owned(), body),
            (format!("{PROBLEM}retry-after: soon\r\n"), body),
            ("retry-after: 1\r\n".to_owned(), body),
            (format!("{PROBLEM}retry-after: 1\r\n"), r#"{"type":"tag:x","status":500}"#),
            (format!("{PROBLEM}retry-after: 1\r\n"), "no"),
        ] {
            assert!(matches!(Question::Fixed.judge(&answer(503, &fields, body)), Judgement::Wrong(_)), "{fields} {body}");
        }
        let timeout = answer(504, PROBLEM, r#"{"type":"tag:x","status":504}"#);
        assert_eq!(Question::Work(1).judge(&timeout), Judgement::Refused(504));
        assert!(matches!(Question::Work(1).judge(&answer(204, "", "")), Judgement::Wrong(_)));
    }
}
