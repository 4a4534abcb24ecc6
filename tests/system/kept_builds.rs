//! What a build made is taken over while its inputs are the same, and only then.

use crate::demo::{Demo, current};
use crate::machine::{Machine, Out};
use serde_json::Value;
use std::time::Instant;

tests![
    Quick:
    an_unchanged_environment_is_kept,
    declared_outputs_are_kept,
    a_package_of_the_source_is_installed_with_extras,
];

const ROBOTCTL: &str = "--manifest /root/demo/robot.toml deploy";

/// Makes a wheel, `NAME VERSION TEXT`.
const WHEEL: &str = r"
import sys, zipfile
name, version, text = sys.argv[1:]
with zipfile.ZipFile(f'/root/demo/wheels/{name}-{version}-py3-none-any.whl', 'w') as wheel:
    info = f'{name}-{version}.dist-info/'
    for path, content in [
        (f'{name}/__init__.py', f'TEXT = {text!r}\ndef main(): print(TEXT)\n'),
        (info + 'METADATA', f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n'),
        (info + 'WHEEL', 'Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n'),
        (info + 'entry_points.txt', f'[console_scripts]\n{name}-say = {name}:main\n'),
        (info + 'RECORD', ''),
    ]:
        wheel.writestr(path, content)
";

/// The fixture with files that stay from one version to the next.
struct App<'a> {
    machine: &'a Machine,
    demo: Demo,
    count: u32,
}

impl<'a> App<'a> {
    fn new(machine: &'a Machine, tables: &'static str) -> Self {
        let mut demo = crate::demo::demo("1.0");
        demo.tables = tables;
        demo.write(machine);
        machine.write("/root/wheel.py", WHEEL, 0o644);
        machine.ok("mkdir -p /root/demo/wheels");
        Self {
            machine,
            demo,
            count: 0,
        }
    }

    fn wheel(&self, name: &str, text: &str) {
        self.machine
            .ok(&format!("python3 /root/wheel.py {name} 1.0 {text}"));
    }

    /// Gives the app another version, so that its next deploy stages a release.
    fn next(&mut self) {
        self.count += 1;
        self.demo.version = format!("1.{}", self.count);
        let machine = self.machine;
        machine.write("/root/demo/robot.toml", &self.demo.manifest(), 0o644);
        machine.write("/root/demo/VERSION", &self.demo.version, 0o644);
    }

    /// What the plan of the next release says of the only output.
    fn planned(&self) -> Value {
        let shown = self.machine.robotctl(&format!("{ROBOTCTL} --format json"));
        let plan = shown.exits(0).data("plan").remove(0);
        plan["outputs"][0].clone()
    }

    /// Deploys the next release, which takes over the output of the live one.
    #[track_caller]
    fn reuses(&mut self) -> String {
        self.next();
        let live = current(self.machine);
        assert_eq!(self.planned()["reused_from"], live, "{}", self.planned());
        self.apply().exits(0);
        current(self.machine)
    }

    /// Deploys the next release, which makes the output anew for this reason.
    #[track_caller]
    fn makes(&mut self, why: &str) -> String {
        self.would_make(why);
        self.apply().exits(0);
        current(self.machine)
    }

    fn apply(&self) -> Out {
        self.machine.robotctl(&format!("{ROBOTCTL} --apply"))
    }

    /// The next release would make the output anew for this reason.
    #[track_caller]
    fn would_make(&mut self, why: &str) {
        self.next();
        let planned = self.planned();
        assert_eq!(planned["reused_from"], Value::Null, "{planned}");
        assert_eq!(planned["why"], why, "{planned}");
    }

    fn inode(&self, release: &str, path: &str) -> String {
        let path = format!("/opt/demo/releases/{release}/{path}");
        self.machine.ok(&format!("stat --format=%i {path}"))
    }

    /// The bytes that a release takes besides the files of an earlier one.
    fn new_bytes(&self, earlier: &str, release: &str) -> u64 {
        let sizes =
            format!("cd /opt/demo/releases && du --summarize --block-size=1 {earlier} {release}");
        // du(1) counts a file with several names once, with the directory that it sees first.
        let size = self.machine.ok(&format!("{sizes} | tail -1 | cut -f1"));
        size.parse().unwrap()
    }
}

const VENV: &str = "[release]\nkeep = 3\n\
    python = { requirements = [\"requirements.txt\"], wheels = \"wheels\" }\n";
const VENV_AND_BUILD: &str = "[release]\nkeep = 3\nbuild = [[\"/bin/sh\", \"-c\", \"cat touch 2>/dev/null | sh\"]]\n\
    python = { requirements = [\"requirements.txt\"], wheels = \"wheels\" }\n";
const PAPER: &str = ".venv/bin/paper-say";

