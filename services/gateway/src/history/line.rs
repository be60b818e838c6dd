//! Pure: what a tile said in each minute, from the readings of its devices.
//!
//! A device speaks until its next reading: in a minute without one its last value counts, but only
//! for as long as the screens would believe it. So the line of many devices is what the tile itself
//! showed at the end of each minute, and a device that fell silent leaves it as it left the tile.

use sen_model::Timestamp;
use sen_model::time::MINUTE_MS;

use crate::wall::Statistic;

/// A stretch of whole minutes, counted since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// The first of them.
    pub(crate) first: i64,
    /// How many.
    pub(crate) len: usize,
}

impl Grid {
    /// Those from one minute to another, both in it.
    pub(crate) fn between(first: i64, last: i64) -> Self {
        Self { first, len: usize::try_from(last - first + 1).unwrap_or(0) }
    }

    /// The place of a minute.
    fn index(self, minute: i64) -> Option<usize> {
        usize::try_from(minute - self.first).ok().filter(|index| *index < self.len)
    }

    /// The first instant in it.
    pub(crate) fn from(self) -> Timestamp {
        start_of(self.first)
    }

    /// The first instant after it.
    pub(crate) fn to(self) -> Timestamp {
        start_of(self.first.saturating_add(i64::try_from(self.len).unwrap_or(i64::MAX)))
    }
}

/// The minute of an instant.
pub(crate) fn minute_of(time: Timestamp) -> i64 {
    time.as_millis().div_euclid(MINUTE_MS)
}

/// The first instant of a minute.
pub(crate) fn start_of(minute: i64) -> Timestamp {
    Timestamp::from_millis(minute.saturating_mul(MINUTE_MS))
}

/// What was said in one step of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    /// The smallest.
    pub(crate) min: f64,
    /// The last.
    pub(crate) value: f64,
    /// The largest.
    pub(crate) max: f64,
}

impl Step {
    fn then(self, later: Self) -> Self {
        Self { min: self.min.min(later.min), value: later.value, max: self.max.max(later.max) }
    }
}

/// The minutes of one device.
#[derive(Clone, Debug)]
pub(crate) struct Voice {
    grid: Grid,
    /// The last value before the grid, and its minute.
    before: Option<(i64, f64)>,
    minutes: Vec<Option<Step>>,
}

impl Voice {
    /// Nothing heard yet.
    pub(crate) fn new(grid: Grid) -> Self {
        Self { grid, before: None, minutes: vec![None; grid.len] }
    }

    /// Takes what was said within a minute; in order of time.
    pub(crate) fn add(&mut self, minute: i64, said: Step) {
        if minute < self.grid.first {
            self.before = Some((minute, said.value));
        } else if let Some(index) = self.grid.index(minute) {
            let cell = &mut self.minutes[index];
            *cell = Some(cell.map_or(said, |earlier| earlier.then(said)));
        }
    }

    /// Takes the next reading.
    pub(crate) fn reading(&mut self, at: Timestamp, value: f64) {
        self.add(minute_of(at), Step { min: value, value, max: value });
    }
}

/// One minute of all devices.
#[derive(Clone, Copy, Debug)]
struct Sum {
    heard: u32,
    sum: f64,
    least: f64,
    most: f64,
    lowest: f64,
    highest: f64,
}

impl Sum {
    const NONE: Self = Self {
        heard: 0,
        sum: 0.0,
        least: f64::INFINITY,
        most: f64::NEG_INFINITY,
        lowest: f64::INFINITY,
        highest: f64::NEG_INFINITY,
    };

    fn add(&mut self, said: Step) {
        self.heard += 1;
        self.sum += said.value;
        self.least = self.least.min(said.value);
        self.most = self.most.max(said.value);
        self.lowest = self.lowest.min(said.min);
        self.highest = self.highest.max(said.max);
    }

    /// The minute by a statistic. How far a mean or a sum went within the minute is not known; the
    /// largest went as far up as any device did, the smallest as far down.
    fn step(self, statistic: Option<Statistic>) -> Option<Step> {
        let at = |value| Step { min: value, value, max: value };
        (self.heard > 0).then(|| match statistic {
            None => Step { min: self.lowest, value: self.sum, max: self.highest },
            Some(Statistic::Mean) => at(self.sum / f64::from(self.heard)),
            Some(Statistic::Sum) => at(self.sum),
            Some(Statistic::Max) => Step { max: self.highest, ..at(self.most) },
            Some(Statistic::Min) => Step { min: self.lowest, ..at(self.least) },
        })
    }
}

/// Makes one line of many voices.
#[derive(Debug)]
pub(crate) struct Chorus {
    grid: Grid,
    sums: Vec<Sum>,
}

