//! The unit of a command of the build: its sandbox, from the table of services, and what it sees of the release
//! and of the secrets.

use super::build_step::{BuildStep, Purpose};
use super::resolvers::resolvers;
use crate::app::{App, EMPTY_ROOT, Limits, Secret};
use crate::host::Host;
use crate::sandbox::build::BuildProgram;
use crate::sandbox::directives;
use crate::sandbox::shape::Shape;
use crate::units::Target;
use anyhow::Result;
use std::time::Duration;

/// The longest time of a command.
pub(super) const MAX_BUILD_TIME: Duration = Duration::from_secs(3600);

/// The properties of the unit of a command, in the syntax of unit files. `guard` is the unit that it ends with.
///
/// # Errors
/// When systemd does not tell its version, or the resolvers of the host cannot be read.
pub(super) fn properties(
    host: &Host,
    app: &App,
    staging: &str,
    guard: &str,
    step: &BuildStep,
) -> Result<Vec<String>> {
    // The unit runs here, whatever the units of the app are written for.
    let target = Target::Version(host.systemd.version()?);
    let shape = match step.is_offline {
        true => app.offline_build_shape(program(step)),
        false => app.build_shape(program(step), &resolvers(&host.root)?),
    };
    let mut out = of_release(host, app, staging, guard, &shape);
    let lines = directives::lines(&shape, target);
    let lines = lines.into_iter().chain(Limits::default().lines());
    out.extend(lines.map(|(name, value)| format!("{}={value}", property(name, &value))));
    out.extend(secrets(app, step).map(|secret| {
        let name = secret.name.as_str();
        format!("LoadCredential={name}:{}", app.layout.credential(name))
    }));
    Ok(out)
}

/// The name that systemd-run(1) takes for a directive. systemd 257 has a second property for the words that came after
/// `yes`, and its systemd-run does not translate them.
fn property(name: &'static str, value: &str) -> &'static str {
    match (name, value) {
        ("ProtectControlGroups", "strict" | "private") => "ProtectControlGroupsEx",
        _ => name,
    }
}

fn of_release(host: &Host, app: &App, staging: &str, guard: &str, shape: &Shape) -> Vec<String> {
    let current = app.layout.current();
    let user = app.build_user();
    let mut out = vec![
        format!("Description={}: building", app.name),
        format!("BindsTo={guard}"),
        format!("After={guard}"),
        // A build that is stopped must not change anything more.
        "KillSignal=SIGKILL".to_owned(),
        format!("RuntimeMaxSec={}", MAX_BUILD_TIME.as_secs()),
        format!("User={user}"),
        format!("Group={user}"),
        format!("BindPaths={}:{current}", host.root.path(staging).display()),
        format!("WorkingDirectory={current}"),
        "Environment=HOME=/tmp PATH=/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1".into(),
    ];
    if shape.rooted {
        // "+": a path in the root directory of the unit (systemd.exec(5)).
        out.push(format!("ReadWritePaths=+{current}"));
    } else {
        // A tmpfs of this unit, so that no mount point is created on the host.
        out.push("TemporaryFileSystem=/opt:mode=0755".to_owned());
        out.push(format!("ReadWritePaths={current}"));
        for dir in [app.layout.etc(), app.layout.state()] {
            out.push(format!("InaccessiblePaths=-{dir}"));
        }
    }
    out
}

/// Creates the directory that is `/` of a build, and the parents of what is mounted in it. systemd 247 would create them
/// with `UMask=` of the unit, so that the user of the build could not enter them. tmpfiles.d creates the same for
/// services, with the first release.
///
/// # Errors
/// When one cannot be created.
pub(super) fn make_root(host: &Host, app: &App) -> Result<()> {
    host.root.make_dir(EMPTY_ROOT, 0o555)?;
    for path in ["/etc", "/run/credentials", "/var", &app.layout.current()] {
        host.root.make_dir(&format!("{EMPTY_ROOT}{path}"), 0o755)?;
    }
    Ok(())
}

fn program(step: &BuildStep) -> BuildProgram {
    match step.purpose {
        Purpose::Command => BuildProgram::Command,
        Purpose::Environment | Purpose::Packages | Purpose::PackagesOffline | Purpose::Compile => {
            BuildProgram::Installer
        }
    }
}

/// The secrets that a command receives: those of the build, if it is pip or a command of the manifest.
pub(super) fn secrets<'a>(app: &'a App, step: &BuildStep) -> impl Iterator<Item = &'a Secret> {
    let takes = match step.purpose {
        Purpose::Command | Purpose::Packages | Purpose::PackagesOffline => true,
        Purpose::Environment | Purpose::Compile => false,
    };
    app.secrets.iter().filter(move |one| takes && one.build)
}

