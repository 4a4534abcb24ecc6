//! The structure of `src`: which module may use which, and no cycle between files.

use crate::imports::{Graph, code_of, sources};
use robotctl::app::{App, BUNDLED_APP, Target};
use robotctl::manifest;
use robotctl::render::render;
use robotctl::units::unit_type;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Each module, and the modules that it may use. Why, where it is not plain from the names.
const MAY_USE: &[(&str, &[&str])] = &[
    ("ago", &[]),
    ("bytesize", &[]),
    ("command_line", &["printable"]),
    ("error", &["command_line"]),
    ("events", &["audit"]),
    // Which errors of the operating system are the host's fault.
    ("failure", &["host", "host_cause"]),
    ("fault", &["error", "safe_fix"]),
    ("host_cause", &[]),
    ("printable", &[]),
    ("stability", &["ago", "host"]),
    // Values, which `ops` carries out.
    ("safe_fix", &[]),
    ("sandbox_files", &["exposure", "host"]),
    ("exposure", &[]),
    ("manifest", &[]),
    ("audit", &["provenance"]),
    ("units", &[]),
    ("tree", &[]),
    ("parallel", &[]),
    // The I/O boundary serves every module and knows only values that it reads or runs on.
    ("host", &["audit", "parallel", "printable", "tree"]),
    ("session", &["audit", "events", "failure", "host", "store"]),
    ("app", &["manifest", "printable", "sandbox", "units"]),
    // What an exception costs is measured on a rendered unit.
    (
        "sandbox",
        &["app", "command_line", "exposure", "render", "units"],
    ),
    ("render", &["app", "sandbox", "tree", "units"]),
    ("deb", &["app", "error", "manifest", "tree"]),
    ("payload", &["error", "parallel", "printable"]),
    (
        "archive",
        &["command_line", "error", "host", "printable", "provenance"],
    ),
    ("provenance", &["error"]),
    (
        "plan",
        &[
            "app",
            "manifest",
            "payload",
            "provenance",
            "render",
            "sandbox",
            "tree",
            "units",
        ],
    ),
    // Records outlive the code that writes them.
    (
        "store",
        &[
            "app",
            "command_line",
            "error",
            "events",
            "host",
            "manifest",
            "payload",
            "provenance",
            "tree",
        ],
    ),
    // Staging is done before the host changes.
    (
        "stage",
        &[
            "app",
            "archive",
            "bytesize",
            "command_line",
            "error",
            "host",
            "manifest",
            "parallel",
            "payload",
            "printable",
            "provenance",
            "store",
        ],
    ),
    (
        "transient",
        &[
            "app",
            "command_line",
            "error",
            "events",
            "health",
            "failure",
            "host",
            "plan",
            "render",
            "sandbox",
            "session",
            "tree",
            "units",
        ],
    ),
    // Checks do not depend on what asks for them.
    (
        "health",
        &[
            "app",
            "error",
            "events",
            "exposure",
            "failure",
            "host",
            "host_cause",
            "render",
            "sandbox",
            "sandbox_files",
            "session",
            "stability",
            "store",
            "transient",
            "units",
        ],
    ),
    // The crash-safe core applies a plan and knows no use case.
    (
        "transaction",
        &[
            "app",
            "command_line",
            "error",
            "events",
            "health",
            "failure",
            "host",
            "manifest",
            "parallel",
            "plan",
            "prerequisites",
            "render",
            "sandbox",
            "session",
            "settings",
            "store",
            "transient",
            "tree",
            "units",
        ],
    ),
    // The plan and the doctor ask for the same judgement.
    (
        "settings",
        &[
            "app",
            "bytesize",
            "command_line",
            "error",
            "fault",
            "host",
            "manifest",
            "safe_fix",
        ],
    ),
    // A planned change and the doctor ask the same of the host.
    (
        "prerequisites",
        &[
            "app",
            "bytesize",
            "command_line",
            "error",
            "fault",
            "host",
            "plan",
            "safe_fix",
            "sandbox",
            "store",
            "tree",
            "units",
        ],
    ),
    // The doctor reads and changes nothing.
    (
        "doctor",
        &[
            "app",
            "bytesize",
            "command_line",
            "error",
            "health",
            "fault",
            // A unit as it is loaded is scored like that of the release.
            "exposure",
            "host",
            "manifest",
            "payload",
            "prerequisites",
            "render",
            "safe_fix",
            "sandbox",
            "sandbox_files",
            "settings",
            "printable",
            "stability",
            "store",
            "transient",
            "tree",
            "units",
        ],
    ),
    // A page shows and changes nothing.
    (
        "page",
        &[
            "ago",
            "app",
            "command_line",
            "error",
            "host",
            "stability",
            "units",
        ],
    ),
    // A program of its own.
    ("relay", &["host"]),
];

