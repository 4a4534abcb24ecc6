//! Reading the systemd journal (journalctl(1)).

use super::runner::Command;

/// How long the systemd journal may take to answer, in seconds.
const TIMEOUT_SECONDS: &str = "5";

/// What `journalctl` prints with these arguments. Empty for a user who cannot read the systemd journal, and when
/// it does not answer in time.
pub(super) fn journalctl(args: impl IntoIterator<Item = String>) -> String {
    let head = [
        "timeout",
        TIMEOUT_SECONDS,
        "journalctl",
        "--quiet",
        "--no-pager",
    ];
    let words = head.map(str::to_owned).into_iter().chain(args);
    let output = Command::new(words).output();
    output.map(|output| output.stdout).unwrap_or_default()
}
