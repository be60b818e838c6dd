//! What the store keeps: points, summaries, and the names of both. Pure: values only.

use sen_model::time::DAY_MS;
use sen_model::{Moment, Partial, Quality, Tier, Timestamp};

/// One reading as the store keeps it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When it was measured.
    pub event_time: Timestamp,
    /// Tells points of one millisecond apart.
    pub sequence: u32,
    /// The value.
    pub value: f64,
    /// How far to trust it.
    pub quality: Quality,
    /// When it was heard.
    pub received_at: Timestamp,
}

/// What makes a point of a series the same point, and the order of points.
pub(crate) type Identity = (i64, u32);

impl Point {
    /// Event time and sequence.
    pub(crate) fn identity(&self) -> Identity {
        (self.event_time.as_millis(), self.sequence)
    }

    /// The value with its event time.
    pub fn moment(&self) -> Moment {
        Moment { event_time: self.event_time, sequence: self.sequence, value: self.value }
    }
}

/// The day of a time, counted from 1970-01-01 in UTC; right for negative times too.
pub(crate) fn day_of(time_ms: i64) -> i64 {
    time_ms.div_euclid(DAY_MS)
}

/// How qualities are stored.
pub(crate) fn quality_to_code(quality: Quality) -> u8 {
    match quality {
        Quality::Good => 0,
        Quality::Suspect => 1,
        Quality::Bad => 2,
    }
}

/// The quality of a stored code; what is unknown is not to be trusted.
pub(crate) fn quality_of_code(code: u8) -> Quality {
    match code {
        0 => Quality::Good,
        1 => Quality::Suspect,
        _ => Quality::Bad,
    }
}

/// The result of one window of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Start of the window (inclusive).
    pub start: Timestamp,
    /// Which roll-up.
    pub tier: Tier,
    /// The mergeable aggregate.
    pub partial: Partial,
}

/// A handle of a series in this store: dense from 0, so that it can index an array. It means
/// nothing to another store, nor to this one after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesId(pub u32);

impl SeriesId {
    /// As an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A time range, from inclusive to exclusive; one that ends with `i64` has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First instant in it.
    pub from: Timestamp,
    /// First instant after it.
    pub to: Timestamp,
}

impl Span {
    /// All of time.
    pub const ALL: Self =
        Self { from: Timestamp::from_millis(i64::MIN), to: Timestamp::from_millis(i64::MAX) };

    /// Whether a time lies in it.
    pub fn contains(&self, time: Timestamp) -> bool {
        (self.first_ms()..=self.last_ms()).contains(&time.as_millis())
    }

    /// The first instant in it.
    pub(crate) fn first_ms(&self) -> i64 {
        self.from.as_millis()
    }

    /// The last instant in it; before the first one if it is empty.
    pub(crate) fn last_ms(&self) -> i64 {
        match self.to.as_millis() {
            i64::MAX => i64::MAX,
            to => to.saturating_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_holds_its_beginning_but_not_its_end() {
        let time = Timestamp::from_millis;
        let span = Span { from: time(-5), to: time(5) };
        let inside = [-6, -5, 0, 4, 5].map(|ms| span.contains(time(ms)));
        assert_eq!(inside, [false, true, true, true, false]);
        assert!(Span::ALL.contains(time(i64::MIN)) && Span::ALL.contains(time(i64::MAX)));
        assert!(!Span { from: time(5), to: time(5) }.contains(time(5)));
    }

    #[test]
    fn days_before_the_epoch_are_negative() {
        assert_eq!([-1, 0, DAY_MS - 1, DAY_MS].map(day_of), [-1, 0, 0, 1]);
    }
}
