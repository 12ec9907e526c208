//! The account of one connection: what was asked, and whether what the front writes is its answer, whole, once and in order.

use std::collections::VecDeque;

use super::database::{TARGETS, Told, body_number, number_of};
use super::request::{Asked, Want};

/// Why no further answer may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// The client asked for it.
    Asked,
    /// The server is stopping.
    Stopping,
    /// A malformed request.
    Reject,
    /// A head or body came too slowly.
    Timeout,
    /// The connection was turned away.
    Refused,
    /// What served it panicked.
    Panicked,
}

/// What the judgement of an answer needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The server was told to stop.
    pub stopping: bool,
    /// Parts of it panic now and then.
    pub panics: bool,
    /// What had arrived by the time of the last wait's end, in bytes of this stream: the front can know of it.
    pub settled: u64,
}

enum Reading {
    Head(Vec<u8>),
    Body { left: u64, at: u64, id: Option<u64>, kept: Vec<u8>, slugs: Vec<&'static str> },
}

/// One connection's account.
pub struct Ledger {
    /// Requests without an answer, in order.
    pub asked: VecDeque<Asked>,
    /// Bytes of the stream that the client's side has composed.
    pub composed: u64,
    /// Bytes that have arrived at the server's socket.
    pub arrived: u64,
    /// Bytes that the front has read.
    pub read: u64,
    /// Bytes that the front has written.
    pub written: u64,
    /// Where, in what was written, each complete answer ends.
    pub ends: VecDeque<u64>,
    /// Complete final answers.
    pub answers: u64,
    /// Where the last answered request ends in the stream.
    pub answered_to: u64,
    /// Answers that speak of a state, to be judged by it.
    pub told: Vec<Told>,
    /// Whether the connection stands where those do that are turned away.
    pub turned_away: bool,
    /// Set with the answer that must be the last.
    pub last: Option<Last>,
    continued: bool,
    reading: Reading,
}

/// The body of request `id`, as much of it as is compared at once: its number in lines of 16 bytes, over and over.
pub fn lines(id: u64) -> [u8; 4096 + 16] {
    let mut line = *b"000000000000000\n";
    let (mut rest, mut at) = (id, 15);
    while rest > 0 && at > 0 {
        at -= 1;
        line[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let mut lines = [0; 4096 + 16];
    lines.chunks_exact_mut(16).for_each(|place| place.copy_from_slice(&line));
    lines
}

impl Ledger {
    pub fn new() -> Ledger {
        Ledger {
            asked: VecDeque::new(),
            composed: 0,
            arrived: 0,
            read: 0,
            written: 0,
            ends: VecDeque::new(),
            answers: 0,
            answered_to: 0,
            told: Vec::new(),
            turned_away: false,
            last: None,
            continued: false,
            reading: Reading::Head(Vec::new()),
        }
    }

    /// The next request when the front has read all of it, so that an answer is owed.
    pub fn owed(&self) -> Option<&Asked> {
        self.asked.front().filter(|asked| asked.end <= self.read && self.last.is_none())
    }

    /// The front reads `count` bytes while the database is at `version`.
    pub fn handed_over(&mut self, count: u64, version: u64) {
        let before = self.read;
        self.read += count;
        for asked in &mut self.asked {
            if asked.end > before && asked.end <= self.read {
                asked.floor = version;
            }
        }
    }

    /// Whether the connection is turned away, or was.
    pub fn is_refused(&self) -> bool {
        self.turned_away || self.last == Some(Last::Refused)
    }

    /// Whether the front stands in the middle of an answer.
    pub fn mid_answer(&self) -> bool {
        match &self.reading {
            Reading::Head(head) => !head.is_empty(),
            Reading::Body { .. } => true,
        }
    }

    /// Takes what the front wrote.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn wrote(&mut self, mut bytes: &[u8], moment: Moment) -> Result<(), String> {
        while !bytes.is_empty() {
            let taken = match &mut self.reading {
                Reading::Head(head) => {
                    // Heads are short; searching from a little before keeps the end that two writes share.
                    let from = head.len().saturating_sub(3);
                    let before = head.len();
                    head.extend_from_slice(&bytes[..bytes.len().min(9000)]);
                    match head[from..].windows(4).position(|four| four == b"\r\n\r\n") {
                        Some(at) => {
                            head.truncate(from + at + 4);
                            let (taken, head) = (head.len() - before, std::mem::take(head));
                            self.written += taken as u64;
                            self.head_done(&head, moment)?;
                            taken
                        }
                        None if head.len() > 9000 => return Err("a head without an end".to_owned()),
                        None => {
                            self.written += (head.len() - before) as u64;
                            head.len() - before
                        }
                    }
                }
                Reading::Body { .. } => self.body(bytes)?,
            };
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    fn head_done(&mut self, head: &[u8], moment: Moment) -> Result<(), String> {
        let text = std::str::from_utf8(head).map_err(|_| "a head that is not ASCII".to_owned())?;
        let answer = Head::parse(text)?;
        if let Some(last) = self.last {
            return Err(format!("a further answer after the last one ({last:?}): {text}"));
        }
        if answer.status == 100 {
            // It may have waited behind other output while the body came.
            let waits = self.asked.front().is_some_and(|asked| asked.expects);
            if !waits || std::mem::replace(&mut self.continued, true) {
                return Err("a 100 that nobody waits for".to_owned());
            }
            self.reading = Reading::Head(Vec::new());
            return Ok(());
        }
        self.continued = false;
        let mut slugs = Vec::new();
        let mut id = None;
        let bodyless = if (self.read == 0 || self.turned_away) && answer.close {
            // Health checks are answered all the same.
            let page = self.asked.front().is_some_and(|asked| matches!(asked.want, Want::Page) && asked.start < self.read);
            if !(page && answer.status == 200) {
                slugs = vec!["slots-full", "client-cap"];
            }
            self.last = Some(Last::Refused);
            false
        } else if answer.status == 408 {
            self.judge_timeout(moment)?;
            false
        } else {
            let asked = self.asked.pop_front().ok_or_else(|| format!("an answer to nothing: {text}"))?;
            self.judge(&asked, &answer, moment, &mut slugs, &mut id).map_err(|wrong| format!("{wrong} for {asked:?}: {text}"))?;
            asked.head
        };
        let length = match (answer.status, answer.length) {
            (204 | 304, None) => 0,
            (204 | 304, Some(_)) | (_, None) => return Err(format!("a wrong length field: {text}")),
            (_, Some(_)) if bodyless => 0,
            (_, Some(length)) => length,
        };
        if length == 0 {
            self.finished();
        } else {
            if bodyless || id.is_some() {
                slugs.clear();
            }
            self.reading = Reading::Body { left: length, at: 0, id, kept: Vec::new(), slugs };
        }
        Ok(())
    }

    /// A 408 is right while the request has not arrived.
    fn judge_timeout(&mut self, moment: Moment) -> Result<(), String> {
        self.last = Some(Last::Timeout);
        match self.asked.front() {
            Some(asked) if asked.end <= moment.settled => {
                Err(format!("408 for a request that has arrived long since: {asked:?}, {} read", self.read))
            }
            Some(asked) if asked.start < self.read => Ok(()),
            _ => Err("408 without a byte of a request".to_owned()),
        }
    }

    fn judge(
        &mut self, asked: &Asked, answer: &Head, moment: Moment, slugs: &mut Vec<&'static str>, id: &mut Option<u64>,
    ) -> Result<(), String> {
        let status = answer.status;
        if let Want::Reject(wanted) = asked.want {
            self.last = Some(Last::Reject);
            return if status == wanted && answer.close && asked.start < self.read {
                Ok(())
            } else {
                Err("not the refusal that is due".to_owned())
            };
        }
        if asked.end > self.read {
            return Err(format!("answered after {} bytes, before the request was read", self.read));
        }
        self.answered_to = asked.end;
        if status == 500 {
            self.last = Some(Last::Panicked);
            let told = moment.panics && answer.close && !matches!(asked.want, Want::Page);
            return if told { Ok(()) } else { Err("a 500 that nothing explains".to_owned()) };
        }
        let closes = asked.close || moment.stopping;
        if answer.close && !closes || !answer.close && asked.close {
            return Err("the connection field is not what was asked".to_owned());
        }
        if asked.old && !answer.close && !answer.keeps {
            return Err("HTTP/1.0 is not told that the connection stays".to_owned());
        }
        if answer.close {
            self.last = Some(if asked.close { Last::Asked } else { Last::Stopping });
        }
        if let Want::Shared { target, conditional } = asked.want
            && status != 503
        {
            *id = self.judge_shared(asked, target, conditional, answer)?;
            return Ok(());
        }
        let rows = matches!(asked.want, Want::Rows(_) | Want::Busy(_) | Want::Long(_));
        let (Want::Rows(size) | Want::Busy(size) | Want::Long(size)) = asked.want else {
            let right = match asked.want {
                Want::NotModified => status == 304,
                Want::Page => matches!(status, 200 | 503),
                Want::Status(wanted) => status == wanted,
                _ => false,
            };
            if right {
                return Ok(());
            }
            // Any request may meet these refusals.
            return self.refusal(answer, asked, moment, slugs);
        };
        if rows && status == 200 {
            *id = Some(asked.id);
            let number = format!("/{}>", asked.id);
            return match (answer.length == Some(size), answer.link.as_ref().is_none_or(|link| link.contains(&number))) {
                (true, true) => Ok(()),
                (false, _) => Err(format!("a body of {:?} bytes instead of {size}", answer.length)),
                (_, false) => Err("a link of another answer".to_owned()),
            };
        }
        self.refusal(answer, asked, moment, slugs)
    }

    /// The answer for what is shared: what its body is known by.
    fn judge_shared(&mut self, asked: &Asked, target: usize, conditional: bool, answer: &Head) -> Result<Option<u64>, String> {
        let told = |version| answer.tag.clone().map(|tag| Told { target, tag, floor: asked.floor, version }).ok_or("no tag");
        match answer.status {
            200 => {
                let link = answer.link.as_deref().unwrap_or_default();
                let version = link.strip_prefix(&format!("</tables/s/{}.v", number_of(target)));
                let version =
                    version.and_then(|rest| rest.strip_suffix(">; rel=\"next\"")?.parse().ok()).ok_or("another's link")?;
                if answer.length != Some(TARGETS[target].size) {
                    return Err(format!("a body of {:?} bytes", answer.length));
                }
                if TARGETS[target].volatile && answer.cached {
                    return Err("kept, though it is volatile".to_owned());
                }
                self.told.push(told(Some(version))?);
                Ok(Some(body_number(target, version)))
            }
            304 if conditional => {
                self.told.push(told(None)?);
                Ok(None)
            }
            _ => Err("a wrong status".to_owned()),
        }
    }

    fn refusal(&mut self, answer: &Head, asked: &Asked, moment: Moment, slugs: &mut Vec<&'static str>) -> Result<(), String> {
        if answer.status != 503 {
            return Err("a wrong status".to_owned());
        }
        if !answer.retry_after.is_some_and(|seconds| (1..=60).contains(&seconds)) {
            return Err("it does not say when to come back".to_owned());
        }
        *slugs = vec!["output-full", "queue-timeout"];
        match asked.want {
            Want::Shared { .. } => slugs.extend(["overloaded", "database-busy", "query-timeout"]),
            Want::Busy(_) => slugs.extend(["overloaded", "database-busy"]),
            Want::Long(_) => slugs.extend(["overloaded", "query-timeout"]),
            Want::Page => {}
            _ => slugs.push("overloaded"),
        }
        if moment.stopping {
            slugs.push("stopping");
        }
        Ok(())
    }

    fn body(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let Reading::Body { left, at, id, kept, slugs } = &mut self.reading else { return Ok(0) };
        let take = bytes.len().min(*left as usize);
        let bytes = &bytes[..take];
        match id {
            Some(id) => {
                let wanted = lines(*id);
                let shift = (*at % 16) as usize;
                let mut chunks = bytes.chunks(wanted.len() - 16);
                if chunks.any(|chunk| chunk != &wanted[shift..shift + chunk.len()]) {
                    return Err(format!("bytes {at} to {} of the answer to {id} belong to another", *at + take as u64));
                }
            }
            None => kept.extend_from_slice(bytes),
        }
        *at += take as u64;
        *left -= take as u64;
        self.written += take as u64;
        if *left == 0 {
            if !slugs.is_empty() {
                let text = String::from_utf8_lossy(kept);
                if !slugs.iter().any(|slug| text.contains(&format!(":{slug}\""))) {
                    return Err(format!("a refusal for none of {slugs:?}: {text}"));
                }
            }
            self.finished();
        }
        Ok(take)
    }

    fn finished(&mut self) {
        self.reading = Reading::Head(Vec::new());
        self.ends.push_back(self.written);
        self.answers += 1;
    }
}

/// The fields of an answer's head that are judged.
struct Head {
    status: u16,
    length: Option<u64>,
    close: bool,
    keeps: bool,
    link: Option<String>,
    tag: Option<String>,
    cached: bool,
    retry_after: Option<u64>,
}

impl Head {
    fn parse(text: &str) -> Result<Head, String> {
        let mut lines = text.strip_suffix("\r\n\r\n").unwrap_or(text).split("\r\n");
        let start = lines.next().unwrap_or_default();
        let status = start.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..4)?.strip_suffix(' ')?.parse().ok());
        let status = status.ok_or_else(|| format!("no status line: {start:?}"))?;
        let mut head =
            Head { status, length: None, close: false, keeps: false, link: None, tag: None, cached: false, retry_after: None };
        for line in lines {
            let (name, value) = line.split_once(": ").ok_or_else(|| format!("no field: {line:?}"))?;
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = Some(value.parse().map_err(|_| format!("no length: {value}"))?),
                "connection" => (head.close, head.keeps) = (value == "close", value == "keep-alive"),
                "etag" => head.tag = Some(value.to_owned()),
                "x-cache" => head.cached = value == "hit",
                "retry-after" => head.retry_after = value.parse().ok(),
                "link" => head.link = Some(value.to_owned()),
                _ => {}
            }
        }
        Ok(head)
    }
}
