//! Pure: what can be asked of a window, and the row it gives.

use std::fmt;
use std::str::FromStr;

use sen_model::{Partial, Timestamp};
use sen_table::{Cell, Column, Kind};

use super::parameters::shown;

/// Aggregates of one answer, at most.
pub(crate) const MOST_AGGREGATES: usize = 32;
/// What is shown where nothing is asked for.
pub(crate) const USUAL: &str = "count,good_count,mean,min,max,first,last,p50,p95";

/// One aggregate of a window. All but the counts are of its good readings.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Aggregate {
    /// All readings.
    Count,
    /// The good ones.
    GoodCount,
    /// The good ones of all.
    GoodShare,
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The first by event time.
    First,
    /// The last by event time.
    Last,
    /// The standard deviation of all of them (of a population).
    Deviation,
    /// The quantile of so many percent, as it was written, within the error of the sketch.
    Percentile(String, f64),
}

impl Aggregate {
    /// Its name, as a key and a column.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Count => "count",
            Self::GoodCount => "good_count",
            Self::GoodShare => "good_share",
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Min => "min",
            Self::Max => "max",
            Self::First => "first",
            Self::Last => "last",
            Self::Deviation => "stddev",
            Self::Percentile(name, _) => name,
        }
    }

    /// The column it fills.
    pub(crate) fn column(&self) -> Column {
        let kind = match self {
            Self::Count | Self::GoodCount => Kind::Integer,
            _ => Kind::Float,
        };
        Column::named(self.name().to_owned(), kind)
    }

    /// The value of a window; none of one without a good reading, and of what is counted.
    fn value(&self, partial: &Partial) -> Option<f64> {
        match self {
            Self::Count | Self::GoodCount | Self::GoodShare => None,
            Self::Sum => partial.extremes.map(|_| partial.sum()),
            Self::Mean => partial.mean(),
            Self::Min => partial.min(),
            Self::Max => partial.max(),
            Self::First => partial.first().map(|moment| moment.value),
            Self::Last => partial.last().map(|moment| moment.value),
            Self::Deviation => partial.variance().map(f64::sqrt),
            Self::Percentile(_, percent) => partial.quantile(percent / 100.0),
        }
    }
}

/// The text names no aggregate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an aggregate: count, good_count, good_share, sum, mean, min, max, first, last, \
     stddev, or p and a number from 0 to 100, such as p95 or p99.9"
)]
pub(crate) struct UnknownAggregate(String);

impl FromStr for Aggregate {
    type Err = UnknownAggregate;

    fn from_str(text: &str) -> Result<Self, UnknownAggregate> {
        let named = [
            Self::Count,
            Self::GoodCount,
            Self::GoodShare,
            Self::Sum,
            Self::Mean,
            Self::Min,
            Self::Max,
            Self::First,
            Self::Last,
            Self::Deviation,
        ];
        if let Some(found) = named.into_iter().find(|aggregate| aggregate.name() == text) {
            return Ok(found);
        }
        // Digits and a point only: no sign, exponent, infinity; and short, since it is a name.
        let number = text.strip_prefix('p').filter(|number| {
            let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            plain && number.len() <= 8 && number.starts_with(|first: char| first.is_ascii_digit())
        });
        let percent = number.and_then(|number| number.parse().ok());
        let within = percent.filter(|percent| (0.0..=100.0).contains(percent));
        let found = within.map(|percent| Self::Percentile(text.to_owned(), percent));
        found.ok_or_else(|| UnknownAggregate(shown(text)))
    }
}

/// A list of aggregates in the order in which they were asked for, each once.
pub(crate) fn list<'t>(
    names: impl Iterator<Item = &'t str>,
) -> Result<Vec<Aggregate>, Box<dyn fmt::Display>> {
    let mut all: Vec<Aggregate> = Vec::new();
    for name in names {
        let one: Aggregate = name.parse().map_err(|error| Box::new(error) as _)?;
        if all.iter().any(|known| known.name() == one.name()) {
            continue;
        }
        if all.len() == MOST_AGGREGATES {
            return Err(Box::new(format!("at most {MOST_AGGREGATES} in one answer: ask twice")));
        }
        all.push(one);
    }
    Ok(all)
}

