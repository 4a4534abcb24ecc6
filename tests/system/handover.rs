//! Handing a service over: what happens to open connections, and what holds while they drain.

use crate::load::Load;
use crate::machine::{Machine, Out, until};
use crate::systemctl::PATH;
use crate::upgrades::is_full;
use serde_json::Value;
use std::process::{Child, Stdio};

tests![
    Quick:
    open_connections_drain_in_their_sandbox,
    the_drain_time_ends_open_connections,
    connections_through_the_proxy_drain,
    stopping_a_service_ends_what_drains,
    two_generations_drain_at_most,
    a_server_that_forks_all_the_time_is_handed_over,
    a_service_with_its_own_control_groups_restarts,
    a_service_that_cannot_be_handed_over_restarts,
    units_beside_a_scope_that_ends_early_do_not_stay,
    a_unit_that_cleans_up_after_no_scope_ends,
    an_interrupted_wait_ends_no_connection,
    an_upgrade_starts_few_programs,
    a_failed_release_is_undone_while_connections_drain,
    a_server_that_accepts_after_sigterm_is_stopped,
    names_of_other_users_in_tmp_are_left_alone,
    the_name_of_a_private_tmp_is_never_free,
    one_service_is_rolled_back_without_a_cut,
    a_service_that_is_stopped_after_a_kill_stays_down,
    an_app_is_removed_while_connections_drain,
];
tests![
    Slow:
    a_handover_that_is_killed_loses_nothing,
    a_proxied_handover_that_is_killed_loses_nothing,
    a_killed_deploy_ends_by_itself,
    an_undone_release_never_answers_again,
];

const MANIFEST: &str = "/root/live/robot.toml";
/// Each unit of the app that drains, and the units that end them.
const DRAINING: &str = "systemctl list-units --plain --no-legend 'live-web*-old-*' | cut -d' ' -f1";
/// The directories of private temporary files that were kept for a previous release.
const KEPT_TMP: &str =
    "find /tmp /var/tmp -maxdepth 1 -name 'systemd-private-*-live-*.service-*.*'";

/// A version of an app with one service.
struct App {
    program: &'static str,
    arguments: &'static str,
    keys: &'static str,
}

/// The server in `live.py`, which takes its socket from systemd.
const LIVE: App = App {
    program: include_str!("handover/live.py"),
    arguments: "",
    // systemd can remove the shared memory of a service only where it is that of the host.
    keys: "type = \"notify\"\ndrain = \"10min\"\nsandbox.read-write = [\"/dev/shm\"]",
};

impl App {
    fn write(&self, machine: &Machine, version: &str) {
        machine.ok("rm -rf /root/live && mkdir -p /root/live");
        let Self {
            program,
            arguments,
            keys,
        } = self;
        let manifest = format!(
            "[app]\nname = \"live\"\nversion = \"{version}\"\n[service.web]\n\
             exec = [\"/usr/bin/python3\", \"{{current}}/live.py\"{arguments}]\n\
             listen = [\"127.0.0.1:18095\"]\n\
             check = [{{ http = \"/\", contains = \"{version}\", within = \"1min\" }}, {{ settle = \"200ms\" }}]\n\
             {keys}\n"
        );
        machine.write(MANIFEST, &manifest, 0o644);
        machine.write("/root/live/live.py", program, 0o644);
        machine.write("/root/live/VERSION", version, 0o644);
    }

    fn deploy(&self, machine: &Machine, version: &str) -> Out {
        self.write(machine, version);
        machine.robotctl(&format!("--manifest {MANIFEST} deploy --apply"))
    }
}

/// Clients inside a machine that read long answers.
struct Clients {
    child: Child,
    pid: String,
}

impl Clients {
    fn start(machine: &Machine, count: usize) -> Self {
        machine.write(
            "/root/clients.py",
            include_str!("handover/clients.py"),
            0o644,
        );
        let count_text = count.to_string();
        let argv = ["python3", "/root/clients.py", "18095", &count_text];
        let mut command = machine.spawn_command(&argv);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let child = child.unwrap();
        let open = "ss --no-header --tcp state established '( dport = :18095 )' | wc -l";
        until("the clients are connected", || {
            machine.ok(open) == count_text
        });
        let pid = machine.spawned_pid();
        Self { child, pid }
    }

    /// Ends the clients. Returns how often each was cut, and how many lines of each text they got.
    fn stop(self, machine: &Machine) -> (Vec<u64>, Value) {
        machine.ok(&format!("kill -TERM {}", self.pid));
        let output = self.child.wait_with_output().unwrap();
        let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
        let cuts = seen["cuts"].as_array().unwrap();
        let cuts = cuts.iter().map(|one| one.as_u64().unwrap()).collect();
        (cuts, seen["lines"].clone())
    }
}

/// The one text that all clients got.
fn only_text(lines: &Value) -> String {
    let lines = lines.as_object().unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.keys().next().unwrap().clone()
}

