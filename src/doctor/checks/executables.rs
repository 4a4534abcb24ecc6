//! Whether the programs of the services can run: interpreters, libraries, Python environments, architecture.
//!
//! Everything is looked for where the service sees it, not where the host has it.

use crate::app::{App, Service, Text};
use crate::command_line::CommandLine;
use crate::doctor::report::{CheckContext, Finding, Severity};
use crate::error::Hint;
use crate::exposure::Unit;
use crate::host::{ElfFile, ProgramFile, Root, has_other_formats, own_architectures};
use crate::sandbox_files::{SandboxFiles, Seen, Unseen};
use crate::settings::env_values;
use anyhow::{Result, bail};
use std::collections::{BTreeMap, BTreeSet};

/// How many interpreters of interpreters the kernel follows (execve(2)).
const MAX_INTERPRETERS: usize = 5;
/// `PATH` of services (systemd.exec(5), "Environment Variables Set or Propagated by the Service Manager").
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The program that looks for another one in `PATH` (env(1)).
const ENV: &str = "/usr/bin/env";
/// The file that makes a directory a Python environment, and names the Python that it is made of.
const PYVENV: &str = "pyvenv.cfg";
/// How much of that file is read: it has a few lines.
const MAX_PYVENV_BYTES: u64 = 64 * 1024;
/// Where the loader of glibc finds libraries quickly (ld.so(8)).
const LOADER_CACHE: &str = "/etc/ld.so.cache";
/// Where it looks then.
const LIBRARY_DIRS: [&str; 4] = ["/lib", "/usr/lib", "/lib64", "/usr/lib64"];
/// How the names of the loaders of glibc begin. Others have other rules.
const GLIBC_LOADERS: [&str; 2] = ["ld-linux", "ld64"];

/// What is wrong with a program: a clause that follows its name, and what to do.
type Problem = (String, &'static str);

/// Programs that exist and cannot run. The check `programs` reports those that are missing.
pub(in crate::doctor) fn executables(
    context: &CheckContext<'_>,
    app: &App,
) -> Result<Vec<Finding>> {
    let root = &context.host.root;
    let environment = env_values(root, &app.layout)?;
    let cache = root.read(LOADER_CACHE)?.unwrap_or_default();
    let libraries = cached_libraries(&cache);
    let units: BTreeMap<&str, Unit> = context
        .units
        .with_files()?
        .map(|(unit, _, files)| {
            let texts: Vec<&str> = files.iter().map(|file| file.text.as_str()).collect();
            (unit, Unit::merge(&texts))
        })
        .collect();
    let (mut found, mut seen, mut unread) = (Vec::new(), BTreeSet::new(), Vec::new());
    for service in &app.services {
        let unit = units.get(app.unit(service).as_str());
        let Some(files) = unit.and_then(SandboxFiles::of) else {
            continue;
        };
        let variable = |name: &str| {
            let own = service.env.iter().find(|(key, _)| key.as_str() == name);
            let own = own.map(|(_, value)| value.as_str());
            environment.get(name).map(String::as_str).or(own)
        };
        let path = variable("PATH").unwrap_or(DEFAULT_PATH).to_owned();
        let extra = variable("LD_LIBRARY_PATH").unwrap_or_default().to_owned();
        for program in programs(service) {
            let key = (files.clone(), path.clone(), extra.clone(), program);
            if !seen.insert(key) {
                continue;
            }
            let case = Case {
                root,
                files: &files,
                path: &path,
                extra: &extra,
                libraries: &libraries,
            };
            match case.of_program(program) {
                Ok(None) => {}
                Ok(Some((problem, hint))) => {
                    let message = format!("`{program}` of service `{}` {problem}", service.name);
                    let deploy = CommandLine::sudo_robotctl(["deploy", "--apply"]);
                    let fix = Hint::to(format!("{hint}; then, if the release changed"), deploy);
                    found.push(Finding::new(Severity::Error, message, fix));
                }
                // The other programs are checked all the same.
                Err(error) => unread.push(format!("{error:#}")),
            }
        }
    }
    if found.is_empty() && !unread.is_empty() {
        bail!(unread.join("; "));
    }
    Ok(found)
}

/// The programs that start a service and reload it.
fn programs(service: &Service) -> impl Iterator<Item = &str> {
    let commands = [&service.exec, &service.exec_reload].into_iter();
    let commands = commands.chain(&service.exec_start_pre);
    let programs = commands.filter_map(|argv| argv.first().map(Text::as_str));
    programs.filter(|program| program.starts_with('/'))
}

/// The paths of the libraries in the cache of the loader, by name (ldconfig(8)). The texts of the file are
/// all that counts here.
fn cached_libraries(cache: &[u8]) -> BTreeMap<&str, Vec<&str>> {
    let mut out: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let texts = cache.split(|byte| *byte == 0);
    for text in texts.filter(|text| text.first() == Some(&b'/')) {
        let text = std::str::from_utf8(text).unwrap_or_default();
        if let Some((_, name)) = text.rsplit_once('/') {
            out.entry(name).or_default().push(text);
        }
    }
    out
}

/// What decides whether the programs of a service run.
struct Case<'a> {
    root: &'a Root,
    files: &'a SandboxFiles,
    /// `PATH`
    path: &'a str,
    /// `LD_LIBRARY_PATH`
    extra: &'a str,
    libraries: &'a BTreeMap<&'a str, Vec<&'a str>>,
}

