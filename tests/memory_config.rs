//! Reading a configuration takes no more than its arena, whatever the file: the worst files of the longest length, measured.
//!
//! `cargo test --test memory_config -- --nocapture` prints the peaks.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use flagstone::budget::{CONFIG_ARENA_BYTES, CONFIG_FILE_BYTES, PRESET, ROUTE_PARAMS, ROUTES};
use flagstone::config::{Config, Mistakes, read_bytes, reading_bytes};

/// The system's allocator, counting. A block that moves is counted twice while it does: an arena may have to copy it.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// What an arena's allocator may add to a block: a header, and alignment to 16.
const HEADER: usize = 16;

fn booked(layout: Layout) -> usize {
    layout.size().next_multiple_of(16) + HEADER
}

fn take(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Ordering::SeqCst) + bytes;
    PEAK.fetch_max(live, Ordering::SeqCst);
}

// SAFETY: every call goes on to `System` unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(booked(layout));
        // SAFETY: the caller keeps what `GlobalAlloc::alloc` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(booked(layout), Ordering::SeqCst);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

/// Fills a file up to `most` bytes with what `piece` gives for 0, 1, 2, ...
fn fill(most: usize, head: &str, tail: &str, piece: impl Fn(usize) -> String) -> Vec<u8> {
    let mut text = head.to_string();
    for at in 0.. {
        let next = piece(at);
        if text.len() + next.len() + tail.len() > most {
            break;
        }
        text.push_str(&next);
    }
    text.push_str(tail);
    text.into_bytes()
}

/// As many routes and parameters as the build allows, each with every key, in as many bytes as they need.
fn valid() -> Vec<u8> {
    let each = ROUTE_PARAMS / ROUTES;
    let mut text = String::from("hosts = [\"a.example\"]\n[limits]\nidle = \"5s\"\n");
    for route in 0..ROUTES {
        let mut next = format!("[[route]]\npath=\"/{route}\"\nrows=\"one\"\nttl=\"1m\"\ncritical=true\nsql=\"SELECT 1");
        for at in 0..each {
            write!(next, ",:p{at}").expect("a string");
        }
        next.push_str("\"\nparams={");
        for at in 0..each {
            write!(next, "p{at}={{type='integer',default=1,max=9}},").expect("a string");
        }
        next.push_str("}\n");
        if text.len() + next.len() > CONFIG_FILE_BYTES {
            break;
        }
        text.push_str(&next);
    }
    text.into_bytes()
}

