//! Build commands: what they may leave behind, and what they receive.

use crate::demo::current;
use crate::machine::{Machine, until};

tests![
    Quick:
    build_output_belongs_to_root_only,
    a_wheel_with_invalid_python_is_installed,
    a_build_stops_with_its_robotctl,
    a_build_has_a_sandbox,
    an_orphaned_build_is_stopped,
];

/// Accepts a descriptor over a socket, and writes to it when a file appears.
const HOLDER: &str = r"
import array, os, socket, time
server = socket.socket(socket.AF_UNIX)
server.bind('\0keeper')
server.listen(1)
open('/root/listens', 'w')
_, parts, _, _ = server.accept()[0].recvmsg(1, socket.CMSG_SPACE(4))
descriptor = array.array('i', parts[0][2][:4])[0]
while not os.path.exists('/root/go'):
    time.sleep(0.02)
os.pwrite(descriptor, b'PWNED', 0)
open('/root/written', 'w')
";

/// Passes a descriptor of the release to another process, and leaves a file in /dev/shm.
const BUILD: &str = r"
import os, socket
open('/dev/shm/left', 'w')
client = socket.socket(socket.AF_UNIX)
client.connect('\0keeper')
socket.send_fds(client, [b'x'], [os.open('VERSION', os.O_RDWR)])
";

fn build_output_belongs_to_root_only(machine: &Machine) {
    let mut demo = crate::demo::demo("1.0");
    demo.tables = "[release]\nbuild = [[\"/usr/bin/python3\", \"build.py\"], \
                   [\"/bin/sh\", \"-c\", \"x=1; echo $HOME ${x} $$ > words; ln -s VERSION link; \
                   ln -s /usr/bin/env env; ln -s /opt/demo/current/VERSION whole\"]]\n";
    demo.write(machine);
    machine.write("/root/demo/build.py", BUILD, 0o644);
    machine.write("/root/holder.py", HOLDER, 0o644);
    let mut holder = machine.spawn(&["python3", "/root/holder.py"]);
    until("the holder listens", || machine.exists("/root/listens"));
    let deploy = "--manifest /root/demo/robot.toml deploy --apply";
    machine.robotctl(deploy).exits(0);
    machine.ok("touch /root/go");
    until("the holder has written", || machine.exists("/root/written"));
    assert!(holder.wait().unwrap().success());
    let release = format!("/opt/demo/releases/{}", current(machine));
    assert_eq!(machine.read(&format!("{release}/VERSION")), "1.0");
    // The shell expanded this, and robotctl did not.
    let words = machine.read(&format!("{release}/words"));
    let words: Vec<&str> = words.split_whitespace().collect();
    assert_eq!(words[..2], ["/tmp", "1"]);
    assert!(words[2].parse::<u32>().is_ok(), "{words:?}");
    let unexpected = format!("find {release} /dev/shm ! -user root -o -perm /6022 ! -type l");
    let unexpected = machine.ok(&format!("{unexpected} | grep -v '^/dev/shm$' || true"));
    assert_eq!(unexpected, "");

    // A link that leaves the release, one that only seems to stay inside, one that leaves through
    // another link, and one that is not UTF-8.
    let leaves = "the build created a link that leads out of the release: `out` -> ";
    for (index, (script, said)) in [
        ("ln -s ../../../../etc/shadow out", leaves),
        ("ln -s /usr/../etc/shadow out", leaves),
        (
            "mkdir -p a/b; ln -s ../.. a/b/up; ln -s a/b/up/../x out",
            leaves,
        ),
        (
            r"ln -s $(printf 'gr\\374n') out",
            "the build made a link whose name or target is not UTF-8: `out` -> ",
        ),
        ("mkfifo pipe", "the build made a special file: `pipe`"),
    ]
    .into_iter()
    .enumerate()
    {
        demo.version = format!("2.{index}");
        let build = format!("[release]\nbuild = [[\"/bin/sh\", \"-ec\", \"{script}\"]]\n");
        demo.tables = build.leak();
        demo.deploy(machine).exits(2).says(said).says("\n\nhint: ");
    }
    assert_eq!(
        machine.ok("ls -A /opt/demo/releases"),
        current(machine),
        "nothing is left of them"
    );
}

/// Makes a wheel of two modules, one of which is a template that is not valid Python.
const WHEEL: &str = r"
import zipfile
with zipfile.ZipFile('/root/demo/wheels/paper-1.0-py3-none-any.whl', 'w') as wheel:
    info = 'paper-1.0.dist-info/'
    for name, text in [
        ('paper/__init__.py', 'TEXT = 1'),
        ('paper/template.py', 'import {{ module }}'),
        (info + 'METADATA', 'Metadata-Version: 2.1\nName: paper\nVersion: 1.0\n'),
        (info + 'WHEEL', 'Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n'),
        (info + 'RECORD', ''),
    ]:
        wheel.writestr(name, text)
";

