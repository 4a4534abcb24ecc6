//! Whether a client still waits for a response.

use super::ending::Ending;
use super::responses::Responses;
use std::time::{Duration, Instant};

/// When the service stops, how long a connection may be silent before it is closed, if its bytes do not
/// show whether a response is due.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(1);

/// The requests and responses of one connection.
#[derive(Debug)]
pub(super) struct Exchange {
    responses: Responses,
    /// Whether a response is due, as far as the bytes show.
    is_due: bool,
    /// Whether the client has sent anything.
    has_request: bool,
    /// Whether the server has sent anything.
    has_response: bool,
    /// When the last bytes passed.
    last: Instant,
}

impl Exchange {
    /// A connection that was just accepted: a request will follow in a moment.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            responses: Responses::default(),
            is_due: true,
            has_request: false,
            has_response: false,
            last: now,
        }
    }

    pub(super) fn client_sent(&mut self, bytes: &[u8], now: Instant) {
        // The response to HEAD has a length and no body.
        if bytes.starts_with(b"HEAD ") {
            self.responses.give_up();
        }
        self.has_request = true;
        self.is_due = true;
        self.last = now;
    }

    pub(super) fn server_sent(&mut self, bytes: &[u8], now: Instant) {
        self.responses.feed(bytes);
        self.has_response = true;
        self.is_due = self.responses.are_complete() == Some(false);
        self.last = now;
    }

    /// Whether neither side has sent anything.
    pub(super) fn is_silent(&self) -> bool {
        !self.has_request && !self.has_response
    }

    /// When the connection can be closed without the loss of a response; `None` while one is due. If the
    /// bytes do not show where a response ends, a pause does, or one side closes the connection.
    pub(super) fn ends_at(&self, ending: Ending) -> Option<Instant> {
        match self.responses.are_complete() {
            _ if !self.has_request => Some(self.last + SILENCE_TIMEOUT),
            _ if self.is_due => None,
            Some(_) => Some(self.last),
            None if ending == Ending::Drain => None,
            None => Some(self.last + SILENCE_TIMEOUT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Ending, Exchange, SILENCE_TIMEOUT};
    use std::time::Instant;

    #[test]
    fn a_connection_ends_when_no_response_is_due() {
        let now = Instant::now();
        let mut exchange = Exchange::new(now);
        assert_eq!(exchange.ends_at(Ending::Stop), Some(now + SILENCE_TIMEOUT));
        exchange.client_sent(b"GET / HTTP/1.1\r\n\r\n", now);
        assert_eq!(exchange.ends_at(Ending::Stop), None);
        exchange.server_sent(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", now);
        assert_eq!(exchange.ends_at(Ending::Stop), None);
        exchange.server_sent(b"k", now);
        assert_eq!(exchange.ends_at(Ending::Stop), Some(now));
        exchange.client_sent(b"HEAD / HTTP/1.1\r\n\r\n", now);
        assert_eq!(exchange.ends_at(Ending::Stop), None);
        exchange.server_sent(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", now);
        assert_eq!(exchange.ends_at(Ending::Stop), Some(now + SILENCE_TIMEOUT));
        assert_eq!(exchange.ends_at(Ending::Drain), None);
    }
}
