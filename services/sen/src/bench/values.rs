//! Pure: which value to send at which event time, so that what comes back tells what caused it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::packet::VALUES;

/// Readings at or above this break the limit of the rule that the generator adds.
pub(super) const LIMIT: u32 = 50_000;

/// The metric whose readings raise and clear alerts.
pub(super) const ALERTING: &str = "bench_value";

/// The metrics of plain load; the rule watches the first [`JUDGED`] of them too.
pub(super) fn load_metric(index: usize) -> String {
    format!("load_{index:03}")
}

/// How many load metrics the rule watches, so that plain readings are judged and not only stored.
pub(super) const JUDGED: usize = 128;

/// A value below the limit; neighbours differ, so that no series looks frozen.
pub(super) fn load_value(sequence: u64) -> u32 {
    let room = u64::from(LIMIT - VALUES.start());
    VALUES.start() + (sequence % room) as u32
}

/// Event times of one device that never repeat within a series. The slots (each a set of series)
/// take turns, so that the clock need not run ahead until each of them is used every millisecond.
#[derive(Clone, Debug)]
pub(super) struct EventTimes {
    last_ms: Vec<i64>,
    slot: usize,
}

impl EventTimes {
    /// Times for this many slots, at least one.
    pub(super) fn new(slots: usize) -> Self {
        Self { last_ms: vec![i64::MIN; slots.max(1)], slot: 0 }
    }

    /// The next event time and the slot it is for.
    pub(super) fn next(&mut self, now_ms: i64) -> (i64, usize) {
        let slot = self.slot;
        self.slot = (slot + 1) % self.last_ms.len();
        let time_ms = now_ms.max(self.last_ms[slot].saturating_add(1));
        self.last_ms[slot] = time_ms;
        (time_ms, slot)
    }
}

/// When each breaching or clearing value was sent: an alert record repeats the value that decided
/// it, so a value that is used once tells which packet an alert answers.
#[derive(Debug)]
pub(super) struct SentTimes {
    sent_us: Vec<AtomicU64>,
    breaches: AtomicU32,
    returns: AtomicU32,
}

/// A value not in use; also what a stopwatch cannot show.
const NEVER: u64 = u64::MAX;

impl SentTimes {
    /// Nothing sent yet.
    pub(super) fn new() -> Self {
        let all = VALUES.end() - VALUES.start() + 1;
        Self {
            sent_us: (0..all).map(|_| AtomicU64::new(NEVER)).collect(),
            breaches: AtomicU32::new(0),
            returns: AtomicU32::new(0),
        }
    }

    /// A value that is not in use, on the wrong side of the limit if `breach`.
    pub(super) fn take(&self, breach: bool, now_us: u64) -> u32 {
        let (used, first, room) = if breach {
            (&self.breaches, LIMIT, VALUES.end() + 1 - LIMIT)
        } else {
            (&self.returns, *VALUES.start(), LIMIT - VALUES.start())
        };
        let value = first + used.fetch_add(1, Ordering::Relaxed) % room;
        self.place(value).store(now_us, Ordering::Release);
        value
    }

    /// When a value was sent; none for values of other origin.
    pub(super) fn sent_us(&self, value: f64) -> Option<u64> {
        let value = value as u32;
        let known = VALUES.contains(&value).then(|| self.place(value).load(Ordering::Acquire))?;
        (known != NEVER).then_some(known)
    }

    /// How many values were taken.
    pub(super) fn taken(&self) -> u64 {
        u64::from(self.breaches.load(Ordering::Relaxed) + self.returns.load(Ordering::Relaxed))
    }

    fn place(&self, value: u32) -> &AtomicU64 {
        &self.sent_us[(value - VALUES.start()) as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_series_gets_an_event_time_twice() {
        for (slots, now_step_every, count) in [(1, 1, 500), (3, 7, 1_000), (16, 1_000, 5_000)] {
            let mut times = EventTimes::new(slots);
            let mut seen = BTreeSet::new();
            for index in 0..count {
                let now_ms = 1_000 + i64::from(index / now_step_every);
                let (time_ms, slot) = times.next(now_ms);
                assert!(slot < slots && time_ms >= now_ms);
                assert!(seen.insert((time_ms, slot)), "{time_ms} {slot} twice");
            }
        }
    }

    #[test]
    fn event_times_stay_at_now_while_the_rate_allows() {
        let mut times = EventTimes::new(2);
        let got: Vec<_> = [5, 5, 5, 6, 9].map(|now_ms| times.next(now_ms)).into();
        assert_eq!(got, [(5, 0), (5, 1), (6, 0), (6, 1), (9, 0)]);
    }

    #[test]
    fn every_value_is_on_its_side_and_fits_the_packet() {
        for sequence in [0, 1, 39_999, 40_000, u64::MAX] {
            let value = load_value(sequence);
            assert!(VALUES.contains(&value) && value < LIMIT, "{value}");
        }
        let sent = SentTimes::new();
        for round in 0..120_000_u64 {
            assert!(sent.take(true, round) >= LIMIT);
            assert!(sent.take(false, round) < LIMIT);
        }
    }

    #[test]
    fn a_value_tells_when_it_was_sent() {
        let sent = SentTimes::new();
        let (over, under) = (sent.take(true, 7), sent.take(false, 9));
        assert_eq!(sent.sent_us(f64::from(over)), Some(7));
        assert_eq!(sent.sent_us(f64::from(under)), Some(9));
        assert_eq!(sent.taken(), 2);
        for foreign in [0.0, -1.0, f64::NAN, 1.62, 99_999.0, 1e9] {
            assert_eq!(sent.sent_us(foreign), None, "{foreign}");
        }
    }
}
