//! Inputs of a build command that the source does not have, and outputs that it has.

use super::inputs::is_at_or_below;
use crate::app::{Release, Text};
use crate::command_line::CommandLine;
use crate::error::{Hint, HintedError};
use crate::manifest::nearest;
use crate::payload::Payload;

/// A path of a build command that cannot be right.
#[derive(Debug)]
pub struct WrongPath {
    /// The position of the command in `release.build`.
    pub command: usize,
    /// The key that names the path: `inputs` or `outputs`.
    pub key: &'static str,
    /// What is wrong, and what to do.
    pub error: HintedError,
}

/// The inputs of build commands that neither the source has nor an earlier command makes, and the outputs that the
/// source has: a command could not make them alone.
pub fn wrong_paths(release: &Release, payload: &Payload) -> Vec<WrongPath> {
    let mut found = Vec::new();
    let mut made: Vec<&str> = Vec::new();
    for (at, command) in release.build.iter().enumerate() {
        let mut add = |key, error| {
            found.push(WrongPath {
                command: at,
                key,
                error,
            });
        };
        for input in command.inputs.iter().map(Text::as_str) {
            let is_made = made.iter().any(|output| is_at_or_below(input, output));
            if input != "." && !is_made && !has_below(payload, input) {
                add("inputs", missing(payload, input));
            }
        }
        for output in command.outputs.iter().map(Text::as_str) {
            if has_below(payload, output) {
                add("outputs", in_source(output));
            } else if let Some(file) = file_above(payload, output) {
                add("outputs", below_file(output, file));
            }
            made.push(output);
        }
    }
    found
}

fn has_below(payload: &Payload, path: &str) -> bool {
    let mut items = payload.items.iter();
    items.any(|item| is_at_or_below(&item.path, path))
}

/// What is no directory, but would have to be one for a path.
fn file_above<'a>(payload: &Payload, path: &'a str) -> Option<&'a str> {
    let above = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
    let is_file = |dir: &&str| payload.get(dir).is_some_and(|item| !item.is_dir());
    above.into_iter().find(is_file)
}

fn missing(payload: &Payload, input: &str) -> HintedError {
    let names: Vec<&str> = payload
        .items
        .iter()
        .map(|item| item.path.as_str())
        .collect();
    let hint = match nearest(input, &names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            "create it, correct `inputs`, or see whether `release.exclude` leaves it out".to_owned()
        }
    };
    HintedError::new(
        format!("the source has no `{input}`, which `inputs` names"),
        hint,
    )
}

fn in_source(output: &str) -> HintedError {
    HintedError::new(
        format!("the source has `{output}`, which `outputs` says that the command makes"),
        format!(
            "leave it out of the release: add `\"/{output}\"` to `release.exclude`; or name another directory in `outputs`"
        ),
    )
}

fn below_file(output: &str, file: &str) -> HintedError {
    HintedError::new(
        format!("`outputs` names `{output}`, but `{file}` of the source is not a directory"),
        Hint::to("look at it", CommandLine::new(["ls", "-ld", file])),
    )
}

#[cfg(test)]
mod tests {
    use super::wrong_paths;
    use crate::app::App;
    use crate::manifest::parse;
    use crate::payload::{Item, Kind, Payload};

    fn wrong(build: &str) -> Vec<String> {
        let text = format!(
            "[app]\nname = \"shop\"\nversion = \"1\"\n[release]\nbuild = [{build}]\n\
             [service.web]\nexec = [\"/bin/w\"]\n"
        );
        let app = App::from_manifest(&parse(&text).unwrap(), None).unwrap();
        let file = Kind::File {
            hash: blake3::hash(b"").into(),
            exec: false,
            len: 0,
        };
        let items = [("package.json", file), ("src", Kind::Dir)];
        let items = items.map(|(path, kind)| Item::new(path.to_owned(), kind));
        let found = wrong_paths(&app.release, &Payload::new(items.to_vec()));
        let line = |one: &super::WrongPath| {
            let hint = one.error.hints.first().unwrap();
            format!("{} {}: {} | {hint}", one.command, one.key, one.error)
        };
        found.iter().map(line).collect()
    }

    #[test]
    fn inputs_and_outputs_fit_the_source() {
        let npm = "{ run = [\"npm\", \"ci\"], inputs = [\"package.json\", \"src/\"], outputs = [\"./node_modules/\"] }";
        let then = "{ run = [\"npm\", \"run\"], inputs = [\"node_modules/x\", \".\"], outputs = [\"dist\"] }";
        assert_eq!(wrong(&format!("{npm}, [\"true\"], {then}")), [""; 0]);
        for (inputs, outputs, expected) in [
            (
                "package.jsn",
                "dist",
                "1 inputs: the source has no `package.jsn`, which `inputs` names | did you mean `package.json`?",
            ),
            (
                "package.json",
                "src",
                "1 outputs: the source has `src`, which `outputs` says that the command makes | leave it out of the \
                 release: add `\"/src\"` to `release.exclude`; or name another directory in `outputs`",
            ),
            (
                "package.json",
                "package.json/x",
                "1 outputs: `outputs` names `package.json/x`, but `package.json` of the source is not a directory | \
                 look at it: ls -ld package.json",
            ),
        ] {
            let build = format!(
                "[\"true\"], {{ run = [\"make\"], inputs = [\"{inputs}\"], outputs = [\"{outputs}\"] }}"
            );
            assert_eq!(wrong(&build), [expected]);
        }
    }
}
