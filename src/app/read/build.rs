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

#[cfg(test)]
mod tests {
    use crate::app::App;
    use crate::manifest::parse;

    fn refused(release: &str) -> String {
        let text = format!(
            "[app]\nname = \"shop\"\nversion = \"1\"\n[release]\n{release}\n[service.web]\nexec = [\"/bin/w\"]\n"
        );
        let parsed = parse(&text).and_then(|manifest| App::from_manifest(&manifest, None));
        parsed.map_or_else(|problem| problem.at(&text).to_string(), |_| String::new())
    }

    #[test]
    fn outputs_belong_to_one_command() {
        let of = |inputs: &str, outputs: &str| {
            let first = "{ run = [\"a\"], inputs = [\".\"], outputs = [\"dist/a\"] }";
            let second = format!("{{ run = [\"b\"], inputs = [{inputs}], outputs = [{outputs}] }}");
            let python = "python = { install = \"flask\" }";
            refused(&format!("{python}\nbuild = [\n{first},\n{second},\n]"))
        };
        assert_eq!(of("\"dist/a\"", "\"dist/b\", \"./x/\""), "");
        for (inputs, outputs, expected) in [
            (
                "\".\"",
                "\"dist\"",
                "line 8: `dist` in `outputs` overlaps `dist/a`, which is made before it",
            ),
            (
                "\".\"",
                "\".venv/x\"",
                "line 8: `.venv/x` in `outputs` overlaps `.venv`, which is made before it",
            ),
            (
                "\".\"",
                "\"./\"",
                "line 8: `./` in `outputs` is the whole release",
            ),
            (
                "\".\"",
                "\"/srv/x\"",
                "line 8: `/srv/x` is not a path inside the release",
            ),
            (
                "\"../x\"",
                "\"x\"",
                "line 8: `../x` is not a path inside the release",
            ),
            ("\".\"", "", "line 8: `outputs` lists nothing"),
            ("", "\"x\"", "line 8: `inputs` lists nothing"),
        ] {
            let message = of(inputs, outputs);
            assert!(message.starts_with(expected), "{message}");
            assert!(message.contains("\n\nhint: "), "{message}");
        }
        let unknown = refused("build = [{ rum = [\"a\"], inputs = [\"a\"], outputs = [\"b\"] }]");
        assert!(
            unknown.starts_with("line 5: unknown key `rum`"),
            "{unknown}"
        );
    }

    #[test]
    fn a_package_to_install_is_in_the_source_or_has_a_name() {
        let of = |install: &str| refused(&format!("python = {{ install = {install} }}"));
        for good in [
            "\".\"",
            "\".[web,core]\"",
            "[\"./api[web]\", \"gunicorn==22.0\"]",
            "\"paper @ https://example.org/paper.whl\"",
        ] {
            assert_eq!(of(good), "", "{good}");
        }
        for bad in [
            "-e .",
            "",
            "/srv/api",
            "../api",
            "paper @ file:///srv/api",
            "./api[web",
            "./a b",
        ] {
            let message = of(&format!("\"{bad}\""));
            assert!(message.starts_with("line 5: `"), "{bad}: {message}");
            assert!(message.contains("\n\nhint: "), "{message}");
        }
    }
}
