//! `robotctl env`

use super::view::{self, DataSubject};
use super::{Exit, Output};
use crate::error::Error;
use crate::ops::{self, Context, EnvRequest, VariableChange};
use std::time::Duration;

/// Arguments of `env`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(value_enum)]
    pub(super) action: Action,
    /// `NAME=VALUE` for `set`, `NAME` for `unset`
    #[arg(value_name = "VARIABLE",
        required_if_eq_any = [("action", "set"), ("action", "unset")])]
    variables: Vec<String>,
    /// Restart the services that get the variables, by overlap where they can,
    /// and check them
    #[arg(long)]
    apply: bool,
    /// Wait up to SECONDS for another robotctl to finish
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Action {
    /// show the variables; values of names such as `API_KEY` are hidden
    List,
    /// give variables these values
    Set,
    /// remove variables
    Unset,
}

pub(super) fn run(args: &Args, ctx: &Context<'_>, out: &Output) -> Result<Exit, Error> {
    let change = |text: &String| match (args.action, text.split_once('=')) {
        (Action::Set, Some((name, value))) => Ok(VariableChange {
            name: name.to_owned(),
            value: Some(value.to_owned()),
        }),
        (Action::Set, None) => Err(Error::refused(
            format!("`{text}` has no `=`"),
            "write `NAME=VALUE`; for a value that is secret: `sudo robotctl secret set NAME`",
        )),
        (_, Some((name, _))) => Err(Error::refused(
            format!("`{text}` has a value"),
            format!("write the name alone: `{name}`"),
        )),
        (_, None) => Ok(VariableChange {
            name: text.clone(),
            value: None,
        }),
    };
    if args.action == Action::List {
        if let Some(text) = args.variables.first() {
            return Err(Error::refused(
                format!("`env list` shows all variables, and takes no `{text}`"),
                "leave it out",
            ));
        }
        let list = ops::list_variables(ctx)?;
        let subject = DataSubject::live(ctx, &list.app);
        for variable in &list.variables {
            out.data("variable", &subject, variable, &view::env::line(variable));
        }
        if list.variables.is_empty() {
            out.message(&format!("`{}` sets no variable", list.file));
        }
        return Ok(Exit::Done);
    }
    let changes = args.variables.iter().map(change);
    let request = EnvRequest {
        changes: changes.collect::<Result<_, _>>()?,
        apply: args.apply,
        wait: Duration::from_secs(args.wait),
    };
    let done = ops::change_variables(ctx, &request)?;
    out.message(&view::env::changed(&done, out.hint_root()));
    Ok(Exit::Done)
}
