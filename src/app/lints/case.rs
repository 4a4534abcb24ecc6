//! What a lint looks at: one service, with the facts about it that several lints need.

use crate::app::application::App;
use crate::app::service::Service;
use crate::sandbox::shape::Shape;
use crate::units::Target;

/// What a lint found: a clause that follows the name of the service, and what to do.
pub(super) type Hit = (String, &'static str);

/// Programs that start another one and stay before it.
const WRAPPERS: &[&str] = &[
    "sh",
    "bash",
    "dash",
    "zsh",
    "npm",
    "npx",
    "yarn",
    "pnpm",
    "bun",
    "uv",
    "uvx",
    "poetry",
    "pipenv",
    "hatch",
    "conda",
    "sudo",
    "su",
    "runuser",
    "doas",
    "nohup",
    "script",
    "timeout",
    "strace",
    "supervisord",
    "foreman",
    "make",
];

/// What a lint gets to look at.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub(super) app: &'a App,
    pub(super) service: &'a Service,
    pub(super) shape: Shape,
    pub(super) target: Option<Target>,
}

impl Case<'_> {
    /// The last word that the manifest's own directives have on a key.
    pub(super) fn directive(&self, key: &str) -> Option<&str> {
        let own = self.service.sandbox.directives.iter();
        let mut own = own.rev().filter(|(name, _)| name == key);
        own.next().map(|(_, value)| value.as_str())
    }

    /// The wrapper that the command begins with; a shell that gives way with `exec` is none.
    pub(super) fn wrapper(&self) -> Option<&str> {
        let program = self.service.exec.first()?.as_str();
        let name = program.rsplit('/').next()?;
        let gives_way = self.service.exec.iter().any(|word| {
            let word = word.as_str();
            word.starts_with("exec ") || word.contains("; exec ") || word.contains("&& exec ")
        });
        (WRAPPERS.contains(&name) && !gives_way).then_some(name)
    }
}
