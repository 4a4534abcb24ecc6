//! Whether the variables of a running service are those of `/etc/<app>/env` as it is now.

use super::starts::Digests;
use std::collections::{BTreeMap, BTreeSet};

/// How much later a file may have changed than its time stamp says, and how much later a process may have
/// started: a tick each. systemd reads the file shortly before it starts the process.
const CLOCK_SLACK_NS: i64 = 50_000_000;

/// Variables that systemd sets by itself (systemd.exec(5), "Environment Variables Set or Propagated by the
/// Service Manager"), and those that a shell sets.
pub(super) const OF_SYSTEMD: &[&str] = &[
    "CACHE_DIRECTORY",
    "CONFIGURATION_DIRECTORY",
    "CREDENTIALS_DIRECTORY",
    "FDSTORE",
    "HOME",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LANG",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LOGNAME",
    "LOGS_DIRECTORY",
    "MAINPID",
    "MANAGERPID",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
    "NOTIFY_SOCKET",
    "OLDPWD",
    "PATH",
    "PIDFILE",
    "PWD",
    "RUNTIME_DIRECTORY",
    "SHELL",
    "SHLVL",
    "STATE_DIRECTORY",
    "SYSTEMD_EXEC_PID",
    "TERM",
    "TZ",
    "USER",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "_",
];

/// What is known of how a service got its variables.
#[derive(Debug, Default)]
pub(super) struct Start<'a> {
    /// What this run of the service got, if robotctl started it.
    pub(super) recorded: Option<&'a Digests>,
    /// When its main process started, in nanoseconds since 1970.
    pub(super) at: i64,
    /// The environment of its main process, unless the process has overwritten it.
    pub(super) environment: Option<&'a BTreeMap<String, String>>,
}

/// The environment file as it is now, and what the manifest sets.
#[derive(Debug)]
pub(super) struct Now<'a> {
    /// The variables of the file.
    pub(super) values: &'a BTreeMap<String, String>,
    /// Their digests.
    pub(super) digests: &'a Digests,
    /// When the file changed last, in nanoseconds since 1970.
    pub(super) changed: i64,
    /// The names that the manifest sets.
    pub(super) of_manifest: BTreeSet<&'a str>,
}

/// The variables that have changed since a service started; none of them is named when only the time of the
/// change is known. `None` when the service has what the file says.
pub(super) fn changed_variables(start: &Start<'_>, now: &Now<'_>) -> Option<Vec<String>> {
    if let Some(recorded) = start.recorded {
        let names: BTreeSet<&String> = recorded.keys().chain(now.digests.keys()).collect();
        let mut names = names.into_iter().collect::<Vec<_>>();
        names.retain(|name| recorded.get(*name) != now.digests.get(*name));
        let names = names.into_iter().cloned().collect::<Vec<_>>();
        return (!names.is_empty()).then_some(names);
    }
    if now.changed.saturating_add(CLOCK_SLACK_NS) < start.at {
        return None;
    }
    // The file was written since, perhaps with the same variables.
    let Some(environment) = start.environment else {
        return Some(Vec::new());
    };
    let differs = |(name, value): &(&String, &String)| environment.get(*name) != Some(value);
    let names: Vec<String> = now
        .values
        .iter()
        .filter(differs)
        .map(|(name, _)| name.clone())
        .collect();
    // A variable that was removed from the file, or one of a drop-in.
    let is_known = |name: &str| {
        now.values.contains_key(name)
            || now.of_manifest.contains(name)
            || OF_SYSTEMD.contains(&name)
            || name.starts_with("LC_")
    };
    let is_same = names.is_empty() && environment.keys().all(|name| is_known(name));
    (!is_same).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::{CLOCK_SLACK_NS, Now, Start, changed_variables};
    use crate::settings::starts::Digests;
    use std::collections::BTreeMap;

    type Values = BTreeMap<String, String>;

    fn values(pairs: &[(&str, &str)]) -> Values {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// Digests that are as different as the values.
    fn digests(values: &Values) -> Digests {
        values.clone()
    }

    fn changed(start: &Start<'_>, file: &[(&str, &str)], changed: i64) -> Option<Vec<String>> {
        let values = values(file);
        let digests = digests(&values);
        let now = Now {
            values: &values,
            digests: &digests,
            changed,
            of_manifest: ["PORT"].into(),
        };
        changed_variables(start, &now)
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    const LATER: i64 = 100 * CLOCK_SLACK_NS;

    #[test]
    fn a_recorded_start_is_compared_exactly() {
        let given = digests(&values(&[("A", "1"), ("B", "2")]));
        let start = Start {
            recorded: Some(&given),
            at: LATER,
            environment: None,
        };
        // The time of the change says nothing.
        for time in [0, LATER, 2 * LATER] {
            assert_eq!(changed(&start, &[("B", "2"), ("A", "1")], time), None);
            assert_eq!(
                changed(&start, &[("A", "2"), ("C", "1")], time),
                Some(names(&["A", "B", "C"]))
            );
            assert_eq!(changed(&start, &[], time), Some(names(&["A", "B"])));
        }
    }

    #[test]
    fn without_a_record_the_time_of_the_change_decides() {
        let start = Start {
            at: LATER,
            ..Start::default()
        };
        let file = [("A", "1")];
        assert_eq!(changed(&start, &file, 0), None);
        assert_eq!(changed(&start, &file, LATER - CLOCK_SLACK_NS - 1), None);
        // A change shortly before the start may be one after it.
        assert_eq!(
            changed(&start, &file, LATER - CLOCK_SLACK_NS),
            Some(names(&[]))
        );
        assert_eq!(changed(&start, &file, LATER + 1), Some(names(&[])));
    }

    #[test]
    fn an_equal_rewrite_is_no_change_where_the_environment_shows_it() {
        let of = |environment: &[(&str, &str)], file: &[(&str, &str)]| {
            let environment = values(environment);
            let start = Start {
                at: 0,
                environment: Some(&environment),
                ..Start::default()
            };
            changed(&start, file, LATER)
        };
        let given = [
            ("A", "1"),
            ("PORT", "80"),
            ("PATH", "/bin"),
            ("LC_ALL", "C"),
        ];
        assert_eq!(of(&given, &[("A", "1")]), None);
        assert_eq!(of(&given, &[("A", "2")]), Some(names(&["A"])));
        assert_eq!(of(&given, &[("A", "1"), ("B", "")]), Some(names(&["B"])));
        // `A` was removed. It may be of a drop-in, so it is not named.
        assert_eq!(of(&given, &[]), Some(names(&[])));
    }
}
