//! What a run of a unit wrote.

use super::same_line::is_same_line;
use super::{MainExit, Systemd, UnitStatus};
use crate::host::accounts::user_ids;
use crate::host::journalctl::journalctl;
use crate::host::logged_calls::{KilledProcess, killing_call};
use jiff::Timestamp;
use serde_json::Value;
use std::os::unix::fs::MetadataExt as _;

/// How many entries of the journal are read, the last ones. An entry may have several lines.
const ENTRIES: &str = "--lines=200";
/// How many lines of a run are kept, the last ones.
const MAX_LINES: usize = 200;
/// How many characters of a line are kept.
const MAX_LINE: usize = 1000;

/// "Bad system call" (signal(7)).
const SIGSYS: i32 = 31;
/// How long before the last start the runs count that systemd or a request has started, in seconds. What was said
/// earlier may have another cause.
const EARLIER_SECONDS: i64 = 60;

/// What a run wrote to the systemd journal, and how it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunLog {
    /// The lines of the program, the oldest first.
    pub program: Vec<String>,
    /// systemd's lines about the unit, the oldest first.
    pub manager: Vec<String>,
    /// How the last main process ended, if it has.
    pub end: Option<MainExit>,
    /// The system call for which the kernel ended it, if it was that (signal(7), SIGSYS).
    pub killing_call: Option<String>,
}

impl RunLog {
    /// The log of a program whose output was read directly.
    pub fn of_output(text: &str, end: Option<MainExit>) -> Self {
        Self {
            program: last(text.trim().lines().map(shortened).collect()),
            end,
            ..Self::default()
        }
    }

    /// The last lines of the program, then the last ones of systemd, which say less about the cause. A line that
    /// is repeated counts once, and says how often.
    pub fn last_lines(&self, program: usize, manager: usize) -> Vec<String> {
        let last = |lines: &[String], count| {
            let mut lines = collapsed(lines);
            lines.split_off(lines.len().saturating_sub(count))
        };
        let of_manager = last(&self.manager, manager);
        let all = last(&self.program, program).into_iter().chain(of_manager);
        all.collect()
    }

    /// How the last main process of any of these runs ended, as systemd has logged it.
    pub fn last_end(&self) -> Option<MainExit> {
        self.manager.iter().rev().find_map(|line| logged_end(line))
    }
}

/// The lines, with each run of equal ones as one line: the last of them.
fn collapsed(lines: &[String]) -> Vec<String> {
    let runs = lines.chunk_by(|one, next| is_same_line(one, next));
    let line = |run: &[String]| {
        let line = run.last()?;
        Some(match run.len() {
            1 => line.clone(),
            count => format!("{line} … {count} times"),
        })
    };
    runs.filter_map(line).collect()
}

/// The end in a line such as `a.service: Main process exited, code=exited, status=3/NOTIMPLEMENTED`, or
/// `code=killed, status=9/KILL`.
fn logged_end(line: &str) -> Option<MainExit> {
    let (_, rest) = line.split_once("Main process exited, code=")?;
    let (code, status) = rest.split_once(", status=")?;
    let number: String = status.chars().take_while(char::is_ascii_digit).collect();
    let number = number.parse().ok()?;
    match code {
        "exited" => Some(MainExit::Exited(number)),
        "killed" | "dumped" => Some(MainExit::Killed(number)),
        _ => None,
    }
}

impl Systemd {
    /// What a unit wrote to the systemd journal since its last start. If systemd or a request has restarted the unit,
    /// the lines of the last minute count too, because the last run may have just begun. Empty when the unit was
    /// not started, or when the journal does not answer in time.
    ///
    /// `not_before` is the time in seconds since 1970 at which what the unit runs was changed: what was said earlier
    /// is about something else. The file of the unit says the same of a unit that was written anew.
    pub fn run_log(&self, unit: &str, not_before: Option<i64>) -> RunLog {
        let state = self.show_one(unit).unwrap_or_default();
        let Some(id) = &state.invocation_id else {
            return RunLog::default();
        };
        // A busy journal takes a moment to write new lines.
        journalctl(["--sync".to_owned()]);
        let head = [
            "--output=json",
            "--output-fields=MESSAGE,UNIT,_UID",
            "--boot",
            ENTRIES,
        ];
        let head = head.into_iter().map(str::to_owned);
        let head = head.chain(earliest(&state, not_before).map(|time| format!("--since=@{time}")));
        let uid = uid_of(&state);
        let text = journalctl(head.chain(matches(unit, id, uid, &state)));
        let (mut program, mut manager) = (Vec::new(), Vec::new());
        for line in text.lines() {
            let Some((is_manager, lines)) = entry(line) else {
                continue;
            };
            let list = if is_manager {
                &mut manager
            } else {
                &mut program
            };
            list.extend(lines);
        }
        RunLog {
            program: last(program),
            manager: last(manager),
            end: state.main_exit,
            killing_call: killed_by_filter(&state, uid).and_then(killing_call),
        }
    }
}