/// The pid of the service's main process.
fn main_pid(machine: &Machine) -> String {
    machine.property("live-web.service", "MainPID")
}

/// An upgrade of one service starts at most 20 programs besides robotctl. A repetition of the command
/// before is a poll, whose number depends on how busy the machine is. The first upgrade starts one more:
/// systemd must find the new directory with the limits of what drains.
fn an_upgrade_starts_few_programs(machine: &Machine) {
    LIVE.deploy(machine, "1.0").exits(0);
    LIVE.deploy(machine, "2.0").exits(0);
    LIVE.write(machine, "3.0");
    let command = format!(
        "strace --follow-forks --quiet=all --string-limit=4096 --status=successful --trace=execve \
         --output=/root/programs robotctl --manifest {MANIFEST} deploy --apply"
    );
    machine.sh(&command).exits(0);
    let log = machine.ok("cat /root/programs");
    // The other lines say how the programs ended.
    let words = |line: &str| {
        let (_, argv) = line.split_once("execve(")?.1.split_once('[')?;
        Some(argv.split_once("], ")?.0.to_owned())
    };
    let mut programs: Vec<String> = log.lines().filter_map(words).collect();
    programs.dedup();
    programs.retain(|program| !program.starts_with("\"robotctl\""));
    let shown = programs.join("\n");
    assert!(programs.len() <= 20, "{}:\n{shown}", programs.len());
    // The log is complete.
    for program in ["\"restart\"", "\"StartTransientUnit\""] {
        assert!(shown.contains(program), "{program}:\n{shown}");
    }
}

/// The server goes on for its open answers, with the limits and the files that it had, and the deploy
/// does not wait for it.
fn open_connections_drain_in_their_sandbox(machine: &Machine) {
    // Only the control group stops the server from sending.
    let drop_in = |more: &str| {
        let text = format!(
            "[Service]\nPrivateNetwork=no\nRestrictAddressFamilies=AF_INET\nTasksMax=77\n{more}"
        );
        let path = "/etc/systemd/system/live-web.service.d/50-local.conf";
        machine.write(path, &text, 0o644);
    };
    drop_in("IPAddressDeny=\n");
    LIVE.deploy(machine, "0.9").exits(0);
    let control = Clients::start(machine, 1);
    let (_, lines) = control.stop(machine);
    assert_eq!(only_text(&lines), "0.9 0.9 0.9 sends");
    drop_in("");
    LIVE.deploy(machine, "1.0").exits(0);
    until("nothing drains", || machine.ok(DRAINING).is_empty());
    let old = main_pid(machine);
    let clients = Clients::start(machine, 20);
    let load = Load::start(machine, "127.0.0.1:18095", "fresh=2");
    LIVE.deploy(machine, "2.0").exits(0);
    let scope = machine.ok(DRAINING);
    let scope = scope.lines().find(|unit| unit.ends_with(".scope")).unwrap();
    assert_ne!(main_pid(machine), old);
    machine
        .robotctl("status")
        .exits(0)
        .says(&format!("{scope} drains: 1.0-"))
        .says(", 20 connections, ")
        .says(" min left");
    for (name, value) in [("TasksMax", "77"), ("TimeoutStopUSec", "5s")] {
        assert_eq!(machine.property(scope, name), value, "{name}");
    }
    let both = [scope, "live-web.service"];
    for name in ["IPAddressDeny", "DevicePolicy", "Slice"] {
        let [of_scope, of_service] = both.map(|unit| machine.property(unit, name));
        assert_ne!(of_scope, "", "{name}");
        assert_eq!(of_scope, of_service, "{name}");
    }
    // The drop-in of this test opens the network of the host, and nothing else is wrong.
    let doctor = machine.robotctl("doctor").exits(1);
    doctor
        .says("warning: `live-web.service` has the exposure ")
        .says("live: 1 finding, ");
    // A service could leave its sandbox through a process of its user that has none.
    for pid in machine.ok("pgrep -u live").lines() {
        let status = machine.ok(&format!("cat /proc/{pid}/status /proc/{pid}/cgroup"));
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
        let is_server =
            status.ends_with(&format!("/{scope}")) || status.ends_with("/live-web.service");
        assert!(is_server, "{status}");
    }
    // Its release stays while it drains.
    LIVE.deploy(machine, "3.0").exits(0);
    machine
        .robotctl("prune --keep 2 --apply")
        .exits(0)
        .says("1.0-");
    assert!(machine.ok("ls /opt/live/releases").contains("1.0-"));
    machine.ok("systemctl daemon-reload && systemctl daemon-reexec");
    assert_eq!(machine.get("http://127.0.0.1:18095/"), "200 3.0");
    let tally = &load.stop()["rest"];
    assert_eq!(tally.lost(), 0, "{tally:?}");
    let (cuts, lines) = clients.stop(machine);
    assert_eq!(cuts, vec![0; 20], "{lines}");
    assert_eq!(
        only_text(&lines),
        "1.0 1.0 1.0 nothing",
        "its files or limits changed"
    );
    // Without connections, it ends by itself, and its files go with it.
    until("the drain ends", || machine.ok(DRAINING).is_empty());
    until("its files are removed", || machine.ok(KEPT_TMP).is_empty());
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
    machine.robotctl("remove --app live --apply").exits(0);
    assert_eq!(machine.ok("find /run/systemd/system -name 'live*'"), "");
}

