//! Which other files and packages a requirements file names, in pip's format
//! (pip.pypa.io, "Requirements File Format"). What cannot be judged is never called unchanged.

/// What a line of a requirements file makes pip read, besides the index of packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    /// Another file of this format, relative to the directory of the file that names it.
    File(String),
    /// A package of the source tree, relative to the release.
    Package(String),
    /// Packages of a directory that pip looks for in several places.
    Somewhere,
    /// Something that is not in the release, in words.
    Outside(String),
}

/// Options with a file of the same format.
const FILES: [&str; 4] = ["-r", "--requirement", "-c", "--constraint"];
/// Options with a package of the source tree.
const PACKAGES: [&str; 2] = ["-e", "--editable"];
/// Options with a directory of packages, or an address.
const DIRECTORIES: [&str; 2] = ["-f", "--find-links"];
/// How the name of a file with a package ends.
const SUFFIXES: [&str; 6] = [".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"];

/// Everything that a requirements file makes pip read, besides the index.
pub(super) fn readings(text: &str) -> Vec<Reading> {
    let lines = text.replace("\\\r\n", " ").replace("\\\n", " ");
    let lines = lines.lines().map(without_comment).map(str::trim);
    lines
        .filter(|line| !line.is_empty())
        .flat_map(of_line)
        .collect()
}

/// A comment begins at the start of a line or after white space.
fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    for (at, character) in line.char_indices() {
        if character == '#' && before.is_whitespace() {
            return line.get(..at).unwrap_or(line);
        }
        before = character;
    }
    line
}

fn of_line(line: &str) -> Vec<Reading> {
    if !line.starts_with('-') {
        return of_requirement(line).into_iter().collect();
    }
    let mut words = line.split_whitespace();
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        let Some((option, value)) = option_of(word) else {
            continue;
        };
        let value = value.or_else(|| words.next().map(str::to_owned));
        let value = value.unwrap_or_default();
        let value = value.trim_matches(['"', '\'']).to_owned();
        found.push(if value.contains('$') {
            // pip replaces `${NAME}` with a variable of its environment.
            Reading::Outside(format!("`{value}`, which depends on a variable"))
        } else if DIRECTORIES.contains(&option) {
            match value.contains("://") {
                true => continue, // An index like any other.
                false => Reading::Somewhere,
            }
        } else if FILES.contains(&option) {
            match value.contains("://") || value.starts_with('/') {
                true => Reading::Outside(format!("`{value}`")),
                false => Reading::File(value),
            }
        } else if is_version_control(&value) {
            continue; // A package of another server.
        } else {
            package(&value)
        });
    }
    found
}

/// The option that a word begins with, and the value that is part of the word.
fn option_of(word: &str) -> Option<(&'static str, Option<String>)> {
    let known = FILES.iter().chain(&PACKAGES).chain(&DIRECTORIES);
    for option in known {
        let Some(rest) = word.strip_prefix(option) else {
            continue;
        };
        if rest.is_empty() {
            return Some((option, None));
        }
        if let Some(value) = rest.strip_prefix('=') {
            return Some((option, Some(value.to_owned())));
        }
        if !option.starts_with("--") {
            return Some((option, Some(rest.to_owned())));
        }
    }
    None
}

/// A line that is no option: a name with versions, an address, or a path.
fn of_requirement(line: &str) -> Option<Reading> {
    let word = line.split([' ', '\t', ';']).next().unwrap_or(line);
    let address = line.split_once('@').map(|(_, rest)| rest.trim_start());
    if let Some(address) = address
        && address.starts_with("file:")
    {
        return Some(package(
            address.split_whitespace().next().unwrap_or(address),
        ));
    }
    if word.contains("://") && !word.starts_with("file:") {
        return None;
    }
    let plain = word.split('[').next().unwrap_or(word);
    let is_path = word.starts_with("file:")
        || plain.starts_with('.')
        || plain.contains('/')
        || SUFFIXES.iter().any(|end| plain.ends_with(end));
    is_path.then(|| package(word))
}

fn is_version_control(value: &str) -> bool {
    value.contains("+http") || value.contains("+ssh") || value.contains("+git")
}

/// A package at a path.
fn package(word: &str) -> Reading {
    let path = word.split(['[', ';', '#']).next().unwrap_or(word);
    if path.starts_with('/') || path.starts_with("file:") {
        return Reading::Outside(format!("`{path}`"));
    }
    Reading::Package(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Reading, readings};

    #[test]
    fn what_a_line_reads_is_found() {
        let file = |path: &str| vec![Reading::File(path.to_owned())];
        let package = |path: &str| vec![Reading::Package(path.to_owned())];
        let outside = |what: &str| vec![Reading::Outside(what.to_owned())];
        for (line, expected) in [
            ("flask==3.0  # -r a.txt", vec![]),
            ("# -r a.txt", vec![]),
            ("flask[async]>=2 ; python_version > \"3.8\"", vec![]),
            ("paper @ https://example.org/paper.whl", vec![]),
            ("git+https://example.org/paper.git@main", vec![]),
            (
                "-e git+https://example.org/paper.git@main#egg=paper",
                vec![],
            ),
            ("--index-url https://example.org/simple", vec![]),
            ("--find-links https://example.org/", vec![]),
            ("flask==3.0 --hash=sha256:00", vec![]),
            ("-r base.txt", file("base.txt")),
            ("-rbase.txt", file("base.txt")),
            ("--requirement=../base.txt", file("../base.txt")),
            ("-c\tlimits.txt # versions", file("limits.txt")),
            ("--constraint \\\n limits.txt", file("limits.txt")),
            ("-e .", package(".")),
            ("--editable ./api[web]", package("./api")),
            (".", package(".")),
            (".[web,core]", package(".")),
            ("./api[web] ; python_version > \"3.8\"", package("./api")),
            ("vendor/paper", package("vendor/paper")),
            (
                "paper-1.0-py3-none-any.whl",
                package("paper-1.0-py3-none-any.whl"),
            ),
            ("-f wheels", vec![Reading::Somewhere]),
            (
                "-r https://example.org/a.txt",
                outside("`https://example.org/a.txt`"),
            ),
            ("-c /etc/limits.txt", outside("`/etc/limits.txt`")),
            ("/srv/paper", outside("`/srv/paper`")),
            ("paper @ file:///srv/paper", outside("`file:///srv/paper`")),
            (
                "-r ${HOME}/a.txt",
                outside("`${HOME}/a.txt`, which depends on a variable"),
            ),
        ] {
            assert_eq!(readings(line), expected, "{line}");
        }
    }
}
