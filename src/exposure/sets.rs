//! The settings that are sets: capabilities, namespaces, address families, system calls, addresses.
//!
//! Each is built line by line, because the effect of a line depends on the lines before it. The
//! rules are in systemd.exec(5) and systemd.resource-control(5).

use super::syscalls;
use super::unit::{Quotes, boolean, words};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// capabilities(7), in the kernel's order: the position is the number.
const CAPABILITIES: &str = "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID \
SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER \
SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE \
SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN \
SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE";

/// address_families(7), as far as systemd's C library knows them.
const FAMILIES: &str = "AF_LOCAL AF_UNIX AF_FILE AF_INET AF_AX25 AF_IPX AF_APPLETALK AF_NETROM \
AF_BRIDGE AF_ATMPVC AF_X25 AF_INET6 AF_ROSE AF_NETBEUI AF_SECURITY AF_KEY AF_NETLINK AF_ROUTE \
AF_PACKET AF_ASH AF_ECONET AF_ATMSVC AF_RDS AF_SNA AF_IRDA AF_PPPOX AF_WANPIPE AF_LLC AF_IB \
AF_MPLS AF_CAN AF_TIPC AF_BLUETOOTH AF_IUCV AF_RXRPC AF_ISDN AF_PHONET AF_IEEE802154 AF_CAIF \
AF_ALG AF_NFC AF_VSOCK AF_KCM AF_QIPCRTR AF_SMC AF_XDP AF_MCTP";

/// The types of namespace of `RestrictNamespaces=`. `time` works and is not documented.
const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "net", "mnt", "pid", "time", "user", "uts"];

/// The bit of a capability, by its name in upper or lower case or by its number.
pub(super) fn capability(name: &str) -> u64 {
    let number = name.parse().ok().or_else(|| {
        let name = name.to_ascii_uppercase();
        let position = |short: &str| CAPABILITIES.split(' ').position(|it| it == short);
        name.strip_prefix("CAP_").and_then(position)
    });
    number.map_or(0, |number| if number < 63 { 1 << number } else { 0 })
}

/// `CapabilityBoundingSet=` or `AmbientCapabilities=`: the remaining set, from an initial one.
pub(super) fn capabilities(initial: u64, lines: &[&str]) -> u64 {
    lines.iter().fold(initial, |set, line| {
        let (inverted, list) = sign(line);
        let named = words(list, Quotes::Join)
            .iter()
            .fold(0, |sum, word| sum | capability(word));
        // The first line replaces the initial set, as does a line that names none.
        match (named == 0 || set == initial, inverted) {
            (true, true) => !named,
            (true, false) => named,
            (false, true) => set & !named,
            (false, false) => set | named,
        }
    })
}

/// `RestrictNamespaces=`: the types that may still be created.
pub(super) fn namespaces(lines: &[&str]) -> BTreeSet<&'static str> {
    let mut allowed: Option<BTreeSet<&'static str>> = None;
    for &line in lines {
        if line.is_empty() {
            allowed = None;
            continue;
        }
        if let Some(restricted) = boolean(line) {
            let kinds = NAMESPACES.into_iter().filter(|_| !restricted);
            allowed = Some(kinds.collect());
            continue;
        }
        let (inverted, list) = sign(line);
        let kind = |word: String| NAMESPACES.into_iter().find(|it| *it == word);
        let named = words(list, Quotes::Literal).into_iter().map(kind);
        let Some(named) = named.collect::<Option<BTreeSet<_>>>() else {
            continue; // One unknown word and the manager drops the line.
        };
        allowed = Some(match (allowed, inverted) {
            (None, false) => named,
            (None, true) => NAMESPACES
                .into_iter()
                .filter(|it| !named.contains(it))
                .collect(),
            (Some(set), false) => &set | &named,
            (Some(set), true) => &set - &named,
        });
    }
    allowed.unwrap_or_else(|| NAMESPACES.into())
}