/// An open connection is cut when the drain time is over, and not before.
fn the_drain_time_ends_open_connections(machine: &Machine) {
    let short = App {
        keys: "type = \"notify\"\ndrain = \"2500ms\"",
        ..LIVE
    };
    short.deploy(machine, "1.0").exits(0);
    let clients = Clients::start(machine, 1);
    let connected = "ss --no-header --tcp state established '( dport = :18095 )'";
    let before = machine.ok(connected);
    short.deploy(machine, "2.0").exits(0);
    assert_eq!(machine.ok(connected), before, "it drains");
    machine
        .robotctl("status")
        .exits(0)
        .says(", 1 connection, ")
        .says("s left");
    let scope = machine.ok("systemctl list-units --plain --no-legend 'live-web-old-*.scope'");
    let scope = scope.split(' ').next().unwrap();
    let most = machine.property(scope, "RuntimeMaxUSec");
    assert_eq!(most, "2min 2.500000s", "90 s to start, 2.5 s, and 30 s");
    until("the drain ends", || machine.ok(DRAINING).is_empty());
    let (cuts, lines) = clients.stop(machine);
    assert_eq!(cuts, [1], "{lines}");
    let lines = lines.as_object().unwrap();
    assert!(lines.contains_key("2.0 2.0 2.0 nothing"), "{lines:?}");
}

/// The relay and the server behind it drain together.
fn connections_through_the_proxy_drain(machine: &Machine) {
    let proxied = App {
        arguments: ", \"18095\"",
        keys: "type = \"exec\"\nsocket = \"proxy\"\ndrain = \"10min\"",
        ..LIVE
    };
    proxied.deploy(machine, "1.0").exits(0);
    let clients = Clients::start(machine, 10);
    let load = Load::start(machine, "127.0.0.1:18095", "fresh=2");
    proxied.deploy(machine, "2.0").exits(0);
    let draining = machine.ok(DRAINING);
    let scopes = draining.lines().filter(|unit| unit.ends_with(".scope"));
    assert_eq!(scopes.count(), 2, "{draining}");
    machine
        .robotctl("rollback")
        .exits(0)
        .says("1.0-")
        .says(" is live");
    let tally = &load.stop()["rest"];
    assert_eq!(tally.lost(), 0, "{tally:?}");
    let (cuts, lines) = clients.stop(machine);
    assert_eq!(cuts, vec![0; 10], "{lines}");
    assert!(only_text(&lines).starts_with("1.0 1.0 1.0 "), "{lines}");
    until("both drains end", || machine.ok(DRAINING).is_empty());
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
}

/// What drains belongs to its service: it ends with it, and survives what the service survives.
fn stopping_a_service_ends_what_drains(machine: &Machine) {
    LIVE.deploy(machine, "1.0").exits(0);
    let mut version = 1;
    for (command, survives) in [
        ("systemctl restart live-web.service", true),
        ("systemctl restart live.target", true),
        ("systemctl kill --signal=KILL live-web.service", true),
        ("systemctl stop live-web.service", false),
        ("systemctl disable --now live-web.service", false),
        ("systemctl stop live.target", false),
    ] {
        machine.ok("systemctl enable -q live-web.service && systemctl start live.target");
        let clients = Clients::start(machine, 3);
        version += 1;
        LIVE.deploy(machine, &format!("{version}.0")).exits(0);
        assert!(machine.ok(DRAINING).contains(".scope"), "{command}");
        machine.ok(command);
        if survives {
            assert!(machine.ok(DRAINING).contains(".scope"), "{command}");
            assert_eq!(clients.stop(machine).0, [0; 3], "{command}");
        } else {
            until(command, || machine.ok(DRAINING).is_empty());
            clients.stop(machine);
        }
        until("the clients have gone", || machine.ok(DRAINING).is_empty());
    }
}