impl Case<'_> {
    fn find(&self, path: &str) -> Result<Result<Seen, Unseen>> {
        self.files.find(self.root, path)
    }

    /// What keeps a program from running.
    fn of_program(&self, program: &str) -> Result<Option<Problem>> {
        let mut path = program.to_owned();
        for depth in 0..MAX_INTERPRETERS {
            if let Some(problem) = self.of_environment(&path)? {
                return Ok(Some(problem));
            }
            let seen = match self.find(&path)? {
                Ok(seen) if seen.meta.is_file() => seen,
                // The check `programs` reports it.
                Ok(_) => return Ok(None),
                Err(Unseen::Missing(_)) if depth == 0 && !self.is_link(&path)? => return Ok(None),
                Err(unseen) => return Ok(Some(unseen_program(depth, &unseen))),
            };
            let words = match ProgramFile::read(&self.root.path(&seen.host))? {
                ProgramFile::Script(words) => words,
                ProgramFile::Elf(elf) => return self.of_elf(&seen, &elf),
                ProgramFile::Other if has_other_formats() => return Ok(None),
                ProgramFile::Other => {
                    return Ok(Some((
                        format!(
                            "cannot start: `{}` has no `#!` line and is not an ELF file",
                            seen.inside
                        ),
                        "name its interpreter in the first line, such as `#!/usr/bin/python3`",
                    )));
                }
            };
            path = match self.interpreter(&seen, &words)? {
                Ok(path) => path,
                Err(problem) => return Ok(problem),
            };
        }
        Ok(Some((
            "cannot start: its interpreters are scripts of each other".to_owned(),
            "name a program in the `#!` line",
        )))
    }

    /// Whether a link at a path leads to nothing the service sees.
    fn is_link(&self, path: &str) -> Result<bool> {
        let (dir, name) = path.rsplit_once('/').unwrap_or_default();
        let Ok(dir) = self.find(dir)? else {
            return Ok(false);
        };
        let meta = self.root.meta(&format!("{}/{name}", dir.host))?;
        Ok(meta.is_some_and(|meta| meta.is_symlink))
    }

    /// The interpreter of a script; what is wrong, or nothing, when it is not known.
    fn interpreter(
        &self,
        script: &Seen,
        words: &[String],
    ) -> Result<Result<String, Option<Problem>>> {
        let Some(first) = words.first().filter(|first| first.starts_with('/')) else {
            return Ok(Err(Some((
                format!(
                    "cannot start: the `#!` line of `{}` has no absolute path",
                    script.inside
                ),
                "write the path of the interpreter, such as `#!/usr/bin/python3`",
            ))));
        };
        if first.ends_with('\r') {
            return Ok(Err(Some((
                format!(
                    "cannot start: the `#!` line of `{}` ends with a carriage return",
                    script.inside
                ),
                "save the file with the line ends of Linux",
            ))));
        }
        if first != ENV {
            return Ok(Ok(first.clone()));
        }
        let mut names = words.iter().skip(1);
        let name = names.find(|word| !word.starts_with('-') && !word.contains('='));
        let Some(name) = name.filter(|name| !name.contains('/')) else {
            return Ok(Err(None));
        };
        for dir in self.path.split(':') {
            let path = format!("{dir}/{name}");
            if self.find(&path)?.is_ok_and(|seen| seen.meta.is_file()) {
                return Ok(Ok(path));
            }
        }
        Ok(Err(Some((
            format!(
                "cannot start: its interpreter `{name}` is in no directory of its `PATH` ({})",
                self.path
            ),
            "install it for the whole host, or add it to the release and set `PATH` in `env`",
        ))))
    }

    /// The Python environment of an interpreter.
    fn of_environment(&self, python: &str) -> Result<Option<Problem>> {
        const AGAIN: &str =
            "make the environment again on this host, such as with `release.python`";
        let Some((bin, name)) = python.rsplit_once('/') else {
            return Ok(None);
        };
        let dir = bin.rsplit_once('/').map_or("", |(dir, _)| dir);
        if !name.starts_with("python") {
            return Ok(None);
        }
        let Ok(config) = self.find(&format!("{dir}/{PYVENV}"))? else {
            return Ok(None);
        };
        let text = self.root.read_small(&config.host, MAX_PYVENV_BYTES)?;
        let text = text.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let value = |key: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once('='));
            lines.find_map(|(name, value)| (name.trim() == key).then(|| value.trim()))
        };
        if let Some(home) = value("home")
            && let Err(unseen) = self.find(home)?
        {
            return Ok(Some((
                format!("cannot start: the Python of its environment `{dir}` is in {unseen}"),
                AGAIN,
            )));
        }
        let made_for = value("version")
            .or_else(|| value("version_info"))
            .and_then(minor_version);
        let Ok(real) = self.find(python)? else {
            return Ok(None);
        };
        let is = real
            .inside
            .rsplit_once("/python")
            .and_then(|(_, version)| minor_version(version));
        let (Some(made_for), Some(is)) = (made_for, is) else {
            return Ok(None);
        };
        if made_for == is || self.find(&format!("{dir}/lib/python{is}"))?.is_ok() {
            return Ok(None);
        }
        Ok(Some((
            format!(
                "finds no packages: its environment `{dir}` was made for Python {made_for}, and `{}` is {is}",
                real.inside
            ),
            AGAIN,
        )))
    }

    /// An ELF program: its architecture, its loader and its libraries.
    fn of_elf(&self, program: &Seen, elf: &ElfFile) -> Result<Option<Problem>> {
        let own = own_architectures();
        let is_own = own.is_empty() || own.iter().any(|(machine, _)| *machine == elf.machine);
        if !is_own && !has_other_formats() {
            let names: Vec<&str> = own.iter().map(|(_, name)| *name).collect();
            return Ok(Some((
                format!(
                    "cannot start: `{}` is built for another architecture than {}",
                    program.inside,
                    names.join(" or ")
                ),
                "build it for the architecture of this host",
            )));
        }
        let Some(loader) = &elf.loader else {
            return Ok(None);
        };
        if let Err(unseen) = self.find(loader)? {
            return Ok(Some((
                format!(
                    "cannot start: `{}` needs the loader {unseen}",
                    program.inside
                ),
                "install the package that has it, or build the program for this host",
            )));
        }
        let name = loader
            .rsplit_once('/')
            .map_or(loader.as_str(), |(_, name)| name);
        if !is_own || !GLIBC_LOADERS.iter().any(|start| name.starts_with(start)) {
            return Ok(None);
        }
        let missing = self.missing_library(program, elf)?;
        Ok(missing.map(|(user, library)| {
            (
                format!("cannot start: `{user}` needs the library `{library}`, which the service does not find"),
                "install the package that has it, or add it to the release",
            )
        }))
    }

    /// A library that is not found, with the file that needs it. Of libraries, those in the release are read
    /// too: packages of the host bring what theirs need.
    fn missing_library(&self, program: &Seen, elf: &ElfFile) -> Result<Option<(String, String)>> {
        // A library also finds what the search path of the program finds.
        let of_program = search_of(program, elf);
        let mut left = vec![(
            program.inside.clone(),
            of_program.clone(),
            elf.needed.clone(),
        )];
        let mut known: BTreeSet<String> = BTreeSet::new();
        while let Some((user, search, needed)) = left.pop() {
            for library in needed {
                if !known.insert(library.clone()) {
                    continue;
                }
                let Some(seen) = self.library(&library, &search, &of_program)? else {
                    return Ok(Some((user, library)));
                };
                if !seen.inside.starts_with("/opt/") {
                    continue;
                }
                if let ProgramFile::Elf(elf) = ProgramFile::read(&self.root.path(&seen.host))? {
                    left.push((seen.inside.clone(), search_of(&seen, &elf), elf.needed));
                }
            }
        }
        Ok(None)
    }

    /// A library, where the loader finds it (ld.so(8)).
    fn library(
        &self,
        name: &str,
        search: &[String],
        of_program: &[String],
    ) -> Result<Option<Seen>> {
        if name.contains('/') {
            return Ok(self.find(name)?.ok());
        }
        let extra = self.extra.split(':').filter(|dir| !dir.is_empty());
        let dirs = search.iter().chain(of_program).map(String::as_str);
        let dirs = dirs.chain(extra).map(|dir| format!("{dir}/{name}"));
        let cached = self.libraries.get(name).into_iter().flatten();
        let cached = cached.map(|path| (*path).to_owned());
        let default = LIBRARY_DIRS.iter().map(|dir| format!("{dir}/{name}"));
        for path in dirs.chain(cached).chain(default) {
            if let Ok(seen) = self.find(&path)? {
                return Ok(Some(seen));
            }
        }
        Ok(None)
    }
}

