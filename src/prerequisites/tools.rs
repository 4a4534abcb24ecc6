//! Whether the programs that robotctl runs are installed.

use crate::command_line::CommandLine;
use crate::error::Hint;
use crate::fault::{Fault, Impact};
use crate::host::{Host, is_installed};

/// A program that every change runs.
struct Tool {
    program: &'static str,
    /// The package of Debian that has it.
    package: &'static str,
    /// Whether it is only needed on a host that runs.
    of_running_host: bool,
}

const TOOLS: &[Tool] = &[
    Tool {
        program: "systemd-sysusers",
        package: "systemd",
        of_running_host: false,
    },
    Tool {
        program: "systemd-tmpfiles",
        package: "systemd",
        of_running_host: false,
    },
    Tool {
        program: "systemctl",
        package: "systemd",
        of_running_host: true,
    },
];

/// The programs that are missing.
pub(crate) fn missing_tools(host: &Host) -> Vec<Fault> {
    missing(host.is_offline(), &is_installed)
}

fn missing(is_offline: bool, is_installed: &dyn Fn(&str) -> bool) -> Vec<Fault> {
    let needed = TOOLS.iter();
    let needed = needed.filter(|tool| !(is_offline && tool.of_running_host));
    let missing = needed.filter(|tool| !is_installed(tool.program));
    let fault = |tool: &Tool| {
        let install = CommandLine::sudo(["apt", "install", tool.package]);
        Fault::new(
            Impact::Blocking,
            format!("the program `{}` is not installed", tool.program),
            Hint::to("install it", install),
        )
    };
    missing.map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::missing;

    #[test]
    fn each_missing_program_is_named_where_it_is_needed() {
        let names = |is_offline, installed: &[&str]| {
            let faults = missing(is_offline, &|program| installed.contains(&program));
            let texts = faults.into_iter().map(|fault| fault.message);
            texts.collect::<Vec<_>>()
        };
        assert_eq!(
            names(true, &["systemd-sysusers", "systemd-tmpfiles"]),
            [""; 0]
        );
        assert_eq!(
            names(false, &["systemd-sysusers"]),
            [
                "the program `systemd-tmpfiles` is not installed",
                "the program `systemctl` is not installed"
            ]
        );
    }
}
