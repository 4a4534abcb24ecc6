//! The clock, and the one bounded wait.

use super::signals::interrupted;
use std::time::{Duration, Instant};

/// A year: longer than anything here waits.
const FAR_FUTURE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A point in time by which something must have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// In a while from now.
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time.min(FAR_FUTURE))
    }

    /// How long it is until then; zero once it is over.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    pub fn is_over(self) -> bool {
        self.left().is_zero()
    }
}

/// Tells how long ago something was.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins to count.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since then.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// The current instant, to seconds, as RFC 3339 shows it.
pub fn now() -> jiff::Timestamp {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Does nothing for a while, for one who looks again and again.
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// The current instant in nanoseconds since 1970, as the time stamps of files are told.
pub fn nanoseconds() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

/// The current instant in microseconds, as text of one width: its order is that of time.
pub fn stamp() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}

/// Asks again, with pauses that grow from 5 ms to 250 ms, until `ask` answers or `within` has
/// passed or the user wants no more of it; then the last answer counts.
///
/// For facts that no event announces, such as a port that begins to accept.
pub fn wait_until<T, E>(within: Duration, mut ask: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) if start.elapsed() >= within || interrupted() => return Err(error),
            Err(_) => {}
        }
        let left = within.saturating_sub(start.elapsed());
        std::thread::sleep(pause.min(left).max(Duration::from_millis(1)));
        pause = (pause * 2).min(Duration::from_millis(250));
    }
}
