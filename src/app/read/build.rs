//! `release.build`: the commands, and what they read and make.

use super::reader::{Reader, get, quoted};
use crate::app::names::Text;
use crate::app::release::{BuildCommand, PYTHON_DIR, plain_path};
use crate::manifest::{Build, DeclaredBuild, Problem, Result};
use std::path::Path;

impl Reader<'_> {
    /// The commands of `release.build`. `has_python` says whether `release.python` makes an environment.
    pub(super) fn build(&self, has_python: bool) -> Result<Vec<BuildCommand>> {
        let mut commands: Vec<BuildCommand> = Vec::new();
        for (at, command) in self.manifest.release.build.iter().enumerate() {
            let at = at.to_string();
            let (argv, declared) = match command {
                Build::Command(argv) => (argv, None),
                Build::Declared(declared) => (&declared.run, Some(declared)),
            };
            if argv.is_empty() {
                return Err(Problem::new(
                    &["release", "build", &at],
                    "a build command is empty",
                    "write the program and its arguments: `[\"npm\", \"ci\"]`",
                ));
            }
            let mut command = BuildCommand {
                argv: self.texts(&["release", "build", &at], argv)?,
                inputs: Vec::new(),
                outputs: Vec::new(),
            };
            if let Some(declared) = declared {
                let made = commands.iter().flat_map(|one| &one.outputs);
                let mut made: Vec<String> = made.map(ToString::to_string).collect();
                if has_python {
                    made.push(PYTHON_DIR.to_owned());
                }
                (command.inputs, command.outputs) = self.declared(&at, declared, made)?;
            }
            commands.push(command);
        }
        Ok(commands)
    }

    /// The inputs and outputs of a command. `made` is what is made before it.
    fn declared(
        &self,
        at: &str,
        declared: &DeclaredBuild,
        mut made: Vec<String>,
    ) -> Result<(Vec<Text>, Vec<Text>)> {
        let (of_inputs, of_outputs) = (
            ["release", "build", at, "inputs"],
            ["release", "build", at, "outputs"],
        );
        for (path, list, what) in [
            (
                &of_inputs,
                &declared.inputs,
                "`inputs` lists nothing, so robotctl cannot know when to run the command",
            ),
            (
                &of_outputs,
                &declared.outputs,
                "`outputs` lists nothing, so no release can take it over",
            ),
        ] {
            if list.is_empty() {
                let hint = "name the files that decide what the command makes and what it makes, or write the command \
                            alone: `[\"npm\", \"ci\"]`";
                self.policy.enforce(Err(Problem::new(path, what, hint)))?;
            }
        }
        let in_release = |path: &[&str], text: &String| -> Result<Text> {
            let text = self.path_in_release(path, text)?;
            get(path, &plain_path(text.as_str()), "valid text", Text::parse)
        };
        let inputs = declared.inputs.iter();
        let inputs = inputs.map(|text| in_release(&of_inputs, text));
        let mut outputs = Vec::new();
        for written in &declared.outputs {
            let output = in_release(&of_outputs, written)?;
            let refuse = |message: String, hint: &str| {
                self.policy
                    .enforce(Err(Problem::new(&of_outputs, message, hint)))
            };
            if output.as_str() == "." {
                refuse(
                    format!("{} in `outputs` is the whole release", quoted(written)),
                    "name what the command makes, such as `node_modules`",
                )?;
            }
            if let Some(other) = made.iter().find(|one| overlap(one, output.as_str())) {
                refuse(
                    format!(
                        "{} in `outputs` overlaps `{other}`, which is made before it",
                        quoted(written)
                    ),
                    "let each command make directories of its own",
                )?;
            }
            made.push(output.to_string());
            outputs.push(output);
        }
        Ok((inputs.collect::<Result<_>>()?, outputs))
    }
}

/// Whether one path is at or below the other.
fn overlap(one: &str, other: &str) -> bool {
    Path::new(one).starts_with(other) || Path::new(other).starts_with(one)
}
