//! The limits of a service, for the scope in which its previous release drains.
//!
//! A sandbox has two parts. What a process has got from systemd at its start, such as namespaces and
//! the filter of system calls, stays with it. What its control group enforces does not: it comes from
//! the unit (systemd.resource-control(5)), so the scope needs the same directives.

use crate::host::{Host, Root, UnitStatus};
use crate::render::runtime_header;
use crate::units::{self, RUNTIME_UNIT_DIR};
use anyhow::{Result, bail};

/// Directives that a control group enforces: those of systemd.resource-control(5) that a scope may have,
/// with the older names that systemd still reads.
const LIMITS: &[&str] = &[
    "AllowedCPUs",
    "AllowedMemoryNodes",
    "BPFProgram",
    "BlockIOAccounting",
    "BlockIODeviceWeight",
    "BlockIOReadBandwidth",
    "BlockIOWeight",
    "BlockIOWriteBandwidth",
    "CPUAccounting",
    "CPUQuota",
    "CPUQuotaPeriodSec",
    "CPUShares",
    "CPUWeight",
    "DefaultMemoryLow",
    "DefaultMemoryMin",
    "DefaultStartupMemoryLow",
    "DeviceAllow",
    "DevicePolicy",
    "IOAccounting",
    "IODeviceLatencyTargetSec",
    "IODeviceWeight",
    "IOReadBandwidthMax",
    "IOReadIOPSMax",
    "IOWeight",
    "IOWriteBandwidthMax",
    "IOWriteIOPSMax",
    "IPAccounting",
    "IPAddressAllow",
    "IPAddressDeny",
    "IPEgressFilterPath",
    "IPIngressFilterPath",
    "ManagedOOMMemoryPressure",
    "ManagedOOMMemoryPressureDurationSec",
    "ManagedOOMMemoryPressureLimit",
    "ManagedOOMPreference",
    "ManagedOOMSwap",
    "MemoryAccounting",
    "MemoryHigh",
    "MemoryLimit",
    "MemoryLow",
    "MemoryMax",
    "MemoryMin",
    "MemorySwapMax",
    "MemoryZSwapMax",
    "MemoryZSwapWriteback",
    "NFTSet",
    "RestrictNetworkInterfaces",
    "SocketBindAllow",
    "SocketBindDeny",
    "StartupAllowedCPUs",
    "StartupAllowedMemoryNodes",
    "StartupBlockIOWeight",
    "StartupCPUShares",
    "StartupCPUWeight",
    "StartupIOWeight",
    "StartupMemoryHigh",
    "StartupMemoryLow",
    "StartupMemoryMax",
    "StartupMemorySwapMax",
    "StartupMemoryZSwapMax",
    "TasksAccounting",
    "TasksMax",
];
/// Enforced by the control group, but a scope cannot have it (systemd.exec(5)).
const OF_SERVICES: &str = "RestrictFileSystems";

/// Writes the limits of a unit, those of the administrator included, as a drop-in of its scopes.
/// systemd reads it when a scope starts.
///
/// # Errors
/// When a file cannot be read or written, and when a scope cannot have what the unit has.
pub(super) fn write_limits(host: &Host, app: &str, unit: &str, state: &UnitStatus) -> Result<()> {
    let mut text = runtime_header(app);
    text.push_str("[Scope]\n");
    for path in std::iter::once(&state.fragment_path).chain(&state.drop_in_paths) {
        for line in limits_in(&host.root.read_text(path)?.unwrap_or_default())? {
            text.push_str(&line);
            text.push('\n');
        }
    }
    let path = format!("{RUNTIME_UNIT_DIR}/{}", units::limits_of_old_scopes(unit));
    if host.root.read_text(&path)?.as_ref() == Some(&text) {
        return Ok(());
    }
    let Some((dir, _)) = path.rsplit_once('/') else {
        return Ok(());
    };
    let is_new = host.root.meta(dir)?.is_none();
    host.root.make_dir(dir, 0o755)?;
    host.root.write_atomic(&path, text.as_bytes(), 0o644)?;
    if is_new {
        // systemd has a list of the directories with drop-ins, and does not refresh it for a transient
        // unit. It does so when it looks for the files of a service that it does not know.
        host.systemd.show_one(&units::unknown_service(unit))?;
    }
    Ok(())
}

/// Removes the limits of the scopes of a unit, if there are any.
///
/// # Errors
/// The operating system's, with the path.
pub(super) fn remove_limits(root: &Root, unit: &str) -> Result<()> {
    let path = format!("{RUNTIME_UNIT_DIR}/{}", units::limits_of_old_scopes(unit));
    let Some((dir, _)) = path.rsplit_once('/') else {
        return Ok(());
    };
    root.remove_file(&path)?;
    root.remove_dir_if_empty(dir)
}

/// The lines of `[Service]` that a control group enforces. A line that ends in `\` continues, and
/// comments do not count (systemd.syntax(7)).
///
/// # Errors
/// When the service has a directive that a scope cannot have.
fn limits_in(text: &str) -> Result<Vec<String>> {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with(['#', ';']));
    let text = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let mut is_service = false;
    let mut out = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            is_service = line == "[Service]";
            continue;
        }
        let name = line.split_once('=').map_or("", |(name, _)| name.trim());
        if is_service && name == OF_SERVICES {
            bail!("a scope cannot have `{OF_SERVICES}=`");
        }
        if is_service && LIMITS.contains(&name) {
            out.push(line.to_owned());
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::limits_in;

    #[test]
    fn limits_of_the_control_group_are_taken_and_others_are_not() {
        let unit = "[Unit]\nIPAccounting=no\n[Service]\nExecStart=/bin/x\nMemoryMax=1G\n\
                    MemoryDenyWriteExecute=yes\nIPAddressDeny=any\nDeviceAllow=\\\n/dev/null rw\n\
                    # TasksMax=1 \\\nTasksMax = 7\nCPUAffinity=1\nSocketBindDeny=any\nDevicePolicy=closed\n";
        assert_eq!(
            limits_in(unit).unwrap(),
            [
                "MemoryMax=1G",
                "IPAddressDeny=any",
                "DeviceAllow= /dev/null rw",
                "TasksMax = 7",
                "SocketBindDeny=any",
                "DevicePolicy=closed"
            ]
        );
        let own = "[Service]\nRestrictFileSystems=ext4\n";
        assert!(limits_in(own).is_err());
    }
}
