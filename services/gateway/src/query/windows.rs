//! The walk over the windows of some lines: line after line, each from its first window to its
//! last, merged from the summaries of its series.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use sen_model::{Partial, SeriesKey};
use sen_store::{Span, Summary};
use sen_table::{Cell, Column, Kind};

use super::Walk;
use super::aggregate::{Aggregate, Row};
use super::cursor::Cursor;
use super::fill::{Fill, Filler};
use super::lines::{By, Line, place_of};
use super::step::Step;
use crate::past::{Past, PastError};

/// Summaries of one series read at once: a megabyte or two.
const SUMMARIES_AT_ONCE: usize = 2_000;
/// Windows of a line of many series merged at once.
const WINDOWS_AT_ONCE: usize = 1_000;
/// Reads of the store in one stretch, so that one over many empty series comes to an end.
const READS_AT_ONCE: usize = 256;

/// What is asked of the windows.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// How long they are.
    pub(crate) step: Step,
    /// Which of them.
    pub(crate) numbers: Range<i64>,
    /// What of them.
    pub(crate) aggregates: Vec<Aggregate>,
    /// What of those without a good reading.
    pub(crate) fill: Fill,
}

/// The walk.
pub(crate) struct Windows {
    past: Past,
    asked: Asked,
    /// How lines are told apart; none where there is only one, which needs no telling.
    by: Option<By>,
    lines: Vec<Line>,
    /// The line being walked.
    line: usize,
    filler: Filler,
    /// The next window to be read of it.
    next: i64,
    /// What was read and not yet shown.
    read: VecDeque<(i64, Partial)>,
}

/// A window of a line.
pub(crate) struct Shown {
    line: usize,
    row: Row,
    leans_on: Option<i64>,
}

impl Windows {
    /// From the first window of the first line.
    pub(crate) fn new(past: Past, asked: Asked, lines: Vec<Line>, by: Option<By>) -> Self {
        let (filler, next) = (filler(&asked, asked.numbers.start, None), asked.numbers.start);
        Self { past, asked, by, lines, line: 0, filler, next, read: VecDeque::new() }
    }

    /// From after the last window of a page; false if no page ends with it.
    pub(crate) async fn go_on(&mut self, cursor: &Cursor) -> Result<bool, PastError> {
        let Asked { step, numbers, .. } = &self.asked;
        let (at, step) = (step.number_of(cursor.at), *step);
        let is_ours = step.start(at) == cursor.at && numbers.contains(&at) && cursor.sequence == 0;
        let place = match (&cursor.line, self.by) {
            (Some(name), Some(_)) => place_of(name, &self.lines),
            (None, None) => Some((0, true)),
            _ => None,
        };
        let Some((line, is_there)) = place.filter(|_| is_ours) else { return Ok(false) };
        self.line = line;
        let Some(series) = self.lines.get(line).map(|line| &line.series).filter(|_| is_there)
        else {
            return Ok(true);
        };
        let before = match cursor.leans_on.map(|start| step.number_of(start)) {
            Some(before) if self.asked.fill.looks_back() && numbers.contains(&before) => {
                let (mut found, _) =
                    windows(&self.past, series, step, before..before + 1, 1).await?;
                let found = found.pop().filter(|(number, _)| *number == before);
                found.map(|(_, partial)| Row::of(before, &partial, &self.asked.aggregates))
            }
            _ => None,
        };
        self.filler = filler(&self.asked, at + 1, before.filter(Row::is_known));
        self.next = at + 1;
        Ok(true)
    }

    /// Takes another stretch of the line from the store, or begins with the next line.
    async fn read(&mut self, wanted: usize) -> Result<(), PastError> {
        let end = self.asked.numbers.end;
        if self.next < end {
            let series = &self.lines[self.line].series;
            let (read, next) =
                windows(&self.past, series, self.asked.step, self.next..end, wanted).await?;
            (self.read, self.next) = (read.into(), next);
        } else {
            self.line += 1;
            self.next = self.asked.numbers.start;
            self.filler = filler(&self.asked, self.next, None);
        }
        Ok(())
    }

    /// The next window that can be shown of what was read.
    fn show(&mut self) -> Option<Shown> {
        loop {
            if self.read.is_empty() {
                self.filler.none_before(self.next);
            }
            if let Some(row) = self.filler.next() {
                return Some(Shown { line: self.line, row, leans_on: self.filler.leans_on() });
            }
            let (number, partial) = self.read.pop_front()?;
            self.filler.add(Row::of(number, &partial, &self.asked.aggregates));
        }
    }
}

fn filler(asked: &Asked, from: i64, before: Option<Row>) -> Filler {
    Filler::new(asked.fill, asked.aggregates.len(), from..asked.numbers.end, before)
}

impl Walk for Windows {
    type Row = Shown;

    fn columns(&self) -> Vec<Column> {
        let mut columns = self.by.map(By::columns).unwrap_or_default();
        columns.push(Column::new("start", Kind::Time));
        columns.extend(self.asked.aggregates.iter().map(Aggregate::column));
        columns
    }

    async fn stretch(&mut self, most: usize) -> Result<Option<Vec<Shown>>, PastError> {
        if self.line >= self.lines.len() {
            return Ok(None);
        }
        let (mut rows, mut reads) = (Vec::new(), 0);
        while rows.len() < most && reads < READS_AT_ONCE && self.line < self.lines.len() {
            match self.show() {
                Some(row) => rows.push(row),
                None => {
                    reads += self.lines[self.line].series.len();
                    self.read(most - rows.len()).await?;
                }
            }
        }
        Ok(Some(rows))
    }

