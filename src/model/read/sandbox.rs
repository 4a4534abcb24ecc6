//! `service.NAME.sandbox` and `runtime`.

use super::{Reader, get, one_of, quoted};
use crate::manifest::{Problem, Result, SandboxTable};
use crate::model::names::Text;
use crate::model::{EXCEPTIONS, PRESETS, Sandbox};

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
            let fits = |c: char| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit();
            if !text.starts_with("CAP_") || !text.chars().all(fits) {
                let message = format!("{} is not a capability", quoted(text));
                return Err(Problem::new(&at("capabilities"), message)
                    .hint("write it as in capabilities(7): `CAP_SYS_PTRACE`"));
            }
            sandbox.capabilities.insert(text.clone());
        }
        for text in &table.devices {
            let node = text.split(' ').next().unwrap_or_default();
            if !node.starts_with("/dev/") && !node.starts_with("char-") {
                let message = format!("{} is not a device", quoted(text));
                return Err(Problem::new(&at("devices"), message)
                    .hint("write node and access: `/dev/spidev0.0 rw`"));
            }
            sandbox.devices.push(self.text(&at("devices"), text)?);
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
            let fits = name.chars().all(|c| c.is_ascii_alphanumeric());
            if !fits || !name.starts_with(|c: char| c.is_ascii_uppercase()) {
                let message = format!("{} is not a directive", quoted(name));
                return Err(Problem::new(&at("directives"), message)
                    .hint("write it as in systemd.directives(7): `ProtectHome = \"yes\"`"));
            }
            if ["ExecPaths", "NoExecPaths"].contains(&name.as_str()) {
                let message = format!("`{name}` re-opens write access to what it lists");
                return Err(Problem::new(&at("directives"), message)
                    .hint("take it out: what the service may write is never executable here"));
            }
            let value = get(&at("directives"), value, "usable text", Text::parse)?;
            sandbox.directives.push((name.clone(), value));
        }
        Ok(sandbox)
    }
}