impl Chorus {
    /// Of nobody yet.
    pub(crate) fn new(grid: Grid) -> Self {
        Self { grid, sums: vec![Sum::NONE; grid.len] }
    }

    /// Adds a device, whose value counts for `carry` minutes after the minute of its reading.
    pub(crate) fn add(&mut self, voice: &Voice, carry: i64) {
        let mut held = voice.before;
        for ((minute, sum), said) in (self.grid.first..).zip(&mut self.sums).zip(&voice.minutes) {
            if let Some(said) = *said {
                held = Some((minute, said.value));
                sum.add(said);
            } else if let Some((_, value)) = held.filter(|(at, _)| minute - at <= carry) {
                sum.add(Step { min: value, value, max: value });
            }
        }
    }

    /// The line; without a statistic that of the one device.
    pub(crate) fn line(self, statistic: Option<Statistic>) -> Line {
        let minutes = self.sums.into_iter().map(|sum| sum.step(statistic)).collect();
        Line { first: self.grid.first, minutes }
    }
}

/// What a tile said, minute by minute.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    first: i64,
    minutes: Vec<Option<Step>>,
}

impl Line {
    /// Whether it reaches back to a minute.
    pub(crate) fn reaches(&self, minute: i64) -> bool {
        self.first <= minute
    }

    /// Puts newer minutes in the place of its own, and after them.
    pub(crate) fn renew(&mut self, end: Self) {
        self.minutes.resize(usize::try_from(end.first - self.first).unwrap_or(0), None);
        self.minutes.extend(end.minutes);
    }

