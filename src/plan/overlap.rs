//! Whether the processes of a service can answer while it restarts on another release.

use super::input::Observed;
use crate::app::{App, Service};

/// Whether the previous release of a service can answer while the service restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// It cannot: no socket stays open, or the manifest says `upgrade = "restart"`.
    No,
    /// Its user changes, and systemd gives the state directory to the new one at once.
    OtherUser,
    /// The host has no memory for both.
    NoMemory,
    /// It manages control groups of its own, which systemd cannot move (systemd.resource-control(5),
    /// "Delegate=").
    OwnGroups,
    /// It starts or restarts already.
    InBetween,
    /// It can.
    Yes,
}

impl Overlap {
    /// For a service of `app` that goes from `old` to `new`. `stays_open` says whether a socket unit is
    /// active and does not change.
    pub fn of(
        observed: &Observed,
        app: &App,
        old: Option<&Service>,
        new: &Service,
        stays_open: impl Fn(&String) -> bool,
    ) -> Self {
        let unit = app.unit(new);
        if !new.overlaps() || !app.socket_units(new).iter().all(stays_open) {
            Self::No
        } else if old.is_some_and(|old| old.user != new.user) {
            Self::OtherUser
        } else if observed.in_between.contains(&unit) {
            Self::InBetween
        } else if observed.low_memory.contains_key(&unit) {
            Self::NoMemory
        } else if observed.own_groups.contains(&unit) {
            Self::OwnGroups
        } else {
            Self::Yes
        }
    }

    /// Why a service that could overlap does not. The numbers are in the plan's notes, because they
    /// change from one moment to the next.
    pub fn obstacle(self) -> Option<&'static str> {
        match self {
            Self::OtherUser => Some("no overlap: its user changes"),
            Self::NoMemory => Some("no overlap: two releases need more memory than is free"),
            Self::OwnGroups => Some("no overlap: it has control groups of its own"),
            Self::InBetween => Some("no overlap: it is starting already"),
            Self::No | Self::Yes => None,
        }
    }
}
