//! The paths of an app on a host. Other modules do not spell them out.

use super::names::Name;
pub use crate::sandbox::directives::EMPTY_ROOT;
pub use crate::units::{ENABLE_DIR, RUNTIME_UNIT_DIR, UNIT_DIR};

/// Where `deploy` writes tmpfiles.d(5).
pub const TMPFILES_DIR: &str = "/usr/local/lib/tmpfiles.d";
/// Where `deploy` writes sysusers.d(5).
pub const SYSUSERS_DIR: &str = "/usr/local/lib/sysusers.d";
/// Where `deploy` writes systemd.preset(5).
pub const PRESET_DIR: &str = "/usr/local/lib/systemd/system-preset";
/// The state of `robotctl`, one directory per app.
pub const STORES_DIR: &str = "/var/lib/robotctl";
/// Where a package installs its manifest and payload: `/usr/lib/<app>/robot.toml`.
pub const VENDOR_DIR: &str = "/usr/lib";

/// Gives a path of an app.
type PathOf = fn(&Layout) -> String;

/// The placeholders for paths, by name without braces.
pub(crate) const PATH_PLACEHOLDERS: [(&str, PathOf); 6] = [
    ("current", Layout::current),
    ("state", Layout::state),
    ("run", Layout::run),
    ("cache", Layout::cache),
    ("logs", Layout::logs),
    ("etc", Layout::etc),
];

/// The paths of one app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    app: String,
}

impl Layout {
    /// The paths of an app. The name includes the environment: `wiki-staging`.
    pub fn new(name: &Name) -> Self {
        Self {
            app: name.to_string(),
        }
    }

    /// `/opt/<app>`
    pub fn opt(&self) -> String {
        format!("/opt/{}", self.app)
    }

    /// `/opt/<app>/releases`
    pub fn releases(&self) -> String {
        format!("/opt/{}/releases", self.app)
    }

    /// `/opt/<app>/releases/<id>`
    pub fn release(&self, id: &str) -> String {
        format!("/opt/{}/releases/{id}", self.app)
    }

    /// `/opt/<app>/current`
    pub fn current(&self) -> String {
        format!("/opt/{}/current", self.app)
    }

    /// The text of the link `current` for a live release: relative, to be right under any root.
    pub fn current_link_text(id: &str) -> String {
        format!("releases/{id}")
    }

    /// The release that the text of the link names. A person may have written `./releases/ID/` or
    /// `/opt/<app>/releases/ID`.
    pub fn targeted<'a>(&self, target: &'a str) -> Option<&'a str> {
        let parts = target.split('/').filter(|part| !matches!(*part, "" | "."));
        let parts: Vec<&str> = parts.collect();
        match (target.starts_with('/'), parts.as_slice()) {
            (_, [.., ".."]) => None,
            (false, ["releases", id]) => Some(id),
            (true, ["opt", app, "releases", id]) if *app == self.app => Some(id),
            _ => None,
        }
    }

    /// `/usr/lib/<app>/robot.toml`: the manifest that a package installs.
    pub fn packaged_manifest(&self) -> String {
        format!("{VENDOR_DIR}/{}/robot.toml", self.app)
    }

    /// `/usr/lib/<app>/payload`: the files that a package installs for a release.
    pub fn packaged_payload(&self) -> String {
        format!("{VENDOR_DIR}/{}/payload", self.app)
    }

    /// `/usr/lib/<app>/package.json`: what a package says of itself.
    pub fn package_file(&self) -> String {
        format!("{VENDOR_DIR}/{}/package.json", self.app)
    }

    /// `/var/lib/<app>`
    pub fn state(&self) -> String {
        format!("/var/lib/{}", self.app)
    }

    /// `/var/cache/<app>`
    pub fn cache(&self) -> String {
        format!("/var/cache/{}", self.app)
    }

    /// `/var/log/<app>`
    pub fn logs(&self) -> String {
        format!("/var/log/{}", self.app)
    }

    /// `/run/<app>`
    pub fn run(&self) -> String {
        format!("/run/{}", self.app)
    }

    /// The directories that the services of the app can write.
    pub fn own_directories(&self) -> [String; 4] {
        [self.state(), self.cache(), self.logs(), self.run()]
    }

    /// `/etc/<app>`
    pub fn etc(&self) -> String {
        format!("/etc/{}", self.app)
    }

    /// `/etc/<app>/env`
    pub fn env_file(&self) -> String {
        format!("/etc/{}/env", self.app)
    }

    /// `/etc/<app>/robot.local.toml`
    pub fn local_manifest(&self) -> String {
        format!("/etc/{}/robot.local.toml", self.app)
    }

    /// `/etc/<app>/credentials`
    pub fn credentials(&self) -> String {
        format!("/etc/{}/credentials", self.app)
    }

    /// `/etc/<app>/credentials/<name>`
    pub fn credential(&self, name: &str) -> String {
        format!("{}/{name}", self.credentials())
    }

    /// `/etc/<app>/credentials.previous`
    pub fn previous_credentials(&self) -> String {
        format!("{}.previous", self.credentials())
    }

    /// `/etc/<app>/credentials.previous/<name>`
    pub fn previous_credential(&self, name: &str) -> String {
        format!("{}/{name}", self.previous_credentials())
    }

    /// `/var/lib/robotctl/<app>`
    pub fn store(&self) -> String {
        format!("{STORES_DIR}/{}", self.app)
    }

    /// The path for a placeholder, by its name without braces.
    pub fn placeholder(&self, name: &str) -> Option<String> {
        let (_, path) = PATH_PLACEHOLDERS.iter().find(|(known, _)| *known == name)?;
        Some(path(self))
    }
}

#[cfg(test)]
mod tests {
    use super::Layout;
    use crate::app::names::Name;

    #[test]
    fn a_link_to_a_release_of_another_app_is_not_recognized() {
        let layout = Layout::new(&Name::parse("robot").unwrap());
        for own in ["releases/1", "./releases//1/", "/opt/robot/releases/1"] {
            assert_eq!(layout.targeted(own), Some("1"), "{own}");
        }
        for other in [
            "/opt/other/releases/1",
            "opt/robot/releases/1",
            "releases/..",
            "releases",
            "",
        ] {
            assert_eq!(layout.targeted(other), None, "{other}");
        }
    }
}
