//! The files in `/etc/<app>/credentials`, as systemd loads them (systemd.exec(5), `LoadCredential=`).

use super::open_file::open_file;
use super::secret_files::SecretFiles;
use super::secret_value::MAX_SECRET_BYTES;
use crate::app::{App, Secret};
use crate::bytesize::format_bytes;
use crate::command_line::CommandLine;
use crate::error::Hint;
use crate::fault::{Fault, Impact};
use crate::host::{Meta, Root};
use anyhow::Result;

/// What is wrong with the secrets of an app.
///
/// # Errors
/// When a file cannot be seen, as by a user who is not root.
pub(crate) fn secret_faults(root: &Root, app: &App) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for secret in &app.secrets {
        let path = app.layout.credential(secret.name.as_str());
        match root.meta_followed(&path)? {
            Some(meta) => {
                faults.extend(of_content(root, secret, &path, &meta));
                faults.extend(of_variable(root, app, secret)?);
                faults.extend(open_file(root, &path, &meta).filter(|_| !meta.is_dir));
            }
            None => faults.push(of_missing(root, secret, &path)?),
        }
    }
    Ok(faults)
}

/// The secrets that a deploy generates, because they do not exist.
///
/// # Errors
/// When a file cannot be seen, as by a user who is not root.
pub(crate) fn missing_to_generate(root: &Root, app: &App) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for secret in app.secrets.iter().filter(|one| one.generate.is_some()) {
        let path = app.layout.credential(secret.name.as_str());
        if root.meta(&path)?.is_none() {
            names.push(secret.name.to_string());
        }
    }
    Ok(names)
}

fn of_missing(root: &Root, secret: &Secret, path: &str) -> Result<Fault> {
    if let Some(target) = root.read_link(path)? {
        let message = format!(
            "the secret `{}` is a link to `{target}`, which does not exist",
            secret.name
        );
        let real = root.path(path).display().to_string();
        let remove = Hint::to("remove the link", CommandLine::sudo(["rm", &real]));
        let fault = Fault::new(Impact::Blocking, message, remove);
        return Ok(fault.then(Hint::to("then set it", set_command(secret))));
    }
    let message = format!("the secret `{}` is missing", secret.name);
    let set = set_command(secret);
    if secret.generate.is_none() {
        return Ok(Fault::new(
            Impact::Blocking,
            message,
            Hint::to("set it", set),
        ));
    }
    let text = "the next new release generates another value; to keep the old one, set it";
    Ok(Fault::new(Impact::Created, message, Hint::to(text, set)))
}

/// A value that no environment variable can have.
fn of_variable(root: &Root, app: &App, secret: &Secret) -> Result<Option<Fault>> {
    let Some(variable) = &secret.variable else {
        return Ok(None);
    };
    let value = SecretFiles::new(root, &app.layout).value(secret.name.as_str())?;
    let clause = value.and_then(|value| value.variable_fault(variable.as_str()));
    Ok(clause.map(|clause| {
        Fault::new(
            Impact::Blocking,
            format!("the secret `{}` {clause}", secret.name),
            Hint::to("set another value", set_command(secret)),
        )
    }))
}

/// The command that sets a secret.
fn set_command(secret: &Secret) -> CommandLine {
    CommandLine::sudo_robotctl(["secret", "set", secret.name.as_str()])
}

/// A file that systemd cannot load, or that holds nothing.
fn of_content(root: &Root, secret: &Secret, path: &str, meta: &Meta) -> Option<Fault> {
    let real = root.path(path).display().to_string();
    let set = set_command(secret);
    let name = &secret.name;
    if meta.is_dir {
        let move_away = CommandLine::sudo(["mv", &real, &format!("{real}.old")]);
        let fault = Fault::new(
            Impact::Blocking,
            format!("the secret `{name}` is a directory, and no file"),
            Hint::to("move it to another place", move_away),
        );
        return Some(fault.then(Hint::to("then set it", set)));
    }
    if meta.len > MAX_SECRET_BYTES {
        let size = format_bytes(meta.len);
        return Some(Fault::new(
            Impact::Blocking,
            format!("the secret `{name}` has {size}, and systemd loads at most 1 MiB"),
            Hint::to("set a smaller value", set),
        ));
    }
    (meta.len == 0).then(|| {
        Fault::new(
            Impact::Minor,
            format!("the secret `{name}` is empty"),
            Hint::to("set it", set),
        )
    })
}
