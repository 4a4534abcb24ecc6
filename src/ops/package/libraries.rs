//! The packages with the libraries that the programs of a payload load, as dpkg-shlibdeps(1) finds them.

use super::Unpacked;
use super::payload::StagedPayload;
use crate::host::{Command, Root, is_installed};
use crate::tree::{Entry, FileTree};
use anyhow::Result;
use std::path::Path;

/// The program, which Debian has in `dpkg-dev`.
const PROGRAM: &str = "dpkg-shlibdeps";
/// How its line begins.
const FIELD: &str = "shlibs:Depends=";
/// Runs it where it finds a control file. Private libraries of the payload have no package.
const LINE: &str =
    "cd \"$1\" && shift && exec dpkg-shlibdeps -O --warnings=0 --ignore-missing-info \"$@\"";

/// The relations, or why they are not known, in a sentence.
pub(super) type Libraries = std::result::Result<Vec<String>, String>;

/// Asks for the libraries of all programs.
pub(super) fn dependencies(
    unpacked: &Unpacked<'_>,
    staged: &StagedPayload,
    work: &Path,
) -> Result<Libraries> {
    let programs = staged.programs.iter().filter(|file| file.is_dynamic);
    let paths: Vec<&str> = programs.map(|file| file.path.as_str()).collect();
    if paths.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let ask_person = "list the packages of their libraries in `package.depends`";
    if !is_installed(PROGRAM) {
        return Ok(Err(format!(
            "`{PROGRAM}` is not installed, so nothing says what the programs of the release load: install dpkg-dev, or \
             {ask_person}"
        )));
    }
    let app = unpacked.app();
    let mut tree = FileTree::default();
    let text = format!(
        "Source: {name}\n\nPackage: {name}\nArchitecture: any\n",
        name = app.package.name
    );
    tree.insert("/shlibdeps/debian/control", Entry::file(text));
    Root::new(work).put_tree(&tree)?;
    let dir = work.join("shlibdeps").display().to_string();
    let top = unpacked.root().path(&app.layout.packaged_payload());
    let mut argv = ["sh", "-c", LINE, "sh", &dir].map(str::to_owned).to_vec();
    for path in paths {
        let path = top.join(path);
        // A private library is in a directory of the payload.
        argv.push(format!("-l{}", path.parent().unwrap_or(&top).display()));
        argv.push(format!("-e{}", path.display()));
    }
    let output = Command::new(argv).output()?;
    if output.success() {
        return Ok(Ok(relations(&output.stdout)));
    }
    let last = output.stderr.trim().lines().last().unwrap_or_default();
    Ok(Err(format!(
        "`{PROGRAM}` does not know what the programs of the release load: {last}; {ask_person}"
    )))
}

/// The relations of a line such as `shlibs:Depends=libc6 (>= 2.34), zlib1g`.
fn relations(printed: &str) -> Vec<String> {
    let line = printed.lines().find_map(|line| line.strip_prefix(FIELD));
    let all = line.unwrap_or_default().split(", ").map(str::trim);
    all.filter(|one| !one.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::relations;

    #[test]
    fn relations_are_read_from_the_line_of_depends() {
        let printed = "shlibs:Depends=libc6 (>= 2.34), zlib1g (>= 1:1.1.4)\n";
        assert_eq!(
            relations(printed),
            ["libc6 (>= 2.34)", "zlib1g (>= 1:1.1.4)"]
        );
        for none in ["", "shlibs:Depends=\n", "shlibs:Recommends=x\n"] {
            assert!(relations(none).is_empty(), "{none:?}");
        }
    }
}
