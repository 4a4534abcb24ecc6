//! Secrets that a service gets as environment variables (`as = "env"`).

use super::reader::{Reader, get};
use crate::app::application::App;
use crate::app::names::EnvName;
use crate::app::service::SecretVariable;
use crate::manifest::{Problem, Result, SecretTable};

/// The variable of a secret that is one; `None` for a file.
pub(super) fn variable_of(table: &SecretTable, index: &str) -> Result<Option<EnvName>> {
    let is_variable = match table.r#as.as_deref() {
        None | Some("file") => false,
        Some("env") => true,
        Some(_) => {
            let message = "`as` says how a service gets the secret, as `file` or as `env`";
            let hint =
                "write `as = \"env\"` for an environment variable, or leave it out for a file";
            return Err(Problem::new(&["secret", index, "as"], message, hint));
        }
    };
    let path = ["secret", index, "variable"];
    match (&table.variable, is_variable) {
        (None, false) => Ok(None),
        (None, true) => get(
            &["secret", index, "name"],
            &table.name,
            "a secret's name",
            EnvName::parse,
        )
        .map(Some),
        (Some(text), true) => get(&path, text, "the name of a variable", EnvName::parse).map(Some),
        (Some(_), false) => Err(Problem::new(
            &path,
            "`variable` names an environment variable, and the secret is a file",
            "add `as = \"env\"`, or remove `variable`",
        )),
    }
}

impl Reader<'_> {
    /// The variables of a service that are secrets.
    pub(super) fn secret_variables(
        &self,
        key: &str,
        secrets: &[EnvName],
    ) -> Result<Vec<SecretVariable>> {
        let mut variables: Vec<SecretVariable> = Vec::new();
        for (index, table) in self.manifest.secret.iter().enumerate() {
            let secret = secrets.iter().find(|one| one.as_str() == table.name);
            let index = index.to_string();
            let (Some(secret), Some(variable)) = (secret, variable_of(table, &index)?) else {
                continue;
            };
            if let Some(other) = variables.iter().find(|one| one.variable == variable) {
                let message = format!(
                    "service `{key}` gets the variable `{variable}` from two secrets, `{}` and `{secret}`",
                    other.secret
                );
                let hint = "give one of them another `variable`, or other `services`";
                return Err(Problem::new(&["secret", &index], message, hint));
            }
            variables.push(SecretVariable {
                secret: secret.clone(),
                variable,
            });
        }
        Ok(variables)
    }
}

/// Refuses a variable that the manifest sets and that a secret sets too.
pub(super) fn check_secret_variables(app: &App) -> Result<()> {
    for service in &app.services {
        for one in &service.secret_variables {
            if service.env.iter().any(|(name, _)| *name == one.variable) {
                let message = format!(
                    "service `{}` gets the variable `{}` from `env` and from the secret `{}`",
                    service.name, one.variable, one.secret
                );
                let hint = "remove it from `env`, or give the secret another `variable`";
                let path = ["service", service.name.as_str(), "env"];
                return Err(Problem::new(&path, message, hint));
            }
        }
    }
    Ok(())
}