fn an_unchanged_environment_is_kept(machine: &Machine) {
    let mut app = App::new(machine, VENV);
    app.wheel("paper", "one");
    app.wheel("ink", "one");
    machine.write("/root/demo/requirements.txt", "-r base.txt\n", 0o644);
    machine.write("/root/demo/base.txt", "paper\n", 0o644);
    let preview = machine.robotctl(ROBOTCTL).exits(0);
    preview
        .says("  .venv  made anew: its size shows when it is made")
        .says("  python         /usr/bin/python3 -m venv /opt/demo/current/.venv\n")
        .says("-m pip install --quiet");
    app.apply().exits(0);
    let first = current(machine);

    // The same files, by other names, in a working environment.
    let second = app.reuses();
    assert_eq!(app.inode(&first, PAPER), app.inode(&second, PAPER));
    let say = "/opt/demo/current/.venv/bin/paper-say";
    assert_eq!(machine.ok(say), "one");
    let preview = machine.robotctl(&format!("{ROBOTCTL} --rebuild")).exits(0);
    preview.says("nothing to do");

    // Each input decides.
    machine.write("/root/demo/base.txt", "paper==1.0\n", 0o644);
    let third = app.makes("`base.txt` changed");
    assert_ne!(app.inode(&second, PAPER), app.inode(&third, PAPER));
    machine.ok("cp -a /root/demo/wheels /root/wheels");
    app.wheel("ink", "two");
    app.would_make("`wheels` changed");
    machine.ok("cp -a /root/wheels/. /root/demo/wheels");
    machine.ok(
        "cd /usr/bin && readlink python3 > /root/python && cp -L python3 python3.new && printf x >> python3.new && \
         ln -sfn python3.new python3",
    );
    app.would_make("the interpreter changed");
    machine.ok("cd /usr/bin && ln -sfn $(cat /root/python) python3 && rm python3.new");
    // Every kept release counts, and not only the live one.
    machine.write("/root/demo/base.txt", "paper\n", 0o644);
    app.next();
    let kept = app.planned();
    assert_eq!(kept["reused_from"], second);
    assert!(kept["files"].as_u64().unwrap() > 500 && kept["bytes"].as_u64().unwrap() > 1 << 20);
    app.apply().exits(0);

    // Somebody changes a file of the environment, or lets others change one.
    let live = current(machine);
    let changed = format!("that of {live} was changed on the disk");
    machine.ok(&format!("cp {say} /root/say && echo '# x' >> {say}"));
    app.would_make(&changed);
    machine.ok(&format!("cat /root/say > {say}"));
    let mode = "/opt/demo/current/.venv/pyvenv.cfg";
    machine.ok(&format!("chmod 666 {mode}"));
    app.would_make(&changed);
    machine.ok(&format!("chmod 644 {mode}"));

    // How much an upgrade takes and how long, without and with what was made before.
    for (name, option) in [("made anew", "--rebuild"), ("taken over", "")] {
        app.next();
        let live = current(machine);
        let begin = Instant::now();
        machine
            .robotctl(&format!("{ROBOTCTL} --apply {option}"))
            .exits(0);
        let seconds = begin.elapsed().as_secs_f64();
        let bytes = app.new_bytes(&live, &current(machine));
        machine.note(&format!(
            "an environment that is {name}: {seconds:.1} s, {} KiB",
            bytes / 1024
        ));
        assert_eq!(bytes > 4 << 20, option == "--rebuild", "{name}: {bytes}");
    }

    a_command_cannot_change_what_others_share(&mut app);
}

/// A later command may write to the environment, without effect on other releases.
fn a_command_cannot_change_what_others_share(app: &mut App<'_>) {
    let machine = app.machine;
    app.demo.tables = VENV_AND_BUILD;
    let built = app.reuses();
    let with_command = app.reuses();
    assert_eq!(app.inode(&built, PAPER), app.inode(&with_command, PAPER));
    machine.write(
        "/root/demo/touch",
        "echo '# x' >> .venv/bin/paper-say\n",
        0o644,
    );
    let touched = app.reuses();
    assert_ne!(app.inode(&touched, PAPER), app.inode(&with_command, PAPER));
    assert_eq!(
        machine.ok(&format!(
            "grep -c '# x' /opt/demo/releases/{with_command}/{PAPER} || true"
        )),
        "0"
    );
    machine.write("/root/demo/touch", "true\n", 0o644);
    app.next();
    let from = app.planned();
    assert_eq!(from["reused_from"], with_command, "{from}");
    let unexpected =
        format!("find /opt/demo/releases/{touched} ! -user root -o -perm /6022 ! -type l");
    assert_eq!(machine.ok(&unexpected), "");
}

const NODE: &str = "[release]\nkeep = 3\nexclude = [\"/wheels/\"]\nbuild = [\n\
    { run = [\"./install\"], inputs = [\"package.json\", \"install\"], outputs = [\"node_modules\"] },\n\
    [\"/bin/sh\", \"-c\", \"cat after | sh\"],\n]\n";

