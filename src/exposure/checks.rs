//! The checks of `systemd-analyze security`, grouped as there: what counts, and how much.
//!
//! Names, weights and ranges are systemd's, the same from 250 to 262. The descriptions are ours and
//! complete the sentence "The service can …". See systemd.exec(5) and systemd.resource-control(5).

use super::context::Context;
use super::grades;
use super::sets;

/// One row: a setting, and its weight.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// The directive, as in systemd.directives(7).
    pub directive: &'static str,
    /// The part of a list that the row is about; empty for the whole.
    pub part: &'static str,
    /// The most points that it can add.
    pub weight: u32,
    /// The highest badness: more than 1 if there are grades.
    pub range: u32,
    /// What a service that fails the check can do: "The service can …".
    pub lets: &'static str,
    rule: Rule,
}

/// How the badness of a row is determined.
#[derive(Debug, Clone, Copy)]
enum Rule {
    /// A switch that must be on.
    Switch,
    /// None of these may be in the bounding set.
    Capabilities(&'static [&'static str]),
    /// This type of namespace may not be created.
    Namespace,
    /// These families may not be used. An empty list means every family without a row.
    Families(&'static [&'static str]),
    /// No system call of this group may be allowed.
    SystemCalls,
    /// Anything else: the function, and the line that fixes it.
    Grade(fn(&Context<'_>) -> u32, &'static str),
}

use Rule::{Capabilities, Families, Grade, Namespace, Switch, SystemCalls};

/// These do not apply to a unit of early boot.
const NOT_IN_EARLY_BOOT: [&str; 4] = [
    "PrivateTmp",
    "ProtectHome",
    "ProtectSystem",
    "RootDirectory=/RootImage",
];

/// These do not apply to root: it needs no group, and its IPC objects are never removed.
const NOT_OF_ROOT: [&str; 2] = ["SupplementaryGroups", "RemoveIPC"];

/// One row per line. It is a macro because the formatter would put each field on its own line.
macro_rules! table {
    ($($directive:literal $($part:literal)?, $weight:literal/$range:literal, $rule:expr, $lets:literal;)*) => {
        &[$(Check {
            directive: $directive,
            part: concat!($($part)?),
            weight: $weight,
            range: $range,
            rule: $rule,
            lets: $lets,
        }),*]
    };
}

