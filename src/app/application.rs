//! The whole application.

use super::canonical::Canonical;
use super::layout::Layout;
use super::lines::Line;
use super::names::{EnvName, Name, Version};
use super::release::Release;
use super::service::Service;
use crate::units::Target;

/// A whole application.
#[derive(Debug, Clone)]
pub struct App {
    /// Name, with `-<environment>` for an overlay.
    pub name: Name,
    /// Version as shown; a release's id begins with it.
    pub version: Version,
    /// One line.
    pub description: Line,
    /// `Name <mail>`.
    pub maintainer: Option<Line>,
    /// Owner of the state.
    pub user: Name,
    /// The overlay, if one was asked for.
    pub environment: Option<Name>,
    /// The target that the manifest names; `None` is the host's own.
    pub target: Option<Target>,
    /// What a release is made of.
    pub release: Release,
    /// Secrets.
    pub secrets: Vec<Secret>,
    /// Services, in an order in which each comes after what it names in `after`.
    pub services: Vec<Service>,
    /// Jobs of a deploy.
    pub hooks: Hooks,
    /// Where it lives.
    pub layout: Layout,
    /// The manifest that it is of, without its layout.
    pub manifest: Canonical,
}

/// A secret, delivered as a credential.
#[derive(Debug, Clone)]
pub struct Secret {
    /// The credential's name.
    pub name: EnvName,
    /// Made with this many random bytes, in hexadecimal, when it is absent.
    pub generate: Option<u16>,
}

/// Jobs that run once a deploy, on the new release.
#[derive(Debug, Clone, Default)]
pub struct Hooks {
    /// Before anything live changes: a failure stops the deploy.
    pub before_switch: Option<Service>,
    /// After the new release took over, before its checks: a failure puts the old one back.
    pub after_switch: Option<Service>,
}

impl Hooks {
    /// What the names of these jobs end in.
    pub const SUFFIX: &'static str = "-hook";
}

impl App {
    /// A service by its short name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services
            .iter()
            .find(|service| service.name.as_str() == name)
    }

    /// Directories that systemd makes for a service and gives to its user, each with the stem of
    /// its directive (systemd.exec(5), "StateDirectory="). They are the app's user's, so that a
    /// service of another user gets none. Cache and logs are made for those that name them.
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
