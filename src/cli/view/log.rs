//! An entry of a log as text.

use crate::ops::LogRecord;
use crate::printable;
use serde_json::Value;

/// The width of the column of services, if their names are not longer.
const SERVICE_WIDTH: usize = 12;
/// Colours of services (ECMA-48, SGR): cyan, green, magenta, blue, and their bright forms.
const COLORS: [u8; 8] = [36, 32, 35, 34, 96, 92, 95, 94];
const RED: u8 = 31;
const YELLOW: u8 = 33;
const FAINT: u8 = 2;

/// One entry: a line with time, service, level, text and fields; further lines of the text are below it. Whatever a
/// program wrote is made printable.
pub(in crate::cli) fn text(record: &LogRecord, colored: bool) -> String {
    let paint = |code: u8, text: &str| match colored {
        true => format!("\x1b[{code}m{text}\x1b[0m"),
        false => text.to_owned(),
    };
    let service = printable::name(&record.service).into_owned();
    let column = format!("{service:SERVICE_WIDTH$}");
    let sum: usize = service.bytes().map(usize::from).sum();
    let color = COLORS.get(sum % COLORS.len()).copied().unwrap_or(RED);
    let begin = format!("{} {}", paint(FAINT, &record.at), paint(color, &column));
    let level = match record.level.as_deref() {
        None | Some("info") => String::new(),
        Some(level) => {
            let shown = printable::name(level).to_uppercase();
            let shown = match level {
                "error" | "fatal" | "critical" | "panic" => paint(RED, &shown),
                "warning" => paint(YELLOW, &shown),
                _ => paint(FAINT, &shown),
            };
            format!("{shown} ")
        }
    };
    let fields = record.fields.iter().map(|(name, value)| {
        let name = printable::name(name);
        format!("{}{}", paint(FAINT, &format!("{name}=")), shown(value))
    });
    let fields: Vec<String> = fields.collect();
    let mut lines = record.message.split('\n').map(line);
    let first = lines.next().unwrap_or_default();
    let mut parts = vec![format!("{begin} {level}{first}")];
    parts.extend(fields);
    let mut out = parts.join(" ").trim_end().to_owned() + "\n";
    for rest in lines {
        out += format!("{begin} {rest}").trim_end();
        out.push('\n');
    }
    out
}

/// A line of a program. A tab stays one.
fn line(text: &str) -> String {
    let parts = text.trim_end_matches('\r').split('\t');
    let parts = parts.map(|part| printable::name(part).into_owned());
    parts.collect::<Vec<_>>().join("\t")
}

/// The value of a field: text without quotes, if it is one word.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) if is_word(text) => text.clone(),
        other => other.to_string(),
    };
    printable::name(&text).into_owned()
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '"' || c == '=')
}

#[cfg(test)]
mod tests {
    use super::text;
    use crate::ops::LogRecord;

    fn record(level: Option<&str>, message: &str) -> LogRecord {
        LogRecord {
            at: "2026-12-01T00:00:00.000Z".to_owned(),
            service: "web".to_owned(),
            unit: "shop-web.service".to_owned(),
            pid: None,
            level: level.map(str::to_owned),
            message: message.to_owned(),
            fields: [
                ("path".to_owned(), "/a".into()),
                ("why".to_owned(), "not found".into()),
            ]
            .into(),
        }
    }

    #[test]
    fn an_entry_is_one_line_with_its_further_lines_below() {
        let begin = "2026-12-01T00:00:00.000Z web         ";
        assert_eq!(
            text(&record(Some("error"), "no\n\tat b"), false),
            format!("{begin} ERROR no path=/a why=\"not found\"\n{begin} \tat b\n")
        );
        assert_eq!(
            text(&record(Some("info"), "up"), false),
            format!("{begin} up path=/a why=\"not found\"\n")
        );
    }

    #[test]
    fn what_a_program_writes_cannot_control_the_terminal() {
        for colored in [false, true] {
            let shown = text(&record(None, "a\x1b[2Jb\u{202e}c\r"), colored);
            assert!(shown.contains("a\\u{1b}[2Jb\\u{202e}c"), "{shown:?}");
            assert!(
                !shown.contains("\x1b[2J") && !shown.contains('\r'),
                "{shown:?}"
            );
        }
    }
}
