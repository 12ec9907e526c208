//! The JSON reader: where it says no, and what strings say.

use super::super::json::{DEPTH_MAX, Fault, Reader, Shape, put_decoded, whole};

#[test]
fn every_fault_is_found_at_its_byte() {
    let cases: &[(&[u8], usize, Fault)] = &[
        (b"", 0, Fault::End),
        (b"  ", 2, Fault::End),
        (b"[1, 2", 5, Fault::End),
        (b"{\"a\":", 5, Fault::End),
        (b"{\"a\"", 4, Fault::End),
        (b"{", 1, Fault::End),
        (b"\"abc", 4, Fault::End),
        (b"\"abc\\", 5, Fault::End),
        (b"tru", 3, Fault::End),
        (b"-", 1, Fault::End),
        (b"1.", 2, Fault::End),
        (b"truth", 3, Fault::Value),
        (b"[1,]", 3, Fault::Value),
        (b"[,1]", 1, Fault::Value),
        (b"nan", 1, Fault::Value),
        (b"+1", 0, Fault::Value),
        (b".5", 0, Fault::Value),
        (b"'a'", 0, Fault::Value),
        (b"\xEF\xBB\xBF1", 0, Fault::Value),
        (b"{1:2}", 1, Fault::Key),
        (b"{\"a\":1,}", 7, Fault::Key),
        (b"{,}", 1, Fault::Key),
        (b"{\"a\" 1}", 5, Fault::Colon),
        (b"{\"a\",1}", 4, Fault::Colon),
        (b"[1 2]", 3, Fault::Comma),
        (b"[1}", 2, Fault::Comma),
        (b"{\"a\":1]", 6, Fault::Comma),
        (b"01", 1, Fault::Number),
        (b"-01", 2, Fault::Number),
        (b"[-]", 2, Fault::Number),
        (b"[1.]", 3, Fault::Number),
        (b"1.e5", 2, Fault::Number),
        (b"[1e]", 3, Fault::Number),
        (b"[1e+]", 4, Fault::Number),
        (b"\"a\nb\"", 2, Fault::Control),
        (b"\"a\x1fb\"", 2, Fault::Control),
        (b"\"\\x\"", 1, Fault::Escape),
        (b"\"\\u12g4\"", 1, Fault::Escape),
        (b"\"\\u+123\"", 1, Fault::Escape),
        (b"\"\\u12\"", 1, Fault::Escape),
        (b"\"a\\ud83d\"", 2, Fault::Surrogate),
        (b"\"\\ud83d\\n\"", 1, Fault::Surrogate),
        (b"\"\\ud83d\\ud83d\"", 1, Fault::Surrogate),
        (b"\"\\ude00\\ud83d\"", 1, Fault::Surrogate),
        (b"1 2", 2, Fault::Trailing),
        (b"{}}", 2, Fault::Trailing),
        (b"[] ,", 3, Fault::Trailing),
        (b"\"a\xff\"", 2, Fault::Utf8),
        (b"\"\xed\xa0\xbd\"", 1, Fault::Utf8),
    ];
    for (text, at, fault) in cases {
        let error = whole(text).expect_err("malformed");
        assert_eq!((error.at, error.fault), (*at, *fault), "{}", text.escape_ascii());
    }
}

#[test]
fn a_value_is_its_text_without_the_white_space_around_it() {
    let cases: &[(&str, Shape, &str)] = &[
        (" null ", Shape::Null, "null"),
        ("true", Shape::True, "true"),
        ("\tfalse\r\n", Shape::False, "false"),
        ("-0.5e+10 ", Shape::Number, "-0.5e+10"),
        ("0", Shape::Number, "0"),
        (" \"\u{7f}é\\u0000\" ", Shape::String, "\"\u{7f}é\\u0000\""),
        (" [ ] ", Shape::Array, "[ ]"),
        ("{ }", Shape::Object, "{ }"),
        ("[{\"a\":[],\"a\":{}} , [[1]]]", Shape::Array, "[{\"a\":[],\"a\":{}} , [[1]]]"),
    ];
    for (text, shape, raw) in cases {
        let value = whole(text.as_bytes()).expect("well-formed");
        assert_eq!((value.shape, value.raw), (*shape, raw.as_bytes()), "{text}");
    }
}

#[test]
fn arrays_and_objects_nest_as_deep_as_there_are_bits() {
    let nested = |open: &str, close: &str, depth: usize| open.repeat(depth) + "1" + &close.repeat(depth);
    let most = DEPTH_MAX as usize;
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let levels = most / open.matches(['[', '{']).count();
        assert!(whole(nested(open, close, levels).as_bytes()).is_ok());
        let error = whole(nested(open, close, levels + 1).as_bytes()).expect_err("too deep");
        assert_eq!((error.fault, error.at), (Fault::Depth, open.len() * levels), "{open}");
    }
    // An entered array counts too.
    for (depth, fits) in [(most, true), (most + 1, false)] {
        let text = nested("[", "]", depth);
        let mut reader = Reader::new(text.as_bytes()).expect("UTF-8");
        reader.enter().expect("an array");
        assert_eq!(reader.next(b']', true), Ok(true));
        assert_eq!(reader.value().is_ok(), fits);
    }
    assert!(whole("[[]],".repeat(2000).trim_end_matches(',').as_bytes()).is_err());
    assert!(whole(format!("[{}[]]", "[[]],".repeat(2000)).as_bytes()).is_ok());
}

#[test]
fn strings_are_decoded() {
    let cases = [
        (r#""""#, ""),
        (r#""plain é""#, "plain é"),
        (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
        (r#""a\u00e9\u00E9b""#, "aééb"),
        (r#""\ud83d\ude00\uD83D\uDE00x""#, "😀😀x"),
        (r#""\u0000\uFFFF\ue000""#, "\0\u{FFFF}\u{E000}"),
        (r#""\u0041\u0042""#, "AB"),
    ];
    for (raw, wanted) in cases {
        assert!(whole(raw.as_bytes()).is_ok());
        let mut text: heapless::Vec<u8, 64> = heapless::Vec::new();
        put_decoded(raw.as_bytes(), &mut text).expect("fits");
        assert_eq!(std::str::from_utf8(&text), Ok(wanted), "{raw}");
        assert!(text.len() <= raw.len());
    }
    assert!(put_decoded(br#""a\n""#, &mut heapless::Vec::<u8, 1>::new()).is_err());
}