/// The search path of a file, with `$ORIGIN` replaced.
fn search_of(file: &Seen, elf: &ElfFile) -> Vec<String> {
    let origin = file.inside.rsplit_once('/').map_or("", |(dir, _)| dir);
    let dirs = elf.search.iter();
    dirs.map(|dir| dir.replace("${ORIGIN}", origin).replace("$ORIGIN", origin))
        .collect()
}

fn unseen_program(depth: usize, unseen: &Unseen) -> Problem {
    let what = match depth {
        0 => format!("cannot start: it leads to {unseen}"),
        _ => format!("cannot start: its interpreter is {unseen}"),
    };
    let is_home = ["/home/", "/root/"]
        .iter()
        .any(|home| unseen.path().starts_with(home));
    let hint = match (unseen, is_home) {
        (_, true) => "add it to the release, or install it for the whole host",
        (Unseen::Hidden(_), _) => {
            "add it to the release, or list its directory in `sandbox.read-only`"
        }
        _ => "install the package that has it, or add it to the release",
    };
    (what, hint)
}

/// The first two numbers of a version: `3.11` of `3.11.2`.
fn minor_version(text: &str) -> Option<String> {
    let mut numbers = text.split('.');
    let (major, minor) = (numbers.next()?, numbers.next()?);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(major) && is_number(minor)).then(|| format!("{major}.{minor}"))
}

