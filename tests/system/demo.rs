//! The fixture: an app with a web service, a worker and a job, which can be made to fail.

use crate::machine::{Machine, Out, until};
use std::process::Child;

// The timer is yearly, because a job that starts by itself could repair what a test has damaged.

/// The directory of the fixture's source on the machine.
pub const SOURCE: &str = "/root/demo";
pub const UNITS: &str = "/usr/local/lib/systemd/system";
pub const WEB: &str = "http://127.0.0.1:8080";

/// A further table: a service with a pre-check and without a socket.
pub const SECOND: &str = "[service.second]\nexec = [\"{current}/app.py\", \"worker\"]\n\
                          type = \"notify\"\npre-check = true\n";

/// One version of the fixture.
#[derive(Debug, Clone)]
pub struct Demo {
    pub version: String,
    /// How it fails; see `app.py`.
    pub fault: &'static str,
    /// More keys of `[service.web]`.
    pub web: &'static str,
    /// More tables.
    pub tables: &'static str,
    /// How long the release must stay up; empty for the default.
    pub settle: &'static str,
    /// The time within which its health check must pass. It is long, for a busy host. For a version
    /// whose check never passes, [`Demo::manifest`] uses a short one, because the check takes all of it.
    pub within: &'static str,
}

/// A healthy version with a short settle time.
pub fn demo(version: &str) -> Demo {
    Demo {
        version: version.to_owned(),
        fault: "",
        web: "",
        tables: "",
        settle: "200ms",
        within: "30s",
    }
}

impl Demo {
    pub fn manifest(&self) -> String {
        let Self {
            version,
            fault,
            web,
            tables,
            settle,
            within,
        } = self;
        let within = if *fault == "sick" { "3s" } else { within };
        let settle = match *settle {
            "" => String::new(),
            span => format!(", {{ settle = \"{span}\" }}"),
        };
        format!(
            r#"[app]
name = "demo"
version = "{version}"
description = "Fixture"

[service.web]
exec = ["{{current}}/app.py", "web"]
type = "notify"
listen = ["127.0.0.1:8080"]
check = [{{ http = "/healthz", contains = "ok", within = "{within}" }}{settle}]
{web}

[service.worker]
exec = ["{{current}}/app.py", "worker"]
type = "notify"

[service.tidy]
exec = ["{{current}}/app.py", "tidy"]
type = "oneshot"
timer = {{ calendar = "yearly" }}

{tables}"#
        )
    }

    /// Writes the source of this version, in place of any other.
    pub fn write(&self, machine: &Machine) {
        machine.ok(&format!("rm -rf {SOURCE}"));
        machine.write(&format!("{SOURCE}/robot.toml"), &self.manifest(), 0o644);
        machine.write(&format!("{SOURCE}/VERSION"), &self.version, 0o644);
        machine.write(&format!("{SOURCE}/fault"), self.fault, 0o644);
        machine.write(&format!("{SOURCE}/app.py"), include_str!("app.py"), 0o755);
    }

    /// Deploys this version.
    pub fn deploy(&self, machine: &Machine) -> Out {
        self.write(machine);
        machine.robotctl("--manifest /root/demo/robot.toml deploy --apply")
    }

    /// Starts a deploy of this version, and does not wait for its end.
    pub fn start_deploy(&self, machine: &Machine) -> Child {
        self.write(machine);
        machine.spawn(&[
            "robotctl",
            "--manifest",
            "/root/demo/robot.toml",
            "deploy",
            "--apply",
        ])
    }

    /// Deploys this version, and requires success.
    #[track_caller]
    pub fn deploy_ok(&self, machine: &Machine) -> String {
        self.deploy(machine).exits(0);
        current(machine)
    }
}

/// The release that `current` names.
pub fn current(machine: &Machine) -> String {
    let link = machine.link("/opt/demo/current");
    link.strip_prefix("releases/").unwrap_or(&link).to_owned()
}

/// The release that a unit's main process runs, according to `status`.
pub fn running_release(machine: &Machine, unit: &str) -> String {
    let status = machine.robotctl("status").exits(0).stdout;
    let line = status.lines().find(|line| line.trim().starts_with(unit));
    let mut columns = line.unwrap_or_default().split_whitespace();
    columns.nth(3).unwrap_or_default().to_owned()
}

/// Everything that a release installs on the host, as one text: paths, modes, owners, links,
/// content.
pub fn installed(machine: &Machine) -> String {
    machine.ok(
        "cd / && find usr/local/lib etc/systemd/system opt/demo/current \
         \\( -type l -printf '%p -> %l\\n' \\) -o -printf '%p %y %m %U\\n' | sort; \
         find usr/local/lib etc/systemd/system opt/demo/current/ -type f -exec md5sum {} + | sort",
    )
}

/// Starts a program that does not belong to the app, and waits until it listens on the port.
pub fn occupy_port(machine: &Machine, port: &str) -> Child {
    let child = machine.spawn(&["python3", "-m", "http.server", "--bind", "127.0.0.1", port]);
    until("the port is in use", || {
        let line = format!("ss -Hltn sport = :{port}");
        machine.sh(&line).stdout.contains(port)
    });
    child
}
