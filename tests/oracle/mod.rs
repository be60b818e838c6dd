//! The oracle: what the summaries of a list of reports must be, worked out apart from the centre.
//! Pure: values only.
//!
//! It is slow on purpose and shares no arithmetic with what it judges: it sorts, throws repeats out
//! and computes each window from all of its values. Of the model it takes the names of things only.

use std::collections::BTreeMap;

use sen_model::{Quality, SeriesKey};

pub mod alerts;
mod answer;
mod calendar;
mod verdict;

pub use answer::{Answer, Told};
pub use calendar::Length;
pub use verdict::{QUANTILES, disagreement};

/// One reading as it reached the log, in the words of its device.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Which device and metric.
    pub series: SeriesKey,
    /// When it was measured, in milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// Tells reports of one millisecond apart.
    pub sequence: u32,
    /// What was measured.
    pub value: f64,
    /// How far to trust it.
    pub quality: Quality,
}

/// All reports, each once, by series and in order of time.
#[derive(Clone, Debug, Default)]
pub struct Oracle(BTreeMap<SeriesKey, Vec<Report>>);

impl Oracle {
    /// Of reports in the order of the log: of several with one identity the first one counts.
    pub fn of(reports: impl IntoIterator<Item = Report>) -> Self {
        let mut series: BTreeMap<SeriesKey, Vec<Report>> = BTreeMap::new();
        for report in reports {
            series.entry(report.series.clone()).or_default().push(report);
        }
        for reports in series.values_mut() {
            // A stable sort: of equal identities the first stays in front.
            reports.sort_by_key(|report| (report.time_ms, report.sequence));
            reports.dedup_by_key(|report| (report.time_ms, report.sequence));
        }
        Self(series)
    }

    /// Every series that has a report.
    pub fn series(&self) -> impl Iterator<Item = &SeriesKey> {
        self.0.keys()
    }

    /// The reports of a series, each once, in order.
    pub fn reports(&self, series: &SeriesKey) -> &[Report] {
        self.0.get(series).map_or(&[], Vec::as_slice)
    }

    /// How many reports there are, each counted once.
    pub fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The answer for each window of a series that holds a report, by its start.
    pub fn windows(&self, series: &SeriesKey, length: Length) -> BTreeMap<i64, Answer> {
        let mut windows: BTreeMap<i64, Vec<&Report>> = BTreeMap::new();
        for report in self.reports(series) {
            windows.entry(length.start_of(report.time_ms)).or_default().push(report);
        }
        windows.into_iter().map(|(start, reports)| (start, Answer::of(&reports))).collect()
    }
}

#[cfg(test)]
mod tests;
