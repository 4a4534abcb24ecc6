//! The table of lints.

use super::case::{Case, Message};
use super::commands::{unexpanded, uvicorn_stops, wrapped_socket, wrapper};
use super::directives::{families_notify, private_capabilities, unenforced};
use super::environments::other_environment;
use super::files::outside_files;
use super::network::{direct_socket, low_port, public_address};
use super::paths::{home_path, writable_code};
use super::rights::{root, secret_in_env};
use super::runtimes::runtime;
use crate::app::application::App;
use crate::units::Target;

/// The severity of a lint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing: a choice to make on purpose.
    Note,
    /// Probably a mistake.
    Warning,
    /// Does not work, or breaks the sandbox.
    Error,
}

/// One lint.
#[derive(Debug, Clone, Copy)]
pub struct Lint {
    /// Stable name.
    pub id: &'static str,
    /// Its severity.
    pub severity: Severity,
    /// What it finds.
    pub summary: &'static str,
    /// Checks one service.
    check: fn(&Case<'_>) -> Vec<Message>,
}

/// What a lint found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LintFinding {
    /// The id of the lint.
    pub lint: &'static str,
    /// Its severity.
    pub severity: Severity,
    /// One sentence, which names the service.
    pub message: String,
    /// What to do.
    pub hint: &'static str,
}

/// Every lint, the most severe first.
#[rustfmt::skip]
pub const LINTS: &[Lint] = &[
    Lint { id: "wrapped-socket", severity: Severity::Error, check: wrapped_socket,
        summary: "a wrapper gets the socket in place of the server" },
    Lint { id: "families-notify", severity: Severity::Error, check: families_notify,
        summary: "`RestrictAddressFamilies=none` keeps a `notify` service from reporting READY" },
    Lint { id: "private-capabilities", severity: Severity::Error, check: private_capabilities,
        summary: "`PrivateUsers=` makes capabilities useless" },
    Lint { id: "writable-code", severity: Severity::Error, check: writable_code,
        summary: "the service can change its own code" },
    Lint { id: "home-path", severity: Severity::Error, check: home_path,
        summary: "a path in a home directory, which the service cannot see" },
    Lint { id: "uvicorn-stops", severity: Severity::Warning, check: uvicorn_stops,
        summary: "Uvicorn with an activated socket resets connections when it stops" },
    Lint { id: "wrapper", severity: Severity::Warning, check: wrapper,
        summary: "a wrapper starts the service: signals and exit status are lost" },
    Lint { id: "runtime", severity: Severity::Warning, check: runtime,
        summary: "a program that needs a `runtime`, and does not have it" },
    Lint { id: "unexpanded", severity: Severity::Warning, check: unexpanded,
        summary: "a `$` in a command, which is not expanded" },
    Lint { id: "secret-in-env", severity: Severity::Warning, check: secret_in_env,
        summary: "a secret in the environment, which any user can read in the unit file" },
    Lint { id: "other-environment", severity: Severity::Warning, check: other_environment,
        summary: "an address or a host name that belongs to another environment of the manifest" },
    Lint { id: "low-port", severity: Severity::Warning, check: low_port,
        summary: "a service that opens a port below 1024 itself, and may not" },
    Lint { id: "outside-files", severity: Severity::Warning, check: outside_files,
        summary: "a program or a directory of the release that `files` does not select" },
    Lint { id: "public-address", severity: Severity::Note, check: public_address,
        summary: "an address that other machines can reach" },
    Lint { id: "direct-socket", severity: Severity::Note, check: direct_socket,
        summary: "a service that opens a local port itself, where a proxy can do it" },
    Lint { id: "root", severity: Severity::Note, check: root,
        summary: "a service that runs as root" },
    Lint { id: "unenforced", severity: Severity::Note, check: unenforced,
        summary: "a directive that the target accepts and does not enforce" },
];

/// Runs every lint on every service; `target` is the systemd that units are written for.
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
            let messages = (lint.check)(&case).into_iter();
            out.extend(messages.map(|(message, hint)| LintFinding {
                lint: lint.id,
                severity: lint.severity,
                message: format!("service `{}` {message}", service.name),
                hint,
            }));
        }
    }
    out.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    out
}
