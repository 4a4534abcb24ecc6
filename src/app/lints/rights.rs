//! Privileges and secrets that a service should not have.

use super::case::{Case, Message};

pub(super) fn secret_in_env(case: &Case<'_>) -> Vec<Message> {
    let is_secret = |name: &str| {
        let ends = [
            "PASSWORD",
            "SECRET",
            "TOKEN",
            "API_KEY",
            "PRIVATE_KEY",
            "SECRET_KEY",
        ];
        ends.iter()
            .any(|end| name == *end || name.ends_with(&format!("_{end}")))
    };
    let env = case.service.env.iter();
    let env = env.filter(|(name, value)| is_secret(name.as_str()) && !value.as_str().is_empty());
    let message = |name: &str| {
        (
            format!("has `{name}` in its environment: any user can read it in the unit file"),
            "make it a `[[secret]]`, which systemd passes as a credential",
        )
    };
    env.map(|(name, _)| message(name.as_str())).collect()
}

pub(super) fn root(case: &Case<'_>) -> Vec<Message> {
    if case.service.user.as_str() != "root" {
        return Vec::new();
    }
    vec![(
        "runs as root".to_owned(),
        "remove `user`; `capabilities` grants single rights of root",
    )]
}
