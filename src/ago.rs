//! Times as a person says them.

use jiff::Timestamp;
use std::cmp::Ordering;

/// The seconds between two points, whichever is first.
pub(crate) fn seconds_between(one: Timestamp, other: Timestamp) -> u64 {
    (other.as_second() - one.as_second()).unsigned_abs()
}

/// A number of seconds, such as `2 minutes`.
pub(crate) fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..=59 => (seconds, "second"),
        60..=3599 => (seconds / 60, "minute"),
        3600..=172_799 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// How long ago a point in time is, or how far in the future.
pub(crate) fn ago(then: Timestamp, now: Timestamp) -> String {
    match then.cmp(&now) {
        Ordering::Less => format!("{} ago", span(seconds_between(then, now))),
        Ordering::Equal => "just now".to_owned(),
        Ordering::Greater => format!("in {}", span(seconds_between(then, now))),
    }
}

#[cfg(test)]
mod tests {
    use super::ago;
    use jiff::Timestamp;

    #[test]
    fn times_are_in_the_largest_whole_unit() {
        let then = Timestamp::from_second(1_800_000_000).unwrap();
        let after = |seconds| Timestamp::from_second(then.as_second() + seconds).unwrap();
        assert_eq!(ago(then, after(0)), "just now");
        assert_eq!(ago(then, after(1)), "1 second ago");
        assert_eq!(ago(then, after(150)), "2 minutes ago");
        assert_eq!(ago(then, after(-7200)), "in 2 hours");
        assert_eq!(ago(then, after(400_000)), "4 days ago");
    }
}
