//! Rights, secrets and names that a service should not have.

use super::case::{Case, Hit};
use crate::app::listen::Listen;
use crate::app::service::Service;

pub(super) fn secret_in_env(case: &Case<'_>) -> Vec<Hit> {
    let telling = |name: &str| {
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
    let env = env.filter(|(name, value)| telling(name.as_str()) && !value.as_str().is_empty());
    let hit = |name: &str| {
        (
            format!("has `{name}` in its environment: anyone may read it in the unit"),
            "make it a `[[secret]]`, which arrives as a credential",
        )
    };
    env.map(|(name, _)| hit(name.as_str())).collect()
}

/// The reference application runs nothing but `robotctl` itself.
pub(super) fn package_name(case: &Case<'_>) -> Vec<Hit> {
    let strange = |service: &&Service| {
        let program = service.exec.first().map_or("", |word| word.as_str());
        !program.ends_with("/bin/robotctl")
    };
    let first = case.app.services.iter().find(strange);
    if case.app.name.as_str() != "robot" || first.is_none_or(|one| one.name != case.service.name) {
        return Vec::new();
    }
    vec![(
        "is of an app called `robot`, which is the name of the package's own: removing the \
         package removes it, and purging it deletes its state"
            .to_owned(),
        "give the app another name",
    )]
}

pub(super) fn public_address(case: &Case<'_>) -> Vec<Hit> {
    let public = case
        .service
        .listen
        .iter()
        .filter(|listen| listen.is_public());
    let hit = |listen: &Listen| {
        (
            format!("listens on `{listen}`: reachable from the network"),
            "write `127.0.0.1:…` for this machine alone",
        )
    };
    public.map(hit).collect()
}

pub(super) fn root(case: &Case<'_>) -> Vec<Hit> {
    if case.service.user.as_str() != "root" {
        return Vec::new();
    }
    vec![(
        "runs as root".to_owned(),
        "take `user` out; `capabilities` gives single rights of root",
    )]
}
