//! The manifest that a command uses, read and checked.
//!
//! | command | uses the first of |
//! |---|---|
//! | `deploy` | `--manifest`; the `robot.toml` inside the source; `./robot.toml`; by its name, that of a package |
//! | `package` | `--manifest`; `./robot.toml` |
//! | `generate`, `score` | `--manifest`; `./robot.toml` of the app; the live release of the app |
//!
//! A deploy never takes the only app of the host: typed in a wrong directory, it would deploy another app and
//! end well.

use super::context::Context;
use super::other_release::OtherRelease;
use super::user_file::{Links, read_text, refused_link};
use crate::app::layout::VENDOR_DIR;
use crate::app::{App, BUNDLED_APP, Name};
use crate::archive::ArchiveFile;
use crate::command_line::CommandLine;
use crate::error::{AS_ROOT, Hint, HintedError, fail};
use crate::host::files::{is_file, is_present};
use crate::host::{self, absolute, is_link_error, real_path};
use crate::manifest::{self, Problem};
use crate::settings::host_overlay;
use crate::stage::{Source, text_in_archive};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// The name of a manifest, in the directory where a command is typed and in a source.
pub(super) const MANIFEST: &str = "robot.toml";

/// The hint of a manifest that cannot be read.
const NAME_IT: &str = "name the manifest with `--manifest FILE`";

/// A manifest that was read and checked.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) app: App,
    /// The app without the overlay of this host, if there is one: what a release is on every host.
    pub(super) base: Option<App>,
    /// The release whose files to take, if the deploy names another environment.
    pub(super) from: Option<OtherRelease>,
    pub(super) place: Place,
    /// Whether a package has installed it for the app.
    pub(super) is_of_package: bool,
}

/// Where a manifest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Outside the source that a deploy names.
    File,
    /// In the directory that a deploy names as its source.
    SourceDirectory,
    /// In the archive that a deploy names as its source.
    SourceArchive,
}

