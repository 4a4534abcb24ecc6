//! What a deploy asks of its archive before robotctl reads any of it: the digest on the command line, and a signature
//! where the host has allowed signers for the app.
//!
//! A signature covers the archive, and so the manifest in it, which names the app. It does not cover a directory or
//! a manifest in another place: where signatures are needed, both are refused. Files of a package need no
//! signature: dpkg(1) installed them as root.

use super::request::DeployRequest;
use super::source::FoundSource;
use crate::archive::{ArchiveFile, NAMESPACE, Signers, signers_files, verify};
use crate::command_line::CommandLine;
use crate::error::{Hint, HintedError, fail};
use crate::host::files::is_present;
use crate::host::{absolute, is_link_error};
use crate::ops::context::Context;
use crate::ops::load::{Loaded, Place};
use crate::ops::user_file::{Links, read_text, refused_link};
use crate::provenance::check_digest;
use crate::stage::Source;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// The source that the command line names. An archive that must prove where it comes from has done so.
pub(super) fn named_source(ctx: &Context<'_>, request: &DeployRequest) -> Result<Option<Source>> {
    if let Some(digest) = &request.digest {
        check_digest(digest)?;
    }
    let asks = match (&request.digest, &request.signature) {
        (Some(_), _) => Some("--digest"),
        (None, Some(_)) => Some("--signature"),
        (None, None) => None,
    };
    let Some(named) = &request.source else {
        return match asks {
            None => Ok(None),
            Some(option) => fail(
                format!("`{option}` is about an archive, and the command names none"),
                "name the archive after `deploy`",
            ),
        };
    };
    match (Source::at(named)?, asks) {
        (Source::Archive(archive), asks) => {
            let signers = signers_before_parsing(ctx, named)?;
            if signers.is_none() && asks.is_none() {
                return Ok(Some(Source::Archive(archive)));
            }
            let path = match request.links() {
                Links::Followed => archive.path().to_owned(),
                Links::Refused => absolute(named)?,
            };
            let archive = proved(request, named, path, signers.as_ref())?;
            ctx.attempt.set_archive(archive.provenance());
            Ok(Some(Source::Archive(archive)))
        }
        (Source::Directory(_), Some(option)) => fail(
            format!(
                "`{option}` is about an archive, and `{}` is a directory",
                named.display()
            ),
            format!("name an archive, or leave out `{option}`"),
        ),
        (directory, None) => Ok(Some(directory)),
    }
}

/// Who may sign the archive, before its manifest can say which app it is.
fn signers_before_parsing(ctx: &Context<'_>, named: &Path) -> Result<Option<Signers>> {
    let root = &ctx.host.root;
    if let Some(app) = ctx.named_app()? {
        return Signers::of(root, app.as_str());
    }
    if Signers::any_app_has_its_own(root)? {
        return fail(
            format!(
                "an app of this host has allowed signers of its own, so the command must name the app of `{}`",
                named.display()
            ),
            "add `--app NAME`",
        );
    }
    Signers::of_host(root)
}

/// A copy of the archive that has the digest of the command, and that an allowed signer has signed.
fn proved(
    request: &DeployRequest,
    named: &Path,
    path: PathBuf,
    signers: Option<&Signers>,
) -> Result<ArchiveFile> {
    let signature = match signers {
        Some(_) => Some(signature(request, named)?),
        None if request.signature.is_some() => {
            let [_, host] = signers_files("APP");
            return fail(
                format!("`--signature` needs to know who may sign, and there is no `{host}`"),
                "write the file of allowed signers (ssh-keygen(1)), or use `--digest`",
            );
        }
        None => None,
    };
    let archive = ArchiveFile::copied(path).or_else(|error| {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(is_link_error) {
            return refused_link(named);
        }
        Err(error)
    })?;
    let shown = named.display();
    if let (Some(wanted), Some(found)) = (&request.digest, archive.provenance())
        && *wanted != found.digest
    {
        return fail(
            format!(
                "`{shown}` has the digest `{}`, and not `{wanted}`",
                found.digest
            ),
            "get the archive again, or check the digest where the archive was made",
        );
    }
    match (signers, signature) {
        (Some(signers), Some((path, text))) => {
            let signer = verify(&archive, (&path, &text), signers)?;
            Ok(archive.signed_by(signer))
        }
        _ => Ok(archive),
    }
}

/// The signature of an archive: its path, and its text.
fn signature(request: &DeployRequest, named: &Path) -> Result<(PathBuf, String)> {
    let beside = || {
        let mut name = named.as_os_str().to_owned();
        name.push(".sig");
        PathBuf::from(name)
    };
    let path = request.signature.clone().unwrap_or_else(beside);
    if request.signature.is_none() && !is_present(&path) {
        return Err(unsigned(&format!(
            "`{}` has no signature: there is no `{}`",
            named.display(),
            path.display()
        )));
    }
    let text = read_text(
        &path,
        request.links(),
        "name the signature with `--signature FILE`",
    )?;
    Ok((path, text))
}

/// Refuses a release that no signature covers, where the host has allowed signers for the app. `found` is its
/// source, as soon as that is known.
pub(super) fn check_signed(
    ctx: &Context<'_>,
    request: &DeployRequest,
    loaded: &Loaded,
    found: Option<&FoundSource>,
) -> Result<()> {
    let Some(signers) = Signers::of(&ctx.host.root, loaded.app.name.as_str())? else {
        return Ok(());
    };
    let is_inside = found.is_none_or(|(_, outside)| outside.is_none());
    if request.source.is_none() && is_inside && loaded.is_of_package {
        return Ok(());
    }
    let rule = format!(
        "`{}` lists who may sign `{}`",
        signers.allowed.path, loaded.app.name
    );
    let manifest = loaded.path.display();
    match (&request.source, loaded.place) {
        (Some(_), Place::SourceArchive) => {}
        (Some(source), Place::File) if !crate::host::files::is_dir(source) => {
            return fail(
                format!(
                    "{rule}, and a signature of the archive does not cover the manifest `{manifest}`"
                ),
                "put `robot.toml` at the top of the archive, sign it, and leave out `--manifest`",
            );
        }
        _ => {
            return Err(unsigned(&format!(
                "{rule}, and a directory has no signature"
            )));
        }
    }
    let archive = found.and_then(|(source, _)| source.provenance());
    if found.is_some() && archive.is_none_or(|archive| archive.signer.is_none()) {
        return Err(unsigned(&format!("{rule}, and nothing was verified")));
    }
    Ok(())
}

/// The refusal of what has no signature.
fn unsigned(message: &str) -> anyhow::Error {
    let sign = ["ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", "KEY"];
    HintedError::new(
        message,
        Hint::to(
            "sign an archive where you build it",
            CommandLine::new(sign).arg("ARCHIVE"),
        ),
    )
    .into()
}
