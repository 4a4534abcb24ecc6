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
                let fix = match mistake {
                    Mistake::Repeated { first } if is_whole(&text, first, &name) => {
                        let comment = format!("{first}s/^/#/");
                        Hint::to(fix, CommandLine::sudo(["sed", "-i", &comment, &real]))
                    }
                    _ => fix.into(),
                };
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

/// Whether a line is a whole assignment of a variable. A value may continue on the next line.
fn is_whole(text: &str, line: usize, name: &str) -> bool {
    let found = line.checked_sub(1).and_then(|at| text.lines().nth(at));
    found.is_some_and(|found| {
        let alone = EnvText::parse(found);
        alone.mistakes.is_empty() && alone.values.contains_key(name) && !found.ends_with('\\')
    })
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
        Mistake::Repeated { first } => (
            format!("systemd uses this value of `{plain}`, and not that of line {first}"),
            "make the line without effect a comment".to_owned(),
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
pub(crate) fn env_values(root: &Root, layout: &Layout) -> Result<BTreeMap<String, String>> {
    let path = layout.env_file();
    let is_file = root.meta_followed(&path)?.is_some_and(|meta| !meta.is_dir);
    let bytes = if is_file { root.read(&path)? } else { None };
    let text = String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default();
    Ok(EnvText::parse(&text).values)
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
    let bytes = if is_file { root.read(&path)? } else { None };
    let ends_with_line = bytes.is_none_or(|bytes| matches!(bytes.last(), None | Some(b'\n')));
    let set = file.unwrap_or_default().names;
    let mut faults = Vec::new();
    for service in &app.services {
        for name in &service.required_env {
            let in_manifest = service.env.iter().any(|(key, _)| key == name);
            let mut secrets = service.secret_variables.iter();
            let is_secret = secrets.any(|one| one.variable == *name);
            if in_manifest || is_secret || set.iter().any(|one| one == name.as_str()) {
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
                    format!("type the line `{name}=VALUE`, then Ctrl-D"),
                    CommandLine::sudo(["tee", "--append", &real]),
                ),
            );
            if !ends_with_line {
                let end = CommandLine::sudo(["sed", "-i", "$a\\", &real]);
                fault.fix.insert(0, Hint::to("end the last line", end));
            }
            if !is_file {
                let create = CommandLine::sudo(["install", "-D", "-m", "600", "/dev/null", &real]);
                fault.fix.insert(0, Hint::to("create the file", create));
            }
            faults.push(fault);
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::env_file_faults;
    use crate::app::{Layout, Name};
    use crate::host::Root;

    #[test]
    fn only_a_line_that_is_a_whole_assignment_may_become_a_comment() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let layout = Layout::new(&Name::parse("shop").unwrap());
        root.make_dir("/etc/shop", 0o755).unwrap();
        let said = |text: &str| {
            root.write_atomic(&layout.env_file(), text.as_bytes(), 0o600)
                .unwrap();
            let faults = env_file_faults(&root, &layout).unwrap().into_iter();
            // A test without root owns the file itself.
            let texts = faults
                .map(|fault| fault.text())
                .filter(|text| text.contains("systemd uses"));
            texts.collect::<String>()
        };
        assert!(
            said("A=1\nA=2\n").contains("sed -i '1s/^/#/'"),
            "{}",
            said("A=1\nA=2\n")
        );
        for text in ["A=1\\\n2\nA=2\n", "A=\"1\n2\"\nA=2\n"] {
            let said = said(text);
            assert!(
                said.contains("and not that of line 1") && !said.contains("sed"),
                "{said}"
            );
        }
    }
}
