//! The manifest that a command means, read and checked.

use super::context::Context;
use super::user_file::{Links, read_text};
use crate::app::layout::VENDOR_DIR;
use crate::app::{App, Name};
use crate::error::{HintedError, fail};
use crate::host::files::is_file;
use crate::manifest::{self, Problem};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// The manifest in the directory where a command is typed.
pub(super) const MANIFEST: &str = "robot.toml";

/// A manifest that was read and checked.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) app: App,
    /// Whether the manifest was found inside the source that was given.
    pub(super) is_in_source: bool,
}

impl Context<'_> {
    /// The manifest: `--manifest`, then `./robot.toml`, then the one of an installed package.
    pub(super) fn load(&self) -> Result<Loaded> {
        self.load_for(None, Links::Followed)
    }

    /// The same for a deploy of `source`: without `--manifest` and `./robot.toml`, the manifest inside
    /// the source comes before that of a package.
    pub(super) fn load_for(&self, source: Option<&Path>, links: Links) -> Result<Loaded> {
        let options = &self.options;
        let inside = source.map(|source| source.join(MANIFEST));
        let is_named = options.app.is_some() || options.manifest.is_some();
        let inside =
            inside.filter(|inside| !is_named && !is_file(Path::new(MANIFEST)) && is_file(inside));
        let is_in_source = inside.is_some();
        let path = match inside {
            Some(path) => path,
            None => self.manifest_path()?,
        };
        let text = read_text(&path, links, "name the manifest with `--manifest FILE`")?;
        let app = self.check_manifest(&path, &text)?;
        Ok(Loaded {
            path,
            text,
            app,
            is_in_source,
        })
    }

    fn check_manifest(&self, path: &Path, text: &str) -> Result<App> {
        let environment = self.options.environment.as_deref();
        let read = || App::from_manifest(&manifest::parse(text)?, environment);
        let app = read().map_err(|problem| explained(path, problem.at(text)))?;
        if let Some(name) = &self.options.app
            && *name != app.name.as_str()
        {
            let file = path.display();
            return fail(
                format!(
                    "`{file}` is the manifest of `{}`, not of `{name}`",
                    app.name
                ),
                format!("remove `--app`, or give the manifest of `{name}` with `--manifest FILE`"),
            );
        }
        Ok(app)
    }

    fn manifest_path(&self) -> Result<PathBuf> {
        if let Some(path) = &self.options.manifest {
            return Ok(path.clone());
        }
        let here = PathBuf::from(MANIFEST);
        if self.options.app.is_none() && is_file(&here) {
            return Ok(here);
        }
        let installed = |name: &str| format!("{VENDOR_DIR}/{name}/robot.toml");
        let root = &self.host.root;
        if let Some(name) = &self.options.app {
            let path = root.followed(&installed(name));
            if is_file(&path) {
                return Ok(path);
            }
            if is_file(&here) {
                return Ok(here);
            }
            return fail(
                format!("no manifest of `{name}` was found"),
                "change to its directory, or name it with `--manifest FILE`",
            );
        }
        let mut found = Vec::new();
        for name in root.list(VENDOR_DIR)? {
            if Name::parse(&name).is_ok() && is_file(&root.followed(&installed(&name))) {
                found.push(name);
            }
        }
        match found.as_slice() {
            [name] => {
                let path = installed(name);
                let text = format!("no robot.toml here: using the package's app `{name}` ({path})");
                self.note("info", name, &text);
                Ok(root.followed(&path))
            }
            [] => fail(
                "there is no `robot.toml` here and no app is installed as a package",
                "change to the app's directory, or name the manifest with `--manifest FILE`",
            ),
            names => fail(
                format!(
                    "several apps are installed as packages: {}",
                    names.join(", ")
                ),
                "choose one with `--app NAME`",
            ),
        }
    }
}

/// A problem of a manifest with its file and line.
fn explained(path: &Path, problem: Problem) -> anyhow::Error {
    let Problem {
        line,
        message,
        hint,
        path: _,
    } = problem;
    let place = match line {
        Some(line) => format!("{}:{line}", path.display()),
        None => path.display().to_string(),
    };
    HintedError::new(format!("{place}: {message}"), hint).into()
}
