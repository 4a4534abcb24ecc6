//! An entry as it is shown: lines of JSON, as loggers write them, in plain words.

use crate::host::JournalEntry;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Fields of loggers with the level.
const LEVELS: [&str; 6] = [
    "level",
    "lvl",
    "severity",
    "levelname",
    "log.level",
    "level_name",
];
/// Fields of loggers with the text.
const MESSAGES: [&str; 4] = ["message", "msg", "event", "text"];
/// Fields of loggers with the time, which the systemd journal has, too.
const TIMES: [&str; 6] = [
    "timestamp",
    "time",
    "ts",
    "@timestamp",
    "asctime",
    "datetime",
];

/// An entry of the log of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct LogRecord {
    /// When it was logged: RFC 3339, UTC, in milliseconds.
    pub(crate) at: String,
    /// The short name of the service.
    pub(crate) service: String,
    /// The unit.
    pub(crate) unit: String,
    /// The process, if it is known.
    pub(crate) pid: Option<u32>,
    /// `debug`, `info`, `warning`, `error` or what else the logger calls it.
    pub(crate) level: Option<String>,
    /// The text. It may have several lines.
    pub(crate) message: String,
    /// What a line of JSON holds besides these.
    pub(crate) fields: BTreeMap<String, Value>,
}

impl LogRecord {
    /// An entry of a service.
    pub(super) fn of(entry: &JournalEntry, service: &str) -> Self {
        let mut record = Self {
            at: format!("{:.3}", entry.at),
            service: service.to_owned(),
            unit: entry.unit.clone(),
            pid: entry.pid,
            level: level_of_priority(entry.priority).map(str::to_owned),
            message: entry.message.clone(),
            fields: BTreeMap::new(),
        };
        if let Ok(Value::Object(object)) = serde_json::from_str(&entry.message) {
            record.read_json(object);
        }
        record
    }

    /// Takes the level and the text out of a line of JSON, and leaves out the time.
    fn read_json(&mut self, mut object: Map<String, Value>) {
        let message = MESSAGES.iter().find(|name| {
            let value = object.get(**name);
            value.is_some_and(Value::is_string)
        });
        let message = message.and_then(|name| object.remove(*name));
        let message = message.as_ref().and_then(Value::as_str);
        message.unwrap_or_default().clone_into(&mut self.message);
        let level = LEVELS.iter().find_map(|name| {
            let level = level_in_words(object.get(*name)?)?;
            object.remove(*name);
            Some(level)
        });
        self.level = level.or_else(|| self.level.take());
        for name in TIMES {
            object.remove(name);
        }
        self.fields = object.into_iter().collect();
    }
}

/// The level of a priority of syslog(3). What a program writes has `info` unless it says otherwise.
fn level_of_priority(priority: Option<u8>) -> Option<&'static str> {
    match priority? {
        0..=3 => Some("error"),
        4 => Some("warning"),
        7 => Some("debug"),
        _ => None,
    }
}

/// A level in lower case. Loggers such as pino and bunyan write numbers.
fn level_in_words(value: &Value) -> Option<String> {
    match value {
        Value::String(level) => Some(match level.to_lowercase().as_str() {
            "warn" => "warning".to_owned(),
            "err" => "error".to_owned(),
            level => level.to_owned(),
        }),
        Value::Number(level) => Some(
            match level.as_u64()? {
                0..20 => "trace",
                20..30 => "debug",
                30..40 => "info",
                40..50 => "warning",
                _ => "error",
            }
            .to_owned(),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::LogRecord;
    use crate::host::JournalEntry;

    fn record(message: &str) -> LogRecord {
        let line = serde_json::json!({
            "__REALTIME_TIMESTAMP": "1764547200123000",
            "__CURSOR": "s",
            "PRIORITY": "6",
            "MESSAGE": message,
        });
        LogRecord::of(&JournalEntry::parse(&line.to_string()).unwrap(), "web")
    }

    #[test]
    fn lines_of_common_loggers_are_read() {
        for (line, level, message, fields) in [
            (
                r#"{"level":"INFO","msg":"up","port":80}"#,
                Some("info"),
                "up",
                "port=80",
            ),
            (
                r#"{"level":40,"time":1,"msg":"slow","ms":12}"#,
                Some("warning"),
                "slow",
                "ms=12",
            ),
            (
                r#"{"severity":"ERROR","message":"no"}"#,
                Some("error"),
                "no",
                "",
            ),
            (
                r#"{"event":"paid","levelname":"DEBUG"}"#,
                Some("debug"),
                "paid",
                "",
            ),
            (r#"{"a":1}"#, None, "", "a=1"),
            ("{broken", None, "{broken", ""),
            ("[1]", None, "[1]", ""),
        ] {
            let record = record(line);
            assert_eq!(record.level.as_deref(), level, "{line}");
            assert_eq!(record.message, message, "{line}");
            let shown = record
                .fields
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            assert_eq!(shown.collect::<Vec<_>>().join(" "), fields, "{line}");
        }
        assert_eq!(record("x").at, "2025-12-01T00:00:00.123Z");
    }
}
