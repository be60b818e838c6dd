//! The real aggregator over a real log and store, through any history: every reading and every
//! window of every tier against the oracle.

use std::collections::HashSet;

use proptest::prelude::*;
use proptest::sample::Index;
use sen_model::Quality;
use sen_model::time::MINUTE_MS;
use sen_tests::chance::Chance;
use sen_tests::oracle::{Oracle, Report};
use sen_tests::pipeline::compare_series;

use crate::histories::{
    BEGIN_MS, Clocked, Then, block_on, must_end_as, parts, play, report, reports, setting,
};
use crate::series;

/// How long closed windows stay in memory, and after how many new readings a commit comes.
fn pace() -> impl Strategy<Value = (i64, u64)> {
    (prop::sample::select(vec![0, MINUTE_MS, 5 * MINUTE_MS]), 1..60_u64)
}

proptest! {
    #[test]
    fn any_order_of_arrival_gives_the_same_summaries(
        (clocked, reports) in reports(), seed in any::<u64>(), parts in parts(&[]), (hot_ms, points) in pace()
    ) {
        // One report an identity: of two that differ in value the first counts, the log's order.
        let mut seen = HashSet::new();
        let mut once = reports;
        once.retain(|it| seen.insert((it.series.clone(), it.time_ms, it.sequence)));
        let mut shuffled = once.clone();
        Chance::of(seed).shuffle(&mut shuffled);
        must_end_as(&once, setting(clocked, hot_ms, points), &shuffled, &parts)?;
    }

    #[test]
    fn copies_change_nothing(
        (clocked, reports) in reports(),
        copies in prop::collection::vec(any::<(Index, Index)>(), 1..60),
        parts in parts(&[]),
        (hot_ms, points) in pace(),
    ) {
        let mut repeated = reports.clone();
        for (which, gap) in copies {
            let from = which.index(repeated.len());
            let to = from + 1 + gap.index(repeated.len() - from);
            repeated.insert(to, repeated[from].clone());
        }
        must_end_as(&reports, setting(clocked, hot_ms, points), &repeated, &parts)?;
    }

    #[test]
    fn a_crash_at_any_point_changes_nothing(
        (clocked, reports) in reports(), parts in parts(&[Then::Crash, Then::Crash]), (hot_ms, points) in pace()
    ) {
        must_end_as(&reports, setting(clocked, hot_ms, points), &reports, &parts)?;
    }

    #[test]
    fn reading_a_part_of_the_log_again_changes_nothing(
        (clocked, reports) in reports(),
        parts in parts(&[Then::Rewind(1), Then::Rewind(7), Then::Rewind(1_000), Then::Crash]),
        (hot_ms, points) in pace(),
    ) {
        must_end_as(&reports, setting(clocked, hot_ms, points), &reports, &parts)?;
    }

    /// A day's reports of which many come after their minute was committed, sealed and forgotten.
    #[test]
    fn late_readings_end_as_if_they_had_come_in_time(
        reports in prop::collection::vec(report(Clocked::Today), 1..100),
        late in prop::collection::vec(any::<Index>(), 1..30),
        parts in parts(&[Then::Commit, Then::Seal]),
    ) {
        let expected = Oracle::of(reports.clone());
        let mut expected: Vec<Report> = expected.series().flat_map(|it| expected.reports(it)).cloned().collect();
        expected.sort_by_key(|report| report.time_ms);
        let mut arriving = expected.clone();
        for which in late {
            let report = arriving.remove(which.index(arriving.len()));
            arriving.push(report);
        }
        must_end_as(&expected, setting(Clocked::Today, 0, 1), &arriving, &parts)?;
    }

    #[test]
    fn no_device_can_change_the_summaries_of_another(
        (clocked, own) in reports(), foreign in prop::collection::vec(report(Clocked::Today), 0..100), seed in any::<u64>(), parts in parts(&[Then::Crash]), (hot_ms, points) in pace()
    ) {
        let mine = series("station-0", "level_m");
        let own: Vec<Report> = own.into_iter().map(|it| Report { series: mine.clone(), ..it }).collect();
        let mut chance = Chance::of(seed);
        let mut together = own.clone();
        for mut report in foreign {
            // Of the same metric, and at extreme times too.
            report.series = series("intruder-1", "level_m");
            if chance.per_mille(300) { report.time_ms = i64::MAX - chance.below(9) as i64; }
            together.insert(chance.below(together.len() as u64 + 1) as usize, report);
        }
        let ended = block_on(async {
            let pipeline = play(setting(clocked, hot_ms, points), &together, &parts).await?;
            compare_series(pipeline.store(), &Oracle::of(own), &mine).await
        });
        prop_assert!(ended.is_ok(), "{:#}", ended.unwrap_err());
    }

    /// Neighbours in every part of the identity, also where a sequence wraps, and all of one value.
    #[test]
    fn readings_that_differ_in_any_part_of_their_identity_are_all_stored(
        picked in prop::collection::vec((0..4_usize, -2..3_i64, prop::sample::select(vec![0, 1, u32::MAX - 1, u32::MAX])), 1..80),
        parts in parts(&[Then::Crash]),
    ) {
        let names = [("station-1", "level_m"), ("station-1", "level"), ("station-11", "level_m"), ("station_1", "level_m")];
        let reports: Vec<Report> = picked.iter().map(|(of, ms, sequence)| Report {
            series: series(names[*of].0, names[*of].1),
            time_ms: BEGIN_MS + ms,
            sequence: *sequence,
            value: 1.0,
            quality: Quality::Good,
        }).collect();
        let distinct: HashSet<_> = picked.iter().collect();
        prop_assert_eq!(Oracle::of(reports.clone()).len(), distinct.len());
        must_end_as(&reports, setting(Clocked::Today, 0, 10), &reports, &parts)?;
    }
}