/// A third upgrade ends the oldest generation.
fn two_generations_drain_at_most(machine: &Machine) {
    let mut clients = Vec::new();
    for version in ["1.0", "2.0", "3.0", "4.0"] {
        LIVE.deploy(machine, version).exits(0);
        if version != "4.0" {
            // Those of the version before are still connected to it.
            machine.write(
                "/root/clients.py",
                include_str!("handover/clients.py"),
                0o644,
            );
            let argv = ["python3", "/root/clients.py", "18095", "1"];
            clients.push(machine.spawn(&argv));
            let wanted = (clients.len()).to_string();
            let open = "ss --no-header --tcp state established '( dport = :18095 )' | wc -l";
            until("the client is connected", || machine.ok(open) == wanted);
        }
    }
    // The first client has connected again, to the last version.
    let versions = || {
        let status = machine.robotctl("status").exits(0).stdout;
        let drains = status.lines().filter(|line| line.contains(" drains: "));
        let versions = drains.map(|line| line.split("drains: ").nth(1).unwrap()[..3].to_owned());
        versions.collect::<std::collections::BTreeSet<_>>()
    };
    until("the oldest ends", || {
        versions().into_iter().eq(["2.0", "3.0"])
    });
    machine.ok("pkill -TERM -f clients.py");
    for mut client in clients {
        client.wait().unwrap();
    }
    until("all drains end", || machine.ok(DRAINING).is_empty());
}

fn a_server_that_forks_all_the_time_is_handed_over(machine: &Machine) {
    let forks = App {
        program: include_str!("handover/forks.py"),
        keys: "type = \"notify\"\ndrain = \"10s\"",
        ..LIVE
    };
    forks.deploy(machine, "1.0").exits(0);
    let load = Load::start(machine, "127.0.0.1:18095", "fresh=2");
    for version in ["2.0", "3.0", "4.0"] {
        let out = forks.deploy(machine, version).exits(0);
        assert!(!out.stderr.contains("without an overlap"), "{out}");
    }
    let tally = &load.stop()["rest"];
    assert_eq!(tally.lost(), 0, "{tally:?}");
    until("all drains end", || machine.ok(DRAINING).is_empty());
}

/// systemd cannot move the processes of such a service.
fn a_service_with_its_own_control_groups_restarts(machine: &Machine) {
    machine.write(
        "/etc/systemd/system/live-web.service.d/50-local.conf",
        "[Service]\nDelegate=yes\n",
        0o644,
    );
    LIVE.deploy(machine, "1.0").exits(0);
    LIVE.write(machine, "2.0");
    machine
        .robotctl(&format!("--manifest {MANIFEST} deploy"))
        .exits(0)
        .says("no overlap: it has control groups of its own");
    let load = Load::start(machine, "127.0.0.1:18095", "fresh=2");
    LIVE.deploy(machine, "2.0")
        .exits(0)
        .says("restart `live-web.service`");
    let tally = &load.stop()["rest"];
    assert_eq!(tally.lost(), 0, "the socket holds requests: {tally:?}");
    assert_eq!(machine.ok(DRAINING), "");
}

/// Without the D-Bus calls, the socket holds requests during a plain restart.
fn a_service_that_cannot_be_handed_over_restarts(machine: &Machine) {
    LIVE.deploy(machine, "1.0").exits(0);
    let load = Load::start(machine, "127.0.0.1:18095", "fresh=2");
    let failures = [("busctl", "StartTransientUnit"), ("bash", "read -rt ")];
    for (at, (program, call)) in failures.iter().enumerate() {
        machine.ok("rm -rf /root/shim");
        let real = machine.ok(&format!("readlink -f $(which {program})"));
        let line = format!("case \"$*\" in *'{call}'*) echo >> /root/shim/calls; exit 1;; esac");
        let shim = format!("#!/bin/bash\n{line}\nexec {real} \"$@\"\n");
        machine.write(&format!("/root/shim/{program}"), &shim, 0o755);
        let version = format!("2.{at}");
        LIVE.write(machine, &version);
        machine
            .sh(&format!(
                "{PATH} robotctl --manifest {MANIFEST} deploy --apply"
            ))
            .exits(0)
            .says("`live-web.service` restarts without an overlap");
        assert_eq!(machine.ok("wc -l < /root/shim/calls"), "1", "{call}");
        assert_eq!(
            machine.get("http://127.0.0.1:18095/"),
            format!("200 {version}")
        );
    }
    let tally = &load.stop()["rest"];
    assert_eq!(tally.lost(), 0, "{tally:?}");
    until("nothing drains", || machine.ok(DRAINING).is_empty());
    machine.robotctl("doctor").exits(0);
}

