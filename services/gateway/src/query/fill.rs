//! Pure: what is shown of windows that hold no good reading.
//!
//! Counts are facts and are never filled: a window without readings has none. Values are taken
//! from the windows around, within the range that was asked for: the one before (`previous`), or a
//! line between the one before and the one after (`linear`; nothing where one of them is missing,
//! or where they are more than [`MOST_BRIDGED`] windows apart, so that no answer waits for ever).

use std::collections::VecDeque;
use std::ops::Range;
use std::str::FromStr;

use super::aggregate::Row;
use super::parameters::shown;

/// Windows that `linear` draws its line across, at most; wider gaps stay empty.
pub(crate) const MOST_BRIDGED: i64 = 10_000;

/// How windows without a good reading are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fill {
    /// Those without any reading not at all, the others without values.
    #[default]
    None,
    /// Without values.
    Null,
    /// With the values of the one before.
    Previous,
    /// With zeros.
    Zero,
    /// With the values of a line between the one before and the one after.
    Linear,
}

impl Fill {
    /// Whether a page needs to know the last values before it.
    pub(crate) fn looks_back(self) -> bool {
        matches!(self, Self::Previous | Self::Linear)
    }
}

/// The text names no way to fill.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a way to fill: none, null, previous, zero or linear")]
pub(crate) struct UnknownFill(String);

impl FromStr for Fill {
    type Err = UnknownFill;

    fn from_str(text: &str) -> Result<Self, UnknownFill> {
        Ok(match text {
            "none" => Self::None,
            "null" => Self::Null,
            "previous" => Self::Previous,
            "zero" => Self::Zero,
            "linear" => Self::Linear,
            _ => return Err(UnknownFill(shown(text))),
        })
    }
}

/// Turns the windows there are into those that are shown, both in order: add one, take what is
/// ready, add the next.
#[derive(Debug)]
pub(crate) struct Filler {
    fill: Fill,
    /// Values of a row.
    width: usize,
    /// The windows not yet shown.
    left: Range<i64>,
    /// The last one shown or passed that has values of its own.
    before: Option<Row>,
    /// Those not yet shown that have readings, but no good one.
    hollow: VecDeque<Row>,
    /// The next one that has values of its own, once it has come.
    after: Option<Row>,
    /// Which windows have come, if they exist: those before this one.
    come: i64,
}

impl Filler {
    /// Shows these windows; `before` is the last one in the range before them that has values.
    pub(crate) fn new(fill: Fill, width: usize, shown: Range<i64>, before: Option<Row>) -> Self {
        let (hollow, come) = (VecDeque::new(), shown.start);
        Self { fill, width, left: shown, before, hollow, after: None, come }
    }

    /// Takes the next window there is. All that is ready must have been taken.
    pub(crate) fn add(&mut self, row: Row) {
        self.come = row.number + 1;
        match row.is_known() {
            true => self.after = Some(row),
            false => self.hollow.push_back(row),
        }
    }

    /// There are no more windows before this one.
    pub(crate) fn none_before(&mut self, number: i64) {
        self.come = self.come.max(number);
    }

    /// The last one that was shown with values of its own, if the rest depends on it.
    pub(crate) fn leans_on(&self) -> Option<i64> {
        self.before.as_ref().filter(|_| self.fill.looks_back()).map(|row| row.number)
    }

    /// The next window to show; none until more has come.
    pub(crate) fn next(&mut self) -> Option<Row> {
        if self.fill == Fill::None {
            // With nothing between them the order of coming is that of showing.
            let next = self.hollow.pop_front().or_else(|| self.after.take())?;
            self.left.start = next.number + 1;
            return Some(next);
        }
        let number = self.left.start;
        if self.left.is_empty() || number >= self.come || self.waits() {
            return None;
        }
        self.left.start += 1;
        if let Some(after) = self.after.take_if(|row| row.number == number) {
            self.before = Some(after.clone());
            return Some(after);
        }
        let hollow = self.hollow.pop_front_if(|row| row.number == number);
        let (count, good_count) = hollow.map_or((0, 0), |row| (row.count, row.good_count));
        Some(Row { number, count, good_count, values: self.values(number) })
    }

    /// Whether the next window needs one that has not come yet.
    fn waits(&self) -> bool {
        let is_over = self.come >= self.left.end;
        let bridge = self.before.as_ref().map(|before| self.come - before.number - 1);
        self.fill == Fill::Linear
            && self.after.is_none()
            && !is_over
            && bridge.is_some_and(|gap| gap <= MOST_BRIDGED)
    }

    fn values(&self, number: i64) -> Vec<Option<f64>> {
        let filled = match (self.fill, &self.before, &self.after) {
            (Fill::Zero, ..) => Some(vec![Some(0.0); self.width]),
            (Fill::Previous, Some(before), _) => Some(before.values.clone()),
            (Fill::Linear, Some(before), Some(after)) => line(before, after, number),
            _ => None,
        };
        filled.unwrap_or_else(|| vec![None; self.width])
    }
}

