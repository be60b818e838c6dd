//! The walk over all readings of some series: series after series, each by event time.

use sen_model::{SeriesKey, Timestamp};
use sen_store::{Point, Span};
use sen_table::{Cell, Column, Kind};

use super::Walk;
use super::cursor::Cursor;
use super::lines::{By, Line, place_of};
use crate::past::{Past, PastError};

/// Reads of the store in one stretch, so that one over many empty series comes to an end.
const READS_AT_ONCE: usize = 256;

/// The walk.
pub(crate) struct Readings {
    past: Past,
    span: Span,
    /// One for each series.
    lines: Vec<Line>,
    /// The series being walked.
    line: usize,
    /// The last reading of it that was taken.
    after: Option<(Timestamp, u32)>,
}

/// A reading of a series.
pub(crate) struct Taken {
    /// Which series.
    pub(crate) line: usize,
    /// What was read.
    pub(crate) point: Point,
}

impl Readings {
    /// From the first reading of the first series.
    pub(crate) fn new(past: Past, span: Span, lines: Vec<Line>) -> Self {
        Self { past, span, lines, line: 0, after: None }
    }

    /// From after the last reading of a page; false if no page ends with it.
    pub(crate) fn go_on(&mut self, cursor: &Cursor) -> bool {
        let place = match &cursor.line {
            Some(name) => place_of(name, &self.lines),
            None => (self.lines.len() == 1).then_some((0, true)),
        };
        let is_ours = cursor.leans_on.is_none() && self.span.contains(cursor.at);
        let Some((line, is_there)) = place.filter(|_| is_ours) else { return false };
        self.line = line;
        self.after = is_there.then_some((cursor.at, cursor.sequence));
        true
    }

    /// Its series.
    pub(crate) fn series(&self, line: usize) -> &SeriesKey {
        &self.lines[line].series[0]
    }

    /// The next readings of the series, at most `most`.
    async fn read(&self, most: usize) -> Result<Vec<Point>, PastError> {
        let series = self.series(self.line);
        let Some((time, sequence)) = self.after else {
            return self.past.points(series, self.span, most).await;
        };
        let span = Span { from: time, to: self.span.to };
        let mut wanted = most + 1;
        loop {
            let mut points = self.past.points(series, span, wanted).await?;
            let is_cut = points.len() == wanted;
            points.retain(|point| (point.event_time, point.sequence) > (time, sequence));
            if !is_cut || !points.is_empty() {
                return Ok(points);
            }
            // More readings of one millisecond than were wanted at all.
            wanted = wanted.saturating_mul(2);
        }
    }
}

impl Walk for Readings {
    type Row = Taken;

    fn columns(&self) -> Vec<Column> {
        columns()
    }

    async fn stretch(&mut self, most: usize) -> Result<Option<Vec<Taken>>, PastError> {
        if self.line >= self.lines.len() {
            return Ok(None);
        }
        let mut taken: Vec<Taken> = Vec::new();
        for _ in 0..READS_AT_ONCE {
            let wanted = most.saturating_sub(taken.len());
            if wanted == 0 || self.line >= self.lines.len() {
                break;
            }
            let points = self.read(wanted).await?;
            let line = self.line;
            match points.last() {
                Some(last) => self.after = Some((last.event_time, last.sequence)),
                None => (self.line, self.after) = (line + 1, None),
            }
            taken.extend(points.into_iter().map(|point| Taken { line, point }));
        }
        Ok(Some(taken))
    }

    fn cells<'w>(&'w self, taken: &Taken) -> Vec<Cell<'w>> {
        let Point { event_time, received_at, value, quality, .. } = taken.point;
        let quality = Cell::Text(quality_name(quality));
        let (event_time, received_at) = (Cell::Time(event_time), Cell::Time(received_at));
        let names = self.lines[taken.line].cells();
        names.chain([event_time, received_at, Cell::Float(value), quality]).collect()
    }

    fn cursor(&self, taken: &Taken) -> String {
        // Also of a single one: a second series may have come by the next page.
        let line = Some(self.lines[taken.line].to_string());
        let (at, sequence) = (taken.point.event_time, taken.point.sequence);
        Cursor { at, sequence, leans_on: None, line }.to_string()
    }
}

/// What a table of readings holds.
pub(crate) fn columns() -> Vec<Column> {
    let mut columns = By::Series.columns();
    columns.extend([
        Column::new("event_time", Kind::Time),
        Column::new("received_at", Kind::Time),
        Column::new("value", Kind::Float),
        Column::new("quality", Kind::Text),
    ]);
    columns
}

/// As in the API.
pub(crate) fn quality_name(quality: sen_model::Quality) -> &'static str {
    match quality {
        sen_model::Quality::Good => "good",
        sen_model::Quality::Suspect => "suspect",
        sen_model::Quality::Bad => "bad",
    }
}