/// The user of a unit; `None` if the host does not know it.
fn uid_of(state: &UnitStatus) -> Option<u32> {
    match state.user.as_str() {
        "" => Some(0),
        name => name
            .parse()
            .ok()
            .or_else(|| user_ids(name).ok().flatten().map(|(uid, _)| uid)),
    }
}

/// The main process, if the kernel ended it because of a system call.
fn killed_by_filter(state: &UnitStatus, uid: Option<u32>) -> Option<KilledProcess> {
    if state.main_exit != Some(MainExit::Killed(SIGSYS)) {
        return None;
    }
    Some(KilledProcess {
        at: state.main_ended?,
        uid: uid?,
        pid: state.exec_main_pid?,
    })
}

/// Whether the last run may have just begun, and the log of the runs before says why.
fn was_restarted(state: &UnitStatus) -> bool {
    state.n_restarts > 0 || !state.triggered_by.is_empty()
}

/// The time in seconds since 1970 from which on the runs before the last one count.
fn earliest(state: &UnitStatus, not_before: Option<i64>) -> Option<i64> {
    if !was_restarted(state) {
        return None;
    }
    let begun = state.main_started.map(Timestamp::as_second);
    let earliest = begun.map(|begun| begun.saturating_sub(EARLIER_SECONDS));
    let written = std::fs::symlink_metadata(&state.fragment_path).ok();
    let written = written.map(|file| file.mtime());
    [not_before, written, earliest].into_iter().flatten().max()
}

/// The matches of `journalctl` for a run. Any process can write any field, except for fields that begin with `_`:
/// journald sets these (systemd.journal-fields(7)). So a field without `_` counts only for root, and for the main
/// process as the user of the unit: a later process may have the same id.
fn matches(unit: &str, id: &str, uid: Option<u32>, state: &UnitStatus) -> Vec<String> {
    let of_unit = format!("_SYSTEMD_UNIT={unit}");
    let claimed = format!("INVOCATION_ID={id}");
    let root = "_UID=0".to_owned();
    let mut any_of = vec![
        vec![format!("_SYSTEMD_INVOCATION_ID={id}")],
        vec![claimed.clone(), root.clone()],
    ];
    // journald may not learn the invocation of a process that ends at once.
    if let Some(pid) = state.exec_main_pid {
        let of_process = format!("_PID={pid}");
        any_of.push(vec![of_unit.clone(), of_process.clone()]);
        let of_user = uid.map(|uid| vec![claimed, of_process, format!("_UID={uid}")]);
        any_of.extend(of_user);
    }
    if was_restarted(state) {
        any_of.push(vec![of_unit]);
        any_of.push(vec![format!("UNIT={unit}"), root]);
    }
    any_of.join(&"+".to_owned())
}

/// The last lines. A service decides how many it writes, and each one costs time while a change waits.
fn last(mut lines: Vec<String>) -> Vec<String> {
    lines.split_off(lines.len().saturating_sub(MAX_LINES))
}

/// The beginning of a line.
fn shortened(line: &str) -> String {
    line.chars().take(MAX_LINE).collect()
}

