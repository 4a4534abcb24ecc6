//! Entries of the systemd journal as `journalctl --output=json` prints them, one after another.

use super::runner::Command;
use super::signals::interrupted;
use anyhow::{Result, bail};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::path::Path;

/// The fields that [`JournalEntry`] is made of (systemd.journal-fields(7)).
const FIELDS: &str = "--output-fields=MESSAGE,PRIORITY,UNIT,COREDUMP_UNIT,INVOCATION_ID,\
                      _UID,_PID,_SYSTEMD_UNIT,_SYSTEMD_INVOCATION_ID";

/// Where journald writes (journald.conf(5), "Storage=").
const DIRS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];

/// An entry of the systemd journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// When journald received it.
    pub at: Timestamp,
    /// Where it is in the systemd journal.
    pub cursor: String,
    /// The unit that it is about: that of the process, or the one that systemd names.
    pub unit: String,
    /// The id of the process.
    pub pid: Option<u32>,
    /// The priority of syslog(3), from 0 to 7.
    pub priority: Option<u8>,
    /// The invocation id of the run of the unit.
    pub run: Option<String>,
    /// The text. It may have several lines.
    pub message: String,
    /// Every field that was read.
    fields: Map<String, Value>,
}

impl JournalEntry {
    /// Parses a line. Any process can write any field whose name does not begin with `_`, so such a field counts
    /// only if root wrote it.
    pub fn parse(line: &str) -> Option<Self> {
        let fields: Map<String, Value> = serde_json::from_str(line).ok()?;
        let of = |name: &str| fields.get(name).and_then(text);
        let of_root = |name: &str| of(name).filter(|_| of("_UID").as_deref() == Some("0"));
        let micros: i64 = of("__REALTIME_TIMESTAMP")?.parse().ok()?;
        let unit = of_root("COREDUMP_UNIT").or_else(|| of_root("UNIT"));
        let run = of_root("INVOCATION_ID").filter(|_| unit.is_some());
        Some(Self {
            at: Timestamp::from_microsecond(micros).ok()?,
            cursor: of("__CURSOR")?,
            unit: unit.or_else(|| of("_SYSTEMD_UNIT")).unwrap_or_default(),
            pid: of("_PID").and_then(|pid| pid.parse().ok()),
            priority: of("PRIORITY").and_then(|priority| priority.parse().ok()),
            run: run.or_else(|| of("_SYSTEMD_INVOCATION_ID")),
            message: of("MESSAGE")?,
            fields,
        })
    }

    /// The text of a field, if it was read.
    pub fn field(&self, name: &str) -> Option<String> {
        self.fields.get(name).and_then(text)
    }

    /// Whether a field that a program can write holds a text.
    pub fn mentions(&self, part: &str) -> bool {
        let mut fields = self.fields.iter();
        fields.any(|(name, value)| {
            !name.starts_with('_') && text(value).is_some_and(|text| text.contains(part))
        })
    }
}

/// The text of a field. One that is not UTF-8 is a list of bytes (journalctl(1), "json").
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(bytes) => {
            let bytes: Option<Vec<u8>> = bytes
                .iter()
                .map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok()))
                .collect();
            Some(String::from_utf8_lossy(&bytes?).into_owned())
        }
        _ => None,
    }
}

/// Whether this user can read what the services of the host log.
pub fn can_read_journal() -> bool {
    let id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let files = DIRS.map(|dir| Path::new(dir).join(id.trim()).join("system.journal"));
    files.iter().any(|file| std::fs::File::open(file).is_ok())
}

/// Reads entries until the end, until `go_on` returns false, or until the user interrupts it. `go_on` is also called
/// without an entry, several times a second. `arguments` are those of journalctl(1), `all_fields` is for
/// [`JournalEntry::mentions`].
///
/// # Errors
/// With what `journalctl` says when it fails, such as about a pattern.
pub fn read_journal(
    arguments: &[String],
    all_fields: bool,
    mut go_on: impl FnMut(Option<JournalEntry>) -> bool,
) -> Result<()> {
    let head = [
        "journalctl",
        "--quiet",
        "--no-pager",
        "--all",
        "--output=json",
    ];
    let fields = (!all_fields).then_some(FIELDS);
    let words = head.iter().chain(&fields).map(|word| (*word).to_owned());
    let command = Command::new(words.chain(arguments.iter().cloned()));
    let ended = command.stream_lines(|line| {
        let entry = line.and_then(JournalEntry::parse);
        if interrupted() {
            return false;
        }
        (line.is_some() && entry.is_none()) || go_on(entry)
    })?;
    match ended {
        // Without an entry that fits a pattern, it exits with 1 and says nothing.
        Some(output) if !output.success() && !output.stderr.trim().is_empty() => {
            bail!("{}", output.stderr.trim())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::JournalEntry;

    fn entry(fields: &str) -> JournalEntry {
        let head = r#""__REALTIME_TIMESTAMP":"1764547200000000","__CURSOR":"s=1","MESSAGE":"a""#;
        JournalEntry::parse(&format!("{{{head},{fields}}}")).unwrap()
    }

    #[test]
    fn only_root_names_the_unit_of_an_entry() {
        let own = r#""_SYSTEMD_UNIT":"shop-web.service","UNIT":"shop-db.service""#;
        assert_eq!(
            entry(&format!(r#"{own},"_UID":"998""#)).unit,
            "shop-web.service"
        );
        assert_eq!(
            entry(&format!(r#"{own},"_UID":"0""#)).unit,
            "shop-db.service"
        );
    }

    #[test]
    fn a_field_that_a_program_writes_is_searched() {
        let one = entry(r#""TRACE_ID":"4bf9","_CMDLINE":"x 77aa","BYTES":[52,98,255]"#);
        assert!(one.mentions("4bf9") && one.mentions("4b\u{fffd}"));
        assert!(!one.mentions("77aa"));
    }

    #[test]
    fn what_is_no_entry_is_left_out() {
        for text in ["", "{}", "not JSON", r#"{"MESSAGE":"a"}"#] {
            assert_eq!(JournalEntry::parse(text), None, "{text}");
        }
    }
}
