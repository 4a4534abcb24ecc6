//! The files of units, as they are collected into a tree.

use super::drop_ins::{self, ReleaseMount};
use super::units::{self, ServiceUnitRole};
use crate::app::{App, Service};
use crate::tree::{Entry, FileTree};
use crate::units::{Target, UnitFile, WantsLink};
use anyhow::Result;

/// Adds a rendered file. Askama drops the last line break of a template.
pub(super) fn put(tree: &mut FileTree, path: String, mut text: String) {
    text.push('\n');
    tree.insert(path, Entry::file(text));
}

/// Collects the units of an app for one directory.
#[derive(Debug)]
pub(super) struct UnitFiles<'a> {
    app: &'a App,
    target: Target,
    dir: &'static str,
    /// The files so far.
    pub(super) tree: FileTree,
}

impl<'a> UnitFiles<'a> {
    /// No file yet; `target` is the systemd to write for, and `dir` the directory of the units.
    pub(super) fn new(app: &'a App, target: Target, dir: &'static str) -> Self {
        Self {
            app,
            target,
            dir,
            tree: FileTree::default(),
        }
    }

    /// Adds a unit.
    pub(super) fn unit(&mut self, unit: &str, text: String) {
        put(&mut self.tree, UnitFile::unit(unit).path_in(self.dir), text);
    }

    /// Adds a drop-in of a unit.
    pub(super) fn drop_in(&mut self, unit: &str, name: &str, text: String) {
        let path = UnitFile::drop_in(unit, name).path_in(self.dir);
        put(&mut self.tree, path, text);
    }

    /// Adds the links that `systemctl enable` would make.
    pub(super) fn enable(&mut self, unit: &str, targets: &[&str]) {
        let text = UnitFile::unit(unit).path_in(self.dir);
        for target in targets {
            let link = WantsLink { target, unit };
            self.tree.insert(link.path(), Entry::Symlink(text.clone()));
        }
    }

    /// Adds a service unit and its drop-ins.
    pub(super) fn service(
        &mut self,
        unit: &str,
        service: &Service,
        role: ServiceUnitRole,
        mount: ReleaseMount<'_>,
    ) -> Result<()> {
        let (app, target) = (self.app, self.target);
        self.unit(unit, units::service(app, service, role)?);
        let runtime_dirs = match mount {
            ReleaseMount::None => None,
            _ => drop_ins::runtime_dirs(app, service)?,
        };
        for (name, text) in [
            (
                drop_ins::EXECSTART,
                Some(drop_ins::execstart(app, service, mount)?),
            ),
            (
                "10-hardening.conf",
                Some(drop_ins::hardening(app, service, target)?),
            ),
            ("15-runtime-dirs.conf", runtime_dirs),
            ("20-paths.conf", drop_ins::paths(app, service, mount)?),
            (
                "25-capabilities.conf",
                drop_ins::capabilities(app, service)?,
            ),
            ("30-limits.conf", Some(drop_ins::limits(app, service)?)),
            (
                "40-directives.conf",
                drop_ins::raw_directives(app, service)?,
            ),
        ] {
            if let Some(text) = text {
                self.drop_in(unit, name, text);
            }
        }
        Ok(())
    }
}
