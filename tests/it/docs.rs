//! The documents are correct, in the source tree and in the package: manifests are valid, and link
//! targets exist. So do the paths that messages name.

use robotctl::app::App;
use robotctl::manifest;
use std::path::{Path, PathBuf};

fn source() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Vec<PathBuf> {
    files_below(&["README.md", "docs"].map(|name| source().join(name)))
}

/// Every file below some paths, sorted.
fn files_below(paths: &[PathBuf]) -> Vec<PathBuf> {
    let files = paths.iter().flat_map(|path| {
        let entries = walkdir::WalkDir::new(path).into_iter();
        entries.map(|entry| entry.expect("list").into_path())
    });
    let mut files: Vec<PathBuf> = files.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

fn ends(path: &Path, end: &str) -> bool {
    path.extension().is_some_and(|found| found == end)
}

/// Fenced blocks of a language, with the line on which each begins.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    let mut open: Option<(usize, &'a str, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(kind)) => open = Some((index + 2, kind.trim(), String::new())),
            (Some((start, kind, block)), Some(_)) => {
                if *kind == language {
                    out.push((*start, block.clone()));
                }
                open = None;
            }
            (Some((_, _, block)), None) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    out
}

/// Whether a block shows a whole manifest, not a part of one.
fn is_manifest(block: &str) -> bool {
    let lines = block.lines().map(str::trim);
    let mut code = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    code.next().is_some_and(|line| line.starts_with("[app]"))
}

/// Checks a manifest in all of its environments.
fn judge(text: &str) -> Result<(), String> {
    let read = |environment: Option<&str>| -> manifest::Result<Vec<String>> {
        let manifest = manifest::parse(text)?;
        App::from_manifest(&manifest, environment)?;
        Ok(manifest.environment.keys().cloned().collect())
    };
    let environments = read(None).map_err(|problem| problem.at(text).to_string())?;
    for environment in environments {
        read(Some(&environment)).map_err(|problem| problem.at(text).to_string())?;
    }
    Ok(())
}

