//! What the clients of a load got.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long `/slow` takes.
const SLOW_MS: u128 = 2000;

/// What the clients got in one phase.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Tally {
    pub answered: usize,
    /// Failures by kind.
    pub failed: BTreeMap<String, usize>,
    /// Kept connections that were found closed before the next request.
    pub closed: usize,
    /// Requests that crossed the close of a kept connection and were repeated.
    pub crossed: usize,
    /// The slowest answer, without `slow` clients.
    pub slowest_ms: u128,
    /// The time of its request after the start of the phase; 0 if it was made in the rest before.
    pub slowest_after_ms: u128,
    /// The slowest answer of a `slow` client.
    pub slowest_slow_ms: u128,
    /// The number of answers by time in tenths of a millisecond, without `slow` clients.
    pub times: BTreeMap<u64, usize>,
    /// Answers by body.
    pub bodies: BTreeMap<String, usize>,
}

impl Tally {
    pub fn lost(&self) -> usize {
        self.failed.values().sum()
    }

    /// The longest wait of any client, in milliseconds, without the two seconds that `/slow` takes
    /// by itself.
    pub fn waited_ms(&self) -> u128 {
        self.slowest_ms
            .max(self.slowest_slow_ms.saturating_sub(SLOW_MS))
    }

    /// The time within which this many of 1000 answers arrived, in milliseconds.
    pub fn permille(&self, share: usize) -> String {
        let all: usize = self.times.values().sum();
        let mut left = (all * share).div_ceil(1000);
        for (tenths, count) in &self.times {
            left = left.saturating_sub(*count);
            if left == 0 {
                return format!("{}.{}", tenths / 10, tenths % 10);
            }
        }
        "-".to_owned()
    }

    /// Records the time of an answer, and when its request was made after the start of the phase.
    pub fn slower(&mut self, millis: u128, after: u128) {
        if millis > self.slowest_ms {
            (self.slowest_ms, self.slowest_after_ms) = (millis, after);
        }
    }

    /// Adds the tally of another phase.
    pub fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.closed += other.closed;
        self.crossed += other.crossed;
        self.slower(other.slowest_ms, other.slowest_after_ms);
        self.slowest_slow_ms = self.slowest_slow_ms.max(other.slowest_slow_ms);
        for (what, count) in &other.failed {
            *self.failed.entry(what.clone()).or_default() += count;
        }
        for (tenths, count) in &other.times {
            *self.times.entry(*tenths).or_default() += count;
        }
        for (body, count) in &other.bodies {
            *self.bodies.entry(body.clone()).or_default() += count;
        }
    }
}
