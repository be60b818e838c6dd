//! Whether a summary is what the oracle says. Pure: values only.

use sen_model::{Moment, Partial};

use super::{Answer, Told};

/// Where quantiles are compared.
pub const QUANTILES: [f64; 7] = [0.0, 0.05, 0.25, 0.5, 0.9, 0.95, 1.0];

/// The first thing in which a summary is not what the oracle says; none if it is right.
///
/// Counts, sums, extremes, first and last must be equal bit for bit. The variance may differ by
/// rounding, the quantiles of the sketch likewise, and both kinds of quantile by one per cent.
pub fn disagreement(answer: &Answer, found: &Partial) -> Option<String> {
    let mut wrong = Vec::new();
    let mut equal = |what: &str, wanted: String, found: String| {
        if wanted != found {
            wrong.push(format!("{what}: {wanted} expected, {found} found"));
        }
    };
    equal("count", answer.count.to_string(), found.count.to_string());
    equal("good count", answer.good_count.to_string(), found.good_count.to_string());
    equal("sum", answer.sum_micro.to_string(), found.sum_micro.to_string());
    let squares = answer.sum_squares.unwrap_or(u128::MAX);
    equal("sum of squares", squares.to_string(), found.sum_squares.to_string());
    equal("min", bits(answer.min()), bits(found.min()));
    equal("max", bits(answer.max()), bits(found.max()));
    let (first, last) = answer.ends.unzip();
    equal("first", format!("{:?}", first.map(exactly)), format!("{:?}", found.first().map(moment)));
    equal("last", format!("{:?}", last.map(exactly)), format!("{:?}", found.last().map(moment)));
    if !close(answer.variance(), found.variance(), 1e-9) {
        wrong.push(format!("variance: {:?}, {:?}", answer.variance(), found.variance()));
    }
    for q in QUANTILES {
        let (truth, sketched) = (answer.true_quantile(q), answer.sketched_quantile(q));
        let quantile = found.quantile(q);
        if !close(sketched, quantile, 1e-9) || !close(truth, quantile, 0.01 + 1e-9) {
            wrong.push(format!(
                "quantile {q}: {truth:?}, sketched {sketched:?}, found {quantile:?}"
            ));
        }
    }
    wrong.into_iter().next()
}

type Exactly = (i64, u32, u64);

fn exactly(told: Told) -> Exactly {
    (told.time_ms, told.sequence, told.value.to_bits())
}

fn moment(moment: Moment) -> Exactly {
    (moment.event_time.as_millis(), moment.sequence, moment.value.to_bits())
}

fn bits(value: Option<f64>) -> String {
    format!("{:?} {:?}", value, value.map(f64::to_bits))
}

/// Equal up to a share of the value; what is smaller than 10⁻⁹ counts as zero.
fn close(wanted: Option<f64>, found: Option<f64>, share: f64) -> bool {
    match (wanted, found) {
        (None, None) => true,
        (Some(wanted), Some(found)) => (wanted - found).abs() <= wanted.abs() * share + 1e-9,
        _ => false,
    }
}
