//! Becoming another program.

use nix::unistd::{execve, execvpe};
use std::ffi::CString;
use std::io::{Error, ErrorKind};
use std::os::unix::ffi::OsStringExt as _;

/// Replaces this process by a program, with further variables. `PATH` has a program without `/`. It keeps the open
/// files, the umask and the signals of this process. Like each service of systemd, it ignores SIGPIPE
/// (systemd.exec(5), `IgnoreSIGPIPE=`). Returns only if that fails.
pub fn become_program(argv: &[String], variables: &[(String, Vec<u8>)]) -> Error {
    let own = std::env::vars_os();
    let own = own.filter(|(name, _)| variables.iter().all(|(other, _)| *name != **other));
    let own = own.map(|(name, value)| [name.into_vec(), value.into_vec()].join(&b'='));
    let further = variables
        .iter()
        .map(|(name, value)| [name.as_bytes(), value].join(&b'='));
    let strings = |all: Vec<Vec<u8>>| {
        let all = all.into_iter().map(CString::new);
        all.collect::<Result<Vec<CString>, _>>()
    };
    let words = argv.iter().map(|word| word.clone().into_bytes());
    let (words, variables) = (
        strings(words.collect()),
        strings(own.chain(further).collect()),
    );
    let (Ok(words), Ok(variables)) = (words, variables) else {
        return ErrorKind::InvalidInput.into();
    };
    let Some(program) = words.first() else {
        return ErrorKind::NotFound.into();
    };
    // With a path, only the file itself is run: the other call gives a script without `#!` to a shell.
    let ended = match program.as_bytes().contains(&b'/') {
        true => execve(program, &words, &variables),
        false => execvpe(program, &words, &variables),
    };
    match ended {
        Ok(never) => match never {},
        Err(error) => error.into(),
    }
}
