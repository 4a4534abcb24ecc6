//! `condition` of a service: when systemd starts it (systemd.unit(5), "Conditions and Asserts").

use super::lines::Line;
use super::names::AbsPath;

/// What the value of a condition is, after its `|` and `!`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// An absolute path or a pattern of paths.
    Path,
    /// A word of systemd for true or false.
    Truth,
    /// Text, which systemd reads.
    Text,
}

/// A kind of condition.
#[derive(Debug, Clone, Copy)]
pub struct ConditionKind {
    /// The key in a manifest.
    pub key: &'static str,
    /// The directive.
    pub directive: &'static str,
    /// The first version of systemd that checks it. An earlier one ignores it, and starts the service.
    pub since: u16,
    /// When it is met, as a clause.
    pub meaning: &'static str,
    takes: Takes,
}

const fn kind(
    key: &'static str,
    directive: &'static str,
    since: u16,
    takes: Takes,
    meaning: &'static str,
) -> ConditionKind {
    ConditionKind {
        key,
        directive,
        since,
        meaning,
        takes,
    }
}

/// Every condition that systemd 257 knows, by key.
#[rustfmt::skip]
pub const CONDITIONS: &[ConditionKind] = &[
    kind("ac-power", "ConditionACPower", 220, Takes::Truth, "the host runs on mains power"),
    kind("architecture", "ConditionArchitecture", 201, Takes::Text, "the host has this architecture, such as `arm64`"),
    kind("capability", "ConditionCapability", 220, Takes::Text, "the service manager has this capability"),
    kind("control-group-controller", "ConditionControlGroupController", 230, Takes::Text, "this control group controller is available, such as `memory`"),
    kind("cpu-feature", "ConditionCPUFeature", 248, Takes::Text, "the processor has this feature, such as `rdrand`"),
    kind("cpu-pressure", "ConditionCPUPressure", 250, Takes::Text, "the pressure on processor time is below this share"),
    kind("cpus", "ConditionCPUs", 244, Takes::Text, "the number of processors compares so, such as `>=4`"),
    kind("credential", "ConditionCredential", 252, Takes::Text, "this credential was passed to the service manager"),
    kind("directory-not-empty", "ConditionDirectoryNotEmpty", 209, Takes::Path, "this directory exists and is not empty"),
    kind("environment", "ConditionEnvironment", 246, Takes::Text, "the service manager has this variable, or this assignment"),
    kind("file-is-executable", "ConditionFileIsExecutable", 209, Takes::Path, "this file exists and can be executed"),
    kind("file-not-empty", "ConditionFileNotEmpty", 209, Takes::Path, "this file exists and is not empty"),
    kind("firmware", "ConditionFirmware", 249, Takes::Text, "the firmware is this one, such as `uefi`"),
    kind("first-boot", "ConditionFirstBoot", 220, Takes::Truth, "the host boots for the first time"),
    kind("group", "ConditionGroup", 236, Takes::Text, "the service manager runs with this group"),
    kind("host", "ConditionHost", 220, Takes::Text, "the host has this name, which may be a pattern, or this machine id"),
    kind("io-pressure", "ConditionIOPressure", 250, Takes::Text, "the pressure on input and output is below this share"),
    kind("kernel-command-line", "ConditionKernelCommandLine", 220, Takes::Text, "the kernel was started with this word"),
    kind("kernel-version", "ConditionKernelVersion", 237, Takes::Text, "the version of the kernel compares so, such as `>=6.1`"),
    kind("memory", "ConditionMemory", 244, Takes::Text, "the memory of the host compares so, such as `>=2G`"),
    kind("memory-pressure", "ConditionMemoryPressure", 250, Takes::Text, "the pressure on memory is below this share"),
    kind("needs-update", "ConditionNeedsUpdate", 220, Takes::Text, "`/etc` or `/var` must be updated"),
    kind("os-release", "ConditionOSRelease", 249, Takes::Text, "os-release(5) has this value, such as `ID=debian`"),
    kind("path-exists", "ConditionPathExists", 208, Takes::Path, "this path exists"),
    kind("path-exists-glob", "ConditionPathExistsGlob", 208, Takes::Path, "a path that matches this pattern exists"),
    kind("path-is-directory", "ConditionPathIsDirectory", 208, Takes::Path, "this path is a directory"),
    kind("path-is-encrypted", "ConditionPathIsEncrypted", 246, Takes::Path, "the file system of this path is encrypted"),
    kind("path-is-mount-point", "ConditionPathIsMountPoint", 208, Takes::Path, "this path is a mount point"),
    kind("path-is-read-write", "ConditionPathIsReadWrite", 208, Takes::Path, "the file system of this path can be written"),
    kind("path-is-symbolic-link", "ConditionPathIsSymbolicLink", 208, Takes::Path, "this path is a symbolic link"),
    kind("security", "ConditionSecurity", 220, Takes::Text, "this security technology is enabled, such as `apparmor`"),
    kind("user", "ConditionUser", 236, Takes::Text, "the service manager runs as this user"),
    kind("virtualization", "ConditionVirtualization", 220, Takes::Text, "the host is virtual, a container, or of this technology"),
];

