//! Completions that know this host: apps, services and releases.
//!
//! The shell asks the program itself (clap_complete, "env"). Everything that is read is public, so that
//! it works for any user.

use crate::ops;
use anyhow::{Context as _, Result};
use clap::Command;
use clap_complete::env::{CompleteEnv, Shells};
use clap_complete::{ArgValueCandidates, CompletionCandidate};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The variable that the shell sets when it asks.
const VARIABLE: &str = "COMPLETE";

/// Answers the shell and ends the process, if the shell asks.
pub(super) fn answer() {
    let visible = || visible(&super::parser());
    CompleteEnv::with_factory(visible).var(VARIABLE).complete();
}

/// The command without hidden commands and options. clap_complete offers those as soon as nothing
/// else fits what is typed.
fn visible(command: &Command) -> Command {
    let about = command.get_about().cloned().unwrap_or_default();
    let args = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let subs = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    Command::new(command.get_name().to_owned())
        .about(about)
        .args(args.cloned())
        .subcommands(subs.map(visible))
}

/// The script that makes a shell ask.
pub(super) fn script(shell: &str) -> Result<String> {
    let shells = Shells::builtins();
    let completer = shells.completer(shell).context("no such shell")?;
    let mut bytes = Vec::new();
    completer.write_registration(VARIABLE, "robotctl", "robotctl", "robotctl", &mut bytes)?;
    String::from_utf8(bytes).context("writing completions")
}

/// Names of apps.
pub(super) fn apps() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(ops::known_apps(&root())))
}

/// Short names of services.
pub(super) fn services() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(ops::known_services(&root())))
}

/// Ids of releases.
pub(super) fn releases() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(ops::known_releases(&root())))
}

/// Ids of the doctor's checks.
pub(super) fn checks() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(ops::known_checks()))
}

fn candidates(words: Vec<String>) -> Vec<CompletionCandidate> {
    words.into_iter().map(CompletionCandidate::new).collect()
}

/// The root of the command line that is being completed.
fn root() -> PathBuf {
    named_root(std::env::args_os()).unwrap_or_else(|| PathBuf::from("/"))
}

/// The last value of `--root`. clap_complete does not show candidates what else is typed.
fn named_root(words: impl Iterator<Item = OsString>) -> Option<PathBuf> {
    let mut root = None;
    let mut words = words.peekable();
    while let Some(word) = words.next() {
        let word = Path::new(&word).to_string_lossy().into_owned();
        if let Some(dir) = word.strip_prefix("--root=") {
            root = Some(PathBuf::from(dir));
        } else if word == "--root" {
            root = words.next().map(PathBuf::from);
        }
    }
    root.filter(|root| !root.as_os_str().is_empty())
}

#[cfg(test)]
mod tests {
    use super::{named_root, visible};
    use std::path::PathBuf;

    #[test]
    fn what_is_hidden_is_not_completed() {
        let whole = crate::cli::parser();
        let mut shown = visible(&whole);
        shown.build();
        let names = shown.get_subcommands().map(|sub| sub.get_name().to_owned());
        let names: Vec<String> = names.collect();
        assert!(names.contains(&"deploy".to_owned()), "{names:?}");
        let hidden = whole.get_subcommands().filter(|sub| sub.is_hide_set());
        let hidden: Vec<&str> = hidden.map(clap::Command::get_name).collect();
        assert!(hidden.contains(&"soak"), "{hidden:?}");
        assert!(!names.iter().any(|name| hidden.contains(&name.as_str())));
        let recover = shown.find_subcommand("recover").unwrap();
        let options: Vec<&str> = recover
            .get_arguments()
            .filter_map(clap::Arg::get_long)
            .collect();
        assert!(options.contains(&"wait") && !options.contains(&"boot"));
    }

    #[test]
    fn the_root_that_is_typed_is_searched() {
        for (typed, root) in [
            ("robotctl -- robotctl --app", None),
            ("robotctl -- robotctl --root /a --app", Some("/a")),
            ("robotctl -- robotctl status --root=b/c --app", Some("b/c")),
            ("robotctl -- robotctl --root", None),
        ] {
            let found = named_root(typed.split(' ').map(Into::into));
            assert_eq!(found, root.map(PathBuf::from), "{typed}");
        }
    }
}
