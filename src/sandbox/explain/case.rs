//! The service whose run is explained, and what a change of its manifest would cost.

use crate::app::{AbsPath, App, Hooks, Service, Socket};
use crate::exposure::shown;
use crate::sandbox::cost::scored;
use crate::sandbox::exceptions::{PRESETS, Preset};
use crate::sandbox::shape::{Network, Shape};
use crate::units::Target;

/// What is at a path, for a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtPath {
    /// Nothing, or nothing that this process can see.
    Missing,
    /// Something on the host that the sandbox of the service hides.
    Hidden(Access),
    /// A file that can be executed.
    Program,
    /// Any other file, or a directory.
    Other,
}

/// What the modes of a file or directory allow the user of a service, without its sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing, or it is no file and no directory: the sandbox is not all that protects it.
    None,
    /// Reading, as every user may.
    Read,
    /// Reading and writing.
    Write,
}

/// A service, and the host that it runs on.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "a function has no text")]
pub struct Case<'a> {
    /// The app.
    pub app: &'a App,
    /// The service as the manifest defines it.
    pub service: &'a Service,
    /// The systemd that its unit is written for.
    pub target: Target,
    /// What is at a path, for the service.
    pub look: &'a dyn Fn(&str) -> AtPath,
}

impl Case<'_> {
    /// What decides its sandbox.
    pub(super) fn shape(&self) -> Shape {
        self.app.shape(self.service)
    }

    /// Whether it can use the network of the host.
    pub(super) fn has_host_network(&self) -> bool {
        matches!(
            self.shape().network,
            Network::Host | Network::Listed | Network::Loopback
        )
    }

    /// Whether it can open sockets for IP.
    pub(super) fn has_ip_sockets(&self) -> bool {
        self.shape().families.contains(&"AF_INET")
    }

    /// Whether it has to take over a socket that systemd opens.
    pub(super) fn takes_over(&self) -> bool {
        self.service.has_socket_unit() && self.service.socket == Socket::Activate
    }

    /// The directory of the app around a path in which the service can write.
    pub(super) fn own_directory(&self, path: &str) -> Option<String> {
        let own = self.app.layout.own_directories().into_iter();
        own.into_iter().find(|dir| is_at_or_below(path, dir))
    }

    /// Whether a path belongs to the release, which is read-only.
    pub(super) fn is_in_release(&self, path: &str) -> bool {
        is_at_or_below(path, &self.app.layout.current())
            || is_at_or_below(path, &self.app.layout.releases())
    }

    /// Whether the sandbox hides a path that exists on the host.
    pub(super) fn hides(&self, path: &str) -> bool {
        matches!((self.look)(path), AtPath::Hidden(_))
    }

    /// What a service could do with a hidden path, if its sandbox did not hide it.
    pub(super) fn access(&self, path: &str) -> Access {
        match (self.look)(path) {
            AtPath::Hidden(access) => access,
            _ => Access::None,
        }
    }

    /// What the exposure would be with a change, as ` (exposure 0.1 → 0.4)`; empty if the score does not
    /// count it.
    pub(super) fn cost(&self, change: impl FnOnce(&mut Service)) -> String {
        let mut changed = self.service.clone();
        change(&mut changed);
        let score = |service: &Service| scored(self.app, service, self.target).ok();
        match (score(self.service), score(&changed)) {
            (Some(now), Some(then)) if now.raw != then.raw => {
                format!(" (exposure {} → {})", shown(now.tenths), shown(then.tenths))
            }
            _ => String::new(),
        }
    }

    /// How to grant an exception, and what it costs. `None` if it is granted: then something else is wrong.
    pub(super) fn allow(&self, name: &'static str) -> Option<String> {
        if self.service.sandbox.allows(name) {
            return None;
        }
        let cost = self.cost(|it| {
            it.sandbox.allow.insert(name);
        });
        let of_runtime = self.of_runtime();
        let allow = self.service.sandbox.allow.iter().copied();
        let written = allow.filter(|one| !of_runtime.contains(one)).chain([name]);
        let written: Vec<String> = written.map(|one| format!("\"{one}\"")).collect();
        let list = written.join(", ");
        Some(format!("{}{cost}", self.sandbox_key("allow", &list)))
    }

    /// The exceptions that `runtime` grants by itself.
    fn of_runtime(&self) -> &'static [&'static str] {
        let mut presets = PRESETS.iter();
        let preset = presets.find(|preset| self.service.sandbox.runtime == Some(preset.name));
        preset.map_or(&[], |preset| preset.allow)
    }

    /// How to add a path to a list of `sandbox`, with what it has already.
    pub(super) fn list(&self, key: &str, path: &str) -> String {
        let sandbox = &self.service.sandbox;
        let written: Vec<String> = match key {
            "read-write" => sandbox.read_write.iter().map(ToString::to_string).collect(),
            _ => {
                let word = |(from, to): &(AbsPath, AbsPath)| match from == to {
                    true => from.to_string(),
                    false => format!("{from}:{to}"),
                };
                sandbox.read_only.iter().map(word).collect()
            }
        };
        let all = written.iter().map(String::as_str).chain([path]);
        let all: Vec<String> = all.map(|one| format!("\"{one}\"")).collect();
        self.sandbox_key(key, &all.join(", "))
    }

    /// How to write a list of `sandbox`. Where the manifest may have a table `sandbox`, a key `sandbox.KEY` beside it
    /// is given twice.
    fn sandbox_key(&self, key: &str, list: &str) -> String {
        let table = self.table();
        match self.service.sandbox.is_written(self.of_runtime()) {
            true => format!("in `sandbox` of `{table}`, write `{key} = [{list}]`"),
            false => format!("in `{table}`, write `sandbox.{key} = [{list}]`"),
        }
    }

    /// How to grant a preset, and what it costs. `None` if everything in it is granted.
    pub(super) fn runtime(&self, preset: &Preset) -> Option<String> {
        let sandbox = &self.service.sandbox;
        let is_granted = preset.allow.iter().all(|name| sandbox.allows(name));
        if is_granted && (preset.files.is_empty() || sandbox.runtime == Some(preset.name)) {
            return None;
        }
        let cost = self.cost(|it| it.sandbox.allow.extend(preset.allow));
        Some(format!(
            "in `{}`, write `runtime = \"{}\"`{cost}",
            self.table(),
            preset.name
        ))
    }

    /// The table of the manifest that describes the service.
    pub(super) fn table(&self) -> String {
        let name = self.service.name.as_str();
        match name.ends_with(Hooks::SUFFIX) {
            true => "[hooks]".to_owned(),
            false => format!("[service.{name}]"),
        }
    }

    /// The name of the program, without its directory.
    pub(super) fn program(&self) -> &str {
        let program = self.service.exec.first().map_or("", |word| word.as_str());
        program.rsplit('/').next().unwrap_or_default()
    }
}

/// Whether a path is a directory or below it.
pub(super) fn is_at_or_below(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
