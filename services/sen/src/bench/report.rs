//! Pure: figures of repeated runs to one line of JSON, one row for people, and a verdict.

use std::fmt::Write;

use hdrhistogram::Histogram;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

/// Longest latency a histogram holds, in microseconds: two minutes. Longer ones count as this.
pub(super) const LONGEST_US: u64 = 120_000_000;

/// An empty histogram of microseconds, right to 3 digits.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds and digits are in range")
}

/// How the values of one figure in several runs become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The median: one disturbed run does not count.
    Typical,
    /// The largest: one bad run is enough.
    Worst,
    /// The largest, and it must be 0.
    Fault,
}

/// The figures of one run, in the order they are told.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sample(Vec<(&'static str, Kind, f64)>);

impl Sample {
    /// A figure of which the median of all runs is told.
    pub(super) fn typical(mut self, name: &'static str, value: f64) -> Self {
        self.0.push((name, Kind::Typical, value));
        self
    }

    /// A figure of which the largest of all runs is told.
    pub(super) fn worst(mut self, name: &'static str, value: f64) -> Self {
        self.0.push((name, Kind::Worst, value));
        self
    }

    /// A count that must be 0; anything else fails the measurement.
    pub(super) fn fault(mut self, name: &'static str, count: u64) -> Self {
        self.0.push((name, Kind::Fault, count as f64));
        self
    }

    /// These figures, and then those.
    pub(super) fn and(mut self, Self(more): Self) -> Self {
        self.0.extend(more);
        self
    }

    /// Median, 99th percentile and maximum of a histogram of microseconds, in milliseconds.
    pub(super) fn latency(self, names: [&'static str; 3], latency_us: &Histogram<u64>) -> Self {
        let [p50, p99, max] = names;
        let at = |quantile| latency_us.value_at_quantile(quantile) as f64 / 1e3;
        let most = latency_us.max() as f64 / 1e3;
        self.typical(p50, at(0.5)).typical(p99, at(0.99)).worst(max, most)
    }
}

/// The figure a measurement is made for, and what it should reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Headline {
    /// The figure.
    pub figure: &'static str,
    /// What it should reach, if anything was agreed.
    pub target: Option<Limit>,
}

/// Which side of a number is good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Limit {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Limit {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(limit) => value >= limit,
            Self::AtMost(limit) => value <= limit,
        }
    }
}

impl Headline {
    /// The target as text, such as `ack_p99_ms <= 10`.
    fn target_text(&self) -> Option<String> {
        Some(match self.target? {
            Limit::AtLeast(limit) => format!("{} >= {limit}", self.figure),
            Limit::AtMost(limit) => format!("{} <= {limit}", self.figure),
        })
    }
}

