//! The fixture: an application of a web service, a worker and a job, which can be made to fail.

use crate::machine::{Machine, Out, until};
use std::process::Child;
use std::time::Duration;

// The timer is a yearly one: a job that starts by itself mends what a test has broken.

/// Where the fixture's source lies on the machine.
pub const SOURCE: &str = "/root/demo";
pub const UNITS: &str = "/usr/local/lib/systemd/system";
pub const WEB: &str = "http://127.0.0.1:8080";

/// A further table: a service that is tried, and that has no socket.
pub const SECOND: &str = "[service.second]\nexec = [\"{current}/app.py\", \"worker\"]\n\
                          type = \"notify\"\npre-check = true\n";

/// One version of the fixture.
#[derive(Debug, Clone)]
pub struct Demo {
    pub version: String,
    /// What is wrong with it; see `app.py`.
    pub fault: &'static str,
    /// Further keys of `[service.web]`.
    pub web: &'static str,
    /// Further tables.
    pub tables: &'static str,
    /// How long the release must stay up; empty for robotctl's own default.
    pub settle: &'static str,
}

/// A healthy version that is judged quickly.
pub fn demo(version: &str) -> Demo {
    Demo {
        version: version.to_owned(),
        fault: "",
        web: "",
        tables: "",
        settle: "200ms",
    }
}

impl Demo {
    pub fn manifest(&self) -> String {
        let Self {
            version,
            fault: _,
            web,
            tables,
            settle,
        } = self;
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
check = [{{ http = "/healthz", contains = "ok", within = "3s" }}{settle}]
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

    /// Puts this version's source on the machine, in place of any other.
    pub fn write(&self, machine: &Machine) {
        machine.ok(&format!("rm -rf {SOURCE}"));
        machine.write(&format!("{SOURCE}/robot.toml"), &self.manifest(), 0o644);
        machine.write(&format!("{SOURCE}/VERSION"), &self.version, 0o644);
        machine.write(&format!("{SOURCE}/fault"), self.fault, 0o644);
        machine.write(&format!("{SOURCE}/app.py"), include_str!("app.py"), 0o755);
    }

    /// Deploys this version, however that ends.
    pub fn deploy(&self, machine: &Machine) -> Out {
        self.write(machine);
        machine.robotctl("--manifest /root/demo/robot.toml deploy --apply")
    }

    /// Begins to deploy this version, and does not wait for the end.
    pub fn begin(&self, machine: &Machine) -> Child {
        self.write(machine);
        machine.begin(&[
            "robotctl",
            "--manifest",
            "/root/demo/robot.toml",
            "deploy",
            "--apply",
        ])
    }

    /// Deploys this version, which must succeed.
    #[track_caller]
    pub fn deployed(&self, machine: &Machine) -> String {
        self.deploy(machine).exits(0);
        current(machine)
    }
}

/// The release that `current` names.
pub fn current(machine: &Machine) -> String {
    let link = machine.link("/opt/demo/current");
    link.strip_prefix("releases/").unwrap_or(&link).to_owned()
}

/// The release that a unit's main process really runs, as status tells.
pub fn runs(machine: &Machine, unit: &str) -> String {
    let status = machine.robotctl("status").exits(0).stdout;
    let line = status.lines().find(|line| line.trim().starts_with(unit));
    let mut words = line.unwrap_or_default().split_whitespace();
    words.nth(3).unwrap_or_default().to_owned()
}

/// Everything that a release puts on the host, as one text: paths, modes, owners, links, bytes.
pub fn installed(machine: &Machine) -> String {
    machine.ok(
        "cd / && find usr/local/lib etc/systemd/system opt/demo/current \
         \\( -type l -printf '%p -> %l\\n' \\) -o -printf '%p %y %m %U\\n' | sort; \
         find usr/local/lib etc/systemd/system opt/demo/current/ -type f -exec md5sum {} + | sort",
    )
}

/// A program of somebody else's, which listens where the fixture wants to.
pub fn stranger(machine: &Machine) -> Child {
    let server = [
        "python3",
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        "8080",
    ];
    let child = machine.begin(&server);
    until("the stranger listens", Duration::from_secs(10), || {
        machine.sh("ss -Hltn sport = :8080").stdout.contains("8080")
    });
    child
}
