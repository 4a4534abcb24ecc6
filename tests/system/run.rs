//! `robotctl run`: a command as a service runs.

use crate::machine::{Machine, until};
use std::collections::BTreeSet;

tests![Quick: a_command_runs_as_its_service];

const MANIFEST: &str = r#"
[app]
name = "box"
version = "1.0"

[service.web]
exec = ["/usr/bin/python3", "{current}/service.py"]
env = { COLOUR = "blue" }
limits = { nofile = 300 }
check = [{ settle = "100ms" }]

[[secret]]
name = "TOKEN"
services = ["web"]

[[secret]]
name = "KEY"
services = ["web"]
as = "env"
"#;

const PROBE: &str = "#!/usr/bin/python3
import os, re
status = open('/proc/self/status').read()
for name in ['Uid', 'Gid', 'Groups', 'NoNewPrivs', 'Seccomp', 'Seccomp_filters', 'CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']:
    print(re.search(rf'^{name}:\\s*(.*)$', status, re.M).group(0).replace('\\t', ' ').strip())
print('cwd', os.getcwd(), 'umask', oct(os.umask(0)))
print('limits', [line.split()[-4:] for line in open('/proc/self/limits') if line.startswith(('Max open', 'Max core', 'Max processes'))])
for line in open('/proc/self/mountinfo'):
    fields = line.split()
    options = ','.join(sorted(fields[5].split(',')))
    print('mount', re.sub(r'[\\w-]+\\.service(-\\w{6})?', 'UNIT', fields[3] + ' ' + fields[4]), options)
print('environ', sorted(os.environ))
print('key', os.environ.get('KEY'))
print('token', open(os.environ['CREDENTIALS_DIRECTORY'] + '/TOKEN').read())
";

/// Types into a shell once it has a prompt, and ends with its exit code.
const SHELL: &str = "import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp('robotctl', ['robotctl', '--app', 'box', 'run', '--shell', 'web'])
seen, typed = b'', False
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    seen += part
    if b'$ ' in seen and not typed:
        typed = True
        os.write(terminal, b'echo I am $(id -un); exit 3\\n')
print(seen.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

/// Names of variables that the command or the service has alone: its run, its log, its terminal and what tells
/// systemd that a service is ready.
const OWN_VARIABLES: [&str; 6] = [
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "NOTIFY_SOCKET",
    "SYSTEMD_EXEC_PID",
    "TERM",
    "MEMORY_PRESSURE_WATCH",
];

fn deploy(machine: &Machine) {
    machine.write("/root/box/robot.toml", MANIFEST, 0o644);
    let service = "import subprocess, signal, os\n\
                   out = subprocess.run(['/usr/bin/python3', os.path.dirname(__file__) + '/probe.py'], capture_output=True, text=True)\n\
                   print(out.stderr, flush=True)\n\
                   open('/var/lib/box/probed', 'w').write(out.stdout)\nsignal.pause()\n";
    machine.write("/root/box/service.py", service, 0o644);
    machine.write("/root/box/probe.py", PROBE, 0o755);
    machine.write("/etc/box/credentials/TOKEN", "s3cret", 0o600);
    machine.write("/etc/box/credentials/KEY", "k3y", 0o600);
    machine
        .robotctl("--manifest /root/box/robot.toml deploy --apply")
        .exits(0);
    until("the service has looked around", || {
        machine.sh("grep -q token /var/lib/box/probed").code == 0
    });
}

/// The lines of a probe as a set, with the names of variables one by one.
fn seen(text: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for line in text.lines() {
        match line.strip_prefix("environ ") {
            Some(names) => {
                let names = names.split('\'').skip(1).step_by(2);
                let names = names.filter(|name| !OWN_VARIABLES.contains(name));
                out.extend(names.map(|name| format!("variable {name}")));
            }
            None => {
                out.insert(line.to_owned());
            }
        }
    }
    out
}

fn a_command_runs_as_its_service(machine: &Machine) {
    deploy(machine);
    let service = seen(&machine.read("/var/lib/box/probed"));
    let run = |command: &str| machine.sh(&format!("robotctl --app box run {command}"));
    let command = run("web -- /usr/bin/python3 /opt/box/current/probe.py </dev/null").exits(0);
    let command = seen(&command.stdout);
    let difference: Vec<&String> = service.symmetric_difference(&command).collect();
    assert!(difference.is_empty(), "{difference:#?}");
    assert!(
        service.len() > 30 && service.contains("token s3cret") && service.contains("key k3y"),
        "{service:#?}"
    );
    machine.note(&format!(
        "a command and its service see the same {} facts",
        service.len()
    ));

    // Input, output, words and exit codes.
    let out = run("web -- sh -c 'cat; echo \"$COLOUR $0 %n\" ; exit 7' 'a b' <<< hello").exits(7);
    assert_eq!(out.stdout, "hello\nblue a b %n\n");
    assert_eq!(out.stderr, "");
    run("web -- sh -c 'kill -TERM $$'").exits(143);
    run("web -- sh -c 'exit 204'").exits(204);
    run("web -- true").exits(0).prints_nothing();
    run("web -- ./probe.py").exits(0).says("token s3cret");

    // A terminal, when the input is one.
    let terminal = "script -qec 'robotctl --app box run web -- sh -c \"tty; exit 5\"' /dev/null";
    machine.sh(terminal).exits(5).says("/dev/pts/");
    machine.write("/root/shell.py", SHELL, 0o644);
    machine
        .sh("timeout 60 python3 /root/shell.py")
        .exits(3)
        .says("I am box");

    // What robotctl itself refuses, or cannot do.
    for (command, text) in [
        ("wbe -- true", "do you mean `web`?"),
        (
            "web -- /no/such/program",
            "`/no/such/program` did not start as service `web` of box",
        ),
        (
            "web -- printf 'a\nb'",
            "a word of the command has a line break",
        ),
        (
            "--format json web -- true",
            "`run` prints what its command prints",
        ),
    ] {
        run(command).exits(125).says(text);
    }
    run("web").exits(2).says("COMMAND");

    // A signal ends the command, and nothing is left.
    machine.ok("robotctl --app box run web -- sleep 1000 > /dev/null 2>&1 < /dev/null & echo $! > /root/pid");
    until("it sleeps", || {
        machine.sh("pgrep -u box -x sleep").code == 0
    });
    machine.ok("kill -TERM $(cat /root/pid); tail --pid=$(cat /root/pid) -f /dev/null");
    machine.sh("pgrep -u box -x sleep").prints_nothing();
    machine
        .sh("ls /run/systemd/system | grep box-run")
        .prints_nothing();
    machine
        .sh("systemctl list-units --all --plain --no-legend 'box-run*'")
        .prints_nothing();
}
