//! Messages of a unit in the systemd journal, and a journald that hangs.

use crate::demo::{SECOND, current, demo};
use crate::machine::{Machine, until};
use crate::systemctl::{deploy, shim};
use std::process::Stdio;

tests![
    Quick:
    only_the_unit_s_own_messages_are_shown,
    a_hanging_journald_does_not_delay_a_deploy,
];

/// A hook that prints forty lines, and fails when a file appears.
const HOOK: &str = "[hooks]\nbefore-switch = [[\"/bin/sh\", \"-c\", \"seq -f 'word %g' 40; \
                    until [ -e /var/lib/demo/go ]; do sleep 0.1; done; exit 7\"]]\n";

/// robotctl shows the last messages of this run, from the unit itself and from its manager. Any
/// process that can write to the systemd journal can claim to be any unit.
fn only_the_unit_s_own_messages_are_shown(machine: &Machine) {
    let two = |version: &str| {
        let mut two = demo(version);
        two.tables = SECOND;
        two
    };
    two("1.0").deploy_ok(machine);
    let mut hooked = demo("2.0");
    hooked.tables = HOOK;
    hooked.write(machine);
    let argv = "robotctl --manifest /root/demo/robot.toml deploy --apply";
    let mut command = machine.command(&["bash", "-c", argv]);
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped());
    let child = piped.stderr(Stdio::piped()).spawn().unwrap();
    let hook = "demo-before-switch-hook.service";
    let pid = || machine.property(hook, "ExecMainPID");
    until("the hook runs", || pid() != "0");
    let id = machine.property(hook, "InvocationID");
    machine.ok(&format!(
        "printf 'INVOCATION_ID={id}\\nUNIT={hook}\\nMESSAGE=forged by another\\n' > /tmp/words && \
         setpriv --reuid=nobody --regid=nogroup --clear-groups logger --journald=/tmp/words && \
         journalctl --sync && journalctl -o cat | grep forged && touch /var/lib/demo/go"
    ));
    let output = child.wait_with_output().unwrap();
    let out = crate::machine::Out::new(argv.into(), &output).exits(2);
    assert!(!out.stderr.contains("forged"), "{out}");
    assert!(
        !out.stderr.contains("word 9\n"),
        "an early line is shown: {out}"
    );
    out.says("exit status 7").says("word 40");

    // A unit that was not started in this run has no messages.
    two("3.0").deploy_ok(machine);
    let instance = "demo-second-precheck.service";
    machine.ok(&format!(
        "journalctl --sync && journalctl -o cat --unit={instance} | grep Started"
    ));
    shim(
        machine,
        &format!("[ \"$*\" = 'start -- {instance}' ] && exit 1"),
    );
    two("4.0").write(machine);
    let out = deploy(machine)
        .exits(2)
        .says("service `second`: it did not start");
    assert!(
        !out.stderr.contains("Started"),
        "a message of another run is shown: {out}"
    );
}

/// robotctl waits neither for messages that it sends to journald nor for those that it requests.
fn a_hanging_journald_does_not_delay_a_deploy(machine: &Machine) {
    let first = demo("1.0").deploy_ok(machine);
    let mut bad = demo("2.0");
    bad.web = "pre-check = false";
    bad.fault = "no-start";
    bad.write(machine);
    machine.ok("systemctl kill --signal=STOP systemd-journald.service");
    // Fills the socket of journald, so that it accepts no more.
    machine.ok(
        "python3 -c '\nimport socket\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
         s.setblocking(False)\ntry:\n  while True: s.sendto(b\"MESSAGE=x\", \"/run/systemd/journal/socket\")\n\
         except BlockingIOError: pass\n'",
    );
    let out = machine
        .sh("timeout --signal=KILL 300 robotctl --manifest /root/demo/robot.toml deploy --apply");
    machine.ok("systemctl kill --signal=CONT systemd-journald.service");
    out.exits(3).says("was restored and is healthy");
    assert_eq!(current(machine), first);
}
