//! Help, the version, and mistakes on the command line.

use super::exit::{self, Exit};
use super::output::{Changes, Format, Output};
use crate::error::{Error, Kind};
use clap::error::{ContextKind, ContextValue};
use std::ffi::OsString;
use std::process::ExitCode;

/// Prints what clap has to say, as text or as the last line of JSON.
pub(super) fn print(error: clap::Error) -> ExitCode {
    let error = without_hidden(error);
    let is_mistake = error.use_stderr();
    if is_mistake && wants_json() {
        let trace = crate::host::random_hex(8).unwrap_or_default();
        let out = Output::new(Format::Json, false, &trace, None);
        return exit::exit_code(out.finish(Err(as_value(&error)), Changes::Nothing));
    }
    let out = Output::new(Format::Text, false, "", None);
    out.note_lost(error.print());
    if is_mistake {
        return exit::exit_code(2);
    }
    exit::exit_code(out.finish(Ok(Exit::Done), Changes::Nothing))
}

/// Whether the arguments ask for JSON. They could not be parsed, so it looks at the words.
fn wants_json() -> bool {
    let args: Vec<OsString> = std::env::args_os().collect();
    args.windows(2).any(|two| two == ["--format", "json"])
        || args.iter().any(|arg| arg == "--format=json")
}

/// The first line is the message; tips are hints.
fn as_value(error: &clap::Error) -> Error {
    let text = error.to_string();
    let message = text.lines().next().unwrap_or_default();
    let refused = Error::new(Kind::Refused, message.trim_start_matches("error: "));
    let tips = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("tip: "));
    tips.fold(refused, Error::hint)
        .hint("`robotctl --help` lists commands and options")
}

/// Commands that systemd units call are not suggested to people.
fn without_hidden(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::Strings(names)) = error.get(ContextKind::SuggestedSubcommand) else {
        return error;
    };
    let parser = super::parser();
    let is_visible = |name: &&String| {
        let command = parser.find_subcommand(name);
        command.is_some_and(|command| !command.is_hide_set())
    };
    let visible: Vec<String> = names.iter().filter(is_visible).cloned().collect();
    if visible.is_empty() {
        error.remove(ContextKind::SuggestedSubcommand);
    } else {
        error.insert(
            ContextKind::SuggestedSubcommand,
            ContextValue::Strings(visible),
        );
    }
    error
}

#[cfg(test)]
mod tests {
    use super::{as_value, without_hidden};
    use crate::cli::parser;

    fn mistake(arg: &str) -> clap::Error {
        let parsed = parser().try_get_matches_from(["robotctl", arg]);
        parsed.expect_err("a mistake")
    }

    #[test]
    fn a_command_that_is_hidden_is_not_suggested() {
        for arg in ["deplyo", "relai", "awai"] {
            let text = mistake(arg).to_string();
            assert!(
                ["relay", "await"].iter().any(|it| text.contains(it)),
                "{text}"
            );
            let text = without_hidden(mistake(arg)).to_string();
            assert!(!text.contains("relay") && !text.contains("await"), "{text}");
            assert_eq!(text.contains("'deploy'"), arg == "deplyo", "{text}");
        }
    }

    #[test]
    fn a_mistake_as_a_value_has_its_tips_as_hints() {
        let error = as_value(&mistake("rolback"));
        assert_eq!(error.message, "unrecognized subcommand 'rolback'");
        assert!(error.hints[0].text.contains("'rollback'"), "{error}");
        assert_eq!(error.kind.exit_code(), 2);
    }
}
