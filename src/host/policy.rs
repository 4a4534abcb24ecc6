//! policy-rc.d: whether the administrator lets packages start services (invoke-rc.d(8)).

use super::runner::Command;
use std::path::Path;

/// The program that decides.
const PROGRAM: &str = "/usr/sbin/policy-rc.d";
/// Its exit code when it forbids the action.
const FORBIDDEN: i32 = 101;

/// Whether packages must not restart services. The answer is for all units: a release starts as a whole.
pub(super) fn forbids_services() -> bool {
    asks(Path::new(PROGRAM))
}

fn asks(program: &Path) -> bool {
    if !program.is_file() {
        return false;
    }
    let shown = program.display().to_string();
    let output = Command::new([shown.as_str(), "robotctl", "restart"]).output();
    output.is_ok_and(|output| output.code == FORBIDDEN)
}

#[cfg(test)]
mod tests {
    use super::asks;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn only_code_101_forbids_services() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("policy");
        assert!(!asks(&program));
        for (code, forbids) in [(101, true), (0, false), (104, false)] {
            std::fs::write(&program, format!("#!/bin/sh\nexit {code}\n")).unwrap();
            std::fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
            assert_eq!(asks(&program), forbids, "{code}");
        }
    }
}
