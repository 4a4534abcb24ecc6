//! Lines of a log that say the same, but for what differs each time.
//!
//! | what | example |
//! |---|---|
//! | a time of day | `22:36:14.123` |
//! | the id of a process | `web[123]`, `pid 123`, `pid=123` |
//! | the port of an address | `192.0.2.7:43210`, `[::1]:43210` |
//! | an identifier in hexadecimal digits | `0x7f3a`, `1a2b3c4d` |
//!
//! Other numbers count: an answer with 404 is not one with 200.

/// The fewest digits of an identifier without `0x`.
const ID_DIGITS: usize = 8;

/// Whether two lines are equal but for what differs each time.
pub(super) fn is_same_line(one: &str, next: &str) -> bool {
    one == next || mask(one) == mask(next)
}

/// What each part that differs each time becomes. No line of text has it.
const MASK: char = '\0';

/// The line with [`MASK`] in place of each part that differs each time.
fn mask(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    // Whether the last number was a time, whose fraction may follow.
    let mut after_time = false;
    while let Some(c) = rest.chars().next() {
        let is_new_word = !out.ends_with(|c: char| c.is_ascii_alphanumeric());
        let word = leading(rest, |c| c.is_ascii_alphanumeric());
        if is_new_word && is_id(word) {
            out.push(MASK);
            rest = rest.get(word.len()..).unwrap_or_default();
            after_time = false;
            continue;
        }
        let number = leading(rest, |c| c.is_ascii_digit());
        let after = rest.get(number.len()..).unwrap_or_default();
        if number.is_empty() {
            out.push(c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
            continue;
        }
        let is_fraction = after_time && out.ends_with(['.', ',']);
        let is_part = is_part_of_time_or_port(&out, after);
        if is_part || is_fraction || is_process_id(&out, after) {
            out.push(MASK);
        } else {
            out.push_str(number);
        }
        after_time = is_part;
        rest = after;
    }
    out
}

/// The longest beginning of a text with such characters.
fn leading(text: &str, is_part: impl Fn(char) -> bool) -> &str {
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// Whether a word is an identifier in hexadecimal digits. Words such as `feedface` have no digit from 0 to 9.
fn is_id(word: &str) -> bool {
    let is_hex = |text: &str| text.chars().all(|c| c.is_ascii_hexdigit());
    match word.strip_prefix("0x") {
        Some(digits) => is_hex(digits),
        None => {
            word.len() >= ID_DIGITS && is_hex(word) && word.contains(|c: char| c.is_ascii_digit())
        }
    }
}

/// Whether a number between these texts is a part of a time, or a port: a `:` joins it to another number, or to an
/// address in brackets. The last number of an IPv4 address is not.
fn is_part_of_time_or_port(before: &str, after: &str) -> bool {
    let is_number = |c: char| c.is_ascii_digit() || c == MASK;
    let joins_before = before
        .strip_suffix(':')
        .is_some_and(|rest| rest.ends_with(|c| is_number(c) || c == ']'));
    let joins_after = after
        .strip_prefix(':')
        .is_some_and(|rest| rest.starts_with(is_number));
    joins_before || joins_after && !before.ends_with('.')
}

/// Whether a number between these texts is the id of a process.
fn is_process_id(before: &str, after: &str) -> bool {
    let text = before.trim_end_matches([' ', '=', ':']);
    let is_named = text.len() < before.len()
        && text
            .get(text.len().saturating_sub(3)..)
            .is_some_and(|end| end.eq_ignore_ascii_case("pid"));
    is_named || before.ends_with('[') && after.starts_with(']')
}

#[cfg(test)]
mod tests {
    use super::is_same_line;

    #[test]
    fn lines_that_differ_in_what_is_new_each_time_are_the_same() {
        for (one, next) in [
            ("cannot connect", "cannot connect"),
            (
                "[30/Nov/2026 22:36:14] GET /",
                "[30/Nov/2026 22:36:15] GET /",
            ),
            ("22:36 tick", "22:37 tick"),
            ("2026-11-30T22:36:14.123Z up", "2026-11-30T22:36:15.9Z up"),
            ("22:36:14,123 up", "22:36:15,456 up"),
            ("web[123]: gone", "web[98765]: gone"),
            ("worker (pid 123) exited", "worker (pid 4) exited"),
            ("Booting worker with pid: 12", "Booting worker with pid: 13"),
            ("PID=12 ended", "PID=99999 ended"),
            ("from 192.0.2.7:43210", "from 192.0.2.7:1"),
            ("from [::1]:43210", "from [::1]:43211"),
            ("at 0x7f3a, in f", "at 0xdeadbeef00, in f"),
            ("request 1a2b3c4d failed", "request 99887766aa failed"),
            (
                "id 123e4567-e89b-12d3-a456-426614174000",
                "id 00000000-e89b-12d3-a456-999999999999",
            ),
        ] {
            assert!(is_same_line(one, next), "{one:?} {next:?}");
        }
    }

    #[test]
    fn lines_that_say_something_else_are_not_the_same() {
        for (one, next) in [
            ("GET / 200", "GET / 404"),
            ("errno 13", "errno 97"),
            ("version 1.2.3", "version 1.2.4"),
            ("from 192.0.2.7:80", "from 192.0.2.8:80"),
            ("line 7: syntax", "line 8: syntax"),
            ("deadbeef", "feedface"),
            ("pid file missing", "pid 7 missing"),
            ("22:36:14 up", "22:36:14 down"),
            ("größe 7", "größe 8"),
        ] {
            assert!(!is_same_line(one, next), "{one:?} {next:?}");
        }
    }
}
