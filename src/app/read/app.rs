//! `[app]`, and the app as a whole.

use super::reader::{Reader, get, quoted};
use super::relations::{check_addresses, in_order};
use super::secret_access::check_secret_access;
use crate::app::application::App;
use crate::app::canonical::Canonical;
use crate::app::names::{Name, Version};
use crate::manifest::{Manifest, OverlayTable, Problem, Result};
use crate::units::Target;

impl App {
    /// Checks a manifest; `environment` names the overlay to apply.
    ///
    /// # Errors
    /// A [`Problem`] with the key's path; [`Problem::at`] adds the line.
    pub fn from_manifest(manifest: &Manifest, environment: Option<&str>) -> Result<Self> {
        Reader::new(manifest, environment)?.app()
    }
}

impl Reader<'_> {
    fn app(self) -> Result<App> {
        let app = &self.manifest.app;
        let version = get(
            &["app", "version"],
            &app.version,
            "a version",
            Version::parse,
        )?;
        let description = self.line(&["app", "description"], &app.description)?;
        let maintainer = match &app.maintainer {
            Some(text) => Some(self.line(&["app", "maintainer"], text)?),
            None => None,
        };
        let target = match &app.target {
            Some(text) => target(text)?,
            None => None,
        };
        if self.manifest.service.is_empty() {
            return Err(Problem::new(
                &["app"],
                "there is no service",
                "add a table `[service.web]` with `exec = [\"{current}/bin/web\"]`",
            ));
        }
        if let Some(overlay) = self.overlay {
            self.overlay_names(overlay)?;
        }
        let mut services = Vec::new();
        for (name, table) in &self.manifest.service {
            services.push(self.service(name, table)?);
        }
        check_addresses(&services)?;
        let app = App {
            version,
            description,
            maintainer,
            target,
            release: self.release()?,
            secrets: self.secrets()?,
            services: in_order(services)?,
            hooks: self.hooks()?,
            manifest: Canonical::new(self.manifest, self.environment.as_ref().map(Name::as_str))?,
            name: self.name,
            user: self.user,
            environment: self.environment,
            layout: self.layout,
        };
        check_secret_access(&app)?;
        Ok(app)
    }

    fn overlay_names(&self, overlay: &OverlayTable) -> Result<()> {
        let environment = self.environment.as_ref().map_or("", Name::as_str);
        for name in overlay.listen.keys() {
            if !self.manifest.service.contains_key(name) {
                return Err(self.no_service(&["environment", environment, "listen", name], name));
            }
        }
        Ok(())
    }
}

fn target(text: &str) -> Result<Option<Target>> {
    match text {
        "host" => Ok(None),
        "portable" => Ok(Some(Target::Portable)),
        _ => match text.parse::<u16>() {
            Ok(version) if version >= Target::OLDEST => Ok(Some(Target::Version(version))),
            _ => Err(Problem::new(
                &["app", "target"],
                format!("{} is not a supported systemd version", quoted(text)),
                "write `host`, `portable` or a version number from 247 on",
            )),
        },
    }
}
