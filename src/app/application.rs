//! An application.

use super::canonical::Canonical;
use super::layout::Layout;
use super::lines::Line;
use super::mode::Mode;
use super::names::{EnvName, Name, Version};
use super::package::Package;
use super::release::Release;
use super::service::Service;
use crate::manifest::HostOverlay;
use crate::units::Target;

/// An application: what one manifest describes.
#[derive(Debug, Clone)]
pub struct App {
    /// Name, with `-<environment>` for an overlay.
    pub name: Name,
    /// Version; the start of a release id.
    pub version: Version,
    /// Description, one line.
    pub description: Line,
    /// Maintainer: `Name <mail>`.
    pub maintainer: Option<Line>,
    /// The user of the services, which owns the state.
    pub user: Name,
    /// The group of the services of that user, and of their directories.
    pub group: Name,
    /// The mode of `/var/lib/<app>`.
    pub state_mode: Mode,
    /// The mode of `/run/<app>` and of `/run/<app>/locks`.
    pub run_mode: Mode,
    /// The overlay, if there is one.
    pub environment: Option<Name>,
    /// The systemd to write units for; `None` means the host's.
    pub target: Option<Target>,
    /// What a release contains.
    pub release: Release,
    /// Secrets.
    pub secrets: Vec<Secret>,
    /// Services, each after those that its `after`, `requires` and `wants` name.
    pub services: Vec<Service>,
    /// Jobs that run during a deploy.
    pub hooks: Hooks,
    /// What its Debian package says of it.
    pub package: Package,
    /// Its paths.
    pub layout: Layout,
    /// What belongs to other environments of the manifest.
    pub(super) foreign: Vec<Foreign>,
    /// The overlay of the host that it is on, which is part of every value here.
    pub overlay: Option<HostOverlay>,
    /// Its manifest, in canonical form, without the overlay.
    pub manifest: Canonical,
}

/// An address or a host name that belongs to another environment.
#[derive(Debug, Clone)]
pub(super) struct Foreign {
    /// The environment; `None` is the app without one.
    pub(super) environment: Option<String>,
    /// The address or the host name.
    pub(super) text: String,
}

/// A secret, which systemd passes as a credential.
#[derive(Debug, Clone)]
pub struct Secret {
    /// The credential's name.
    pub name: EnvName,
    /// Whether the commands of the build receive it.
    pub build: bool,
    /// The variable of these commands that has its value, too.
    pub build_env: Option<EnvName>,
    /// The number of random bytes to generate it from, in hexadecimal, if it does not exist.
    pub generate: Option<u16>,
    /// The environment variable in which services get it; `None` for a file.
    pub variable: Option<EnvName>,
}

/// Jobs that run once per deploy, with the new release.
#[derive(Debug, Clone, Default)]
pub struct Hooks {
    /// Before anything live changes. A failure stops the deploy.
    pub before_switch: Option<Service>,
    /// After the new release took over, before its checks. A failure rolls it back.
    pub after_switch: Option<Service>,
}

impl Hooks {
    /// The end of the names of these jobs.
    pub const SUFFIX: &'static str = "-hook";
}

impl App {
    /// The system user that owns a release of the app while it is built, and that no other app has. It is no name of
    /// an app, so no service of another app runs as this user.
    ///
    /// The name of a user has at most 31 characters. A long name of an app is hashed; `_` keeps the hash apart from
    /// names, which cannot contain it.
    pub fn build_user(&self) -> String {
        const LONGEST: usize = 31;
        let user = format!("robotctl-build-{}", self.name);
        if user.len() <= LONGEST {
            return user;
        }
        let hash = blake3::hash(self.name.as_str().as_bytes()).to_hex();
        let mut user = format!("robotctl-build_{hash}");
        user.truncate(LONGEST);
        user
    }

    /// A service by its short name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services
            .iter()
            .find(|service| service.name.as_str() == name)
    }

    /// The service that a unit runs, if the unit is that of a service.
    pub fn service_of(&self, unit: &str) -> Option<&Service> {
        self.services
            .iter()
            .find(|service| self.unit(service) == unit)
    }

    /// Whether the program of a service is in the release, so that it cannot run without one.
    pub fn runs_from_release(&self, service: &Service) -> bool {
        let program = service.exec.first();
        program.is_some_and(|program| program.as_str().starts_with(&self.layout.current()))
    }

    /// The mode of one of the [directories](Self::directories), by the start of its directive's name.
    pub fn directory_mode(&self, stem: &str) -> Mode {
        match stem {
            "Runtime" => self.run_mode,
            "State" => self.state_mode,
            _ => Mode::PRIVATE,
        }
    }

    /// Directories that systemd creates for a service and gives to its user, each with the start of
    /// its directive's name (systemd.exec(5), "StateDirectory="). They belong to the user of the app,
    /// so a service of another user has none. Only services that use the cache or log directory
    /// have it.
    pub fn directories(&self, service: &Service) -> Vec<(&'static str, String)> {
        if service.user != self.user {
            return Vec::new();
        }
        let mut out = vec![
            ("Runtime", self.layout.run()),
            ("State", self.layout.state()),
        ];
        let texts = || {
            let env = service.env.iter().map(|(_, value)| value);
            let pre = service.exec_start_pre.iter().flatten();
            service.exec.iter().chain(pre).chain(env)
        };
        for (stem, path) in [("Cache", self.layout.cache()), ("Logs", self.layout.logs())] {
            if texts().any(|text| text.as_str().contains(&path)) {
                out.push((stem, path));
            }
        }
        out
    }
}
