//! The real alert service over a real log, through any history: its episodes against the oracle's.
//! Every kind of rule that judges readings one after the other is among the rules.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use sen_model::time::{MINUTE_MS, SECOND_MS};
use sen_model::{Quality, ReadingBatch, Registry, Rule, registry_file};
use sen_tests::chance::Chance;
use sen_tests::judging::{
    Judging, PREAMBLE, Setting, episodes, must_agree, packet, parsed, rule_text, section,
};
use sen_tests::oracle::alerts::{Episode, of_readings};
use sen_tests::oracle::{Oracle, Report};

use crate::histories::block_on;
use crate::series;

/// 29 February 2024, an hour before noon in Vietnam.
const BEGIN_MS: i64 = 1_709_179_200_000;
/// When the clock of the service says that all is over.
const OVER_MS: i64 = BEGIN_MS + 3_600_000;
/// Longer than any history, so that whatever comes in another order is put in order.
const WAIT_MS: i64 = 20 * MINUTE_MS;
const DEVICES: [&str; 2] = ["gauge-0", "gauge-1"];

fn registry() -> Arc<Registry> {
    let mut devices = r#"
[kind.river]
field = "environment"
interval_ms = 1_000
metrics = [{ metric = "level_m", name = { vi = "Mực nước", en = "Level" }, unit = "m" }]
"#
    .to_owned();
    for id in DEVICES {
        devices.push_str(&format!(
            r#"
[[device]]
id = "{id}"
kind = "river"
name = {{ vi = "Trạm", en = "Gauge" }}
area = "28261"
lat = 10.3
lon = 106.3
"#
        ));
    }
    let places = r#"
[[place]]
id = "ward-28261"
name = { vi = "Phường Mỹ Tho", en = "My Tho Ward" }
kind = "ward"
lat = 10.35
lon = 106.37
area = "28261"
"#;
    Arc::new(registry_file::parse(&devices, places).unwrap())
}

/// How long limits must be broken and kept, and how far rules look back, in seconds.
#[derive(Clone, Copy, Debug)]
struct Durations {
    wrong: u32,
    right: u32,
    back: u32,
}

fn durations() -> impl Strategy<Value = Durations> {
    let some = || prop::sample::select(vec![0, 7, 30, 90]);
    let back = prop::sample::select(vec![5, 20, 60]);
    (some(), some(), back).prop_map(|(wrong, right, back)| Durations { wrong, right, back })
}

fn rules(durations: Durations) -> String {
    let Durations { wrong, right, back } = durations;
    let delays = format!("for = \"{wrong}s\"\nclear_for = \"{right}s\"\nkinds = [\"river\"]");
    let of = |id: &str, lines: &str| rule_text(id, &format!("metrics = [\"level_m\"]\n{lines}"));
    let at_once = "kinds = [\"river\"]";
    let mut text = PREAMBLE.to_owned();
    for (id, lines) in [
        ("at-once", format!("severity = 1\nat_least = 5\nclear = 3\n{at_once}")),
        ("slow", format!("severity = 2\nabove = 4\nclear = 1\n{delays}")),
        (
            "low",
            format!(
                "severity = 3\nat_most = -5\n{delays}\nschedule = {{ hours = [\"11:05 to 11:10\"] }}"
            ),
        ),
        (
            "rate",
            format!(
                "severity = 3\nrate_at_least = 2\nper = \"10s\"\nwithin = \"{back}s\"\nclear = 1\n{at_once}"
            ),
        ),
        (
            "delta",
            format!("severity = 3\ndelta_below = -6\nwithin = \"{back}s\"\nclear = -2\n{delays}"),
        ),
        ("frozen", format!("severity = 4\nfrozen = \"{back}s\"\ntolerance = 1\n{at_once}")),
        (
            "mean",
            format!(
                "severity = 4\nabove = 2\nclear = 0\nwindow = \"60s\"\nevery = \"20s\"\nstatistic = \"mean\"\nleast_count = 2\n{delays}"
            ),
        ),
        (
            "most",
            format!("severity = 4\nat_least = 7\nwindow = \"20s\"\nstatistic = \"max\"\n{at_once}"),
        ),
    ] {
        text.push_str(&of(id, &lines));
    }
    text.push_str(&of("levels", at_once));
    for (severity, at_least) in [(3, 3), (2, 6), (1, 8)] {
        text.push_str(&format!(
            "\n[[rule.level]]\nseverity = {severity}\nat_least = {at_least}\nclear = {}\nfor = \"{wrong}s\"\n",
            at_least - 1
        ));
    }
    text
}

