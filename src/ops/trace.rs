//! `doctor --trace`: the system calls that a service makes and is denied.

use super::context::Context;
use super::verbs::service_named;
use crate::app::{App, Service, Target};
use crate::command_line::CommandLine;
use crate::error::{Claim as _, Error, Hint, Kind, fail};
use crate::host::{logged_calls, logs_system_calls, now};
use crate::sandbox::calls::exception_for;
use crate::sandbox::explain::{AtPath, Case, how_to_allow};
use crate::store::Store;
use crate::transient::leftovers::remove_leftovers;
use crate::transient::trace::{TraceEnd, run_traced};
use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;

/// What `doctor --trace` is asked.
#[derive(Debug, Clone)]
pub(crate) struct TraceRequest {
    /// The short name of the service.
    pub(crate) service: String,
    /// How long the second instance runs.
    pub(crate) time: Duration,
    /// How long to wait for another command.
    pub(crate) wait: Duration,
}

/// A system call that the filter of a service denies, and that the service makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct DeniedCall {
    /// Its name, as in syscalls(2).
    pub(crate) call: String,
    /// The name for `sandbox.allow` that allows it; `None` if only a raw directive does.
    pub(crate) exception: Option<&'static str>,
    /// What to write in the manifest, as one sentence.
    pub(crate) fix: String,
}

/// What a trace found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Trace {
    /// The service.
    pub(crate) service: String,
    /// The release that it ran.
    pub(crate) release: String,
    /// Whether that release is live. After a first deploy that failed, none is.
    pub(crate) is_live: bool,
    /// How the second instance ended by itself, if it did.
    pub(crate) ended: Option<String>,
    /// The system calls, by name.
    pub(crate) denied: Vec<DeniedCall>,
}

/// Runs a second instance of a service and lists the system calls that it makes and that its filter denies. The live
/// service goes on. The second instance has the same sandbox, except that every system call works.
///
/// # Errors
/// [`crate::error::Kind::Refused`] when there is no such service, when the host has no release, or when the kernel does not
/// log system calls.
pub(crate) fn run(ctx: &Context<'_>, request: &TraceRequest) -> Result<(String, Trace), Error> {
    let name = ctx.selected_app().nothing_changed()?;
    let writable = ctx.check_app_writable(&name).nothing_changed()?;
    ctx.locked(&writable, "doctor --trace", request.wait, |session, _| {
        // An instance of a trace that was killed would still run without a filter.
        remove_leftovers(session.host, name.as_str()).nothing_changed()?;
        let trace = || -> Result<Option<Trace>> {
            let store = session.store;
            let (id, is_live) = traced_release(store, name.as_str())?;
            let app = store
                .release(&id)?
                .ok_or_else(|| store.missing_record(&id))?
                .app()?;
            let service = service_named(&app, &request.service)?;
            if !logs_system_calls() {
                return fail(
                    "the kernel of this host does not log system calls",
                    "run the trace on a host whose kernel has CONFIG_AUDIT and `log` in \
                     /proc/sys/kernel/seccomp/actions_logged",
                );
            }
            let Some(user) = session.host.root.user(service.user.as_str())? else {
                return fail(
                    format!("the user `{}` does not exist", service.user),
                    Hint::to(
                        "see what else is wrong",
                        CommandLine::sudo_robotctl(["doctor"]),
                    ),
                );
            };
            let began = now();
            let on = (ctx.target(&app), id.as_str());
            let how = (request.time, session.trace.as_str());
            let ended = match run_traced(session.host, &app, service, on, how)? {
                TraceEnd::Interrupted => return Ok(None),
                TraceEnd::InTime => None,
                TraceEnd::ByItself(why) => Some(why),
            };
            let calls = logged_calls(began, user.uid)?.into_iter();
            let denied = calls
                .map(|call| denied(&app, service, call, on.0))
                .collect();
            Ok(Some(Trace {
                service: service.name.to_string(),
                release: id,
                is_live,
                ended,
                denied,
            }))
        };
        trace()
            .nothing_changed()?
            .ok_or_else(|| Error::new(Kind::Interrupted, "it was interrupted"))
    })
    .map(|trace| (name.to_string(), trace))
}

/// The live release; without one, the release that was staged last, as after a first deploy that failed.
fn traced_release(store: &Store, app: &str) -> Result<(String, bool)> {
    if let Some(live) = store.state()?.live {
        return Ok((live, true));
    }
    match store.newest_release()? {
        Some(newest) => Ok((newest.id, false)),
        None => fail(
            format!("this host has no release of `{app}`"),
            Hint::to(
                "deploy it, in the directory of its robot.toml; if that fails, trace it then",
                CommandLine::sudo_robotctl(["deploy", "--apply"]),
            ),
        ),
    }
}

fn denied(app: &App, service: &Service, call: String, target: Target) -> DeniedCall {
    let case = Case {
        app,
        service,
        target,
        look: &|_| AtPath::Missing,
    };
    let exception = exception_for(&call);
    let fix = exception.and_then(|name| how_to_allow(&case, name));
    let fix = fix.unwrap_or_else(|| {
        format!(
            "no exception allows it; if the program fails without it, in `[service.{}]` write \
             `sandbox.directives.SystemCallFilter = \"{call}\"`",
            service.name
        )
    });
    DeniedCall {
        call,
        exception,
        fix,
    }
}
