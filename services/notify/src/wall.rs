//! Steps of the wall clock. Pure: two clocks in, how far one of them jumped out.
//!
//! Waits are kept in wall-clock time, as the log has it. When that clock is set while we run, they
//! are moved with it: an hour back must not hold everything for an hour, nor an hour forward end
//! every wait at once. A clock that is set while we do not run is not noticed.

use sen_model::Timestamp;

/// Wall-clock time that differs from running time by so much within one turn has been set. Less is
/// a clock that is corrected slowly, or a busy machine.
const STEP_MS: i64 = 5_000;

/// Both clocks at the last turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wall {
    wall: Timestamp,
    running_ms: i64,
}

impl Wall {
    /// Begins to compare.
    pub(crate) fn new(wall: Timestamp, running_ms: i64) -> Self {
        Self { wall, running_ms }
    }

    /// The next turn; tells by how many milliseconds the wall clock was set since the last one.
    pub(crate) fn turn(&mut self, wall: Timestamp, running_ms: i64) -> Option<i64> {
        let set_by = wall.since_ms(self.wall) - (running_ms - self.running_ms);
        *self = Self { wall, running_ms };
        (set_by.abs() >= STEP_MS).then_some(set_by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clock_that_was_set_is_told() {
        let at = Timestamp::from_millis;
        let mut wall = Wall::new(at(1_000_000), 0);
        let turns = [
            (1_000_020, 20, None),
            (1_001_020, 1_000, None),
            (1_601_020, 601_000, None),
            (-1_998_960, 601_020, Some(-3_600_000)),
            (-1_998_940, 601_040, None),
            (1_601_060, 601_060, Some(3_599_980)),
            (1_601_080, 601_080, None),
        ];
        for (wall_ms, running_ms, set_by) in turns {
            assert_eq!(wall.turn(at(wall_ms), running_ms), set_by, "{wall_ms}");
        }
    }
}