/// A scope can end in the moment in which robotctl starts the units beside it. systemd then keeps the scope
/// for as long as another unit beside it stops, and starts a unit that is bound to it all the same.
fn units_beside_a_scope_that_ends_early_do_not_stay(machine: &Machine) {
    let ten_minutes = App {
        keys: "type = \"notify\"\ndrain = \"10min\"\ntimeout-start = \"5s\"",
        ..LIVE
    };
    ten_minutes.deploy(machine, "1.0").exits(0);
    for (at, (program, unit)) in [("systemctl", "-drain.timer"), ("systemd-run", "-user")]
        .into_iter()
        .enumerate()
    {
        let shim = format!(
            "#!/bin/sh\nPATH=/usr/bin:/bin\ncase \"$*\" in start*live-web-old-*{unit}|*--unit=live-web-old-*{unit}*)\n\
             scope=$(systemctl list-units --plain --no-legend 'live-web-old-*.scope' | cut -d' ' -f1)\n\
             /usr/bin/systemd-run --quiet --collect --unit=holds --property=BindsTo=$scope \
             --property=Before=$scope --property='ExecStopPost=/bin/sleep 3' /bin/sleep 99\n\
             systemctl kill --signal=KILL $scope\n\
             while systemctl is-active --quiet $scope; do sleep 0.05; done\n\
             echo done >> /root/shim/calls;;\nesac\n\
             exec /usr/bin/{program} \"$@\"\n"
        );
        machine.ok("rm -rf /root/shim");
        machine.write(&format!("/root/shim/{program}"), &shim, 0o755);
        ten_minutes.write(machine, &format!("2.{at}"));
        let deploy = format!("{PATH} robotctl --manifest {MANIFEST} deploy --apply");
        machine.sh(&deploy).exits(0);
        assert_eq!(machine.ok("cat /root/shim/calls"), "done", "{unit}");
        machine.ok("rm /root/shim/calls");
        until("nothing drains", || machine.ok(DRAINING).is_empty());
    }
}

/// The previous release serves until the next one waits for connections, also when the user interrupts the
/// wait.
fn an_interrupted_wait_ends_no_connection(machine: &Machine) {
    LIVE.deploy(machine, "1.0").exits(0);
    let hangs = App {
        program: "import time\nopen('/run/live/begun', 'w')\ntime.sleep(3600)\n",
        keys: "type = \"exec\"\ntimeout-start = \"1h\"\npre-check = false",
        ..LIVE
    };
    let run = machine.property("live-web.service", "InvocationID");
    let run = &run[..8];
    let clients = Clients::start(machine, 3);
    hangs.write(machine, "2.0");
    let argv = ["robotctl", "--manifest", MANIFEST, "deploy", "--apply"];
    let mut child = machine.spawn(&argv);
    until("the next release hangs", || {
        machine.exists("/run/live/begun")
    });
    machine.ok("pkill --oldest --signal INT --exact robotctl");
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert_eq!(machine.get("http://127.0.0.1:18095/"), "200 1.0");
    let said = machine.ok(&format!(
        "journalctl --output=cat --unit=live-web.service --unit='live-web-old-{run}-drain.timer'"
    ));
    let (before, _) = said.split_once("ends after this many seconds").unwrap();
    let starts = before.matches("Started live-web.service").count();
    assert_eq!(
        starts, 3,
        "it drains before 1.0 runs in its unit again:\n{said}"
    );
    clients.stop(machine);
    until("nothing drains", || machine.ok(DRAINING).is_empty());
}

/// The unit that cleans up after a scope looks at the scope each time its interval is over, because systemd
/// may have started the unit although the scope had ended.
fn a_unit_that_cleans_up_after_no_scope_ends(machine: &Machine) {
    LIVE.deploy(machine, "1.0").exits(0);
    let unit = "live-web-old-1a2b3c4d-after.service";
    let look = "robotctl --app live drained live-web.service 1a2b3c4d --change none";
    // The interval ends when something is written to the pipe.
    machine.ok(&format!(
        "mkfifo /root/over && systemd-run --quiet --collect --unit={unit} --property=Restart=always \
         --property='ExecStopPost={look}' /bin/cat /root/over"
    ));
    let units = "systemctl list-units --plain --no-legend 'live-web-old-*'";
    assert!(machine.ok(units).contains(unit));
    machine.ok("true > /root/over");
    until("it has ended", || machine.ok(units).is_empty());
}

/// A check fails after the old processes got SIGTERM: they keep their connections, and the previous
/// release answers again.
fn a_failed_release_is_undone_while_connections_drain(machine: &Machine) {
    LIVE.deploy(machine, "1.0").exits(0);
    let clients = Clients::start(machine, 5);
    LIVE.write(machine, "2.0");
    let manifest = machine.read(MANIFEST);
    let fails = "[hooks]\nafter-switch = [[\"/bin/false\"]]\n";
    machine.write(MANIFEST, &format!("{manifest}{fails}"), 0o644);
    machine
        .robotctl(&format!("--manifest {MANIFEST} deploy --apply"))
        .exits(3)
        .says("was restored and is healthy");
    assert_eq!(machine.get("http://127.0.0.1:18095/"), "200 1.0");
    machine.robotctl("doctor").exits(0);
    let (cuts, lines) = clients.stop(machine);
    assert_eq!(cuts, [0; 5], "{lines}");
    until("all drains end", || machine.ok(DRAINING).is_empty());
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
    assert_eq!(machine.ok(KEPT_TMP), "");
}

