//! The settings of a unit, as systemd understands them and the checks need them.
//!
//! The file is scored, not the running service: the result is that of `systemd-analyze security
//! --offline=true`. They differ: for a loaded unit, `ProtectSystem=` counts as `PrivateMounts=`.

use super::sets::{self, Filter};
use super::unit::{Quotes, Unit, boolean, words};
use std::collections::{BTreeMap, BTreeSet};

/// What `DynamicUser=yes` turns on, systemd.exec(5).
const IMPLIED_BY_DYNAMIC_USER: [&str; 4] = [
    "PrivateTmp",
    "RemoveIPC",
    "NoNewPrivileges",
    "RestrictSUIDSGID",
];

/// Words that newer versions accept where older ones accept a boolean. Each counts as `yes`.
const NEWER_WORDS: &[(&str, &str, u16)] = &[
    ("PrivateTmp", "disconnected", 257),
    ("PrivateUsers", "self", 257),
    ("PrivateUsers", "identity", 257),
    ("PrivateUsers", "full", 258),
    ("PrivateUsers", "managed", 260),
    ("ProtectControlGroups", "private", 257),
    ("ProtectControlGroups", "strict", 257),
    ("ProtectHostname", "private", 258),
];

/// The facts about one unit.
#[derive(Debug)]
pub(super) struct Context<'a> {
    unit: &'a Unit,
    version: u16,
    pub(super) bounding: u64,
    pub(super) namespaces: BTreeSet<&'static str>,
    pub(super) families: Filter,
    pub(super) system_calls: Filter,
}

impl<'a> Context<'a> {
    /// The settings of a unit in a version of systemd.
    pub(super) fn new(unit: &'a Unit, version: u16) -> Self {
        let of = |key| unit.values("Service", key);
        let mut context = Self {
            unit,
            version,
            bounding: sets::capabilities(u64::MAX, &of("CapabilityBoundingSet")),
            namespaces: sets::namespaces(&of("RestrictNamespaces")),
            families: Filter::families(&of("RestrictAddressFamilies")),
            system_calls: Filter::system_calls(&of("SystemCallFilter")),
        };
        for (directive, names) in [
            ("PrivateDevices", "CAP_MKNOD CAP_SYS_RAWIO"),
            ("ProtectKernelModules", "CAP_SYS_MODULE"),
            ("ProtectKernelLogs", "CAP_SYSLOG"),
            ("ProtectClock", "CAP_SYS_TIME CAP_WAKE_ALARM"),
        ] {
            if context.on(directive) {
                for name in names.split(' ') {
                    context.bounding &= !sets::capability(name);
                }
            }
        }
        context
    }

