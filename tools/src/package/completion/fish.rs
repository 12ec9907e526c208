//! For fish: one line an option.

use flagstone::cli::option::{OPTIONS, Offer, Takes};

use super::{ADDRESSES, PATHS, TOKEN};

/// The file that goes to /usr/share/fish/vendor_completions.d/flagstone.fish.
pub fn fish() -> String {
    let mut out = "# fish completion for flagstone(1)\n".to_owned();
    for option in OPTIONS {
        let short = option.short.map_or_else(String::new, |letter| format!(" -s {letter}"));
        let value = match option.takes {
            Takes::Nothing => String::new(),
            Takes::Value(_, offer) => format!(" -r{}", values(offer)),
            Takes::Maybe(_, offer) => values(offer),
        };
        out.push_str(&format!("complete -c flagstone{short} -l {}{value} -d '{}'\n", option.long, quote(option.doc)));
    }
    let (token, doc) = TOKEN;
    out.push_str(&format!("complete -c flagstone -n __fish_use_subcommand -a {token} -d '{}'\n", quote(doc)));
    out
}

fn values(offer: Offer) -> String {
    match offer {
        Offer::File => " -F".to_owned(),
        Offer::Folder => " -f -a '(__fish_complete_directories)'".to_owned(),
        Offer::Address => format!(" -f -a '{}'", ADDRESSES.join(" ")),
        Offer::Path => format!(" -f -a '{}'", PATHS.join(" ")),
        Offer::Url => " -f -a http://127.0.0.1:8080".to_owned(),
        Offer::Nothing => " -f".to_owned(),
    }
}

fn quote(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}