/// It would answer the checks of the next release.
fn a_server_that_accepts_after_sigterm_is_stopped(machine: &Machine) {
    let deaf = LIVE
        .program
        .replace("lambda *_: ending.set()", "signal.SIG_IGN");
    let stubborn = App {
        program: Box::leak(deaf.into_boxed_str()),
        ..LIVE
    };
    stubborn.deploy(machine, "1.0").exits(0);
    LIVE.deploy(machine, "2.0")
        .exits(0)
        .says("still accepted connections after ten seconds of draining, and was stopped");
    for _ in 0..20 {
        assert_eq!(machine.get("http://127.0.0.1:18095/"), "200 2.0");
    }
    until("nothing drains", || machine.ok(DRAINING).is_empty());
}

/// Any user can create names in /tmp that look like those of systemd.
fn names_of_other_users_in_tmp_are_left_alone(machine: &Machine) {
    LIVE.deploy(machine, "1.0").exits(0);
    let prefix =
        "/tmp/systemd-private-$(tr -d - < /proc/sys/kernel/random/boot_id)-live-web.service-";
    machine.ok("mkdir /victim && touch /victim/file");
    // Every user can know the run of a unit.
    let taken = "run=$(systemctl show -P InvocationID live-web.service | cut -c1-8); \
                 for dir in $(ls -d /tmp/systemd-private-*-live-web.service-??????); do \
                 mkdir $dir.$run && touch $dir.$run/x; done";
    machine
        .run(&["setpriv", "--reuid", "games", "sh", "-c", taken])
        .exits(0);
    for name in [
        "x victim ",
        "x \\x2fvictim ",
        "aaaaaa",
        "bbbbbb.00000000",
        "cccccc",
    ] {
        let make = if name == "cccccc" {
            "ln -s /victim"
        } else {
            "mkdir"
        };
        let line = format!("{make} \"{prefix}{name}\"");
        machine
            .run(&["setpriv", "--reuid", "games", "sh", "-c", &line])
            .exits(0);
    }
    let out = LIVE.deploy(machine, "2.0").exits(0);
    assert!(!out.stderr.contains("warning"), "{out}");
    until("nothing drains", || machine.ok(DRAINING).is_empty());
    assert!(machine.exists("/victim/file"));
    let left = machine.ok("find /tmp -maxdepth 1 -user games | wc -l");
    assert_eq!(left, "6");
    until("only those of the other user are left", || {
        machine.ok(&format!("{KEPT_TMP} ! -user games")).is_empty()
    });
}

/// A user who waits for the name of a private directory to be free never gets it in time. Each rename takes
/// longer here, so that the user would.
fn the_name_of_a_private_tmp_is_never_free(machine: &Machine) {
    LIVE.deploy(machine, "1.0").exits(0);
    machine.ok("mkdir --mode=755 /victim");
    let waits = "import os, sys\n\
                 os.mkdir('/tmp/own')\n\
                 os.symlink('/victim', '/tmp/own/tmp')\n\
                 while os.path.exists('/tmp/own'):\n    \
                     try: os.rename('/tmp/own', sys.argv[1])\n    \
                     except OSError: pass\n";
    let name = machine.ok("ls -d /tmp/systemd-private-*-live-web.service-??????");
    let argv = ["setpriv", "--reuid", "games", "python3", "-c", waits, &name];
    let mut user = machine.spawn(&argv);
    until("the user waits", || machine.exists("/tmp/own/tmp"));
    LIVE.write(machine, "2.0");
    machine
        .sh(&format!(
            "strace -f -qq -o /dev/null -e trace=/^rename -e inject=/^rename:delay_exit=100000 \
             robotctl --manifest {MANIFEST} deploy --apply"
        ))
        .exits(0);
    assert_eq!(machine.ok("stat --format=%a /victim"), "755");
    // systemd has removed the directory of the previous run, so that the name is free now.
    assert_eq!(user.wait().unwrap().code(), Some(0));
    until("nothing drains", || machine.ok(DRAINING).is_empty());
}

fn one_service_is_rolled_back_without_a_cut(machine: &Machine) {
    for version in ["1.0", "2.0"] {
        LIVE.write(machine, version);
        let manifest = machine.read(MANIFEST);
        let contains = format!(", contains = \"{version}\"");
        machine.write(MANIFEST, &manifest.replace(&contains, ""), 0o644);
        let deploy = format!("--manifest {MANIFEST} deploy --apply");
        machine.robotctl(&deploy).exits(0);
    }
    let clients = Clients::start(machine, 5);
    let load = Load::start(machine, "127.0.0.1:18095", "fresh=2");
    machine
        .robotctl("--app live rollback --service web --dry-run")
        .exits(0)
        .says("overlap   live-web.service");
    machine
        .robotctl("--app live rollback --service web")
        .exits(0);
    assert_eq!(machine.get("http://127.0.0.1:18095/"), "200 1.0");
    let tally = &load.stop()["rest"];
    assert_eq!(tally.lost(), 0, "{tally:?}");
    let (cuts, lines) = clients.stop(machine);
    assert_eq!(cuts, [0; 5], "{lines}");
}