#[test]
fn every_manifest_in_the_documents_is_valid() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for path in documents() {
        let shown = path.display();
        if path.file_name().is_some_and(|name| name == "robot.toml") {
            let text = std::fs::read_to_string(&path).expect("read");
            count += 1;
            if let Err(problem) = judge(&text) {
                wrong.push(format!("{shown}: {problem}"));
            }
        }
        if ends(&path, "md") {
            let text = std::fs::read_to_string(&path).expect("read");
            for (line, block) in blocks(&text, "toml") {
                if is_manifest(&block) {
                    count += 1;
                    if let Err(problem) = judge(&block) {
                        wrong.push(format!("{shown}, block of line {line}: {problem}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 0, "no manifest was found");
}

/// Targets of `[text](target)` outside code.
fn links(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            code = !code;
        }
        let prose = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
        if !code {
            let targets = prose.split("](").skip(1);
            let targets = targets.filter_map(|rest| rest.split_once(')'));
            out.extend(targets.map(|(target, _)| target.to_owned()));
        }
    }
    out
}

/// Relative links of documents whose target does not exist.
fn dead_links(documents: &[PathBuf]) -> Vec<String> {
    let mut dead = Vec::new();
    for path in documents.iter().filter(|path| ends(path, "md")) {
        let text = std::fs::read_to_string(path).expect("read");
        for link in links(&text) {
            let target = link.split(['#', ' ']).next().unwrap_or_default();
            let elsewhere = target.contains("://") || target.starts_with("mailto:");
            let dir = path.parent().expect("a directory");
            if !target.is_empty() && !elsewhere && !dir.join(target).exists() {
                dead.push(format!("{}: `{link}` does not exist", path.display()));
            }
        }
    }
    dead
}

#[test]
fn targets_of_relative_links_exist() {
    let dead = dead_links(&documents());
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

/// What `docs/architecture.md` names in the cells of its tables, in backticks: paths, and functions of
/// tests. Each function has the path that the text names before it.
fn named_in_tables(text: &str) -> (Vec<&str>, Vec<(&str, &str)>) {
    let is_path = |word: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        word.chars().all(fits) && (word.contains('/') || word.ends_with(".rs"))
    };
    let is_function = |word: &str| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        word.contains('_') && word.chars().all(fits)
    };
    let (mut paths, mut functions) = (Vec::new(), Vec::new());
    for row in text.lines().filter(|line| line.starts_with("| ")) {
        let mut last = None;
        for word in row.split('`').skip(1).step_by(2) {
            if is_path(word) && !word.starts_with('/') {
                paths.push(word);
                last = Some(word);
            } else if let Some(path) = last.filter(|_| is_function(word)) {
                functions.push((path, word));
            }
        }
    }
    (paths, functions)
}

/// The path in the source tree that a document of contributors names, as such or below `src`.
fn in_source(path: &str) -> Option<PathBuf> {
    let places = [source().to_owned(), source().join("src")];
    let mut paths = places.into_iter().map(|place| place.join(path));
    paths.find(|path| path.exists())
}

#[test]
fn paths_in_the_tables_of_the_architecture_exist() {
    let text = std::fs::read_to_string(source().join("docs/architecture.md")).expect("read");
    let (paths, functions) = named_in_tables(&text);
    let mut wrong = Vec::new();
    // Paths of the host and of a table are no files of the source tree.
    for path in paths.iter().filter(|path| !path.starts_with("releases/")) {
        if in_source(path).is_none() {
            wrong.push(format!("`{path}` does not exist"));
        }
    }
    for (path, function) in &functions {
        let file = in_source(path).filter(|path| path.is_file());
        let code = file.and_then(|file| std::fs::read_to_string(file).ok());
        let is_there = code.is_some_and(|code| code.contains(&format!("fn {function}(")));
        if path.contains("tests/") && !is_there {
            wrong.push(format!("`{path}` has no function `{function}`"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(paths.len() > 60, "only {} paths were found", paths.len());
    assert!(functions.len() > 5, "only {} functions", functions.len());
}

#[test]
fn a_path_in_a_table_is_found_with_its_functions() {
    let text =
        "`src/a.rs`\n| 1 | `tests/it/a.rs`: `b_c`; `no/dir/` `host`, `a.rs` | `x y` | `/etc/x` |\n";
    let (paths, functions) = named_in_tables(text);
    assert_eq!(paths, ["tests/it/a.rs", "no/dir/", "a.rs"]);
    assert_eq!(functions, [("tests/it/a.rs", "b_c")]);
    assert!(in_source("tests/it/obstacles.rs").is_none());
    assert!(in_source("cli/view").is_some() && in_source("error.rs").is_some());
}

/// What the package installs in /usr, as far as it comes from the source tree: documents and schema.
fn installed() -> tempfile::TempDir {
    let usr = tempfile::tempdir().expect("make a directory");
    let dir = usr.path().join("share/doc/robot");
    let copied = std::process::Command::new(source().join("scripts/package-docs"))
        .arg(&dir)
        .output()
        .expect("run scripts/package-docs");
    let said = String::from_utf8_lossy(&copied.stderr);
    assert!(copied.status.success(), "{said}");
    let text = std::fs::read_to_string(source().join("Cargo.toml")).expect("read");
    let cargo: toml::Table = text.parse().expect("parse Cargo.toml");
    let assets = cargo["package"]["metadata"]["deb"]["assets"].as_array();
    let assets = assets.expect("a list of assets").iter();
    let assets: Vec<(&str, &str)> = assets
        .filter_map(|asset| {
            let list = asset.as_array()?;
            Some((list[0].as_str()?, list[1].as_str()?))
        })
        .collect();
    // The tree of documents as a whole, and single files of the source tree.
    assert!(assets.contains(&("target/reference/docs/**/*", "usr/share/doc/robot/")));
    assert!(assets.contains(&("target/reference/man/*.1", "usr/share/man/man1/")));
    assert!(assets.contains(&("target/reference/man/*.5", "usr/share/man/man5/")));
    for (from, to) in assets {
        let (from, to) = (source().join(from), to.trim_start_matches("usr/"));
        if to.starts_with("share/") && from.is_file() {
            let name = from.file_name().expect("a name");
            let to = usr.path().join(to);
            std::fs::create_dir_all(&to).expect("make a directory");
            std::fs::copy(&from, to.join(name)).expect("copy a file");
        }
    }
    usr
}

#[test]
fn links_of_installed_documents_have_targets() {
    let usr = installed();
    let documents = files_below(&[usr.path().to_owned()]);
    assert!(
        documents
            .iter()
            .any(|path| path.ends_with("robot/README.md"))
    );
    let dead = dead_links(&documents);
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

/// Paths of installed files that a text names.
fn named_paths(text: &str) -> Vec<String> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
    let starts = text.match_indices("/usr/share/");
    let paths = starts.map(|(start, _)| {
        let rest = &text[start..];
        let end = rest.find(|c| !is_path(c)).unwrap_or(rest.len());
        rest[..end].trim_end_matches('.').to_owned()
    });
    // Those of other packages are examples.
    paths.filter(|path| path.contains("/robot")).collect()
}

#[test]
fn paths_in_messages_are_installed() {
    let usr = installed();
    let mut wrong = Vec::new();
    let mut count = 0;
    for path in
        files_below(&["src", "packaging", "README.md", "docs"].map(|dir| source().join(dir)))
    {
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        let shown = path.display();
        for named in named_paths(&text) {
            count += 1;
            if !usr.path().join(named.trim_start_matches("/usr/")).exists() {
                wrong.push(format!("{shown}: {named} is not in the package"));
            }
        }
        // A user has no source tree. The commands of `reference` are for contributors.
        let is_source = path.starts_with(source().join("src"));
        if is_source && !path.starts_with(source().join("src/cli/reference")) {
            let code = text.lines().filter(|line| {
                let line = line.trim_start();
                !line.starts_with("//") && !line.contains("include_str!")
            });
            for line in code.filter(|line| line.contains("docs/")) {
                wrong.push(format!("{shown} names a path of the source tree: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 3, "only {count} paths were found");
}

#[test]
fn the_helpers_find_blocks_links_and_bad_manifests() {
    let text = "[a](b.md) `[no](code)` [c](d.md#e)\n```toml\n# x\n[app]\nname = \"a\"\n```\n\
                ```sh\n[x](y)\n```\n";
    assert_eq!(links(text), ["b.md", "d.md#e"]);
    let found = blocks(text, "toml");
    assert_eq!(found, [(3, "# x\n[app]\nname = \"a\"\n".to_owned())]);
    assert!(is_manifest(&found[0].1) && !is_manifest("[service.web]\n"));
    assert!(judge(&found[0].1).is_err());
}

#[test]
fn reference_documents_are_up_to_date() {
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_robotctl"))
        .args(["reference", "--check"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("run robotctl");
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
}

/// What the shell is offered for the last of some words, by the binary itself.
fn completions(words: &[&str]) -> Vec<String> {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_robotctl"))
        .env("COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", words.len().to_string())
        .env("_CLAP_IFS", "\n")
        .args(["--", "robotctl"])
        .args(words)
        .output()
        .expect("run robotctl");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    let offered = String::from_utf8_lossy(&output.stdout);
    offered.lines().map(str::to_owned).collect()
}

#[test]
fn completions_know_commands_and_options() {
    let offered = completions(&[""]);
    for command in [
        "generate", "deploy", "rollback", "status", "doctor", "--app",
    ] {
        assert!(offered.iter().any(|one| one == command), "{offered:?}");
    }
    assert_eq!(completions(&["de"]), ["deploy"]);
    assert_eq!(completions(&["deploy", "--pl"]), ["--plan"]);
    assert_eq!(completions(&["--format", ""]), ["text", "json"]);
    let levels = completions(&["doctor", "--fail-on", ""]);
    assert_eq!(levels, ["note", "warning", "error"]);
    let checks = completions(&["doctor", "--explain", "s"]);
    assert_eq!(
        checks,
        ["state", "shadowed", "secrets", "same-secrets", "settings"]
    );
}

#[test]
fn completions_leave_internal_commands_out() {
    let offered = completions(&[""]);
    for internal in ["await", "soak", "drained", "relay", "page", "reference"] {
        assert!(!offered.iter().any(|one| one == internal), "{offered:?}");
        assert_eq!(completions(&[internal]), [""; 0], "{internal}");
    }
    assert_eq!(completions(&["recover", "--b"]), [""; 0]);
}

#[test]
fn completions_know_apps_services_and_releases() {
    let test = crate::test::Test::shop();
    test.run(["deploy", "--apply"]).any_stderr().success();
    let root = test.root("").display().to_string();
    let offered = |words: &[&str]| completions(&[&["--root", &root], words].concat());
    assert_eq!(offered(&["--app", ""]), ["shop"]);
    assert_eq!(offered(&["status", "--app", "s"]), ["shop"]);
    assert_eq!(offered(&["rollback", "--service", ""]), ["web"]);
    let releases = offered(&["rollback", "1."]);
    let live = std::fs::read_link(test.root("opt/shop/current")).expect("read a link");
    let live = live
        .file_name()
        .expect("a release")
        .to_string_lossy()
        .into_owned();
    assert_eq!(releases, [live]);
}

/// The arguments of each `cargo test` in a text.
fn cargo_tests(text: &str) -> Vec<Vec<&str>> {
    let commands = text
        .lines()
        .flat_map(|line| line.split("cargo test ").skip(1));
    let ends = commands.map(|rest| rest.split(['`', '#']).next().unwrap_or_default());
    ends.map(|words| words.split_whitespace().collect())
        .collect()
}

/// What is wrong with the arguments of a `cargo test`: a filter that matches no test runs nothing and
/// passes.
fn wrong_filter(words: &[&str]) -> Option<String> {
    let at = words.iter().position(|word| *word == "--test")?;
    let target = words.get(at + 1)?;
    let takes_value = |word: &str| ["--every", "--test-threads"].contains(&word);
    let rest = words.iter().skip(at + 2);
    let mut before = "";
    let mut filters = Vec::new();
    for word in rest {
        if !word.starts_with('-') && !takes_value(before) {
            filters.push(*word);
        }
        before = word;
    }
    let filter = match filters.as_slice() {
        [] => return None,
        [one] => *one,
        _ => return Some(format!("{filters:?}: a run takes one filter")),
    };
    let files = files_below(&[source().join("tests").join(target)]);
    let mut names = files
        .iter()
        .filter(|path| ends(path, "rs"))
        .flat_map(|path| {
            let module = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let text = std::fs::read_to_string(path).expect("read");
            let names = text.lines().filter_map(|line| {
                let name = line.trim_start().strip_prefix("fn ")?.split('(').next()?;
                Some(format!("{module}::{name}"))
            });
            names.collect::<Vec<_>>()
        });
    let found = names.any(|name| name.contains(filter));
    (!found).then(|| format!("`{filter}` matches no test of `{target}`"))
}

#[test]
fn every_test_in_the_documents_exists() {
    let mut wrong = Vec::new();
    let mut count = 0;
    let pages = documents()
        .into_iter()
        .chain([source().join("CONTRIBUTING.md")]);
    for path in pages.filter(|path| ends(path, "md")) {
        let text = std::fs::read_to_string(&path).expect("read");
        for words in cargo_tests(&text) {
            count += 1;
            if let Some(what) = wrong_filter(&words) {
                wrong.push(format!("{}: {what}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 0, "no `cargo test` was found");
}

#[test]
fn a_filter_that_matches_nothing_is_found() {
    let text = "Run `cargo test --test it docs::every_manifest` or\n\
                $ cargo test --test faults -- --every 15   # quick\n\
                $ cargo test --test system -- no_such_test\n\
                $ cargo test --test system -- rollback deploy --full\n";
    let found: Vec<Option<String>> = cargo_tests(text)
        .iter()
        .map(|words| wrong_filter(words))
        .collect();
    let [None, None, Some(missing), Some(two)] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert!(
        missing.contains("`no_such_test` matches no test"),
        "{missing}"
    );
    assert!(two.contains("one filter"), "{two}");
}
