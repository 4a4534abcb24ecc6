//! What the systemd journal says about the runs of units: restarts, processes that were killed because
//! memory ran out, and watchdogs that were not notified.

use super::Systemd;
use crate::host::journalctl::journalctl;
use jiff::Timestamp;
use serde::Deserialize;
use std::time::Duration;

/// `SD_MESSAGE_UNIT_RESTART_SCHEDULED` of sd-messages.h.
const RESTART_SCHEDULED: &str = "5eb03494b6584870a536b337290809b3";
/// `SD_MESSAGE_UNIT_OUT_OF_MEMORY` of sd-messages.h.
const OUT_OF_MEMORY: &str = "fe6faa94e7774663a0da52717891d8ef";

/// `SD_MESSAGE_UNIT_FAILURE_RESULT` of sd-messages.h, with the result in a field of its own.
const FAILED: &str = "d9b373ed55a64feb8242e02dbe79a49c";
/// The result of a service that did not notify its watchdog in time (systemd.service(5), `WatchdogSec=`).
const WATCHDOG: &str = "watchdog";

/// What happened to a run of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEventKind {
    /// systemd restarted the unit by itself.
    Restarted,
    /// The kernel killed a process of the unit because memory ran out.
    OutOfMemory,
    /// systemd ended the unit, because it did not notify its watchdog in time.
    Watchdog,
}

/// What happened to a run of a unit, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEvent {
    /// The unit.
    pub unit: String,
    /// What happened.
    pub kind: RunEventKind,
    /// When.
    pub at: Timestamp,
}

/// A line of `journalctl --output=json`.
#[derive(Debug, Deserialize)]
struct JournalEntry {
    #[serde(rename = "UNIT")]
    unit: String,
    #[serde(rename = "MESSAGE_ID")]
    message: String,
    #[serde(rename = "UNIT_RESULT")]
    result: Option<String>,
    /// Microseconds since 1970.
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    time: String,
}

impl Systemd {
    /// What systemd has written about these units within the last `time`. Empty for a user who cannot read
    /// the systemd journal, and when it does not answer in time.
    pub fn run_events(&self, units: &[String], time: Duration) -> Vec<RunEvent> {
        if self.offline || units.is_empty() {
            return Vec::new();
        }
        let since = format!("--since=-{}s", time.as_secs());
        let head = [
            "--boot",
            "--output=json",
            "--output-fields=UNIT,MESSAGE_ID,UNIT_RESULT",
            &since,
            // Only systemd itself writes as this process.
            "_PID=1",
        ];
        let messages = [RESTART_SCHEDULED, OUT_OF_MEMORY, FAILED];
        let messages = messages.map(|id| format!("MESSAGE_ID={id}")).into_iter();
        let units = units.iter().map(|unit| format!("UNIT={unit}"));
        let args = head.map(str::to_owned).into_iter();
        parse(&journalctl(args.chain(messages).chain(units)))
    }
}

fn parse(text: &str) -> Vec<RunEvent> {
    let lines = text.lines();
    let lines = lines.filter_map(|line| serde_json::from_str::<JournalEntry>(line).ok());
    let events = lines.filter_map(|line| {
        let kind = match line.message.as_str() {
            RESTART_SCHEDULED => RunEventKind::Restarted,
            OUT_OF_MEMORY => RunEventKind::OutOfMemory,
            FAILED if line.result.as_deref() == Some(WATCHDOG) => RunEventKind::Watchdog,
            _ => return None,
        };
        Some(RunEvent {
            unit: line.unit,
            kind,
            at: Timestamp::from_microsecond(line.time.parse().ok()?).ok()?,
        })
    });
    events.collect()
}

#[cfg(test)]
mod tests {
    use super::{RunEvent, RunEventKind, parse};

    #[test]
    fn restarts_and_kills_are_read_from_the_lines_of_systemd() {
        let line = |message: &str| {
            format!(
                "{{\"__CURSOR\":\"s=1\",\"__REALTIME_TIMESTAMP\":\"1800000000000001\",\
                 \"UNIT\":\"a.service\",\"MESSAGE_ID\":\"{message}\"}}\n"
            )
        };
        let event = |kind| RunEvent {
            unit: "a.service".to_owned(),
            kind,
            at: "2027-01-15T08:00:00.000001Z".parse().unwrap(),
        };
        let text = line("5eb03494b6584870a536b337290809b3")
            + &line("fe6faa94e7774663a0da52717891d8ef")
            + &line("39f53479d3a045ac8e11786248231fbf")
            + &line("d9b373ed55a64feb8242e02dbe79a49c")
            + &line("d9b373ed55a64feb8242e02dbe79a49c")
                .replace('}', ",\"UNIT_RESULT\":\"exit-code\"}")
            + &line("d9b373ed55a64feb8242e02dbe79a49c")
                .replace('}', ",\"UNIT_RESULT\":\"watchdog\"}")
            + "No journal files were opened due to insufficient permissions.\n";
        let wanted = [
            RunEventKind::Restarted,
            RunEventKind::OutOfMemory,
            RunEventKind::Watchdog,
        ];
        let wanted = wanted.map(event);
        assert_eq!(parse(&text), wanted);
    }
}
