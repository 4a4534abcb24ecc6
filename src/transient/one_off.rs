//! A one-off command in the sandbox of a service, with the terminal or the files of its caller.

use super::drop_ins::local_drop_ins;
use super::job::one_off_job;
use crate::app::{App, Hooks, Service, Target, Text};
use crate::host::{Host, MainExit, attached, defer_signals};
use crate::render::{ReleaseMount, one_off};
use crate::units::{RUNTIME_UNIT_DIR, UnitFile, drop_in_dir, stem};
use anyhow::{Context as _, Result};

/// The exit codes of systemd itself (systemd.exec(5), "Process Exit Codes").
const OF_SYSTEMD: std::ops::RangeInclusive<i32> = 200..=245;
/// The one for a program that cannot be executed.
const NOT_EXECUTED: MainExit = MainExit::Exited(203);

/// How a one-off command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommandEnd {
    /// With this code; 128 and the number of a signal if that ended it.
    Exited(u8),
    /// systemd could not start it, and this is its exit code.
    NotStarted(i32),
}

/// Runs a command as a service runs, on a release, until it ends. A signal to robotctl ends it.
///
/// # Errors
/// When its unit cannot be made. Nothing ran then.
pub(crate) fn run_one_off(
    host: &Host,
    app: &App,
    service: &Service,
    (target, mount): (Target, ReleaseMount<'_>),
    argv: &[Text],
) -> Result<CommandEnd> {
    let job = one_off_job(service)?;
    let unit = app.unit(&job);
    let keep = format!(
        "{}-keep{}.target",
        stem(&unit).trim_end_matches(Hooks::SUFFIX),
        Hooks::SUFFIX
    );
    let mut tree = one_off(app, &job, target, mount, (argv, &keep))?;
    let own = local_drop_ins(host, app.name.as_str(), &app.unit(service), &unit)?;
    for (path, entry) in own.iter() {
        tree.insert(path.to_owned(), entry.clone());
    }
    let _signals = defer_signals();
    let run = || -> Result<CommandEnd> {
        host.root.put_tree(&tree)?;
        host.systemd.start_at_once(std::slice::from_ref(&keep))?;
        let name = format!("--unit={unit}");
        let code = attached(
            &["systemd-run", "--quiet"],
            &["--wait", &name, "--", "/bin/true"],
        )?;
        // A signal to robotctl ends systemd-run and not the unit.
        host.systemd.stop(std::slice::from_ref(&unit)).ok();
        let state = host.systemd.show_one(&unit)?;
        let exit = state.main_exit.with_context(|| {
            format!("systemd-run ended with exit code {code}, and the command did not run")
        })?;
        // A program may end with a code of systemd, too. With secrets in variables, robotctl is the first program,
        // and has this code alone for one that it cannot execute.
        let is_of_robotctl = !job.secret_variables.is_empty() && exit == NOT_EXECUTED;
        let has_run = host.systemd.has_been_active(&unit)? && !is_of_robotctl;
        Ok(end_of(exit, has_run))
    };
    let ended = run();
    let clean_up = || -> Result<()> {
        // systemd unloads both then.
        host.systemd.reset_failed(std::slice::from_ref(&unit));
        host.systemd.stop(std::slice::from_ref(&keep))?;
        host.root
            .remove_file(&UnitFile::unit(&keep).path_in(RUNTIME_UNIT_DIR))?;
        host.root
            .remove_tree(&format!("{RUNTIME_UNIT_DIR}/{}", drop_in_dir(&unit)))
    };
    clean_up().and(ended)
}

/// How the command ended: `exit` is what systemd says of its process.
fn end_of(exit: MainExit, has_run: bool) -> CommandEnd {
    let code = match exit {
        MainExit::Exited(own) if OF_SYSTEMD.contains(&own) && !has_run => {
            return CommandEnd::NotStarted(own);
        }
        MainExit::Exited(own) => own,
        MainExit::Killed(signal) => 128 + signal,
    };
    CommandEnd::Exited(u8::try_from(code).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::{CommandEnd, end_of};
    use crate::host::MainExit::{Exited, Killed};

    #[test]
    fn the_end_of_a_process_is_an_exit_code() {
        for (exit, has_run, end) in [
            (Exited(0), true, CommandEnd::Exited(0)),
            (Exited(3), false, CommandEnd::Exited(3)),
            // systemd takes the end of a daemon by this signal for a success.
            (Killed(15), true, CommandEnd::Exited(143)),
            (Exited(203), false, CommandEnd::NotStarted(203)),
            (Exited(203), true, CommandEnd::Exited(203)),
        ] {
            assert_eq!(end_of(exit, has_run), end, "{exit:?}");
        }
    }
}