/// One report of a gauge: whole metres, so that values come again, within a quarter of an hour.
fn report() -> impl Strategy<Value = Report> {
    let quality = prop_oneof![9 => Just(Quality::Good), 1 => Just(Quality::Suspect)];
    let sequence = prop_oneof![9 => Just(0), 1 => Just(1_u32)];
    (0..DEVICES.len(), 0..900_i64, sequence, -9..10_i8, quality).prop_map(
        |(of, second, sequence, value, quality)| Report {
            series: series(DEVICES[of], "level_m"),
            time_ms: BEGIN_MS + second * SECOND_MS,
            sequence,
            value: f64::from(value),
            quality,
        },
    )
}

/// What two gauges say: each identity once, in order of time, in stretches over which a value tends
/// to last.
fn reports() -> impl Strategy<Value = Vec<Report>> {
    (prop::collection::vec(report(), 1..150), 1..6_usize).prop_map(|(reports, lasts)| {
        let oracle = Oracle::of(reports);
        let mut all: Vec<Report> =
            oracle.series().flat_map(|key| held(oracle.reports(key), lasts)).collect();
        all.sort_by_key(|report| report.time_ms);
        all
    })
}

fn held(reports: &[Report], lasts: usize) -> Vec<Report> {
    let of_stretch = |stretch: &[Report]| -> Vec<Report> {
        let value = stretch[0].value;
        stretch.iter().map(|report| Report { value, ..report.clone() }).collect()
    };
    reports.chunks(lasts).flat_map(of_stretch).collect()
}

/// A packet for each report, heard a moment after the last of all was measured, or as it comes.
fn packets(reports: &[Report]) -> Vec<ReadingBatch> {
    let heard = |report: &Report| {
        packet(&report.series.device, BEGIN_MS + 15 * MINUTE_MS, std::slice::from_ref(report))
    };
    reports.iter().map(heard).collect()
}

fn setting(durations: Durations, wait_ms: i64) -> Setting {
    let checkpoints = ("checkpoint_interval_ms", 20);
    let late_after = ("late_after_ms", 30 * MINUTE_MS);
    let config = section(&[("tick_ms", 1), checkpoints, ("wait_ms", wait_ms), late_after]);
    Setting { rules: rules(durations), registry: registry(), now_ms: BEGIN_MS, config }
}

fn expected(durations: Durations, reports: &[Report]) -> Vec<Episode> {
    let registry = registry();
    let rules = parsed(&rules(durations), &registry);
    let looked_ms = OVER_MS - 30 * MINUTE_MS;
    of_readings(&rules, &registry, &Oracle::of(reports.iter().cloned()), looked_ms)
}

/// Plays a history in which the service dies after some of the packets.
async fn play(
    setting: Setting,
    reports: &[Report],
    crashes: &[usize],
) -> anyhow::Result<Vec<Episode>> {
    let mut judging = Judging::in_memory(setting)?;
    let packets = packets(reports);
    let mut left = &packets[..];
    for (number, crash) in crashes.iter().enumerate() {
        let (now, later) = left.split_at((*crash).min(left.len()));
        left = later;
        judging.append(now).await?;
        if number % 2 == 0 {
            judging.judged().await?;
        }
        judging = judging.crash().await?;
    }
    judging.append(left).await?;
    judging.judged().await?;
    judging.look(OVER_MS).await?;
    episodes(&judging.finish().await?)
}

/// Plays a history and compares with what the oracle says of `expected_of`.
fn must_tell(
    expected_of: &[Report],
    durations: Durations,
    wait_ms: i64,
    reports: &[Report],
    crashes: &[usize],
) -> Result<(), TestCaseError> {
    let ended = block_on(async {
        let told = play(setting(durations, wait_ms), reports, crashes).await?;
        must_agree(&told, &expected(durations, expected_of))
    });
    ended.map_err(|error| TestCaseError::fail(format!("{error:#}")))
}

