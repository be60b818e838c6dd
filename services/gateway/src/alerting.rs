//! Pure: whether alerts can still be raised at all. A synthetic device goes through the whole chain
//! every ten seconds; what its rule records proves that the chain works, and how long it takes. It
//! proves nothing of our own reading of the alert log, on which every screen depends: that is
//! watched beside it.

use sen_model::{AlertRecord, Timestamp};
use serde::{Deserialize, Serialize};

/// The rule on trial that the synthetic device raises and clears.
pub const PROBE_RULE: &str = "sen-probe";
/// Without a record of it for longer than this the chain counts as broken, in milliseconds.
pub const SILENCE_MS: i64 = 30_000;
/// What was the head of the alert log must be folded within this time, in milliseconds.
pub const BEHIND_MS: i64 = 30_000;
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

/// How far the fold of the alert log has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folded {
    /// The offset it stands for.
    pub as_of: u64,
    /// The newest one there is.
    pub head: u64,
}

/// Watches the probe, and the fold of the alert log.
#[derive(Clone, Debug)]
pub struct Watch {
    /// When a probe was last heard of, or when waiting for the first one began.
    heard: Timestamp,
    /// How long silence may last from there.
    patience_ms: i64,
    /// The head that the fold has yet to reach, and since when.
    goal: u64,
    behind_since: Timestamp,
    looked: Timestamp,
    told: Alerting,
}

impl Watch {
    /// Begins to wait: nothing is known yet, which is no trouble.
    pub fn new(now: Timestamp) -> Self {
        let told = Alerting { ok: true, since: now, latency_ms: None };
        Self { heard: now, patience_ms: GRACE_MS, goal: 0, behind_since: now, looked: now, told }
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

    /// How it stands at `now`. No `folded` = the log is still being read for the first time, which
    /// takes as long as it is and is told elsewhere.
    pub fn look(&mut self, now: Timestamp, folded: Option<Folded>) -> Alerting {
        let gap = now.since_ms(self.looked);
        if !(0..=GAP_MS).contains(&gap) {
            self.heard = self.heard.plus_ms(gap);
            self.behind_since = self.behind_since.plus_ms(gap);
        }
        self.looked = now;
        let is_heard = now.since_ms(self.heard) <= self.patience_ms;
        let ok = is_heard && !self.is_behind(now, folded);
        if ok != self.told.ok {
            (self.told.ok, self.told.since) = (ok, now);
        }
        self.told
    }

    fn is_behind(&mut self, now: Timestamp, folded: Option<Folded>) -> bool {
        match folded {
            Some(Folded { as_of, head }) if as_of >= self.goal => {
                (self.goal, self.behind_since) = (head, now);
            }
            Some(_) => {}
            None => (self.goal, self.behind_since) = (0, now),
        }
        now.since_ms(self.behind_since) > BEHIND_MS
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
        looks.map(|ms| watch.look(Timestamp::from_millis(ms), None)).last().unwrap()
    }

    /// The same of the fold: a probe is heard all the while.
    fn fold(watch: &mut Watch, from: i64, to: i64, folded: impl Fn(i64) -> (u64, u64)) -> Alerting {
        let look = |ms| {
            let now = Timestamp::from_millis(ms);
            watch.take(&probe(ms, 5), now);
            let (as_of, head) = folded(ms);
            watch.look(now, Some(Folded { as_of, head }))
        };
        (from..=to).step_by(1_000).map(look).last().unwrap()
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
    fn a_fold_that_stands_still_while_the_log_grows_is_no_alerting() {
        let mut watch = started();
        let told = fold(&mut watch, START, START + 300_000, |_| (7, 7));
        assert!(told.ok, "nothing new for minutes is no trouble");
        let begin = START + 301_000;
        assert!(fold(&mut watch, begin, begin + 30_000, |_| (7, 8)).ok);
        let told = fold(&mut watch, begin + 31_000, begin + 32_000, |_| (7, 90));
        assert_eq!((told.ok, told.since.as_millis()), (false, begin + 31_000));
        let told = fold(&mut watch, begin + 33_000, begin + 34_000, |_| (90, 91));
        assert_eq!((told.ok, told.since.as_millis()), (true, begin + 33_000));
    }

    #[test]
    fn a_fold_may_be_a_little_behind_for_ever_but_not_further_and_further() {
        let seconds = |ms: i64| ((ms - START) / 1_000).unsigned_abs();
        let mut watch = started();
        let near = |ms| (seconds(ms), seconds(ms) + 20);
        assert!(fold(&mut watch, START, START + 600_000, near).ok);
        let mut watch = started();
        let slow = |ms| (seconds(ms), 100 * seconds(ms));
        assert!(!fold(&mut watch, START, START + 600_000, slow).ok);
    }

    #[test]
    fn the_first_reading_takes_as_long_as_it_takes() {
        let mut watch = started();
        for ms in (START..START + 600_000).step_by(1_000) {
            let now = Timestamp::from_millis(ms);
            watch.take(&probe(ms, 5), now);
            assert!(watch.look(now, None).ok);
        }
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
