//! Names that an app cannot have. An app owns `/var/lib/<app>`, `/etc/<app>`, `/opt/<app>` and
//! similar directories, a user, and the units `<app>.target` and `<app>-*`. With the name of
//! something in the system, its services could write it, and `remove --purge` would delete it.

/// Reasons, each with the reserved names.
const NAMES: &[(&str, &str)] = &[
    ("the name is reserved for robotctl", "robotctl"),
    (
        "the system has a directory of that name",
        "adduser alternatives apparmor apt aptitude ca-certificates containerd credentials cron \
         dbus debconf debian default dhcp dpkg fonts initramfs-tools journal kernel ldconfig \
         lib local lock log logrotate machines man-db misc modprobe mount network opt \
         os-release pam pki polkit-1 portables private profile resolvconf rsyslog run security \
         selinux shm skel ssh ssl sudo systemd terminfo tmp tmpfiles ucf udev ufw usr var xdg",
    ),
    (
        "the system has a user or a group of that name",
        "adm audio backup bin cdrom crontab daemon dialout dip disk docker fax floppy games \
         gnats input irc kmem kvm libvirt list lp lxd mail man messagebus news nobody nogroup \
         operator plugdev polkitd proxy render root sasl sgx shadow src sshd staff sync sys \
         syslog tape tss tty users utmp uucp uuidd video voice wheel www-data",
    ),
    (
        "the system has units of that name",
        "autovt basic blockdev bluetooth boot-complete console container cryptsetup \
         ctrl-alt-del debug emergency exit factory-reset final first-boot-complete getty \
         graphical halt hibernate hybrid-sleep initrd integritysetup kexec kmod local-fs machine \
         multi-user network-online network-pre networking nss-lookup nss-user-lookup paths \
         polkit poweroff printer procps quotaon rc-local reboot remote-cryptsetup remote-fs \
         remote-veritysetup rescue rpcbind serial shutdown sigpwr sleep slices \
         smartcard sockets soft-reboot sound storage-target-mode suspend suspend-then-hibernate \
         swap sysinit system system-update time-set time-sync timers umount usb-gadget user \
         veritysetup",
    ),
];

/// Reserved starts of names, each with the reason.
const FAMILIES: &[(&str, &str)] = &[
    ("robotctl-", "the name is reserved for robotctl"),
    ("systemd-", "the name is reserved for systemd"),
    ("initrd-", "the system has units of that name"),
    ("dbus-", "the system has units of that name"),
    ("runlevel", "the system has units of that name"),
];

/// The app that the package contains. Its name is reserved, so that no other app is replaced by it or
/// removed with the package.
pub const BUNDLED_APP: &str = "robotctl-status";

/// Why the name is reserved; `None` if an app can have it.
pub(super) fn why_reserved(name: &str) -> Option<&'static str> {
    let whole = NAMES
        .iter()
        .find(|(_, names)| names.split(' ').any(|one| one == name));
    let family = FAMILIES.iter().find(|(head, _)| name.starts_with(head));
    whole.map(|(why, _)| *why).or(family.map(|(_, why)| *why))
}

/// Packages of which every Debian system has one of that name, or that robotctl needs.
const PACKAGES: &str = "adduser apt base-files base-passwd bash bsdutils coreutils dash dbus debconf \
                        debian-archive-keyring debianutils diffutils dpkg findutils gpgv grep gzip hostname init \
                        init-system-helpers libc-bin libc6 login mawk mount ncurses-base ncurses-bin passwd perl \
                        perl-base procps python3 sed systemd systemd-sysv sysvinit-utils tar tzdata udev util-linux";

/// Why no package of an app can have the name; `None` if it can.
pub fn why_refused_as_package(name: &str) -> Option<&'static str> {
    if name == "robot" || name.starts_with("robotctl") {
        return Some("the name is reserved for robotctl");
    }
    if name.len() < 2 {
        return Some("the name of a package has 2 characters or more");
    }
    let is_known = PACKAGES.split(' ').any(|one| one == name);
    is_known.then_some("Debian has a package of that name, which would be replaced")
}

#[cfg(test)]
mod tests {
    use super::{BUNDLED_APP, NAMES, why_reserved};
    use crate::app::Name;

    #[test]
    fn names_of_the_system_are_reserved() {
        for name in ["robotctl", "dpkg", "www-data", "multi-user", "systemd"] {
            assert!(why_reserved(name).is_some(), "{name}");
        }
        for name in [
            BUNDLED_APP,
            "robotctl-recover",
            "systemd-journald",
            "runlevel5",
        ] {
            assert!(why_reserved(name).is_some(), "{name}");
        }
        for name in [
            "robot",
            "shop",
            "wiki-platform",
            "logs",
            "mailer",
            "demo-user",
        ] {
            assert_eq!(why_reserved(name), None, "{name}");
        }
    }

    #[test]
    fn the_names_are_valid_sorted_and_unique() {
        let mut all = Vec::new();
        for (why, names) in NAMES {
            let names: Vec<&str> = names.split(' ').collect();
            assert!(names.is_sorted(), "{why}");
            all.extend(names);
        }
        for name in &all {
            assert!(Name::parse(name).is_ok(), "{name}");
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "a name is listed twice");
    }
}
