//! `run`: a one-off command as a service runs: with its user, sandbox, settings, secrets and release.

use super::context::Context;
use super::verbs::service_named;
use crate::app::{App, Service, Text};
use crate::command_line::CommandLine;
use crate::error::{Claim as _, Error, Hint, fail};
use crate::health::cause_failure;
use crate::host::{MainExit, UnitResult, UnitStatus};
use crate::render::ReleaseMount;
use crate::transient::one_off::{CommandEnd, run_one_off};
use anyhow::Result;

/// The shells of `--shell`, the first that this host has.
const SHELLS: [&str; 2] = ["/bin/bash", "/bin/sh"];

/// What `run` is asked.
#[derive(Debug, Clone)]
pub(crate) struct RunRequest {
    /// The short name of the service.
    pub(crate) service: String,
    /// The command; none for a shell.
    pub(crate) argv: Vec<String>,
}

/// Runs the command to its end, and gives its exit code: 128 and the number of the signal if one ended it.
///
/// # Errors
/// [`crate::error::Kind::Refused`] when the command did not run.
pub(crate) fn run(ctx: &Context<'_>, request: &RunRequest) -> Result<u8, Error> {
    run_in_service(ctx, request).nothing_changed()
}

fn run_in_service(ctx: &Context<'_>, request: &RunRequest) -> Result<u8> {
    if ctx.host.is_offline() {
        return fail(
            "nothing runs below `--root`",
            "repeat the command on the host itself, without `--root`",
        );
    }
    let name = ctx.selected_app()?;
    ctx.check_privileges()?;
    ctx.check_deployed(&name)?;
    let store = ctx.store(&name);
    if store.lock_holder().is_none() && store.has_journal()? {
        return fail(
            format!(
                "a change of `{name}` was interrupted, so it is not clear which release to run"
            ),
            Hint::to(
                "complete or undo it first",
                CommandLine::sudo_robotctl(["recover"]),
            ),
        );
    }
    let state = store.state()?;
    let Some(live) = &state.live else {
        return ctx.nothing_live(&name, "then run the command");
    };
    let record = store.release(live)?;
    let app = record.ok_or_else(|| store.missing_record(live))?.app()?;
    let service = service_named(&app, &request.service)?;
    let release = state.pins.get(service.name.as_str()).unwrap_or(live);
    let argv = words(ctx, service, &request.argv)?;
    let mount = ReleaseMount::Pinned(release);
    match run_one_off(&ctx.host, &app, service, (ctx.target(&app), mount), &argv)? {
        CommandEnd::Exited(code) => Ok(code),
        CommandEnd::NotStarted(code) => not_started(&app, service, &argv, code),
    }
}

/// The words of the command. A path that is relative is so in the working directory of the service.
fn words(ctx: &Context<'_>, service: &Service, typed: &[String]) -> Result<Vec<Text>> {
    let mut typed = typed.to_vec();
    if typed.is_empty() {
        let mut shells = SHELLS.iter().copied();
        let has = |shell: &&str| {
            ctx.host
                .root
                .meta_followed(shell)
                .is_ok_and(|it| it.is_some())
        };
        typed.push(shells.find(has).unwrap_or("/bin/sh").to_owned());
    }
    if let Some(program) = typed.first_mut()
        && program.contains('/')
        && !program.starts_with('/')
    {
        let rest = program.trim_start_matches("./");
        *program = format!(
            "{}/{rest}",
            service.working_directory.as_str().trim_end_matches('/')
        );
    }
    let parse = |word: &String| {
        Text::parse(word).or_else(|_| {
            fail(
                "a word of the command has a line break or a control character, which a unit cannot have",
                "pass such a text on standard input, or put it in a script",
            )
        })
    };
    typed.iter().map(parse).collect()
}

/// Why systemd could not start the command.
fn not_started<T>(app: &App, service: &Service, argv: &[Text], code: i32) -> Result<T> {
    let state = UnitStatus {
        result: UnitResult::ExitCode,
        main_exit: Some(MainExit::Exited(code)),
        ..UnitStatus::default()
    };
    let program = argv.first().map_or("", Text::as_str);
    fail(
        format!(
            "`{program}` did not start as service `{}` of {}: {}",
            service.name,
            app.name,
            cause_failure(&state)
        ),
        Hint::to(
            "see what the sandbox of the service shows, with a shell",
            CommandLine::sudo_robotctl(["run", "--shell", service.name.as_str()]),
        ),
    )
}
