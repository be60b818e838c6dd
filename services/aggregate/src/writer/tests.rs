//! The writer over the real store: crashes, and stores that stay what a batch run gives.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use sen_model::time::MINUTE_MS;
use sen_model::{
    AreaCode, Device, Field, MetricSpec, Moment, Partial, Quality, Reading, Text, Tier,
};

use super::*;
use crate::window::start_of;

/// 2026-11-23T00:00:00Z, and the clock half an hour later.
const BEGIN_MS: i64 = 1_795_392_000_000;
const NOW_MS: i64 = BEGIN_MS + 30 * MINUTE_MS;

fn writer_over(store: &Store, registry: Registry, windows: Windows) -> Writer {
    let patience = Patience::new(Health::new(), Shutdown::new(), NOW_MS);
    let clock = Clock::manual(NOW_MS);
    Writer::new(store.clone(), Arc::new(registry), clock, windows, patience)
}

fn open(folder: &Path) -> (Store, Writer) {
    let config = sen_store::Config { seal_points: 20, ..sen_store::Config::default() };
    let store = Store::open(folder.to_owned(), config).unwrap();
    // Few windows fit, so that many are recomputed.
    let windows = Windows::new(2 * MINUTE_MS, 8);
    let writer = writer_over(&store, Registry::default(), windows);
    (store, writer)
}

/// One registered device with one metric.
fn registry_of(device: &str, metric: &str) -> Registry {
    let name = || Text { vi: device.to_owned(), en: device.to_owned() };
    let metric = MetricSpec {
        metric: Metric::new(metric).unwrap(),
        name: name(),
        unit: "m".to_owned(),
        min: None,
        max: None,
    };
    let device = Device {
        id: DeviceId::new(device).unwrap(),
        name: name(),
        kind: "gauge".to_owned(),
        field: Field::Environment,
        area: AreaCode::new("30076").unwrap(),
        lat: 10.0,
        lon: 105.0,
        interval_ms: MINUTE_MS,
        tags: Vec::new(),
        relations: sen_model::Relations::default(),
        metrics: vec![metric],
    };
    Registry::new(vec![device], Vec::new())
}

fn batches() -> impl Strategy<Value = Vec<ReadingBatch>> {
    let reading = (0..2_u8, 0..1_500_i64, 0..2_u32, -100.0..100.0_f64, prop::bool::weighted(0.9))
        .prop_map(|(metric, second, sequence, value, good)| Reading {
            metric: Metric::new(["level_m", "rain_mm"][usize::from(metric)]).unwrap(),
            event_time: Timestamp::from_millis(BEGIN_MS + second * 1_000),
            value,
            quality: if good { Quality::Good } else { Quality::Suspect },
            sequence,
        });
    let batch = (0..2_u8, prop::collection::vec(reading, 1..12)).prop_map(|(device, readings)| {
        let device = DeviceId::new(format!("station-{device}")).unwrap();
        ReadingBatch { device, received_at: Timestamp::from_millis(NOW_MS), readings }
    });
    prop::collection::vec(batch, 1..30)
}

/// After how many batches to commit and to die.
fn parts() -> impl Strategy<Value = Vec<(usize, bool, bool)>> {
    prop::collection::vec((1..8_usize, any::<bool>(), any::<bool>()), 0..6)
}

type Expected = BTreeMap<(String, Timestamp), Partial>;

fn batch_run(batches: &[ReadingBatch]) -> Expected {
    let mut known = BTreeMap::new();
    for batch in batches {
        for reading in &batch.readings {
            let series = format!("{}/{}", batch.device, reading.metric);
            let identity = (series, reading.event_time, reading.sequence);
            known.entry(identity).or_insert((reading.value, reading.quality));
        }
    }
    let mut summaries = Expected::new();
    for ((series, event_time, sequence), (value, quality)) in known {
        let partial = summaries.entry((series, start_of(event_time))).or_default();
        partial.add(Moment { event_time, sequence, value }, quality);
    }
    summaries
}

async fn stored(store: &Store) -> Expected {
    let mut found = Expected::new();
    for (id, key) in store.series() {
        for summary in store.summaries(id, Tier::Minute, Span::ALL, usize::MAX).await.unwrap() {
            found.insert((key.to_string(), summary.start), summary.partial);
        }
    }
    found
}

async fn stream(
    folder: &Path,
    batches: &[ReadingBatch],
    parts: &[(usize, bool, bool)],
) -> Expected {
    let checkpoint = |next: usize| Checkpoint { epoch: "e".to_owned(), next: next as u64 };
    let (mut store, mut writer) = open(folder);
    let mut at = 0;
    for (length, commits, crashes) in parts {
        let end = (at + length).min(batches.len());
        writer.take(batches[at..end].iter()).await.unwrap();
        at = end;
        if *commits {
            writer.commit(checkpoint(at)).await.unwrap();
        }
        if *crashes {
            drop((store, writer));
            (store, writer) = open(folder);
            let durable = store.checkpoint().await.unwrap();
            at = durable.map_or(0, |checkpoint| checkpoint.next as usize);
        }
    }
    writer.take(batches[at..].iter()).await.unwrap();
    writer.commit(checkpoint(batches.len())).await.unwrap();
    stored(&store).await
}

proptest! {
    // Real files and fsyncs: fewer cases than the pure properties of `window`.
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(48) })]
    #[test]
    fn the_store_ends_as_a_batch_run_whatever_crashes(batches in batches(), parts in parts()) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let found = runtime.block_on(stream(folder.path(), &batches, &parts));
        prop_assert_eq!(found, batch_run(&batches));
    }
}

#[tokio::test]
async fn counts_what_is_new_and_what_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = sen_store::Config { max_series: 1, ..sen_store::Config::default() };
    let store = Store::open(folder.path().to_owned(), config).unwrap();
    let windows = Windows::new(MINUTE_MS, 1_000);
    let mut writer = writer_over(&store, registry_of("registered", "c"), windows);
    let reading = |metric: &str| Reading {
        metric: Metric::new(metric).unwrap(),
        event_time: Timestamp::from_millis(BEGIN_MS),
        value: 1.0,
        quality: Quality::Good,
        sequence: 0,
    };
    let batch = ReadingBatch {
        device: DeviceId::new("station").unwrap(),
        received_at: Timestamp::from_millis(NOW_MS),
        readings: vec![reading("a"), reading("a"), reading("b")],
    };
    let taken = writer.take([&batch].into_iter()).await.unwrap();
    assert_eq!(taken, Taken { readings: 3, new: 1 });
    assert_eq!((writer.uncommitted(), store.stats().points), (1, 1));
    // Strangers have used up what there is; a registered series is stored all the same.
    let device = DeviceId::new("registered").unwrap();
    let batch = ReadingBatch { device, readings: vec![reading("c"), reading("d")], ..batch };
    let taken = writer.take([&batch].into_iter()).await.unwrap();
    assert_eq!(taken, Taken { readings: 2, new: 1 });
}
