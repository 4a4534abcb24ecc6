//! `[release]` and `[[secret]]`.

use super::reader::{Path, Reader, get, quoted};
use super::secret_variables::variable_of;
use crate::app::application::Secret;
use crate::app::names::{EnvName, Name, Span, Text};
use crate::app::release::{Python, Release};
use crate::manifest::{Problem, PythonTable, Result};

impl Reader<'_> {
    pub(super) fn release(&self) -> Result<Release> {
        let table = &self.manifest.release;
        let python = match &table.python {
            Some(python) => Some(self.python(python)?),
            None => None,
        };
        let keep = table.keep.unwrap_or(5);
        if keep < 2 {
            self.policy.enforce(Err(Problem::new(
                &["release", "keep"],
                format!(
                    "`keep` must be 2 or more, and is {keep}: a rollback needs the previous release"
                ),
                "write `keep = 2` or more",
            )))?;
        }
        let build = table.build.iter().map(|argv| {
            if argv.is_empty() {
                return Err(Problem::new(
                    &["release", "build"],
                    "a build command is empty",
                    "write the program and its arguments: `[\"npm\", \"ci\"]`",
                ));
            }
            self.texts(&["release", "build"], argv)
        });
        Ok(Release {
            source: get(
                &["release", "source"],
                table.source.as_deref().unwrap_or("."),
                "valid text",
                Text::parse,
            )?,
            exclude: table
                .exclude
                .iter()
                .map(|text| {
                    let path = &["release", "exclude"];
                    self.check_direction(path, text)?;
                    get(path, text, "a pattern", Text::parse)
                })
                .collect::<Result<_>>()?,
            build: build.collect::<Result<_>>()?,
            python,
            keep: keep.max(2),
            soak: match &table.soak {
                Some(text) => {
                    let path = ["release", "soak"];
                    Some(get(&path, text, "a time span", Span::parse)?)
                }
                None => None,
            },
            reader_group: match &table.reader_group {
                Some(text) => {
                    let path = ["release", "reader-group"];
                    Some(get(&path, text, "a group name", Name::parse)?)
                }
                None => None,
            },
        })
    }

    fn python(&self, table: &PythonTable) -> Result<Python> {
        const REQUIREMENTS: &[&str] = &["release", "python", "requirements"];
        if table.requirements.is_empty() {
            self.policy.enforce(Err(Problem::new(
                REQUIREMENTS,
                "`requirements` lists no file, so there is nothing to install",
                "write `requirements = [\"requirements.txt\"]`, or remove `python`",
            )))?;
        }
        let files = table.requirements.iter();
        let files = files.map(|file| self.path_in_release(REQUIREMENTS, file));
        let wheels = table.wheels.iter();
        let mut wheels =
            wheels.map(|dir| self.path_in_release(&["release", "python", "wheels"], dir));
        Ok(Python {
            requirements: files.collect::<Result<_>>()?,
            wheels: wheels.next().transpose()?,
        })
    }

    /// A path that is relative to the release and stays inside it.
    fn path_in_release(&self, path: Path<'_>, text: &str) -> Result<Text> {
        let value = self.text(path, text)?;
        let is_inside =
            !value.as_str().starts_with('/') && value.as_str().split('/').all(|part| part != "..");
        let problem = || {
            Problem::new(
                path,
                format!("{} is not a path inside the release", quoted(text)),
                "copy it into `release.source` and write its path from there: the build reads it from the release",
            )
        };
        let rule = is_inside.then_some(()).ok_or_else(problem);
        self.policy.enforce(rule)?;
        Ok(value)
    }

    pub(super) fn secrets(&self) -> Result<Vec<Secret>> {
        let mut out: Vec<Secret> = Vec::new();
        for (index, table) in self.manifest.secret.iter().enumerate() {
            let index = index.to_string();
            let path = ["secret", &index, "name"];
            let name = get(&path, &table.name, "a secret's name", EnvName::parse)?;
            if out.iter().any(|secret| secret.name == name) {
                let message = format!("the secret `{name}` is listed twice");
                return Err(Problem::new(&path, message, "remove one of them"));
            }
            for service in &table.services {
                if !self.manifest.service.contains_key(service) {
                    let path = ["secret", &index, "services"];
                    return Err(self.no_service(&path, service));
                }
            }
            let generate = match table.generate.as_deref() {
                None => None,
                Some(text) => {
                    let problem = || {
                        let path = ["secret", &index, "generate"];
                        Problem::new(
                            &path,
                            format!("{} cannot be generated", quoted(text)),
                            "write `hex:32`; 16 to 1024 random bytes are possible",
                        )
                    };
                    let bytes = text.strip_prefix("hex:").and_then(|n| n.parse().ok());
                    let bytes = bytes.ok_or_else(problem)?;
                    let fits = (16..=1024).contains(&bytes);
                    self.policy
                        .enforce(fits.then_some(()).ok_or_else(problem))?;
                    Some(bytes)
                }
            };
            out.push(Secret {
                variable: variable_of(table, &index)?,
                name,
                generate,
            });
        }
        Ok(out)
    }

    pub(super) fn secrets_of(&self, key: &str) -> Result<Vec<EnvName>> {
        let own = self.manifest.secret.iter().filter(|secret| {
            secret.services.is_empty() || secret.services.iter().any(|name| name == key)
        });
        own.map(|secret| get(&["secret"], &secret.name, "a secret's name", EnvName::parse))
            .collect()
    }
}