fn declared_outputs_are_kept(machine: &Machine) {
    let mut app = App::new(machine, NODE);
    let install =
        "#!/bin/sh -e\nmkdir node_modules\ncat /proc/sys/kernel/random/uuid > node_modules/id\n";
    machine.write("/root/demo/install", install, 0o755);
    machine.write("/root/demo/package.json", "{}", 0o644);
    machine.write("/root/demo/after", "true\n", 0o644);
    app.apply().exits(0);
    let id = |release: &str| machine.read(&format!("/opt/demo/releases/{release}/node_modules/id"));
    let first = current(machine);
    let second = app.reuses();
    assert_eq!(id(&first), id(&second));
    let file = "node_modules/id";
    assert_eq!(app.inode(&first, file), app.inode(&second, file));
    machine.write("/root/demo/package.json", "{ }", 0o644);
    let third = app.makes("`package.json` changed");
    assert_ne!(id(&third), id(&second));
    // A later command changes it: the next release gets what the command alone made, or runs it again.
    machine.write(
        "/root/demo/after",
        "echo cache > node_modules/cache\n",
        0o644,
    );
    let fourth = app.reuses();
    assert!(!machine.exists(&format!("/opt/demo/releases/{third}/node_modules/cache")));
    assert!(machine.exists(&format!("/opt/demo/releases/{fourth}/node_modules/cache")));
    app.next();
    assert_eq!(app.planned()["reused_from"], third);
    machine.write("/root/demo/install", &format!("{install}# x\n"), 0o755);
    app.makes("`install`, the program `./install` changed");
    app.makes("a later command of the build changed it");

    // Only what the source does not have can be made, from what it has.
    for (replace, with, said) in [
        (
            "package.json\\\", ",
            "package.jsn\\\", ",
            "robot.toml:26: the source has no `package.jsn`",
        ),
        (
            "outputs = [\\\"node_modules",
            "outputs = [\\\"VERSION",
            "robot.toml:26: the source has `VERSION`",
        ),
        (
            "outputs = [\\\"node_modules",
            "outputs = [\\\"../x",
            "is not a path inside the release",
        ),
        (
            "outputs = [\\\"node_modules",
            "outputs = [\\\"absent",
            "did not make `absent`, which `outputs` names",
        ),
    ] {
        let manifest = app
            .demo
            .manifest()
            .replace(&replace.replace('\\', ""), &with.replace('\\', ""));
        machine.write("/root/demo/robot.toml", &manifest, 0o644);
        app.apply().exits(2).says(said).says("hint: ");
    }

    // Another app never gets it.
    app.next();
    let other = app
        .demo
        .manifest()
        .replace("name = \"demo\"", "name = \"other\"")
        .replace("8080", "8081");
    machine.write("/root/demo/robot.toml", &other, 0o644);
    assert_eq!(app.planned()["reused_from"], Value::Null);
}

/// A package with a build backend of its own, which builds a wheel like setuptools: it also writes to the source.
const BACKEND: &str = r"
import os, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    open('written-by-the-build', 'w').close()
    name = 'site-1.0-py3-none-any.whl'
    with zipfile.ZipFile(os.path.join(directory, name), 'w') as wheel:
        info = 'site-1.0.dist-info/'
        wheel.write('site.txt', 'site_app/site.txt')
        wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\nName: site\nVersion: 1.0\n'
            'Provides-Extra: web\nProvides-Extra: core\nRequires-Dist: paper; extra == ' + chr(34) + 'web' + chr(34) + '\n'
            'Requires-Dist: ink; extra == ' + chr(34) + 'core' + chr(34) + '\n')
        wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n')
        wheel.writestr(info + 'RECORD', '')
    return name
";

const EXTRAS: &str = "[release]\nkeep = 3\n\
    python = { install = \"./site[web,core]\", wheels = \"wheels\" }\n";

fn a_package_of_the_source_is_installed_with_extras(machine: &Machine) {
    let mut app = App::new(machine, EXTRAS);
    app.wheel("paper", "one");
    machine.write("/root/demo/site/backend.py", BACKEND, 0o644);
    machine.write("/root/demo/site/site.txt", "1", 0o644);
    let project = |requires: &str| {
        let text = format!(
            "[build-system]\nrequires = [{requires}]\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n"
        );
        machine.write("/root/demo/site/pyproject.toml", &text, 0o644);
    };
    // The backend and an extra are missing among the wheels.
    project("\"setuptools >= 61\"");
    let preview = machine.robotctl(ROBOTCTL);
    preview
        .exits(2)
        .says("`wheels` has no wheel of `setuptools`, with which the package in `site` is built")
        .says("python3 -m pip wheel -w /root/demo/wheels 'setuptools >= 61'");
    project("");
    app.apply()
        .exits(2)
        .says("hint: pip reads only the wheels of the release");
    app.wheel("ink", "two");
    app.apply().exits(0);
    let release = format!("/opt/demo/releases/{}", current(machine));
    let packages = format!(
        "cd {release}/.venv/lib/python3*/site-packages && cat site_app/site.txt && ls -d paper ink"
    );
    assert_eq!(machine.ok(&packages), "1ink\npaper");
    assert!(!machine.exists(&format!("{release}/site/written-by-the-build")));
    assert_eq!(machine.ok("/opt/demo/current/.venv/bin/ink-say"), "two");
    app.reuses();
    machine.write("/root/demo/site/site.txt", "2", 0o644);
    app.makes("the package in `site` changed");
    assert_eq!(
        machine.ok("cat /opt/demo/current/.venv/lib/python3*/site-packages/site_app/site.txt"),
        "2"
    );
}
