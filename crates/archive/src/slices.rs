//! A long span cut into slices whose answers fit. Pure: lengths in, slices out.
//!
//! An export of VictoriaMetrics has no limit, and one in Flux stops the answer but not the reading of
//! the rest. So a read goes slice by slice. The first is the whole span; an answer that is too long
//! shortens the slices, one that is short lengthens them.

use sen_model::Timestamp;

use crate::Span;

/// By how much a slice is shortened when its answer was too long.
const SHORTER: i64 = 16;
/// By how much it is lengthened when its answer was short.
const LONGER: i64 = 4;

/// What is still to be read of a span.
#[derive(Debug)]
pub(crate) struct Slices {
    next_ms: i64,
    end_ms: i64,
    length_ms: i64,
    /// Slices are whole numbers of this.
    unit_ms: i64,
}

impl Slices {
    /// What of a span lies between two times, in slices of whole units that begin with it.
    pub(crate) fn new(span: Span, (least_ms, most_ms): (i64, i64), unit_ms: i64) -> Self {
        let next_ms = span.from.as_millis().clamp(least_ms, most_ms);
        let end_ms = span.to.as_millis().clamp(next_ms, most_ms);
        let mut slices = Self { next_ms, end_ms, length_ms: 0, unit_ms };
        slices.set_length(end_ms - next_ms);
        slices
    }

    /// The slice to read now; none at the end.
    pub(crate) fn current(&self) -> Option<Span> {
        let end_ms = self.next_ms.saturating_add(self.length_ms).min(self.end_ms);
        (self.next_ms < self.end_ms).then(|| Span {
            from: Timestamp::from_millis(self.next_ms),
            to: Timestamp::from_millis(end_ms),
        })
    }

    /// The slice was read; `is_short` if its answer had room for several times as much.
    pub(crate) fn advance(&mut self, is_short: bool) {
        self.next_ms = self.next_ms.saturating_add(self.length_ms).min(self.end_ms);
        if is_short {
            self.set_length(self.length_ms.saturating_mul(LONGER));
        }
    }

    /// The answer was cut off at a time in the slice: it goes on there, in slices as long as what
    /// was answered.
    pub(crate) fn resume(&mut self, at_ms: i64) {
        let at_ms = at_ms.clamp(self.next_ms, self.end_ms);
        self.set_length(at_ms - self.next_ms);
        self.next_ms = at_ms;
    }

    /// The answer was too long. Tells whether a shorter slice can be tried.
    pub(crate) fn shorten(&mut self) -> bool {
        let before = self.length_ms;
        self.set_length(before / SHORTER);
        self.length_ms < before
    }

    fn set_length(&mut self, length_ms: i64) {
        let units = length_ms.div_euclid(self.unit_ms) + i64::from(length_ms % self.unit_ms > 0);
        self.length_ms = units.max(1).saturating_mul(self.unit_ms);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn slices_cover_the_span_once(
            from in -1_000..100_000_i64, length in 0..100_000_i64, unit in 1..5_000_i64,
            fates in prop::collection::vec(any::<Option<bool>>(), 0..30),
        ) {
            let time = Timestamp::from_millis;
            let mut slices = Slices::new(Span { from: time(from), to: time(from + length) }, (0, i64::MAX), unit);
            let (mut at, mut fates) = (from.max(0), fates.into_iter());
            while let Some(slice) = slices.current() {
                prop_assert_eq!(slice.from, time(at));
                prop_assert!(slice.to > slice.from);
                let whole = slice.to.since_ms(slice.from) % unit == 0;
                prop_assert!(whole || slice.to == time(from + length));
                match fates.next() {
                    Some(None) => { slices.shorten(); }
                    fate => { slices.advance(fate == Some(Some(true))); at = slice.to.as_millis(); }
                }
            }
            prop_assert_eq!(at, (from + length).max(0));
        }
    }

    #[test]
    fn a_unit_is_not_shortened() {
        let mut slices = Slices::new(Span::ALL, (0, 4_000_000_000_000), 60_000);
        let tries = std::iter::repeat_with(|| slices.shorten()).take_while(|can| *can).count();
        assert!(tries < 10, "{tries}");
        let slice = slices.current().unwrap();
        assert_eq!((slice.from.as_millis(), slice.to.as_millis()), (0, 60_000));
    }
}
