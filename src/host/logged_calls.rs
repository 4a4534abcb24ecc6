//! System calls that a filter of a unit has logged (systemd.exec(5), "SystemCallLog=").

use super::journalctl::journalctl;
use super::landmarks::namespace_inode;
use super::runner::Command;
use anyhow::Result;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// `SECCOMP_RET_LOG` in the field `code` of an audit record (seccomp(2)).
const LOGGED: &str = "code=0x7ffc0000";
/// SIGSYS in a record: the filter ended the process.
const KILLED: &str = "sig=31";
/// How a record begins in the log of the kernel. Programs write their own lines there with another beginning.
const OF_SECCOMP: &str = "audit: type=1326 audit(";
/// The inode of the first namespace of process ids (`PROC_PID_INIT_INO` of the kernel).
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;
/// How far the time of a record may be from the end of a process, in seconds.
const KILL_SECONDS: i64 = 2;

/// Whether the kernel can log system calls (seccomp(2), `/proc/sys/kernel/seccomp/actions_logged`).
pub fn logs_system_calls() -> bool {
    let actions = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_logged");
    actions.is_ok_and(|text| text.split_whitespace().any(|word| word == "log"))
}

/// The names of the system calls that processes of a user made since a time, and that a filter logged.
///
/// # Errors
/// When the log of the kernel cannot be read.
pub fn logged_calls(since: Timestamp, uid: u32) -> Result<BTreeSet<String>> {
    let is_meant = |line: &str| line.contains(LOGGED) && number(line, "uid=") == Some(uid);
    Ok(calls_in(&records(since)?, since, is_meant))
}

/// A process that a filter has killed.
#[derive(Debug, Clone, Copy)]
pub(super) struct KilledProcess {
    /// When it ended.
    pub(super) at: Timestamp,
    /// Its user.
    pub(super) uid: u32,
    /// Its id, as this process sees it.
    pub(super) pid: u32,
}

/// The name of the system call for which a filter killed a process; `None` if the kernel did not log it, or if several
/// were killed for different ones.
pub(super) fn killing_call(killed: KilledProcess) -> Option<String> {
    let since = killed.at.as_second().saturating_sub(KILL_SECONDS);
    let since = Timestamp::from_second(since).ok()?;
    killing_call_in(&records(since).ok()?, since, killed, has_ids_of_kernel())
}

/// Whether process ids are those of the kernel, which the records have, and not those of a container
/// (pid_namespaces(7)).
fn has_ids_of_kernel() -> bool {
    namespace_inode("pid") == Some(FIRST_PID_NAMESPACE)
}

/// The same from records. Without the ids of the kernel, the user and the time decide.
fn killing_call_in(
    records: &str,
    since: Timestamp,
    killed: KilledProcess,
    has_ids_of_kernel: bool,
) -> Option<String> {
    let until = killed
        .at
        .as_millisecond()
        .saturating_add(KILL_SECONDS.saturating_mul(1000));
    let is_it = |line: &str, name: &str, value: u32| number(line, name) == Some(value);
    let is_meant = |line: &str| {
        line.split_whitespace().any(|word| word == KILLED)
            && is_it(line, "uid=", killed.uid)
            && (!has_ids_of_kernel || is_it(line, "pid=", killed.pid))
            && time_of(line).is_none_or(|time| time <= until)
    };
    let mut calls = calls_in(records, since, is_meant);
    let only = calls.pop_first();
    only.filter(|_| calls.is_empty())
}

/// A number of a record. The program chooses its `comm`, and the kernel writes one with spaces in hexadecimal digits.
fn number(line: &str, name: &str) -> Option<u32> {
    let mut words = line.split_whitespace();
    let value = words.find_map(|word| word.strip_prefix(name))?;
    value.parse().ok()
}

/// The records of filters since a time, as lines. journald reads the audit log of the kernel. Where it does not, the
/// kernel prints the records into its own log, at most ten in five seconds. Both are read.
fn records(since: Timestamp) -> Result<String> {
    let since = format!("--since=@{}", since.as_second());
    let of_seccomp = ["--output=cat", &since, "_AUDIT_TYPE=1326"].map(str::to_owned);
    let kernel = Command::new(["dmesg", "--notime"]).run()?;
    let kernel = kernel.lines().filter(|line| line.starts_with(OF_SECCOMP));
    let kernel: Vec<&str> = kernel.collect();
    Ok(format!("{}\n{}", journalctl(of_seccomp), kernel.join("\n")))
}

