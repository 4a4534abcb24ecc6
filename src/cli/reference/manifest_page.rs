//! `robot.toml(5)`, from the schema of the manifest and the tables of the sandbox and of the lints.

use super::manual::capital;
use super::page::{Page, inlines};
use crate::app::{CONDITIONS, LINTS, LISTEN_PLACEHOLDERS, Layout, NAME_PLACEHOLDERS, Name, schema};
use crate::sandbox::exceptions::{EXCEPTIONS, PRESETS};
use anyhow::{Context as _, Result, anyhow};
use roff::{bold, italic, roman};
use serde_json::{Map, Value};

/// A manifest with a table of each kind.
pub(super) const EXAMPLE: &str = include_str!("robot.toml");

/// The tables of a manifest in the order of the page. A test compares them with the schema.
const TABLES: [&str; 8] = [
    "app",
    "release",
    "env",
    "secret",
    "hooks",
    "service",
    "package",
    "environment",
];

/// The placeholders of [`Layout::placeholder`], and what each path is for.
const PLACEHOLDERS: [(&str, &str); 6] = [
    ("{current}", "the release that the process runs"),
    ("{state}", "the state directory"),
    (
        "{run}",
        "the directory of sockets and other files that the next boot removes",
    ),
    ("{cache}", "the cache directory"),
    ("{logs}", "the log directory"),
    ("{etc}", "the settings of this host"),
];

pub(super) fn page() -> Result<String> {
    let mut page = Page::new("robot.toml", "5", "The manifest of an app");
    page.section("SYNOPSIS");
    page.paragraph("`./robot.toml`");
    page.paragraph("`/usr/lib/`APP`/robot.toml`");
    page.section("DESCRIPTION");
    for text in [
        "A manifest describes an app: its services, what a release contains, and what each service \
         is allowed to do. robotctl(1) generates systemd units from it and deploys releases.",
        "The format is TOML. An unknown key is an error; the message names the line and the nearest \
         known key. Every string is data: it arrives in the unit exactly as it is written, or it is \
         refused. Only placeholders are replaced.",
        "A command is a list of strings: the program, which is an absolute path, and its arguments. \
         No shell is involved. A time span is a text such as `30s`, `500ms` or `1h 30min`: see \
         systemd.time(7).",
    ] {
        page.paragraph(text);
    }
    tables(&mut page)?;
    placeholders(&mut page)?;
    conditions(&mut page);
    page.section("EXCEPTIONS");
    page.paragraph(
        "Everything is denied by default. These are the names for `allow` in the table `sandbox`.",
    );
    for one in EXCEPTIONS {
        page.entry(&[bold(one.name)], &format!("{}.", capital(one.opens)));
        page.more(&format!("Needed by {}.", one.needed_by));
    }
    page.section("RUNTIMES");
    page.paragraph(
        "These are the values of `runtime`, with the exceptions that each one grants, and with the files that it \
         makes readable.",
    );
    for preset in PRESETS {
        let granted = preset.allow.iter().chain(preset.files);
        let granted: Vec<String> = granted.map(|word| format!("`{word}`")).collect();
        page.entry(&[bold(preset.name)], &format!("{}.", granted.join(", ")));
    }
    page.section("LINTS");
    page.paragraph(
        "`robotctl generate`, `deploy` and `doctor` report settings that are allowed but probably \
         wrong.",
    );
    for lint in LINTS {
        page.entry(&[bold(lint.id)], &format!("{}.", capital(lint.summary)));
    }
    page.section("FILES");
    page.entry(
        &[italic("/usr/share/robot/robot.schema.json")],
        "JSON schema of the manifest. For completion in an editor, make this the first line of the \
         manifest: `#:schema /usr/share/robot/robot.schema.json`",
    );
    page.entry(
        &[italic("/usr/share/doc/robot/manifest.md")],
        "Explains the manifest, with an example for each table.",
    );
    page.entry(
        &[italic("/usr/share/doc/robot/examples/robot.toml")],
        "The manifest of a platform of four services and a daily job.",
    );
    page.section("EXAMPLES");
    page.verbatim(EXAMPLE);
    let pages = [
        ("robotctl", 1),
        ("robotctl-generate", 1),
        ("robotctl-deploy", 1),
        ("robotctl-score", 1),
        ("systemd.service", 5),
        ("systemd.socket", 5),
        ("systemd.timer", 5),
        ("systemd.exec", 5),
        ("systemd.resource-control", 5),
        ("systemd.time", 7),
    ];
    page.see_also(&pages.map(|(page, section)| (page.to_owned(), section)));
    Ok(page.finish())
}

