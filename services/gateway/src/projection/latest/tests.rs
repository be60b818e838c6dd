//! Tests of the latest values: conflation, walks, memory.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sen_model::{Device, MetricSpec, text::Text};

use super::*;
use crate::sample;
use crate::wire::{FromServer, Upsert};

const FRAME: usize = 1_000;

fn registry() -> Registry {
    let spec = |metric: &str| MetricSpec {
        metric: Metric::new(metric).unwrap(),
        name: Text::new("x", "x"),
        unit: "m".into(),
        min: None,
        max: None,
    };
    let device = Device {
        id: DeviceId::new("stn-my-tho").unwrap(),
        name: Text::new("Mỹ Tho", "My Tho"),
        kind: "river".into(),
        field: Field::Environment,
        area: sen_model::AreaCode::new("28261").unwrap(),
        lat: 10.35,
        lon: 106.36,
        interval_ms: 60_000,
        tags: Vec::new(),
        relations: sen_model::Relations::default(),
        metrics: vec![spec("water_level_m"), spec("salinity_g_l")],
    };
    Registry::new(vec![device], Vec::new())
}

fn rows(frame: &str) -> Vec<Upsert> {
    assert!(frame.len() <= FRAME.max(crate::wire::MAX_FRAME_OUT_BYTES));
    match serde_json::from_str(frame).unwrap() {
        FromServer::Tick { upserts } => upserts,
        other => panic!("{other:?}"),
    }
}

/// A screen's table of values.
type Table = BTreeMap<String, (f64, i64)>;

fn show(table: &mut Table, frame: &str) {
    for Upsert(device, metric, value, at, _) in rows(frame) {
        table.insert(format!("{device}/{metric}"), (value, at));
    }
}

fn everything(latest: &Latest, view: View) -> Table {
    let mut table = Table::new();
    let mut walk = latest.walk(0);
    while let Some(frame) = latest.frame_of_walk(&mut walk, view, FRAME) {
        show(&mut table, &frame);
    }
    table
}

#[test]
fn an_older_or_equal_reading_changes_nothing() {
    let mut latest = Latest::new(&registry(), 100);
    latest.apply(&sample::batch("stn-my-tho", "water_level_m", 20, 1.5));
    latest.apply(&sample::batch("stn-my-tho", "water_level_m", 10, 9.0));
    latest.apply(&sample::batch("stn-my-tho", "water_level_m", 20, 9.0));
    let table = everything(&latest, View::All);
    assert_eq!(table, Table::from([("stn-my-tho/water_level_m".into(), (1.5, 20))]));
    let heard = latest.of_device(&DeviceId::new("stn-my-tho").unwrap()).unwrap();
    assert_eq!((heard.accepted, heard.at), (3, Some(Timestamp::from_millis(25))));
    let series: Vec<_> =
        latest.series_of(heard).iter().map(|(m, r)| (m.as_str(), r.is_some())).collect();
    assert_eq!(series, [("salinity_g_l", false), ("water_level_m", true)]);
}

#[test]
fn views_hold_their_field_and_unknown_devices_only_where_all_is() {
    let mut latest = Latest::new(&registry(), 100);
    latest.apply(&sample::batch("stn-my-tho", "water_level_m", 1, 1.0));
    latest.apply(&sample::batch("unheard-of", "x", 1, 1.0));
    assert_eq!(everything(&latest, View::All).len(), 2);
    assert_eq!(everything(&latest, View::Of(Field::Environment)).len(), 1);
    assert_eq!(everything(&latest, View::Of(Field::Security)).len(), 0);
}

#[test]
fn series_beyond_the_limit_are_counted_not_kept() {
    let mut latest = Latest::new(&registry(), 3);
    for n in 0..10 {
        latest.apply(&sample::batch("stn-my-tho", &format!("m{n}"), 1, 1.0));
    }
    assert_eq!(latest.sizes(), (3, 9));
}

#[test]
fn invented_devices_cost_no_memory_and_take_no_place_of_known_ones() {
    let mut latest = Latest::new(&registry(), 100);
    let name = |n: usize| DeviceId::new(format!("invented-{n}")).unwrap();
    for n in 0..MOST_STRANGERS + 500 {
        latest.heard(&name(n), Timestamp::from_millis(1));
    }
    assert_eq!(latest.devices_after(None).count(), MOST_STRANGERS + 1);
    latest.apply(&sample::batch("invented-too", "m", 1, 1.0));
    latest.apply(&sample::batch("stn-my-tho", "water_level_m", 1, 1.0));
    assert_eq!((latest.sizes(), latest.accepted()), ((2, 1), 2));
    assert_eq!(everything(&latest, View::All).len(), 1);
    latest.heard(&name(7), Timestamp::from_millis(9));
    assert_eq!(latest.of_device(&name(7)).unwrap().at, Some(Timestamp::from_millis(9)));
    assert_eq!(latest.devices.len(), MOST_STRANGERS + 1);
}

