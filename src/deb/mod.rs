//! The Debian package of an app, apart from its payload: pure, as [`render`](crate::render) is.
//!
//! | file | holds |
//! |---|---|
//! | `control` | the control file (deb-control(5)), and the version as Debian writes it |
//! | `scripts` | the maintainer scripts, from `packaging/templates/deb` |
//! | `documents` | copyright, changelog, and what lintian should not report |
//! | `manifest` | the manifest that the package installs |
//! | `found` | the architecture and the dependencies that the payload shows |
//!
//! The package holds nothing below `/opt` and `/etc` and no unit: its `postinst` deploys the payload, so that a
//! release of a package goes live, fails and is rolled back as any other
//! (`docs/decisions/0033-a-package-deploys-its-payload.md`).

mod control;
mod documents;
mod escape;
mod found;
mod manifest;
mod scripts;

pub(crate) use control::{control, version};
pub(crate) use documents::{changelog, changelog_date, copyright, overrides};
pub(crate) use escape::ShellEscaper;
pub(crate) use found::{Architecture, FoundFile, architecture, dependencies};
pub(crate) use manifest::packaged_manifest;
pub(crate) use scripts::scripts;