/// The values between two windows.
fn line(before: &Row, after: &Row, number: i64) -> Option<Vec<Option<f64>>> {
    let length = after.number - before.number;
    if length - 1 > MOST_BRIDGED {
        return None;
    }
    let share = (number - before.number) as f64 / length as f64;
    // Weighted, so that values of opposite signs and any size cannot overflow.
    let between =
        |(a, b): (&Option<f64>, &Option<f64>)| Some((*a)? * (1.0 - share) + (*b)? * share);
    Some(before.values.iter().zip(&after.values).map(between).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const ALL: [Fill; 5] = [Fill::None, Fill::Null, Fill::Previous, Fill::Zero, Fill::Linear];

    /// A window with a value, or with bad readings only.
    fn row(number: i64, value: Option<f64>) -> Row {
        Row { number, count: 2, good_count: value.map_or(0, |_| 1), values: vec![value] }
    }

    /// Everything that is shown, with the windows told in the steps of `told`.
    fn shown_of(fill: Fill, range: Range<i64>, rows: &[Row], before: Option<Row>) -> Vec<Row> {
        let mut filler = Filler::new(fill, 1, range.clone(), before);
        let mut all = Vec::new();
        for row in rows.iter().filter(|row| range.contains(&row.number)) {
            filler.add(row.clone());
            all.extend(std::iter::from_fn(|| filler.next()));
        }
        filler.none_before(range.end);
        all.extend(std::iter::from_fn(|| filler.next()));
        all
    }

    /// Window by window, looking everywhere.
    fn naive(fill: Fill, range: Range<i64>, rows: &[Row]) -> Vec<Row> {
        let inside = rows.iter().filter(|row| range.contains(&row.number));
        let rows: BTreeMap<i64, &Row> = inside.map(|row| (row.number, row)).collect();
        let known = |row: &&Row| row.good_count > 0;
        let value = |number: i64| {
            let before = rows.range(..number).rev().map(|(_, row)| *row).find(known);
            let after = rows.range(number..).map(|(_, row)| *row).find(known);
            match fill {
                Fill::None | Fill::Null => None,
                Fill::Zero => Some(0.0),
                Fill::Previous => before?.values[0],
                Fill::Linear => {
                    let (before, after) = (before?, after?);
                    let length = after.number - before.number;
                    let share = (number - before.number) as f64 / length as f64;
                    let near = length - 1 <= MOST_BRIDGED;
                    near.then(|| {
                        before.values[0].unwrap() * (1.0 - share) + after.values[0].unwrap() * share
                    })
                }
            }
        };
        let show = |number: i64| match rows.get(&number) {
            Some(row) if row.good_count > 0 => Some((*row).clone()),
            Some(row) => Some(Row { values: vec![value(number)], ..(*row).clone() }),
            None if fill == Fill::None => None,
            None => Some(Row { number, count: 0, good_count: 0, values: vec![value(number)] }),
        };
        range.filter_map(show).collect()
    }

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let value = prop_oneof![2 => (-1e12..1e12_f64).prop_map(Some), 1 => Just(None)];
        let windows = prop::collection::btree_map(-30..30_i64, value, 0..30);
        windows.prop_map(|all| all.into_iter().map(|(number, value)| row(number, value)).collect())
    }

    proptest! {
        #[test]
        fn every_window_is_as_if_it_looked_at_all_others(
            rows in rows(), from in -35..35_i64, length in 0..60_i64,
        ) {
            for fill in ALL {
                let range = from..from + length;
                let found = shown_of(fill, range.clone(), &rows, None);
                prop_assert_eq!(found, naive(fill, range, &rows), "{:?}", fill);
            }
        }

        #[test]
        fn pages_are_the_whole(rows in rows(), length in 1..60_i64, at in any::<prop::sample::Index>()) {
            let range = -30..-30 + length;
            for fill in ALL {
                let whole = shown_of(fill, range.clone(), &rows, None);
                if whole.is_empty() {
                    continue;
                }
                // A page that ends after any window, and one that begins with what it leans on.
                let last = &whole[at.index(whole.len())];
                let known = |row: &&Row| row.number <= last.number && row.is_known();
                let before = rows.iter().rev().find(known).cloned();
                let rest = shown_of(fill, last.number + 1..range.end, &rows, before);
                let wanted: Vec<Row> =
                    whole.iter().filter(|row| row.number > last.number).cloned().collect();
                prop_assert_eq!(rest, wanted, "{:?}", fill);
            }
        }
    }

    #[test]
    fn a_line_is_not_drawn_across_more_than_it_may_wait_for() {
        for (gap, is_drawn) in [(MOST_BRIDGED, true), (MOST_BRIDGED + 1, false)] {
            let ends = [row(0, Some(1.0)), row(gap + 1, Some(2.0))];
            let all = shown_of(Fill::Linear, 0..gap + 2, &ends, None);
            assert_eq!(all.len() as i64, gap + 2);
            assert!(all[1..=gap as usize].iter().all(|row| row.values[0].is_some() == is_drawn));
        }
        // With readings in the gap it does not wait for ever either.
        let hollow = (1..3 * MOST_BRIDGED).map(|number| row(number, None));
        let rows: Vec<Row> = std::iter::once(row(0, Some(1.0))).chain(hollow).collect();
        let mut filler = Filler::new(Fill::Linear, 1, 0..i64::MAX, None);
        for row in rows {
            filler.add(row);
            while filler.next().is_some() {}
            assert!(filler.hollow.len() as i64 <= MOST_BRIDGED + 1);
        }
    }

    #[test]
    fn names_are_the_five() {
        for text in ["none", "null", "previous", "zero", "linear"] {
            assert!(text.parse::<Fill>().is_ok(), "{text}");
        }
        assert!("last".parse::<Fill>().unwrap_err().to_string().contains("none, null, previous"));
    }
}
