//! The files that run a command: the program, and the interpreters that its `#!` line names.

use crate::host::{ProgramFile, Root, files, real_path};
use anyhow::Result;
use std::path::PathBuf;

/// Where the commands of a build are looked up.
const PATH: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];
/// How many interpreters of interpreters are followed (execve(2), `BINPRM_MAX_RECURSION`).
const MAX_INTERPRETERS: usize = 4;
/// It looks up the program that follows it.
const ENV: &str = "env";

/// The real paths of the files of the host that run a program; `None` if one is not there.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn files_of_program(root: &Root, program: &str) -> Result<Option<Vec<PathBuf>>> {
    let mut found = Vec::new();
    let mut next = Some(program.to_owned());
    while let Some(name) = next.take() {
        let places = match name.contains('/') {
            true => vec![name],
            false => PATH.iter().map(|dir| format!("{dir}/{name}")).collect(),
        };
        let places = places.iter().map(|place| root.followed(place));
        let Some(path) = places.into_iter().find(|place| files::is_file(place)) else {
            return Ok(None);
        };
        let path = real_path(&path)?;
        if let ProgramFile::Script(words) = ProgramFile::read(&path)? {
            let mut words = words.into_iter();
            let interpreter = words.next();
            let is_env = interpreter.as_deref().is_some_and(|one| {
                one.rsplit('/').next() == Some(ENV) && found.len() < MAX_INTERPRETERS
            });
            // `env -S` takes options and assignments before the program.
            let mut named = words.filter(|word| !word.starts_with('-') && !word.contains('='));
            next = if is_env { named.next() } else { interpreter };
        }
        found.push(path);
        if found.len() > MAX_INTERPRETERS {
            break;
        }
    }
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the test makes its own files")]

    use super::files_of_program;
    use crate::host::Host;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_interpreter_of_a_script_is_found_too() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("usr/share/npm/npm-cli.js", "#!/usr/bin/env node\n");
        write("usr/bin/node", "\x7fnot ELF");
        write("usr/bin/tool", "#!/usr/bin/env -S X=1 node --flag\n");
        write("usr/bin/broken", "#!/usr/bin/absent\n");
        symlink("../share/npm/npm-cli.js", dir.path().join("usr/bin/npm")).unwrap();
        let host = Host::new(Some(dir.path()));
        let of = |program: &str| {
            let found = files_of_program(&host.root, program).unwrap()?;
            let names = found.iter().map(|path| {
                let name = path.strip_prefix(dir.path()).unwrap();
                name.to_str().unwrap().to_owned()
            });
            Some(names.collect::<Vec<_>>().join(" "))
        };
        let npm = "usr/share/npm/npm-cli.js usr/bin/node";
        assert_eq!(of("npm").as_deref(), Some(npm));
        assert_eq!(of("/usr/bin/npm").as_deref(), Some(npm));
        assert_eq!(of("tool").as_deref(), Some("usr/bin/tool usr/bin/node"));
        assert_eq!(of("broken"), None);
        assert_eq!(of("absent"), None);
    }
}
