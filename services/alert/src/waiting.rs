//! Pure: a tick of the clock that waits until everything heard before it is judged.

use sen_model::Timestamp;

use crate::inputs::Places;

/// At most one tick, the oldest: while judging lags behind, later ones would always be ahead of
/// what is judged, and nothing that the clock decides would ever be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waiting(Option<(Timestamp, Places)>);

impl Waiting {
    /// The clock ticks while these are the heads of what is heard.
    pub(crate) fn note(&mut self, now: Timestamp, heads: Places) {
        self.0.get_or_insert((now, heads));
    }

    /// The tick, once, if everything that was heard before it is judged; `next` are the next to
    /// judge.
    pub(crate) fn take(&mut self, next: Places) -> Option<Timestamp> {
        self.0.take_if(|(_, heads)| next.are_beyond(*heads)).map(|(tick, _)| tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(readings: u64) -> Places {
        Places { readings, events: 1 }
    }

    #[test]
    fn while_judging_lags_behind_the_oldest_tick_comes_to_its_turn() {
        let mut waiting = Waiting::default();
        let next = |readings| Places { events: 2, ..places(readings) };
        let mut taken = Vec::new();
        // Each second a thousand packets come, and those of three seconds before are judged.
        for second in 3..9_u64 {
            waiting.note(Timestamp::from_millis(second as i64 * 1_000), places(second * 1_000));
            taken.extend(waiting.take(next((second - 3) * 1_000 + 1)));
        }
        assert_eq!(taken, [Timestamp::from_millis(3_000)]);
        assert_eq!(waiting.take(next(9_001)), Some(Timestamp::from_millis(7_000)));
        assert_eq!(waiting.take(next(9_001)), None, "each once");
    }
}
