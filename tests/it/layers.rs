//! The structure of `src`: which module may use which, and no cycle between files.

use crate::imports::{Graph, code_of, sources};
use robotctl::app::{App, Target};
use robotctl::manifest;
use robotctl::render::render;
use robotctl::units::unit_type;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Modules that may use only a few others, and which. What is not listed is free, but for [`NEVER`].
const ONLY: &[(&str, &[&str])] = &[
    ("bytesize", &[]),
    ("command_line", &[]),
    ("error", &["command_line"]),
    ("events", &[]),
    ("exposure", &[]),
    ("manifest", &[]),
    ("units", &[]),
    ("tree", &[]),
    ("parallel", &[]),
    ("app", &["manifest", "sandbox", "units"]),
    // What an exception costs is measured on a rendered unit.
    ("sandbox", &["app", "exposure", "render", "units"]),
    ("render", &["app", "sandbox", "tree", "units"]),
    ("payload", &["error", "parallel"]),
    (
        "plan",
        &[
            "app", "bytesize", "payload", "render", "store", "tree", "units",
        ],
    ),
];

/// What a module may never use, and why.
const NEVER: &[(&str, &[&str], &str)] = &[
    (
        "host",
        &[
            "app",
            "doctor",
            "health",
            "manifest",
            "ops",
            "plan",
            "relay",
            "render",
            "sandbox",
            "stage",
            "store",
            "transaction",
            "transient",
        ],
        "the I/O boundary serves every module and knows none of them",
    ),
    (
        "store",
        &[
            "doctor",
            "health",
            "ops",
            "plan",
            "render",
            "stage",
            "transaction",
            "transient",
        ],
        "records outlive the code that writes them",
    ),
    (
        "stage",
        &["doctor", "health", "ops", "plan", "render", "transaction"],
        "staging is done before the host changes",
    ),
    (
        "health",
        &["doctor", "ops", "plan", "stage", "store", "transaction"],
        "checks do not depend on what asks for them",
    ),
    (
        "transaction",
        &["doctor", "ops", "page", "stage"],
        "the crash-safe core applies a plan and knows no use case",
    ),
    (
        "ops",
        &["cli"],
        "use cases parse no arguments and print nothing",
    ),
    (
        "page",
        &["ops", "plan", "stage", "transaction"],
        "a page shows and changes nothing",
    ),
];

/// What the verbs of the command line may use; views may use the types that they show.
const CLI: &[&str] = &["error", "ops"];

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

#[test]
fn modules_import_only_what_they_may() {
    let found = modules(Graph::of_src());
    let used = |module: &str| {
        let used = found.get(module);
        used.unwrap_or_else(|| panic!("there is no module `{module}`"))
    };
    let mut wrong = Vec::new();
    for (module, allowed) in ONLY {
        // A module without imports has no entry.
        for other in found.get(*module).into_iter().flatten() {
            if !allowed.contains(&other.as_str()) {
                wrong.push(format!("`{module}` uses `{other}`"));
            }
        }
    }
    for (module, forbidden, why) in NEVER {
        for other in forbidden
            .iter()
            .filter(|other| used(module).contains(**other))
        {
            wrong.push(format!("`{module}` uses `{other}`: {why}"));
        }
    }
    for (module, used) in &found {
        if used.contains("cli") && !["cli", "lib", "main"].contains(&module.as_str()) {
            wrong.push(format!("`{module}` uses `cli`: no module may"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A verb parses, calls one use case and prints: it needs little, and few lines.
#[test]
fn verbs_are_thin() {
    let graph = Graph::of_src();
    let shared = ["cli/mod.rs", "cli/output.rs", "cli/exit.rs", "cli/usage.rs"];
    let is_verb = |file: &str| {
        file.starts_with("cli/") && file.matches('/').count() == 1 && !shared.contains(&file)
    };
    let mut wrong = Vec::new();
    for (from, to) in graph.edges().filter(|(from, _)| is_verb(from)) {
        let module = module_of(to);
        // `doctor --list` and `score --threshold` print a table of the module itself.
        let own_table = matches!(
            (from, module),
            ("cli/doctor.rs", "doctor") | ("cli/score.rs", "exposure")
        );
        if module != "cli" && !CLI.contains(&module) && !own_table {
            wrong.push(format!("`{from}` uses `{to}`"));
        }
    }
    for (file, text) in sources() {
        let lines = code_of(&text).lines().count();
        if is_verb(&file) && lines > MAX_VERB_LINES {
            wrong.push(format!("`{file}` has {lines} lines"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Lines of a verb with its arguments and their help.
const MAX_VERB_LINES: usize = 100;

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
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeSet::new();
    for entry in walkdir::WalkDir::new(&src) {
        let entry = entry.expect("list");
        let path = entry.path().strip_prefix(&src).expect("below");
        let tests = path.file_name().is_some_and(|name| name == "tests.rs");
        if !tests && path.extension().is_some_and(|end| end == "rs") {
            let text = std::fs::read_to_string(entry.path()).expect("read");
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
            if ["thread::scope", "thread::spawn", "thread::Builder"]
                .iter()
                .any(|call| code.contains(call))
            {
                found.insert(path.display().to_string());
            }
        }
    }
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    // Writing while staging copies; another network; the page; staging and hashing.
    let allowed = [
        "host/flush.rs",
        "host/network.rs",
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

/// The script cannot ask `robotctl`, which is removed by then.
#[test]
fn the_purge_script_of_the_package_names_every_unit() {
    let manifest = manifest::parse(&read("packaging/robot/robot.toml")).expect("a manifest");
    let app = App::from_manifest(&manifest, None).expect("an app");
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
    let script = read("packaging/debian/postrm");
    assert_eq!(words(&script, "units='", "'\n"), units);
    let stopped = words(&script, "for name in robot.target", "; do").into_iter();
    let stopped: BTreeSet<String> = stopped.map(|name| name.replace("@*", "@")).collect();
    let others: BTreeSet<String> = units.iter().map(ToString::to_string).collect();
    let target = BTreeSet::from([app.target_unit()]);
    assert_eq!(&stopped | &target, others);
    for rest in script.split("for wants in ").skip(1) {
        let list = rest.split(';').next().unwrap_or_default();
        assert_eq!(list.split(' ').collect::<BTreeSet<_>>(), wants);
    }
}
