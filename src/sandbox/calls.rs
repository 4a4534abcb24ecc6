//! System calls that a service is denied: which they are, and what allows each.

use super::directives::{DENIED, lines};
use super::shape::Shape;
use crate::app::Line;
use crate::exposure::group_has;
use crate::units::Target;

/// Groups that an exception allows, besides those that [`DENIED`] lists.
const ALLOWED: &[(&str, &[&str])] = &[
    ("pkey", &["@pkey"]),
    ("setuid-self", &["@chown", "@setuid"]),
];

/// The exception that allows a system call; `None` if only a raw directive does.
pub fn exception_for(call: &str) -> Option<&'static str> {
    let has = |word: &str| word == call || group_has(word, call);
    let mut rows = DENIED.iter().chain(ALLOWED);
    rows.find(|(_, words)| words.iter().any(|word| has(word)))
        .map(|(name, _)| *name)
}

/// A drop-in with which a service may make every system call, and the kernel logs those that its filter denies
/// (systemd.exec(5), "SystemCallLog="): the lines of `SystemCallFilter=`, with allowed and denied exchanged. `raw` are
/// the directives of the manifest.
pub fn logging_drop_in(shape: &Shape, raw: &[(String, Line)], target: Target) -> String {
    let mut text = "[Service]\nSystemCallFilter=\n".to_owned();
    let filter = lines(shape, target).into_iter();
    let raw = raw.iter();
    let filter = filter.chain(raw.map(|(name, value)| (name.as_str(), value.to_string())));
    for (_, value) in filter.filter(|(name, _)| *name == "SystemCallFilter") {
        // `:0` is success without effect, which is no denial.
        let is_denied = value.starts_with('~') && !value.ends_with(":0");
        let words = value.trim_start_matches('~').replace(":0", "");
        let sign = if is_denied { "" } else { "~" };
        text.push_str(&format!("SystemCallLog={sign}{words}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::exception_for;

    #[test]
    fn each_call_leads_to_the_exception_that_allows_it() {
        for (call, name) in [
            ("setpriority", Some("nice")),
            ("add_key", Some("keyring")),
            ("io_uring_setup", Some("io-uring")),
            ("userfaultfd", Some("userfaultfd")),
            ("pkey_alloc", Some("pkey")),
            ("fchownat", Some("setuid-self")),
            ("setgroups", Some("setuid-self")),
            ("mount", None),
            ("reboot", None),
        ] {
            assert_eq!(exception_for(call), name, "{call}");
        }
    }
}