    fn cells<'w>(&'w self, shown: &Shown) -> Vec<Cell<'w>> {
        let line = self.lines.get(shown.line).filter(|_| self.by.is_some());
        let start = self.asked.step.start(shown.row.number);
        let names = line.into_iter().flat_map(Line::cells);
        names.chain(shown.row.cells(start, &self.asked.aggregates)).collect()
    }

    fn cursor(&self, shown: &Shown) -> String {
        let start = |number| self.asked.step.start(number);
        let line = self.lines.get(shown.line).filter(|_| self.by.is_some());
        let (at, leans_on) = (start(shown.row.number), shown.leans_on.map(start));
        Cursor { at, sequence: 0, leans_on, line: line.map(Line::to_string) }.to_string()
    }
}

/// Windows of some series together, in order, from the first of these on, about as many as are
/// wanted; and the first window that was not read.
async fn windows(
    past: &Past,
    series: &[SeriesKey],
    step: Step,
    numbers: Range<i64>,
    wanted: usize,
) -> Result<(Vec<(i64, Partial)>, i64), PastError> {
    match series {
        [one] => windows_of_one(past, one, step, numbers, wanted).await,
        many => windows_of_many(past, many, step, numbers, wanted).await,
    }
}

/// Of one series: as many as there are summaries at once, however far apart they are.
async fn windows_of_one(
    past: &Past,
    series: &SeriesKey,
    step: Step,
    numbers: Range<i64>,
    wanted: usize,
) -> Result<(Vec<(i64, Partial)>, i64), PastError> {
    // One more window than wanted, since the last one may be cut.
    let wanted = (wanted + 1).saturating_mul(step.ratio());
    let limit = wanted.min(SUMMARIES_AT_ONCE).max(step.ratio() + 1);
    let found = past.summaries(series, step.tier(), span(step, &numbers), limit).await?;
    let is_cut = found.len() == limit;
    let mut windows = BTreeMap::new();
    merge(&mut windows, step, found);
    // The last one may lack some of its summaries; with more of them than one window has, it is
    // not the only one.
    let cut = if is_cut { windows.pop_last() } else { None };
    let next = cut.map_or(numbers.end, |(number, _)| number);
    Ok((windows.into_iter().collect(), next))
}

/// Of many series: a number of windows, series after series, so that only one of each is in memory.
async fn windows_of_many(
    past: &Past,
    series: &[SeriesKey],
    step: Step,
    numbers: Range<i64>,
    wanted: usize,
) -> Result<(Vec<(i64, Partial)>, i64), PastError> {
    let at_once = (SUMMARIES_AT_ONCE / step.ratio()).min(wanted).clamp(1, WINDOWS_AT_ONCE);
    let until = numbers.start.saturating_add(i64::try_from(at_once).unwrap_or(1)).min(numbers.end);
    let some = numbers.start..until;
    let limit = at_once.saturating_mul(step.ratio());
    let mut windows = BTreeMap::new();
    for one in series {
        let found = past.summaries(one, step.tier(), span(step, &some), limit).await?;
        merge(&mut windows, step, found);
    }
    let mut next = until;
    if windows.is_empty() && until < numbers.end {
        // Nothing for a long time: go where there is something again.
        next = numbers.end;
        for one in series {
            let rest = span(step, &(until..next));
            let first = past.summaries(one, step.tier(), rest, 1).await?;
            next = first.first().map_or(next, |first| step.number_of(first.start));
        }
    }
    Ok((windows.into_iter().collect(), next))
}

/// The time of some windows.
fn span(step: Step, numbers: &Range<i64>) -> Span {
    Span { from: step.start(numbers.start), to: step.start(numbers.end) }
}

fn merge(windows: &mut BTreeMap<i64, Partial>, step: Step, summaries: Vec<Summary>) {
    for Summary { start, partial, .. } in summaries {
        match windows.entry(step.number_of(start)) {
            std::collections::btree_map::Entry::Vacant(window) => drop(window.insert(partial)),
            std::collections::btree_map::Entry::Occupied(mut window) => {
                window.get_mut().merge(&partial);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sen_model::{Moment, Quality, Timestamp};

    use super::*;

    const STEPS: [&str; 10] = ["1m", "5m", "15m", "90m", "1h", "6h", "1d", "7d", "30d", "366d"];

    fn readings() -> impl Strategy<Value = Vec<(i64, f64, bool)>> {
        let time = prop_oneof![
            4 => -40 * 86_400_000..40 * 86_400_000_i64,
            1 => any::<i64>(),
            1 => (0..86_400_000_i64).prop_map(|by| i64::MIN + by),
            1 => (0..86_400_000_i64).prop_map(|by| i64::MAX - by),
        ];
        prop::collection::vec((time, -1e6..1e6_f64, any::<bool>()), 0..60)
    }

    proptest! {
        #[test]
        fn merged_tiers_are_what_the_readings_themselves_give(
            all in readings(), step in prop::sample::select(STEPS.to_vec()),
        ) {
            let step: Step = step.parse().unwrap();
            let mut tier: BTreeMap<Timestamp, Partial> = BTreeMap::new();
            let mut wanted: BTreeMap<i64, Partial> = BTreeMap::new();
            for (ms, value, is_good) in all {
                let event_time = Timestamp::from_millis(ms);
                let quality = if is_good { Quality::Good } else { Quality::Suspect };
                let moment = Moment { event_time, sequence: 0, value };
                tier.entry(step.tier().start_of(event_time)).or_default().add(moment, quality);
                wanted.entry(step.number_of(event_time)).or_default().add(moment, quality);
            }
            let summary = |(start, partial)| Summary { start, tier: step.tier(), partial };
            let mut found = BTreeMap::new();
            merge(&mut found, step, tier.into_iter().map(summary).collect());
            prop_assert_eq!(found, wanted);
        }
    }
}
