//! Raw directives that break the service or have no effect.

use super::case::{Case, Message};
use crate::app::service::Type;
use crate::sandbox::directives::UNENFORCED;
use crate::units::Target;

pub(super) fn families_notify(case: &Case<'_>) -> Vec<Message> {
    if case.directive("RestrictAddressFamilies") != Some("none")
        || case.service.kind != Type::Notify
    {
        return Vec::new();
    }
    vec![(
        "has the type `notify` and cannot open a socket, so it can never report READY".to_owned(),
        "write `RestrictAddressFamilies = \"AF_UNIX\"`, or remove the directive",
    )]
}

pub(super) fn private_capabilities(case: &Case<'_>) -> Vec<Message> {
    let private = case
        .directive("PrivateUsers")
        .is_some_and(|value| value != "no");
    if !private || case.shape.capabilities.is_empty() {
        return Vec::new();
    }
    vec![(
        format!(
            "has {} and `PrivateUsers=`, which limits them to its own namespace",
            case.shape.capabilities.join(" ")
        ),
        "remove `PrivateUsers` from `directives`",
    )]
}

pub(super) fn unenforced(case: &Case<'_>) -> Vec<Message> {
    let Some(Target::Version(version)) = case.target else {
        return Vec::new();
    };
    // Of these directives, only `SocketBindAllow=` and `SocketBindDeny=` are written by default.
    let ports = case.shape.ports.is_some();
    let written =
        |name: &str| case.directive(name).is_some() || (ports && name.starts_with("SocketBind"));
    let rows = UNENFORCED.iter();
    let rows = rows.filter(|(name, enforced, _)| version < *enforced && written(name));
    let message = |(name, _, why): &(&str, u16, &'static str)| {
        (
            format!("has `{name}=`, which systemd {version} accepts and does not enforce"),
            *why,
        )
    };
    rows.map(message).collect()
}
