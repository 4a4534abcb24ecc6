//! `service.NAME.sandbox` and `runtime`.

use super::reader::{Path, Reader, get, one_of, quoted};
use crate::app::lines::{Device, Line};
use crate::app::sandbox::Sandbox;
use crate::manifest::{Problem, Result, SandboxTable, nearest};
use crate::sandbox::exceptions::{CAPABILITIES, EXCEPTIONS, PRESETS};

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
            let presets: Vec<_> = PRESETS.to_vec();
            sandbox
                .allow
                .extend(one_of(&["service", key, "runtime"], runtime, &presets)?);
        }
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
            sandbox.read_write.push(self.path(&at("read-write"), text)?);
        }
        for text in &table.read_only {
            let text = self.layout.expand(text);
            let (from, to) = text.split_once(':').unwrap_or((&text, &text));
            let path = at("read-only");
            sandbox
                .read_only
                .push((self.path(&path, from)?, self.path(&path, to)?));
        }
        for (name, value) in &table.directives {
            let path = ["service", key, "sandbox", "directives", name];
            directive(&path, name)?;
            let value = get(&path, value, "one line of text", Line::parse)?;
            sandbox.directives.push((name.clone(), value));
        }
        Ok(sandbox)
    }
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
    if ["ExecPaths", "NoExecPaths"].contains(&name) {
        let message = format!("`{name}` makes the paths that it lists writable again");
        return Err(Problem::new(
            path,
            message,
            "remove it; `allow = [\"exec-writable\"]` lets the service execute files that it can write",
        ));
    }
    Ok(())
}
