//! `[app]`, and the app as a whole.

use super::other_environments::foreign;
use super::reader::{Policy, Reader, get, quoted};
use super::relations::{check_addresses, check_conflicts, in_order};
use super::secret_access::check_secret_access;
use super::secret_variables::check_secret_variables;
use crate::app::application::App;
use crate::app::canonical::Canonical;
use crate::app::mode::Mode;
use crate::app::names::{Name, Version};
use crate::manifest::{HostOverlay, Layers, Manifest, Problem, Result};
use crate::units::Target;

impl App {
    /// Checks a manifest; `environment` names the overlay to apply.
    ///
    /// # Errors
    /// A [`Problem`] with the key's path; [`Problem::at`] adds the line.
    pub fn from_manifest(manifest: &Manifest, environment: Option<&str>) -> Result<Self> {
        read(manifest, environment, None, Policy::Applies)
    }

    /// Checks a manifest as it applies on a host that has an overlay.
    ///
    /// # Errors
    /// A [`Problem`] with the key's path, and with the file if it is not the manifest.
    pub fn on_host(
        manifest: &Manifest,
        environment: Option<&str>,
        host: Option<&HostOverlay>,
    ) -> Result<Self> {
        read(manifest, environment, host, Policy::Applies)
    }

    /// Checks the manifest of the app that the package contains: it alone may have the name
    /// [`BUNDLED_APP`](crate::app::BUNDLED_APP).
    ///
    /// # Errors
    /// A [`Problem`] with the key's path.
    pub fn from_bundled(
        manifest: &Manifest,
        environment: Option<&str>,
        host: Option<&HostOverlay>,
    ) -> Result<Self> {
        read(manifest, environment, host, Policy::Bundled)
    }

    /// Reads the recorded manifest of a release. An earlier robotctl has allowed what it says, so only the
    /// rules of form apply: a command never refuses the release that is live, or one to roll back to,
    /// because of a rule that is newer than the release.
    ///
    /// # Errors
    /// A [`Problem`] with the key's path.
    pub fn from_record(
        manifest: &Manifest,
        environment: Option<&str>,
        host: Option<&HostOverlay>,
    ) -> Result<Self> {
        read(manifest, environment, host, Policy::Recorded)
    }
}

fn read(
    manifest: &Manifest,
    environment: Option<&str>,
    host: Option<&HostOverlay>,
    policy: Policy,
) -> Result<App> {
    let layers = Layers::new(manifest, environment, host);
    let resolved = layers.resolved(policy == Policy::Recorded)?;
    let app = Reader::new(&resolved, environment, policy).and_then(Reader::app);
    let mut app = app.map_err(|problem| layers.located(problem))?;
    app.foreign = foreign(manifest, &resolved, environment);
    app.overlay = host.cloned();
    Ok(app)
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
        let target = target_of(self.policy, self.manifest)?;
        let mode = |key: &'static str, text: &Option<String>| match text {
            Some(text) => get(&["app", key], text, "a mode of a directory", Mode::parse),
            None => Ok(Mode::PRIVATE),
        };
        let state_mode = mode("state-mode", &app.state_mode)?;
        let run_mode = mode("run-mode", &app.run_mode)?;
        if self.manifest.service.is_empty() {
            return Err(Problem::new(
                &["app"],
                "there is no service",
                "add a table `[service.web]` with `exec = [\"{current}/bin/web\"]`",
            ));
        }
        let mut services = Vec::new();
        for (name, table) in &self.manifest.service {
            services.push(self.service(name, table)?);
        }
        self.policy.enforce(check_addresses(&services))?;
        let group = self.shared_group(&services)?;
        let mut hooks = self.hooks()?;
        let both = [&mut hooks.before_switch, &mut hooks.after_switch];
        for hook in both.into_iter().flatten() {
            hook.group.clone_from(&group);
        }
        let app = App {
            version,
            group,
            state_mode,
            run_mode,
            description,
            maintainer,
            target,
            release: self.release()?,
            secrets: self.secrets()?,
            services: in_order(services)?,
            hooks,
            package: self.package()?,
            manifest: Canonical::new(self.manifest, self.environment.as_ref().map(Name::as_str))?,
            name: self.name,
            user: self.user,
            environment: self.environment,
            layout: self.layout,
            foreign: Vec::new(),
            overlay: None,
        };
        self.policy.enforce(check_secret_access(&app))?;
        check_secret_variables(&app)?;
        self.policy.enforce(check_conflicts(&app))?;
        Ok(app)
    }
}

/// `app.target`
pub(super) fn target_of(policy: Policy, manifest: &Manifest) -> Result<Option<Target>> {
    match &manifest.app.target {
        Some(text) => target(policy, text),
        None => Ok(None),
    }
}

