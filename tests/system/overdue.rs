//! A service that extends its own timeouts for ever holds up no deploy, rollback or removal.

use crate::machine::{Machine, Out, until};

tests![Slow: a_service_cannot_hold_up_its_stop_or_its_start];

/// The program: the file HOLDS says what it holds up.
const PROGRAM: &str = r#"
import os, signal, socket, time
holds = open("HOLDS").read()
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
def hold(*_):
    while True:
        notify.send(b"EXTEND_TIMEOUT_USEC=60000000")
        time.sleep(0.1)
if holds == "stop":
    signal.signal(signal.SIGTERM, hold)
if holds == "start":
    hold()
notify.send(b"READY=1")
while True:
    signal.pause()
"#;
/// Longer than any of these commands takes, and much shorter than for ever.
const LIMIT: &str = "100";
const MANIFEST: &str = "/root/prey/robot.toml";

fn write(machine: &Machine, version: &str, holds: &str) {
    machine.ok("mkdir -p /root/prey");
    machine.write(
        MANIFEST,
        &format!(
            "[app]\nname = \"prey\"\nversion = \"{version}\"\n[service.web]\n\
             exec = [\"/usr/bin/python3\", \"{{current}}/prey.py\"]\ntype = \"notify\"\n\
             timeout-start = \"2s\"\ntimeout-stop = \"1s\"\npre-check = false\n\
             check = [{{ settle = \"300ms\" }}]\n"
        ),
        0o644,
    );
    machine.write("/root/prey/prey.py", PROGRAM, 0o644);
    machine.write("/root/prey/HOLDS", holds, 0o644);
}

/// Runs robotctl, which must end.
fn ends(machine: &Machine, arguments: &[&str]) -> Out {
    let argv = ["timeout", "--signal=KILL", LIMIT, "robotctl"];
    machine.run(&[&argv, arguments].concat())
}

fn a_service_cannot_hold_up_its_stop_or_its_start(machine: &Machine) {
    const STOP: &str =
        "`prey-web.service` did not stop within its timeout, and its processes were killed";
    const START: &str =
        "`prey-web.service` did not start within its timeout, and its processes were killed";
    let deploy = ["--manifest", MANIFEST, "deploy", "--apply"];
    write(machine, "1.0", "stop");
    ends(machine, &deploy).exits(0);
    write(machine, "2.0", "start");
    ends(machine, &deploy).exits(3).says(STOP).says(START);
    assert!(machine.link("/opt/prey/current").contains("1.0-"));
    write(machine, "3.0", "nothing");
    ends(machine, &deploy).exits(0).says(STOP);
    ends(machine, &["--app", "prey", "rollback"]).exits(0);
    start_foreign(machine);
    let removed = ends(machine, &["--app", "prey", "remove", "--apply"]);
    let removed = removed.exits(0).says(STOP);
    assert!(!machine.exists("/opt/prey"));
    // The unit of the administrator stopped with it, in its own time.
    assert!(!removed.stderr.contains(FOREIGN), "{removed}");
    until("it ends", || {
        machine.property(FOREIGN, "ActiveState") == "inactive"
    });
    assert_eq!(machine.property(FOREIGN, "Result"), "success");
}

/// A unit of the administrator that stops with the service of the app.
const FOREIGN: &str = "foreign.service";
/// How long it takes to stop. Its timeout is a second: robotctl would kill it about 25 seconds after the stop
/// of the service, if it were the app's.
const FOREIGN_SECONDS: u32 = 35;

/// Starts a unit that takes long to stop, and tells systemd so.
fn start_foreign(machine: &Machine) {
    let program = format!(
        "import os, signal, socket, time\n\
         notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
         notify.connect(os.environ['NOTIFY_SOCKET'].replace('@', chr(0), 1))\n\
         def stop(*_):\n    \
             for _ in range({FOREIGN_SECONDS} * 10):\n        \
                 notify.send(b'EXTEND_TIMEOUT_USEC=60000000')\n        \
                 time.sleep(0.1)\n    \
             os._exit(0)\n\
         signal.signal(signal.SIGTERM, stop)\n\
         notify.send(b'READY=1')\n\
         while True:\n    signal.pause()\n"
    );
    machine.write("/root/foreign.py", &program, 0o644);
    machine.write(
        "/etc/systemd/system/foreign.service",
        "[Unit]\nBindsTo=prey-web.service\n\
         [Service]\nType=notify\nExecStart=/usr/bin/python3 /root/foreign.py\nTimeoutStopSec=1s\n",
        0o644,
    );
    // robotctl waits for the service of the app long enough to find the other unit overdue, too.
    machine.write(
        "/run/systemd/system/prey-web.service.d/90-test.conf",
        "[Service]\nTimeoutStopSec=12s\n",
        0o644,
    );
    machine.ok("systemctl daemon-reload && systemctl start foreign.service");
}
