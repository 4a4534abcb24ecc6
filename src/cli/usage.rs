//! Help, the version, and mistakes on the command line.

use super::exit::{self, Exit};
use super::other_words;
use super::output::{Changes, Format, Output};
use crate::error::{Error, Kind};
use crate::manifest::is_similar;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue};
use std::ffi::OsString;
use std::process::ExitCode;

/// Prints what clap has to say, as text or as the last line of JSON.
pub(super) fn print(error: clap::Error) -> ExitCode {
    let error = with_tips(error);
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

/// Replaces what clap suggests for a command that does not exist. A word that other tools use gets its tip.
/// Of the names that clap finds similar, those stay that a person may have mistyped; commands that systemd
/// units call do not.
fn with_tips(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return error;
    };
    let word = word.clone();
    let similar = match error.remove(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::Strings(names)) => names,
        _ => Vec::new(),
    };
    if let Some(tip) = other_words::tip(&word) {
        let tip = StyledStr::from(tip);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
        return error;
    }
    let parser = super::parser();
    let is_likely = |name: &String| {
        let command = parser.find_subcommand(name);
        command.is_some_and(|command| !command.is_hide_set()) && is_similar(&word, name)
    };
    let likely: Vec<String> = similar.into_iter().filter(is_likely).collect();
    if !likely.is_empty() {
        error.insert(
            ContextKind::SuggestedSubcommand,
            ContextValue::Strings(likely),
        );
    }
    error
}

#[cfg(test)]
mod tests {
    use super::{as_value, with_tips};
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
            let text = with_tips(mistake(arg)).to_string();
            assert!(!text.contains("relay") && !text.contains("await"), "{text}");
            assert_eq!(text.contains("'deploy'"), arg == "deplyo", "{text}");
        }
    }

    #[test]
    fn a_word_of_another_tool_gets_a_tip_in_place_of_a_similar_name() {
        for (word, tip) in [
            ("upgrade", Some("robotctl deploy --apply")),
            ("remote", Some("ssh HOST")),
            ("exec", Some("robotctl run")),
            ("qum", None),
        ] {
            let text = with_tips(mistake(word)).to_string();
            assert!(!text.contains("similar"), "{text}");
            assert_eq!(text.contains("tip: "), tip.is_some(), "{text}");
            assert!(text.contains(tip.unwrap_or_default()), "{text}");
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
