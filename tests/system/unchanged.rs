//! A service whose files are the same in a new release goes on.

use crate::demo::{WEB, current, demo, running_release};
use crate::machine::{Machine, until};

tests![
    Quick:
    a_service_with_the_same_files_goes_on,
];

const UNIT: &str = "demo-web.service";

fn a_service_with_the_same_files_goes_on(machine: &Machine) {
    let version = |version: &str| {
        let mut app = demo(version);
        app.web = "files = [\"app.py\", \"fault\"]";
        app
    };
    let pid = |unit: &str| machine.property(unit, "MainPID");
    // The answer is the file VERSION of the release that the process runs.
    let answer = || machine.get(&format!("{WEB}/version"));
    let first = version("1.0").deploy_ok(machine);
    let (web, worker) = (pid(UNIT), pid("demo-worker.service"));

    version("1.1").write(machine);
    let why = format!("goes on with {first}, which has the same files for it");
    machine
        .robotctl("--manifest /root/demo/robot.toml deploy")
        .exits(0)
        .says(&format!("unchanged {UNIT}     {why}"));
    let second = version("1.1").deploy_ok(machine);
    assert_eq!(pid(UNIT), web);
    assert_ne!(pid("demo-worker.service"), worker);
    assert_eq!(answer(), "200 1.0");
    let same = format!("has the same files for it as {second}");
    machine.robotctl("status").exits(0).says(&same);
    machine
        .robotctl("releases")
        .exits(0)
        .says(&format!("{first}  "))
        .says("runs: web");
    machine
        .robotctl("doctor --app demo")
        .exits(0)
        .says(&format!("`{UNIT}` runs {first}, which {same}"));

    // It still runs its release, so nothing removes it.
    for number in ["1.2", "1.3"] {
        version(number).deploy_ok(machine);
    }
    assert_eq!(pid(UNIT), web);
    machine.robotctl("prune --all --keep 2 --apply").exits(0);
    assert!(machine.exists(&format!("/opt/demo/releases/{first}")));
    assert!(!machine.exists(&format!("/opt/demo/releases/{second}")));
    assert_eq!(answer(), "200 1.0");

    // A rollback treats it alike.
    machine.robotctl("rollback").exits(0);
    let live = current(machine);
    assert!(live.starts_with("1.2-"), "{live}");
    assert_eq!((pid(UNIT), answer().as_str()), (web.clone(), "200 1.0"));

    // A crash starts it from the live release.
    machine.ok(&format!("kill -9 {web}"));
    until("it runs again", || answer() == "200 1.2");
    assert_eq!(running_release(machine, UNIT), live);
    let healthy = machine.robotctl("doctor --app demo").exits(0);
    assert!(!healthy.stdout.contains("same files"), "{healthy}");

    // A release that fails is undone, and the service goes on.
    let web = pid(UNIT);
    version("2.0").write(machine);
    machine.ok(
        "sed -i '/^.service.worker/,/^type/s|^exec = .*|exec = [\"/bin/false\"]|' /root/demo/robot.toml",
    );
    let deploy = || machine.robotctl("--manifest /root/demo/robot.toml deploy --apply");
    deploy().exits(3);
    assert_eq!((pid(UNIT), current(machine)), (web.clone(), live));
    machine.robotctl("doctor --app demo").exits(0);

    // A change of its files restarts it.
    version("2.1").write(machine);
    machine.ok("echo '# changed' >> /root/demo/app.py");
    deploy().exits(0);
    assert_ne!(pid(UNIT), web);
    assert_eq!(answer(), "200 2.1");
}
