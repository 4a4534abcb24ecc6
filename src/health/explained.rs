//! Why a unit failed, with what its program wrote.

use crate::app::{App, Service};
use crate::exposure::Unit;
use crate::failure::Failure;
use crate::host::{Host, MainExit, ProgramFile, RemoteMounts, RunLog};
use crate::render::service_texts;
use crate::sandbox::explain::{
    ALTERNATIVE, Access, AtPath, Case, Ended, Explanation, Meaning, Seen, Sureness, explain,
};
use crate::sandbox_files::{SandboxFiles, Seen as SeenFile, Unseen};
use crate::units::Target;

/// How many lines of the program a failure shows, and how many of systemd.
const SHOWN_LINES: (usize, usize) = (20, 3);

/// The failure of a unit, for root with an explanation and with the last lines of the program and of systemd.
/// `service` is the one that the unit runs; a unit of another kind has none.
pub(crate) fn explained(
    host: &Host,
    app: &App,
    service: Option<&Service>,
    what: Failure,
    log: &RunLog,
) -> Failure {
    let known = service.and_then(|service| explanation(host, app, service, log));
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

/// What the log of a run says about the sandbox of its service.
pub(crate) fn explanation(
    host: &Host,
    app: &App,
    service: &Service,
    log: &RunLog,
) -> Option<Explanation> {
    let target = host
        .systemd
        .version()
        .map_or(Target::Portable, Target::Version);
    let texts = service_texts(app, service, target).ok()?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    // The service has written the paths. A look at one must not wait for a server that does not answer.
    let remote = RemoteMounts::read().ok()?;
    let files = SandboxFiles::of(&Unit::merge(&texts))?.without(remote);
    if let Some(text) = cannot_start(host, service, &files, log.end) {
        return Some(Explanation {
            id: "cannot-start",
            meaning: Meaning::NotTheSandbox,
            sureness: Sureness::Certain,
            text,
            line: String::new(),
            is_of_exit: true,
        });
    }
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
    explain(&case, &seen)
}

/// systemd could not execute the program (systemd.exec(5), "Process Exit Codes").
const EXIT_EXEC: i32 = 203;
/// systemd could not set up the sandbox.
const EXIT_NAMESPACE: i32 = 226;

/// Why systemd could not start the program, if the program or the host shows it.
fn cannot_start(
    host: &Host,
    service: &Service,
    files: &SandboxFiles,
    end: Option<MainExit>,
) -> Option<String> {
    match end? {
        MainExit::Exited(EXIT_EXEC) => {
            let program = service.exec.first()?.as_str();
            let seen = files.find(&host.root, program).ok()?.ok()?;
            let file = ProgramFile::read(&host.root.path(&seen.host)).ok()?;
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
            let sandbox = &service.sandbox;
            let read_only = sandbox
                .read_only
                .iter()
                .map(|(from, _)| ("read-only", from));
            let read_write = sandbox.read_write.iter().map(|path| ("read-write", path));
            let mut named = read_only.chain(read_write);
            let (key, path) = named.find(|(_, path)| {
                let found = host.root.meta_followed(path.as_str());
                found.is_ok_and(|found| found.is_none())
            })?;
            Some(format!(
                "`{path}`, which `sandbox.{key}` names, does not exist on this host"
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
