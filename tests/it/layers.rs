//! Which module may know which, as `src` is laid out: a stage never looks at the one after it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Modules that are pure, and all that each may use.
const PURE: &[(&str, &[&str])] = &[
    ("tree", &[]),
    ("manifest", &[]),
    ("model", &["manifest"]),
    ("render", &["model", "tree"]),
    // Plan and record share what a file's change and a release's payload are.
    ("plan", &["model", "record", "stage", "tree"]),
];

/// What a module may never use, and why.
const NEVER: &[(&str, &[&str], &str)] = &[
    (
        "host",
        &[
            "apply", "manifest", "model", "plan", "record", "render", "stage", "verify",
        ],
        "the door knows nothing of who goes through it",
    ),
    (
        "record",
        &["apply", "doctor", "plan", "render", "verify"],
        "records outlive the code that wrote them",
    ),
    (
        "stage",
        &["apply", "doctor", "plan", "render", "verify"],
        "staging is done before anything is planned on the host",
    ),
    (
        "verify",
        &["apply", "doctor", "plan", "record", "stage"],
        "health is looked at, whoever asks",
    ),
    (
        "apply",
        &["doctor", "page"],
        "the installer needs no diagnosis",
    ),
    (
        "page",
        &["apply", "plan", "stage"],
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
        if path.extension().is_none_or(|end| end != "rs") {
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
fn dependencies_point_one_way() {
    let uses = uses();
    let mut wrong = Vec::new();
    for (module, allowed) in PURE {
        let used = uses
            .get(*module)
            .unwrap_or_else(|| panic!("no module `{module}`"));
        for other in used.iter().filter(|other| *other != module) {
            if !allowed.contains(&other.as_str()) {
                wrong.push(format!("`{module}` is pure and uses `{other}`"));
            }
        }
    }
    for (module, forbidden, why) in NEVER {
        let used = uses
            .get(*module)
            .unwrap_or_else(|| panic!("no module `{module}`"));
        for other in forbidden.iter().filter(|other| used.contains(**other)) {
            wrong.push(format!("`{module}` uses `{other}`: {why}"));
        }
    }
    for (module, used) in &uses {
        if used.contains("cli") && module != "cli" {
            wrong.push(format!("`{module}` uses `cli`: nothing may"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn modules_are_found_in_code_and_not_in_comments_or_tests() {
    let text = "//! As [`crate::apply`]\nuse crate::model::{App, Name};\n\
                fn a() { crate::host::now() }\n#[cfg(test)]\nmod tests { use crate::cli::X; }\n";
    let found: Vec<String> = named(text).into_iter().collect();
    assert_eq!(found, ["host", "model"]);
}