/// Every check.
#[rustfmt::skip]
pub const CHECKS: &[Check] = table! {
    "User=/DynamicUser", 2000/10, Grade(grades::user, "DynamicUser=yes"), "run as root";
    "SupplementaryGroups", 200/1, Grade(grades::groups, "SupplementaryGroups="), "use the permissions of supplementary groups";
    "PrivateDevices", 1000/1, Switch, "reach hardware through /dev";
    "PrivateMounts", 1000/1, Switch, "make mounts that others see";
    "PrivateNetwork", 2500/1, Switch, "use the network of the host";
    "PrivateTmp", 1000/1, Switch, "see temporary files of other programs";
    "PrivateUsers", 1000/1, Switch, "see the users of the host";
    "ProtectControlGroups", 1000/1, Switch, "change control groups";
    "ProtectKernelModules", 1000/1, Switch, "load kernel modules";
    "ProtectKernelTunables", 1000/1, Switch, "change kernel settings in /proc and /sys";
    "ProtectKernelLogs", 1000/1, Switch, "read and clear the kernel log";
    "ProtectClock", 1000/1, Switch, "set the clock";
    "ProtectHome", 1000/10, Grade(grades::home, "ProtectHome=yes"), "see home directories";
    "ProtectHostname", 50/1, Switch, "rename the host";
    "ProtectSystem", 1000/10, Grade(grades::system, "ProtectSystem=strict"), "write outside its own directories";
    "RootDirectory=/RootImage", 200/1, Grade(grades::root, "RootDirectory=/run/empty"), "see the file tree of the host";
    "LockPersonality", 100/1, Switch, "switch to another execution domain";
    "MemoryDenyWriteExecute", 100/1, Switch, "execute memory that it has written";
    "NoNewPrivileges", 1000/1, Switch, "gain privileges through setuid programs";
    "CapabilityBoundingSet" "CAP_SYS_ADMIN", 1500/1, Capabilities(&["CAP_SYS_ADMIN"]), "administer the system";
    "CapabilityBoundingSet" "CAP_SET(UID|GID|PCAP)", 1500/1, Capabilities(&["CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"]), "become another user";
    "CapabilityBoundingSet" "CAP_SYS_PTRACE", 1500/1, Capabilities(&["CAP_SYS_PTRACE"]), "inspect any process";
    "CapabilityBoundingSet" "CAP_SYS_TIME", 1000/1, Capabilities(&["CAP_SYS_TIME"]), "hold the capability to set the clock";
    "CapabilityBoundingSet" "CAP_NET_ADMIN", 1000/1, Capabilities(&["CAP_NET_ADMIN"]), "configure the network";
    "CapabilityBoundingSet" "CAP_SYS_RAWIO", 1000/1, Capabilities(&["CAP_SYS_RAWIO"]), "access I/O ports and device memory";
    "CapabilityBoundingSet" "CAP_SYS_MODULE", 1000/1, Capabilities(&["CAP_SYS_MODULE"]), "hold the capability to load kernel modules";
    "CapabilityBoundingSet" "CAP_AUDIT_*", 500/1, Capabilities(&["CAP_AUDIT_CONTROL", "CAP_AUDIT_READ", "CAP_AUDIT_WRITE"]), "read or change the audit log";
    "CapabilityBoundingSet" "CAP_SYSLOG", 500/1, Capabilities(&["CAP_SYSLOG"]), "hold the capability for the kernel log";
    "CapabilityBoundingSet" "CAP_SYS_(NICE|RESOURCE)", 500/1, Capabilities(&["CAP_SYS_NICE", "CAP_SYS_RESOURCE"]), "raise its priority and exceed resource limits";
    "CapabilityBoundingSet" "CAP_MKNOD", 500/1, Capabilities(&["CAP_MKNOD"]), "create device nodes";
    "CapabilityBoundingSet" "CAP_(CHOWN|FSETID|SETFCAP)", 1000/1, Capabilities(&["CAP_CHOWN", "CAP_FSETID", "CAP_SETFCAP"]), "change file owners and set file capabilities";
    "CapabilityBoundingSet" "CAP_(DAC_*|FOWNER|IPC_OWNER)", 1000/1, Capabilities(&["CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_IPC_OWNER"]), "bypass file permissions";
    "CapabilityBoundingSet" "CAP_KILL", 500/1, Capabilities(&["CAP_KILL"]), "signal any process";
    "CapabilityBoundingSet" "CAP_NET_(BIND_SERVICE|BROADCAST|RAW)", 500/1, Capabilities(&["CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_RAW"]), "open ports below 1024 and send raw packets";
    "CapabilityBoundingSet" "CAP_SYS_BOOT", 100/1, Capabilities(&["CAP_SYS_BOOT"]), "reboot the host";
    "CapabilityBoundingSet" "CAP_MAC_*", 100/1, Capabilities(&["CAP_MAC_ADMIN", "CAP_MAC_OVERRIDE"]), "change mandatory access control";
    "CapabilityBoundingSet" "CAP_LINUX_IMMUTABLE", 75/1, Capabilities(&["CAP_LINUX_IMMUTABLE"]), "make files immutable";
    "CapabilityBoundingSet" "CAP_IPC_LOCK", 50/1, Capabilities(&["CAP_IPC_LOCK"]), "lock memory";
    "CapabilityBoundingSet" "CAP_SYS_CHROOT", 50/1, Capabilities(&["CAP_SYS_CHROOT"]), "change its root directory";
    "CapabilityBoundingSet" "CAP_BLOCK_SUSPEND", 25/1, Capabilities(&["CAP_BLOCK_SUSPEND"]), "keep the host from suspending";
    "CapabilityBoundingSet" "CAP_WAKE_ALARM", 25/1, Capabilities(&["CAP_WAKE_ALARM"]), "wake the host";
    "CapabilityBoundingSet" "CAP_LEASE", 25/1, Capabilities(&["CAP_LEASE"]), "take leases on any file";
    "CapabilityBoundingSet" "CAP_SYS_TTY_CONFIG", 25/1, Capabilities(&["CAP_SYS_TTY_CONFIG"]), "hang up terminals";
    "CapabilityBoundingSet" "CAP_SYS_PACCT", 25/1, Capabilities(&["CAP_SYS_PACCT"]), "turn process accounting on and off";
    "CapabilityBoundingSet" "CAP_BPF", 25/1, Capabilities(&["CAP_BPF"]), "load BPF programs";
    "UMask", 100/10, Grade(grades::umask, "UMask=0077"), "create files that others can open";
    "KeyringMode", 1000/1, Grade(grades::keyring, "KeyringMode=private"), "share kernel keys with other services";
    "ProtectProc", 1000/3, Grade(grades::processes, "ProtectProc=invisible"), "see processes of other users";
    "ProcSubset", 10/1, Grade(grades::proc_files, "ProcSubset=pid"), "read about the host in /proc";
    "NotifyAccess", 1000/1, Grade(grades::notify, "NotifyAccess=main"), "let any child process report its state";
    "RemoveIPC", 100/1, Switch, "leave shared memory behind";
    "Delegate", 100/1, Grade(grades::delegate, "Delegate=no"), "manage its own control groups";
    "RestrictRealtime", 500/1, Switch, "use real-time scheduling";
    "RestrictSUIDSGID", 1000/1, Switch, "create setuid files";
    "RestrictNamespaces" "user", 1500/1, Namespace, "create user namespaces";
    "RestrictNamespaces" "mnt", 500/1, Namespace, "create mount namespaces";
    "RestrictNamespaces" "ipc", 500/1, Namespace, "create IPC namespaces";
    "RestrictNamespaces" "pid", 500/1, Namespace, "create PID namespaces";
    "RestrictNamespaces" "cgroup", 500/1, Namespace, "create control group namespaces";
    "RestrictNamespaces" "net", 500/1, Namespace, "create network namespaces";
    "RestrictNamespaces" "uts", 100/1, Namespace, "create UTS namespaces";
    "RestrictAddressFamilies" "AF_(INET|INET6)", 1500/1, Families(&["AF_INET", "AF_INET6"]), "open Internet sockets";
    "RestrictAddressFamilies" "AF_UNIX", 25/1, Families(&["AF_UNIX"]), "open unix sockets";
    "RestrictAddressFamilies" "AF_NETLINK", 200/1, Families(&["AF_NETLINK"]), "open netlink sockets";
    "RestrictAddressFamilies" "AF_PACKET", 1000/1, Families(&["AF_PACKET"]), "open packet sockets";
    "RestrictAddressFamilies" "…", 1250/1, Families(&[]), "open sockets of other families";
    "SystemCallArchitectures", 1000/10, Grade(grades::architectures, "SystemCallArchitectures=native"), "make system calls of other architectures";
    "SystemCallFilter" "@swap", 1000/10, SystemCalls, "make system calls that manage swap";
    "SystemCallFilter" "@obsolete", 250/10, SystemCalls, "make obsolete system calls";
    "SystemCallFilter" "@clock", 1000/10, SystemCalls, "make system calls that set clocks";
    "SystemCallFilter" "@cpu-emulation", 250/10, SystemCalls, "make system calls that emulate old CPUs";
    "SystemCallFilter" "@debug", 1000/10, SystemCalls, "make system calls for debuggers";
    "SystemCallFilter" "@mount", 1000/10, SystemCalls, "make system calls that mount";
    "SystemCallFilter" "@module", 1000/10, SystemCalls, "make system calls that load kernel modules";
    "SystemCallFilter" "@raw-io", 1000/10, SystemCalls, "make system calls for direct device access";
    "SystemCallFilter" "@reboot", 1000/10, SystemCalls, "make system calls that reboot";
    "SystemCallFilter" "@privileged", 700/10, SystemCalls, "make system calls that only root needs";
    "SystemCallFilter" "@resources", 700/10, SystemCalls, "make system calls that change resource limits and priorities";
    "IPAddressDeny", 1000/10, Grade(grades::addresses, "IPAddressDeny=any"), "exchange packets with any address";
    "DeviceAllow", 1000/10, Grade(grades::devices, "DevicePolicy=closed"), "open devices";
    "AmbientCapabilities", 500/1, Grade(grades::ambient, "AmbientCapabilities="), "start with capabilities";
};

