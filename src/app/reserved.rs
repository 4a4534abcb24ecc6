//! Names that no app may have. An app owns `/var/lib/<app>`, `/etc/<app>`, `/opt/<app>` and the
//! like, a user, and the units `<app>.target` and `<app>-*`: what the system calls so already
//! would become a service's own, and go with `remove --purge`.

/// Why names are taken, each with the names.
const NAMES: &[(&str, &str)] = &[
    ("is `robotctl`'s own", "robotctl"),
    (
        "names a directory of the system",
        "adduser alternatives apparmor apt aptitude ca-certificates containerd credentials cron \
         dbus debconf debian default dhcp dpkg fonts initramfs-tools journal kernel ldconfig \
         lib local lock log logrotate machines man-db misc modprobe mount network opt \
         os-release pam pki polkit-1 portables private profile resolvconf rsyslog run security \
         selinux shm skel ssh ssl sudo systemd terminfo tmp tmpfiles ucf udev ufw usr var xdg",
    ),
    (
        "names a user or a group of the system",
        "adm audio backup bin cdrom crontab daemon dialout dip disk docker fax floppy games \
         gnats input irc kmem kvm libvirt list lp lxd mail man messagebus news nobody nogroup \
         operator plugdev polkitd proxy render root sasl sgx shadow src sshd staff sync sys \
         syslog tape tss tty users utmp uucp uuidd video voice wheel www-data",
    ),
    (
        "begins the name of units of the system",
        "autovt basic blockdev bluetooth boot-complete console container cryptsetup \
         ctrl-alt-del debug emergency exit factory-reset final first-boot-complete getty \
         graphical halt hibernate hybrid-sleep initrd integritysetup kexec kmod local-fs \
         multi-user network-online network-pre networking nss-lookup nss-user-lookup paths \
         polkit poweroff printer procps quotaon rc-local reboot remote-cryptsetup remote-fs \
         remote-veritysetup rescue rpcbind serial shutdown sigpwr sleep slices \
         smartcard sockets soft-reboot sound storage-target-mode suspend suspend-then-hibernate \
         swap sysinit system system-update time-set time-sync timers umount usb-gadget user \
         veritysetup",
    ),
];

/// Beginnings of names that are the system's whatever follows.
const FAMILIES: &[(&str, &str)] = &[
    ("robotctl-", "is `robotctl`'s own"),
    ("systemd-", "is systemd's own"),
    ("initrd-", "begins the name of units of the system"),
    ("dbus-", "begins the name of units of the system"),
    ("runlevel", "begins the name of units of the system"),
];

/// Why an app may not be called so, if it may not.
pub(super) fn reserved(name: &str) -> Option<&'static str> {
    let whole = NAMES
        .iter()
        .find(|(_, names)| names.split(' ').any(|one| one == name));
    let family = FAMILIES.iter().find(|(head, _)| name.starts_with(head));
    whole.map(|(why, _)| *why).or(family.map(|(_, why)| *why))
}

#[cfg(test)]
mod tests {
    use super::{NAMES, reserved};
    use crate::app::Name;

    #[test]
    fn names_of_the_system_are_taken_and_others_are_free() {
        for name in ["robotctl", "dpkg", "www-data", "multi-user", "systemd"] {
            assert!(reserved(name).is_some(), "{name}");
        }
        for name in ["robotctl-recover", "systemd-journald", "runlevel5"] {
            assert!(reserved(name).is_some(), "{name}");
        }
        for name in [
            "robot",
            "shop",
            "wiki-platform",
            "logs",
            "mailer",
            "demo-user",
        ] {
            assert_eq!(reserved(name), None, "{name}");
        }
    }

    #[test]
    fn each_name_is_there_once_in_order_and_could_be_typed() {
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
        assert_eq!(all.len(), count, "a name is there twice");
    }
}