#[cfg(test)]
mod tests {
    use super::{Case, DEFAULT_PATH, cached_libraries, minor_version};
    use crate::exposure::Unit;
    use crate::host::Root;
    use crate::sandbox_files::SandboxFiles;
    use std::collections::BTreeMap;
    use std::path::Path;

    const UNIT: &str = "[Service]\nRootDirectory=/run/robotctl/root\nBindReadOnlyPaths=/usr -/bin -/lib\n\
        BindReadOnlyPaths=/opt/shop/current\nProtectHome=yes\n";

    fn tree() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::new(dir.path());
        let own = std::env::current_exe().unwrap();
        let program = Root::new(Path::new("/")).read(own.to_str().unwrap());
        let program = program.unwrap().unwrap();
        for dir in [
            "/usr/bin",
            "/home/me",
            "/opt/shop/releases/1/.venv/bin",
            "/opt/shop/releases/1/.venv/lib/python3.11",
        ] {
            root.make_dir(dir, 0o755).unwrap();
        }
        root.symlink_atomic("/opt/shop/current", "releases/1")
            .unwrap();
        root.symlink_atomic("/bin", "usr/bin").unwrap();
        // A static program needs nothing.
        root.write_atomic("/usr/bin/python3.11", &statically_linked(program), 0o755)
            .unwrap();
        root.symlink_atomic("/usr/bin/python3", "python3.11")
            .unwrap();
        (dir, root)
    }

    /// The header of a program, without its segments and sections.
    fn statically_linked(mut program: Vec<u8>) -> Vec<u8> {
        program.truncate(64);
        program[32..48].fill(0); // e_phoff, e_shoff
        program[54..64].fill(0); // the counts and sizes
        program
    }

    fn write(root: &Root, path: &str, text: &str) {
        root.write_atomic(
            &format!("/opt/shop/releases/1/{path}"),
            text.as_bytes(),
            0o755,
        )
        .unwrap();
    }

    fn problem(root: &Root, path: &str) -> String {
        let files = SandboxFiles::of(&Unit::merge(&[UNIT])).unwrap();
        let libraries = BTreeMap::new();
        let case = Case {
            root,
            files: &files,
            path: DEFAULT_PATH,
            extra: "",
            libraries: &libraries,
        };
        let found = case
            .of_program(&format!("/opt/shop/current/{path}"))
            .unwrap();
        found.map(|(problem, _)| problem).unwrap_or_default()
    }

    #[test]
    fn the_interpreter_of_a_script_must_be_where_the_service_sees_it() {
        let (_dir, root) = tree();
        for (line, words) in [
            ("#!/usr/bin/python3 -B", ""),
            ("#!/usr/bin/env python3", ""),
            ("#!/usr/bin/env -S python3 -B", ""),
            ("#!/bin/python3", ""),
            (
                "#!/usr/bin/env node",
                "`node` is in no directory of its `PATH`",
            ),
            (
                "#!/usr/bin/absent",
                "its interpreter is `/usr/bin/absent`, which does not exist",
            ),
            (
                "#!/home/me/python",
                "its interpreter is `/home/me/python`, which does not exist",
            ),
            ("#!/usr/bin/python3\r", "ends with a carriage return"),
            ("#!python3", "has no absolute path"),
            ("print()", "has no `#!` line"),
        ] {
            write(&root, "app", &format!("{line}\n"));
            let found = problem(&root, "app");
            assert!(
                found.contains(words) && found.is_empty() == words.is_empty(),
                "{line:?}: {found}"
            );
        }
        root.write_atomic("/home/me/python", b"x", 0o755).unwrap();
        write(&root, "app", "#!/home/me/python\n");
        assert!(problem(&root, "app").contains("which the service cannot see"));
        // The check `programs` reports what is not there.
        assert_eq!(problem(&root, "absent"), "");
        root.symlink_atomic("/opt/shop/releases/1/link", "/home/me/python")
            .unwrap();
        assert!(problem(&root, "link").contains("it leads to `/home/me/python`"));
    }

    #[test]
    fn a_python_environment_must_fit_the_python_of_the_host() {
        let (_dir, root) = tree();
        let of = |config: &str| {
            write(&root, ".venv/pyvenv.cfg", config);
            write(&root, "app", "#!/opt/shop/current/.venv/bin/python3\n");
            problem(&root, "app")
        };
        root.symlink_atomic("/opt/shop/releases/1/.venv/bin/python3", "/usr/bin/python3")
            .unwrap();
        assert_eq!(of("home = /usr/bin\nversion = 3.11.2\n"), "");
        assert!(
            of("home = /home/me/bin\nversion = 3.11.2\n")
                .contains("is in `/home/me/bin`, which does not exist")
        );
        root.symlink_atomic("/usr/bin/python3", "python3.13")
            .unwrap();
        root.rename("/usr/bin/python3.11", "/usr/bin/python3.13")
            .unwrap();
        let found = of("home = /usr/bin\nversion_info = 3.11.2.final.0\n");
        assert!(
            found.contains("was made for Python 3.11, and `/usr/bin/python3.13` is 3.13"),
            "{found}"
        );
    }

    #[test]
    fn a_program_of_another_architecture_does_not_start() {
        let (_dir, root) = tree();
        let mut program = root.read("/usr/bin/python3.11").unwrap().unwrap();
        program[18] ^= 0x55; // e_machine
        root.write_atomic("/opt/shop/releases/1/app", &program, 0o755)
            .unwrap();
        assert!(problem(&root, "app").contains("is built for another architecture than"));
    }

    #[test]
    fn versions_and_the_cache_of_the_loader_are_read_by_their_texts() {
        assert_eq!(minor_version("3.11.2").as_deref(), Some("3.11"));
        assert_eq!(minor_version("3"), None);
        assert_eq!(minor_version("3.x"), None);
        let cache = b"glibc-ld.so.cache1.1\0\x01\0libc.so.6\0/lib/x/libc.so.6\0/opt/libc.so.6\0";
        let found = cached_libraries(cache);
        assert_eq!(found["libc.so.6"], ["/lib/x/libc.so.6", "/opt/libc.so.6"]);
        assert_eq!(found.len(), 1);
    }
}