    fn values(&self, key: &str) -> Vec<&'a str> {
        self.unit.values("Service", key)
    }

    /// The last value, unless it is empty.
    pub(super) fn last(&self, key: &str) -> Option<&'a str> {
        self.values(key).pop().filter(|value| !value.is_empty())
    }

    /// The last value that passes a test. systemd ignores the others.
    pub(super) fn last_where(&self, key: &str, test: impl Fn(&str) -> bool) -> Option<&'a str> {
        self.values(key).into_iter().rfind(|it| test(it))
    }

    /// The last value that is one of `choices`.
    pub(super) fn choice(&self, key: &str, choices: &[&str]) -> Option<&'a str> {
        self.last_where(key, |value| choices.contains(&value))
    }

    /// Whether a switch is on. A word that the version does not know does not change it.
    pub(super) fn on(&self, key: &str) -> bool {
        let newer = |value: &str| {
            let word = value.split(':').next().unwrap_or_default();
            let known = |row: &&(&str, &str, u16)| row.0 == key && row.1 == word;
            let row = NEWER_WORDS.iter().find(known)?;
            (self.version >= row.2).then_some(true)
        };
        (IMPLIED_BY_DYNAMIC_USER.contains(&key) && self.on("DynamicUser"))
            || self
                .values(key)
                .into_iter()
                .rev()
                .find_map(|value| boolean(value).or_else(|| newer(value)))
                .unwrap_or(false)
    }

    /// Whether the unit is ordered after early boot, which is the default.
    pub(super) fn default_dependencies(&self) -> bool {
        let values = self.unit.values("Unit", "DefaultDependencies");
        values.into_iter().rev().find_map(boolean).unwrap_or(true)
    }

    /// The user, unless it is root.
    pub(super) fn user(&self) -> Option<&'a str> {
        let generated = self.on("DynamicUser").then_some("generated");
        // The specifiers stand for the user of systemd itself.
        let root = |name: &&str| !matches!(*name, "root" | "0" | "%u" | "%U");
        self.last("User").or(generated).filter(root)
    }

    /// Whether a list such as `SupplementaryGroups=` or `IPIngressFilterPath=` has an entry.
    pub(super) fn has_any(&self, key: &str) -> bool {
        self.values(key).into_iter().fold(false, |any, value| {
            !value.is_empty() && (any || !words(value, Quotes::Literal).is_empty())
        })
    }

    /// `Delegate=`, which is also on with a list of controllers or with nothing.
    pub(super) fn delegates(&self) -> bool {
        let last = self.values("Delegate").pop();
        last.is_some_and(|value| boolean(value).unwrap_or(true))
    }

    /// Whether the unit has its own root directory or image.
    pub(super) fn has_own_root(&self) -> bool {
        ["RootDirectory", "RootImage"].iter().any(|key| {
            let path = self.last(key).unwrap_or_default();
            path.split('/').any(|part| !matches!(part, "" | "."))
        })
    }

    /// `UMask=`
    pub(super) fn umask(&self) -> u32 {
        let mode = |value| {
            u32::from_str_radix(value, 8)
                .ok()
                .filter(|it| *it <= 0o7777)
        };
        let values = self.values("UMask").into_iter();
        values.rev().find_map(mode).unwrap_or(0o022)
    }

    /// `SystemCallArchitectures=`
    pub(super) fn architectures(&self) -> BTreeSet<String> {
        let mut out = BTreeSet::new();
        for value in self.values("SystemCallArchitectures") {
            if value.is_empty() {
                out.clear();
            }
            out.extend(
                words(value, Quotes::Join)
                    .into_iter()
                    .filter(|it| is_architecture(it)),
            );
        }
        out
    }

    /// Whether devices that are not listed are denied.
    pub(super) fn closes_devices(&self) -> bool {
        let policy = self.choice("DevicePolicy", &["auto", "closed", "strict"]);
        // With `auto`, private devices still close it.
        matches!(policy, Some("closed" | "strict")) || self.on("PrivateDevices")
    }

    /// Whether any device is listed, by the unit or by systemd itself.
    ///
    /// If there is a filter, systemd lists the devices that other settings need: the clock for
    /// `ProtectClock=`, loop devices for images, the TPM for encrypted credentials.
    pub(super) fn lists_devices(&self) -> bool {
        let listed = self
            .values("DeviceAllow")
            .into_iter()
            .fold(false, |any, value| {
                !value.is_empty() && (any || is_device_line(value))
            });
        let filtered = self.closes_devices() || listed;
        listed
            || (filtered
                && (self.on("ProtectClock")
                    || self.last("RootImage").is_some()
                    || self.has_any("MountImages")
                    || self.has_encrypted_credentials()))
    }

    fn has_encrypted_credentials(&self) -> bool {
        let encrypted = |load: &'static str, sealed: &'static str| {
            let mut by_name = BTreeMap::new();
            for (key, value) in self.unit.assignments_of("Service", &[load, sealed]) {
                match value.split_once(':').map_or(value, |(name, _)| name) {
                    "" => by_name.clear(),
                    name => drop(by_name.insert(name, key == sealed)),
                }
            }
            by_name.into_values().any(|sealed| sealed)
        };
        encrypted("LoadCredential", "LoadCredentialEncrypted")
            || encrypted("SetCredential", "SetCredentialEncrypted")
    }

    /// `AmbientCapabilities=`
    pub(super) fn ambient(&self) -> u64 {
        sets::capabilities(0, &self.values("AmbientCapabilities"))
    }

    /// `IPAddressAllow=` or `IPAddressDeny=`
    pub(super) fn prefixes(&self, key: &str) -> Vec<(std::net::IpAddr, u32)> {
        sets::prefixes(&self.values(key))
    }
}

/// `native`, or one of the names in systemd.exec(5).
fn is_architecture(word: &str) -> bool {
    const NAMES: &str = "native x86 x86-64 x32 arm arm64 loongarch64 mips mips64 mips64-n32 mips-le \
mips64-le mips64-le-n32 parisc parisc64 ppc ppc64 ppc64-le riscv64 s390 s390x";
    NAMES.split(' ').any(|it| it == word)
}

/// Whether systemd accepts a line of `DeviceAllow=`.
fn is_device_line(line: &str) -> bool {
    let words = words(line, Quotes::Join);
    let node = |path: &str| {
        let mut parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
        let directory = ["/dev/", "/run/systemd/inaccessible/"].iter();
        parts.all(|part| part != "..")
            && directory
                .into_iter()
                .any(|it| format!("{path}/").starts_with(it))
    };
    let rights = |word: &String| word.chars().all(|c| matches!(c, 'r' | 'w' | 'm'));
    match words.as_slice() {
        [name, rest @ ..] if rest.len() <= 1 && rest.iter().all(rights) => {
            name.starts_with("block-") || name.starts_with("char-") || node(name)
        }
        _ => false,
    }
}