    /// The part between two instants in at most `points` equal steps of whole minutes, and how
    /// many minutes a step has. Steps begin at multiples of their length, so that whoever asks
    /// again finds the same ones; silent ones are left out.
    pub(crate) fn cut(
        &self,
        from: Timestamp,
        to: Timestamp,
        points: usize,
    ) -> (i64, Vec<(i64, Step)>) {
        let points = i64::try_from(points).unwrap_or(i64::MAX).max(1);
        let per_step = (to.since_ms(from).max(1) - 1) / MINUTE_MS / points + 1;
        let last = minute_of(to.plus_ms(-1)).div_euclid(per_step);
        let first = minute_of(from).div_euclid(per_step).max(last - points + 1);
        let mut steps: Vec<(i64, Step)> = Vec::new();
        for (minute, said) in (self.first..).zip(&self.minutes) {
            let (step, Some(said)) = (minute.div_euclid(per_step), *said) else { continue };
            match steps.last_mut() {
                _ if !(first..=last).contains(&step) => {}
                Some((same, so_far)) if *same == step => *so_far = so_far.then(said),
                _ => steps.push((step, said)),
            }
        }
        steps.iter_mut().for_each(|(step, _)| *step *= per_step);
        (per_step, steps)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GRID: Grid = Grid { first: 100, len: 6 };

    /// A voice of readings, each at a minute (and a half) with a value.
    fn voice(grid: Grid, readings: &[(f64, f64)]) -> Voice {
        let mut voice = Voice::new(grid);
        for (minute, value) in readings {
            voice.reading(Timestamp::from_millis((minute * MINUTE_MS as f64) as i64), *value);
        }
        voice
    }

    fn line(statistic: Option<Statistic>, carry: i64, voices: &[&[(f64, f64)]]) -> Line {
        let mut chorus = Chorus::new(GRID);
        voices.iter().for_each(|readings| chorus.add(&voice(GRID, readings), carry));
        chorus.line(statistic)
    }

    fn values(line: &Line) -> Vec<Option<f64>> {
        line.minutes.iter().map(|said| said.map(|said| said.value)).collect()
    }

    #[test]
    fn one_device_has_its_peaks_and_its_gaps() {
        let readings =
            [(99.9, 7.0), (100.1, 1.0), (100.5, 9.0), (100.9, 2.0), (103.0, 4.0), (106.0, 8.0)];
        let line = line(None, 0, &[&readings]);
        assert_eq!(values(&line), [Some(2.0), None, None, Some(4.0), None, None]);
        assert_eq!(line.minutes[0], Some(Step { min: 1.0, value: 2.0, max: 9.0 }));
    }

    #[test]
    fn many_devices_are_what_the_tile_said_at_the_end_of_each_minute() {
        // One speaks every minute with a peak, one twice with a gap, one begins late.
        let steady: Vec<(f64, f64)> = (100..106)
            .flat_map(|minute| {
                [
                    (f64::from(minute), 1.0),
                    (f64::from(minute) + 0.2, 6.0),
                    (f64::from(minute) + 0.4, 2.0),
                ]
            })
            .collect();
        let (gap, late) = ([(98.0, 50.0), (99.0, 10.0), (105.0, 20.0)], [(104.5, 100.0)]);
        let of = |statistic| line(Some(statistic), 2, &[&steady, &gap, &late]);
        let said = [12.0, 12.0, 2.0, 2.0, 102.0, 122.0];
        assert_eq!(values(&of(Statistic::Sum)), said.map(Some));
        assert_eq!(values(&of(Statistic::Mean)), [6.0, 6.0, 2.0, 2.0, 51.0, 122.0 / 3.0].map(Some));
        assert_eq!(values(&of(Statistic::Max)), [10.0, 10.0, 2.0, 2.0, 100.0, 100.0].map(Some));
        assert_eq!(values(&of(Statistic::Min)), [Some(2.0); 6]);
        assert_eq!(of(Statistic::Max).minutes[2], Some(Step { min: 2.0, value: 2.0, max: 6.0 }));
        assert_eq!(of(Statistic::Min).minutes[2], Some(Step { min: 1.0, value: 2.0, max: 2.0 }));
        assert_eq!(of(Statistic::Sum).minutes[0], Some(Step { min: 12.0, value: 12.0, max: 12.0 }));
    }

    #[test]
    fn where_all_are_silent_there_is_nothing_not_zero() {
        let line = line(Some(Statistic::Sum), 1, &[&[(101.0, 3.0)], &[]]);
        assert_eq!(values(&line), [None, Some(3.0), Some(3.0), None, None, None]);
    }

    #[test]
    fn the_newest_minutes_take_the_place_of_older_ones() {
        let mut kept = line(None, 0, &[&[(100.0, 1.0), (104.0, 2.0), (105.0, 3.0)]]);
        let grid = Grid::between(105, 107);
        let mut chorus = Chorus::new(grid);
        chorus.add(&voice(grid, &[(105.1, 3.0), (105.2, 8.0), (107.0, 9.0)]), 0);
        kept.renew(chorus.line(None));
        let said = [Some(1.0), None, None, None, Some(2.0), Some(8.0), None, Some(9.0)];
        assert_eq!(values(&kept), said);
        assert!(kept.reaches(100) && !kept.reaches(99));
    }

    #[test]
    fn a_day_is_cut_into_minutes_wherever_in_a_minute_it_begins() {
        let day = 1_440;
        let grid = Grid::between(1_000, 1_000 + day);
        let every: Vec<(f64, f64)> = (0..=day).map(|n| ((1_000 + n) as f64, n as f64)).collect();
        let mut chorus = Chorus::new(grid);
        chorus.add(&voice(grid, &every), 0);
        let line = chorus.line(None);
        for into_ms in [0, 1, 30_000] {
            let from = start_of(1_000).plus_ms(into_ms);
            let (per_step, steps) = line.cut(from, from.plus_ms(day * MINUTE_MS), 1_440);
            assert_eq!((per_step, steps.len()), (1, 1_440), "{into_ms}");
        }
        let (per_step, steps) = line.cut(start_of(1_000), start_of(1_020), 4);
        assert_eq!((per_step, steps[0].0, steps.len()), (5, 1_000, 4));
        assert_eq!(steps[1].1, Step { min: 5.0, value: 9.0, max: 9.0 });
        assert!(line.cut(start_of(1), start_of(9), 5).1.is_empty());
    }

    proptest! {
        #[test]
        fn any_cut_keeps_the_peaks_and_the_bound(
            said in prop::collection::vec(prop::option::of(-9.0..9.0_f64), 1..200),
            from in 0..200_i64, minutes in 1..300_i64, points in 1..60_usize,
        ) {
            let of = |value| Step { min: value - 1.0, value, max: value + 1.0 };
            let line = Line { first: 50, minutes: said.iter().map(|said| said.map(of)).collect() };
            let (per_step, steps) = line.cut(start_of(from), start_of(from + minutes), points);
            prop_assert!(steps.len() <= points, "{} of {points}", steps.len());
            prop_assert!(steps.is_sorted_by_key(|(minute, _)| *minute));
            prop_assert!(steps.iter().all(|(minute, _)| minute % per_step == 0));
            for (minute, step) in steps {
                let within = (50..).zip(&line.minutes).filter(|(at, _)| (minute..minute + per_step).contains(at));
                let all: Vec<Step> = within.filter_map(|(_, said)| *said).collect();
                prop_assert_eq!(Some(step.value), all.last().map(|said| said.value));
                prop_assert_eq!(step.min, all.iter().fold(99.0, |least: f64, said| least.min(said.min)));
                prop_assert_eq!(step.max, all.iter().fold(-99.0, |most: f64, said| most.max(said.max)));
            }
        }
    }
}
