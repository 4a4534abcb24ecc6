//! `service.NAME.sandbox` and `runtime`.

use super::packets::prefixes;
use super::reader::{Path, Reader, get, one_of, quoted};
use crate::app::lines::{Device, Line};
use crate::app::sandbox::Sandbox;
use crate::manifest::{Problem, Result, SandboxTable, nearest};
use crate::sandbox::exceptions::{CAPABILITIES, EXCEPTIONS, PRESETS};
use crate::sandbox::refused::refused;

/// Where systemd keeps the secrets of running services (systemd.exec(5), "CREDENTIALS").
const CREDENTIALS: &str = "/run/credentials";

impl Reader<'_> {
    pub(super) fn sandbox(
        &self,
        key: &str,
        runtime: Option<&str>,
        table: &SandboxTable,
    ) -> Result<Sandbox> {
        let at = |last: &'static str| ["service", key, "sandbox", last];
        let mut sandbox = Sandbox::default();
        let known: Vec<(&'static str, &'static str)> =
            EXCEPTIONS.iter().map(|one| (one.name, one.name)).collect();
        for text in &table.allow {
            sandbox.allow.insert(one_of(&at("allow"), text, &known)?);
        }
        if let Some(runtime) = runtime {
            let presets: Vec<_> = PRESETS.iter().map(|preset| (preset.name, preset)).collect();
            let preset = one_of(&["service", key, "runtime"], runtime, &presets)?;
            sandbox.allow.extend(preset.allow);
            sandbox.runtime = Some(preset.name);
            sandbox.runtime_files = preset.files;
        }
        let every = "remove it from the list, and write `allow = [\"outbound\"]`";
        sandbox.outbound = prefixes(&at("outbound"), &table.outbound, every)?;
        let every = "remove `allow-from`: without it, every address can connect";
        let list = table.allow_from.as_deref().unwrap_or_default();
        sandbox.allow_from = prefixes(&at("allow-from"), list, every)?;
        for text in &table.capabilities {
            sandbox
                .capabilities
                .insert(capability(&at("capabilities"), text)?);
        }
        for text in &table.devices {
            let device = get(&at("devices"), text, "a device", Device::parse)?;
            sandbox.devices.push(device);
        }
        for text in &table.read_write {
            let path = at("read-write");
            let source = self.path(&path, text)?;
            self.policy
                .enforce(self.not_in_own_directory(&path, source.as_str()))?;
            sandbox.read_write.push(source);
        }
        for text in &table.read_only {
            let path = at("read-only");
            let text = self.expand(&path, text)?;
            let (from, to) = text.split_once(':').unwrap_or((&text, &text));
            let source = self.path(&path, from)?;
            self.policy
                .enforce(self.not_in_own_directory(&path, source.as_str()))?;
            let target = self.path(&path, to)?;
            self.policy
                .enforce(self.not_in_own_directory(&path, target.as_str()))?;
            sandbox.read_only.push((source, target));
        }
        for (name, value) in &table.directives {
            let path = ["service", key, "sandbox", "directives", name];
            directive(&path, name)?;
            self.policy.enforce(is_allowed(&path, name, value))?;
            self.check_direction(&path, value)?;
            let value = get(&path, value, "one line of text", Line::parse)?;
            sandbox.directives.push((name.clone(), value));
        }
        Ok(sandbox)
    }

    /// systemd follows links on the way to a path that it mounts, and creates what is missing there. In a
    /// directory that services may write, they could put a link to any directory of the host in its
    /// place, or a file, and then no service that mounts it would start again.
    fn not_in_own_directory(&self, path: Path<'_>, source: &str) -> Result<()> {
        not_of_credentials(path, source)?;
        let Some(dir) = self.writable_parent(source) else {
            return Ok(());
        };
        Err(Problem::new(
            path,
            format!(
                "`{source}` is in `{dir}`, where the services can replace it by a link to any directory"
            ),
            if self.layout.own_directories().contains(&dir) {
                format!(
                    "the services of the app can use `{dir}` already; share a directory that root owns, such as `/srv/{}`",
                    self.name
                )
            } else {
                format!("name `{dir}` itself, or a directory outside of it")
            },
        ))
    }

    /// The directory around a path in which the services of the app may write, if there is one.
    pub(super) fn writable_parent(&self, path: &str) -> Option<String> {
        let services = self.manifest.service.iter();
        let shared = services.flat_map(|(name, service)| {
            let paths = service.sandbox.read_write.iter();
            paths.filter_map(|text| self.expand(&["service", name], text).ok())
        });
        let mut writable = self.layout.own_directories().into_iter().chain(shared);
        writable.find(|dir| path.starts_with(&format!("{dir}/")))
    }
}

/// Refuses the directory in which systemd keeps the secrets of all services. systemd hides it from a service,
/// but not under another name.
fn not_of_credentials(path: Path<'_>, source: &str) -> Result<()> {
    let is_around = ["/", "/run", CREDENTIALS].contains(&source);
    if !is_around && !source.starts_with(&format!("{CREDENTIALS}/")) {
        return Ok(());
    }
    Err(Problem::new(
        path,
        format!("`{source}` holds the secrets of other services, in `{CREDENTIALS}`"),
        "list the directories that the service needs",
    ))
}

/// systemd ignores an unknown name, but the service would lose its private users all the same.
fn capability(path: Path<'_>, text: &str) -> Result<String> {
    if CAPABILITIES.contains(&text) {
        return Ok(text.to_owned());
    }
    let upper = text.to_ascii_uppercase();
    let whole = if upper.starts_with("CAP_") {
        upper
    } else {
        format!("CAP_{upper}")
    };
    let message = format!("{} is not a capability", quoted(text));
    let hint = match nearest(&whole, CAPABILITIES) {
        Some(name) => format!("did you mean `{name}`?"),
        None => "write it as in capabilities(7): `CAP_SYS_PTRACE`".to_owned(),
    };
    Err(Problem::new(path, message, hint))
}

fn directive(path: Path<'_>, name: &str) -> Result<()> {
    let fits = name.chars().all(|c| c.is_ascii_alphanumeric());
    if !fits || !name.starts_with(|c: char| c.is_ascii_uppercase()) {
        let message = format!("{} is not a systemd directive", quoted(name));
        return Err(Problem::new(
            path,
            message,
            "write it as in systemd.directives(7): `ProtectHome = \"yes\"`",
        ));
    }
    Ok(())
}

fn is_allowed(path: Path<'_>, name: &str, value: &str) -> Result<()> {
    match refused(name, value) {
        None => Ok(()),
        Some((why, instead)) => {
            let message = format!("`{name}={value}` is not allowed here: it {why}");
            Err(Problem::new(path, message, instead))
        }
    }
}
