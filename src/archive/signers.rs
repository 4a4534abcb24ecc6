//! Who may sign the archives of an app, and which keys are revoked.

use crate::command_line::CommandLine;
use crate::error::{Hint, HintedError, fail};
use crate::host::{Root, Trusted};
use anyhow::Result;

/// The directory of these files.
const DIR: &str = "/etc/robotctl";
/// The file for every app that has none of its own.
const OF_HOST: &str = "allowed-signers";
/// What follows the name of an app in the name of its own file.
const OF_APP: &str = ".allowed-signers";
/// The keys that count no more, of every app.
const REVOKED: &str = "revoked-keys";
/// The longest file, in bytes: room for some hundred thousand revoked keys.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// A file that decides whose signatures count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// Its path on the host.
    pub path: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Who may sign the archives of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signers {
    /// The allowed signers, as ssh-keygen(1) reads them.
    pub allowed: KeyFile,
    /// The keys that count no more.
    pub revoked: Option<KeyFile>,
}

impl Signers {
    /// The signers of an app: those of its own file, else those of the host. `None` if there is no such file, so
    /// that an archive needs no signature.
    ///
    /// # Errors
    /// A [`HintedError`] if another user than root could have written one of the files.
    pub fn of(root: &Root, app: &str) -> Result<Option<Self>> {
        match key_file(root, &format!("{app}{OF_APP}"))? {
            Some(allowed) => Self::with(root, allowed).map(Some),
            None => Self::of_host(root),
        }
    }

    /// The signers of every app that has no file of its own.
    ///
    /// # Errors
    /// As [`Signers::of`].
    pub fn of_host(root: &Root) -> Result<Option<Self>> {
        let allowed = key_file(root, OF_HOST)?;
        allowed.map(|allowed| Self::with(root, allowed)).transpose()
    }

    fn with(root: &Root, allowed: KeyFile) -> Result<Self> {
        Ok(Self {
            allowed,
            revoked: key_file(root, REVOKED)?,
        })
    }

    /// Whether an app has a file of its own. Before the app is known, it may be that one.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn any_app_has_its_own(root: &Root) -> Result<bool> {
        let names = root.list(DIR)?;
        Ok(names.iter().any(|name| name.ends_with(OF_APP)))
    }
}

/// The names of the two files that may list the signers of an app.
pub fn signers_files(app: &str) -> [String; 2] {
    [format!("{DIR}/{app}{OF_APP}"), format!("{DIR}/{OF_HOST}")]
}

fn key_file(root: &Root, name: &str) -> Result<Option<KeyFile>> {
    let path = format!("{DIR}/{name}");
    let why = match root.read_trusted(&path, MAX_BYTES)? {
        Trusted::Absent => return Ok(None),
        Trusted::File(bytes) => {
            check_directory(root)?;
            return Ok(Some(KeyFile { path, bytes }));
        }
        Trusted::Refused(why) => why,
    };
    let real = root.path(&path).display().to_string();
    fail(
        format!("`{real}` {why}, so robotctl does not believe it"),
        Hint::to(
            "read what it says, then write it again as root",
            CommandLine::sudo(["ls", "-l", &real]),
        ),
    )
}

/// Refuses the files while another user could replace them.
fn check_directory(root: &Root) -> Result<()> {
    let Some(found) = root.foreign_directory(&[DIR.to_owned()]) else {
        return Ok(());
    };
    let path = found.path.display().to_string();
    let fix = match found.is_owned {
        true => ["chown", "root:", &path],
        false => ["chmod", "go-w", &path],
    };
    Err(HintedError::new(
        format!("another user than root can change `{path}`, so robotctl does not believe the files below it"),
        Hint::to("let only root change it", CommandLine::sudo(fix)),
    )
    .into())
}