/// A list that allows or denies its members. The first line decides which.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    allows: bool,
    listed: Option<BTreeSet<String>>,
}

impl Filter {
    /// `RestrictAddressFamilies=`
    pub(super) fn families(lines: &[&str]) -> Self {
        let mut filter = Self::default();
        for &line in lines {
            let (inverted, list) = sign(line);
            if line.is_empty() || line == "none" {
                filter.allows = line == "none";
                filter.listed = None;
                continue;
            }
            filter.listed.get_or_insert_with(|| {
                filter.allows = !inverted;
                BTreeSet::new()
            });
            for word in words(list, Quotes::Join) {
                if FAMILIES.split(' ').any(|it| it == word) {
                    let word = match word.as_str() {
                        "AF_LOCAL" | "AF_FILE" => "AF_UNIX".to_owned(),
                        "AF_ROUTE" => "AF_NETLINK".to_owned(),
                        _ => word,
                    };
                    filter.take(word, inverted);
                }
            }
        }
        filter
    }

    /// `SystemCallFilter=`
    pub(super) fn system_calls(lines: &[&str]) -> Self {
        let mut filter = Self::default();
        for &line in lines {
            let (inverted, list) = sign(line);
            if line.is_empty() {
                filter = Self::default();
                continue;
            }
            filter.listed.get_or_insert_with(|| {
                filter.allows = !inverted;
                let always = syscalls::members("@default").into_iter().map(str::to_owned);
                always.filter(|_| !inverted).collect()
            });
            for word in words(list, Quotes::Literal) {
                let (name, error) = word
                    .split_once(':')
                    .map_or((&*word, None), |(name, error)| (name, Some(error)));
                // An error number belongs to a denied call; elsewhere the manager drops the word.
                if name.is_empty() || error.is_some_and(|it| !inverted || !is_error(it)) {
                    continue;
                }
                if name.starts_with('@') {
                    for name in syscalls::members(name) {
                        filter.take(name.to_owned(), inverted);
                    }
                } else {
                    filter.take(name.to_owned(), inverted);
                }
            }
        }
        filter
    }

    /// Adds a word to the list if both allow or both deny. Otherwise removes it.
    fn take(&mut self, word: String, inverted: bool) {
        let listed = self.listed.get_or_insert_default();
        if inverted == self.allows {
            listed.remove(&word);
        } else {
            listed.insert(word);
        }
    }

    /// Whether this is an allow-list.
    pub(super) fn is_allow_list(&self) -> bool {
        self.allows
    }

    /// Whether nothing is filtered.
    pub(super) fn is_off(&self) -> bool {
        !self.allows && self.listed.as_ref().is_none_or(BTreeSet::is_empty)
    }

    /// Whether the list has a matching member.
    pub(super) fn lists(&self, test: impl Fn(&str) -> bool) -> bool {
        self.listed.iter().flatten().any(|it| test(it))
    }

    /// Whether any member of a group is allowed.
    pub(super) fn passes_any(&self, group: &str) -> bool {
        let foreign = |name: &str| {
            syscalls::NOT_ON_X86_64
                .split_whitespace()
                .any(|it| it == name)
        };
        syscalls::members(group)
            .into_iter()
            .filter(|name| !foreign(name))
            .any(|name| self.lists(|it| it == name) == self.allows)
    }
}

/// Whether a word is an action such as `EPERM`, `0` or `kill`, which follows a system call.
fn is_error(word: &str) -> bool {
    let number = word.parse::<u16>().is_ok_and(|number| number <= 4095);
    number || word == "kill" || word.starts_with('E')
}

fn sign(line: &str) -> (bool, &str) {
    line.strip_prefix('~')
        .map_or((false, line), |list| (true, list))
}

