//! Pure: the readings of one device, held until those that were measured before them have had
//! their time to come.
//!
//! A reading goes on once the device's newest event time is more than `wait_ms` ahead of it, or
//! once it has been held for `wait_ms` by the clock; always the oldest first, so that whatever
//! comes in another order within `wait_ms` is judged as if it had come in its own. Of two with one
//! identity the first counts. Newest is never ahead of when a reading was received: a device whose
//! clock is ahead cannot hurry the others on.

use std::collections::VecDeque;

use sen_model::{Metric, Timestamp};
use serde::{Deserialize, Serialize};

use crate::recent::Exact;
use crate::track::Stamp;

/// Readings of one device held, at most; beyond it the oldest goes on.
const MOST_HELD: usize = 1_024;

/// A good reading that waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Held(pub(crate) Stamp, pub(crate) Metric, Exact, i64);

impl Held {
    /// A reading that came with a packet.
    pub(crate) fn new(at: Stamp, metric: Metric, value: f64, received_at: Timestamp) -> Self {
        Self(at, metric, Exact(value), received_at.as_millis())
    }

    /// What was measured.
    pub(crate) fn value(&self) -> f64 {
        self.2.0
    }

    /// When it was heard.
    pub(crate) fn received_at(&self) -> Timestamp {
        Timestamp::from_millis(self.3)
    }

    fn place(&self) -> (Stamp, &Metric) {
        (self.0, &self.1)
    }
}

/// The readings of one device that wait, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Queue {
    #[serde(rename = "h", default, skip_serializing_if = "VecDeque::is_empty")]
    held: VecDeque<Held>,
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    newest: Option<i64>,
}

impl Queue {
    /// Whether it has never held anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.newest.is_none()
    }

    /// Holds a reading.
    pub(crate) fn push(&mut self, reading: Held) {
        self.newest = self.newest.max(Some(reading.0.0.min(reading.3)));
        let place = self.held.partition_point(|other| other.place() < reading.place());
        if self.held.get(place).is_none_or(|other| other.place() != reading.place()) {
            self.held.insert(place, reading);
        }
    }

    /// Takes the oldest reading if it may go on.
    pub(crate) fn pop(&mut self, wait_ms: i64) -> Option<Held> {
        let oldest = self.held.front()?;
        let behind_ms = self.newest?.saturating_sub(oldest.0.0);
        let goes_on = behind_ms > wait_ms || self.held.len() > MOST_HELD;
        if goes_on { self.held.pop_front() } else { None }
    }

    /// Takes the oldest reading if it, or a later one, has been held for `wait_ms` by the clock.
    pub(crate) fn pop_by_clock(&mut self, wait_ms: i64, now: Timestamp) -> Option<Held> {
        let is_due = |held: &Held| now.since_ms(held.received_at()) >= wait_ms;
        if self.held.iter().any(is_due) { self.held.pop_front() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, metric};

    fn held(event_ms: i64, received_ms: i64) -> Held {
        Held::new(Stamp(event_ms, 0), metric("level"), event_ms as f64, at(received_ms))
    }

    fn popped(queue: &mut Queue, wait_ms: i64) -> Vec<i64> {
        std::iter::from_fn(|| queue.pop(wait_ms)).map(|held| held.0.0).collect()
    }

    #[test]
    fn readings_go_on_in_order_once_the_newest_is_far_enough_ahead() {
        let mut queue = Queue::default();
        for (event_ms, expected) in [
            (20, &[][..]),
            (10, &[]),
            (10, &[]),
            (30, &[10]),
            (31, &[20]),
            (25, &[]),
            (60, &[25, 30, 31]),
        ] {
            queue.push(held(event_ms, 1_000));
            assert_eq!(popped(&mut queue, 10), expected, "{event_ms}");
        }
    }

    #[test]
    fn a_clock_ahead_hurries_nobody_on_and_the_clock_frees_what_waits() {
        let mut queue = Queue::default();
        queue.push(held(50, 50));
        queue.push(held(9_000, 55));
        assert_eq!(popped(&mut queue, 10), [0; 0]);
        let clock = |queue: &mut Queue, now| {
            std::iter::from_fn(|| queue.pop_by_clock(10, at(now)))
                .map(|h| h.0.0)
                .collect::<Vec<_>>()
        };
        assert_eq!(clock(&mut queue, 59), [0; 0]);
        assert_eq!(clock(&mut queue, 60), [50]);
        assert_eq!(clock(&mut queue, 65), [9_000]);
    }

    #[test]
    fn a_full_queue_lets_the_oldest_go_on() {
        let mut queue = Queue::default();
        for ms in 0..=MOST_HELD as i64 {
            queue.push(held(ms, ms));
        }
        assert_eq!(popped(&mut queue, 1_000_000), [0]);
    }
}