fn conditions(page: &mut Page) {
    page.section("CONDITIONS");
    page.paragraph(
        "These are the keys of `condition` of a service. The value is a string, or a list of strings \
         that must all be met. It can start with `!` for the opposite, and with `|` for conditions of \
         which one is enough: see systemd.unit(5).",
    );
    for one in CONDITIONS {
        page.entry(
            &[bold(one.key)],
            &format!("`{}=`. Met if {}.", one.directive, one.meaning),
        );
    }
}

fn path_of(layout: &Layout, placeholder: &str) -> String {
    let name = placeholder.trim_matches(['{', '}']);
    layout.placeholder(name).unwrap_or_default()
}

fn placeholders(page: &mut Page) -> Result<()> {
    page.section("PLACEHOLDERS");
    page.paragraph(
        "These work in commands, paths, addresses of checks and values of environment variables. A \
         placeholder is a name in braces, without spaces: an unknown one is an error. `{{name}}` is the text \
         `{name}`. Any other brace is literal.",
    );
    let name = Name::parse("app").map_err(|hint| anyhow!(hint))?;
    let layout = Layout::new(&name);
    for (placeholder, about) in PLACEHOLDERS {
        let path = path_of(&layout, placeholder).replace("/app", "/APP");
        page.entry(&[bold(placeholder)], &format!("`{path}`: {about}."));
    }
    for (name, about) in NAME_PLACEHOLDERS.iter().chain(&LISTEN_PLACEHOLDERS) {
        let name = format!("{{{name}}}");
        page.entry(&[bold(&name)], &format!("{}.", capital(about)));
    }
    Ok(())
}

/// A section for each table, with a part for each table inside it.
fn tables(page: &mut Page) -> Result<()> {
    let schema = schema();
    let root = schema.as_object().context("the schema is not an object")?;
    for name in TABLES {
        let property = property(root, name)?;
        let mut lists = Vec::new();
        let title = match kind(property) {
            Kind::Map(_) if table(root, property).is_some() => format!("[{name}.NAME]"),
            Kind::List(_) => format!("[[{name}]]"),
            _ => format!("[{name}]"),
        };
        // A title is an argument of a macro: quotes and spaces would need care. It has none.
        page.section(&title);
        page.paragraph(description(property));
        if name == "environment" {
            page.paragraph(
                "A table takes every key of `[service.NAME]`, for every service, and these. In \
                 `[environment.NAME.service.NAME]`, a key is for one service. Tables merge key by key, \
                 and lists replace. `/etc/<app>/robot.local.toml` is the same table for one host, and is \
                 stronger.",
            );
        }
        if let Some(inner) = table(root, property) {
            keys(page, root, inner, &mut lists)?;
        } else {
            page.paragraph("The keys are names of variables, the values are strings.");
        }
        for (key, property) in lists {
            let path = title.trim_matches(['[', ']']);
            // The table is the same for every owner.
            if name == "hooks" && key == "sandbox" {
                continue;
            }
            page.part(&format!("{path}.{key}"));
            page.paragraph(&sentences(description(property)));
            if let Some(inner) = table(root, property) {
                keys(page, root, inner, &mut Vec::new())?;
            }
        }
    }
    Ok(())
}

