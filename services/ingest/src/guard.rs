//! The guard on event time: nothing from the far past or the future gets near a watermark.

use sen_model::time::{DAY_MS, MINUTE_MS};
use sen_model::{RejectReason, Timestamp};

use crate::decode::Reject;

/// How far event time may be from now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeGuard {
    /// Furthest back, in milliseconds.
    pub past_ms: i64,
    /// Furthest ahead, in milliseconds.
    pub ahead_ms: i64,
}

impl Default for TimeGuard {
    fn default() -> Self {
        Self { past_ms: 30 * DAY_MS, ahead_ms: 5 * MINUTE_MS }
    }
}

impl TimeGuard {
    /// Refuses an event time outside `[now - past, now + ahead]`.
    pub(crate) fn check(&self, event_time: Timestamp, now: Timestamp) -> Result<(), Reject> {
        if event_time > now.plus_ms(self.ahead_ms) {
            return Err(Reject::new(
                RejectReason::TooFarAhead,
                format!("event time {event_time} is more than {} ms ahead", self.ahead_ms),
            ));
        }
        if event_time < now.plus_ms(-self.past_ms) {
            return Err(Reject::new(
                RejectReason::TooOld,
                format!(
                    "event time {event_time} is more than {} ms back; `ts` is in milliseconds",
                    self.past_ms
                ),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_edges_are_inside() {
        let guard = TimeGuard { past_ms: 100, ahead_ms: 10 };
        let now = Timestamp::from_millis(1_000);
        let reason = |ms| guard.check(Timestamp::from_millis(ms), now).err().map(|r| r.reason);
        assert_eq!(reason(1_010), None);
        assert_eq!(reason(1_011), Some(RejectReason::TooFarAhead));
        assert_eq!(reason(900), None);
        assert_eq!(reason(899), Some(RejectReason::TooOld));
        assert_eq!(reason(i64::MAX), Some(RejectReason::TooFarAhead));
        assert_eq!(reason(i64::MIN), Some(RejectReason::TooOld));
    }

    #[test]
    fn seconds_are_not_taken_for_milliseconds() {
        let now = Timestamp::from_millis(1_790_000_000_000);
        let seconds = Timestamp::from_millis(1_790_000_000);
        let reject = TimeGuard::default().check(seconds, now).unwrap_err();
        assert_eq!(reject.reason, RejectReason::TooOld);
        assert!(reject.detail.contains("milliseconds"), "{}", reject.detail);
    }
}