/// The outcome of one measurement.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// What was measured and under which settings, in the order they are told.
    pub settings: Vec<(&'static str, Value)>,
    figures: Vec<(&'static str, Kind, f64)>,
    runs: usize,
    headline: Headline,
    noise: Option<f64>,
}

impl Outcome {
    /// Of these runs. All samples of a measurement have the same figures.
    pub(super) fn new(
        settings: Vec<(&'static str, Value)>,
        samples: &[Sample],
        headline: Headline,
    ) -> Self {
        let shape = samples.first().map_or(&[][..], |sample| &sample.0);
        let column = |index: usize| -> Vec<f64> {
            samples.iter().filter_map(|sample| Some(sample.0.get(index)?.2)).collect()
        };
        let figures = shape.iter().enumerate().map(|(index, (name, kind, _))| {
            let values = column(index);
            let value = match kind {
                Kind::Typical => median(&values),
                Kind::Worst | Kind::Fault => values.into_iter().fold(f64::MIN, f64::max),
            };
            (*name, *kind, value)
        });
        let at = shape.iter().position(|(name, ..)| *name == headline.figure);
        let noise = at.and_then(|index| spread(&column(index)));
        Self { settings, figures: figures.collect(), runs: samples.len(), headline, noise }
    }

    /// Whether the target is met; none if there is no target.
    pub(super) fn met(&self) -> Option<bool> {
        let Headline { figure, target } = self.headline;
        let target = target?;
        let (.., value) = self.figures.iter().find(|(name, ..)| *name == figure)?;
        Some(target.is_met_by(*value))
    }

    /// The figures that had to be 0 and are not.
    pub(super) fn faults(&self) -> Vec<String> {
        let broken = |(_, kind, value): &&(_, Kind, f64)| *kind == Kind::Fault && *value != 0.0;
        self.figures
            .iter()
            .filter(broken)
            .map(|(name, _, value)| format!("{name} = {value}"))
            .collect()
    }

    /// Some lines for people.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        let settings: Vec<String> = self
            .settings
            .iter()
            .map(|(name, value)| match value {
                Value::String(word) if *name == "bench" => word.clone(),
                value => format!("{name} {value}"),
            })
            .collect();
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", settings.join(", "));
        for (name, _, value) in &self.figures {
            let _ = writeln!(text, "  {name:<28} {:>14}", rounded(*value));
        }
        if let Some(noise) = self.noise {
            let name = "noise";
            let _ = writeln!(
                text,
                "  {name:<28} {:>13}%   of {} runs",
                rounded(noise * 100.0),
                self.runs
            );
        }
        if let (Some(target), Some(met)) = (self.headline.target_text(), self.met()) {
            let verdict = if met { "met" } else { "MISSED" };
            let _ = writeln!(text, "  target {:<21} {verdict:>14}", target);
        }
        text
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &self.settings {
            map.serialize_entry(name, value)?;
        }
        for (name, _, value) in &self.figures {
            map.serialize_entry(name, &rounded(*value))?;
        }
        map.serialize_entry("runs", &self.runs)?;
        map.serialize_entry("noise", &self.noise.map(rounded))?;
        map.serialize_entry("target", &self.headline.target_text())?;
        map.serialize_entry("met", &self.met())?;
        map.end()
    }
}

/// The middle value, or the mean of the two middle ones; 0 of nothing.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// (largest − smallest) / median: what one must not read into a difference. None of one run.
fn spread(values: &[f64]) -> Option<f64> {
    let median = median(values);
    if values.len() < 2 || median == 0.0 {
        return None;
    }
    let largest = values.iter().copied().fold(f64::MIN, f64::max);
    let smallest = values.iter().copied().fold(f64::MAX, f64::min);
    Some((largest - smallest) / median.abs())
}

/// Whole numbers from 1,000 on, three digits after the point below: more would pretend. Figures
/// that JSON has no number for become null.
fn rounded(value: f64) -> Value {
    if value.abs() >= 1_000.0 || value == value.trunc() {
        // A float's `as` saturates, and no figure comes near its ends.
        return value.is_finite().then_some(value.round() as i64).into();
    }
    ((value * 1_000.0).round() / 1_000.0).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADLINE: Headline =
        Headline { figure: "readings_per_s", target: Some(Limit::AtLeast(15_000.0)) };

    fn sample(rate: f64, lost: u64) -> Sample {
        Sample::default()
            .typical("readings_per_s", rate)
            .worst("max_ms", rate / 1e3)
            .fault("lost", lost)
    }

    fn outcome(samples: &[Sample]) -> Outcome {
        Outcome::new(vec![("bench", "qos1".into()), ("window", 100.into())], samples, HEADLINE)
    }

    #[test]
    fn a_line_of_json_in_the_order_it_was_told() {
        let outcome = outcome(&[sample(16_000.4, 0), sample(12_000.0, 0), sample(20_000.0, 0)]);
        let expected = concat!(
            r#"{"bench":"qos1","window":100,"readings_per_s":16000,"max_ms":20,"lost":0,"#,
            r#""runs":3,"noise":0.5,"target":"readings_per_s >= 15000","met":true}"#
        );
        assert_eq!(serde_json::to_string(&outcome).unwrap(), expected);
    }

    #[test]
    fn one_lost_reading_in_one_run_is_told() {
        let outcome = outcome(&[sample(16_000.0, 0), sample(16_000.0, 1), sample(16_000.0, 0)]);
        assert_eq!(outcome.faults(), ["lost = 1"]);
        assert!(outcome.table().contains("lost"));
    }

    #[test]
    fn a_missed_target_is_missed() {
        let outcome = outcome(&[sample(14_999.0, 0)]);
        assert_eq!(outcome.met(), Some(false));
        assert!(outcome.table().contains("MISSED"), "{}", outcome.table());
        let json: Value = serde_json::to_value(&outcome).unwrap();
        assert_eq!((&json["met"], &json["noise"]), (&Value::Bool(false), &Value::Null));
    }

    #[test]
    fn targets_include_their_limit() {
        let (least, most) = (Limit::AtLeast(10.0), Limit::AtMost(10.0));
        for (value, at_least, at_most) in
            [(9.999, false, true), (10.0, true, true), (10.001, true, false)]
        {
            assert_eq!((least.is_met_by(value), most.is_met_by(value)), (at_least, at_most));
        }
    }

    #[test]
    fn without_a_target_the_noise_is_told_all_the_same() {
        let headline = Headline { target: None, ..HEADLINE };
        let outcome = Outcome::new(Vec::new(), &[sample(9.0, 0), sample(11.0, 0)], headline);
        let json = serde_json::to_value(&outcome).unwrap();
        assert_eq!((&json["noise"], &json["target"]), (&0.2.into(), &Value::Null));
    }

    #[test]
    fn medians_and_spreads() {
        for (values, expected) in
            [(&[][..], 0.0), (&[3.0], 3.0), (&[9.0, 1.0], 5.0), (&[9.0, 1.0, 2.0], 2.0)]
        {
            assert_eq!(median(values), expected, "{values:?}");
        }
        assert_eq!(spread(&[5.0]), None);
        assert_eq!(spread(&[9.0, 10.0, 12.0]), Some(0.3));
    }

    #[test]
    fn rounding_keeps_what_is_meant() {
        for (value, expected) in
            [(0.0, "0"), (0.123_45, "0.123"), (999.96, "999.96"), (61_234.7, "61235")]
        {
            assert_eq!(rounded(value).to_string(), expected);
        }
        assert_eq!(rounded(f64::INFINITY), Value::Null);
    }

    #[test]
    fn latencies_are_told_in_milliseconds() {
        let mut latency_us = histogram();
        for us in 1..=1_000 {
            latency_us.record(us * 10).unwrap();
        }
        let Sample(figures) =
            Sample::default().latency(["p50_ms", "p99_ms", "max_ms"], &latency_us);
        for ((_, _, value), expected) in figures.iter().zip([5.0, 9.9, 10.0]) {
            assert!((value - expected).abs() < 0.02, "{figures:?}");
        }
    }
}
