//! The clock, deadlines, and the one bounded wait.

use super::signals::interrupted;
use std::time::{Duration, Instant};

/// A year: longer than any wait here.
const MAX_WAIT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The first pause of [`wait_until`], and the longest.
const WAIT_PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));

/// A point in time at which something must have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// A deadline after this time.
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time.min(MAX_WAIT))
    }

    /// The time left; zero once the deadline has passed.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether the deadline has passed.
    pub fn is_over(self) -> bool {
        self.left().is_zero()
    }
}

/// Measures a time.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts to measure.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// The current time, in whole seconds.
pub fn now() -> jiff::Timestamp {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Sleeps, for a loop that takes samples.
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// The current time in nanoseconds since 1970, the unit of file times.
pub fn nanoseconds() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

/// The current time in microseconds, as text of a fixed width. It sorts by time.
pub fn stamp() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}

/// Calls `ask` until it succeeds, with pauses that grow from 5 ms to 250 ms. Returns the last error
/// when the time is over or the user interrupts the wait.
///
/// For changes that cause no event, such as a port that starts to accept.
pub fn wait_until<T, E>(within: Duration, mut ask: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let start = Instant::now();
    let (mut pause, longest) = WAIT_PAUSES;
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) if start.elapsed() >= within || interrupted() => return Err(error),
            Err(_) => {}
        }
        let left = within.saturating_sub(start.elapsed());
        std::thread::sleep(pause.min(left).max(Duration::from_millis(1)));
        pause = (pause * 2).min(longest);
    }
}
