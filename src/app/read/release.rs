//! `[release]` and `[[secret]]`.

use super::packets::prefixes;
use super::reader::{Path, Reader, get, one_of, quoted};
use super::secret_variables::variable_of;
use crate::app::application::Secret;
use crate::app::names::{EnvName, Name, Span, Text};
use crate::app::release::{BuildSandbox, Install, Python, Release, plain_path};
use crate::manifest::{BuildSandboxTable, Problem, PythonTable, Result, SecretTable};
use crate::sandbox::build::BUILD_CHOICES;

/// `[release.sandbox]`
fn build_sandbox(table: &BuildSandboxTable) -> Result<BuildSandbox> {
    const OUTBOUND: &[&str] = &["release", "sandbox", "outbound"];
    let mut sandbox = BuildSandbox::default();
    let known = BUILD_CHOICES.map(|name| (name, name));
    for text in &table.allow {
        let name = one_of(&["release", "sandbox", "allow"], text, &known)?;
        sandbox.allow.insert(name);
    }
    let every = "remove it from the list, and write `allow = [\"outbound\"]`";
    sandbox.outbound = prefixes(OUTBOUND, &table.outbound, every)?;
    if sandbox.allow.contains("outbound") && !sandbox.outbound.is_empty() {
        return Err(Problem::new(
            OUTBOUND,
            "`allow` contains `outbound`, which allows every address, so the list `outbound` has no effect",
            "remove the list, or remove `outbound` from `allow`",
        ));
    }
    Ok(sandbox)
}

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
        let build = self.build(python.is_some())?;
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
            build,
            python,
            keep: keep.max(2),
            soak: match &table.soak {
                Some(text) => {
                    let path = ["release", "soak"];
                    Some(get(&path, text, "a time span", Span::parse)?)
                }
                None => None,
            },
            sandbox: build_sandbox(&table.sandbox)?,
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
        if table.requirements.is_empty() && table.install.0.is_empty() {
            self.policy.enforce(Err(Problem::new(
                REQUIREMENTS,
                "`python` lists neither a file in `requirements` nor a package in `install`, so there is nothing to \
                 install",
                "write `requirements = [\"requirements.txt\"]`, or remove `python`",
            )))?;
        }
        let files = table.requirements.iter();
        let files = files.map(|file| self.path_in_release(REQUIREMENTS, file));
        let install = table.install.0.iter().map(|text| self.install(text));
        let wheels = table.wheels.iter();
        let mut wheels =
            wheels.map(|dir| self.path_in_release(&["release", "python", "wheels"], dir));
        Ok(Python {
            requirements: files.collect::<Result<_>>()?,
            install: install.collect::<Result<_>>()?,
            wheels: wheels.next().transpose()?,
        })
    }

    /// A package to install: `.[web]`, `./api`, or a name with versions.
    fn install(&self, text: &str) -> Result<Install> {
        const INSTALL: &[&str] = &["release", "python", "install"];
        let wrong = |message: String, hint: &str| Err(Problem::new(INSTALL, message, hint));
        if text.is_empty() || text.starts_with('-') {
            return wrong(
                format!("{} is not a package", quoted(text)),
                "write `.` for the package of the source, with extras `.[web]`, or a name such as `gunicorn==22.0`; options \
                 belong into a requirements file",
            );
        }
        if text.starts_with('/') || text.contains("file:") {
            return wrong(
                format!("{} is not a package inside the release", quoted(text)),
                "copy it into `release.source` and write its path from there: `./packages/api`",
            );
        }
        if !text.starts_with('.') {
            return Ok(Install {
                path: None,
                name: self.text(INSTALL, text)?,
            });
        }
        let (path, extras) = match text.split_once('[') {
            Some((path, extras)) => (path, format!("[{extras}")),
            None => (text, String::new()),
        };
        let is_list = extras.is_empty() || extras.ends_with(']');
        if !is_list || path.contains(char::is_whitespace) {
            return wrong(
                format!("{} is not a package", quoted(text)),
                "write the directory of the package and its extras: `.[web,core]`",
            );
        }
        let path = self.path_in_release(INSTALL, path)?;
        Ok(Install {
            path: Some(get(
                INSTALL,
                &plain_path(path.as_str()),
                "valid text",
                Text::parse,
            )?),
            name: get(INSTALL, &extras, "valid text", Text::parse)?,
        })
    }

    /// A path that is relative to the release and stays inside it.
    pub(super) fn path_in_release(&self, path: Path<'_>, text: &str) -> Result<Text> {
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
            let build_env = match &table.build_env {
                None => None,
                Some(text) => {
                    let path = ["secret", &index, "build-env"];
                    Some(get(&path, text, "a variable's name", EnvName::parse)?)
                }
            };
            let build = table.is_of_build();
            if build && generate.is_some() {
                return Err(Problem::new(
                    &["secret", &index, "generate"],
                    format!("the secret `{name}` is for the build, and would be generated"),
                    "remove `generate`, and install the value that another host gave you",
                ));
            }
            out.push(Secret {
                variable: variable_of(table, &index)?,
                name,
                build,
                build_env,
                generate,
            });
        }
        Ok(out)
    }

    pub(super) fn secrets_of(&self, key: &str) -> Result<Vec<EnvName>> {
        let own = self.secrets_of_services().filter(|secret| {
            secret.services.is_empty() || secret.services.iter().any(|name| name == key)
        });
        own.map(|secret| get(&["secret"], &secret.name, "a secret's name", EnvName::parse))
            .collect()
    }

    /// The secrets that services receive. One of the build is for services only if it lists them.
    pub(super) fn secrets_of_services(&self) -> impl Iterator<Item = &SecretTable> {
        let secrets = self.manifest.secret.iter();
        secrets.filter(|one| !one.is_of_build() || !one.services.is_empty())
    }
}
