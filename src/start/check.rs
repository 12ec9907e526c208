//! What the command line tells of a configuration without serving it: whether it is right, what it comes to, and a new token.

use std::fmt::Write as _;

use super::configuration::Configuration;
use super::serve::{self, Parts, ProcessHeap};
use super::{StartError, failures, shell_word, state};
use crate::back::Back;
use crate::back::open::How;
use crate::cli::Options;
use crate::config::{self, Route};
use crate::policy::credentials;

/// Checks configuration and database as the start would; the text says each route's plan.
///
/// # Errors
/// 78 with every mistake; 66 when the database cannot be opened.
pub fn check(options: &Options, heap: &'static ProcessHeap) -> Result<String, StartError> {
    // It is the file that is to be right, whatever would be done without it.
    let options = &Options { safe: false, safe_after: None, fallback: false, ..options.clone() };
    let mut parts = Parts::take()?;
    let database = serve::database(options, &mut parts)?;
    let (mut configuration, state) = serve::configuration(options, heap, &database)?;
    let listen = configuration.listen(options)?;
    configuration.ops(options)?;
    let Parts { mut arenas, workspace, started, .. } = parts;
    let page_slots = serve::install(&mut arenas, &database, &state)?;
    let how = How { immutable: database.immutable, writable: false, page_slots, page_bytes: database.facts.page_size as usize };
    let conn = serve::open_patiently(&database.path, how, serve::PATIENCE)
        .map_err(|error| failures::cannot_open(&database.facts, &error))?;
    let config = configuration.running();
    let mut back = Back::new(&conn, workspace, state::random(), started, config.clone())
        .map_err(|error| failures::cannot_read(&database.facts, &error))?;
    configuration.validate(&mut back, &listen)?;
    let mut text = String::new();
    for route in config.routes() {
        put_plan(&mut text, &mut back, &config, route);
    }
    let file = options.config.as_deref().map_or_else(|| "no configuration".to_string(), shell_word);
    let (routes, tables) = (config.routes().len(), back.catalog().exposed().count());
    let _ = writeln!(text, "{file}: right, {routes} routes, {tables} tables served");
    Ok(text)
}

fn put_plan(text: &mut String, back: &mut Back<'_>, config: &config::Config, route: &Route) {
    let _ = writeln!(text, "{} {}", route.verb.name(), config.text(route.path));
    match back.plan(config, route) {
        Ok(steps) if steps.is_empty() => text.push_str("    reads no table\n"),
        Ok(steps) => {
            for step in steps {
                let _ = writeln!(text, "    {}", step.text);
                if let Some(rows) = step.whole {
                    let _ = writeln!(
                        text,
                        "    note: each request reads all {rows} rows; an index on what it filters and orders by would help"
                    );
                }
            }
        }
        Err(error) => {
            let _ = writeln!(text, "    no plan: {error}");
        }
    }
    text.push('\n');
}

/// The effective configuration, tokens masked.
///
/// # Errors
/// 78 with every mistake.
pub fn dump(options: &Options) -> Result<String, StartError> {
    let configuration = Configuration::alone(options)?;
    let mut text = String::new();
    let written = config::dump(&configuration.running(), config::Hashes::Masked, &mut text);
    debug_assert!(written.is_ok(), "a string takes all text");
    Ok(text)
}

/// A new token and what to configure for it. The token itself is nowhere else.
pub fn token(name: &str) -> String {
    let token = credentials::make(state::random_token());
    let digest = credentials::digest_text(&credentials::digest(token.as_bytes()));
    format!(
        "the token, shown this once:\n\n    {token}\n\nits digest, for flagstone.toml:\n\n    [tokens]\n    {name} = \"{digest}\"\n\n\
         use it:\n\n    curl -H 'Authorization: Bearer {token}' http://127.0.0.1:8080/...\n"
    )
}
