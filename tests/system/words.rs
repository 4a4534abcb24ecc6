//! The words of a unit in the systemd journal, and a systemd journal that takes none.

use crate::demo::{SECOND, current, demo};
use crate::machine::{Machine, until};
use crate::manager::{deploy, shim};
use std::process::Stdio;
use std::time::Duration;

tests![
    Quick:
    only_a_unit_s_own_words_are_shown,
    a_journal_that_hangs_holds_no_deploy_up,
];

/// A hook that says forty things, and fails when it is told to.
const HOOK: &str = "[hooks]\nbefore-switch = [[\"/bin/sh\", \"-c\", \"seq -f 'word %g' 40; \
                    until [ -e /var/lib/demo/go ]; do sleep 0.1; done; exit 7\"]]\n";

/// The last ones, of this run, by the unit itself and its manager: whoever can write to the systemd
/// journal can name any unit.
fn only_a_unit_s_own_words_are_shown(machine: &Machine) {
    let two = |version: &str| {
        let mut two = demo(version);
        two.tables = SECOND;
        two
    };
    two("1.0").deployed(machine);
    let mut hooked = demo("2.0");
    hooked.tables = HOOK;
    hooked.write(machine);
    let argv = "robotctl --manifest /root/demo/robot.toml deploy --apply";
    let mut command = machine.command(&["bash", "-c", argv]);
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped());
    let child = piped.stderr(Stdio::piped()).spawn().unwrap();
    let hook = "demo-before-switch-hook.service";
    let pid = || machine.property(hook, "ExecMainPID");
    until("the hook runs", Duration::from_secs(20), || pid() != "0");
    let id = machine.property(hook, "InvocationID");
    machine.ok(&format!(
        "printf 'INVOCATION_ID={id}\\nUNIT={hook}\\nMESSAGE=forged by another\\n' > /tmp/words && \
         setpriv --reuid=nobody --regid=nogroup --clear-groups logger --journald=/tmp/words && \
         journalctl --sync && journalctl -o cat | grep forged && touch /var/lib/demo/go"
    ));
    let output = child.wait_with_output().unwrap();
    let out = crate::machine::Out::new(argv.into(), &output).exits(2);
    assert!(!out.stderr.contains("forged"), "{out}");
    assert!(!out.stderr.contains("word 9\n"), "the first ones: {out}");
    out.says("exit status 7").says("word 40");

    // One that was not started this time has said nothing.
    two("3.0").deployed(machine);
    let copy = "demo-second-precheck.service";
    machine.ok(&format!(
        "journalctl --sync && journalctl -o cat --unit={copy} | grep Started"
    ));
    shim(
        machine,
        &format!("[ \"$*\" = 'start -- {copy}' ] && exit 1"),
    );
    two("4.0").write(machine);
    let out = deploy(machine)
        .exits(2)
        .says("service `second`: it did not start");
    assert!(!out.stderr.contains("Started"), "of another time: {out}");
}

/// Neither what is sent to it nor what is asked of it is waited for.
fn a_journal_that_hangs_holds_no_deploy_up(machine: &Machine) {
    let first = demo("1.0").deployed(machine);
    let mut bad = demo("2.0");
    bad.web = "pre-check = false";
    bad.fault = "no-start";
    bad.write(machine);
    machine.ok("systemctl kill --signal=STOP systemd-journald.service");
    // What waits in its socket is what it takes: no more goes in.
    machine.ok(
        "python3 -c '\nimport socket\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
         s.setblocking(False)\ntry:\n  while True: s.sendto(b\"MESSAGE=x\", \"/run/systemd/journal/socket\")\n\
         except BlockingIOError: pass\n'",
    );
    let out = machine
        .sh("timeout --signal=KILL 60 robotctl --manifest /root/demo/robot.toml deploy --apply");
    machine.ok("systemctl kill --signal=CONT systemd-journald.service");
    out.exits(3).says("is back and healthy");
    assert_eq!(current(machine), first);
}