/// Modules that may use every other one, except that only `main` may use `cli`.
const FREE: &[&str] = &["cli", "lib", "main", "ops"];

/// What command files may use; views may use the types that they show.
const COMMANDS_MAY_USE: &[&str] = &["cli", "error", "ops"];

/// What single command files may use as well: `doctor --list` and `score --threshold` print a table
/// of the module itself.
const COMMAND_MAY_USE: &[(&str, &str)] = &[
    ("cli/doctor.rs", "doctor"),
    ("cli/doctor_actions.rs", "doctor"),
    ("cli/score.rs", "exposure"),
];

fn module_of(file: &str) -> &str {
    let first = file.split('/').next().unwrap_or(file);
    first.trim_end_matches(".rs")
}

/// The modules that each module uses.
fn modules(graph: &Graph) -> BTreeMap<String, BTreeSet<String>> {
    let mut out: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (from, to) in graph.edges() {
        let (from, to) = (module_of(from), module_of(to));
        let used = out.entry(from.to_owned()).or_default();
        if from != to {
            used.insert(to.to_owned());
        }
    }
    out
}

/// The directories and files of `src`.
fn modules_of_src() -> BTreeSet<String> {
    let files = sources().into_iter();
    files.map(|(file, _)| module_of(&file).to_owned()).collect()
}