/// What is shown of one window.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// The window, counted as its step does.
    pub(crate) number: i64,
    /// All its readings.
    pub(crate) count: u64,
    /// The good ones.
    pub(crate) good_count: u64,
    /// One for each aggregate; none for those that count.
    pub(crate) values: Vec<Option<f64>>,
}

impl Row {
    /// The row of a window.
    pub(crate) fn of(number: i64, partial: &Partial, aggregates: &[Aggregate]) -> Self {
        let values = aggregates.iter().map(|aggregate| aggregate.value(partial)).collect();
        Self { number, count: partial.count, good_count: partial.good_count, values }
    }

    /// Whether it has values of its own.
    pub(crate) fn is_known(&self) -> bool {
        self.good_count > 0
    }

    /// Its cells: the start, then each aggregate.
    pub(crate) fn cells(&self, start: Timestamp, aggregates: &[Aggregate]) -> Vec<Cell<'static>> {
        let whole = |count: u64| Cell::Integer(i64::try_from(count).unwrap_or(i64::MAX));
        let share = (self.count > 0).then(|| self.good_count as f64 / self.count as f64);
        let cell = move |(aggregate, value): (&Aggregate, &Option<f64>)| match aggregate {
            Aggregate::Count => whole(self.count),
            Aggregate::GoodCount => whole(self.good_count),
            Aggregate::GoodShare => Cell::float(share),
            _ => Cell::float(*value),
        };
        let values = aggregates.iter().zip(&self.values).map(cell);
        std::iter::once(Cell::Time(start)).chain(values).collect()
    }
}

#[cfg(test)]
mod tests {
    use sen_model::{Moment, Quality};

    use super::*;

    fn names(text: &str) -> Result<Vec<String>, String> {
        let all = list(text.split(',')).map_err(|error| error.to_string())?;
        Ok(all.iter().map(|aggregate| aggregate.name().to_owned()).collect())
    }

    #[test]
    fn names_come_back_in_their_order_each_once() {
        let every = "p99.9,count,good_count,good_share,sum,mean,min,max,first,last,stddev,p0,p100";
        assert_eq!(names(every).unwrap().join(","), every);
        assert_eq!(names("max,min,max").unwrap(), ["max", "min"]);
        assert_eq!(names(USUAL).unwrap().len(), 9);
        for wrong in ["", "avg", "p", "p-1", "p101", "p1e1", "pinf", "pnan", "p.5", "p1.2.3", "MAX"]
        {
            assert!(names(wrong).unwrap_err().contains("such as p95"), "{wrong}");
        }
        let many: Vec<String> = (0..40).map(|n| format!("p{n}")).collect();
        assert!(names(&many.join(",")).unwrap_err().contains("at most 32"));
    }

    #[test]
    fn a_row_has_the_aggregates_of_its_window() {
        let mut partial = Partial::default();
        for (ms, value, quality) in [
            (2, 4.0, Quality::Good),
            (1, 2.0, Quality::Good),
            (3, 6.0, Quality::Good),
            (0, 99.0, Quality::Bad),
        ] {
            let event_time = Timestamp::from_millis(ms);
            partial.add(Moment { event_time, sequence: 0, value }, quality);
        }
        let names = "count,good_count,good_share,sum,mean,min,max,first,last,stddev,p100";
        let aggregates = list(names.split(',')).ok().unwrap();
        let (row, start) = (Row::of(7, &partial, &aggregates), Timestamp::from_millis(5));
        let cells = row.cells(start, &aggregates);
        let floats =
            [0.75, 12.0, 4.0, 2.0, 6.0, 2.0, 6.0, (8.0_f64 / 3.0).sqrt(), 6.0].map(Cell::Float);
        assert_eq!(cells[..3], [Cell::Time(start), Cell::Integer(4), Cell::Integer(3)]);
        assert_eq!(cells[3..], floats);
        let hollow = Row::of(7, &Partial { count: 2, ..Partial::default() }, &aggregates);
        let cells = hollow.cells(start, &aggregates);
        assert_eq!(cells[1..4], [Cell::Integer(2), Cell::Integer(0), Cell::Float(0.0)]);
        assert!(cells[4..].iter().all(|cell| *cell == Cell::Absent));
        assert!(row.is_known() && !hollow.is_known());
    }
}