fn a_handover_that_is_killed_loses_nothing(machine: &Machine) {
    kill_and_recover(
        machine,
        &App {
            keys: "type = \"notify\"\ndrain = \"1s\"\npre-check = false",
            ..LIVE
        },
    );
}

fn a_proxied_handover_that_is_killed_loses_nothing(machine: &Machine) {
    kill_and_recover(
        machine,
        &App {
            arguments: ", \"18095\"",
            keys: "type = \"exec\"\nsocket = \"proxy\"\ndrain = \"1s\"\npre-check = false",
            ..LIVE
        },
    );
}

/// The shim of `systemctl` in /root/shim kills the robotctl that restarts the service, and then restarts it.
fn kill_at_the_restart(machine: &Machine) {
    let real = machine.ok("readlink -f $(which systemctl)");
    let line = format!(
        "case \"$*\" in *'restart -- live-web.service'*) kill -KILL $PPID;; esac\nexec {real} \"$@\""
    );
    machine.write(
        "/root/shim/systemctl",
        &format!("#!/bin/bash\n{line}\n"),
        0o755,
    );
}

fn deploy_until_killed(machine: &Machine) {
    let deploy = format!("{PATH} robotctl --manifest {MANIFEST} deploy --apply");
    machine.sh(&deploy).exits(-1);
    assert!(machine.link("/opt/live/current").contains("/2."));
}

/// The command is killed, and no user acts. A broken release never answers: the previous one goes on until
/// its scope ends, and then runs in its unit again. Of two releases that answer, one ends long before the
/// time in `drain`.
fn a_killed_deploy_ends_by_itself(machine: &Machine) {
    kill_at_the_restart(machine);
    let cases = [("raise SystemExit(1)", "1s"), (LIVE.program, "10min")];
    let rounds = if is_full() { 2 } else { 1 };
    for (at, (program, drain)) in cases.into_iter().take(rounds).enumerate() {
        let keys = format!(
            "type = \"notify\"\ndrain = \"{drain}\"\ntimeout-start = \"5s\"\npre-check = false"
        );
        let keys: &'static str = Box::leak(keys.into_boxed_str());
        App { keys, ..LIVE }
            .deploy(machine, &format!("1.{at}"))
            .exits(0);
        let load = Load::start(machine, "127.0.0.1:18095", "fresh=2");
        App {
            program,
            keys,
            ..LIVE
        }
        .write(machine, &format!("2.{at}"));
        deploy_until_killed(machine);
        let previous = format!("200 1.{at}");
        until("the previous release is live", || {
            machine
                .link("/opt/live/current")
                .contains(&format!("/1.{at}-"))
                && (0..8).all(|_| machine.get("http://127.0.0.1:18095/") == previous)
                && !machine.exists("/var/lib/robotctl/live/journal.json")
        });
        machine.robotctl("doctor").exits(0);
        let tally = &load.stop()["rest"];
        // systemd could not start the broken release again and again, so the socket has failed. It cannot
        // be opened again before the scope has ended.
        let may_lose = program != LIVE.program;
        assert!(may_lose || tally.lost() == 0, "{tally:?}");
        machine.note(&format!(
            "{} of {} requests lost",
            tally.lost(),
            tally.answered
        ));
        until("all drains end", || machine.ok(DRAINING).is_empty());
        assert_eq!(machine.ok(KEPT_TMP), "");
        assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
    }
}

/// An emergency stop stays, also in the middle of a change.
fn a_service_that_is_stopped_after_a_kill_stays_down(machine: &Machine) {
    let app = App {
        keys: "type = \"notify\"\npre-check = false",
        ..LIVE
    };
    app.deploy(machine, "1.0").exits(0);
    kill_at_the_restart(machine);
    app.write(machine, "2.0");
    deploy_until_killed(machine);
    machine.ok("systemctl stop live.target live-web.service live-web.socket");
    until("nothing drains", || machine.ok(DRAINING).is_empty());
    for unit in ["live.target", "live-web.service", "live-web.socket"] {
        assert_eq!(machine.property(unit, "ActiveState"), "inactive", "{unit}");
    }
    assert!(machine.exists("/var/lib/robotctl/live/journal.json"));
    machine.robotctl("recover").exits(0);
    assert!(machine.link("/opt/live/current").contains("/1.0-"));
}

/// The files of an app go when no process of it is left.
fn an_app_is_removed_while_connections_drain(machine: &Machine) {
    LIVE.deploy(machine, "1.0").exits(0);
    let clients = Clients::start(machine, 2);
    LIVE.deploy(machine, "2.0").exits(0);
    assert!(machine.ok(DRAINING).contains(".scope"));
    machine
        .robotctl("remove --app live --purge --apply")
        .exits(0);
    assert_eq!(machine.sh("pgrep -f live.py").stdout, "");
    assert_eq!(
        machine.ok("find /run/systemd/system /opt /var/lib/robotctl -name 'live*'"),
        ""
    );
    clients.stop(machine);
    until("nothing drains", || machine.ok(DRAINING).is_empty());
}