#[test]
fn frames_stay_under_their_limit_with_the_longest_names_and_numbers() {
    let mut latest = Latest::new(&Registry::default(), 1_000);
    let device = "d".repeat(64);
    for n in 0..300 {
        let metric = format!("{}{n:03}", "m".repeat(61));
        latest.apply(&sample::batch(&device, &metric, i64::MAX / 2, -1.234_567_890_123_456_7e-300));
    }
    let (mut walk, mut frames, mut seen) = (latest.walk(0), 0, 0);
    while let Some(frame) = latest.frame_of_walk(&mut walk, View::All, FRAME) {
        assert!(frame.len() <= FRAME, "{}", frame.len());
        frames += 1;
        seen += rows(&frame).len();
    }
    assert_eq!(seen, 300);
    assert!(frames >= 60);
}

#[test]
fn a_hundred_thousand_series_cost_less_than_20_mb() {
    let mut latest = Latest::new(&Registry::default(), 200_000);
    for device in 0..20_000 {
        for metric in 0..5 {
            let metric = format!("metric_{metric}");
            latest.apply(&sample::batch(
                &format!("device-with-a-long-name-{device:06}"),
                &metric,
                1,
                1.0,
            ));
        }
    }
    latest.take_fresh();
    // Names of up to 24 bytes are held in place by their type; longer ones lie on the heap, once in
    // the table and once in the index. A B-tree is at least half full.
    let name = size_of::<DeviceId>();
    let heap = 2 * latest.devices.iter().map(|d| d.id.as_str().len()).sum::<usize>();
    let series: usize = latest.devices.iter().map(|d| d.series.capacity() * 8).sum();
    let bytes = latest.rows.capacity() * size_of::<Row>()
        + latest.devices.capacity() * size_of::<Heard>()
        + latest.fresh.capacity() * 4
        + 2 * latest.by_id.len() * (name + 4)
        + heap
        + series;
    assert_eq!(latest.sizes().0, 100_000);
    assert!(bytes < 20_000_000, "{bytes} bytes");
}

proptest! {
    /// W12: whatever was missed and whenever the ticks were taken, at rest the last value shown is
    /// the last value there is, for a screen that was there all the time, for one that came in the
    /// middle, and for one that missed ticks.
    #[test]
    fn at_rest_every_screen_shows_what_there_is(
        steps in proptest::collection::vec((0..3u8, 0..4u8, 0..20i64, 0..9u8), 1..80),
        joins in 0..80usize,
        misses in 0..4usize,
    ) {
        let mut latest = Latest::new(&registry(), 100);
        let (mut steady, mut late) = (Table::new(), Table::new());
        let mut position = None;
        for (step, (device, metric, at, act)) in steps.iter().enumerate() {
            latest.apply(&sample::batch(&format!("device{device}"), &format!("m{metric}"), *at, step as f64));
            if step == joins {
                let mut walk = latest.walk(0);
                while let Some(frame) = latest.frame_of_walk(&mut walk, View::All, 300) {
                    show(&mut late, &frame);
                }
                position = Some(walk.until);
            }
            if *act < 3 {
                tick(&mut latest, &mut steady, &mut late, &mut position, step % 4 < misses);
            }
        }
        position.get_or_insert(0);
        tick(&mut latest, &mut steady, &mut late, &mut position, false);
        let wanted = everything(&latest, View::All);
        prop_assert_eq!(&steady, &wanted);
        prop_assert_eq!(&late, &wanted);
    }
}

/// One shared tick, as the lanes of two connections take it.
fn tick(
    latest: &mut Latest,
    steady: &mut Table,
    late: &mut Table,
    position: &mut Option<u64>,
    missed: bool,
) {
    let fresh = latest.take_fresh();
    let mut frames = Vec::new();
    let mut next = 0;
    while let Some(frame) = latest.frame_of_fresh(&fresh, View::All, &mut next, 300) {
        frames.push(frame);
    }
    frames.iter().for_each(|frame| show(steady, frame));
    let Some(at) = *position else { return };
    if missed {
        return;
    }
    if at >= fresh.from {
        frames.iter().for_each(|frame| show(late, frame));
        *position = Some(fresh.to);
    } else {
        let mut walk = latest.walk(at);
        while let Some(frame) = latest.frame_of_walk(&mut walk, View::All, 300) {
            show(late, &frame);
        }
        *position = Some(walk.until);
    }
}
