//! Partials and their merging against the oracle.

use proptest::prelude::*;
use proptest::sample::Index;
use sen_model::{Moment, Partial, Timestamp};
use sen_tests::oracle::{Answer, Length, Oracle, Report, disagreement};

use crate::histories::{Clocked, report};
use crate::series;

fn partial_of(reports: &[Report]) -> Partial {
    let mut partial = Partial::default();
    for report in reports {
        let event_time = Timestamp::from_millis(report.time_ms);
        let moment = Moment { event_time, sequence: report.sequence, value: report.value };
        partial.add(moment, report.quality);
    }
    partial
}

fn merged(mut left: Partial, right: &Partial) -> Partial {
    left.merge(right);
    left
}

/// Reports of one series, each identity once.
fn reports() -> impl Strategy<Value = Vec<Report>> {
    let of_one = report(Clocked::Today)
        .prop_map(|report| Report { series: series("station-0", "level_m"), ..report });
    prop::collection::vec(of_one, 1..80)
        .prop_map(|reports| Oracle::of(reports).reports(&series("station-0", "level_m")).to_vec())
}

proptest! {
    #[test]
    fn any_split_into_parts_merges_to_the_whole_in_any_order(
        reports in reports(),
        cuts in prop::collection::vec(any::<Index>(), 0..6),
        keys in prop::collection::vec(any::<u32>(), 8),
    ) {
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(reports.len())).collect();
        ends.extend([0, reports.len()]);
        ends.sort_unstable();
        let parts = ends.windows(2).map(|ends| partial_of(&reports[ends[0]..ends[1]]));
        let mut parts: Vec<(u32, Partial)> = keys.into_iter().zip(parts).collect();
        parts.sort_by_key(|(key, _)| *key);
        // From the left one after the other, and in pairs from the right: any brackets.
        let from_left = parts.iter().fold(Partial::default(), |all, (_, part)| merged(all, part));
        let from_right =
            parts.iter().rev().fold(Partial::default(), |all, (_, part)| merged(part.clone(), &all));
        prop_assert_eq!(&from_left, &from_right);
        let answer = Answer::of(&reports.iter().collect::<Vec<_>>());
        prop_assert_eq!(disagreement(&answer, &from_left), None);
    }

    #[test]
    fn minutes_merge_to_quarters_hours_and_days(reports in reports()) {
        let oracle = Oracle::of(reports.clone());
        for length in [Length::Minutes(15), Length::Minutes(60), Length::VietnamDay] {
            for (start, answer) in oracle.windows(&series("station-0", "level_m"), length) {
                let inside: Vec<Report> = reports
                    .iter()
                    .filter(|report| length.start_of(report.time_ms) == start)
                    .cloned()
                    .collect();
                let minute = |report: &Report| Length::Minutes(1).start_of(report.time_ms);
                let minutes = inside.chunk_by(|a, b| minute(a) == minute(b)).map(partial_of);
                let whole = minutes.fold(Partial::default(), |all, part| merged(all, &part));
                prop_assert_eq!(disagreement(&answer, &whole), None, "{:?} at {}", length, start);
            }
        }
    }
}
