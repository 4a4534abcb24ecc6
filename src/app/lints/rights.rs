//! Privileges and secrets that a service should not have.

use super::case::{Case, Message};
use crate::app::secret_names::holds_secret;

pub(super) fn secret_in_env(case: &Case<'_>) -> Vec<Message> {
    let env = case.service.env.iter();
    let env = env.filter(|(name, value)| holds_secret(name.as_str()) && !value.as_str().is_empty());
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
