//! The curve of a series: all of it if it is short, else fewer points that show the same peaks; of
//! a long time from the summaries of the tier that has about as many windows as are wanted.

use std::str::FromStr;

use sen_model::time::DAY_MS;
use sen_model::{Quality, SeriesKey, Tier, Timestamp};
use sen_store::{Point, Span};
use sen_table::{Cell, Column, Kind};

use super::Walk;
use super::lines::Line;
use super::lttb::lttb;
use super::parameters::shown;
use super::readings;
use super::thin::{At, Thinner};
use crate::past::{Past, PastError};

/// The longest range whose readings one request looks at, when they are more than it asked for: a
/// quarter of a million of one a second. A longer range is shown from its summaries.
const LONGEST_RAW_MS: i64 = 3 * DAY_MS;
/// Points that LTTB chooses from, at most; of more the smallest and the largest of each step (J. Van
/// Der Donckt et al.: "MinMaxLTTB", 2023), so that a curve of any length takes the same memory.
const LTTB_FROM: usize = 40_000;
/// Summaries read from the store at once.
const STRETCH: usize = 2_000;

/// How points are chosen where there are too many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Downsample {
    /// The smallest and the largest of each step.
    #[default]
    MinMax,
    /// Largest-Triangle-Three-Buckets.
    Lttb,
}

impl Downsample {
    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::MinMax => "minmax",
            Self::Lttb => "lttb",
        }
    }
}

/// The text names no way to choose.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither minmax nor lttb")]
pub(crate) struct UnknownDownsample(String);

impl FromStr for Downsample {
    type Err = UnknownDownsample;

    fn from_str(text: &str) -> Result<Self, UnknownDownsample> {
        let found = [Self::MinMax, Self::Lttb].into_iter().find(|one| one.as_str() == text);
        found.ok_or_else(|| UnknownDownsample(shown(text)))
    }
}

/// A point of a curve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dot {
    /// When it was measured; of a summary, the start of its window.
    pub(crate) event_time: Timestamp,
    /// When it was heard; none of a summary.
    pub(crate) received_at: Option<Timestamp>,
    /// How much.
    pub(crate) value: f64,
    /// How far to trust it.
    pub(crate) quality: Quality,
}

impl From<Point> for Dot {
    fn from(point: Point) -> Self {
        let Point { event_time, received_at, value, quality, .. } = point;
        Self { event_time, received_at: Some(received_at), value, quality }
    }
}

impl At for Dot {
    fn at(&self) -> Timestamp {
        self.event_time
    }
    fn value(&self) -> f64 {
        self.value
    }
}

/// A curve.
#[derive(Debug)]
pub(crate) struct Curve {
    /// What it is made of: a tier, or none for readings.
    pub(crate) tier: Option<Tier>,
    /// Whether there were too many points to show all.
    pub(crate) is_thinned: bool,
    /// Its points, in order of event time.
    pub(crate) dots: Vec<Dot>,
}

/// What a tier, or none for readings, is called in answers.
pub(crate) fn tier_name(tier: Option<Tier>) -> &'static str {
    tier.map_or("raw", Tier::as_str)
}

/// The curve of a series in at most `most` points.
pub(crate) async fn curve(
    past: &Past,
    series: &SeriesKey,
    span: Span,
    most: usize,
    how: Downsample,
) -> Result<Curve, PastError> {
    let finest = past.finest(series, span.from);
    let points = match finest {
        None => past.points(series, span, most + 1).await?,
        // Readings of the beginning are gone: those of the end would look like all.
        Some(_) => Vec::new(),
    };
    let whole = |points: Vec<Point>| points.into_iter().map(Dot::from).collect();
    if finest.is_none() && points.len() <= most {
        return Ok(Curve { tier: None, is_thinned: false, dots: whole(points) });
    }
    let enough = match how {
        Downsample::MinMax => most,
        Downsample::Lttb => most.max(LTTB_FROM),
    };
    let (tier, dots) = if finest.is_some() || span.to.since_ms(span.from) > LONGEST_RAW_MS {
        let tier = tier_for(span.to.since_ms(span.from), most).max(finest.unwrap_or(Tier::Minute));
        of_tiers(past, series, tier, span, enough).await?
    } else {
        (None, whole(past.points_downsampled(series, span, enough).await?))
    };
    let place = |dot: &Dot| (dot.event_time.as_millis() as f64, dot.value);
    let dots = if how == Downsample::Lttb { lttb(&dots, most, place) } else { dots };
    Ok(Curve { tier, is_thinned: true, dots })
}

