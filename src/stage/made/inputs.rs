//! What decides what the commands of a build make.
//!
//! Each input has a name for people and a digest. While all of them are the same as those of an earlier release, so
//! is what the commands make, as far as a manifest can say it: what a command downloads, and libraries of the host
//! that it compiles against, are not inputs.

use super::program::files_of_program;
use super::requirements::{Reading, readings};
use crate::app::Python;
use crate::host::{Root, files, read_user_file_without_links};
use crate::payload::{Item, Kind, Payload};
use crate::stage::archive::text_in_archive;
use crate::stage::source::Source;
use std::collections::BTreeMap;
use std::path::{Component, Path};

/// The name of the input that is the commands themselves.
const COMMANDS: &str = "the command";
/// The interpreter of the Python environment.
const PYTHON: &str = "/usr/bin/python3";

/// The inputs of commands, by name; or why they are not known.
pub type Inputs = Result<BTreeMap<String, String>, String>;

/// Commands that run together.
#[derive(Debug)]
pub struct Commands<'a> {
    /// Each program with its arguments.
    pub argv: Vec<&'a [String]>,
    /// What they read from standard input.
    pub texts: Vec<&'a str>,
}

/// What an earlier part of the same build makes.
#[derive(Debug, Clone, Copy)]
pub struct EarlierPart<'a> {
    /// The paths in the release.
    pub outputs: &'a [String],
    /// Its inputs.
    pub inputs: &'a Inputs,
}

/// Where inputs are read.
#[derive(Debug, Clone, Copy)]
pub struct BuildInputs<'a> {
    /// Where programs are.
    pub root: &'a Root,
    /// The source of the release.
    pub source: &'a Source,
    /// What the release would hold, with all hashes.
    pub payload: &'a Payload,
}

impl BuildInputs<'_> {
    /// The inputs of the Python environment: the interpreter, the requirements with the files that they include, the
    /// wheels, the packages of the source tree, and the commands.
    ///
    /// # Errors
    /// Why they are not known.
    pub fn of_python(&self, python: &Python, commands: &Commands<'_>) -> Inputs {
        let mut found = BTreeMap::new();
        found.insert("the interpreter".to_owned(), self.program(PYTHON)?);
        found.insert(COMMANDS.to_owned(), digest_of(commands));
        let mut files: Vec<String> = Vec::new();
        for file in &python.requirements {
            files.push(plain(file.as_str())?);
        }
        if let Some(wheels) = &python.wheels {
            let wheels = plain(wheels.as_str())?;
            found.insert(format!("`{wheels}`"), self.below(&wheels)?);
        }
        let paths = python.install.iter().filter_map(|one| one.path.as_ref());
        for path in paths {
            let path = plain(path.as_str())?;
            found.insert(format!("the package in `{path}`"), self.below(&path)?);
        }
        while let Some(file) = files.pop() {
            let name = format!("`{file}`");
            if found.contains_key(&name) {
                continue;
            }
            let (text, digest) = self.text(&file)?;
            found.insert(name, digest);
            let dir = file.rsplit_once('/').map_or("", |(dir, _)| dir);
            for reading in readings(&text) {
                match reading {
                    Reading::File(other) => files.push(plain(&format!("{dir}/{other}"))?),
                    Reading::Package(path) => {
                        let path = plain(&path)?;
                        found.insert(format!("the package in `{path}`"), self.below(&path)?);
                    }
                    Reading::Somewhere => {
                        found.insert("the source".to_owned(), self.below(".")?);
                    }
                    Reading::Outside(what) => {
                        return Err(format!(
                            "`{file}` reads {what}, which is not in the release"
                        ));
                    }
                }
            }
        }
        Ok(found)
    }

    /// The inputs of a command that declares them: these paths, the program with its interpreters, and the command.
    /// What an earlier part of the build makes counts with the inputs of that part.
    ///
    /// # Errors
    /// Why they are not known.
    pub fn of_command(
        &self,
        paths: &[String],
        commands: &Commands<'_>,
        earlier: &[EarlierPart<'_>],
    ) -> Inputs {
        let mut found = BTreeMap::new();
        found.insert(COMMANDS.to_owned(), digest_of(commands));
        for path in paths {
            found.insert(format!("`{path}`"), self.made_or_below(path, earlier)?);
        }
        for argv in &commands.argv {
            let Some(program) = argv.first() else {
                continue;
            };
            let digest = match program.contains('/') && !program.starts_with('/') {
                true => self.made_or_below(&plain(program)?, earlier)?,
                false => self.program(program)?,
            };
            found.insert(format!("the program `{program}`"), digest);
        }
        Ok(found)
    }

    /// The digest of what is at a path, or of the inputs from which an earlier part of the build makes it.
    fn made_or_below(&self, path: &str, earlier: &[EarlierPart<'_>]) -> Result<String, String> {
        let makes = |part: &&EarlierPart<'_>| {
            let mut outputs = part.outputs.iter();
            outputs.any(|output| is_at_or_below(path, output))
        };
        let Some(part) = earlier.iter().find(makes) else {
            return self.below(path);
        };
        let inputs = part.inputs.as_ref().map_err(Clone::clone)?;
        let lines = inputs
            .iter()
            .map(|(name, digest)| [name, "\0", digest, "\0"].concat());
        let lines: String = lines.collect();
        Ok(hex(blake3::hash(lines.as_bytes())))
    }

    /// The digest of a program of the host and of its interpreters: their paths and their content.
    fn program(&self, program: &str) -> Result<String, String> {
        let unreadable = |error: anyhow::Error| format!("`{program}` cannot be read: {error:#}");
        let missing = || format!("`{program}` is not installed");
        let found = files_of_program(self.root, program).map_err(unreadable)?;
        let found = found.ok_or_else(missing)?;
        let contents = files::hashes(&found).map_err(unreadable)?;
        let mut hasher = blake3::Hasher::new();
        for (path, content) in found.iter().zip(contents) {
            hasher.update(path.to_string_lossy().as_bytes());
            hasher.update(content.ok_or_else(missing)?.as_bytes());
        }
        Ok(hex(hasher.finalize()))
    }

    /// The digest of what the release has at and below a path; `.` is all of it. Behind a link, everything counts:
    /// where a link leads is known only on the disk.
    fn below(&self, path: &str) -> Result<String, String> {
        let is_link = |path: &str| {
            let item = self.payload.get(path);
            item.is_some_and(|item| matches!(item.kind, Kind::Link(_)))
        };
        let mut above = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
        let is_everything = path == "." || is_link(path) || above.any(is_link);
        let items = self.payload.items.iter();
        let items = items.filter(|item| is_everything || is_at_or_below(&item.path, path));
        let items: Vec<Item> = items.cloned().collect();
        if items.is_empty() {
            return Err(format!("the release does not have `{path}`"));
        }
        Ok(hex(Payload::new(items).digest()))
    }

    /// The text of a file of the source, and its digest.
    fn text(&self, path: &str) -> Result<(String, String), String> {
        let item = self.payload.get(path);
        let Some(Kind::File { hash, .. }) = item.map(|item| &item.kind) else {
            return Err(format!("the release does not have the file `{path}`"));
        };
        let text = text_in_source(self.source, path)?;
        let read = blake3::hash(text.as_bytes());
        if crate::payload::ContentHash::from(read) != *hash {
            return Err(format!("`{path}` changed while it was read"));
        }
        Ok((text, hex(read)))
    }
}