proptest! {
    #[test]
    fn in_order_they_are_the_oracles(reports in reports(), durations in durations()) {
        must_tell(&reports, durations, 0, &reports, &[])?;
    }

    #[test]
    fn any_order_within_the_wait_gives_the_same_alerts(
        reports in reports(), durations in durations(), seed in any::<u64>(),
    ) {
        let mut shuffled = reports.clone();
        Chance::of(seed).shuffle(&mut shuffled);
        must_tell(&reports, durations, WAIT_MS, &shuffled, &[])?;
    }

    #[test]
    fn copies_change_no_alert(
        reports in reports(),
        copies in prop::collection::vec(any::<(Index, Index)>(), 1..60),
        durations in durations(),
        wait_ms in prop::sample::select(vec![0, 30_000, WAIT_MS]),
    ) {
        let mut repeated = reports.clone();
        for (which, gap) in copies {
            let from = which.index(repeated.len());
            let to = from + 1 + gap.index(repeated.len() - from);
            repeated.insert(to, repeated[from].clone());
        }
        must_tell(&reports, durations, wait_ms, &repeated, &[])?;
    }

    #[test]
    fn a_crash_at_any_point_changes_no_alert(
        reports in reports(),
        crashes in prop::collection::vec(0..40_usize, 1..6),
        durations in durations(),
        wait_ms in prop::sample::select(vec![0, 30_000, WAIT_MS]),
    ) {
        must_tell(&reports, durations, wait_ms, &reports, &crashes)?;
    }

    /// The other device is as loud as it can be, far ahead of all clocks too.
    #[test]
    fn no_device_can_change_the_alerts_of_another(
        reports in reports(), foreign in reports(), durations in durations(), seed in any::<u64>(),
        wait_ms in prop::sample::select(vec![0, 30_000]),
    ) {
        let mine = series(DEVICES[0], "level_m");
        let own: Vec<Report> = reports.into_iter().filter(|report| report.series == mine).collect();
        let mut chance = Chance::of(seed);
        let mut together = own.clone();
        for mut report in foreign {
            report.series = series(DEVICES[1], "level_m");
            if chance.per_mille(300) {
                report.time_ms = i64::MAX - chance.below(9) as i64;
            }
            together.insert(chance.below(together.len() as u64 + 1) as usize, report);
        }
        let ended = block_on(async {
            let mut told = play(setting(durations, wait_ms), &together, &[]).await?;
            told.retain(|episode| episode.device == mine.device);
            must_agree(&told, &expected(durations, &own))
        });
        prop_assert!(ended.is_ok(), "{:#}", ended.unwrap_err());
    }

    /// What is open when its rule changes ends then, once; the new edition knows nothing of before.
    #[test]
    fn an_edit_of_the_rules_ends_what_they_had_raised_exactly_once(
        reports in reports(), at in any::<Index>(), before in durations(), after in durations(),
    ) {
        let (first, second) = reports.split_at(at.index(reports.len() + 1));
        let told = block_on(async {
            let mut judging = Judging::in_memory(setting(before, 0))?;
            judging.append(&packets(first)).await?;
            judging.judged().await?;
            judging.clock.set_ms(OVER_MS);
            judging.edit(&rules(after)).await?;
            judging.append(&packets(second)).await?;
            judging.judged().await?;
            episodes(&judging.finish().await?)
        });
        let mut told = told.map_err(|error| TestCaseError::fail(format!("{error:#}")))?;
        // Windows are over by the clock before the second half is heard; and whatever looks back
        // may also see what was reported before the edit. That they contradict nothing is checked.
        let looks_back = |episode: &Episode| {
            ["mean", "most", "rate", "delta", "frozen"].contains(&episode.rule.as_str())
        };
        told.retain(|episode| !looks_back(episode));
        let registry = registry();
        let (old, new) = (parsed(&rules(before), &registry), parsed(&rules(after), &registry));
        let of = |rules: &[Rule], reports: &[Report]| {
            of_readings(rules, &registry, &Oracle::of(reports.iter().cloned()), i64::MIN)
        };
        let is_changed = |episode: &Episode| {
            let is_it = |rule: &&Rule| rule.id == episode.rule;
            old.iter().find(is_it).map(Rule::version) != new.iter().find(is_it).map(Rule::version)
        };
        // A rule that stays goes on as if nothing had happened.
        let mut wanted = of(&old, &reports);
        wanted.retain(|episode| !is_changed(episode));
        wanted.extend(of(&old, first).into_iter().filter(is_changed).map(|episode| Episode {
            end_ms: episode.end_ms.or(Some(OVER_MS)),
            ..episode
        }));
        wanted.extend(of(&new, second).into_iter().filter(is_changed));
        wanted.retain(|episode| !looks_back(episode));
        wanted.sort();
        must_agree(&told, &wanted).map_err(|error| TestCaseError::fail(format!("{error:#}")))?;
    }
}