impl Context<'_> {
    /// The manifest of a deploy of a source, which comes with its path as typed. `--app` must agree with it.
    pub(super) fn load_for_deploy(
        &self,
        source: Option<(&Path, &Source)>,
        links: Links,
    ) -> Result<Loaded> {
        let loaded = self.find_for_deploy(source, links)?;
        let loaded = self.on_this_host(loaded)?;
        if loaded.app.name.as_str() == BUNDLED_APP {
            self.check_no_earlier_bundled_app()?;
        }
        self.attempt.set_app(&loaded.app.name);
        Ok(loaded)
    }

    /// A manifest that a release has recorded, for a deploy to this environment.
    pub(super) fn checked_manifest(&self, path: PathBuf, text: String) -> Result<Loaded> {
        let loaded = self.checked(path, text, Place::File, None)?;
        self.on_this_host(loaded)
    }

    /// The name of the app in the manifest that `--manifest` names, or in this directory, without an environment.
    pub(super) fn base_name_of_manifest(&self) -> Result<Option<String>> {
        let text = match &self.options.manifest {
            Some(path) => Some(read(path, Links::Followed)?),
            None => text_here(),
        };
        Ok(text.and_then(|text| manifest::app_name(&text)))
    }

    /// The app with the overlay of this host.
    fn on_this_host(&self, loaded: Loaded) -> Result<Loaded> {
        let Some(overlay) = host_overlay(&self.host.root, &loaded.app.layout)? else {
            return Ok(loaded);
        };
        let environment = self.options.environment.as_deref();
        let read = || App::on_host(&manifest::parse(&loaded.text)?, environment, Some(&overlay));
        let app = read().map_err(|problem| explained(&loaded.path, problem.at(&loaded.text)))?;
        let Loaded {
            path,
            text,
            app: base,
            place,
            from,
            is_of_package,
            ..
        } = loaded;
        Ok(Loaded {
            path,
            text,
            app,
            base: Some(base),
            from,
            place,
            is_of_package,
        })
    }

    fn find_for_deploy(&self, source: Option<(&Path, &Source)>, links: Links) -> Result<Loaded> {
        let here = Path::new(MANIFEST);
        let named = self.named_app()?;
        if let Some(path) = &self.options.manifest {
            return self.read_manifest(path, links);
        }
        if let Some((source, opened)) = source {
            if let Some(loaded) = self.manifest_in(source, opened, links)? {
                return Ok(loaded);
            }
            if is_present(here) {
                return self.read_manifest(here, links);
            }
            return fail(
                format!(
                    "there is no `{MANIFEST}` in `{}`, and none in this directory",
                    source.display()
                ),
                "add it to the source, change to the directory that has it, or name it with \
                 `--manifest FILE`",
            );
        }
        // Its name means the package, also in the directory of another app.
        let bundled = named.as_ref().filter(|name| name.as_str() == BUNDLED_APP);
        if let Some(path) = bundled.and_then(|name| self.manifest_of_package(name.as_str())) {
            return self.read_manifest(&path, links);
        }
        if is_present(here) {
            return self.read_manifest(here, links);
        }
        match &named {
            Some(name) => match self.manifest_of_package(name.as_str()) {
                Some(path) => self.read_manifest(&path, links),
                None => no_manifest_of(name),
            },
            None => self.bundled_app_of_a_new_host(links),
        }
    }

    /// The bundled app, if nothing else is deployed: there is no `robot.toml`, and no app is named.
    fn bundled_app_of_a_new_host(&self, links: Links) -> Result<Loaded> {
        let bundled = self.manifest_of_package(BUNDLED_APP);
        let (own, _) = self.deployed_apps()?;
        if let (Some(path), []) = (&bundled, own.as_slice()) {
            let text = read(path, links)?;
            let loaded = self.checked(path.clone(), text, Place::File, Some(BUNDLED_APP))?;
            let text = format!("no {MANIFEST} here: using the bundled app `{BUNDLED_APP}`");
            self.note("info", BUNDLED_APP, &text);
            return Ok(loaded);
        }
        let mut hints = vec![Hint::from(
            "change to the app's directory, or name its manifest with `--manifest FILE`",
        )];
        hints.extend(bundled.map(|_| {
            let deploy = ["--app", BUNDLED_APP, "deploy"];
            Hint::to(
                "to deploy the bundled app",
                CommandLine::sudo_robotctl(deploy),
            )
        }));
        let message =
            format!("there is no `{MANIFEST}` in this directory, so no app can be deployed");
        Err(HintedError { message, hints }.into())
    }

    /// The manifest that the package of an app has installed.
    pub(super) fn load_installed_package(&self, app: &str) -> Result<Loaded> {
        let name = Name::parse(app).map_err(|rule| {
            HintedError::new(
                format!("`{app}` in `--from-package` is not the name of an app"),
                rule,
            )
        })?;
        let Some(path) = self.manifest_of_package(name.as_str()) else {
            return fail(
                format!(
                    "no package of `{name}` is installed: there is no `{}`",
                    path_in_package(app)
                ),
                "install it with apt, or deploy its source",
            );
        };
        let text = read(&path, Links::Followed)?;
        let loaded = self.checked(path, text, Place::File, Some(app))?;
        let loaded = self.on_this_host(loaded)?;
        self.attempt.set_app(&loaded.app.name);
        Ok(loaded)
    }

    /// The manifest of a package to make.
    pub(super) fn load_for_package(&self) -> Result<Loaded> {
        let here = Path::new(MANIFEST);
        let path = self.options.manifest.as_deref().unwrap_or(here);
        if path == here && !is_present(here) {
            return fail(
                format!("there is no `{MANIFEST}` in this directory, so no package can be made"),
                "change to the app's directory, or name its manifest with `--manifest FILE`",
            );
        }
        self.read_manifest(path, Links::Followed)
    }

    /// The app that `generate` and `score` show.
    pub(super) fn load_app(&self) -> Result<App> {
        if let Some(path) = &self.options.manifest {
            return Ok(self.read_manifest(path, Links::Followed)?.app);
        }
        let here = Path::new(MANIFEST);
        let named = self.named_app()?;
        let is_meant = named.is_none() || self.name_here() == named;
        if is_present(here) && is_meant {
            return Ok(self.read_manifest(here, Links::Followed)?.app);
        }
        let name = match named {
            Some(name) => name,
            None => match self.only_app()? {
                Some(name) => name,
                None => return self.no_app_to_show(),
            },
        };
        self.attempt.set_app(&name);
        let package = self.manifest_of_package(name.as_str());
        let is_bundled = name.as_str() == BUNDLED_APP;
        if let Some(path) = package.as_ref().filter(|_| is_bundled) {
            return Ok(self.read_manifest(path, Links::Followed)?.app);
        }
        if let Some(app) = self.live_app(&name)? {
            return Ok(app);
        }
        match package {
            Some(path) => Ok(self.read_manifest(&path, Links::Followed)?.app),
            // Its error says that this is the manifest of another app.
            None if is_present(here) => Ok(self.read_manifest(here, Links::Followed)?.app),
            None => no_manifest_of(&name),
        }
    }

    /// The app of the live release.
    fn live_app(&self, name: &Name) -> Result<Option<App>> {
        let store = self.store(name);
        let Some(live) = store.state()?.live else {
            return Ok(None);
        };
        match store.release(&live) {
            Ok(Some(record)) => {
                let text = format!("no {MANIFEST} of `{name}` here: using its live release {live}");
                self.note("info", name.as_str(), &text);
                record.app().map(Some)
            }
            Ok(None) => Err(store.missing_record(&live)),
            Err(_) if !host::is_root() => fail(
                format!("only root can read the manifest of the live release of `{name}`"),
                AS_ROOT,
            ),
            Err(error) => Err(error),
        }
    }

    fn no_app_to_show<T>(&self) -> Result<T> {
        let mut hints = vec![Hint::from(
            "change to the app's directory, or name its manifest with `--manifest FILE`",
        )];
        if self.manifest_of_package(BUNDLED_APP).is_some() {
            let typed = self.typed().for_app(BUNDLED_APP, None);
            hints.push(Hint::to("or name the bundled app", typed));
        }
        let message = format!("there is no `{MANIFEST}` in this directory, and no app is deployed");
        Err(HintedError { message, hints }.into())
    }

    /// The manifest inside a source.
    fn manifest_in(&self, source: &Path, opened: &Source, links: Links) -> Result<Option<Loaded>> {
        match opened {
            Source::Directory(_) => {
                let path = source.join(MANIFEST);
                if !is_present(&path) {
                    return Ok(None);
                }
                let text = read(&path, links)?;
                self.checked(path, text, Place::SourceDirectory, None)
                    .map(Some)
            }
            Source::Archive(archive) => {
                let file = match (links, archive.provenance()) {
                    (Links::Refused, None) => ArchiveFile::at(absolute(source)?),
                    // What was verified, or a path without links.
                    _ => archive.clone(),
                };
                let found = text_in_archive(&file, MANIFEST).or_else(|error| {
                    let io = error.downcast_ref::<std::io::Error>();
                    if io.is_some_and(is_link_error) {
                        return refused_link(source);
                    }
                    Err(error)
                });
                let Some(text) = found? else {
                    return Ok(None);
                };
                let loaded =
                    self.checked(source.join(MANIFEST), text, Place::SourceArchive, None)?;
                check_archive_source(&loaded)?;
                Ok(Some(loaded))
            }
        }
    }

    /// Reads and checks the manifest at a path. `--app` must agree with it.
    pub(super) fn read_manifest(&self, path: &Path, links: Links) -> Result<Loaded> {
        let text = read(path, links)?;
        self.checked(path.to_owned(), text, Place::File, None)
    }

    /// `expected` is the app that the manifest must be of; without it, `--app` says so.
    fn checked(
        &self,
        path: PathBuf,
        text: String,
        place: Place,
        expected: Option<&str>,
    ) -> Result<Loaded> {
        self.attempt.set_manifest(&text);
        // `--app` names the app, whatever the manifest says.
        if self.options.app.is_none()
            && let Some(name) = self.name_in(&text)
        {
            self.attempt.set_app(&name);
        }
        let environment = self.options.environment.as_deref();
        let is_bundled = self.is_manifest_of_package(&path, BUNDLED_APP);
        let read = || -> manifest::Result<App> {
            let manifest = manifest::parse(&text)?;
            if is_bundled {
                App::from_bundled(&manifest, environment, None)
            } else {
                App::from_manifest(&manifest, environment)
            }
        };
        let app = read().map_err(|problem| explained(&path, problem.at(&text)))?;
        if let Some(name) = expected.or(self.options.app.as_deref())
            && *name != *app.name.as_str()
        {
            return fail(
                format!(
                    "`{}` is the manifest of `{}`, not of `{name}`",
                    path.display(),
                    app.name
                ),
                self.how_to_agree(name, &text),
            );
        }
        Ok(Loaded {
            is_of_package: self.is_manifest_of_package(&path, app.name.as_str()),
            path,
            text,
            app,
            base: None,
            from: None,
            place,
        })
    }

    /// The app of a manifest, which may be wrong elsewhere.
    pub(super) fn name_in(&self, text: &str) -> Option<Name> {
        name_in(text, self.options.environment.as_deref())
    }

    /// What to do about a manifest that is not the one of the named app.
    fn how_to_agree(&self, name: &str, text: &str) -> Hint {
        let environments = manifest::parse(text).map(|manifest| {
            let names = manifest.environment.into_keys();
            names.collect::<Vec<String>>()
        });
        let base = manifest::app_name(text).unwrap_or_default();
        let of_name = |environment: &&String| format!("{base}-{environment}") == name;
        if let Some(environment) = environments.unwrap_or_default().iter().find(of_name)
            && self.options.environment.is_none()
        {
            return format!("add `--environment {environment}`").into();
        }
        format!("remove `--app`, or give the manifest of `{name}` with `--manifest FILE`").into()
    }

    /// The name that `--app` gives.
    pub(super) fn named_app(&self) -> Result<Option<Name>> {
        let Some(name) = &self.options.app else {
            return Ok(None);
        };
        let wrong = |rule| {
            HintedError::new(
                format!("`{name}` in `--app` is not the name of an app"),
                rule,
            )
        };
        Ok(Some(Name::parse(name).map_err(wrong)?))
    }

    /// The name of the app in `./robot.toml`, also if the file has a mistake elsewhere.
    pub(super) fn name_here(&self) -> Option<Name> {
        self.name_in(&text_here()?)
    }

    /// The app that a command without options means in this directory.
    pub(super) fn app_without_options(&self) -> Option<Name> {
        if is_present(Path::new(MANIFEST)) {
            return name_in(&text_here()?, None);
        }
        self.only_app().ok()?
    }

    /// The manifest that a package installed for an app.
    fn manifest_of_package(&self, name: &str) -> Option<PathBuf> {
        let path = self.host.root.followed(&path_in_package(name));
        is_file(&path).then_some(path)
    }

    /// Whether a manifest is the one that a package installed for its app.
    fn is_manifest_of_package(&self, path: &Path, name: &str) -> bool {
        let installed = self.manifest_of_package(name);
        let real = |path: &Path| real_path(path).ok();
        installed.is_some_and(|installed| {
            let installed = real(&installed);
            installed.is_some() && installed == real(path)
        })
    }
}

