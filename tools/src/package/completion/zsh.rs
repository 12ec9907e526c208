//! For zsh: specifications for `_arguments`.

use flagstone::cli::option::{CommandOption, OPTIONS, Offer, Takes};

use super::{ADDRESSES, PATHS, TOKEN};

/// The file that goes to /usr/share/zsh/vendor-completions/_flagstone.
pub fn zsh() -> String {
    let specifications: String = OPTIONS.iter().map(|option| format!("    {} \\\n", specification(option))).collect();
    format!(
        "#compdef flagstone
# zsh completion for flagstone(1)
_flagstone_first() {{
    local -a commands=('{}:{}')
    _describe -t commands command commands
    _files
}}
_arguments -s -S \\
{specifications}    '1:DATABASE:_flagstone_first' \\
    '*:NAME: '
",
        TOKEN.0, TOKEN.1
    )
}

fn specification(option: &CommandOption) -> String {
    let doc = escape(option.doc);
    let long = format!("--{}", option.long);
    let value = match option.takes {
        Takes::Nothing => String::new(),
        Takes::Value(name, offer) => format!(":{name}:{}", action(offer)),
        Takes::Maybe(name, offer) => format!("::{name}:{}", action(offer)),
    };
    let equals = if option.takes == Takes::Nothing { "" } else { "=" };
    // --listen alone may be repeated; what another option excludes is for the program to say.
    let (repeat, excluded) = if option.long == "listen" {
        ("*", String::new())
    } else {
        let both = option.short.map_or_else(|| long.clone(), |letter| format!("-{letter} {long}"));
        ("", format!("({both})"))
    };
    match option.short {
        Some(letter) => format!("'{excluded}{repeat}'{{-{letter},{long}{equals}}}'[{doc}]{value}'"),
        None => format!("'{excluded}{repeat}{long}{equals}[{doc}]{value}'"),
    }
}

fn action(offer: Offer) -> String {
    match offer {
        Offer::File => "_files".to_owned(),
        Offer::Folder => "_files -/".to_owned(),
        Offer::Address => format!("({})", ADDRESSES.map(escape).join(" ")),
        Offer::Path => format!("({})", PATHS.join(" ")),
        Offer::Url => "_urls".to_owned(),
        // A lone space: a value is awaited, and none is offered.
        Offer::Nothing => " ".to_owned(),
    }
}

/// Inside quotes and brackets of a specification.
fn escape(text: &str) -> String {
    text.replace('\'', "'\\''").replace(':', "\\:").replace('[', "\\[").replace(']', "\\]")
}
