//! The phases of a connection, and the table of transitions between them.

/// What a connection is doing. `Closed` is the end.
///
/// | phase | event | next phase |
/// |---|---|---|
/// | `Backoff` | [`Event::RetryDue`] | `Connecting` |
/// | `Connecting` | [`Event::Connected`] | `Open` |
/// | `Connecting` | [`Event::Refused`] | `Backoff` |
/// | `Backoff`, `Connecting` | [`Event::ConnectTimeout`] | `Closed` |
/// | `Open` | [`Event::ServerFinished`] | `Draining` |
/// | `Open`, `Draining` | [`Event::Finished`] | `Closed` |
///
/// Every other event leaves the phase as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The server refused the connection. The next attempt follows after a pause.
    Backoff,
    /// connect(2) is in progress.
    Connecting,
    /// Bytes go in both directions.
    Open,
    /// The client has everything that the server sent, and the server sends no more. What the client
    /// still sends is read and dropped.
    Draining,
    /// The connection is over.
    Closed,
}

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The pause after a refused attempt is over.
    RetryDue,
    /// The server accepted the connection.
    Connected,
    /// The server refused the connection.
    Refused,
    /// The server did not accept in time.
    ConnectTimeout,
    /// The server has sent everything, and the client has received it. The client may still send.
    ServerFinished,
    /// Both sides have finished, one is gone, or the process ends and no answer is due.
    Finished,
}

impl Phase {
    /// The phase after an event.
    pub(super) fn after(self, event: Event) -> Self {
        match (self, event) {
            (Self::Backoff, Event::RetryDue) => Self::Connecting,
            (Self::Connecting, Event::Connected) => Self::Open,
            (Self::Connecting, Event::Refused) => Self::Backoff,
            (Self::Backoff | Self::Connecting, Event::ConnectTimeout)
            | (Self::Open | Self::Draining, Event::Finished) => Self::Closed,
            (Self::Open, Event::ServerFinished) => Self::Draining,
            (phase, _) => phase,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, Phase};

    const EVENTS: [Event; 6] = [
        Event::RetryDue,
        Event::Connected,
        Event::Refused,
        Event::ConnectTimeout,
        Event::ServerFinished,
        Event::Finished,
    ];

    #[test]
    fn every_pair_of_phase_and_event_has_its_next_phase() {
        use Phase::{Backoff, Closed, Connecting, Draining, Open};
        // In the order of EVENTS.
        for (phase, next) in [
            (
                Backoff,
                [Connecting, Backoff, Backoff, Closed, Backoff, Backoff],
            ),
            (
                Connecting,
                [Connecting, Open, Backoff, Closed, Connecting, Connecting],
            ),
            (Open, [Open, Open, Open, Open, Draining, Closed]),
            (
                Draining,
                [Draining, Draining, Draining, Draining, Draining, Closed],
            ),
            (Closed, [Closed; 6]),
        ] {
            assert_eq!(EVENTS.map(|event| phase.after(event)), next, "{phase:?}");
        }
    }
}
