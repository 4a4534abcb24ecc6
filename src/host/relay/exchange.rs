//! Whether somebody on a connection still waits for an answer.

use super::answers::Answers;
use std::time::{Duration, Instant};

/// At the end, a connection that says nothing for this long is closed where its bytes do not
/// tell whether an answer is owed.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(1);

/// What goes on on one connection.
#[derive(Debug)]
pub(super) struct Exchange {
    answers: Answers,
    /// An answer is owed, as far as one can tell.
    owed: bool,
    /// The client has sent something.
    asked: bool,
    /// When bytes passed last.
    last: Instant,
}

impl Exchange {
    /// What was just accepted carries a request, or will in a moment.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            answers: Answers::default(),
            owed: true,
            asked: false,
            last: now,
        }
    }

    pub(super) fn client_said(&mut self, bytes: &[u8], now: Instant) {
        // Its answer has a length and no body.
        if bytes.starts_with(b"HEAD ") {
            self.answers.give_up();
        }
        self.asked = true;
        self.owed = true;
        self.last = now;
    }

    pub(super) fn server_said(&mut self, bytes: &[u8], now: Instant) {
        self.answers.feed(bytes);
        self.owed = self.answers.are_whole() == Some(false);
        self.last = now;
    }

    /// From when on it can be closed and nobody misses an answer; `None` while one is owed. Where
    /// the bytes do not tell where an answer ends, a pause does.
    pub(super) fn ends_at(&self) -> Option<Instant> {
        match self.answers.are_whole() {
            _ if !self.asked => Some(self.last + SILENCE_TIMEOUT),
            _ if self.owed => None,
            Some(_) => Some(self.last),
            None => Some(self.last + SILENCE_TIMEOUT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Exchange, SILENCE_TIMEOUT};
    use std::time::Instant;

    #[test]
    fn it_ends_when_nobody_waits_for_an_answer() {
        let now = Instant::now();
        let mut exchange = Exchange::new(now);
        assert_eq!(exchange.ends_at(), Some(now + SILENCE_TIMEOUT));
        exchange.client_said(b"GET / HTTP/1.1\r\n\r\n", now);
        assert_eq!(exchange.ends_at(), None);
        exchange.server_said(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", now);
        assert_eq!(exchange.ends_at(), None);
        exchange.server_said(b"k", now);
        assert_eq!(exchange.ends_at(), Some(now));
        exchange.client_said(b"HEAD / HTTP/1.1\r\n\r\n", now);
        assert_eq!(exchange.ends_at(), None);
        exchange.server_said(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", now);
        assert_eq!(exchange.ends_at(), Some(now + SILENCE_TIMEOUT));
    }
}
