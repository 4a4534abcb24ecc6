//! What a unit wrote last.

use super::Systemd;
use crate::host::runner::Command;

/// How long the systemd journal may take to answer, in seconds.
const JOURNAL_TIMEOUT_SECONDS: &str = "5";

impl Systemd {
    /// The last lines that a unit wrote to the systemd journal since its last start, including
    /// systemd's own lines about it. If systemd has restarted the unit by itself, those of the runs
    /// before count too, because the last run may have just begun. Empty when the unit was not
    /// started, or when the journal does not answer in time.
    pub fn last_lines(&self, unit: &str, count: usize) -> Vec<String> {
        let state = self.show_one(unit).unwrap_or_default();
        let Some(id) = state.invocation_id else {
            return Vec::new();
        };
        // A busy journal takes a moment to write new lines.
        let sync = ["timeout", JOURNAL_TIMEOUT_SECONDS, "journalctl", "--sync"];
        let _ = Command::new(sync).output();
        let is_restarted = state.n_restarts > 0;
        let count = if is_restarted { 2 * count } else { count };
        let count = format!("--lines={count}");
        let head = [
            "timeout",
            JOURNAL_TIMEOUT_SECONDS,
            "journalctl",
            "--quiet",
            "--no-pager",
            "--output=cat",
            "--boot",
            &count,
        ];
        let mut argv: Vec<String> = head.map(str::to_owned).to_vec();
        // Any process can write any field, except for fields that begin with `_`: journald sets
        // these (systemd.journal-fields(7)). So a field without `_` counts only for root.
        let trusted = format!("_SYSTEMD_INVOCATION_ID={id}");
        let claimed = format!("INVOCATION_ID={id}");
        argv.extend([
            trusted,
            "+".to_owned(),
            claimed.clone(),
            "_UID=0".to_owned(),
        ]);
        // journald may not learn the invocation of a process that ends at once.
        if let Some(pid) = state.exec_main_pid {
            for more in [format!("_SYSTEMD_UNIT={unit}"), claimed] {
                argv.extend(["+".to_owned(), format!("_PID={pid}"), more]);
            }
        }
        if is_restarted {
            let of_processes = format!("_SYSTEMD_UNIT={unit}");
            let of_systemd = [format!("UNIT={unit}"), "_UID=0".to_owned()];
            argv.extend(["+".to_owned(), of_processes, "+".to_owned()]);
            argv.extend(of_systemd);
        }
        let output = Command::new(argv).output();
        let text = output.map(|output| output.stdout).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}
