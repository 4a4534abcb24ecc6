//! What the clients of a load saw.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long `/slow` takes.
const SLOW_MS: u128 = 2000;

/// What the clients saw in one phase.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Tally {
    pub answered: usize,
    /// Failures by what happened.
    pub failed: BTreeMap<String, usize>,
    /// Kept connections that were found closed before the next request.
    pub closed: usize,
    /// Requests that crossed the close of a kept connection, and were asked again.
    pub crossed: usize,
    /// The slowest answer but those of `slow` clients.
    pub slowest_ms: u128,
    /// How long after the phase had begun it was asked for; 0 when that was in the rest before.
    pub slowest_after_ms: u128,
    /// The slowest answer of a `slow` client.
    pub slowest_slow_ms: u128,
    /// How long each answer took, by tenths of a millisecond, without `slow` clients.
    pub times: BTreeMap<u64, usize>,
    /// Answers by body.
    pub bodies: BTreeMap<String, usize>,
}

impl Tally {
    pub fn lost(&self) -> usize {
        self.failed.values().sum()
    }

    /// The longest that anybody waited, in milliseconds: what takes two seconds by itself may take
    /// no longer either.
    pub fn waited_ms(&self) -> u128 {
        self.slowest_ms
            .max(self.slowest_slow_ms.saturating_sub(SLOW_MS))
    }

    /// The time within which 99 of 100 answers came, in milliseconds.
    pub fn p99(&self) -> String {
        let all: usize = self.times.values().sum();
        let mut left = (all * 99).div_ceil(100);
        for (tenths, count) in &self.times {
            left = left.saturating_sub(*count);
            if left == 0 {
                return format!("{}.{}", tenths / 10, tenths % 10);
            }
        }
        "-".to_owned()
    }

    /// Takes the time of an answer, and how long after the start of the phase it was asked for.
    pub fn slower(&mut self, millis: u128, after: u128) {
        if millis > self.slowest_ms {
            (self.slowest_ms, self.slowest_after_ms) = (millis, after);
        }
    }

    /// Adds what was seen in another phase.
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
