//! A user other than root can read the state and complete names, and cannot change the host.

use crate::demo::{current, demo};
use crate::machine::{Machine, Out};

tests![
    Quick:
    a_user_reads_the_state_without_its_content,
    a_user_completes_what_is_on_the_host,
    a_user_asks_about_any_number_of_apps,
];

/// Secret content of an app. It is in the manifest, and in files of the releases.
const CONTENT: &str = "only-for-root";

/// Runs a shell command as a user without privileges.
fn as_user(machine: &Machine, line: &str) -> Out {
    let argv = ["runuser", "--user", "ann", "--", "sh", "-c", line];
    machine.run(&argv)
}

/// Creates a user and two releases, of which the first one is live.
fn prepare(machine: &Machine) -> [String; 2] {
    machine.ok("useradd --create-home ann");
    let with = |version: &str| {
        let mut demo = demo(version);
        demo.web = "env = { COLOUR = \"only-for-root\" }";
        demo.deploy_ok(machine)
    };
    let both = [with("1.0"), with("2.0")];
    machine.robotctl("rollback").exits(0);
    assert_eq!(current(machine), both[0]);
    both
}

fn a_user_reads_the_state_without_its_content(machine: &Machine) {
    let [first, second] = prepare(machine);
    let robotctl = |words: &str| as_user(machine, &format!("cd / && robotctl {words}"));
    let status = robotctl("status").exits(0);
    let status = status.says(&format!("demo: {first} is live since 20"));
    for unit in ["demo-web.socket", "demo-web.service", "demo-worker.service"] {
        let mut lines = status.stdout.lines();
        let line = lines.find(|line| line.trim_start().starts_with(unit));
        assert!(
            line.unwrap_or_default().contains("active ("),
            "{unit}: {status}"
        );
    }
    robotctl("releases")
        .exits(0)
        .says(&first)
        .says(&second)
        .says("good");
    let history = robotctl("history").exits(0);
    let history = history.says(&format!("{second} is live (previous release: {first})"));
    history.says(&format!("{first} is live, in place of {second}"));
    let doctor = robotctl("doctor").exits(0);
    doctor
        .says("content, files")
        .says("it needs root: type `sudo` before the command")
        .says("demo: no findings");
    // The doctor still finds what any user may see.
    machine.ok("systemctl stop demo-worker.service");
    robotctl("doctor")
        .exits(1)
        .says("`demo-worker.service` is inactive")
        .says("hint: if it should run: sudo systemctl start demo-worker.service");
    machine.ok("systemctl start demo-worker.service");
    machine.robotctl("doctor").exits(0).says("demo: healthy");

    // With `--format json` every line is an envelope, and the last one is the result.
    for (command, kind) in [
        ("status", "status"),
        ("releases", "release"),
        ("history", "event"),
        ("doctor", "report"),
    ] {
        let out = robotctl(&format!("--format json {command}")).exits(0);
        assert!(!out.data(kind).is_empty(), "{out}");
    }

    // None of it shows the content of a release, and no file with it can be read.
    for command in ["status", "releases", "history", "doctor"] {
        let out = robotctl(&format!("--format json {command}"));
        assert!(!out.stdout.contains(CONTENT), "{out}");
    }
    let find = format!("grep -rl {CONTENT} /var/lib/robotctl");
    let hidden = machine.ok(&find);
    for id in [&first, &second] {
        assert!(hidden.contains(&format!("{id}.private")), "{hidden}");
    }
    let found = as_user(machine, &format!("{find} 2>/dev/null"));
    assert_eq!(found.stdout, "");

    // Commands that change the host are refused.
    let before = machine.ok("find /opt/demo /var/lib/robotctl -printf '%p %m %T@\\n' | sort");
    for command in [
        "rollback",
        "recover",
        "remove --apply",
        "prune --apply",
        "--manifest /home/ann/robot.toml deploy --apply",
    ] {
        machine.ok("cp -r /root/demo/. /home/ann && chown -R ann: /home/ann");
        robotctl(command)
            .exits(2)
            .says("only root can change this host")
            .says(&format!("hint: repeat it as root: sudo robotctl {command}"));
    }
    let after = machine.ok("find /opt/demo /var/lib/robotctl -printf '%p %m %T@\\n' | sort");
    assert_eq!(after, before);
}

