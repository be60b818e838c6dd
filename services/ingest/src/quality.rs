//! How far a value can be trusted. Range only, for now: frozen series and spikes need a memory of
//! earlier values and are judged by rules, not here.

use sen_model::{MetricSpec, Quality};

/// The quality of a value: suspect outside the plausible range of its metric, and never better than
/// what its sender says.
pub(crate) fn judge(spec: Option<&MetricSpec>, value: f64, said: Quality) -> Quality {
    match said {
        Quality::Good => in_range(spec, value),
        Quality::Suspect | Quality::Bad => said,
    }
}

fn in_range(spec: Option<&MetricSpec>, value: f64) -> Quality {
    let Some(spec) = spec else { return Quality::Good };
    let below = spec.min.is_some_and(|min| value < min);
    let above = spec.max.is_some_and(|max| value > max);
    if below || above { Quality::Suspect } else { Quality::Good }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sen_model::{Metric, Text};

    #[test]
    fn outside_the_range_is_suspect() {
        let spec = MetricSpec {
            metric: Metric::new("t").unwrap(),
            name: Text::default(),
            unit: "Cel".into(),
            min: Some(-10.0),
            max: Some(60.0),
        };
        let cases = [(-10.0, Quality::Good), (60.0, Quality::Good), (-10.1, Quality::Suspect)];
        for (value, wanted) in cases.into_iter().chain([(60.1, Quality::Suspect)]) {
            assert_eq!(judge(Some(&spec), value, Quality::Good), wanted, "{value}");
        }
        assert_eq!(judge(None, 1e12, Quality::Good), Quality::Good);
        for said in [Quality::Suspect, Quality::Bad] {
            assert_eq!(judge(Some(&spec), 0.0, said), said, "the sender knows better");
            assert_eq!(judge(Some(&spec), 99.0, said), said);
        }
    }
}