/// The system calls of the records that are meant, without those from before a time.
fn calls_in(records: &str, since: Timestamp, is_meant: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let is_new = |line: &&str| time_of(line).is_none_or(|time| time >= since.as_millisecond());
    let lines = records.lines().filter(is_new).filter(|line| is_meant(line));
    lines.filter_map(call_in).collect()
}

/// The system call that a record is about.
fn call_in(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let number = words.find_map(|word| word.strip_prefix("syscall="))?;
    let number: usize = number.parse().ok()?;
    let known = syscalls::Sysno::new(number);
    Some(known.map_or_else(|| format!("number {number}"), |call| call.name().to_owned()))
}

/// When a record was made, in milliseconds since 1970. What journalctl prints has no time, because it has looked
/// already.
fn time_of(line: &str) -> Option<i64> {
    let stamp = line.split("audit(").nth(1)?.split(':').next()?;
    let (seconds, millis) = stamp.split_once('.')?;
    let (seconds, millis): (i64, i64) = (seconds.parse().ok()?, millis.parse().ok()?);
    Some(seconds.saturating_mul(1000).saturating_add(millis))
}

#[cfg(test)]
mod tests {
    use super::{KilledProcess, LOGGED, calls_in, killing_call_in};
    use jiff::Timestamp;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_process_of_another_user_or_with_another_id_does_not_count() {
        let record = |uid: u32, pid: u32, call: u32, second: u32| {
            format!(
                "audit: type=1326 audit(179606113{second}.660:4): auid=4294967295 uid={uid} gid=0 ses=4294967295 \
                 pid={pid} comm=\"x\" exe=\"/usr/bin/x\" sig=31 arch=c000003e syscall={call} compat=0 \
                 ip=0x7f7728b0fba7 code=0x80000000\n"
            )
        };
        let killed = KilledProcess {
            at: Timestamp::from_second(1_796_061_133).unwrap(),
            uid: 998,
            pid: 7,
        };
        let since = Timestamp::from_second(1_796_061_131).unwrap();
        let own = record(998, 7, 141, 3);
        let of_user = own.clone() + &record(1000, 7, 165, 3);
        let of_process = own.clone() + &record(998, 8, 165, 3);
        let later = own.clone() + &record(998, 7, 165, 9);
        for (records, has_ids, call) in [
            (&own, true, Some("setpriority")),
            (&of_user, true, Some("setpriority")),
            (&of_user, false, Some("setpriority")),
            (&of_process, true, Some("setpriority")),
            // The ids are those of a container: it may have been the other one.
            (&of_process, false, None),
            (&later, true, Some("setpriority")),
            (&own.replace("uid=998", "uid=1000"), false, None),
        ] {
            let found = killing_call_in(records, since, killed, has_ids);
            assert_eq!(found.as_deref(), call, "{records} {has_ids}");
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_record_names_the_call_since_a_time() {
        let record = |uid: u32, code: &str| {
            format!(
                "audit: type=1326 audit(1796061133.660:4): auid=4294967295 uid={uid} gid=0 ses=4294967295 \
                 pid=32505 comm=\"python3\" exe=\"/usr/bin/python3.11\" sig=0 arch=c000003e syscall=141 compat=0 \
                 ip=0x7f7728b0fba7 code={code}"
            )
        };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (early, late) = (at("2026-11-30T17:00:00Z"), at("2026-11-30T20:00:00Z"));
        let calls = |line: &str, since| {
            let found = calls_in(line, since, |line| line.contains(LOGGED));
            found.into_iter().collect::<Vec<_>>().join(" ")
        };
        let logged = record(998, "0x7ffc0000");
        assert_eq!(calls(&logged, early), "setpriority");
        assert_eq!(calls(&logged, late), "", "an earlier run");
        assert_eq!(
            calls(&record(998, "0x80000000"), early),
            "",
            "a process that was killed"
        );
        let journal = "SECCOMP auid=4294967295 uid=998 gid=1 comm=\"x\" sig=0 syscall=165 compat=0 code=0x7ffc0000";
        assert_eq!(calls(journal, late), "mount");
        assert_eq!(
            calls(&journal.replace("165", "99999"), late),
            "number 99999"
        );
    }
}
