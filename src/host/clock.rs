//! The clock, and the one bounded wait.

use std::time::{Duration, Instant};

/// The current instant, to seconds, as RFC 3339 shows it.
pub fn now() -> jiff::Timestamp {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Does nothing for a while, for one who looks again and again.
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// The current instant in microseconds, as text of one width: its order is that of time.
pub fn stamp() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}

/// Asks again, with pauses that grow from 5 ms to 250 ms, until `ask` answers or `within` has
/// passed; then the last answer counts.
///
/// For facts that no event announces, such as a port that begins to accept.
pub fn wait_until<T, E>(within: Duration, mut ask: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) if start.elapsed() >= within => return Err(error),
            Err(_) => {}
        }
        let left = within.saturating_sub(start.elapsed());
        std::thread::sleep(pause.min(left).max(Duration::from_millis(1)));
        pause = (pause * 2).min(Duration::from_millis(250));
    }
}
