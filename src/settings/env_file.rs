//! `/etc/<app>/env`: whether it is a file, what systemd drops of it, and what the services need in it.

use super::env_syntax::{EnvText, Mistake};
use super::open_file::open_file;
use crate::app::{App, Layout};
use crate::command_line::CommandLine;
use crate::error::Hint;
use crate::fault::{Fault, Impact};
use crate::host::Root;
use anyhow::Result;
use std::collections::BTreeMap;

/// What is wrong with the file. A missing file is right: the app may need no settings.
///
/// # Errors
/// When it cannot be read, as by a user who is not root.
pub(crate) fn env_file_faults(root: &Root, layout: &Layout) -> Result<Vec<Fault>> {
    let path = layout.env_file();
    let real = root.path(&path).display().to_string();
    let Some(meta) = root.meta_followed(&path)? else {
        return Ok(match root.read_link(&path)? {
            Some(target) => vec![Fault::new(
                Impact::Minor,
                format!("`{path}` is a link to `{target}`, which does not exist"),
                Hint::to("remove the link", CommandLine::sudo(["rm", &real])),
            )],
            None => Vec::new(),
        });
    };
    if meta.is_dir {
        return Ok(vec![Fault::new(
            Impact::Blocking,
            format!("`{path}` is a directory, so services get no settings from it"),
            Hint::to(
                "move it to another place",
                CommandLine::sudo(["mv", &real, &format!("{real}.d")]),
            ),
        )]);
    }
    let mut faults: Vec<Fault> = open_file(root, &path, &meta).into_iter().collect();
    let bytes = root.read(&path)?.unwrap_or_default();
    match String::from_utf8(bytes) {
        Ok(text) => {
            let mistakes = EnvText::parse(&text).mistakes;
            faults.extend(mistakes.into_iter().map(|(line, name, mistake)| {
                let (effect, fix) = explain(&name, mistake);
                Fault::new(
                    Impact::Minor,
                    format!("`{path}`, line {line}: {effect}"),
                    fix,
                )
            }));
        }
        Err(_) => faults.push(Fault::new(
            Impact::Blocking,
            format!("`{path}` is not UTF-8, so systemd drops all of it"),
            Hint::to(
                "find the line",
                CommandLine::sudo([
                    "grep",
                    "--line-number",
                    "--invert-match",
                    "--text",
                    "-x",
                    ".*",
                    &real,
                ]),
            ),
        )),
    }
    Ok(faults)
}

/// The effect of a mistake, and how to correct the line.
fn explain(name: &str, mistake: Mistake) -> (String, String) {
    let plain = name.trim_start_matches('\u{feff}');
    match mistake {
        Mistake::Export => {
            let plain = plain.trim_start_matches("export").trim_start();
            (
                format!("systemd drops `{plain}`, because `export` is part of its name"),
                format!("write `{plain}=` without `export`"),
            )
        }
        Mistake::ByteOrderMark => (
            format!("systemd drops `{plain}`, because a byte order mark is before its name"),
            "save the file as UTF-8 without a byte order mark".to_owned(),
        ),
        Mistake::Name => (
            format!(
                "systemd drops `{}`, which is not the name of a variable",
                plain.escape_debug()
            ),
            "use letters, digits and `_` in the name, and no digit first".to_owned(),
        ),
        Mistake::NoValue => (
            format!("systemd drops `{}`, which has no `=`", plain.escape_debug()),
            "write `NAME=value`, or `#` before a comment".to_owned(),
        ),
        Mistake::ContinuedComment => (
            "before version 254, systemd takes the line after this comment as part of it"
                .to_owned(),
            "remove the `\\` at the end of the comment".to_owned(),
        ),
        Mistake::OpenQuote => (
            format!("the quote does not end, so `{plain}` has every line below it as its value"),
            "end the quote on this line".to_owned(),
        ),
    }
}

/// What systemd reads from the file; `None` if there is no file. systemd drops all of a file that is not UTF-8.
///
/// # Errors
/// When the file cannot be read.
fn read_env_file(root: &Root, layout: &Layout) -> Result<Option<EnvText>> {
    let path = layout.env_file();
    let is_file = root.meta_followed(&path)?.is_some_and(|meta| !meta.is_dir);
    let bytes = if is_file { root.read(&path)? } else { None };
    let text = |bytes| String::from_utf8(bytes).unwrap_or_default();
    Ok(bytes.map(|bytes| EnvText::parse(&text(bytes))))
}

/// The variables that systemd reads from the file.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn env_values(root: &Root, layout: &Layout) -> Result<BTreeMap<String, String>> {
    Ok(read_env_file(root, layout)?.unwrap_or_default().values)
}

/// The variables of `required-env` that neither the manifest nor the file sets, each with the name of
/// the service.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn missing_variables(root: &Root, app: &App) -> Result<Vec<Fault>> {
    let needs = |service: &crate::app::Service| !service.required_env.is_empty();
    if !app.services.iter().any(needs) {
        return Ok(Vec::new());
    }
    let path = app.layout.env_file();
    let file = read_env_file(root, &app.layout)?;
    let is_file = file.is_some();
    let set = file.unwrap_or_default().names;
    let mut faults = Vec::new();
    for service in &app.services {
        for name in &service.required_env {
            let in_manifest = service.env.iter().any(|(key, _)| key == name);
            if in_manifest || set.iter().any(|one| one == name.as_str()) {
                continue;
            }
            let real = root.path(&path).display().to_string();
            let mut fault = Fault::new(
                Impact::Blocking,
                format!(
                    "service `{}` needs `{name}`, and `{path}` does not set it",
                    service.name
                ),
                Hint::to(
                    format!("add the line `{name}=VALUE`"),
                    CommandLine::sudo(["editor", &real]),
                ),
            );
            if !is_file {
                let create = CommandLine::sudo(["install", "-D", "-m", "600", "/dev/null", &real]);
                fault.fix.insert(0, Hint::to("create the file", create));
            }
            faults.push(fault);
        }
    }
    Ok(faults)
}
