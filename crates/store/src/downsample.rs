//! Fewer points with the same peaks. Pure: points in, points out.

use crate::point::{Point, Span};

/// Keeps the smallest and the largest point of each of equal steps of a span, in order, so that a
/// curve drawn of them has every peak of the full one.
#[derive(Debug)]
pub struct Downsampler {
    from_ms: i128,
    step_ms: i128,
    step: Option<Step>,
    kept: Vec<Point>,
}

/// What is kept of the step being read.
#[derive(Debug)]
struct Step {
    number: i128,
    smallest: Point,
    largest: Point,
}

impl Downsampler {
    /// At most `max_points` (at least 2) points of a span.
    pub fn new(span: Span, max_points: usize) -> Self {
        let steps = (max_points / 2).max(1) as i128;
        let from_ms = i128::from(span.first_ms());
        let length_ms = (i128::from(span.last_ms()) - from_ms + 1).max(1);
        let step_ms = (length_ms + steps - 1) / steps;
        Self { from_ms, step_ms, step: None, kept: Vec::new() }
    }

    /// Takes the next point, in order of event time.
    pub fn add(&mut self, point: Point) {
        let number = (i128::from(point.event_time.as_millis()) - self.from_ms) / self.step_ms;
        match &mut self.step {
            Some(step) if step.number == number => {
                if point.value.total_cmp(&step.smallest.value).is_lt() {
                    step.smallest = point;
                }
                if point.value.total_cmp(&step.largest.value).is_gt() {
                    step.largest = point;
                }
            }
            _ => {
                self.end_step();
                self.step = Some(Step { number, smallest: point, largest: point });
            }
        }
    }

    /// The points kept, in order.
    pub fn finish(mut self) -> Vec<Point> {
        self.end_step();
        self.kept
    }

    fn end_step(&mut self) {
        let Some(Step { smallest, largest, .. }) = self.step.take() else { return };
        let (first, second) = if smallest.identity() <= largest.identity() {
            (smallest, largest)
        } else {
            (largest, smallest)
        };
        self.kept.push(first);
        if first.identity() != second.identity() {
            self.kept.push(second);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sen_model::{Quality, Timestamp};

    use super::*;

    fn point(time_ms: i64, value: f64) -> Point {
        let event_time = Timestamp::from_millis(time_ms);
        Point { event_time, sequence: 0, value, quality: Quality::Good, received_at: event_time }
    }

    fn span(from: i64, to: i64) -> Span {
        Span { from: Timestamp::from_millis(from), to: Timestamp::from_millis(to) }
    }

    #[test]
    fn the_widest_span_does_not_overflow() {
        let mut downsampler = Downsampler::new(span(i64::MIN, i64::MAX), 4);
        downsampler.add(point(i64::MIN, 1.0));
        downsampler.add(point(i64::MAX, 2.0));
        assert_eq!(downsampler.finish().len(), 2);
    }

    proptest! {
        #[test]
        fn peaks_stay_and_the_count_is_bounded(
            values in prop::collection::vec(-100.0..100.0_f64, 1..300), max_points in 2..50_usize
        ) {
            let all: Vec<Point> = (0..).zip(&values).map(|(time, value)| point(time, *value)).collect();
            let mut downsampler = Downsampler::new(span(0, all.len() as i64), max_points);
            all.iter().for_each(|point| downsampler.add(*point));
            let kept = downsampler.finish();
            prop_assert!(kept.len() <= max_points, "{} of {}", kept.len(), max_points);
            prop_assert!(kept.windows(2).all(|pair| pair[0].identity() < pair[1].identity()));
            prop_assert!(kept.iter().all(|point| all.contains(point)));
            let largest = |points: &[Point]| points.iter().map(|point| point.value).fold(f64::MIN, f64::max);
            let smallest = |points: &[Point]| points.iter().map(|point| point.value).fold(f64::MAX, f64::min);
            prop_assert_eq!((smallest(&kept), largest(&kept)), (smallest(&all), largest(&all)));
        }
    }
}