fn target(policy: Policy, text: &str) -> Result<Option<Target>> {
    match text {
        "host" => Ok(None),
        "portable" => Ok(Some(Target::Portable)),
        _ => {
            let problem = || {
                Problem::new(
                    &["app", "target"],
                    format!("{} is not a supported systemd version", quoted(text)),
                    "write `host`, `portable` or a version number from 247 on",
                )
            };
            let version: u16 = text.parse().map_err(|_| problem())?;
            let is_supported = version >= Target::OLDEST;
            policy.enforce(is_supported.then_some(()).ok_or_else(problem))?;
            Ok(Some(Target::Version(version)))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::app::App;
    use crate::manifest::parse;

    const HEAD: &str = "[app]\nname = \"shop\"\nversion = \"1\"\n";
    const WEB: &str = "[service.web]\nexec = [\"/bin/a\"]\n";

    /// Whether a manifest is read as one that can be corrected, and as a record.
    fn is_read(text: &str) -> (bool, bool) {
        let manifest = parse(text).unwrap();
        (
            App::from_manifest(&manifest, None).is_ok(),
            App::from_record(&manifest, None, None).is_ok(),
        )
    }

    #[test]
    fn a_record_is_read_whatever_is_allowed_today() {
        let mut wrong = Vec::new();
        for rest in [
            "timeout-start = \"2h\"",
            "timeout-stop = \"0s\"",
            "drain = \"8d\"\ntype = \"notify\"\nlisten = [\":80\"]",
            "type = \"oneshot\"\ntimeout-start = \"0s\"",
            "limits.nofile = 0",
            "restart = \"no\"\nrestart-sec = \"5s\"",
            "start-limit-burst = 0",
            "group = \"a\"\n[service.worker]\nexec = [\"/bin/b\"]\ngroup = \"b\"",
            "sandbox.directives.KillMode = \"process\"",
            "sandbox.directives.TemporaryFileSystem = \"/srv\"",
            "sandbox.read-only = [\"{state}/a\"]",
            "sandbox.read-only = [\"/srv/a:{state}/a\"]",
            "sandbox.read-write = [\"{run}/a\"]",
            "sandbox.read-write = [\"/run/credentials\"]",
            "sandbox.allow-from = []",
            "sandbox.allow = [\"outbound\"]\nsandbox.outbound = [\"192.0.2.7\"]",
            "listen = [\"unix:{state}/a.sock\"]",
            "listen = [\"unix:{run}/a.sock\"]",
            "listen = [\":80\", \":80\"]",
            "socket = \"direct\"\nlisten = [\"unix:/srv/a.sock\"]\npre-check = true",
            "[release]\nkeep = 1",
            "[[secret]]\nname = \"KEY\"\ngenerate = \"hex:8\"",
            "sandbox.allow = [\"host-users\"]\n[service.job]\nexec = [\"/bin/b\"]\n\
             sandbox.allow = [\"host-users\"]\n[[secret]]\nname = \"KEY\"\nservices = [\"web\"]",
            "[service.old]\nexec = [\"/bin/b\"]",
            "[service.precheck]\nexec = [\"/bin/b\"]",
            "[service.a-proxy]\nexec = [\"/bin/b\"]",
        ] {
            let found = is_read(&format!("{HEAD}{WEB}{rest}\n"));
            if found != (false, true) {
                wrong.push((rest, found));
            }
        }
        assert_eq!(wrong, []);
        let reserved = HEAD.replace("shop", "systemd");
        let target = format!("{HEAD}target = \"230\"\n");
        let firmware = format!("{HEAD}target = \"247\"\n{WEB}condition.firmware = \"uefi\"\n");
        assert_eq!(is_read(&firmware), (false, true));
        for head in [reserved, target] {
            assert_eq!(is_read(&format!("{head}{WEB}")), (false, true), "{head}");
        }
    }

    #[test]
    fn a_record_has_the_form_of_a_manifest() {
        for rest in [
            "timeout-stop = \"soon\"",
            "condition.path-exists = \"\"",
            "condition.path-exists = \"/x\\nUser=root\"",
            "condition.path-exist = \"/x\"",
            "group = \"A\"",
            "after = [\"other\"]",
            "sandbox.directives.\"A=B\" = \"1\"",
            "sandbox.directives.KillMode = \"mixed\\nUser=root\"",
        ] {
            let found = is_read(&format!("{HEAD}{WEB}{rest}\n"));
            assert_eq!(found, (false, false), "{rest}");
        }
    }

    #[test]
    fn services_and_their_directories_have_one_group() {
        let groups = |keys: &str, rest: &str| -> Vec<String> {
            let text = format!("{HEAD}{keys}{WEB}{rest}");
            let app = App::from_manifest(&parse(&text).unwrap(), None).unwrap();
            let services = app.services.iter().map(|service| &service.group);
            let hooks = app.hooks.before_switch.iter().map(|hook| &hook.group);
            let all = [&app.group].into_iter().chain(services).chain(hooks);
            all.map(ToString::to_string).collect()
        };
        let hook = "[hooks]\nbefore-switch = [[\"/bin/a\"]]\n";
        assert_eq!(groups("", hook), ["shop", "shop", "shop"]);
        assert_eq!(groups("group = \"ops\"\n", hook), ["ops", "ops", "ops"]);
        let own = format!("group = \"ops\"\n{hook}");
        assert_eq!(groups("", &own), ["ops", "ops", "ops"]);
        // A service of another user shares no directory.
        let other = "user = \"other\"\n";
        assert_eq!(groups("group = \"ops\"\n", other), ["ops", "other"]);
        assert_eq!(
            groups("", "user = \"other\"\ngroup = \"x\"\n"),
            ["shop", "x"]
        );
    }

    #[test]
    fn a_record_keeps_what_is_refused_today() {
        let rest = "timeout-stop = \"2h\"\nsandbox.directives.KillMode = \"process\"\n";
        let manifest = parse(&format!("{HEAD}{WEB}{rest}[release]\nkeep = 1\n")).unwrap();
        let app = App::from_record(&manifest, None, None).unwrap();
        let web = app.services.first().unwrap();
        assert_eq!(web.timeout_stop.text, "2h");
        assert_eq!(web.sandbox.directives.len(), 1);
        // A rollback needs two.
        assert_eq!(app.release.keep, 2);
    }
}
