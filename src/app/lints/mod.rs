//! What is allowed and still most likely a mistake: a table of lints over an app.
//!
//! `systemd-analyze verify` passes over most of this. Documents are generated from the table.

mod paths;
mod runtimes;

use super::{App, Service, Shape, Socket, Target, Type};
use paths::{home_path, writable_code};
use runtimes::uvicorn_stops;

/// How much a lint matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// A choice that should be made knowingly.
    Note,
    /// Most likely not what was meant.
    Warning,
    /// Does not work, or undoes what the sandbox is for.
    Error,
}

/// One lint.
#[derive(Debug, Clone, Copy)]
pub struct Lint {
    /// Stable name.
    pub id: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What is looked for.
    pub summary: &'static str,
    /// Looks at one service: a sentence for each hit, and what to do.
    look: fn(&Case<'_>) -> Vec<(String, &'static str)>,
}

/// What a lint gets to look at.
#[derive(Debug)]
struct Case<'a> {
    app: &'a App,
    service: &'a Service,
    shape: Shape,
    target: Option<Target>,
}

/// A hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LintFinding {
    /// The lint's id.
    pub lint: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence, which names the service.
    pub message: String,
    /// What to do.
    pub hint: &'static str,
}

/// Every lint, the worst first.
#[rustfmt::skip]
pub const LINTS: &[Lint] = &[
    Lint { id: "wrapped-socket", severity: Severity::Error, look: wrapped_socket,
        summary: "a wrapper stands between systemd and the process that should take the socket" },
    Lint { id: "families-notify", severity: Severity::Error, look: families_notify,
        summary: "`RestrictAddressFamilies=none` keeps a `notify` service from saying READY" },
    Lint { id: "dynamic-user", severity: Severity::Error, look: dynamic_user,
        summary: "`DynamicUser=` moves directories that other services share" },
    Lint { id: "private-capabilities", severity: Severity::Error, look: private_capabilities,
        summary: "`PrivateUsers=` makes capabilities worthless" },
    Lint { id: "writable-code", severity: Severity::Error, look: writable_code,
        summary: "the service may change its own code" },
    Lint { id: "home-path", severity: Severity::Error, look: home_path,
        summary: "a path below a home directory, which the service does not see" },
    Lint { id: "uvicorn-stops", severity: Severity::Warning, look: uvicorn_stops,
        summary: "Uvicorn takes the socket over and resets what it has just accepted at each stop" },
    Lint { id: "wrapper", severity: Severity::Warning, look: wrapper,
        summary: "a wrapper stands between systemd and the service: signals and exit status get lost" },
    Lint { id: "unexpanded", severity: Severity::Warning, look: unexpanded,
        summary: "a `$` in a command, where nothing expands it" },
    Lint { id: "secret-in-env", severity: Severity::Warning, look: secret_in_env,
        summary: "a secret in the environment, which every process of the service inherits" },
    Lint { id: "package-name", severity: Severity::Warning, look: package_name,
        summary: "an app called `robot`, as robotctl's own reference application is" },
    Lint { id: "public-address", severity: Severity::Note, look: public_address,
        summary: "an address that other machines can reach" },
    Lint { id: "root", severity: Severity::Note, look: root,
        summary: "a service that runs as root" },
    Lint { id: "unenforced", severity: Severity::Note, look: unenforced,
        summary: "a directive that the target takes and does not enforce" },
];

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

/// Directives that are taken and not enforced: name, enforced since, why.
pub const UNENFORCED: &[(&str, u16, &str)] = &[
    ("RestrictNetworkInterfaces", 257, BPF),
    ("SocketBindAllow", 257, BPF),
    ("SocketBindDeny", 257, BPF),
    (
        "RestrictFileSystems",
        u16::MAX,
        "needs `bpf` among the kernel's security modules",
    ),
];
const BPF: &str = "Debian builds systemd with BPF programs from 257 on";

/// Looks at every service with every lint; `target` is the systemd that is written for.
pub fn lint(app: &App, target: Option<Target>) -> Vec<LintFinding> {
    let mut out = Vec::new();
    for service in &app.services {
        let case = Case {
            app,
            service,
            shape: Shape::of(app, service),
            target,
        };
        for lint in LINTS {
            let hits = (lint.look)(&case).into_iter();
            out.extend(hits.map(|(message, hint)| LintFinding {
                lint: lint.id,
                severity: lint.severity,
                message: format!("service `{}` {message}", service.name),
                hint,
            }));
        }
    }
    out.sort_by_key(|hit| std::cmp::Reverse(hit.severity));
    out
}

impl Case<'_> {
    /// The last word that the manifest's own directives have on a key.
    fn directive(&self, key: &str) -> Option<&str> {
        let own = self.service.sandbox.directives.iter();
        let mut own = own.rev().filter(|(name, _)| name == key);
        own.next().map(|(_, value)| value.as_str())
    }

    /// The wrapper that the command begins with; a shell that gives way with `exec` is none.
    fn wrapper(&self) -> Option<&str> {
        let program = self.service.exec.first()?.as_str();
        let name = program.rsplit('/').next()?;
        let gives_way = self.service.exec.iter().any(|word| {
            let word = word.as_str();
            word.starts_with("exec ") || word.contains("; exec ") || word.contains("&& exec ")
        });
        (WRAPPERS.contains(&name) && !gives_way).then_some(name)
    }
}

fn on(value: Option<&str>) -> bool {
    value.is_some_and(|value| ["yes", "true", "on", "1"].contains(&value))
}

