//! The documents are correct: manifests are valid, and link targets exist.

use robotctl::app::App;
use robotctl::manifest;
use std::path::{Path, PathBuf};

fn documents() -> Vec<PathBuf> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR"));
    let all = ["README.md", "docs"].map(|name| base.join(name));
    let files = all.iter().filter(|path| path.exists()).flat_map(|path| {
        let entries = walkdir::WalkDir::new(path).into_iter();
        entries.map(|entry| entry.expect("list").into_path())
    });
    let mut files: Vec<PathBuf> = files.collect();
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

#[test]
fn targets_of_relative_links_exist() {
    let mut wrong = Vec::new();
    for path in documents().into_iter().filter(|path| ends(path, "md")) {
        let text = std::fs::read_to_string(&path).expect("read");
        for link in links(&text) {
            let target = link.split(['#', ' ']).next().unwrap_or_default();
            let elsewhere = target.contains("://") || target.starts_with("mailto:");
            let dir = path.parent().expect("a directory");
            if !target.is_empty() && !elsewhere && !dir.join(target).exists() {
                wrong.push(format!("{}: `{link}` does not exist", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
