//! The table of lints.

use super::case::{Case, Hit};
use super::commands::{unexpanded, uvicorn_stops, wrapped_socket, wrapper};
use super::directives::{dynamic_user, families_notify, private_capabilities, unenforced};
use super::paths::{home_path, writable_code};
use super::rights::{package_name, public_address, root, secret_in_env};
use crate::app::application::App;
use crate::units::Target;

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
    look: fn(&Case<'_>) -> Vec<Hit>,
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

/// Looks at every service with every lint; `target` is the systemd that is written for.
pub fn lint(app: &App, target: Option<Target>) -> Vec<LintFinding> {
    let mut out = Vec::new();
    for service in &app.services {
        let case = Case {
            app,
            service,
            shape: app.shape(service),
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