fn wrapped_socket(case: &Case<'_>) -> Vec<(String, &'static str)> {
    let activated = case.service.has_socket_unit() && case.service.socket == Socket::Activate;
    let hit = |name| {
        (
            format!(
                "starts `{name}` first: the listening socket is meant for that process alone (LISTEN_PID)"
            ),
            "write the server itself as `exec`, such as `{current}/.venv/bin/gunicorn`",
        )
    };
    case.wrapper()
        .filter(|_| activated)
        .map(hit)
        .into_iter()
        .collect()
}

fn wrapper(case: &Case<'_>) -> Vec<(String, &'static str)> {
    let activated = case.service.has_socket_unit() && case.service.socket == Socket::Activate;
    let job = case.service.kind == Type::Oneshot;
    let hit = |name| {
        (
            format!("is started by `{name}`, which gets its signals"),
            "write the program itself as `exec`, or let the shell give way: `exec program`",
        )
    };
    let wrapper = case.wrapper().filter(|_| !activated && !job);
    wrapper.map(hit).into_iter().collect()
}

fn families_notify(case: &Case<'_>) -> Vec<(String, &'static str)> {
    if case.directive("RestrictAddressFamilies") != Some("none")
        || case.service.kind != Type::Notify
    {
        return Vec::new();
    }
    vec![(
        "is `notify` and may open no socket: it can never say READY".to_owned(),
        "write `RestrictAddressFamilies = \"AF_UNIX\"`, or take the directive out",
    )]
}

fn dynamic_user(case: &Case<'_>) -> Vec<(String, &'static str)> {
    if !on(case.directive("DynamicUser")) {
        return Vec::new();
    }
    vec![(
        format!(
            "has `DynamicUser=yes`: `{}` moves where no other service sees it",
            case.app.layout.state()
        ),
        "take the directive out: the services share a system user",
    )]
}

fn private_capabilities(case: &Case<'_>) -> Vec<(String, &'static str)> {
    let private = case
        .directive("PrivateUsers")
        .is_some_and(|value| value != "no");
    if !private || case.shape.capabilities.is_empty() {
        return Vec::new();
    }
    vec![(
        format!(
            "has {} and `PrivateUsers=`: they count in its own namespace alone",
            case.shape.capabilities.join(" ")
        ),
        "take `PrivateUsers` out of `directives`",
    )]
}

fn unexpanded(case: &Case<'_>) -> Vec<(String, &'static str)> {
    let shell = |name: &str| name.ends_with("sh");
    let program = case.service.exec.first().map_or("", |word| word.as_str());
    if shell(program.rsplit('/').next().unwrap_or_default()) {
        return Vec::new();
    }
    let variable = |word: &&super::Text| {
        let after = word.as_str().split('$').nth(1).unwrap_or_default();
        let name = after.trim_start_matches('{');
        name.starts_with(|c: char| c.is_ascii_uppercase())
    };
    let hit = |word: &super::Text| {
        (
            format!("gets `{word}` as it is: nothing expands `$` in a command"),
            "write the value, or let the program read the variable from its environment",
        )
    };
    case.service.exec.iter().filter(variable).map(hit).collect()
}

fn secret_in_env(case: &Case<'_>) -> Vec<(String, &'static str)> {
    let telling = |name: &str| {
        let ends = [
            "PASSWORD",
            "SECRET",
            "TOKEN",
            "API_KEY",
            "PRIVATE_KEY",
            "SECRET_KEY",
        ];
        ends.iter()
            .any(|end| name == *end || name.ends_with(&format!("_{end}")))
    };
    let env = case.service.env.iter();
    let env = env.filter(|(name, value)| telling(name.as_str()) && !value.as_str().is_empty());
    let hit = |name: &str| {
        (
            format!("has `{name}` in its environment: anyone may read it in the unit"),
            "make it a `[[secret]]`, which arrives as a credential",
        )
    };
    env.map(|(name, _)| hit(name.as_str())).collect()
}

/// The reference application runs nothing but `robotctl` itself.
fn package_name(case: &Case<'_>) -> Vec<(String, &'static str)> {
    let strange = |service: &&Service| {
        let program = service.exec.first().map_or("", |word| word.as_str());
        !program.ends_with("/bin/robotctl")
    };
    let first = case.app.services.iter().find(strange);
    if case.app.name.as_str() != "robot" || first.is_none_or(|one| one.name != case.service.name) {
        return Vec::new();
    }
    vec![(
        "is of an app called `robot`, which is the name of the package's own: removing the \
         package removes it, and purging it deletes its state"
            .to_owned(),
        "give the app another name",
    )]
}

fn public_address(case: &Case<'_>) -> Vec<(String, &'static str)> {
    let public = case
        .service
        .listen
        .iter()
        .filter(|listen| listen.is_public());
    let hit = |listen: &super::Listen| {
        (
            format!("listens on `{listen}`: reachable from the network"),
            "write `127.0.0.1:…` for this machine alone",
        )
    };
    public.map(hit).collect()
}

fn root(case: &Case<'_>) -> Vec<(String, &'static str)> {
    if case.service.user.as_str() != "root" {
        return Vec::new();
    }
    vec![(
        "runs as root".to_owned(),
        "take `user` out; `capabilities` gives single rights of root",
    )]
}

fn unenforced(case: &Case<'_>) -> Vec<(String, &'static str)> {
    let Some(Target::Version(version)) = case.target else {
        return Vec::new();
    };
    // These two are the only ones that are written unasked.
    let ports = !case.shape.ports.is_empty();
    let written =
        |name: &str| case.directive(name).is_some() || (ports && name.starts_with("SocketBind"));
    let rows = UNENFORCED.iter();
    let rows = rows.filter(|(name, enforced, _)| version < *enforced && written(name));
    let told = |(name, _, why): &(&str, u16, &'static str)| {
        (
            format!("has `{name}=`, which systemd {version} takes and does not enforce"),
            *why,
        )
    };
    rows.map(told).collect()
}

#[cfg(test)]
mod tests;