/// `IPAddressAllow=` or `IPAddressDeny=`: address and prefix length, as systemd.resource-control(5)
/// resolves its short names.
pub(super) fn prefixes(lines: &[&str]) -> Vec<(IpAddr, u32)> {
    let mut out = Vec::new();
    for &line in lines {
        if line.is_empty() {
            out.clear();
        }
        for word in words(line, Quotes::Literal) {
            let list = match word.as_str() {
                "any" => "0.0.0.0/0 ::/0",
                "link-local" => "169.254.0.0/16 fe80::/64",
                "multicast" => "224.0.0.0/4 ff00::/8",
                name if is_local_name(name) => "127.0.0.0/8 ::1/128",
                address => address,
            };
            out.extend(list.split(' ').filter_map(prefix));
        }
    }
    out
}

fn is_local_name(word: &str) -> bool {
    let name = word.to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    let name = name.strip_suffix(".localdomain").unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

fn prefix(word: &str) -> Option<(IpAddr, u32)> {
    let (address, length) = word
        .split_once('/')
        .map_or((word, None), |(address, length)| (address, Some(length)));
    let address = address.parse::<IpAddr>().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Some(longest), |it| it.parse().ok())?;
    (length <= longest).then_some((address, length))
}

/// Whether a prefix is in the loopback network.
pub(super) fn is_loopback(&(address, length): &(IpAddr, u32)) -> bool {
    match address {
        IpAddr::V4(address) => length >= 7 && address.octets()[0] == 127,
        IpAddr::V6(address) => length == 128 && address.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Filter, capabilities, capability, is_loopback, namespaces, prefixes};

    #[test]
    fn capabilities_add_up_line_by_line() {
        let all = |lines: &[&str]| capabilities(u64::MAX, lines);
        assert_eq!(all(&["cap_kill 0 nonsense"]), 1 << 5 | 1);
        assert_eq!(all(&["CAP_KILL", "CAP_CHOWN", "~CAP_KILL"]), 1);
        assert_eq!(all(&["CAP_KILL", ""]), 0);
        assert_eq!(all(&["", "~"]), u64::MAX);
        assert_eq!(all(&["~CAP_KILL"]) & capability("CAP_KILL"), 0);
        assert_eq!(capabilities(0, &["~CAP_KILL"]), !(1 << 5));
    }

    #[test]
    fn namespaces_are_what_may_still_be_made() {
        let left = |lines: &[&str]| namespaces(lines).into_iter().collect::<Vec<_>>();
        assert_eq!(left(&["user nonsense"]).len(), 8);
        assert_eq!(left(&["yes"]).len(), 0);
        assert_eq!(left(&["yes", "user", "mnt", "~user"]), ["mnt"]);
        assert_eq!(left(&["yes", ""]).len(), 8);
        assert_eq!(
            left(&["~user ipc"]),
            ["cgroup", "mnt", "net", "pid", "time", "uts"]
        );
    }

    #[test]
    fn the_first_line_decides_the_sense_of_a_filter() {
        let filter = Filter::system_calls(&["~@swap", "swapon"]);
        assert!(!filter.is_allow_list());
        assert!(filter.passes_any("@swap"));
        let filter = Filter::system_calls(&["@swap", "~swapon:EPERM swapoff:0"]);
        assert!(filter.is_allow_list());
        assert!(!filter.passes_any("@swap"));
        assert!(Filter::system_calls(&["~swapon", ""]).is_off());
        assert!(Filter::families(&["none", "~AF_UNIX"]).lists(|it| it == "AF_UNIX"));
    }

    #[test]
    fn addresses_have_short_names() {
        let all = |line| prefixes(&[line]);
        assert_eq!(all("any x 1.2.3.4/33").len(), 2);
        assert!(
            all("localhost a.localhost. 127.0.0.1")
                .iter()
                .all(is_loopback)
        );
        assert!(!all("127.0.0.0/4 ::1/64 link-local").iter().any(is_loopback));
        assert!(prefixes(&["any", ""]).is_empty());
    }
}
