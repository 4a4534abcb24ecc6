//! The table of lints.

use super::build::build_network;
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
use crate::app::release::Release;
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
    check: Check,
}

/// What a lint checks.
#[derive(Debug, Clone, Copy)]
enum Check {
    /// One service.
    Service(fn(&Case<'_>) -> Vec<Message>),
    /// The release.
    Release(fn(&Release) -> Vec<Message>),
}

/// What a lint found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LintFinding {
    /// The id of the lint.
    pub lint: &'static str,
    /// Its severity.
    pub severity: Severity,
    /// One sentence, which names the service or `[release]`.
    pub message: String,
    /// What to do.
    pub hint: &'static str,
}

/// Every lint, the most severe first.
#[rustfmt::skip]
pub const LINTS: &[Lint] = &[
    Lint { id: "wrapped-socket", severity: Severity::Error, check: Check::Service(wrapped_socket),
        summary: "a wrapper gets the socket in place of the server" },
    Lint { id: "families-notify", severity: Severity::Error, check: Check::Service(families_notify),
        summary: "`RestrictAddressFamilies=none` keeps a `notify` service from reporting READY" },
    Lint { id: "private-capabilities", severity: Severity::Error, check: Check::Service(private_capabilities),
        summary: "`PrivateUsers=` makes capabilities useless" },
    Lint { id: "writable-code", severity: Severity::Error, check: Check::Service(writable_code),
        summary: "the service can change its own code" },
    Lint { id: "home-path", severity: Severity::Error, check: Check::Service(home_path),
        summary: "a path in a home directory, which the service cannot see" },
    Lint { id: "uvicorn-stops", severity: Severity::Warning, check: Check::Service(uvicorn_stops),
        summary: "Uvicorn with an activated socket resets connections when it stops" },
    Lint { id: "wrapper", severity: Severity::Warning, check: Check::Service(wrapper),
        summary: "a wrapper starts the service: signals and exit status are lost" },
    Lint { id: "runtime", severity: Severity::Warning, check: Check::Service(runtime),
        summary: "a program that needs a `runtime`, and does not have it" },
    Lint { id: "unexpanded", severity: Severity::Warning, check: Check::Service(unexpanded),
        summary: "a `$` in a command, which is not expanded" },
    Lint { id: "build-network", severity: Severity::Warning, check: Check::Release(build_network),
        summary: "a build that downloads packages, and has no network" },
    Lint { id: "secret-in-env", severity: Severity::Warning, check: Check::Service(secret_in_env),
        summary: "a secret in the environment, which any user can read in the unit file" },
    Lint { id: "other-environment", severity: Severity::Warning, check: Check::Service(other_environment),
        summary: "an address or a host name that belongs to another environment of the manifest" },
    Lint { id: "low-port", severity: Severity::Warning, check: Check::Service(low_port),
        summary: "a service that opens a port below 1024 itself, and may not" },
    Lint { id: "outside-files", severity: Severity::Warning, check: Check::Service(outside_files),
        summary: "a program or a directory of the release that `files` does not select" },
    Lint { id: "public-address", severity: Severity::Note, check: Check::Service(public_address),
        summary: "an address that other machines can reach" },
    Lint { id: "direct-socket", severity: Severity::Note, check: Check::Service(direct_socket),
        summary: "a service that opens a local port itself, where a proxy can do it" },
    Lint { id: "root", severity: Severity::Note, check: Check::Service(root),
        summary: "a service that runs as root" },
    Lint { id: "unenforced", severity: Severity::Note, check: Check::Service(unenforced),
        summary: "a directive that the target accepts and does not enforce" },
];

impl Lint {
    fn finding(&self, message: String, hint: &'static str) -> LintFinding {
        LintFinding {
            lint: self.id,
            severity: self.severity,
            message,
            hint,
        }
    }
}

/// Runs every lint on the release and on every service; `target` is the systemd that units are written for.
pub fn lint(app: &App, target: Option<Target>) -> Vec<LintFinding> {
    let mut out = Vec::new();
    for lint in LINTS {
        if let Check::Release(check) = lint.check {
            let found = check(&app.release).into_iter();
            out.extend(
                found.map(|(message, hint)| lint.finding(format!("`[release]` {message}"), hint)),
            );
        }
    }
    for service in &app.services {
        let case = Case {
            app,
            service,
            shape: app.shape(service),
            target,
        };
        for lint in LINTS {
            if let Check::Service(check) = lint.check {
                let found = check(&case).into_iter();
                let name = &service.name;
                out.extend(found.map(|(message, hint)| {
                    lint.finding(format!("service `{name}` {message}"), hint)
                }));
            }
        }
    }
    out.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    out
}
