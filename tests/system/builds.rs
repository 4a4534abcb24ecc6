//! Build commands: what they may leave behind, and what they receive.

use crate::demo::current;
use crate::machine::{Machine, until};

tests![
    Quick:
    build_output_belongs_to_root_only,
    a_wheel_with_invalid_python_is_installed,
    a_build_stops_with_its_robotctl,
    a_build_has_a_sandbox,
    a_build_has_limits_and_says_what_it_lacks,
    secrets_reach_the_build_alone,
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
    // The holder is outside of the build's own network.
    demo.tables = "[release]\nsandbox = { allow = [\"outbound\"] }\n\
                   build = [[\"/usr/bin/python3\", \"build.py\"], \
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
    let building = || machine.sh("pgrep --count -u robotctl-build-demo").code == 0;
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

/// A build that waits, and what lets it go on.
const WAITING: &str =
    "[\"sh\", \"-c\", \"touch begun; while ! test -e go; do sleep 0.02; done; rm go\"]";
const GO_ON: &str = "touch $(ls -d /opt/demo/releases/.staging-*)/go";

/// The attempts, each of which works without the sandbox.
const ATTEMPTS: &str = include_str!("builds/attempts.py");
/// The user of the builds of another app.
const OTHER: &str = "robotctl-build-other";
/// Something of that app: a process, a file of a cache, and servers. `10.9.9.9` is any other host.
const OTHER_APP: &str = "set -e
echo 'u robotctl-build-other - - / -' | systemd-sysusers -
ip address add 10.9.9.9/32 dev lo
echo nameserver 127.0.0.53 > /etc/resolv.conf
install -d -m 0755 /srv/other; install -m 0600 -o robotctl-build-other /dev/null /srv/other/cache
systemd-run --quiet --unit=other-build --uid=robotctl-build-other --property=Type=exec sleep 1000
systemd-run --quiet --unit=other-servers --property=Type=notify --property=NotifyAccess=all python3 /root/attempts.py serve
systemctl show --value --property MainPID other-build > /usr/share/other-pid";

/// Each attempt is a row: what works without a sandbox for another build of the same user, and what works in a
/// build with these keys of `[release]`.
fn a_build_has_a_sandbox(machine: &Machine) {
    machine.write("/root/attempts.py", ATTEMPTS, 0o644);
    machine.ok(OTHER_APP);
    let control = format!(
        "cp /root/attempts.py /srv/attempts.py; systemd-run --quiet --wait --pipe --uid={OTHER} \
         /usr/bin/python3 /srv/attempts.py"
    );
    let all = "abstract bus core environ files kill loopback namespace network personality processes resolver write-execute";
    assert_eq!(machine.ok(&control), all, "without a sandbox");
    let mut demo = crate::demo::demo("1.0");
    for (index, (keys, expected)) in [
        ("", "write-execute"),
        (
            "sandbox = { allow = [\"outbound\"] }",
            "abstract network resolver write-execute",
        ),
        (
            "sandbox = { outbound = [\"10.9.9.9\"] }",
            "abstract network write-execute",
        ),
        (
            "sandbox = { allow = [\"loopback\", \"outbound\"] }",
            "abstract loopback network resolver write-execute",
        ),
        (
            "sandbox = { allow = [\"host-files\"] }",
            "bus write-execute",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        demo.version = format!("1.{index}");
        let build = "build = [[\"sh\", \"-c\", \"python3 attempts.py > worked\"]]";
        demo.tables = format!("[release]\n{build}\n{keys}\n").leak();
        demo.write(machine);
        machine.write("/root/demo/attempts.py", ATTEMPTS, 0o644);
        let deploy = "--manifest /root/demo/robot.toml deploy --apply";
        machine.robotctl(deploy).exits(0);
        let release = format!("/opt/demo/releases/{}", current(machine));
        let worked = machine.read(&format!("{release}/worked"));
        assert_eq!(worked.trim(), expected, "{keys}");
    }
    // The code of a package that pip builds.
    "2.0".clone_into(&mut demo.version);
    demo.tables = "[release]\npython = { requirements = [\"requirements.txt\"], wheels = \"package\" }\n\
                   sandbox = { allow = [\"outbound\"] }\n";
    demo.write(machine);
    machine.write(
        "/root/demo/requirements.txt",
        "/opt/demo/current/package\n",
        0o644,
    );
    let project = "[build-system]\nrequires = []\nbuild-backend = \"attempts\"\nbackend-path = [\".\"]\n\
                   [project]\nname = \"package\"\nversion = \"1.0\"\n";
    machine.write("/root/demo/package/pyproject.toml", project, 0o644);
    machine.write("/root/demo/package/attempts.py", ATTEMPTS, 0o644);
    let deploy = "--manifest /root/demo/robot.toml deploy --apply";
    machine.robotctl(deploy).exits(0);
    let release = format!("/opt/demo/releases/{}", current(machine));
    assert_eq!(machine.read(&format!("{release}/.venv/worked")), "", "pip");
    machine.ok("systemctl stop other-build other-servers");
}

fn a_build_has_limits_and_says_what_it_lacks(machine: &Machine) {
    let mut demo = crate::demo::demo("3.0");
    // Limits of processes and memory, which a test cannot use up without harm to its host.
    demo.tables = format!("[release]\nbuild = [{WAITING}]\n").leak();
    let mut deploy = demo.start_deploy(machine);
    until("the build begins", || {
        machine.sh("ls /opt/demo/releases/.staging-*/begun").code == 0
    });
    for (name, expected) in [
        ("TasksMax", "4096"),
        ("User", "robotctl-build-demo"),
        ("LimitCORE", "0"),
    ] {
        let found = machine.property("robotctl-build-demo.0.service", name);
        assert_eq!(found, expected, "{name}");
    }
    for name in ["MemoryMax", "MemorySwapMax"] {
        let found = machine.property("robotctl-build-demo.0.service", name);
        assert!(found.parse::<u64>().is_ok(), "{name}: {found}");
    }
    machine.ok(GO_ON);
    assert!(deploy.wait().unwrap().success());

    // What to write is in the error.
    "4.0".clone_into(&mut demo.version);
    demo.tables = "[release]\nbuild = [[\"curl\", \"-sS\", \"http://example.org/\"]]\n";
    let hint = "hint: a build has no network unless the manifest allows it: in `[release]`, write `sandbox = { allow = [\"outbound\"] }`";
    demo.deploy(machine).exits(2).says(hint);
}

/// Where a secret of the build may be: in its own file.
const SEARCH: &str = "grep -rlF 'kUz8-secret-of-the-build' /etc /opt /usr/local/lib /var /run /tmp /root /dev/shm; \
                      journalctl --no-pager --all --output=export | grep -aF 'kUz8-secret-of-the-build'; true";

fn secrets_reach_the_build_alone(machine: &Machine) {
    const VALUE: &str = "https://me:kUz8-secret-of-the-build@index.example.org/simple\n";
    let mut demo = crate::demo::demo("1.0");
    demo.tables = r#"[[secret]]
name = "INDEX"
build-env = "PIP_INDEX_URL"
[[secret]]
name = "TOKEN"
build = true
[release]
build = [
  ["sh", "-c", "printf '%s\\n' $PIP_INDEX_URL | sha256sum > seen; sha256sum < $CREDENTIALS_DIRECTORY/TOKEN >> seen"],
  ["sh", "-c", "touch begun; while ! test -e go; do sleep 0.02; done; rm go"],
]
"#;
    let install = "sudo robotctl --app demo secret set INDEX";
    let missing = "the secret `INDEX` is missing";
    demo.deploy(machine).exits(2).says(missing).says(install);
    assert_eq!(
        machine.sh("id -u robotctl-build-demo").code,
        1,
        "no build has begun"
    );
    for name in ["INDEX", "TOKEN"] {
        machine.write(&format!("/etc/demo/credentials/{name}"), VALUE, 0o600);
    }
    machine.ok("chmod 700 /etc/demo/credentials");
    let plan = machine
        .robotctl("--manifest /root/demo/robot.toml deploy")
        .exits(0);
    let plan = plan.says("release.build  secret  INDEX, TOKEN");
    assert!(!plan.stdout.contains("kUz8"), "{plan}");
    let mut deploy = demo.start_deploy(machine);
    until("the build begins", || {
        machine.sh("ls /opt/demo/releases/.staging-*/begun").code == 0
    });
    let open = "systemctl show 'robotctl-build-demo*'; systemctl cat 'robotctl-build-demo*'; ps axww -o args";
    let open = machine.ok(open);
    assert!(open.contains("LoadCredential"), "{open}");
    assert!(!open.contains("kUz8"), "{open}");
    machine.ok(GO_ON);
    assert!(deploy.wait().unwrap().success());
    let release = format!("/opt/demo/releases/{}", current(machine));
    let hash = machine.ok("sha256sum < /etc/demo/credentials/TOKEN");
    assert_eq!(
        machine.read(&format!("{release}/seen")),
        format!("{hash}\n{hash}\n")
    );
    let of_services = machine.ok("systemctl cat 'demo-*' | grep -c LoadCredential || true");
    assert_eq!(of_services, "0");

    // A command that prints it and fails.
    "2.0".clone_into(&mut demo.version);
    let print =
        "[\"sh\", \"-c\", \"echo $PIP_INDEX_URL; cat $CREDENTIALS_DIRECTORY/TOKEN >&2; exit 1\"]";
    let (before, _) = demo.tables.split_once("build = [\n").unwrap();
    demo.tables = format!("{before}build = [{print}]\n").leak();
    let failed = demo.deploy(machine).exits(2).says("***");
    assert!(!failed.stderr.contains("kUz8"), "{failed}");
    let shown = ["history --format json", "status", "releases"];
    for command in shown {
        let out = machine.robotctl(&format!("--app demo {command}"));
        assert!(!out.stdout.contains("kUz8"), "{out}");
    }
    let mut places: Vec<String> = machine.ok(SEARCH).lines().map(str::to_owned).collect();
    places.sort();
    assert_eq!(
        places,
        ["INDEX", "TOKEN"].map(|name| format!("/etc/demo/credentials/{name}"))
    );
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
         systemd-run --quiet --uid=robotctl-build-demo --property=Type=exec --property=BindsTo=robotctl-build-other.service \
         --property=After=robotctl-build-other.service sleep 1000; \
         pgrep --count -u robotctl-build-demo",
    );
    "1.1".clone_into(&mut demo.version);
    demo.deploy_ok(machine);
    assert_eq!(
        machine
            .sh("pgrep --count -u robotctl-build-demo")
            .stdout
            .trim(),
        "0"
    );
}
