//! `package`: a Debian package of an app.
//!
//! ```text
//! load ─▶ scan ─▶ fill ─▶ build ─▶ check the payload ─▶ control files ─▶ dpkg-deb ─▶ verify, lint
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `date` | the date of everything in the package |
//! | `payload` | staging the files of the release, as a deploy does, and what a package refuses of them |
//! | `contents` | everything in the package beside the payload |
//! | `libraries` | the packages with the libraries of its programs |
//! | `archive` | dpkg-deb(1), and the tools that look at its result |
//! | `names` | asking apt whether Debian has a package of that name |

mod archive;
mod contents;
mod date;
mod libraries;
mod names;
mod payload;

use super::context::Context;
use super::load::Loaded;
use crate::app::{App, why_refused_as_package};
use crate::deb;
use crate::error::{Claim as _, Error, Hint, fail};
use crate::host::files::is_dir;
use crate::host::{Host, Root, WorkDir, absolute};
use crate::stage::Source;
use anyhow::Result;
use std::path::{Path, PathBuf};

pub(crate) use archive::Compression;

/// The options of `package`.
#[derive(Debug, Clone)]
pub(crate) struct PackageRequest {
    /// The directory of the package; the working directory by default.
    pub(crate) output: Option<PathBuf>,
    /// How it is compressed.
    pub(crate) compress: Compression,
    /// Extracts it and compares it with what went into it.
    pub(crate) verify: bool,
    /// Asks lintian(1).
    pub(crate) lint: bool,
}

/// A package that was made.
#[derive(Debug)]
pub(crate) struct MadePackage {
    /// The app.
    pub(crate) app: String,
    /// The file.
    pub(crate) path: PathBuf,
    /// Its size in bytes.
    pub(crate) bytes: u64,
    /// How many files the payload has.
    pub(crate) files: usize,
    /// What it depends on.
    pub(crate) depends: String,
    /// What a person should know about the files.
    pub(crate) warnings: Vec<String>,
    /// What lintian says; empty without `--lint`.
    pub(crate) findings: Vec<String>,
}

/// A package on its way.
struct Unpacked<'a> {
    loaded: &'a Loaded,
    maintainer: String,
    /// The directory of the manifest.
    base: PathBuf,
    /// The date of everything in it, in seconds since 1970.
    epoch: i64,
    /// The changelog of the app.
    changelog: Option<String>,
    /// The tree that becomes the package.
    host: Host,
}

impl Unpacked<'_> {
    fn app(&self) -> &App {
        &self.loaded.app
    }

    fn root(&self) -> &Root {
        &self.host.root
    }
}

/// Makes a package.
///
/// # Errors
/// [`Kind::Refused`](crate::error::Kind::Refused): nothing of this host is changed, and no package is left.
pub(crate) fn run(ctx: &Context<'_>, request: &PackageRequest) -> Result<MadePackage, Error> {
    make(ctx, request).nothing_changed()
}

fn make(ctx: &Context<'_>, request: &PackageRequest) -> Result<MadePackage> {
    archive::check_tools(request)?;
    let loaded = ctx.load_for_package()?;
    let app = &loaded.app;
    check_name(app)?;
    let Some(maintainer) = &app.maintainer else {
        return fail(
            "a package needs a maintainer",
            "add `maintainer = \"Name <mail@example.org>\"` below `[app]`",
        );
    };
    let output = request.output.as_deref().unwrap_or(Path::new("."));
    if !is_dir(output) {
        return fail(
            format!("`{}` is not a directory", output.display()),
            "create it, or name another one with `--output DIR`",
        );
    }
    let base = absolute(loaded.path.parent().unwrap_or(Path::new(".")))?;
    let source = Source::at(&base.join(app.release.source.as_str()))?;
    let changelog = date::changelog(app, &base)?;
    let epoch = date::epoch(&loaded.path, &source, changelog.as_deref())?;
    let work = WorkDir::new()?;
    let tree = work.path().join("tree");
    let unpacked = Unpacked {
        maintainer: maintainer.to_string(),
        loaded: &loaded,
        host: Host::new(Some(&tree)),
        base,
        epoch,
        changelog,
    };
    unpacked.root().make_base()?;
    let staged = payload::stage(ctx, &unpacked, &source, output)?;
    let contents = contents::write(&unpacked, &staged, work.path())?;
    let made = archive::make(&unpacked, work.path(), request.compress)?;
    if request.verify {
        archive::verify(&unpacked, &made, work.path())?;
    }
    let findings = match request.lint {
        true => archive::lint(&made)?,
        false => Vec::new(),
    };
    let name = format!(
        "{}_{}_{}.deb",
        app.package.name,
        deb::version(app),
        contents.architecture.debian()
    );
    let path = output.join(name);
    let bytes = archive::publish(&made, &path)?;
    Ok(MadePackage {
        app: app.name.to_string(),
        path,
        bytes,
        files: staged.files,
        depends: contents.depends,
        warnings: staged
            .warnings
            .into_iter()
            .chain(contents.warning)
            .collect(),
        findings,
    })
}

/// Refuses a name that Debian or robotctl has.
fn check_name(app: &App) -> Result<()> {
    let name = app.package.name.as_str();
    let why = match why_refused_as_package(name) {
        Some(why) => Some(why.to_owned()),
        None => names::in_archive(name)?,
    };
    let Some(why) = why else {
        return Ok(());
    };
    fail(
        format!("a package cannot be called `{name}`: {why}"),
        Hint::from(format!(
            "give it another name below `[package]`: `name = \"my-{name}\"`"
        )),
    )
}
