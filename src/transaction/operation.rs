//! Which command makes a change.

/// Which command makes a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A release goes live; the live one becomes the previous one.
    Deploy,
    /// An earlier release goes live again; releases after it are no longer previous ones.
    Rollback,
    /// One service goes to another release, until a deploy with `--lift-pins`.
    Pin {
        /// The short name of the service.
        service: String,
        /// The release.
        release: String,
    },
    /// `doctor --fix`: services of the live release restart by overlap, and nothing else changes.
    Fix,
    /// Services of the live release restart, and nothing else changes.
    Restart,
    /// Services of the live release restart with the new value of a secret. Undoing it restores the previous value.
    NewSecret {
        /// The name of the secret.
        name: String,
    },
}

impl Operation {
    /// Whether it changes services of the live release alone: the others say nothing about it.
    pub(crate) fn is_of_services(&self) -> bool {
        matches!(self, Self::Restart | Self::NewSecret { .. })
    }

    /// The word in the journal and in messages.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Rollback | Self::Pin { .. } => "rollback",
            Self::Fix => "fix",
            Self::Restart => "restart",
            Self::NewSecret { .. } => "secret",
        }
    }
}