/// The completions that bash would offer.
fn completions(machine: &Machine, words: &[&str]) -> Vec<String> {
    let line = words.iter().map(|word| format!("'{word}'"));
    let line: Vec<String> = line.collect();
    let out = as_user(
        machine,
        &format!(
            "cd / && COMPLETE=bash _CLAP_IFS='\n' _CLAP_COMPLETE_INDEX={} robotctl -- robotctl {}",
            words.len(),
            line.join(" ")
        ),
    );
    let mut found: Vec<String> = out.exits(0).stdout.lines().map(str::to_owned).collect();
    found.sort();
    found
}

fn a_user_completes_what_is_on_the_host(machine: &Machine) {
    let [first, second] = prepare(machine);
    let commands = completions(machine, &[""]);
    for command in ["deploy", "rollback", "status", "doctor", "prune"] {
        assert!(commands.iter().any(|one| one == command), "{commands:?}");
    }
    // Only units and the build of the package run these.
    for hidden in ["await", "soak", "relay", "page", "reference"] {
        assert!(!commands.iter().any(|one| one == hidden), "{commands:?}");
        // They are not offered either when no other command begins like them.
        let typed = completions(machine, &[&hidden[..3]]);
        assert!(!typed.iter().any(|one| one == hidden), "{typed:?}");
    }
    assert_eq!(completions(machine, &["--app", ""]), ["demo"]);
    let releases = completions(machine, &["rollback", ""]);
    for id in [&first, &second] {
        assert!(releases.contains(id), "{releases:?}");
    }
    assert_eq!(completions(machine, &["rollback", "2."]), [second]);
    let services = completions(machine, &["rollback", "--service", ""]);
    assert_eq!(services, ["tidy", "web", "worker"]);
}

/// What is deployed with a closed umask is as readable as any other, and that of the reader has no effect.
fn a_user_asks_about_any_number_of_apps(machine: &Machine) {
    const READERS: [&str; 4] = ["status", "doctor", "releases", "history"];
    machine.ok("useradd --create-home ann");
    let robotctl = |words: &str| as_user(machine, &format!("umask 777; cd / && robotctl {words}"));
    for command in ["status", "doctor", "check", "rollback"] {
        robotctl(command)
            .exits(2)
            .says("error: no app is deployed on this host")
            .says("hint: deploy one: sudo robotctl deploy");
    }
    for command in ["releases", "history"] {
        robotctl(command).exits(0).prints_nothing();
    }

    demo("1.0").write(machine);
    machine.ok("cd /root/demo && umask 077 && robotctl deploy --apply");
    for command in READERS {
        robotctl(command).exits(0).says("demo");
    }
    for (command, refusal) in [
        ("check", "only root can read the checks of `demo`"),
        (
            "score",
            "only root can read the manifest of the live release of `demo`",
        ),
        ("rollback", "only root can change this host"),
        ("rollback 1.0 --dry-run", "can be read by root only"),
        ("--app demo prune --apply", "only root can change this host"),
    ] {
        robotctl(command).exits(2).says(refusal).says(&format!(
            "hint: repeat it as root: sudo robotctl {command}\n"
        ));
    }

    machine.write(
        "/root/two/robot.toml",
        "[app]\nname = \"two\"\nversion = \"1.0\"\n\
         [service.web]\nexec = [\"/bin/sleep\", \"infinity\"]\n",
        0o644,
    );
    machine.ok("cd /root/two && umask 077 && robotctl deploy --apply");
    for command in READERS {
        robotctl(command).exits(0).says("demo").says("two");
    }
    for command in ["check", "rollback", "score"] {
        robotctl(command)
            .exits(2)
            .says("error: several apps are deployed: demo, two")
            .says("hint: choose one with `--app NAME`");
    }
    robotctl("--app two rollback")
        .exits(2)
        .says("hint: repeat it as root: sudo robotctl --app two rollback");
    machine.robotctl("--app two rollback").exits(2).says(
        "hint: deploy another release; a rollback then restores this one: sudo robotctl --manifest /root/two/robot.toml deploy",
    );
}
