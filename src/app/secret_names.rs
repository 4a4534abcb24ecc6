//! Names of variables whose values are secret.

/// How such names end.
const SUFFIXES: [&str; 6] = [
    "PASSWORD",
    "SECRET",
    "TOKEN",
    "API_KEY",
    "PRIVATE_KEY",
    "SECRET_KEY",
];

/// Whether a variable holds a secret, by its name.
pub(crate) fn holds_secret(name: &str) -> bool {
    let mut suffixes = SUFFIXES.iter();
    suffixes.any(|suffix| name == *suffix || name.ends_with(&format!("_{suffix}")))
}