#[test]
fn modules_import_only_what_they_may() {
    let found = modules(Graph::of_src());
    let mut wrong = Vec::new();
    for (module, may_use) in MAY_USE {
        // A module without imports has no entry.
        let used = found.get(*module).cloned().unwrap_or_default();
        let may_use: BTreeSet<String> = may_use.iter().map(ToString::to_string).collect();
        for other in used.difference(&may_use) {
            wrong.push(format!("`{module}` uses `{other}` and may not"));
        }
        for other in may_use.difference(&used) {
            wrong.push(format!("`{module}` may use `{other}` and does not"));
        }
    }
    for (module, used) in &found {
        if used.contains("cli") && !["lib", "main"].contains(&module.as_str()) {
            wrong.push(format!("`{module}` uses `cli` and may not"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A rule about a module that was renamed holds for nothing, and a new module needs a rule.
#[test]
fn each_module_has_one_rule_and_each_rule_a_module() {
    let modules = modules_of_src();
    let rules = MAY_USE
        .iter()
        .map(|(module, _)| *module)
        .chain(FREE.iter().copied());
    let mut rules: Vec<&str> = rules.collect();
    rules.sort_unstable();
    assert_eq!(rules, modules.iter().collect::<Vec<_>>());
    let used = MAY_USE.iter().flat_map(|(_, may_use)| may_use.iter());
    let used = used.chain(COMMANDS_MAY_USE).copied();
    let used = used.chain(COMMAND_MAY_USE.iter().map(|(_, module)| *module));
    for module in used {
        assert!(modules.contains(module), "there is no module `{module}`");
    }
}

/// The file of a command parses, calls a use case and prints: it needs little, and few lines.
#[test]
fn command_files_are_short() {
    let graph = Graph::of_src();
    let shared = [
        "cli/mod.rs",
        "cli/output.rs",
        "cli/exit.rs",
        "cli/usage.rs",
        "cli/other_words.rs",
    ];
    let is_command = |file: &str| {
        file.starts_with("cli/") && file.matches('/').count() == 1 && !shared.contains(&file)
    };
    let files = sources();
    for file in shared
        .iter()
        .chain(COMMAND_MAY_USE.iter().map(|(file, _)| file))
    {
        let known = files.iter().any(|(one, _)| one == file);
        assert!(known, "there is no file `{file}`");
    }
    let mut wrong = Vec::new();
    let edges = graph.edges().filter(|(from, _)| is_command(from));
    let edges: BTreeSet<(&str, &str)> = edges.map(|(from, to)| (from, module_of(to))).collect();
    for (file, module) in &edges {
        if !COMMANDS_MAY_USE.contains(module) && !COMMAND_MAY_USE.contains(&(file, module)) {
            wrong.push(format!("`{file}` uses `{module}` and may not"));
        }
    }
    for exception in COMMAND_MAY_USE {
        if !edges.contains(exception) {
            let (file, module) = exception;
            wrong.push(format!("`{file}` may use `{module}` and does not"));
        }
    }
    for (file, text) in files.iter().filter(|(file, _)| is_command(file)) {
        let code = code_of(text);
        let lines = code.lines().count();
        if lines > MAX_COMMAND_LINES {
            wrong.push(format!("`{file}` has {lines} lines"));
        }
        for function in code.split("fn ").skip(1) {
            let calls = use_cases(function);
            if calls.len() > max_use_cases(file) {
                let name = function.split('(').next().unwrap_or_default();
                wrong.push(format!("`{name}` of `{file}` calls {calls:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Lines of the file of a command with its arguments and their help.
const MAX_COMMAND_LINES: usize = 100;

/// Use cases that one function of a command file may call: one that shows what would change, and one
/// that changes it.
fn max_use_cases(file: &str) -> usize {
    match file {
        // It makes the files, and compares or writes them.
        "cli/generate.rs" => 3,
        _ => 2,
    }
}

/// The use cases that the code of a function calls.
fn use_cases(code: &str) -> BTreeSet<&str> {
    let mut calls = BTreeSet::new();
    for rest in code.split("ops::").skip(1) {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
        if after.starts_with('(') {
            calls.insert(name);
        }
    }
    calls
}

#[test]
fn no_file_imports_itself_through_others() {
    let cycles = Graph::of_src().cycles();
    let shown: Vec<String> = cycles.iter().map(|cycle| cycle.join(" -> ")).collect();
    assert!(
        shown.is_empty(),
        "cycles between files:\n{}",
        shown.join("\n")
    );
}

/// A file without its `mod` line is not compiled, and its tests never run.
#[test]
fn each_test_file_is_a_module_of_its_suite() {
    for suite in ["tests/it", "tests/faults", "tests/system"] {
        let main = read(&format!("{suite}/main.rs"));
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(suite);
        let mut count = 0;
        for entry in std::fs::read_dir(dir).expect("list") {
            let name = entry.expect("list").file_name();
            let name = name.to_str().expect("UTF-8");
            let module = name.strip_suffix(".rs").filter(|module| *module != "main");
            let Some(module) = module else { continue };
            let line = format!("mod {module};");
            let known = main.lines().any(|one| one == line);
            assert!(known, "{suite}/{name} has no `mod` in main.rs");
            count += 1;
        }
        assert!(count > 10, "{suite}: only {count} files");
    }
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(path).expect("read")
}

/// The messages of the lint name functions that exist.
#[test]
fn the_lint_suggests_functions_that_exist() {
    let (lint, host) = (read("clippy.toml"), read("src/host/mod.rs"));
    let has = |name: &str| {
        let mut words = host.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.any(|word| word == name)
    };
    let mut suggested = 0;
    for rest in lint.split("host::").skip(1) {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name = &rest[..end.unwrap_or(rest.len())];
        assert!(has(name), "`host::{name}` is not in src/host/mod.rs");
        suggested += 1;
    }
    assert!(suggested > 20, "{suggested}");
    // Forgotten once: methods in place of functions, sockets and the other clock.
    for path in [
        "std::path::Path::is_file",
        "walkdir::WalkDir::new",
        "std::net::TcpStream::connect",
        "std::os::unix::net::UnixStream::connect",
        "std::time::Instant::now",
    ] {
        assert!(lint.contains(&format!("\"{path}\"")), "{path}");
    }
}

/// Invariant 16 of `docs/architecture.md`.
#[test]
fn threads_are_started_only_where_the_architecture_allows_it() {
    let mut found = BTreeSet::new();
    for (file, text) in sources() {
        let code = code_of(&text);
        let calls = ["thread::scope", "thread::spawn", "thread::Builder"];
        if calls.iter().any(|call| code.contains(call)) {
            found.insert(file);
        }
    }
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    // Writing while staging copies; another network; a look that may wait for ever; the page; staging and hashing.
    let allowed = [
        "host/flush.rs",
        "host/network.rs",
        "host/silent_path.rs",
        "page/mod.rs",
        "parallel.rs",
    ];
    assert_eq!(found, allowed);
}

/// The words of a list in the shell script that purges the package, without quotes.
fn words<'a>(script: &'a str, begin: &str, end: &str) -> BTreeSet<&'a str> {
    let (_, rest) = script.split_once(begin).expect("the list begins");
    let (list, _) = rest.split_once(end).expect("the list ends");
    let words = list.split(|c: char| c.is_whitespace() || matches!(c, '\'' | '\\'));
    words.filter(|word| !word.is_empty()).collect()
}

/// Each script decides whether the app is the package's, and none can ask another file.
#[test]
fn the_scripts_of_the_package_share_one_rule_about_its_app() {
    let rule = |script: &str| {
        let text = read(&format!("packaging/debian/{script}"));
        let (_, rest) = text.split_once("# is_bundled APP").expect("the rule");
        let (rule, _) = rest.split_once("\n}\n").expect("its end");
        rule.to_owned()
    };
    assert!(rule("prerm").contains(BUNDLED_APP));
    for script in ["postinst", "postrm"] {
        assert_eq!(rule(script), rule("prerm"), "{script}");
    }
}

/// The script cannot ask `robotctl`, which is removed by then.
#[test]
fn the_purge_script_of_the_package_names_every_unit() {
    let manifest =
        manifest::parse(&read("packaging/robotctl-status/robot.toml")).expect("a manifest");
    let app = App::from_bundled(&manifest, None, None).expect("an app");
    let tree = render(&app, Target::Portable).expect("a tree");
    let (mut units, mut wants) = (BTreeSet::new(), BTreeSet::new());
    for path in tree.paths() {
        if let Some(name) = path.strip_prefix("/usr/local/lib/systemd/system/") {
            units.insert(name.split(".d/").next().expect("a unit"));
        } else if let Some(rest) = path.strip_prefix("/etc/systemd/system/") {
            wants.insert(rest.split(".target.wants/").next().expect("a target"));
        }
    }
    assert!(units.iter().all(|unit| unit_type(unit).is_some()));
    let script = read("packaging/debian/postrm").replace("$app", app.name.as_str());
    assert_eq!(words(&script, "units=\"", "\"\n"), units);
    for rest in script.split("for wants in ").skip(1) {
        let list = rest.split(';').next().unwrap_or_default().replace('"', "");
        assert_eq!(list.split(' ').collect::<BTreeSet<_>>(), wants);
    }
}
