//! `robotctl secret`

use super::view::{self, DataSubject};
use super::{Exit, Output};
use crate::error::Error;
use crate::ops::{self, Context, SecretChange, SecretRequest, ValueSource};
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `secret`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(value_enum)]
    pub(super) action: Action,
    /// Name of the secret, as in `[[secret]]`; every ACTION but `list` needs
    /// it
    #[arg(required_if_eq_any = [("action", "set"), ("action", "rotate"), ("action", "restore"), ("action", "apply")])]
    name: Option<String>,
    /// A value, which is refused.
    #[arg(hide = true, allow_hyphen_values = true)]
    refused: Vec<String>,
    /// Read the value from this file, as it is, in place of standard input
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    file: Option<PathBuf>,
    /// Take the value of another app's secret
    #[arg(long, value_name = "APP/NAME")]
    from: Option<String>,
    /// Keep the line break at the end of standard input
    #[arg(long, conflicts_with_all = ["file", "from"])]
    keep_newline: bool,
    /// Restart the services that use the secret, by overlap where they can,
    /// and check them. If they fail, restore the previous value
    #[arg(long)]
    apply: bool,
    /// Wait up to SECONDS for another robotctl to finish
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Action {
    /// write a value; robotctl keeps the previous one
    Set,
    /// show names, fingerprints, ages and services
    List,
    /// write another value; a generated one if the manifest says `generate`
    Rotate,
    /// return to the previous value
    Restore,
    /// restart the services that run with another value
    Apply,
}

pub(super) fn run(args: &Args, ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let name = args.name.clone().unwrap_or_default();
    if !args.refused.is_empty() || name.contains('=') {
        return Err(view::secrets::refused_argument());
    }
    let source = match (&args.file, &args.from) {
        (Some(file), _) => ValueSource::File(file.clone()),
        (None, Some(from)) => ValueSource::App(from.clone()),
        (None, None) => ValueSource::Input {
            keep_newline: args.keep_newline,
        },
    };
    let change = match args.action {
        Action::List => {
            let list = ops::list_secrets(ctx)?;
            let subject = DataSubject::live(ctx, &list.app);
            for (secret, line) in list.secrets.iter().zip(view::secrets::lines(&list)) {
                out.data("secret", &subject, secret, &line);
            }
            for line in view::secrets::below(&list) {
                out.message(&line);
            }
            return Ok(Exit::Done);
        }
        Action::Set => SecretChange::Set(source),
        Action::Rotate => SecretChange::Rotate(source),
        Action::Restore => SecretChange::Restore,
        Action::Apply => SecretChange::Apply,
    };
    let request = SecretRequest {
        name,
        change,
        apply: args.apply || args.action == Action::Apply,
        wait: Duration::from_secs(args.wait),
    };
    let changed = ops::change_secret(ctx, &request)?;
    out.message(&view::secrets::changed(&changed, out.hint_root()));
    Ok(Exit::Done)
}
