//! Secrets that a service gets as environment variables: its command starts as `robotctl with-secrets`.
//!
//! systemd gives the service its credentials, as for any secret. This process reads them in the sandbox of the
//! service, and becomes the program. So the values are in no file that root would have to write before each start.

use crate::app::EnvName;
use crate::error::{Error, HintedError};
use crate::host::{become_program, variable};
use crate::ops::user_file::read_bytes;
use crate::settings::SecretValue;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Sets a variable for each credential in `pairs`, which are `SECRET=VARIABLE`, and becomes the program. Returns only
/// if that fails.
pub(crate) fn exec_with_secrets(pairs: &[String], argv: &[String]) -> Error {
    let directory = variable("CREDENTIALS_DIRECTORY").unwrap_or_default();
    let directory = PathBuf::from(directory);
    let variables = pairs.iter().map(|pair| read(&directory, pair));
    let error = match variables.collect::<Result<Vec<_>>>() {
        Err(error) => error,
        Ok(variables) => {
            let error = become_program(argv, &variables);
            let program = argv.first().map_or("", String::as_str);
            let hint = "check that the program exists, and that it is executable";
            HintedError::new(format!("`{program}` cannot be executed: {error}"), hint).into()
        }
    };
    // The service has not started.
    Error::of_kind(crate::error::Kind::Refused, error)
}

fn read(directory: &Path, pair: &str) -> Result<(String, Vec<u8>)> {
    let wrong = || HintedError::new("a pair is not `SECRET=VARIABLE`", "deploy the app again");
    let (secret, name) = pair.split_once('=').ok_or_else(wrong)?;
    let secret = EnvName::parse(secret).map_err(|_| wrong())?;
    let name = EnvName::parse(name).map_err(|_| wrong())?;
    let path = directory.join(secret.as_str());
    let bytes = read_bytes(&path, "set the secret, then start the service again")?;
    if bytes.is_empty() {
        return Ok((name.to_string(), bytes));
    }
    let refused = |clause: &str| {
        let message = format!("the secret `{secret}` {clause}");
        HintedError::new(message, "set another value, then start the service again")
    };
    let value = SecretValue::new(bytes).map_err(refused)?;
    if let Some(clause) = value.variable_fault(name.as_str()) {
        return Err(refused(clause).into());
    }
    Ok((name.to_string(), value.bytes().to_vec()))
}
