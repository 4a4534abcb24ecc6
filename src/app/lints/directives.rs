//! Directives of the manifest that break the service, or do nothing.

use super::case::{Case, Hit};
use crate::app::service::Type;
use crate::sandbox::directives::UNENFORCED;
use crate::units::Target;

fn on(value: Option<&str>) -> bool {
    value.is_some_and(|value| ["yes", "true", "on", "1"].contains(&value))
}

pub(super) fn families_notify(case: &Case<'_>) -> Vec<Hit> {
    if case.directive("RestrictAddressFamilies") != Some("none")
        || case.service.kind != Type::Notify
    {
        return Vec::new();
    }
    vec![(
        "is `notify` and may open no socket: it can never say READY".to_owned(),
        "write `RestrictAddressFamilies = \"AF_UNIX\"`, or take the directive out",
    )]
}

pub(super) fn dynamic_user(case: &Case<'_>) -> Vec<Hit> {
    if !on(case.directive("DynamicUser")) {
        return Vec::new();
    }
    vec![(
        format!(
            "has `DynamicUser=yes`: `{}` moves where no other service sees it",
            case.app.layout.state()
        ),
        "take the directive out: the services share a system user",
    )]
}

pub(super) fn private_capabilities(case: &Case<'_>) -> Vec<Hit> {
    let private = case
        .directive("PrivateUsers")
        .is_some_and(|value| value != "no");
    if !private || case.shape.capabilities.is_empty() {
        return Vec::new();
    }
    vec![(
        format!(
            "has {} and `PrivateUsers=`: they count in its own namespace alone",
            case.shape.capabilities.join(" ")
        ),
        "take `PrivateUsers` out of `directives`",
    )]
}

pub(super) fn unenforced(case: &Case<'_>) -> Vec<Hit> {
    let Some(Target::Version(version)) = case.target else {
        return Vec::new();
    };
    // These two are the only ones that are written unasked.
    let ports = !case.shape.ports.is_empty();
    let written =
        |name: &str| case.directive(name).is_some() || (ports && name.starts_with("SocketBind"));
    let rows = UNENFORCED.iter();
    let rows = rows.filter(|(name, enforced, _)| version < *enforced && written(name));
    let told = |(name, _, why): &(&str, u16, &'static str)| {
        (
            format!("has `{name}=`, which systemd {version} takes and does not enforce"),
            *why,
        )
    };
    rows.map(told).collect()
}
