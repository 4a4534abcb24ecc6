//! Whether every program of an app exists and can be executed.

use crate::app::{App, Probe, Service, Text};
use crate::command_line::CommandLine;
use crate::error::Hint;
use crate::fault::{Fault, Impact};
use crate::host::{Host, Root};
use anyhow::Result;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Which programs of an app are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needed {
    /// All: those of services, hooks and check commands.
    All,
    /// Those without which a service does not start.
    ToStart,
}

/// What is at the path of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtProgram {
    /// Something that can be executed, as far as its mode says.
    Program,
    /// A file that is not executable.
    NotExecutable,
    /// A directory.
    Directory,
    /// Nothing.
    Missing,
}

impl AtProgram {
    /// What is wrong with it, as the end of a sentence, and what to do. `own` says that it is in the release.
    fn wrong(self, own: bool) -> Option<(&'static str, &'static str)> {
        const CHECK: &str = "check `exec`: it begins with the path of a program";
        Some(match (self, own) {
            (Self::Program, _) => return None,
            (Self::NotExecutable, true) => (
                "is not executable",
                "make it executable in the source with `chmod +x`, and deploy again",
            ),
            (Self::NotExecutable, false) => ("is not executable", CHECK),
            (Self::Directory, _) => ("is a directory", CHECK),
            (Self::Missing, true) => (
                "does not exist",
                "check `exec`, and whether `release.exclude` leaves it out",
            ),
            (Self::Missing, false) => (
                "does not exist",
                "install the package that has it, or add it to the release",
            ),
        })
    }
}

/// The programs that are missing or cannot be executed. `in_release` says whether a path of the release can
/// be.
///
/// # Errors
/// When the host cannot be read.
pub(crate) fn missing_programs(
    host: &Host,
    app: &App,
    needed: Needed,
    in_release: &dyn Fn(&str) -> Result<AtProgram>,
) -> Result<Vec<Fault>> {
    let current = format!("{}/", app.layout.current());
    let (mut faults, mut seen, mut mounts) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    // Below `--root`, hooks and checks do not run.
    let needed = match host.is_offline() {
        true => Needed::ToStart,
        false => needed,
    };
    for (service, program) in programs(app, needed) {
        if !seen.insert(program) {
            continue;
        }
        let own = program.strip_prefix(&current);
        let found = match own {
            Some(rest) => in_release(rest)?,
            None => at_program(&host.root, program)?,
        };
        if let Some((what, hint)) = found.wrong(own.is_some()) {
            let message = format!(
                "the program `{program}` of service `{}` {what}",
                service.name
            );
            faults.push(Fault::new(Impact::Blocking, message, hint));
            continue;
        }
        // What is mounted here is not what is mounted where the tree will run.
        if host.is_offline() {
            continue;
        }
        let place = match own {
            Some(_) => app.layout.releases(),
            None => program.to_owned(),
        };
        faults.extend(not_executable(
            &host.root,
            &place,
            service,
            program,
            &mut mounts,
        )?);
    }
    Ok(faults)
}

/// The fault of a program on a file system from which nothing is executed. Each file system is named once.
fn not_executable(
    root: &Root,
    place: &str,
    service: &Service,
    program: &str,
    mounts: &mut BTreeSet<PathBuf>,
) -> Result<Option<Fault>> {
    if !root.is_noexec(place)? {
        return Ok(None);
    }
    let mount = root.mount_of(place)?;
    if !mounts.insert(mount.clone()) {
        return Ok(None);
    }
    let mount = mount.display().to_string();
    let message = format!(
        "`{mount}` is mounted with `noexec`, so `{program}` of service `{}` cannot be executed",
        service.name
    );
    let remount = CommandLine::sudo(["mount", "-o", "remount,exec", &mount]);
    let hint = Hint::to("allow it, also in /etc/fstab", remount);
    Ok(Some(Fault::new(Impact::Blocking, message, hint)))
}

/// The programs that a release executes, by their absolute paths, with their services.
fn programs(app: &App, needed: Needed) -> Vec<(&Service, &str)> {
    let all = needed == Needed::All;
    let hooks = [&app.hooks.before_switch, &app.hooks.after_switch];
    let hooks = hooks.into_iter().flatten().filter(|_| all);
    let services = app.services.iter().chain(hooks);
    let mut out = Vec::new();
    for service in services {
        let checks = service
            .checks
            .iter()
            .filter_map(|check| match &check.probe {
                Probe::Command(argv) if all => Some(argv),
                _ => None,
            });
        let reload = Some(&service.exec_reload).filter(|_| all);
        let own = [&service.exec].into_iter().chain(reload);
        let commands = own.chain(&service.exec_start_pre).chain(checks);
        let programs = commands.filter_map(|argv| argv.first().map(Text::as_str));
        let absolute = programs.filter(|program| program.starts_with('/'));
        out.extend(absolute.map(|program| (service, program)));
    }
    out
}

/// What is at the path of a program.
///
/// # Errors
/// When the host cannot be read.
pub(crate) fn at_program(root: &Root, path: &str) -> Result<AtProgram> {
    // A link into `current` leads to nothing before the switch.
    if root.meta(path)?.is_some_and(|meta| meta.is_symlink) {
        return Ok(AtProgram::Program);
    }
    Ok(match root.meta_followed(path).unwrap_or(None) {
        None => AtProgram::Missing,
        Some(meta) if meta.is_dir => AtProgram::Directory,
        Some(meta) if meta.mode & 0o111 == 0 => AtProgram::NotExecutable,
        Some(_) => AtProgram::Program,
    })
}

#[cfg(test)]
mod tests {
    use super::{Needed, programs};
    use crate::app::App;
    use crate::manifest::parse;

    #[test]
    fn a_rollback_needs_only_the_programs_that_start_services() {
        let text = "[app]\nname = \"shop\"\nversion = \"1\"\n\
                    [hooks]\nbefore-switch = [[\"/bin/hook\"]]\n\
                    [service.web]\nexec = [\"/bin/web\"]\nexec-start-pre = [[\"/bin/first\"]]\n\
                    exec-reload = [\"/bin/reload\"]\ncheck = [{ command = [\"/bin/probe\"] }]\n";
        let app = App::from_manifest(&parse(text).unwrap(), None).unwrap();
        let of = |needed| {
            let found = programs(&app, needed).into_iter();
            found.map(|(_, program)| program).collect::<Vec<_>>()
        };
        assert_eq!(of(Needed::ToStart), ["/bin/web", "/bin/first"]);
        for program in ["/bin/hook", "/bin/reload", "/bin/probe"] {
            assert!(of(Needed::All).contains(&program), "{program}");
        }
    }
}
