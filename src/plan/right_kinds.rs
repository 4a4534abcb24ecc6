//! The kinds of rights that a release can ask for.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use std::borrow::Cow;

/// What a right is about. [`RIGHT_KINDS`] describes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RightKind {
    /// A source in another place.
    Source,
    /// Units for another systemd.
    Target,
    /// Commands that build the release.
    Build,
    /// Commands that run during a deploy.
    Hook,
    /// Another user than the app's own.
    User,
    /// Another group.
    Group,
    /// A group that can read the release.
    Reader,
    /// A capability.
    Capability,
    /// A device.
    Device,
    /// An exception from the sandbox.
    Allow,
    /// A network that the service reaches.
    Network,
    /// A path that the service can write.
    ReadWrite,
    /// A path that the service can read.
    ReadOnly,
    /// A raw directive.
    Directive,
    /// A unit that is not the app's.
    Unit,
    /// An address to listen on.
    Address,
    /// An address of a check.
    Check,
    /// A limit above the default.
    Limit,
    /// A file with a secret.
    Secret,
}

/// Every kind of right: its word in text and JSON, and what it gives.
#[rustfmt::skip]
pub const RIGHT_KINDS: &[(RightKind, &str, &str)] = &[
    (RightKind::Source, "source", "root reads the release from outside the directory of the manifest; a link can lead there too"),
    (RightKind::Target, "target", "`app.target` names the systemd version that units are written for: those for another version than the host's can lack protections"),
    (RightKind::Build, "build", "commands run while the release is staged, as a user that only the builds of this app have. They reach the network only if the rows `allow` or `network` of `release.build` say it"),
    (RightKind::Hook, "hook", "commands run during a deploy, as the user of the app and with all of its secrets"),
    (RightKind::User, "user", "programs run as another user than the app's own"),
    (RightKind::Group, "group", "a service has another group"),
    (RightKind::Reader, "reader", "the members of a group can read the files of the release"),
    (RightKind::Capability, "capability", "a service has a capability of root"),
    (RightKind::Device, "device", "a service uses a device"),
    (RightKind::Allow, "allow", "an exception from the sandbox, from `allow` or `runtime`"),
    (RightKind::Network, "network", "a service exchanges packets with addresses of the network of the host: all addresses, local addresses, or a prefix of `outbound` or `allow-from`. With `outbound` or `raw-net` in `allow`, the row `allow` says it"),
    (RightKind::ReadWrite, "read-write", "a service can write a path that is not the app's own"),
    (RightKind::ReadOnly, "read-only", "a service sees a path that is not the app's own"),
    (RightKind::Directive, "directive", "a line of `directives`, which overrides the sandbox"),
    (RightKind::Unit, "unit", "a service starts or stops a unit that is not the app's"),
    (RightKind::Address, "address", "a service listens on an address that other machines can reach, on a port below 1024, or on another unix socket than `/run/APP-SERVICE.sock`"),
    (RightKind::Check, "check", "a check connects, as root, to an address that the app does not listen on"),
    (RightKind::Limit, "limit", "`memory-max` above 75 % or `infinity`, `tasks-max` above 4096, `nofile` above 524288, `log-lines` above 10000, or `core-dumps`. A size of memory in bytes is no right, because the memory of the host differs"),
    (RightKind::Secret, "secret", "root reads a file of `/etc/APP/credentials` for a service or for the build"),
];

impl RightKind {
    /// The word for it in text and JSON.
    pub fn word(self) -> &'static str {
        let mut kinds = RIGHT_KINDS.iter();
        let row = kinds.find(|(kind, ..)| *kind == self);
        row.map_or("", |(_, word, _)| word)
    }
}

impl Serialize for RightKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl JsonSchema for RightKind {
    fn schema_name() -> Cow<'static, str> {
        "RightKind".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let kinds = RIGHT_KINDS.iter().map(|(_, word, meaning)| {
            serde_json::json!({ "const": word, "type": "string", "description": meaning })
        });
        json_schema!({
            "description": "What a right is about.",
            "oneOf": kinds.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::RIGHT_KINDS;
    use std::collections::BTreeSet;

    #[test]
    fn the_words_of_the_kinds_differ() {
        let words: BTreeSet<&str> = RIGHT_KINDS.iter().map(|(_, word, _)| *word).collect();
        assert_eq!(words.len(), RIGHT_KINDS.len());
        for (kind, word, _) in RIGHT_KINDS {
            assert_eq!(kind.word(), *word);
        }
    }
}
