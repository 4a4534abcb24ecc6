//! The person who started this process.

use super::accounts::user_name;
use super::environment::variable;
use crate::audit::Caller;

/// The longest name of a user that is believed.
const MAX_NAME: usize = 64;

/// Who started this process. Nothing here fails: what is not known is missing.
pub fn caller() -> Caller {
    let uid = nix::unistd::getuid().as_raw();
    let sudo_uid = sudo_uid();
    // proc_pid_loginuid(5)
    let login_uid = std::fs::read_to_string("/proc/self/loginuid").ok();
    let login_uid = login_uid.and_then(|text| text.trim().parse().ok());
    // The kernel has no login for what systemd starts.
    let login_uid = login_uid.filter(|uid| *uid != u32::MAX);
    let name_of = |uid: u32| user_name(uid).ok();
    Caller {
        user: variable("SUDO_USER")
            .filter(|name| is_name(name))
            .or_else(|| name_of(sudo_uid?))
            .or_else(|| name_of(login_uid?))
            .or_else(|| name_of(uid)),
        uid,
        sudo_uid,
        login_uid,
    }
}

/// The user of sudo(8).
pub(super) fn sudo_uid() -> Option<u32> {
    variable("SUDO_UID").and_then(|text| text.parse().ok())
}

/// Whether a text can be the name of a user. Root may have set the variable to anything.
fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-@$+\\".contains(c);
    !text.is_empty() && text.len() <= MAX_NAME && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::{caller, is_name};

    #[test]
    fn a_name_is_one_word() {
        for good in ["alice", "DOM\\alice", "alice@example.org", "a.b-c_d"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "a b", "a\nb", "\u{1b}[0m", &"a".repeat(65)] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn this_process_has_a_caller() {
        let caller = caller();
        assert_eq!(caller.uid, nix::unistd::getuid().as_raw());
        assert!(caller.user.is_some());
    }
}
