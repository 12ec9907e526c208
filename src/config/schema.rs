//! The JSON schema (draft-07) of a configuration, made from the table of keys, for editors that complete and check while one types.

use core::fmt::{self, Write};

use super::keys::{self, Form, Key, Section, TYPES};
use super::{EXPOSED, TOKENS};

/// A time as text; ranges are checked by the reader alone.
const TIME: &str = "^(0|[0-9]+(ms|s|m|h))$";

/// The schema as text. Allocates: for the command line.
pub fn schema_json() -> String {
    let mut out = String::new();
    // Writing into a String does not fail.
    let _ = whole(&mut out);
    out
}

fn whole(out: &mut String) -> fmt::Result {
    out.write_str("{\n  \"$schema\": \"http://json-schema.org/draft-07/schema#\",\n  \"title\": \"flagstone.toml\",\n")?;
    writeln!(out, "  \"description\": {},", Json(Section::Top.doc()))?;
    out.write_str("  \"type\": \"object\",\n  \"additionalProperties\": false,\n  \"properties\": {\n")?;
    for key in keys::in_section(Section::Top) {
        property(key, "    ", out)?;
        out.write_str(",\n")?;
    }
    for (at, section) in Section::HEADERS.into_iter().enumerate() {
        out.write_str(if at > 0 { ",\n" } else { "" })?;
        write!(out, "    \"{}\": ", section.name())?;
        match section {
            Section::Tokens => write!(
                out,
                "{{ \"type\": \"object\", \"description\": {}, \"maxProperties\": {TOKENS}, \"additionalProperties\": {{ \
                 \"type\": \"string\", \"pattern\": \"^sha256:[0-9A-Fa-f]{{64}}$\" }} }}",
                Json(section.doc())
            )?,
            Section::Route => {
                write!(out, "{{ \"type\": \"array\", \"maxItems\": {}, \"items\": ", crate::budget::ROUTES)?;
                object(section, "[\"path\", \"sql\"]", out)?;
                out.write_str(" }")?;
            }
            section => object(section, "[]", out)?,
        }
    }
    out.write_str("\n  }\n}\n")
}

fn object(section: Section, required: &str, out: &mut String) -> fmt::Result {
    write!(out, "{{ \"type\": \"object\", \"description\": {}, ", Json(section.doc()))?;
    if required != "[]" {
        write!(out, "\"required\": {required}, ")?;
    }
    out.write_str("\"additionalProperties\": false, \"properties\": {\n")?;
    for (at, key) in keys::in_section(section).enumerate() {
        out.write_str(if at > 0 { ",\n" } else { "" })?;
        property(key, "      ", out)?;
    }
    out.write_str("\n    } }")
}

fn property(key: &Key, indent: &str, out: &mut String) -> fmt::Result {
    write!(out, "{indent}\"{}\": {{ \"description\": {}, ", key.name, Json(key.doc))?;
    if let Some(default) = key.default_toml()
        && default != "{}"
    {
        // Texts, numbers, booleans and lists of texts are the same in TOML and JSON.
        write!(out, "\"default\": {default}, ")?;
    }
    form(key.form, out)?;
    out.write_str(" }")
}

fn form(form: Form, out: &mut String) -> fmt::Result {
    match form {
        Form::Text(most) => write!(out, "\"type\": \"string\", \"minLength\": 1, \"maxLength\": {most}"),
        Form::OneOrMany(most) => write!(
            out,
            "\"type\": [\"string\", \"array\"], \"minLength\": 1, \"minItems\": 1, \"maxItems\": {most}, \
             \"items\": {{ \"type\": \"string\", \"minLength\": 1 }}"
        ),
        Form::Many(most) => {
            write!(out, "\"type\": \"array\", \"maxItems\": {most}, \"items\": {{ \"type\": \"string\", \"minLength\": 1 }}")
        }
        Form::Expose => write!(
            out,
            "\"anyOf\": [ {{ \"const\": \"*\" }}, {{ \"type\": \"array\", \"maxItems\": {EXPOSED}, \
             \"items\": {{ \"type\": \"string\", \"minLength\": 1 }} }} ]"
        ),
        Form::TokenName => out.write_str("\"type\": \"string\", \"minLength\": 1"),
        Form::Bool => out.write_str("\"type\": \"boolean\""),
        Form::Count(least, most) => write!(out, "\"type\": \"integer\", \"minimum\": {least}, \"maximum\": {most}"),
        Form::Limit(..) | Form::Time(..) => write!(out, "\"type\": \"string\", \"pattern\": {}", Json(TIME)),
        Form::Share => out.write_str(
            "\"anyOf\": [ { \"type\": \"boolean\" }, { \"type\": \"string\", \"pattern\": \"^(on|off|0*([0-9]|[1-9][0-9]|100)%)$\" } ]",
        ),
        Form::Rate => out.write_str("\"type\": \"string\", \"pattern\": \"^(off|[0-9]+/[sm])$\""),
        Form::Word(words) => {
            out.write_str("\"type\": \"string\", \"enum\": ")?;
            list(words, out)
        }
        Form::Params => {
            out.write_str("\"type\": \"object\", \"additionalProperties\": { \"anyOf\": [ { \"enum\": ")?;
            list(TYPES, out)?;
            out.write_str(" }, ")?;
            object(Section::Param, "[\"type\"]", out)?;
            out.write_str(" ] }")
        }
        Form::Number => out.write_str("\"type\": \"number\""),
        Form::Any => out.write_str("\"type\": [\"string\", \"number\", \"boolean\"]"),
    }
}

fn list(words: &[&str], out: &mut String) -> fmt::Result {
    for (at, word) in words.iter().enumerate() {
        write!(out, "{}{}", if at > 0 { ", " } else { "[" }, Json(word))?;
    }
    out.write_char(']')
}

/// A text as JSON.
struct Json<'a>(&'a str);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for letter in self.0.chars() {
            match letter {
                '"' | '\\' => write!(f, "\\{letter}")?,
                letter if letter.is_control() => write!(f, "\\u{:04x}", u32::from(letter))?,
                letter => f.write_char(letter)?,
            }
        }
        f.write_char('"')
    }
}