/// The words that run a command. Those of `build-env` come from the files of the secrets only inside the unit: no
/// other user can read the environment of a process, but arguments and properties of units are open.
pub(super) fn words(app: &App, step: &BuildStep) -> Vec<String> {
    let mut script = String::new();
    for secret in secrets(app, step) {
        if let Some(variable) = &secret.build_env {
            let name = &secret.name;
            script.push_str(&format!(
                "{variable}=$(cat \"$CREDENTIALS_DIRECTORY/{name}\"); export {variable}; "
            ));
        }
    }
    // systemd-run looks for the program on the host, where the release is not mounted.
    let env = ["/usr/bin/env", "--"].map(str::to_owned);
    let command = env.into_iter().chain(step.argv.iter().cloned());
    if script.is_empty() {
        return command.collect();
    }
    script.push_str("exec \"$@\"");
    let shell = ["/bin/sh", "-ec", &script, "sh"].map(str::to_owned);
    shell.into_iter().chain(command).collect()
}

#[cfg(test)]
mod tests {
    use super::{secrets, words};
    use crate::app::{App, EnvName};
    use crate::manifest::parse;
    use crate::transient::build_step::{BuildStep, Purpose};

    fn app() -> App {
        let text = "[app]\nname = \"shop\"\nversion = \"1\"\n[service.web]\nexec = [\"/bin/w\"]\n\
                    [[secret]]\nname = \"KEY\"\n[[secret]]\nname = \"NPM\"\nbuild = true\n\
                    [[secret]]\nname = \"INDEX\"\nbuild-env = \"PIP_INDEX_URL\"\nservices = [\"web\"]\n";
        App::from_manifest(&parse(text).unwrap(), None).unwrap()
    }

    fn step(purpose: Purpose) -> BuildStep {
        BuildStep {
            argv: vec!["make".to_owned()],
            purpose,
            is_offline: false,
            input: None,
        }
    }

    #[test]
    fn secrets_of_the_build_reach_pip_and_commands_alone() {
        let app = app();
        for (purpose, expected) in [
            (Purpose::Command, &["NPM", "INDEX"][..]),
            (Purpose::Packages, &["NPM", "INDEX"]),
            (Purpose::PackagesOffline, &["NPM", "INDEX"]),
            (Purpose::Environment, &[]),
            (Purpose::Compile, &[]),
        ] {
            let step = step(purpose);
            let names: Vec<&str> = secrets(&app, &step).map(|one| one.name.as_str()).collect();
            assert_eq!(names, expected, "{purpose:?}");
        }
        let of_web: Vec<&str> = app.services[0]
            .secrets
            .iter()
            .map(EnvName::as_str)
            .collect();
        assert_eq!(of_web, ["KEY", "INDEX"]);
    }

    #[test]
    fn the_value_of_a_variable_is_read_in_the_unit() {
        assert_eq!(
            words(&app(), &step(Purpose::Compile)),
            ["/usr/bin/env", "--", "make"]
        );
        let script = "PIP_INDEX_URL=$(cat \"$CREDENTIALS_DIRECTORY/INDEX\"); export PIP_INDEX_URL; exec \"$@\"";
        assert_eq!(
            words(&app(), &step(Purpose::Packages)),
            ["/bin/sh", "-ec", script, "sh", "/usr/bin/env", "--", "make"]
        );
    }
}
