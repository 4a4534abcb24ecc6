//! Which module may import which: a stage never imports a later one.

use robotctl::app::{App, Target, unit_type};
use robotctl::manifest;
use robotctl::render::render;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Pure modules, and everything that each may use.
const PURE: &[(&str, &[&str])] = &[
    ("tree", &[]),
    // The schema of the tables lists the words that the model knows.
    ("manifest", &["app"]),
    ("app", &["manifest"]),
    ("render", &["app", "tree"]),
    ("payload", &["error", "parallel"]),
    ("plan", &["app", "payload", "render", "tree"]),
];

/// What a module may never use, and why.
const NEVER: &[(&str, &[&str], &str)] = &[
    (
        "host",
        &[
            "transaction",
            "manifest",
            "app",
            "plan",
            "store",
            "render",
            "stage",
            "health",
            "payload",
        ],
        "host is the I/O boundary and knows no other module",
    ),
    (
        "store",
        &["transaction", "doctor", "plan", "render", "health", "stage"],
        "records outlive the code that wrote them",
    ),
    (
        "stage",
        &["transaction", "doctor", "plan", "render", "health"],
        "staging is done before anything is planned on the host",
    ),
    (
        "health",
        &["transaction", "doctor", "plan", "store", "stage"],
        "health checks do not depend on what asks for them",
    ),
    (
        "transaction",
        &["doctor", "page"],
        "the installer needs no diagnosis",
    ),
    (
        "page",
        &["transaction", "plan", "stage"],
        "a page shows and changes nothing",
    ),
];

/// The modules that each module names in code, tests aside.
fn uses() -> BTreeMap<String, BTreeSet<String>> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut out: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in walkdir::WalkDir::new(&src) {
        let entry = entry.expect("list");
        let path = entry.path().strip_prefix(&src).expect("below");
        let tests = path.file_name().is_some_and(|name| name == "tests.rs");
        if tests || path.extension().is_none_or(|end| end != "rs") {
            continue;
        }
        let module = path.components().next().expect("a name").as_os_str();
        let module = module.to_string_lossy().trim_end_matches(".rs").to_owned();
        let text = std::fs::read_to_string(entry.path()).expect("read");
        out.entry(module).or_default().extend(named(&text));
    }
    out
}

fn named(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let mut out = BTreeSet::new();
    for line in lines {
        for rest in line.split("crate::").skip(1) {
            assert!(!rest.starts_with('{'), "one `use` a module, please: {line}");
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_');
            out.insert(rest[..end.unwrap_or(rest.len())].to_owned());
        }
    }
    out
}

#[test]
fn modules_import_only_what_they_may() {
    let found = uses();
    let mut wrong = Vec::new();
    for (module, allowed) in PURE {
        let used = found
            .get(*module)
            .unwrap_or_else(|| panic!("no module `{module}`"));
        for other in used.iter().filter(|other| *other != module) {
            if !allowed.contains(&other.as_str()) {
                wrong.push(format!("`{module}` is pure and uses `{other}`"));
            }
        }
    }
    for (module, forbidden, why) in NEVER {
        let used = found
            .get(*module)
            .unwrap_or_else(|| panic!("no module `{module}`"));
        for other in forbidden.iter().filter(|other| used.contains(**other)) {
            wrong.push(format!("`{module}` uses `{other}`: {why}"));
        }
    }
    for (module, used) in &found {
        if used.contains("cli") && module != "cli" {
            wrong.push(format!("`{module}` uses `cli`: nothing may"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn imports_are_found_in_code_but_not_in_comments_or_tests() {
    let text = "//! As [`crate::transaction`]\nuse crate::app::{App, Name};\n\
                fn a() { crate::host::now() }\n#[cfg(test)]\nmod tests { use crate::cli::X; }\n";
    let found: Vec<String> = named(text).into_iter().collect();
    assert_eq!(found, ["app", "host"]);
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
