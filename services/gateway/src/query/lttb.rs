//! Pure: fewer points of a curve that look like all of them: Largest-Triangle-Three-Buckets.
//!
//! S. Steinarsson: "Downsampling Time Series for Visual Representation", University of Iceland
//! 2013, section 4.2. The first and the last point stay; the points between are cut into equal
//! runs, and of each run that point stays which makes the largest triangle with the one kept
//! before it and the mean of the run after it.

/// At most `most` (at least 2) of some points in order of their time, in that order. `at` gives the
/// place of a point: time and value. The same points give the same choice.
pub(crate) fn lttb<P: Copy>(points: &[P], most: usize, at: impl Fn(&P) -> (f64, f64)) -> Vec<P> {
    let (most, all) = (most.max(2), points.len());
    if all <= most {
        return points.to_vec();
    }
    // Relative to the first: the differences of times fit a float where the times would not.
    let (origin, _) = at(&points[0]);
    let place = |point: &P| {
        let (time, value) = at(point);
        (time - origin, value)
    };
    // Run `n` of 1 to most - 2 begins here; the last point is a run by itself.
    let begin = |run: usize| 1 + (run - 1) * (all - 2) / (most - 2).max(1);
    let mut kept = vec![points[0]];
    for run in 1..most - 1 {
        let (from, to) = (begin(run), begin(run + 1));
        let next = if run + 2 < most { to..begin(run + 2) } else { all - 1..all };
        let ahead = mean(points[next].iter().map(place));
        let behind = place(&kept[kept.len() - 1]);
        kept.extend(largest(&points[from..to], |point| triangle(behind, place(point), ahead)));
    }
    kept.push(points[all - 1]);
    kept
}

/// The mean place.
fn mean(places: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    let add = |(n, x, y): (f64, f64, f64), place: (f64, f64)| (n + 1.0, x + place.0, y + place.1);
    let (n, x, y) = places.fold((0.0, 0.0, 0.0), add);
    (x / n, y / n)
}

/// Twice the area between three places.
fn triangle(a: (f64, f64), b: (f64, f64), c: (f64, f64)) -> f64 {
    ((a.0 - c.0) * (b.1 - a.1) - (a.0 - b.0) * (c.1 - a.1)).abs()
}

/// The first of those with the largest area.
fn largest<P: Copy>(points: &[P], area: impl Fn(&P) -> f64) -> Option<P> {
    let sized = points.iter().map(|point| (area(point), *point));
    let larger = |best: (f64, P), next: (f64, P)| {
        if next.0.total_cmp(&best.0).is_gt() { next } else { best }
    };
    sized.reduce(larger).map(|(_, point)| point)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type P = (i64, f64);

    fn thin(points: &[P], most: usize) -> Vec<P> {
        lttb(points, most, |point| (point.0 as f64, point.1))
    }

    /// Step by step as the paper's figure 4.2 has it, with the area by the half formula.
    fn naive(points: &[P], most: usize) -> Vec<P> {
        let inner = points.len() - 2;
        let runs: Vec<&[P]> = (0..most - 2)
            .map(|run| &points[1 + run * inner / (most - 2)..1 + (run + 1) * inner / (most - 2)])
            .chain([&points[points.len() - 1..]])
            .collect();
        let mut kept = vec![points[0]];
        for pair in runs.windows(2) {
            let n = pair[1].len() as f64;
            let x = pair[1].iter().map(|p| p.0 as f64).sum::<f64>() / n;
            let y = pair[1].iter().map(|p| p.1).sum::<f64>() / n;
            let (ax, ay) = (kept[kept.len() - 1].0 as f64, kept[kept.len() - 1].1);
            let area = |p: &P| {
                let (bx, by) = (p.0 as f64, p.1);
                0.5 * ((ax - x) * (by - ay) - (ax - bx) * (y - ay)).abs()
            };
            let most = pair[0].iter().map(area).fold(f64::MIN, f64::max);
            kept.extend(pair[0].iter().find(|p| area(p) == most));
        }
        kept.push(points[points.len() - 1]);
        kept
    }

    #[test]
    fn a_peak_in_a_flat_curve_stays() {
        let mut points: Vec<P> = (0..1_000).map(|n| (n, 1.0)).collect();
        points[637].1 = 50.0;
        let kept = thin(&points, 20);
        assert_eq!(kept.len(), 20);
        assert!(kept.contains(&(637, 50.0)));
    }

    #[test]
    fn few_points_and_small_numbers_are_taken_as_they_are() {
        assert_eq!(thin(&[], 5), []);
        assert_eq!(thin(&[(1, 1.0)], 2), [(1, 1.0)]);
        assert_eq!(thin(&[(1, 1.0), (2, 9.0), (3, 3.0)], 0), [(1, 1.0), (3, 3.0)]);
        let ends = [(i64::MIN, 1e12), (0, -1e12), (7, 4.0), (i64::MAX, 0.0)];
        assert_eq!(thin(&ends, 3).len(), 3);
    }

    proptest! {
        #[test]
        fn ends_stay_and_the_rest_is_a_part_in_order(
            values in prop::collection::vec(-1e12..1e12_f64, 0..400),
            start in prop_oneof![Just(i64::MIN), -1_000..1_000_i64, Just(1_795_417_325_120)],
            most in 2..60_usize,
        ) {
            let points: Vec<P> = (start..).zip(values).collect();
            let kept = thin(&points, most);
            prop_assert_eq!(kept.len(), points.len().min(most));
            prop_assert_eq!((kept.first(), kept.last()), (points.first(), points.last()));
            prop_assert!(kept.windows(2).all(|pair| pair[0].0 < pair[1].0));
            prop_assert!(kept.iter().all(|point| points.contains(point)));
            prop_assert_eq!(thin(&points, most), kept);
        }

        #[test]
        fn the_choice_is_that_of_the_paper(
            // Whole numbers, so that neither way of reckoning rounds.
            values in prop::collection::vec(-50..50_i32, 3..300), most in 3..40_usize,
        ) {
            let points: Vec<P> = (0..).zip(values).map(|(n, value)| (n, value.into())).collect();
            prop_assume!(points.len() > most);
            prop_assert_eq!(thin(&points, most), naive(&points, most));
        }
    }
}
