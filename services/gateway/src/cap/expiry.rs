//! Pure: until when a message about an alert is good.

use sen_model::time::HOUR_MS;
use sen_model::{AlertRecord, Timestamp};

/// How long a message about an open alert is good for, in milliseconds from when it is asked for: an
/// alert may stand for days without a change, and is in force as long as somebody can read it here.
/// Whoever keeps a copy and cannot ask again lets it go after this.
const OPEN_FOR_MS: i64 = 24 * HOUR_MS;
/// How long the end of an alert is worth telling, in milliseconds from then.
const OVER_FOR_MS: i64 = HOUR_MS;

/// The end of a message that is asked for at `now`: in whole hours while the alert is open, so that
/// the document is the same all through an hour.
pub(super) fn of(record: &AlertRecord, now: Timestamp) -> Timestamp {
    if !record.state.is_open() {
        return record.recorded_at.plus_ms(OVER_FOR_MS);
    }
    // Never before it was sent, whatever our clock says.
    let until = now.max(record.recorded_at).plus_ms(OPEN_FOR_MS);
    let past = until.as_millis().rem_euclid(HOUR_MS);
    until.plus_ms((HOUR_MS - past) % HOUR_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use sen_model::{AlertState, Field};

    #[test]
    fn what_stands_for_days_has_not_expired_and_what_is_over_soon_has() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut record = sample::alert("a", 1, Field::Environment);
        record.recorded_at = at("2026-11-23T14:02:05.133+07:00");
        for (now, wanted) in [
            ("2026-11-23T14:02:06+07:00", "2026-11-24T15:00:00+07:00"),
            // On the third day it holds still, all through the hour with the same document.
            ("2026-11-26T09:00:00.001+07:00", "2026-11-27T10:00:00+07:00"),
            ("2026-11-26T09:59:59+07:00", "2026-11-27T10:00:00+07:00"),
            ("2026-11-26T10:00:00+07:00", "2026-11-27T10:00:00+07:00"),
            // A clock that was set back: never before it was sent.
            ("2026-11-20T00:00:00+07:00", "2026-11-24T15:00:00+07:00"),
        ] {
            assert_eq!(of(&record, at(now)), at(wanted), "{now}");
        }
        record.state = AlertState::Normal;
        for now in ["2026-11-23T14:02:06+07:00", "2026-11-26T09:00:00+07:00"] {
            assert_eq!(of(&record, at(now)), record.recorded_at.plus_ms(OVER_FOR_MS), "{now}");
        }
    }
}
