//! What a lint checks: one service, with facts that several lints need.

use crate::app::application::App;
use crate::app::service::Service;
use crate::sandbox::shape::Shape;
use crate::units::Target;

/// What a lint found: a clause that follows the name of the service, and a hint.
pub(super) type Message = (String, &'static str);

/// Programs that start another program and keep running.
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

/// One service, as a lint sees it.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub(super) app: &'a App,
    pub(super) service: &'a Service,
    pub(super) shape: Shape,
    pub(super) target: Option<Target>,
}

impl Case<'_> {
    /// The value of a raw directive of the manifest; the last one wins.
    pub(super) fn directive(&self, key: &str) -> Option<&str> {
        let own = self.service.sandbox.directives.iter();
        let mut own = own.rev().filter(|(name, _)| name == key);
        own.next().map(|(_, value)| value.as_str())
    }

    /// The wrapper that the command starts with. A shell that replaces itself with `exec` does not
    /// count.
    pub(super) fn wrapper(&self) -> Option<&str> {
        let program = self.service.exec.first()?.as_str();
        let name = program.rsplit('/').next()?;
        let execs = self.service.exec.iter().any(|word| {
            let word = word.as_str();
            word.starts_with("exec ") || word.contains("; exec ") || word.contains("&& exec ")
        });
        (WRAPPERS.contains(&name) && !execs).then_some(name)
    }
}
