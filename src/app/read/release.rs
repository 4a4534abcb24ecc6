//! `[release]` and `[[secret]]`.

use super::reader::{Reader, get, quoted};
use crate::app::application::Secret;
use crate::app::names::{EnvName, Name, Span, Text};
use crate::app::release::{Python, Release};
use crate::manifest::{Problem, Result};

impl Reader<'_> {
    pub(super) fn release(&self) -> Result<Release> {
        let table = &self.manifest.release;
        let python = match &table.python {
            Some(python) => Some(Python {
                requirements: self.texts(&["release", "python"], &python.requirements)?,
                wheels: match &python.wheels {
                    Some(wheels) => Some(self.text(&["release", "python"], wheels)?),
                    None => None,
                },
            }),
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
                .map(|text| get(&["release", "exclude"], text, "a pattern", Text::parse))
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
            out.push(Secret { name, generate });
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
