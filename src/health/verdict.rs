//! The result of checks.

use crate::failure::Failure;

/// The result of one check of one unit.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub(crate) struct Verdict {
    /// The unit.
    pub(crate) unit: String,
    /// The check in words.
    pub(crate) check: String,
    /// What was seen instead, when the check failed.
    #[schemars(with = "Option<String>")]
    pub(crate) failure: Option<Failure>,
    /// How long the check took, in milliseconds.
    pub(crate) millis: u64,
    /// The kind of check: every user may know it.
    #[serde(skip)]
    pub(crate) kind: &'static str,
}

impl Verdict {
    /// What the check expected and what was seen instead, when it failed.
    pub(crate) fn wrong(&self) -> Option<Failure> {
        let failure = self.failure.as_ref()?;
        Some(failed_check(&self.check, self.kind, failure))
    }
}

/// A check that failed, with what was seen instead. The check itself is from the manifest: its command
/// and its path are not for every user.
pub(super) fn failed_check(check: &str, kind: &str, seen: &Failure) -> Failure {
    let failed = if let Some((request, _)) = check.rsplit_once(" returns ") {
        format!("{request} failed")
    } else if let Some(address) = check.strip_suffix(" accepts connections") {
        format!("connection to {address} failed")
    } else if let Some(command) = check.strip_suffix(" succeeds") {
        format!("{command} failed")
    } else {
        check.replacen("stays up", "did not stay up", 1)
    };
    Failure::new(
        format!("{kind} failed: {}", seen.summary()),
        format!("{failed}: {seen}"),
    )
    .caused_by(seen.host_cause())
}
