//! Services that run with different values of one secret.

use super::stale::{RunningUser, users_among};
use crate::app::App;
use crate::host::{Host, UnitStatus};
use anyhow::Result;

/// Services of an app that have different values of one secret: they may refuse each other's requests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Disagreement {
    /// The name of the secret.
    pub(crate) secret: String,
    /// The units with the value in use.
    pub(crate) current: Vec<String>,
    /// The units with another value.
    pub(crate) older: Vec<String>,
}

/// Units in a sentence.
pub(crate) fn in_words(units: &[String]) -> String {
    let units: Vec<String> = units.iter().map(|unit| format!("`{unit}`")).collect();
    units.join(", ")
}

/// The secrets about which running services disagree once the units of `restarts` have the value in use.
///
/// # Errors
/// When systemd does not answer or a secret cannot be read, as by a user who is not root.
pub(crate) fn disagreements(
    host: &Host,
    app: &App,
    restarts: &dyn Fn(&str) -> bool,
) -> Result<Vec<Disagreement>> {
    let daemons = app.services.iter().filter(|one| !one.is_job());
    let users = daemons.filter(|one| !one.secrets.is_empty());
    let units: Vec<String> = users.map(|one| app.unit(one)).collect();
    if host.is_offline() || units.is_empty() {
        return Ok(Vec::new());
    }
    disagreements_among(host, app, &host.systemd.show(&units)?, restarts)
}

/// The same, where the states of the units are known.
///
/// # Errors
/// When a secret cannot be read.
pub(crate) fn disagreements_among(
    host: &Host,
    app: &App,
    states: &[UnitStatus],
    restarts: &dyn Fn(&str) -> bool,
) -> Result<Vec<Disagreement>> {
    let mut found = Vec::new();
    for secret in &app.secrets {
        let users = users_among(host, app, states, secret.name.as_str())?;
        found.extend(among(secret.name.as_str(), users, restarts));
    }
    Ok(found)
}

fn among(
    secret: &str,
    users: Vec<RunningUser>,
    restarts: &dyn Fn(&str) -> bool,
) -> Option<Disagreement> {
    let is_older = |user: &RunningUser| user.is_older && !restarts(&user.unit);
    let (older, current): (Vec<RunningUser>, Vec<RunningUser>) =
        users.into_iter().partition(is_older);
    let names = |users: Vec<RunningUser>| users.into_iter().map(|user| user.unit).collect();
    (!older.is_empty() && !current.is_empty()).then(|| Disagreement {
        secret: secret.to_owned(),
        current: names(current),
        older: names(older),
    })
}

#[cfg(test)]
mod tests {
    use super::among;
    use crate::settings::RunningUser;

    #[test]
    fn services_disagree_if_some_have_the_value_in_use_and_others_keep_another() {
        for (older, restart, is_found) in [
            ([false, false], [false, false], false),
            ([true, true], [false, false], false),
            ([true, true], [true, true], false),
            ([true, true], [true, false], true),
            ([false, true], [false, false], true),
            ([false, true], [false, true], false),
        ] {
            let names = ["shop-a.service", "shop-b.service"];
            let users = names.iter().zip(older).map(|(unit, is_older)| RunningUser {
                unit: (*unit).to_owned(),
                given: None,
                is_older,
            });
            let restarts = |unit: &str| {
                let mut pairs = names.iter().zip(restart);
                pairs.any(|(name, restarts)| *name == unit && restarts)
            };
            let found = among("KEY", users.collect(), &restarts);
            assert_eq!(found.is_some(), is_found, "{older:?} {restart:?}");
            let units = found.map(|found| [found.current, found.older].concat());
            assert!(units.is_none_or(|units| units == names));
        }
    }
}
