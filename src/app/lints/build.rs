//! Builds that cannot do what the manifest asks for.

use super::case::Message;
use crate::app::release::Release;

/// A requirements file or the settings of pip can do without a network, so this is no error.
pub(super) fn build_network(release: &Release) -> Vec<Message> {
    let downloads = release
        .python
        .as_ref()
        .is_some_and(|python| python.wheels.is_none());
    if !downloads || release.sandbox.has_network() {
        return Vec::new();
    }
    vec![(
        "downloads the packages of `python`, and a build has no network without `sandbox = { allow = [\"outbound\"] }`"
            .to_owned(),
        "write that into `[release]`, or put the wheels into the source and set `wheels` in `python`",
    )]
}
