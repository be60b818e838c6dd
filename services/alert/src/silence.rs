//! Pure: absence. When was a device (or one of its metrics) last heard, and is that too long ago?
//!
//! Silence is measured by when readings were *received*, of whatever quality, against the clock;
//! the time we ourselves did not listen is not counted. An episode begins at the last reading
//! received before it (at the beginning of the watch, if there never was one) and ends with the
//! next reading. When the clock was set back, nothing stays ahead of it: what was heard is taken to
//! be heard now, and what is received from then on ends an episode that began in that future.

use sen_model::Timestamp;
use serde::{Deserialize, Serialize};

/// The memory of one absence rule about one device, or one of its metrics.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Watch {
    /// When the watch began, or the last reading was received.
    #[serde(rename = "h")]
    heard: i64,
    /// Start of the open episode.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    open: Option<i64>,
    /// Since the clock was set back, what is received after here ends the open episode, though it
    /// began later.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    after: Option<i64>,
}

impl Watch {
    /// A watch over something never heard so far.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { heard: now.as_millis(), open: None, after: None }
    }

    /// Notes a reading; gives the start of the episode it ends.
    ///
    /// A replay repeats readings from before the episode: those do not end it.
    pub(crate) fn hear(&mut self, received_at: Timestamp) -> Option<Timestamp> {
        self.heard = received_at.as_millis();
        let start = self.open.filter(|start| self.heard > self.after.unwrap_or(*start))?;
        (self.open, self.after) = (None, None);
        Some(Timestamp::from_millis(start))
    }

    /// Whether it has been silent for longer than `missing_ms`, counted from `resumed_at` at the
    /// earliest; gives the start of the episode, once.
    pub(crate) fn judge(
        &mut self,
        now: Timestamp,
        resumed_at: Timestamp,
        missing_ms: i64,
    ) -> Option<Timestamp> {
        let counted_from = self.heard.max(resumed_at.as_millis());
        if self.open.is_some() || now.as_millis().saturating_sub(counted_from) <= missing_ms {
            return None;
        }
        self.open = Some(self.heard);
        Some(Timestamp::from_millis(self.heard))
    }

    /// Nobody minds its silence now: it is counted from here at the earliest. Gives the start of the
    /// episode this ends.
    pub(crate) fn rest(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.heard = self.heard.max(now.as_millis());
        self.after = None;
        self.open.take().map(Timestamp::from_millis)
    }

    /// Nothing that was heard, and no episode, lies ahead of now: the clock was set back. Not in a
    /// replay, whose readings are older than the episode they would end.
    pub(crate) fn turn_back(&mut self, now: Timestamp) {
        let now = now.as_millis();
        self.heard = self.heard.min(now);
        if self.open.is_some_and(|start| start >= now) {
            // What was judged so far was heard before: only what is still to come is after it.
            self.after = Some(now.saturating_sub(1));
        }
    }

    /// Takes over an episode that the alert log knows and this memory lost in a crash.
    pub(crate) fn adopt(&mut self, start: Timestamp) {
        self.open = Some(start.as_millis());
    }

    /// The start of the open episode.
    pub(crate) fn open(&self) -> Option<Timestamp> {
        self.open.map(Timestamp::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn silence_is_told_once_and_ends_with_the_next_reading() {
        let mut watch = Watch::new(at(0));
        assert_eq!(watch.hear(at(1_000)), None);
        assert_eq!(watch.judge(at(6_000), at(0), 5_000), None, "exactly as long is not longer");
        assert_eq!(watch.judge(at(6_001), at(0), 5_000), Some(at(1_000)));
        assert_eq!(watch.judge(at(9_000), at(0), 5_000), None, "told once");
        assert_eq!(watch.hear(at(9_500)), Some(at(1_000)));
        assert_eq!(watch.open(), None);
    }

    #[test]
    fn outside_its_schedule_silence_ends_and_is_counted_anew_afterwards() {
        let mut watch = Watch::new(at(0));
        assert_eq!(watch.judge(at(6_000), at(0), 5_000), Some(at(0)));
        assert_eq!(watch.rest(at(7_000)), Some(at(0)));
        assert_eq!(watch.rest(at(8_000)), None);
        assert_eq!(watch.judge(at(13_000), at(0), 5_000), None);
        assert_eq!(watch.judge(at(13_001), at(0), 5_000), Some(at(8_000)));
    }

    #[test]
    fn our_own_absence_is_not_the_devices() {
        let mut watch = Watch::new(at(0));
        assert_eq!(watch.judge(at(100_000), at(99_000), 5_000), None);
        assert_eq!(watch.judge(at(104_001), at(99_000), 5_000), Some(at(0)));
    }

    #[test]
    fn after_a_step_back_of_the_clock_the_next_reading_ends_a_silence_that_began_later() {
        let mut watch = Watch::new(at(0));
        assert_eq!(watch.hear(at(600_000)), None);
        assert_eq!(watch.judge(at(606_000), at(0), 5_000), Some(at(600_000)));
        watch.turn_back(at(300_000));
        assert_eq!(watch.hear(at(300_000)), Some(at(600_000)));
        assert_eq!(watch.judge(at(305_000), at(300_000), 5_000), None);
        assert_eq!(watch.judge(at(305_001), at(300_000), 5_000), Some(at(300_000)));
        assert_eq!(watch.hear(at(306_000)), Some(at(300_000)), "and then all is as it was");
    }

    #[test]
    fn after_a_step_back_of_the_clock_what_falls_silent_is_missed_in_time() {
        let mut watch = Watch::new(at(0));
        watch.hear(at(600_000));
        watch.turn_back(at(300_000));
        assert_eq!(watch.judge(at(305_001), at(300_000), 5_000), Some(at(300_000)));
    }

    #[test]
    fn a_replayed_reading_does_not_end_an_adopted_episode() {
        let mut watch = Watch::new(at(0));
        watch.adopt(at(1_000));
        assert_eq!(watch.hear(at(900)), None);
        assert_eq!(watch.hear(at(1_000)), None);
        assert_eq!(watch.hear(at(1_001)), Some(at(1_000)));
    }
}