/// An entry of the journal: whether systemd wrote it about a unit, and its lines. A message that is not UTF-8 is a
/// list of bytes, and one that is too long is `null` (systemd.journal-fields(7), journalctl(1), "json").
fn entry(line: &str) -> Option<(bool, Vec<String>)> {
    let entry: Value = serde_json::from_str(line).ok()?;
    let message = match entry.get("MESSAGE")? {
        Value::String(text) => text.clone(),
        Value::Array(bytes) => {
            let bytes = bytes.iter().filter_map(Value::as_u64);
            let bytes: Vec<u8> = bytes.filter_map(|byte| u8::try_from(byte).ok()).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Value::Null => "(a line of more than 4096 bytes)".to_owned(),
        _ => return None,
    };
    let is_manager = entry.get("UNIT").is_some() && entry.get("_UID")?.as_str() == Some("0");
    Some((is_manager, message.lines().map(shortened).collect()))
}

#[cfg(test)]
mod tests {
    use super::{MainExit, RunLog, UnitStatus, entry, matches};

    #[test]
    fn a_field_that_any_process_can_write_counts_only_with_a_user() {
        let state = UnitStatus {
            exec_main_pid: Some(7),
            n_restarts: 1,
            ..UnitStatus::default()
        };
        for uid in [Some(998), None] {
            let words = matches("a.service", "0123", uid, &state);
            let alternatives = words.split(|word| word == "+");
            let claims = alternatives.filter(|all| all.iter().any(|one| !one.starts_with('_')));
            let claims: Vec<String> = claims.map(|all| all.join(" ")).collect();
            let of_root = ["INVOCATION_ID=0123 _UID=0", "UNIT=a.service _UID=0"];
            let of_user = uid.map(|_| "INVOCATION_ID=0123 _PID=7 _UID=998");
            let wanted: Vec<&str> = [Some(of_root[0]), of_user, Some(of_root[1])]
                .into_iter()
                .flatten()
                .collect();
            assert_eq!(claims, wanted);
        }
    }

    #[test]
    fn the_lines_of_a_program_come_before_those_of_systemd() {
        let lines = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let log = RunLog {
            program: lines(&["a", "b", "c"]),
            manager: lines(&["1", "2"]),
            ..RunLog::default()
        };
        assert_eq!(log.last_lines(2, 1), ["b", "c", "2"]);
        assert_eq!(log.last_lines(9, 9), ["a", "b", "c", "1", "2"]);
    }

    #[test]
    fn a_line_that_is_repeated_is_shown_once_with_its_number() {
        let mut program = vec!["start".to_owned()];
        program.extend(std::iter::repeat_n("cannot connect".to_owned(), 18));
        program.push("give up".to_owned());
        let log = RunLog {
            program,
            ..RunLog::default()
        };
        let shown = ["start", "cannot connect … 18 times", "give up"];
        assert_eq!(log.last_lines(20, 3), shown);
        assert_eq!(log.last_lines(2, 3), shown[1..]);
        // An access log has the time in each line.
        let answer = |time: &str, code: u16| format!("[30/Nov/2026 {time}] \"GET /\" {code} -");
        let log = RunLog {
            program: vec![
                answer("22:36:14", 200),
                answer("22:36:15", 200),
                answer("22:36:15", 404),
            ],
            ..RunLog::default()
        };
        assert_eq!(
            log.last_lines(20, 3),
            [
                format!("{} … 2 times", answer("22:36:15", 200)),
                answer("22:36:15", 404)
            ]
        );
    }

    #[test]
    fn the_last_end_is_the_one_that_systemd_logged_last() {
        let log = |lines: &[&str]| RunLog {
            manager: lines.iter().map(|line| (*line).to_owned()).collect(),
            ..RunLog::default()
        };
        let exited = "a.service: Main process exited, code=exited, status=3/NOTIMPLEMENTED";
        let killed = "a.service: Main process exited, code=dumped, status=11/SEGV";
        let other = "a.service: Scheduled restart job, restart counter is at 3.";
        assert_eq!(
            log(&[killed, exited, other]).last_end(),
            Some(MainExit::Exited(3))
        );
        assert_eq!(
            log(&[exited, killed]).last_end(),
            Some(MainExit::Killed(11))
        );
        assert_eq!(log(&[other]).last_end(), None);
    }

    #[test]
    fn a_service_cannot_make_its_log_longer_than_what_is_read() {
        let many = format!("{}\n", "x".repeat(5000)).repeat(5000);
        let log = RunLog::of_output(&many, None);
        assert_eq!(log.program.len(), 200);
        assert!(log.program.iter().all(|line| line.len() == 1000));
    }

    #[test]
    fn an_entry_is_systemds_only_if_root_wrote_it() {
        let of = |text: &str| entry(text);
        let lines = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let program = r#"{"MESSAGE":"a\nb","_UID":"998","UNIT":"x.service"}"#;
        assert_eq!(of(program), Some((false, lines(&["a", "b"]))));
        let manager = r#"{"MESSAGE":"started","_UID":"0","UNIT":"x.service"}"#;
        assert_eq!(of(manager), Some((true, lines(&["started"]))));
        assert_eq!(
            of(r#"{"MESSAGE":[104,255],"_UID":"1"}"#),
            Some((false, lines(&["h\u{fffd}"])))
        );
        let long = of(r#"{"MESSAGE":null,"_UID":"1"}"#).unwrap();
        assert!(long.1[0].contains("more than 4096 bytes"), "{long:?}");
        assert_eq!(of("not JSON"), None);
    }
}
