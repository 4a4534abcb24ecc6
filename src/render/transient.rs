//! Units that exist only for a moment, in `/run`.

use super::drop_ins::ReleaseMount;
use super::escape::words;
use super::unit_files::UnitFiles;
use super::units::{self, ServiceUnitRole};
use crate::app::{App, Service, Text};
use crate::sandbox::probes::FILTERED;
use crate::tree::{Entry, FileTree, GENERATED};
use crate::units::{RUNTIME_UNIT_DIR, Target, UnitFile};
use anyhow::Result;

/// The units of a pre-check instance on the release `id`. The instance comes from
/// [`pre_check_instance`](super::derive::pre_check_instance).
///
/// # Errors
/// When the service cannot be rendered.
pub fn precheck(app: &App, instance: &Service, target: Target, id: &str) -> Result<FileTree> {
    let mut files = UnitFiles::new(app, target, RUNTIME_UNIT_DIR);
    let unit = app.unit(instance);
    files.service(
        &unit,
        instance,
        ServiceUnitRole::Main,
        ReleaseMount::Pinned(id),
    )?;
    for socket in app.socket_units(instance) {
        files.unit(&socket, units::socket(app, instance, &socket)?);
    }
    if !instance.has_socket_unit() {
        let text = "[Service]\nPrivateNetwork=yes".to_owned();
        files.drop_in(&unit, "60-alone.conf", text);
    }
    Ok(files.tree)
}

/// The unit of a job on a release, in the sandbox that the job asks for.
///
/// # Errors
/// When the service cannot be rendered.
pub fn job(app: &App, job: &Service, target: Target, mount: ReleaseMount<'_>) -> Result<FileTree> {
    let mut files = UnitFiles::new(app, target, RUNTIME_UNIT_DIR);
    files.service(&app.unit(job), job, ServiceUnitRole::Main, mount)?;
    Ok(files.tree)
}

/// The directives with commands (systemd.service(5)).
const COMMANDS: [&str; 7] = [
    "ExecCondition",
    "ExecStartPre",
    "ExecStart",
    "ExecStartPost",
    "ExecReload",
    "ExecStop",
    "ExecStopPost",
];

/// The drop-in of a probe. Its name comes last, so that no drop-in of the administrator changes the command.
const PROBE: &str = "zz-probe.conf";

/// The unit of a job that tries things in its sandbox with this command, and shows the results as its
/// status until it is stopped. It has no variables and no secrets.
///
/// # Errors
/// When the job cannot be rendered.
pub fn probe(
    app: &App,
    job: &Service,
    target: Target,
    mount: ReleaseMount<'_>,
    argv: &[Text],
) -> Result<FileTree> {
    let mut files = UnitFiles::new(app, target, RUNTIME_UNIT_DIR);
    let unit = app.unit(job);
    files.service(&unit, job, ServiceUnitRole::Main, mount)?;
    let mut text = "[Service]\n".to_owned();
    let given = [
        "Environment",
        "EnvironmentFile",
        "LoadCredential",
        "UnsetEnvironment",
    ];
    for name in COMMANDS.iter().chain(&given) {
        text.push_str(&format!("{name}=\n"));
    }
    text.push_str(&format!(
        "{REPORTS}SystemCallErrorNumber={FILTERED:?}\nExecStart={}",
        words(argv)
    ));
    files.drop_in(&unit, PROBE, text);
    Ok(files.tree)
}

/// The drop-ins of a one-off command in the sandbox of a job, for a unit that systemd-run(1) makes: only such a unit
/// can have the terminal and the files of its caller. The unit itself is one of them. The command has no time limit.
///
/// The target `keep` refers to the unit: while it is active, systemd does not unload the unit, and knows how the command
/// ended.
///
/// # Errors
/// When the job cannot be rendered.
pub fn one_off(
    app: &App,
    job: &Service,
    target: Target,
    mount: ReleaseMount<'_>,
    (argv, keep): (&[Text], &str),
) -> Result<FileTree> {
    let mut files = UnitFiles::new(app, target, RUNTIME_UNIT_DIR);
    let unit = app.unit(job);
    files.service(&unit, job, ServiceUnitRole::Main, mount)?;
    files.unit(
        keep,
        format!(
            "{GENERATED}{}; a one-off command.\n[Unit]\nAfter={unit}",
            app.name
        ),
    );
    let path = UnitFile::unit(&unit).path_in(RUNTIME_UNIT_DIR);
    let mut tree = FileTree::default();
    for (at, entry) in files.tree.iter() {
        let at = match at == path {
            true => UnitFile::drop_in(&unit, "00-unit.conf").path_in(RUNTIME_UNIT_DIR),
            false => at.to_owned(),
        };
        tree.insert(at, entry.clone());
    }
    let mut text = format!("{GENERATED}{}; a one-off command.\n[Service]\n", app.name);
    for name in COMMANDS {
        text.push_str(&format!("{name}=\n"));
    }
    text.push_str(&format!(
        "Type=exec\nRestart=no\nRemainAfterExit=no\nWatchdogSec=0\nTimeoutStartSec=infinity\n\
         SuccessExitStatus=\nExecStart={}\n",
        units::command(job, argv)
    ));
    let last = UnitFile::drop_in(&unit, "zz-run.conf").path_in(RUNTIME_UNIT_DIR);
    tree.insert(last, Entry::file(text));
    Ok(tree)
}

/// The unit that makes attempts without a sandbox. Its command starts as root, without the restrictions of
/// `DynamicUser=` (systemd.service(5), "+"), and makes the attempts as the user that systemd keeps for it.
pub fn probe_control(app: &App, unit: &str, user: &str, argv: &[Text]) -> FileTree {
    let mut files = UnitFiles::new(app, Target::Portable, RUNTIME_UNIT_DIR);
    let text = format!(
        "{GENERATED}{}; attempts without a sandbox.\n\
         [Unit]\nDescription={}: attempts without a sandbox\n\n\
         [Service]\nDynamicUser=yes\nUser={user}\nWorkingDirectory=/\n{REPORTS}ExecStart=+{}",
        app.name,
        app.name,
        words(argv)
    );
    files.unit(unit, text);
    files.tree
}

/// How a unit reports what was tried: as its status, until it is stopped. SIGKILL also ends processes that
/// another process keeps stopped.
const REPORTS: &str = "Type=oneshot\nRemainAfterExit=yes\nNotifyAccess=main\nRestart=no\nTimeoutStartSec=10\n\
    KillSignal=SIGKILL\nStandardInput=null\nStandardOutput=null\n";
