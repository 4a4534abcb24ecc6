//! Why a unit failed, with what its program wrote.

use crate::app::{App, Service};
use crate::exposure::Unit;
use crate::failure::Failure;
use crate::host::{Host, MainExit, ProgramFile, RemoteMounts, Root, RunLog};
use crate::render::{ReleaseMount, service_texts};
use crate::sandbox::explain::{
    ALTERNATIVE, Access, AtPath, Case, Ended, Explanation, MOUNT, Meaning, Seen, Sureness, explain,
};
use crate::sandbox_files::{SandboxFiles, Seen as SeenFile, Unseen};
use crate::units::Target;

/// How many lines of the program a failure shows, and how many of systemd.
const SHOWN_LINES: (usize, usize) = (20, 3);

/// The failure of a unit, for root with an explanation and with the last lines of the program and of systemd.
/// `run` is the service that the unit runs, and the release that it runs on; a unit of another kind has no service.
pub(crate) fn explained(
    host: &Host,
    app: &App,
    run: (Option<&Service>, ReleaseMount<'_>),
    what: Failure,
    log: &RunLog,
) -> Failure {
    let (service, mount) = run;
    let known = service.and_then(|service| explanation(host, app, (service, mount), log));
    let detail = match known {
        Some(known) => format!("{what}; {}", in_lines(&known)),
        None => what.to_string(),
    };
    let (program, manager) = SHOWN_LINES;
    what.with_detail(detail)
        .with_lines(&log.last_lines(program, manager))
}

/// What a unit of an app wrote on its live release.
pub(crate) fn log_of(host: &Host, app: &App, unit: &str) -> RunLog {
    let link = host.root.meta(&app.layout.current()).ok().flatten();
    host.systemd.run_log(unit, link.map(|link| link.modified))
}

/// What the log of a run says about the sandbox of its service, on the release that it ran on.
pub(crate) fn explanation(
    host: &Host,
    app: &App,
    (service, mount): (&Service, ReleaseMount<'_>),
    log: &RunLog,
) -> Option<Explanation> {
    let target = host
        .systemd
        .version()
        .map_or(Target::Portable, Target::Version);
    let texts = service_texts(app, service, target, mount).ok()?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    // The service has written the paths. A look at one must not wait for a server that does not answer.
    let remote = RemoteMounts::read().ok()?;
    let files = SandboxFiles::of(&Unit::merge(&texts))?.without(remote);
    let look = |path: &str| match files.find(&host.root, path) {
        Ok(Ok(seen)) if seen.meta.is_program() => AtPath::Program,
        Ok(Ok(_)) => AtPath::Other,
        // A link that the service sees leads out of its sandbox: the path itself is not what is hidden.
        Ok(Err(Unseen::Hidden(hidden))) if hidden != path.trim_end_matches('/') => AtPath::Other,
        Ok(Err(Unseen::Hidden(_))) => AtPath::Hidden(access(host, &files, service, path)),
        Ok(Err(Unseen::Missing(_) | Unseen::Loop(_))) | Err(_) => AtPath::Missing,
    };
    let case = Case {
        app,
        service,
        target,
        look: &look,
    };
    let seen = Seen {
        program: &log.program,
        manager: &log.manager,
        end: log.end.map(|end| match end {
            MainExit::Exited(status) => Ended::Exited(status),
            MainExit::Killed(signal) => Ended::Killed(signal),
        }),
        killing_call: log.killing_call.as_deref(),
    };
    let known = explain(&case, &seen);
    // systemd itself has said which path it could not mount.
    if known.as_ref().is_some_and(|known| known.id == MOUNT) {
        return known;
    }
    let text = cannot_start(&host.root, service, &files, log.end);
    let cannot_start = text.map(|text| Explanation {
        id: "cannot-start",
        meaning: Meaning::NotTheSandbox,
        sureness: Sureness::Certain,
        text,
        line: String::new(),
        is_of_exit: true,
    });
    cannot_start.or(known)
}

/// systemd could not execute the program (systemd.exec(5), "Process Exit Codes").
const EXIT_EXEC: i32 = 203;
/// systemd could not set up the sandbox.
const EXIT_NAMESPACE: i32 = 226;

/// Why systemd could not start the program, if the program or the host shows it.
fn cannot_start(
    root: &Root,
    service: &Service,
    files: &SandboxFiles,
    end: Option<MainExit>,
) -> Option<String> {
    match end? {
        MainExit::Exited(EXIT_EXEC) => {
            let program = service.exec.first()?.as_str();
            let seen = files.find(root, program).ok()?.ok()?;
            let file = ProgramFile::read(&root.path(&seen.host)).ok()?;
            match file {
                ProgramFile::Script(words) if words.first()?.ends_with('\r') => Some(format!(
                    "the `#!` line of `{program}` ends with a carriage return: save the file with the line ends of Linux"
                )),
                ProgramFile::Other => Some(format!(
                    "`{program}` has no `#!` line and is no program for Linux"
                )),
                ProgramFile::Script(_) | ProgramFile::Elf(_) => None,
            }
        }
        MainExit::Exited(EXIT_NAMESPACE) => {
            // A path of `read-only` may be absent: its directive has a `-`.
            let mut named = service.sandbox.read_write.iter();
            let path = named.find(|path| {
                let found = files.of_host().find(root, path.as_str());
                matches!(found, Ok(Err(Unseen::Missing(_))))
            })?;
            Some(format!(
                "`{path}`, which `sandbox.read-write` names, does not exist on this host"
            ))
        }
        _ => None,
    }
}

/// What the modes of a path allow the user of a service. A path comes from a line that the service wrote, so that
/// nothing is suggested which only the sandbox protects.
fn access(host: &Host, files: &SandboxFiles, service: &Service, path: &str) -> Access {
    let Ok(Ok(SeenFile { meta, .. })) = files.of_host().find(&host.root, path) else {
        return Access::None;
    };
    if !meta.is_dir && !meta.is_file() {
        return Access::None;
    }
    let user = host.root.user(service.user.as_str()).ok().flatten();
    let owns = user.is_some_and(|user| user.uid != 0 && user.uid == meta.uid);
    match meta.mode {
        mode if mode & 0o002 != 0 || owns && mode & 0o200 != 0 => Access::Write,
        mode if mode & 0o004 != 0 || owns && mode & 0o400 != 0 => Access::Read,
        _ => Access::None,
    }
}

/// The explanation as a clause in one line.
pub(crate) fn in_words(known: &Explanation) -> String {
    in_lines(known).replace(ALTERNATIVE, " ")
}

/// The explanation as a clause, with the line that it is about: the service has written it, and it may be wrong. Each
/// of several ways to allow something is a line.
fn in_lines(known: &Explanation) -> String {
    let line = quoted(&known.line);
    match known.meaning {
        Meaning::Harmless => format!("{line} is not the cause: {}", known.text),
        _ if known.line.is_empty() || known.is_of_exit => known.text.clone(),
        Meaning::Denied | Meaning::NotTheSandbox => format!("its log says {line}: {}", known.text),
    }
}

/// How many characters of a line are shown.
const SHOWN_CHARACTERS: usize = 160;

/// A line of a log between backticks. It cannot end them.
fn quoted(line: &str) -> String {
    let line = line.trim();
    let shown: String = line.chars().take(SHOWN_CHARACTERS).collect();
    let end = if shown.len() < line.len() { "…" } else { "" };
    format!("`{}{end}`", shown.replace('`', "'"))
}

#[cfg(test)]
mod tests {
    use super::explanation;
    use crate::app::App;
    use crate::host::{Host, MainExit, RunLog};
    use crate::manifest::parse;
    use crate::render::ReleaseMount;

    /// What a run says that ended with `status`, on a host of which releases 1 and 2 exist and 2 is live.
    fn text(
        sandbox: &str,
        mount: ReleaseMount<'_>,
        status: i32,
        manager: &[&str],
    ) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::new(Some(dir.path()));
        for (id, script) in [("1", "#!/bin/sh\r\n"), ("2", "#!/bin/sh\n")] {
            let bin = format!("/opt/shop/releases/{id}/bin");
            host.root.make_dir(&bin, 0o755).unwrap();
            let program = format!("{bin}/web");
            let written = host.root.write_atomic(&program, script.as_bytes(), 0o755);
            written.unwrap();
        }
        let link = host.root.symlink_atomic("/opt/shop/current", "releases/2");
        link.unwrap();
        let manifest = format!(
            "[app]\nname = \"shop\"\nversion = \"1\"\n[service.web]\nexec = [\"{{current}}/bin/web\"]\n{sandbox}\n"
        );
        let app = App::from_manifest(&parse(&manifest).unwrap(), None).unwrap();
        let log = RunLog {
            manager: manager.iter().map(ToString::to_string).collect(),
            end: Some(MainExit::Exited(status)),
            ..RunLog::default()
        };
        let service = app.services.first().unwrap();
        explanation(&host, &app, (service, mount), &log).map(|known| known.text)
    }

    #[test]
    fn a_run_is_explained_with_the_release_that_it_ran_on() {
        let of = |mount| text("", mount, 203, &[]);
        let found = of(ReleaseMount::Pinned("1")).unwrap();
        assert!(found.contains("ends with a carriage return"), "{found}");
        for mount in [ReleaseMount::Pinned("2"), ReleaseMount::Current] {
            assert_eq!(of(mount), None, "{mount:?}");
        }
    }

    /// systemd skips a path of `read-only` that does not exist.
    #[test]
    fn only_a_path_that_must_exist_stops_systemd() {
        let absent = "sandbox.read-only = [\"/srv/absent\"]\n";
        let of = |keys: &str, manager: &[&str]| {
            let keys = format!("{absent}{keys}");
            text(&keys, ReleaseMount::Current, 226, manager)
        };
        assert_eq!(of("", &[]), None);
        let both = "sandbox.read-write = [\"/srv/gone\"]";
        assert_eq!(
            of(both, &[]).unwrap(),
            "`/srv/gone`, which `sandbox.read-write` names, does not exist on this host"
        );
        // systemd knows best.
        let line = "shop-web.service: Failed to set up mount namespacing: /run/robotctl/root/srv/other: No such file or directory";
        let found = of(both, &[line]).unwrap();
        assert!(
            found.starts_with("systemd could not mount `/srv/other`"),
            "{found}"
        );
    }
}