/// The text of `./robot.toml`.
fn text_here() -> Option<String> {
    host::read_user_file(Path::new(MANIFEST)).ok()
}

/// The app of a manifest, which may be wrong elsewhere, in an environment.
fn name_in(text: &str, environment: Option<&str>) -> Option<Name> {
    let name = manifest::app_name(text)?;
    let name = match environment {
        Some(environment) => format!("{name}-{environment}"),
        None => name,
    };
    Name::parse(&name).ok()
}

fn read(path: &Path, links: Links) -> Result<String> {
    read_text(path, links, NAME_IT)
}

fn path_in_package(name: &str) -> String {
    format!("{VENDOR_DIR}/{name}/{MANIFEST}")
}

fn no_manifest_of<T>(name: &Name) -> Result<T> {
    fail(
        format!("no manifest of `{name}` was found"),
        "change to its directory, or name it with `--manifest FILE`",
    )
}

/// Refuses a manifest in an archive that takes its files from elsewhere.
fn check_archive_source(loaded: &Loaded) -> Result<()> {
    let source = loaded.app.release.source.as_str();
    if [".", "./"].contains(&source) {
        return Ok(());
    }
    fail(
        format!(
            "`{}` sets `release.source` to `{source}`, and a manifest in an archive releases the whole archive",
            loaded.path.display()
        ),
        "remove `release.source` from it, or name a manifest outside the archive with `--manifest FILE`",
    )
}

/// A problem of a manifest with its file and line.
fn explained(path: &Path, problem: Problem) -> anyhow::Error {
    let Problem {
        line,
        message,
        hint,
        file,
        path: _,
    } = problem;
    let file = file.unwrap_or_else(|| path.display().to_string());
    let place = match line {
        Some(line) => format!("{file}:{line}"),
        None => file,
    };
    HintedError::new(format!("{place}: {message}"), hint).into()
}
