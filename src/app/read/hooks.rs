//! `[hooks]`: commands that run during a deploy, as jobs of the app.

use super::reader::{Reader, get};
use crate::app::application::Hooks;
use crate::app::names::{EnvName, Span};
use crate::app::service::Service;
use crate::manifest::{Result, ServiceTable};

/// The default time limit for all commands of a hook together, in seconds.
const DEFAULT_TIMEOUT_SECONDS: u64 = 300;

impl Reader<'_> {
    pub(super) fn hooks(&self) -> Result<Hooks> {
        let hooks = &self.manifest.hooks;
        Ok(Hooks {
            before_switch: self.hook("before-switch", &hooks.before_switch)?,
            after_switch: self.hook("after-switch", &hooks.after_switch)?,
        })
    }

    /// A `oneshot` service that runs the commands in order, with the environment and all secrets of
    /// the app.
    fn hook(&self, name: &str, commands: &[Vec<String>]) -> Result<Option<Service>> {
        let hooks = &self.manifest.hooks;
        // Checked here, so that messages name the key in `[hooks]`.
        self.commands(&["hooks", name], commands)?;
        let Some((last, before)) = commands.split_last() else {
            return Ok(None);
        };
        let timeout = match &hooks.timeout {
            Some(text) => get(&["hooks", "timeout"], text, "a time span", Span::parse)?,
            None => Span::seconds(DEFAULT_TIMEOUT_SECONDS),
        };
        let table = ServiceTable {
            exec: Some(last.clone()),
            exec_start_pre: before.to_vec(),
            r#type: Some("oneshot".to_owned()),
            enable: Some(false),
            runtime: hooks.runtime.clone(),
            sandbox: hooks.sandbox.clone(),
            ..ServiceTable::default()
        };
        let mut hook = self.any_service(&format!("{name}{}", Hooks::SUFFIX), &table)?;
        hook.timeout_start = timeout;
        let secrets = self.secrets_of_services();
        let secrets =
            secrets.map(|secret| get(&["secret"], &secret.name, "a secret's name", EnvName::parse));
        hook.secrets = secrets.collect::<Result<_>>()?;
        let key = hook.name.to_string();
        hook.secret_variables = self.secret_variables(&key, &hook.secrets)?;
        Ok(Some(hook))
    }
}