/// The coarsest tier that still has two windows or more for each step of a curve of `most` points
/// in a range of this length: its extremes are those of the readings, and it is the least to read.
fn tier_for(length_ms: i64, most: usize) -> Tier {
    let steps = i64::try_from(most / 2).unwrap_or(i64::MAX).max(1);
    let coarse = Tier::ALL.into_iter().rev().find(|tier| tier.length_ms() <= length_ms / steps);
    coarse.unwrap_or(Tier::Minute)
}

/// The smallest and the largest of the windows of a tier; of a coarser one where there is nothing
/// of that any more.
async fn of_tiers(
    past: &Past,
    series: &SeriesKey,
    mut tier: Tier,
    span: Span,
    enough: usize,
) -> Result<(Option<Tier>, Vec<Dot>), PastError> {
    loop {
        let dots = of_tier(past, series, tier, span, enough).await?;
        match tier.coarser().filter(|_| dots.is_empty()) {
            Some(coarser) => tier = coarser,
            None => return Ok((Some(tier), dots)),
        }
    }
}

async fn of_tier(
    past: &Past,
    series: &SeriesKey,
    tier: Tier,
    mut span: Span,
    enough: usize,
) -> Result<Vec<Dot>, PastError> {
    let mut thinner = Thinner::new(span.from, span.to, enough);
    loop {
        let summaries = past.summaries(series, tier, span, STRETCH).await?;
        for summary in &summaries {
            let (min, max) = (summary.partial.min(), summary.partial.max());
            let extremes = [min, max.filter(|_| max != min)];
            for value in extremes.into_iter().flatten() {
                let (event_time, quality) = (summary.start, Quality::Good);
                thinner.add(Dot { event_time, received_at: None, value, quality });
            }
        }
        match summaries.last() {
            Some(last) if summaries.len() == STRETCH => span.from = last.start.plus_ms(1),
            _ => return Ok(thinner.finish()),
        }
    }
}

/// The walk over the curves of some series.
pub(crate) struct Curves {
    past: Past,
    span: Span,
    lines: Vec<Line>,
    line: usize,
    most: usize,
    how: Downsample,
}

/// A point of the curve of a series.
pub(crate) struct Plotted {
    line: usize,
    tier: Option<Tier>,
    dot: Dot,
}

impl Curves {
    /// Of these series, each in at most `most` points.
    pub(crate) fn new(
        past: Past,
        span: Span,
        lines: Vec<Line>,
        most: usize,
        how: Downsample,
    ) -> Self {
        Self { past, span, lines, line: 0, most, how }
    }
}

impl Walk for Curves {
    type Row = Plotted;

    fn columns(&self) -> Vec<Column> {
        let mut columns = readings::columns();
        columns.push(Column::new("tier", Kind::Text));
        columns
    }

    async fn stretch(&mut self, _: usize) -> Result<Option<Vec<Plotted>>, PastError> {
        let Some(series) = self.lines.get(self.line).map(|line| &line.series[0]) else {
            return Ok(None);
        };
        let found = curve(&self.past, series, self.span, self.most, self.how).await?;
        let (line, tier) = (self.line, found.tier);
        self.line += 1;
        Ok(Some(found.dots.into_iter().map(|dot| Plotted { line, tier, dot }).collect()))
    }

    fn cells<'w>(&'w self, plotted: &Plotted) -> Vec<Cell<'w>> {
        let Dot { event_time, received_at, value, quality } = plotted.dot;
        let names = self.lines[plotted.line].cells();
        let heard = received_at.map_or(Cell::Absent, Cell::Time);
        let quality = Cell::Text(readings::quality_name(quality));
        let tier = Cell::Text(tier_name(plotted.tier));
        names.chain([Cell::Time(event_time), heard, Cell::Float(value), quality, tier]).collect()
    }

    /// All curves are on one page.
    fn cursor(&self, _: &Plotted) -> String {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_is_read_from_the_coarsest_tier_that_shows_as_much() {
        for (days, most, tier) in [
            (4, 10_000, Tier::Minute),
            (4, 1_000, Tier::Minute),
            (30, 1_000, Tier::Hour),
            (7, 1_000, Tier::QuarterHour),
            (365, 1_000, Tier::Hour),
            (365, 100, Tier::Day),
        ] {
            assert_eq!(tier_for(days * DAY_MS, most), tier, "{days} {most}");
        }
        assert_eq!(tier_for(i64::MAX, 2), Tier::Day);
    }
}