impl Check {
    /// The name in systemd's table, such as `PrivateNetwork=` or `SystemCallFilter=~@swap`.
    pub fn name(&self) -> String {
        let sign = if self.part.is_empty() { "" } else { "~" };
        format!("{}={sign}{}", self.directive, self.part)
    }

    /// The name in systemd's JSON and in the file of `--security-policy=`.
    pub fn field(&self) -> String {
        let part = if self.part == "…" {
            "OTHER"
        } else {
            self.part
        };
        let mut out = self.directive.replace("=/", "Or");
        let words = part.split(|c: char| !c.is_ascii_alphanumeric());
        for word in words.filter(|word| !word.is_empty()) {
            out.push('_');
            out.push_str(word);
        }
        if part.starts_with("CAP_NET_(") {
            out.push(')'); // As systemd spells this one.
        }
        out
    }

    /// The line for a drop-in that fixes it.
    pub fn fix(&self) -> String {
        let Self {
            directive, part, ..
        } = self;
        match self.rule {
            Switch => format!("{directive}=yes"),
            Namespace | SystemCalls => format!("{directive}=~{part}"),
            Families([]) => format!("{directive}=AF_UNIX AF_INET AF_INET6"),
            Capabilities(list) | Families(list) => format!("{directive}=~{}", list.join(" ")),
            Grade(_, line) => line.to_owned(),
        }
    }

    /// The badness of a unit, from 0 to the range; `None` if the check does not apply.
    pub(super) fn assess(&self, context: &Context<'_>) -> Option<u32> {
        let early = NOT_IN_EARLY_BOOT.contains(&self.directive) && !context.default_dependencies();
        let of_root = NOT_OF_ROOT.contains(&self.directive) && context.user().is_none();
        if early || of_root {
            return None;
        }
        let held = |name: &&str| context.bounding & sets::capability(name) != 0;
        Some(match self.rule {
            Switch => u32::from(!context.on(self.directive)),
            Namespace => u32::from(context.namespaces.contains(self.part)),
            Capabilities(list) => u32::from(list.iter().any(held)),
            Families(list) => u32::from(family_is_open(context, list)),
            SystemCalls => grades::system_calls(&context.system_calls, self.part),
            Grade(grade, _) => grade(context),
        })
    }
}

/// As systemd does, a list that denies one family of a row counts as denying all of them.
fn family_is_open(context: &Context<'_>, list: &[&str]) -> bool {
    const NAMED: [&str; 5] = ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET"];
    let families = &context.families;
    let listed = if list.is_empty() {
        families.lists(|it| !NAMED.contains(&it))
    } else {
        families.lists(|it| list.contains(&it))
    };
    listed == families.is_allow_list()
}