fn a_wheel_with_invalid_python_is_installed(machine: &Machine) {
    let mut demo = crate::demo::demo("1.0");
    demo.tables =
        "[release]\npython = { requirements = [\"requirements.txt\"], wheels = \"wheels\" }\n";
    demo.write(machine);
    machine.write("/root/demo/requirements.txt", "paper\n", 0o644);
    machine.write("/root/wheel.py", WHEEL, 0o644);
    machine.ok("mkdir /root/demo/wheels; python3 /root/wheel.py");
    let deploy = "--manifest /root/demo/robot.toml deploy --apply";
    machine.robotctl(deploy).exits(0);
    // A wheel that is missing, and a program: the hint fits the command that failed.
    machine.write("/root/demo/requirements.txt", "paper\nabsent\n", 0o644);
    let download = "hint: pip reads only the wheels of the release";
    let install = "python3 -m pip wheel -w wheels -r requirements.txt";
    machine
        .robotctl(deploy)
        .exits(2)
        .says(download)
        .says(install);
    machine.write("/root/demo/requirements.txt", "paper\n", 0o644);
    let manifest = machine.read("/root/demo/robot.toml");
    let build = "[release]\nbuild = [[\"npm\", \"ci\"]]\n";
    let with_npm = manifest.replace("[release]\n", build);
    machine.write("/root/demo/robot.toml", &with_npm, 0o644);
    let npm = "hint: install it and deploy again: sudo apt install npm\n";
    machine.robotctl(deploy).exits(2).says(npm);
    let venv = format!("/opt/demo/releases/{}/.venv", current(machine));
    assert_eq!(
        machine.ok(&format!(
            "{venv}/bin/python -c 'import paper; print(paper.TEXT)'"
        )),
        "1"
    );
    let compiled = format!("find {venv}/lib/python3*/site-packages/paper -name '*.pyc'");
    let compiled = machine.ok(&format!("{compiled} -printf '%f\n'"));
    assert!(compiled.starts_with("__init__.cpython-"), "{compiled}");
    assert_eq!(compiled.lines().count(), 1, "{compiled}");
}

/// A build stops whichever way robotctl ends, even if the build ignores signals.
fn a_build_stops_with_its_robotctl(machine: &Machine) {
    const STUBBORN: &str = "[release]\nbuild = [[\"/bin/sh\", \"-c\", \
                            \"trap '' INT TERM HUP; touch begun; sleep 1000; sleep 1000\"]]\n";
    let building = || machine.sh("pgrep --count -u robotctl-build").code == 0;
    let first = crate::demo::demo("1.0").deploy_ok(machine);
    let mut demo = crate::demo::demo("2.0");
    demo.tables = STUBBORN;
    demo.write(machine);
    // The test runner may ignore a signal and pass that on to its children.
    let deploy = [
        "env",
        "--default-signal=INT,TERM",
        "robotctl",
        "--manifest",
        "/root/demo/robot.toml",
        "deploy",
        "--apply",
    ];
    for signal in ["KILL", "INT", "TERM"] {
        let mut child = machine.spawn(&deploy);
        until("the build begins", || {
            machine.sh("ls /opt/demo/releases/.staging-*/begun").code == 0
        });
        assert!(building());
        machine.ok(&format!("kill -s {signal} {}", machine.spawned_pid()));
        child.wait().unwrap();
        until(signal, || !building());
        machine.robotctl("--app demo recover").exits(0);
        assert_eq!(machine.ok("ls -A /opt/demo/releases"), first, "{signal}");
    }
    let units =
        "systemctl list-units --all --type=service --plain --no-legend 'robotctl-build-*' 'run-*'";
    until("the units go", || machine.ok(units).is_empty());
    // Nothing blocks the next build.
    demo.tables = "[release]\nbuild = [[\"/bin/touch\", \"built\"], [\"/bin/touch\", \"twice\"]]\n";
    demo.deploy_ok(machine);
    "2.1".clone_into(&mut demo.version);
    let release = demo.deploy_ok(machine);
    assert!(machine.exists(&format!("/opt/demo/releases/{release}/twice")));
}

/// A build that tries what the host and other users must not see or allow. Without the sandbox, all but the first
/// work.
const TRIES: &str = r#"[release]
build = [["/bin/sh", "-c", 'for one in "touch /usr/x" "unshare --user true" "ls -d /proc/1" "setarch --addr-no-randomize true" "prlimit --core=1 --pid $$"; do $one >/dev/null 2>&1 && echo "$one"; done > worked; true']]
"#;

fn a_build_has_a_sandbox(machine: &Machine) {
    let mut demo = crate::demo::demo("1.0");
    demo.tables = TRIES;
    let release = demo.deploy_ok(machine);
    let worked = machine.read(&format!("/opt/demo/releases/{release}/worked"));
    assert_eq!(worked, "");
}

/// If a kill freed the lock, the next holder of the lock stops the old build before it starts
/// another one.
fn an_orphaned_build_is_stopped(machine: &Machine) {
    let mut demo = crate::demo::demo("1.0");
    demo.tables = "[release]\nbuild = [[\"/bin/touch\", \"built\"]]\n";
    demo.deploy_ok(machine);
    // A build that does not end with the lock.
    machine.ok(
        "systemd-run --quiet --unit=robotctl-build-other.service sleep 1000; \
         systemd-run --quiet --uid=robotctl-build --property=Type=exec --property=BindsTo=robotctl-build-other.service \
         --property=After=robotctl-build-other.service sleep 1000; \
         pgrep --count -u robotctl-build",
    );
    "1.1".clone_into(&mut demo.version);
    demo.deploy_ok(machine);
    assert_eq!(
        machine.sh("pgrep --count -u robotctl-build").stdout.trim(),
        "0"
    );
}