/// One condition of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The directive, such as `ConditionPathExists`.
    pub directive: &'static str,
    /// Its value, with `|` and `!`.
    pub value: Line,
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.directive, self.value)
    }
}

impl ConditionKind {
    /// A condition of this kind.
    ///
    /// # Errors
    /// The rule that the value breaks, as a hint.
    pub(super) fn with_value(&self, text: &str) -> Result<Condition, &'static str> {
        let value = Line::parse(text)?;
        // `|` marks a condition of which one must be met, and `!` the opposite.
        let operand = text.strip_prefix('|').unwrap_or(text);
        let operand = operand.strip_prefix('!').unwrap_or(operand);
        // systemd reads an empty value as the end of the list, and drops the conditions before it.
        if operand.trim().is_empty() {
            return Err("write what systemd must find");
        }
        match self.takes {
            Takes::Path => drop(AbsPath::parse(operand)?),
            Takes::Truth if !["yes", "no", "true", "false"].contains(&operand) => {
                return Err("write `\"yes\"` or `\"no\"`");
            }
            Takes::Truth | Takes::Text => {}
        }
        Ok(Condition {
            directive: self.directive,
            value,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::CONDITIONS;

    #[test]
    fn each_key_is_its_directive_in_lower_case() {
        for one in CONDITIONS {
            let directive = one.directive.strip_prefix("Condition").unwrap();
            assert_eq!(one.key.replace('-', ""), directive.to_lowercase());
        }
        assert!(CONDITIONS.is_sorted_by_key(|one| one.key));
    }

    #[test]
    fn a_value_cannot_end_the_list_or_lead_elsewhere() {
        let parse = |key: &str, text: &str| {
            let mut kinds = CONDITIONS.iter();
            let kind = kinds.find(|one| one.key == key).unwrap();
            kind.with_value(text).map(|one| one.to_string())
        };
        for (key, text, line) in [
            ("path-exists", "/etc/x", "ConditionPathExists=/etc/x"),
            ("path-exists", "|!/etc/x", "ConditionPathExists=|!/etc/x"),
            (
                "path-exists-glob",
                "/etc/*.d",
                "ConditionPathExistsGlob=/etc/*.d",
            ),
            ("first-boot", "no", "ConditionFirstBoot=no"),
            ("kernel-version", ">= 6.1", "ConditionKernelVersion=>= 6.1"),
        ] {
            assert_eq!(parse(key, text).as_deref(), Ok(line));
        }
        for (key, text) in [
            ("path-exists", ""),
            ("path-exists", "!"),
            ("host", "|"),
            ("path-exists", "etc/x"),
            ("path-exists", "!!/etc/x"),
            ("path-exists", "/etc/../x"),
            ("ac-power", "maybe"),
            ("host", "a\nConditionHost="),
            ("host", "a\\"),
        ] {
            assert!(parse(key, text).is_err(), "{key} {text:?}");
        }
    }
}
