//! The signature of an archive, which ssh-keygen(1) verifies before anything of the archive is parsed.
//!
//! | command | says |
//! |---|---|
//! | `ssh-keygen -Y find-principals` | whose key made the signature |
//! | `ssh-keygen -Y verify` | whether it is of these bytes, for this purpose, and whether the key counts now |
//!
//! Both read bytes that another user wrote. As root, robotctl starts them through setpriv(1): as the user 65534
//! and with one capability. Of that, ssh-keygen needs nothing: other processes of that user have not got it, so that
//! they cannot take this one over (ptrace(2)) and answer in its place.

use super::file::ArchiveFile;
use super::signers::{KeyFile, Signers};
use crate::error::{Hint, HintedError};
use crate::host::{self, Command, InheritedFile, Output, is_installed};
use crate::printable;
use anyhow::Result;
use std::path::Path;

/// What a signature must be for (ssh-keygen(1), `-n`). A signature of a file for Git or for mail does not count.
pub const NAMESPACE: &str = "robotctl";

/// The program that verifies, and the package that has it.
const PROGRAM: &str = "ssh-keygen";
const PACKAGE: &str = "openssh-client";

/// The user that owns nothing (nss-systemd(8)).
const UNPRIVILEGED: &str = "65534";
/// The one capability that is left. It opens no file, and no port is opened.
const LEFT: &str = "-all,+net_bind_service";
/// The exit codes of setpriv(1) when it could not start the program.
const NOT_STARTED: [i32; 2] = [126, 127];

/// What verifies a signature: the files of the host and of the user, as programs can read them.
struct Check<'a> {
    signers: &'a Signers,
    archive: &'a ArchiveFile,
    /// The path of the signature, for messages.
    shown: &'a Path,
    signature: InheritedFile,
    allowed: InheritedFile,
    revoked: Option<(InheritedFile, &'a KeyFile)>,
}

/// The principal who signed an archive.
///
/// # Errors
/// A [`HintedError`] if no allowed signer did.
pub fn verify(
    archive: &ArchiveFile,
    signature: (&Path, &str),
    signers: &Signers,
) -> Result<String> {
    if !is_installed(PROGRAM) {
        return Err(HintedError::new(
            format!("`{PROGRAM}` is not installed, and it verifies signatures"),
            Hint::to(
                "install it",
                crate::command_line::CommandLine::sudo(["apt-get", "install", PACKAGE]),
            ),
        )
        .into());
    }
    let (shown, text) = signature;
    let revoked = signers.revoked.as_ref();
    let revoked =
        revoked.map(|file| Ok::<_, anyhow::Error>((InheritedFile::new(&file.bytes)?, file)));
    let check = Check {
        signers,
        archive,
        shown,
        signature: InheritedFile::new(text.as_bytes())?,
        allowed: InheritedFile::new(&signers.allowed.bytes)?,
        revoked: revoked.transpose()?,
    };
    let principal = check.principal()?;
    check.check(&principal)?;
    Ok(principal)
}

impl Check<'_> {
    /// The first principal in the file of allowed signers whose key made the signature.
    fn principal(&self) -> Result<String> {
        let arguments = ["-Y", "find-principals", "-s", &self.signature.path()];
        let found = self.run(&arguments, false)?;
        // A pattern that begins with `!` names those who are left out.
        let mut principals = found.stdout.lines().filter(|one| !one.starts_with('!'));
        match principals.next().filter(|_| found.success()) {
            Some(principal) => Ok(principal.to_owned()),
            None => Err(self.refusal(&found)),
        }
    }

    /// Refuses a signature that is not of this archive, or whose key does not count.
    fn check(&self, principal: &str) -> Result<()> {
        let signature = self.signature.path();
        let mut arguments = vec!["-Y", "verify", "-n", NAMESPACE, "-I", principal];
        arguments.extend(["-s", &signature]);
        let revoked = self.revoked.as_ref().map(|(file, _)| file.path());
        let all: Vec<&str> = match &revoked {
            Some(path) => [&arguments[..], &["-r", path]].concat(),
            None => arguments.clone(),
        };
        let verified = self.run(&all, true)?;
        if verified.success() {
            return Ok(());
        }
        if let Some((_, file)) = &self.revoked
            && self.run(&arguments, true)?.success()
        {
            return Err(HintedError::new(
                format!(
                    "the key of `{}` is revoked, or `{}` cannot be read as a list of keys",
                    self.shown.display(),
                    file.path
                ),
                "sign the archive with another key",
            )
            .into());
        }
        Err(self.refusal(&verified))
    }

    /// Runs ssh-keygen, with or without the archive as its standard input.
    fn run(&self, arguments: &[&str], reads_archive: bool) -> Result<Output> {
        let mut argv = vec![PROGRAM];
        argv.extend(arguments);
        let allowed = self.allowed.path();
        argv.extend(["-f", &allowed]);
        let run = |argv: Vec<&str>| -> Result<Output> {
            let command = Command::new(argv);
            if !reads_archive {
                return command.output();
            }
            let output = command.output_with_file(self.archive.open()?)?;
            output.ok_or_else(|| anyhow::anyhow!("the verification was interrupted"))
        };
        if host::is_root() {
            let confined = [&confinement()[..], &argv].concat();
            match run(confined) {
                // A container may not have this user, or may not let its root change users.
                Ok(output) if NOT_STARTED.contains(&output.code) => {}
                Err(error) if error.is::<host::MissingProgram>() => {}
                other => return other,
            }
        }
        run(argv)
    }

    /// The refusal, with what ssh-keygen says.
    fn refusal(&self, output: &Output) -> anyhow::Error {
        let allowed = self.allowed.path();
        let signature = self.signature.path();
        let shown = self.shown.display().to_string();
        let mut words: Vec<String> = Vec::new();
        for line in output.stderr.lines().map(str::trim) {
            let line = line.replace(&allowed, &self.signers.allowed.path);
            let line = printable::name(&line.replace(&signature, &shown)).into_owned();
            if !line.is_empty() && !words.contains(&line) {
                words.push(line);
            }
        }
        let words = match words.as_slice() {
            [] => String::new(),
            words => format!(": {}", words.join("; ")),
        };
        HintedError::new(
            format!(
                "`{shown}` is not a signature of `{}` by an allowed signer{words}",
                self.archive.path().display()
            ),
            format!(
                "check who made the archive; `{}` lists the keys that may sign it",
                self.signers.allowed.path
            ),
        )
        .into()
    }
}

/// The words before a program that take its rights away.
fn confinement() -> [&'static str; 12] {
    [
        "setpriv",
        "--reuid",
        UNPRIVILEGED,
        "--regid",
        UNPRIVILEGED,
        "--clear-groups",
        "--no-new-privs",
        "--inh-caps=-all,+net_bind_service",
        "--ambient-caps=-all,+net_bind_service",
        "--bounding-set",
        LEFT,
        "--",
    ]
}
