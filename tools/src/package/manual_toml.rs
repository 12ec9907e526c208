//! flagstone.toml(5), from the table of keys.

#[cfg(test)]
use flagstone::config::keys::Key;
use flagstone::config::keys::{Form, Section, in_section};

use super::roff::{Page, argument};

/// The page.
pub fn flagstone_toml(date: &str) -> String {
    let mut page = Page::new("flagstone.toml", 5, date);
    page.section("NAME");
    page.line(".Nm flagstone.toml\n.Nd configuration of flagstone");
    page.section("DESCRIPTION");
    page.line("The file is TOML, of at most 64 KiB.\nAn example with every key and its default is printed by");
    page.line(".Ql flagstone \\-\\-example .");
    page.line(
        "Whether a file is right, and how SQLite goes about each route, says\n.Ql flagstone \\-c FILE \\-\\-check DATABASE .",
    );
    page.line(".Pp\nThe running server looks at its file each second.");
    page.text("A new one is checked whole, SQL included, and swapped in, or kept out when there is any mistake in it.");
    page.text("Times are written as \"250ms\", \"5s\", \"10m\", \"1h\" or \"0\".");
    let sections = std::iter::once(Section::Top).chain(Section::HEADERS).chain([Section::Param]);
    for section in sections {
        page.line(&format!(".Ss {}", title(section)));
        page.text(section.doc());
        if section == Section::Top {
            page.text("These stand before the first section.");
        }
        let mut keys = in_section(section).peekable();
        if keys.peek().is_none() {
            page.text("Each key is a name, each value \"sha256:\" and 64 hexadecimal digits.");
            continue;
        }
        page.line(".Bl -tag -width Ds");
        for key in keys {
            page.line(&format!(".It Ic {} No = Ar {}", argument(key.name), argument(&form(key.form))));
            page.text(key.doc);
            if let Some(default) = key.default_toml() {
                page.line(&format!("The default is\n.Li {} .", argument(&default)));
            }
            page.line(&format!("An example is\n.Li {} .", argument(key.example)));
        }
        page.line(".El");
    }
    page.section("FILES");
    page.line(".Bl -tag -width Ds\n.It Pa /etc/flagstone/flagstone.toml");
    page.text("The configuration of the packaged service.");
    page.line(".It Pa /usr/share/flagstone/flagstone.schema.json");
    page.text("A JSON schema, by which editors complete and check.");
    page.line(".El");
    page.section("SEE ALSO");
    page.line(".Xr flagstone 1");
    page.finish()
}

fn title(section: Section) -> String {
    match section {
        Section::Top => "Top level".to_owned(),
        Section::Param => "A parameter in params".to_owned(),
        // A header must not end with a bracket, which would count as punctuation.
        section => format!("{} section", section.shown()),
    }
}

/// What a key takes, in a word or two.
fn form(form: Form) -> String {
    match form {
        Form::Text(_) => "text".to_owned(),
        Form::OneOrMany(most) => format!("text, or array of at most {most}"),
        Form::Many(most) => format!("array of at most {most} texts"),
        Form::Expose => "array of names, or *".to_owned(),
        Form::TokenName => "name of a token".to_owned(),
        Form::Bool => "true or false".to_owned(),
        Form::Count(least, most) => format!("{least} to {most}"),
        Form::Limit(..) | Form::Time(..) => "time".to_owned(),
        Form::Share => "on, off or a percentage".to_owned(),
        Form::Rate => "off, or requests in a time".to_owned(),
        Form::Word(words) => words.join(", "),
        Form::Params => "table of parameters".to_owned(),
        Form::Number => "number".to_owned(),
        Form::Any => "value of the type".to_owned(),
    }
}

/// The name under which a key stands in the page's source: for tests.
#[cfg(test)]
pub fn shown(key: &Key) -> String {
    format!(".It Ic {} No", argument(key.name))
}
