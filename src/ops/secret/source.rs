//! Where a new value comes from.

use super::declared::parse_name;
use crate::app::{EnvName, Layout, Name};
use crate::command_line::CommandLine;
use crate::error::{Error, Hint, Kind, fail};
use crate::host::{SecretInput, read_secret_input};
use crate::ops::context::Context;
use crate::ops::user_file::read_bytes;
use crate::settings::{MAX_SECRET_BYTES, SecretFiles, SecretValue};
use anyhow::Result;
use std::path::PathBuf;

/// Where a new value comes from.
#[derive(Debug, Clone)]
pub(crate) enum ValueSource {
    /// Standard input, or a person at the terminal. One line break at the end is removed, unless it is kept.
    Input {
        /// Whether it is kept.
        keep_newline: bool,
    },
    /// A file, as it is.
    File(PathBuf),
    /// The secret of an app, as `APP/NAME`.
    App(String),
}

impl ValueSource {
    /// Reads the value for the secret `name` of an app.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] after Ctrl-C. Nothing was changed.
    pub(super) fn read(
        &self,
        ctx: &Context<'_>,
        app: &Name,
        name: &EnvName,
    ) -> Result<SecretValue> {
        match self {
            Self::Input { keep_newline } => from_input(app, name, *keep_newline),
            Self::File(path) => {
                let bytes = read_bytes(path, "name another file with `--file FILE`")?;
                checked(bytes, &format!("`{}`", path.display()))
            }
            Self::App(text) => from_app(ctx, text),
        }
    }
}

fn from_input(app: &Name, name: &EnvName, keep_newline: bool) -> Result<SecretValue> {
    let prompt = format!("value of the secret {name} of {app}, not shown: ");
    // One byte more than fits, and the end of the line.
    let max = MAX_SECRET_BYTES.saturating_add(3);
    match read_secret_input(&prompt, max)? {
        SecretInput::Piped(mut bytes) => {
            if !keep_newline && bytes.last() == Some(&b'\n') {
                bytes.pop();
                if bytes.last() == Some(&b'\r') {
                    bytes.pop();
                }
            }
            checked(bytes, "the value on standard input")
        }
        SecretInput::Typed(bytes) => checked(bytes, "the value"),
        SecretInput::SeveralLines => fail(
            "the value has more than one line, and a prompt takes one",
            "read it from a file with `--file FILE`, or from standard input",
        ),
        SecretInput::Interrupted => {
            let error = Error::new(Kind::Interrupted, "no value was entered");
            Err(error
                .hint("the secret did not change: repeat the command")
                .into())
        }
    }
}

fn checked(bytes: Vec<u8>, what: &str) -> Result<SecretValue> {
    let hint = "write it to standard input, or name a file with `--file FILE`";
    match SecretValue::new(bytes) {
        Ok(value) => Ok(value),
        Err(clause) => fail(format!("{what} {clause}"), hint),
    }
}

fn from_app(ctx: &Context<'_>, text: &str) -> Result<SecretValue> {
    let parts = text.split_once('/');
    let parts = parts.and_then(|(app, name)| Some((Name::parse(app).ok()?, name)));
    let Some((app, name)) = parts else {
        return fail(
            "`--from` takes the name of an app and that of a secret",
            "write it as `--from APP/NAME`",
        );
    };
    let name = parse_name(name)?;
    let layout = Layout::new(&app);
    let value = SecretFiles::new(&ctx.host.root, &layout).value(name.as_str())?;
    match value {
        Some(value) => Ok(value),
        None => fail(
            format!("the app `{app}` has no value for the secret `{name}`"),
            Hint::to(
                "list its secrets",
                CommandLine::sudo_robotctl(["--app", app.as_str(), "secret", "list"]),
            ),
        ),
    }
}
