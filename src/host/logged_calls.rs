//! System calls that a filter of a unit has logged (systemd.exec(5), "SystemCallLog=").

use super::journalctl::journalctl;
use super::runner::Command;
use anyhow::Result;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// `SECCOMP_RET_LOG` in the field `code` of an audit record (seccomp(2)).
const LOGGED: &str = "code=0x7ffc0000";

/// Whether the kernel can log system calls (seccomp(2), `/proc/sys/kernel/seccomp/actions_logged`).
pub fn logs_system_calls() -> bool {
    let actions = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_logged");
    actions.is_ok_and(|text| text.split_whitespace().any(|word| word == "log"))
}

/// The names of the system calls that processes of a user made since a time, and that a filter logged.
///
/// journald reads the audit log of the kernel. Where it does not, the kernel prints the records into its own log, at
/// most ten in five seconds. Both are read.
///
/// # Errors
/// When the log of the kernel cannot be read.
pub fn logged_calls(since: Timestamp, uid: u32) -> Result<BTreeSet<String>> {
    let seconds = format!("--since=@{}", since.as_second());
    let of_seccomp = ["--output=cat", &seconds, "_AUDIT_TYPE=1326"].map(str::to_owned);
    let kernel = Command::new(["dmesg", "--notime"]).run()?;
    let texts = [journalctl(of_seccomp), kernel];
    let lines = texts.iter().flat_map(|text| text.lines());
    Ok(lines.filter_map(|line| call_in(line, since, uid)).collect())
}

/// The system call that a record is about.
fn call_in(line: &str, since: Timestamp, uid: u32) -> Option<String> {
    if !line.contains(LOGGED) || !is_after(line, since) {
        return None;
    }
    let field = |name: &str| {
        let mut words = line.split_whitespace();
        words.find_map(|word| word.strip_prefix(name))
    };
    let is_of_user = field("uid=").and_then(|value| value.parse().ok()) == Some(uid);
    let number: usize = field("syscall=").filter(|_| is_of_user)?.parse().ok()?;
    let known = syscalls::Sysno::new(number);
    Some(known.map_or_else(|| format!("number {number}"), |call| call.name().to_owned()))
}

/// Whether a record was made after a time. journalctl has looked already, and prints no time in the line.
fn is_after(line: &str, since: Timestamp) -> bool {
    let stamp = line
        .split("audit(")
        .nth(1)
        .and_then(|rest| rest.split(':').next());
    let Some((seconds, millis)) = stamp.and_then(|stamp| stamp.split_once('.')) else {
        return true;
    };
    match (seconds.parse::<i64>(), millis.parse::<i64>()) {
        (Ok(seconds), Ok(millis)) => {
            seconds.saturating_mul(1000).saturating_add(millis) >= since.as_millisecond()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::call_in;
    use jiff::Timestamp;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_record_names_the_call_of_a_user() {
        let record = |uid: u32, code: &str| {
            format!(
                "audit: type=1326 audit(1796061133.660:4): auid=4294967295 uid={uid} gid=0 ses=4294967295 \
                 pid=32505 comm=\"python3\" exe=\"/usr/bin/python3.11\" sig=0 arch=c000003e syscall=141 compat=0 \
                 ip=0x7f7728b0fba7 code={code}"
            )
        };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (early, late) = (at("2026-11-30T17:00:00Z"), at("2026-11-30T20:00:00Z"));
        let call = |line: &str, since| call_in(line, since, 998);
        let logged = record(998, "0x7ffc0000");
        assert_eq!(call(&logged, early).as_deref(), Some("setpriority"));
        assert_eq!(call(&logged, late), None, "an earlier run");
        assert_eq!(
            call(&record(997, "0x7ffc0000"), early),
            None,
            "another user"
        );
        assert_eq!(
            call(&record(998, "0x80000000"), early),
            None,
            "a process that was killed"
        );
        let journal = "SECCOMP auid=4294967295 uid=998 gid=1 comm=\"x\" sig=0 syscall=165 compat=0 code=0x7ffc0000";
        assert_eq!(call(journal, late).as_deref(), Some("mount"));
        let unknown = journal.replace("165", "99999");
        assert_eq!(call(&unknown, late).as_deref(), Some("number 99999"));
    }
}