/// What was undone may not answer again, whichever command was killed meanwhile.
fn an_undone_release_never_answers_again(machine: &Machine) {
    let app = App {
        keys: "type = \"notify\"\ndrain = \"10min\"\npre-check = false",
        ..LIVE
    };
    app.deploy(machine, "1.0").exits(0);
    let step = if is_full() { 1 } else { 5 };
    // Killed while it undoes a release that failed.
    let mut points = 0;
    for nth in (20..).step_by(step) {
        app.write(machine, &format!("2.{nth}"));
        let manifest = machine.read(MANIFEST);
        let fails = "[hooks]\nafter-switch = [[\"/bin/false\"]]\n";
        machine.write(MANIFEST, &format!("{manifest}{fails}"), 0o644);
        let deploy = format!("--manifest {MANIFEST} deploy --apply");
        if !killed_at_a_program(machine, nth, &deploy) {
            break;
        }
        points += 1;
        only_the_first_answers(machine, nth);
    }
    assert!(points > 1, "only {points} points");
    // The same for a recovery.
    kill_at_the_restart(machine);
    let mut points = 0;
    for nth in (2..).step_by(step) {
        app.write(machine, &format!("2.{nth}"));
        deploy_until_killed(machine);
        if !killed_at_a_program(machine, nth, "recover") {
            break;
        }
        points += 1;
        only_the_first_answers(machine, nth);
    }
    assert!(points > 1, "only {points} points");
}

fn only_the_first_answers(machine: &Machine, nth: usize) {
    machine.robotctl("recover --app live").exits(0);
    for _ in 0..20 {
        assert_eq!(machine.get("http://127.0.0.1:18095/"), "200 1.0", "{nth}");
    }
    until("nothing drains", || machine.ok(DRAINING).is_empty());
    assert_eq!(machine.ok(KEPT_TMP), "", "{nth}");
    machine.robotctl("doctor").exits(0);
}

/// Runs a command of robotctl that is killed when it starts its nth program. Returns false when it has ended
/// before.
fn killed_at_a_program(machine: &Machine, nth: usize, command: &str) -> bool {
    let call = "/^(clone3?|v?fork)$";
    let out = machine.sh(&format!(
        "strace -qq -o /dev/null -e trace='{call}' -e inject='{call}:signal=KILL:when={nth}' \
         robotctl {command}"
    ));
    [-1, 137].contains(&out.code)
}

/// Killed when it starts a program, at every fourth of them or with `--full` at each: recovery loses no request, and ends in one
/// whole release.
fn kill_and_recover(machine: &Machine, app: &App) {
    app.deploy(machine, "1.0").exits(0);
    let load = Load::start(machine, "127.0.0.1:18095", "fresh=2");
    // An open answer keeps each generation for its whole drain.
    machine.write(
        "/root/clients.py",
        include_str!("handover/clients.py"),
        0o644,
    );
    let mut clients = machine.spawn(&["python3", "/root/clients.py", "18095", "1"]);
    let mut points = 0;
    for nth in (1..).step_by(if is_full() { 1 } else { 4 }) {
        app.write(machine, &format!("2.{nth}"));
        let deploy = format!("--manifest {MANIFEST} deploy --apply");
        if !killed_at_a_program(machine, nth, &deploy) {
            break;
        }
        points += 1;
        machine.robotctl("recover --app live").exits(0);
        let live = machine.link("/opt/live/current");
        let version = live
            .trim_start_matches("releases/")
            .split('-')
            .next()
            .unwrap()
            .to_owned();
        let answers = || machine.get("http://127.0.0.1:18095/") == format!("200 {version}");
        until("only the live release answers", || {
            (0..8).all(|_| answers())
        });
        let group = machine.ok(&format!("cat /proc/{}/cgroup", main_pid(machine)));
        assert!(group.ends_with("/live-web.service"), "{nth}: {group}");
        machine.robotctl("doctor").exits(0);
    }
    let tally = &load.stop()["rest"];
    machine.note(&format!(
        "a handover killed at {points} points: {} of {} requests lost, slowest {} ms",
        tally.lost(),
        tally.answered,
        tally.slowest_ms
    ));
    machine.ok("pkill -TERM -f clients.py");
    clients.wait().unwrap();
    assert!(
        points > 5,
        "only {points} points: does strace see the calls?"
    );
    assert_eq!(tally.lost(), 0, "{tally:?}");
    until("all drains end", || machine.ok(DRAINING).is_empty());
    assert_eq!(machine.ok("systemctl --failed --plain --no-legend"), "");
}