/// A shape of file: what stands before, what is repeated with a number, and what stands behind.
type Shape = (&'static str, &'static str, fn(usize) -> String, &'static str);

const SHAPES: &[Shape] = &[
    ("keys", "", |at| format!("k{at:04x}=0\n"), ""),
    ("keys backwards", "", |at| format!("k{:04x}=0\n", 0xffff - at), ""),
    ("keys with escapes", "", |at| format!("\"\\n{at:x}\"=\"\\n\"\n"), ""),
    ("keys with long escapes", "", |at| format!("\"\\n{at:020x}\"=\"\\n345678901234567\"\n"), ""),
    ("the same key", "", |_| "a=0\n".into(), ""),
    ("the same dotted key", "", |_| "a.a=0\n".into(), ""),
    ("the same table", "", |_| "[a]\n".into(), ""),
    ("tables", "", |at| format!("[{at:x}]\n"), ""),
    ("tables of one", "", |at| format!("[{at:x}]\na=0\n"), ""),
    ("tables of twelve", "", |at| format!("[{at:x}]\na=0\nb=0\nc=0\nd=0\ne=0\nf=0\ng=0\nh=0\ni=0\nj=0\nk=0\nl=0\n"), ""),
    ("lists of tables", "", |at| format!("[[{at:x}]]\n"), ""),
    ("routes", "", |_| "[[route]]\n".into(), ""),
    ("routes with a key", "", |_| "[[route]]\na=0\n".into(), ""),
    ("dotted keys", "", |at| format!("{at:x}.a.b.c.d.e.f.g=0\n"), ""),
    ("dotted headers", "", |at| format!("[{at:x}.a.b.c.d.e.f]\ng=0\n"), ""),
    ("a dotted key", "", |_| "a.".into(), "a=0"),
    ("arrays in arrays", "x=", |_| "[".into(), ""),
    ("tables in tables", "x=", |_| "{a=".into(), ""),
    ("an array", "x=[", |_| "0,".into(), "]"),
    ("empty arrays", "x=[", |_| "[],".into(), "]"),
    ("arrays of one", "x=[", |_| "[0],".into(), "]"),
    ("arrays of five", "x=[", |_| "[0,0,0,0,0],".into(), "]"),
    ("nested arrays", "x=[", |_| "[[[[[[[]]]]]]],".into(), "]"),
    ("empty tables", "x=[", |_| "{},".into(), "]"),
    ("inline tables of one", "x=[", |_| "{a=0},".into(), "]"),
    ("inline tables of four", "x=[", |_| "{a=0,b=0,c=0,d=0},".into(), "]"),
    ("inline tables of five", "x=[", |_| "{a=0,b=0,c=0,d=0,e=0},".into(), "]"),
    ("inline tables of twelve", "x=[", |_| "{a=0,b=0,c=0,d=0,e=0,f=0,g=0,h=0,i=0,j=0,k=0,l=0},".into(), "]"),
    ("numbers with strokes", "x=[", |_| "1_0,".into(), "]"),
    ("texts with escapes", "x=[", |_| "\"\\n\",".into(), "]"),
    ("texts of 16 with escapes", "x=[", |_| "\"\\n3456789abcdefg\",".into(), "]"),
    ("a text", "x=\"", |_| "a".into(), "\""),
    ("a text of escapes", "x=\"", |_| "\\u0041".into(), "\""),
    ("a text with an escape at its end", "x=\"", |_| "a".into(), "\\n\""),
    ("a text of lines", "x=\"\"\"\n", |_| "a\r\n".into(), "\"\"\""),
    ("signs", "", |_| "=".into(), ""),
    ("brackets", "", |_| "[]".into(), ""),
    ("braces", "", |_| "x={}".into(), ""),
    ("quotes", "", |_| "\"".into(), ""),
    ("an error in every line", "", |_| "a\n".into(), ""),
    ("texts that are none", "", |_| "a=\"\\q\"\n".into(), ""),
    ("empty lines", "", |_| "\n".into(), ""),
    ("spaces", "", |_| " \n".into(), ""),
    ("a comment", "#", |_| "x".into(), ""),
    ("parameters", "[[route]]\npath='/'\nsql='SELECT 1'\nparams={", |at| format!("p{at}='text',"), "}"),
];

/// A file of this shape with at most so many bytes, and a comment that makes it the longest there may be: the reader takes room by the length.
fn build(&(_, head, piece, tail): &Shape, bytes: usize, comment: bool) -> Vec<u8> {
    let mut text = fill(bytes, head, tail, piece);
    if comment && text.len() + 2 < CONFIG_FILE_BYTES {
        text.extend_from_slice(b"\n#");
        text.resize(CONFIG_FILE_BYTES, b'x');
    }
    text
}

/// The longest file of a shape that is not refused for what it would take, to 64 bytes.
fn fullest(shape: &Shape, comment: bool) -> Vec<u8> {
    let (mut fits, mut fails) = (64, CONFIG_FILE_BYTES + 1);
    while fits + 64 < fails {
        let middle = (fits + fails) / 2;
        let text = String::from_utf8(build(shape, middle, comment)).expect("UTF-8");
        if reading_bytes(&text).is_some() { fits = middle } else { fails = middle }
    }
    build(shape, fits, comment)
}

fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = vec![
        ("valid, with every route and parameter".to_string(), valid()),
        ("too long".to_string(), vec![b'a'; CONFIG_FILE_BYTES + 1]),
    ];
    for shape in SHAPES {
        for part in [1, 3, 8] {
            files.push((format!("{}, one part of {part}", shape.0), build(shape, CONFIG_FILE_BYTES / part, false)));
        }
        for comment in [false, true] {
            files.push((format!("{}, as many as pass, comment {comment}", shape.0), fullest(shape, comment)));
        }
    }
    // Bytes of a generator, so that the test is the same every time.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 32
    };
    files.push(("binary".to_string(), (0..CONFIG_FILE_BYTES).map(|_| next() as u8).collect()));
    files.push(("ASCII".to_string(), (0..CONFIG_FILE_BYTES).map(|_| b"ab=[]{}\"'.,#\n 1"[next() as usize % 15]).collect()));
    files
}

#[test]
fn no_file_takes_more_than_the_arena() {
    let mut config = Config::new();
    let mut mistakes = Mistakes::new();
    let mut worst = (0, String::new());
    let mut good = 0;
    for (name, bytes) in files() {
        let before = LIVE.load(Ordering::SeqCst);
        PEAK.store(before, Ordering::SeqCst);
        let result = read_bytes(&bytes, &mut config, &mut mistakes);
        let peak = PEAK.load(Ordering::SeqCst) - before;
        assert_eq!(LIVE.load(Ordering::SeqCst), before, "{name}: something is kept");
        let said = mistakes.iter().next().map_or(String::new(), |mistake| mistake.message.to_string());
        let told = std::str::from_utf8(&bytes).ok().filter(|_| bytes.len() <= CONFIG_FILE_BYTES).and_then(reading_bytes);
        println!(
            "{:>5} KiB of {:>5}  {name}, {} bytes, {} mistakes: {said}",
            peak.div_ceil(1024),
            told.unwrap_or_default().div_ceil(1024),
            bytes.len(),
            mistakes.count()
        );
        assert!(told.is_none_or(|told| peak <= told), "{name}: {peak} bytes, but {told:?} were told before");
        assert_eq!(result.is_err(), !mistakes.is_empty(), "{name}");
        assert!(result.is_ok() || !name.starts_with("valid"), "{name}: {said}");
        good += usize::from(result.is_ok());
        worst = worst.max((peak, name));
    }
    println!("preset {PRESET}: {} bytes at most ({}), the arena has {CONFIG_ARENA_BYTES}", worst.0, worst.1);
    assert!(good >= 2, "the valid file and the comment are read");
    assert!(worst.0 <= CONFIG_ARENA_BYTES, "{}: {} bytes of {CONFIG_ARENA_BYTES}", worst.1, worst.0);
    assert!(2 * worst.0 > CONFIG_ARENA_BYTES, "the arena is more than twice as large as it needs to be: {} bytes", worst.0);
}
