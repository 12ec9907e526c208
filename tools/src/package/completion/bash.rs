//! For bash, without bash-completion's functions: it works where only bash is.

use flagstone::cli::option::{CommandOption, OPTIONS, Offer, Takes};

use super::{ADDRESSES, PATHS, TOKEN};

/// The file that goes to /usr/share/bash-completion/completions/flagstone.
pub fn bash() -> String {
    let mut words: Vec<String> = OPTIONS.iter().map(|option| format!("--{}", option.long)).collect();
    words.extend(OPTIONS.iter().filter_map(|option| Some(format!("-{}", option.short?))));
    let cases: String = OPTIONS.iter().map(case).collect();
    format!(
        "# bash completion for flagstone(1)
_flagstone() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
    # bash takes the sign in --config=FILE for a word of its own.
    if [[ $word == = ]]; then word=; elif [[ $before == = ]]; then before=${{COMP_WORDS[COMP_CWORD-2]}}; fi
    case $before in
{cases}    esac
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$word\")
        return
    fi
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- \"$word\")
    if ((COMP_CWORD == 1)) && [[ -n $word && {} == \"$word\"* ]]; then COMPREPLY+=({}); fi
}}
complete -F _flagstone flagstone
",
        words.join(" "),
        TOKEN.0,
        TOKEN.0,
    )
}

/// What is offered behind an option that takes a value.
fn case(option: &CommandOption) -> String {
    let (Takes::Value(_, offer) | Takes::Maybe(_, offer)) = option.takes else { return String::new() };
    let short = option.short.map_or_else(String::new, |letter| format!("-{letter} | "));
    let (filenames, generate) = match offer {
        Offer::File => (true, "-f".to_owned()),
        Offer::Folder => (true, "-d".to_owned()),
        Offer::Address => (false, format!("-W '{}'", ADDRESSES[0])),
        Offer::Path => (false, format!("-W '{}'", PATHS.join(" "))),
        Offer::Url => (false, "-W '8080'".to_owned()),
        Offer::Nothing => (false, "-W ''".to_owned()),
    };
    let filenames = if filenames { "compopt -o filenames 2>/dev/null; " } else { "" };
    // An option may follow where the value may be left out.
    let unless = if matches!(option.takes, Takes::Maybe(..)) { "[[ $word == -* ]] || { " } else { "{ " };
    format!(
        "        {short}--{}) {unless}{filenames}mapfile -t COMPREPLY < <(compgen {generate} -- \"$word\"); return; }} ;;\n",
        option.long
    )
}
