//! Pure: whether alerts can still be raised at all. A synthetic device goes through the whole chain
//! every ten seconds; what its rule records proves that the chain works, and how long it takes.

use sen_model::{AlertRecord, Timestamp};
use serde::{Deserialize, Serialize};

/// The rule on trial that the synthetic device raises and clears.
pub const PROBE_RULE: &str = "sen-probe";
/// Without a record of it for longer than this the chain counts as broken, in milliseconds.
pub const SILENCE_MS: i64 = 30_000;
/// How long after our own start the first one may take, in milliseconds.
pub const GRACE_MS: i64 = 60_000;
/// A gap between two looks from which on it was our clock or ourselves that stood still, in
/// milliseconds: that time is nobody's silence.
const GAP_MS: i64 = 15_000;

/// What every screen is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alerting {
    /// Whether alerts can be raised, as far as is known.
    pub ok: bool,
    /// Since when that is so.
    pub since: Timestamp,
    /// How long the last probe took from its event time to its record, in milliseconds; null before
    /// the first one.
    pub latency_ms: Option<i64>,
}

/// Watches the probe.
#[derive(Clone, Debug)]
pub struct Watch {
    /// When a probe was last heard of, or when waiting for the first one began.
    heard: Timestamp,
    /// How long silence may last from there.
    patience_ms: i64,
    looked: Timestamp,
    told: Alerting,
}

impl Watch {
    /// Begins to wait: nothing is known yet, which is no trouble.
    pub fn new(now: Timestamp) -> Self {
        let told = Alerting { ok: true, since: now, latency_ms: None };
        Self { heard: now, patience_ms: GRACE_MS, looked: now, told }
    }

    /// Takes a record on trial that was read at `now`; those of other rules and old ones that are
    /// read again say nothing.
    pub fn take(&mut self, record: &AlertRecord, now: Timestamp) {
        let age = now.since_ms(record.recorded_at);
        if record.rule.as_str() != PROBE_RULE || !(-SILENCE_MS..=SILENCE_MS).contains(&age) {
            return;
        }
        self.heard = now;
        self.patience_ms = SILENCE_MS;
        self.told.latency_ms = Some(record.recorded_at.since_ms(record.event_time));
    }

    /// How it stands at `now`.
    pub fn look(&mut self, now: Timestamp) -> Alerting {
        let gap = now.since_ms(self.looked);
        if !(0..=GAP_MS).contains(&gap) {
            self.heard = self.heard.plus_ms(gap);
        }
        self.looked = now;
        let ok = now.since_ms(self.heard) <= self.patience_ms;
        if ok != self.told.ok {
            (self.told.ok, self.told.since) = (ok, now);
        }
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use sen_model::{Field, RuleId};

    const START: i64 = 1_000_000;

    fn probe(at: i64, latency: i64) -> AlertRecord {
        let mut record = sample::alert("p", 1, Field::PublicServices);
        record.rule = RuleId::new(PROBE_RULE).unwrap();
        record.recorded_at = Timestamp::from_millis(at);
        record.event_time = Timestamp::from_millis(at - latency);
        record
    }

    /// Looks every second from one time to another, both with it, and gives what is told then.
    fn look(watch: &mut Watch, from: i64, to: i64) -> Alerting {
        let looks = (from..=to).step_by(1_000);
        looks.map(|ms| watch.look(Timestamp::from_millis(ms))).last().unwrap()
    }

    fn started() -> Watch {
        Watch::new(Timestamp::from_millis(START))
    }

    #[test]
    fn the_first_probe_may_take_a_minute_and_each_further_one_half_of_it() {
        let mut watch = started();
        let told = look(&mut watch, START, START + 60_000);
        assert_eq!((told.ok, told.latency_ms), (true, None));
        let told = look(&mut watch, START + 60_000, START + 61_000);
        assert_eq!((told.ok, told.since.as_millis()), (false, START + 61_000));
        watch.take(&probe(START + 62_000, 41), Timestamp::from_millis(START + 62_010));
        let told = look(&mut watch, START + 62_010, START + 92_010);
        assert_eq!((told.ok, told.latency_ms), (true, Some(41)));
        assert_eq!(told.since.as_millis(), START + 62_010);
        let told = look(&mut watch, START + 92_010, START + 93_010);
        assert_eq!((told.ok, told.since.as_millis()), (false, START + 93_010));
    }

    #[test]
    fn what_is_read_again_and_what_other_rules_found_is_no_sign_of_life() {
        let mut watch = started();
        watch.take(&probe(START - 50_000, 5), Timestamp::from_millis(START));
        let mut other = probe(START, 5);
        other.rule = RuleId::new("flood").unwrap();
        watch.take(&other, Timestamp::from_millis(START));
        let told = look(&mut watch, START, START + 61_000);
        assert_eq!((told.ok, told.latency_ms), (false, None));
    }

    #[test]
    fn a_clock_that_is_set_is_nobodys_silence() {
        for step in [3_600_000, -3_600_000, 40_000] {
            let mut watch = started();
            watch.take(&probe(START, 5), Timestamp::from_millis(START));
            look(&mut watch, START, START + 5_000);
            assert!(look(&mut watch, START + 5_000 + step, START + 29_000 + step).ok, "{step}");
            let told = look(&mut watch, START + 29_000 + step, START + 37_000 + step);
            assert!(!told.ok, "{step}: silence is told all the same");
        }
    }
}