/// The keys of a table, required ones first. Those that are tables again are collected.
fn keys<'a>(
    page: &mut Page,
    root: &'a Map<String, Value>,
    inner: &'a Map<String, Value>,
    tables: &mut Vec<(&'a str, &'a Value)>,
) -> Result<()> {
    let required = inner.get("required").and_then(Value::as_array);
    let is_required = |key: &str| required.is_some_and(|list| list.iter().any(|one| one == key));
    let properties = inner.get("properties").and_then(Value::as_object);
    let properties = properties.context("a table without keys")?;
    // The keys of an overlay that are those of a service refer to them.
    let is_own = |property: &Value| {
        let reference = property.get("$ref").and_then(Value::as_str);
        !reference.is_some_and(|name| name.contains("/properties/"))
    };
    let own = properties.iter().filter(|(_, property)| is_own(property));
    let mut sorted: Vec<(&String, &Value)> = own.collect();
    sorted.sort_by_key(|(key, _)| !is_required(key));
    for (key, property) in sorted {
        let text = sentences(description(property));
        let required = if is_required(key) { ", required" } else { "" };
        let mut term = vec![bold(key.as_str()), roman(" (")];
        term.extend(inlines(&type_of(property)));
        term.push(roman(format!("{required})")));
        page.entry(&term, &text);
        if let Some(values) = values(property, &text) {
            page.more(&values);
        }
        if table(root, property).is_some() {
            tables.push((key, property));
        }
    }
    Ok(())
}

fn property<'a>(table: &'a Map<String, Value>, key: &str) -> Result<&'a Value> {
    let properties = table.get("properties");
    properties
        .and_then(|all| all.get(key))
        .with_context(|| format!("the schema has no `{key}`"))
}

fn description(property: &Value) -> &str {
    let text = property.get("description").and_then(Value::as_str);
    text.unwrap_or_default()
}

/// A description as sentences: `A; default b. C` becomes `A. Default: b. C.`
fn sentences(text: &str) -> String {
    let text = text.trim_end_matches('.');
    match text.split_once("; default") {
        Some((text, default)) => {
            let default = default.trim_start_matches([':', ' ']);
            format!("{text}. Default: {default}.")
        }
        None => format!("{text}."),
    }
}