/// The text of a file of a source.
///
/// # Errors
/// Why it cannot be read.
pub(in crate::stage) fn text_in_source(source: &Source, path: &str) -> Result<String, String> {
    match source {
        Source::Directory(dir) => read_user_file_without_links(&dir.join(path))
            .map_err(|error| format!("`{path}` cannot be read: {error}")),
        Source::Archive(file) => text_in_archive(file, path)
            .map_err(|error| format!("`{path}` cannot be read: {error:#}"))?
            .ok_or_else(|| format!("the archive has no `{path}`")),
    }
}

/// A path of the release, without `.` and `..`.
fn plain(path: &str) -> Result<String, String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in Path::new(path.trim_start_matches('/')).components() {
        let is_inside = match part {
            Component::Normal(part) => part.to_str().map(|part| parts.push(part)).is_some(),
            Component::CurDir => true,
            Component::ParentDir => parts.pop().is_some(),
            Component::RootDir | Component::Prefix(_) => false,
        };
        if !is_inside {
            return Err(format!("`{path}` is not in the release"));
        }
    }
    Ok(match parts.is_empty() {
        true => ".".to_owned(),
        false => parts.join("/"),
    })
}

pub(super) fn is_at_or_below(path: &str, dir: &str) -> bool {
    let rest = path.strip_prefix(dir);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn digest_of(commands: &Commands<'_>) -> String {
    let mut hasher = blake3::Hasher::new();
    for argv in &commands.argv {
        for word in *argv {
            hasher.update(word.as_bytes()).update(b"\0");
        }
        hasher.update(b"\n");
    }
    for text in &commands.texts {
        hasher.update(text.as_bytes()).update(b"\0");
    }
    hex(hasher.finalize())
}

fn hex(digest: blake3::Hash) -> String {
    digest.to_hex().to_string()
}
