//! What a lint checks: one service, with facts that several lints need.

use crate::app::application::App;
use crate::app::names::Text;
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

/// The wrappers that take a script after `-c`.
const SHELLS: &[&str] = &["sh", "bash", "dash", "zsh"];

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
        let mut words = self.service.exec.iter().map(Text::as_str);
        let is_option = |word: &str| word.starts_with('-') && word.ends_with('c');
        let script = words.find(|word| is_option(word)).and(words.next());
        let replaces_itself = SHELLS.contains(&name) && script.is_some_and(execs);
        (WRAPPERS.contains(&name) && !replaces_itself).then_some(name)
    }
}

/// Whether a script of a shell has the command `exec`, which replaces the shell.
fn execs(script: &str) -> bool {
    let ends_word = |c: char| c.is_whitespace() || ";&|(){}".contains(c);
    let mut words = script.split(ends_word).filter(|word| !word.is_empty());
    words.any(|word| word == "exec")
}
