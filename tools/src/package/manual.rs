//! flagstone(1), from the table of options.

use flagstone::cli::option::{ADDRESSES, EXAMPLES, EXIT_CODES, OPTIONS, SUMMARY};

use super::roff::{Page, escape, item};

/// The page.
pub fn flagstone(date: &str) -> String {
    let mut page = Page::new("flagstone", 1, date);
    page.section("NAME");
    page.line(".Nm flagstone");
    page.line(&format!(".Nd {}", escape(SUMMARY)));
    page.section("SYNOPSIS");
    page.line(".Nm\n.Op Ar OPTIONS\n.Op Ar DATABASE\n.Nm\n.Cm token\n.Ar NAME");
    page.section("DESCRIPTION");
    page.line(".Nm");
    page.text("serves the tables and views of a SQLite database to read, or named routes that a configuration defines, to read and to write.");
    page.text("All its memory is fixed when it is built; after the start a request allocates nothing.");
    page.text("Without a configuration the database's file is not altered.");
    page.line(".Pp\nThe options are:\n.Bl -tag -width Ds");
    for option in OPTIONS {
        page.line(&item(option));
        page.text(&sentence(option.doc));
        page.text(option.more);
    }
    page.line(".El\n.Pp");
    page.line(".Ar ADDR");
    page.text(&format!("is {ADDRESSES}."));
    page.line(".Pp\n.Cm token Ar NAME");
    page.text("makes a token of 256 bits, shows it once, and prints the digest to put into the configuration.");
    page.line(".Pp");
    page.text("SIGTERM and SIGINT end the server when requests under way are answered, within 10 seconds. SIGHUP reads the configuration anew.");
    page.section("ENVIRONMENT");
    page.line(".Bl -tag -width Ds\n.It Ev RUST_LOG");
    page.text("How much is logged: error, warn, info (the default), debug.");
    page.line(".It Ev STATE_DIRECTORY");
    page.text("The folder for keys, the last good configuration and temporary files, where the configuration names none.");
    page.line(".El");
    page.section("FILES");
    page.line(".Bl -tag -width Ds\n.It Pa /etc/flagstone/flagstone.toml");
    page.text("The configuration of the packaged service.");
    page.line(".It Pa /var/lib/flagstone");
    page.text("Its state directory.");
    page.line(".El");
    page.section("EXIT STATUS");
    page.line(".Bl -tag -width Ds -compact");
    for (code, what) in EXIT_CODES {
        page.line(&format!(".It {code}\n{what}"));
    }
    page.line(".El");
    page.section("EXAMPLES");
    page.line(".Bl -tag -width Ds");
    for (line, what) in EXAMPLES {
        page.line(&format!(".It Li {}", super::roff::argument(line)));
        page.text(what);
    }
    page.line(".El");
    page.section("SEE ALSO");
    page.line(".Xr flagstone.toml 5");
    page.finish()
}

/// A description of the help as a sentence.
pub fn sentence(doc: &str) -> String {
    let mut sentence = doc.to_owned() + ".";
    sentence[..1].make_ascii_uppercase();
    sentence
}
