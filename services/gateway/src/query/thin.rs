//! Pure: fewer points of a curve that still show its peaks.

use sen_model::Timestamp;

/// A point of a curve.
pub(crate) trait At {
    /// When.
    fn at(&self) -> Timestamp;
    /// How much.
    fn value(&self) -> f64;
}

/// Keeps every point as long as there are few, then the smallest and the largest of each step.
#[derive(Debug)]
pub(crate) struct Thinner<P> {
    from_ms: i64,
    step_ms: i64,
    most: usize,
    all: Vec<P>,
    /// Smallest and largest of each step that has points, once there are too many.
    steps: Option<Vec<(i64, P, P)>>,
}

impl<P: At + Copy> Thinner<P> {
    /// For at most `most` points (at least 2) between two times.
    pub(crate) fn new(from: Timestamp, to: Timestamp, most: usize) -> Self {
        let steps = i64::try_from(most / 2).unwrap_or(i64::MAX).max(1);
        // Rounded up, so that the last step reaches the end.
        let step_ms = to.since_ms(from).max(1).saturating_add(steps - 1) / steps;
        Self { from_ms: from.as_millis(), step_ms, most, all: Vec::new(), steps: None }
    }

    /// Takes the next point; they come in order of time.
    pub(crate) fn add(&mut self, point: P) {
        if self.steps.is_none() && self.all.len() < self.most {
            self.all.push(point);
            return;
        }
        if self.steps.is_none() {
            self.steps = Some(Vec::new());
            for earlier in std::mem::take(&mut self.all) {
                self.put(earlier);
            }
        }
        self.put(point);
    }

    /// What is left, in order of time.
    pub(crate) fn finish(self) -> Vec<P> {
        let Some(steps) = self.steps else { return self.all };
        let pair = |(_, small, large): (i64, P, P)| {
            if small.at() <= large.at() { [small, large] } else { [large, small] }
        };
        let mut points: Vec<P> = steps.into_iter().flat_map(pair).collect();
        points.dedup_by(|b, a| a.at() == b.at() && a.value() == b.value());
        points
    }

    fn put(&mut self, point: P) {
        let step = point.at().as_millis().saturating_sub(self.from_ms) / self.step_ms;
        let Some(steps) = &mut self.steps else { return };
        match steps.last_mut() {
            Some((last, small, large)) if *last == step => {
                if point.value() < small.value() {
                    *small = point;
                }
                if point.value() > large.value() {
                    *large = point;
                }
            }
            _ => steps.push((step, point, point)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    struct P(i64, f64);

    impl At for P {
        fn at(&self) -> Timestamp {
            Timestamp::from_millis(self.0)
        }
        fn value(&self) -> f64 {
            self.1
        }
    }

    proptest! {
        #[test]
        fn peaks_stay_and_the_limit_holds(
            mut points in proptest::collection::vec((0i64..1_000, -9.0f64..9.0), 0..400),
            most in 2usize..60,
        ) {
            points.sort_by_key(|(at, _)| *at);
            let points: Vec<P> = points.into_iter().map(|(at, value)| P(at, value)).collect();
            let mut thinner = Thinner::new(P(0, 0.0).at(), P(1_000, 0.0).at(), most);
            points.iter().for_each(|point| thinner.add(*point));
            let kept = thinner.finish();
            prop_assert!(kept.len() <= most, "{} of {most}", kept.len());
            prop_assert!(kept.is_sorted_by_key(|point| point.0));
            prop_assert!(kept.iter().all(|point| points.contains(point)));
            let (low, high) = (|a: f64, p: &P| a.min(p.1), |a: f64, p: &P| a.max(p.1));
            prop_assert_eq!(points.iter().fold(9.0, low), kept.iter().fold(9.0, low));
            prop_assert_eq!(points.iter().fold(-9.0, high), kept.iter().fold(-9.0, high));
            if points.len() <= most {
                prop_assert_eq!(kept, points);
            }
        }
    }
}
