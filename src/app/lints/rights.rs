//! Privileges, secrets and names that a service should not have.

use super::case::{Case, Message};
use crate::app::service::Service;

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

/// The bundled app runs only `robotctl` itself.
pub(super) fn package_name(case: &Case<'_>) -> Vec<Message> {
    let is_foreign = |service: &&Service| {
        let program = service.exec.first().map_or("", |word| word.as_str());
        !program.ends_with("/bin/robotctl")
    };
    let first = case.app.services.iter().find(is_foreign);
    if case.app.name.as_str() != "robot" || first.is_none_or(|one| one.name != case.service.name) {
        return Vec::new();
    }
    vec![(
        "belongs to an app called `robot`, as the bundled app is: removing the package \
         removes it, and purging the package deletes its state"
            .to_owned(),
        "give the app another name",
    )]
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