/// What a value is made of.
enum Kind<'a> {
    Table,
    List(&'a Value),
    Map(&'a Value),
    Plain(&'static str),
}

fn kind(property: &Value) -> Kind<'_> {
    let property = without_null(property);
    let types = match property.get("type") {
        Some(Value::Array(list)) => list.first(),
        one => one,
    };
    match types.and_then(Value::as_str) {
        Some("array") => Kind::List(property.get("items").unwrap_or(&Value::Null)),
        Some("object") => match property.get("additionalProperties") {
            Some(values) => Kind::Map(values),
            None => Kind::Table,
        },
        Some("string") => Kind::Plain("string"),
        Some("boolean") => Kind::Plain("`true` or `false`"),
        Some("integer") => Kind::Plain("number"),
        _ if property.get("$ref").is_some() => Kind::Table,
        // The schema lists the names that fit.
        _ if property.get("oneOf").is_some() => Kind::Plain("string"),
        _ => Kind::Plain("value"),
    }
}

/// The part of `anyOf` that is not null.
fn without_null(property: &Value) -> &Value {
    let any = property.get("anyOf").and_then(Value::as_array);
    any.and_then(|list| list.first()).unwrap_or(property)
}

fn type_of(property: &Value) -> String {
    match kind(property) {
        Kind::Plain(name) => name.to_owned(),
        Kind::Table => "table".to_owned(),
        Kind::Map(values) => match kind(values) {
            Kind::Plain("value") => "table".to_owned(),
            _ => format!("table of {}", plural(&type_of(values))),
        },
        Kind::List(items) => match (kind(items), type_of(items)) {
            (Kind::List(_), _) => "list of commands".to_owned(),
            (_, name) => format!("list of {}", plural(&name)),
        },
    }
}

fn plural(name: &str) -> String {
    if name.starts_with("list of ") {
        name.replacen("list", "lists", 1)
    } else {
        format!("{name}s")
    }
}

/// The table behind a property: its own, that of each entry, or that of each name.
fn table<'a>(root: &'a Map<String, Value>, property: &'a Value) -> Option<&'a Map<String, Value>> {
    let inner = match kind(property) {
        Kind::List(inner) | Kind::Map(inner) => inner,
        _ => without_null(property),
    };
    // A table may be one of several forms.
    let mut forms = inner
        .get("anyOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let reference = inner.get("$ref");
    let reference = reference.or_else(|| forms.find_map(|form| form.get("$ref")))?;
    let name = reference.as_str()?.rsplit('/').next()?;
    root.get("$defs")?.get(name)?.as_object()
}

/// The words that a key accepts, unless its description has them.
fn values(property: &Value, text: &str) -> Option<String> {
    let words = property.get("enum")?.as_array()?;
    let words: Vec<String> = words
        .iter()
        .filter_map(Value::as_str)
        .map(|word| format!("`{word}`"))
        .collect();
    let missing = words.iter().any(|word| !text.contains(word.as_str()));
    missing.then(|| format!("One of {}.", words.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::{EXAMPLE, PLACEHOLDERS, TABLES, page, sentences};
    use crate::app::{App, Layout, Name, schema};
    use crate::manifest;
    use std::collections::BTreeSet;

    #[test]
    fn the_example_is_a_manifest_with_every_table() {
        let manifest = manifest::parse(EXAMPLE).unwrap();
        for environment in [None, Some("staging")] {
            let app = App::from_manifest(&manifest, environment);
            assert!(app.is_ok(), "{app:?}");
        }
        let names: BTreeSet<&str> = manifest.written.keys().map(String::as_str).collect();
        assert_eq!(names, TABLES.into_iter().collect());
    }

    #[test]
    fn every_key_is_on_the_page() {
        let (page, schema) = (page().unwrap(), schema());
        let tables = schema["properties"].as_object().unwrap();
        let tables: BTreeSet<&str> = tables.keys().map(String::as_str).collect();
        assert_eq!(tables, TABLES.into_iter().collect());
        for (name, table) in schema["$defs"].as_object().unwrap() {
            for key in table["properties"].as_object().unwrap().keys() {
                let key = key.replace('-', "\\-");
                assert!(
                    page.contains(&format!(".TP\n\\fB{key}\\fR (")),
                    "{name}.{key}"
                );
            }
        }
        for part in [
            ".SH [app]\n",
            ".SH [[secret]]\n",
            ".SH [service.NAME]\n",
            ".SS service.NAME.check\n",
            ".TP\n\\fBname\\fR (string, required)\n",
            ".TP\n\\fBkeep\\fR (number)\nNumber of releases to keep on disk.\nDefault: 5.\n",
            ".TP\n\\fBexec\\fR (list of strings, required)\n",
            ".TP\n\\fBafter\\-switch\\fR (list of commands)\n",
            ".TP\n\\fBenable\\fR (\\fBtrue\\fR or \\fBfalse\\fR)\n",
            ".TP\n\\fBoutbound\\fR\n",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }

    #[test]
    fn every_placeholder_is_replaced() {
        let layout = Layout::new(&Name::parse("app").unwrap());
        for (placeholder, _) in PLACEHOLDERS {
            assert!(
                super::path_of(&layout, placeholder).starts_with('/'),
                "{placeholder}"
            );
        }
    }

    #[test]
    fn a_default_is_a_sentence_of_its_own() {
        for (text, expected) in [
            ("A; default `b`, `c` for d.", "A. Default: `b`, `c` for d."),
            ("A; default: the name. E.", "A. Default: the name. E."),
            ("`a`, `b` (default), `c`.", "`a`, `b` (default), `c`."),
            ("`WatchdogSec=`", "`WatchdogSec=`."),
        ] {
            assert_eq!(sentences(text), expected);
        }
    }
}
