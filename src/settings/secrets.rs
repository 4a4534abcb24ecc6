//! The files in `/etc/<app>/credentials`, as systemd loads them (systemd.exec(5), `LoadCredential=`).

use super::open_file::open_file;
use crate::app::{App, Secret};
use crate::bytesize::format_bytes;
use crate::command_line::CommandLine;
use crate::error::Hint;
use crate::fault::{Fault, Impact};
use crate::host::{Meta, Root};
use anyhow::Result;

/// The most bytes of a credential (`CREDENTIAL_SIZE_MAX` of systemd).
const MAX_BYTES: u64 = 1024 * 1024;

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
    let real = root.path(path).display().to_string();
    let install = CommandLine::sudo(["install", "-D", "-m", "600", "FILE", &real]);
    if let Some(target) = root.read_link(path)? {
        let message = format!(
            "the secret `{}` is a link to `{target}`, which does not exist",
            secret.name
        );
        return Ok(Fault::new(
            Impact::Blocking,
            message,
            Hint::to("replace the link by a file", install),
        ));
    }
    let message = format!("the secret `{}` is missing", secret.name);
    if secret.generate.is_none() {
        return Ok(Fault::new(
            Impact::Blocking,
            message,
            Hint::to("install it from a file", install),
        ));
    }
    let text =
        "the next new release generates another value; to keep the old one, install it from a file";
    Ok(Fault::new(
        Impact::Created,
        message,
        Hint::to(text, install),
    ))
}

/// A file that systemd cannot load, or that holds nothing.
fn of_content(root: &Root, secret: &Secret, path: &str, meta: &Meta) -> Option<Fault> {
    let real = root.path(path).display().to_string();
    let install = CommandLine::sudo(["install", "-D", "-m", "600", "FILE", &real]);
    let name = &secret.name;
    if meta.is_dir {
        let move_away = CommandLine::sudo(["mv", &real, &format!("{real}.old")]);
        let fault = Fault::new(
            Impact::Blocking,
            format!("the secret `{name}` is a directory, and no file"),
            Hint::to("move it to another place", move_away),
        );
        return Some(fault.then(Hint::to("then install it from a file", install)));
    }
    if meta.len > MAX_BYTES {
        let size = format_bytes(meta.len);
        return Some(Fault::new(
            Impact::Blocking,
            format!("the secret `{name}` has {size}, and systemd loads at most 1 MiB"),
            Hint::to("install a smaller file", install),
        ));
    }
    (meta.len == 0).then(|| {
        Fault::new(
            Impact::Minor,
            format!("the secret `{name}` is empty"),
            Hint::to("install it from a file", install),
        )
    })
}
