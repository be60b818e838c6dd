//! Retention by class of metric.

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

use std::path::Path;

use sen_model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use sen_model::{DeviceId, Metric, Moment, Partial, Quality, Tier, Timestamp};
use sen_store::{Checkpoint, Class, Config, Point, SeriesId, Span, Store, Summaries};

/// 2026-11-23T00:00:00Z.
const BEGIN_MS: i64 = 20_780 * DAY_MS;
const DAYS: i64 = 120;

fn config(noise: Option<Class>) -> Config {
    let class = noise.into_iter().collect();
    Config { raw_days: 100, minute_days: 100, quarter_days: 100, class, ..Config::default() }
}

/// 40 days of raw and 50 of hours, in place of 100 and more.
fn short() -> Class {
    Class {
        name: "noise".to_owned(),
        metrics: vec!["noise_db".to_owned(), "heartbeat".to_owned()],
        raw_days: Some(40),
        minute_days: Some(45),
        quarter_days: Some(45),
        hour_days: Some(50),
        day_days: Some(60),
    }
}

fn open(folder: &Path, class: Option<Class>) -> Store {
    Store::open(folder.to_owned(), config(class)).unwrap()
}

fn series(store: &Store, number: u32, metric: &str) -> SeriesId {
    let device = DeviceId::new(format!("device-{number}")).unwrap();
    store.series_id(&device, &Metric::new(metric).unwrap()).unwrap()
}

/// `DAYS` days of a point each five minutes and a minute's summary each six hours, in 16 series.
async fn fill(store: &Store) {
    for number in 0..8 {
        for metric in ["noise_db", "level_m"] {
            let id = series(store, number, metric);
            let (mut points, mut summaries) = (Vec::new(), Summaries::new());
            for step in 0..DAYS * 288 {
                let event_time = Timestamp::from_millis(BEGIN_MS + step * 5 * MINUTE_MS);
                // Full mantissas do not compress, so that files have a size.
                let value = ((step as f64) * 0.618_033_988_749_895).sin();
                let (quality, received_at) = (Quality::Good, event_time);
                points.push((id, Point { event_time, sequence: 0, value, quality, received_at }));
                if step % 72 == 0 {
                    let mut partial = Partial::default();
                    partial.add(Moment { event_time, sequence: 0, value }, quality);
                    summaries.push(id, event_time, &partial);
                }
            }
            store.write(&mut points).await.unwrap();
            let checkpoint = Checkpoint { epoch: "e".to_owned(), next: u64::from(number) };
            store.commit(summaries, checkpoint).await.unwrap();
        }
    }
    store.seal().await.unwrap();
    store.roll_up(Timestamp::from_millis(i64::MAX)).await.unwrap();
}

fn now() -> Timestamp {
    Timestamp::from_millis(BEGIN_MS + DAYS * DAY_MS)
}

/// Days before now of the oldest point, and of the oldest summary of each tier.
async fn ages(store: &Store, id: SeriesId) -> Vec<i64> {
    let age = |time: Timestamp| (now().since_ms(time) + HOUR_MS) / DAY_MS;
    let points = store.points(id, Span::ALL, 1).await.unwrap();
    let mut ages = vec![age(points[0].event_time)];
    for tier in [Tier::Minute, Tier::QuarterHour, Tier::Hour, Tier::Day] {
        let summaries = store.summaries(id, tier, Span::ALL, 1).await.unwrap();
        ages.push(age(summaries[0].start));
    }
    ages
}

#[tokio::test]
async fn a_class_goes_earlier_and_gives_its_space_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Some(short()));
    fill(&store).await;
    store.retain(Timestamp::from_millis(BEGIN_MS)).await.unwrap();
    let (noise, level) = (series(&store, 3, "noise_db"), series(&store, 3, "level_m"));
    assert_eq!((ages(&store, noise).await[0], ages(&store, level).await[0]), (DAYS, DAYS));
    let before = store.stats().disk_bytes;

    store.retain(now()).await.unwrap();
    // Hours and days go by blocks of 32 and 512 days.
    let of_noise = ages(&store, noise).await;
    assert_eq!(of_noise[..3], [40, 45, 45]);
    assert!((50..50 + 33).contains(&of_noise[3]), "{of_noise:?}");
    assert_eq!(ages(&store, level).await[..3], [100, 100, 100]);
    let after = store.stats().disk_bytes;
    assert!(after + (1 << 19) < before, "{before} bytes before, {after} after");
    let left = store.points(noise, Span::ALL, usize::MAX).await.unwrap();
    assert_eq!(left.len() as i64, 40 * 288);

    // A day later one more day goes.
    store.retain(now().plus_ms(DAY_MS)).await.unwrap();
    assert_eq!(ages(&store, noise).await[..3], [39, 44, 44]);
    assert_eq!(ages(&store, level).await[..3], [99, 99, 99]);
}

#[tokio::test]
async fn other_settings_sweep_anew_from_the_oldest() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(
        folder.path(),
        Some(Class {
            raw_days: Some(60),
            minute_days: None,
            quarter_days: None,
            hour_days: None,
            day_days: None,
            ..short()
        }),
    );
    fill(&store).await;
    store.retain(now()).await.unwrap();
    let noise = series(&store, 0, "noise_db");
    assert_eq!(ages(&store, noise).await[..2], [60, 100]);
    drop(store);

    let store = open(folder.path(), Some(short()));
    store.retain(now()).await.unwrap();
    assert_eq!(ages(&store, series(&store, 0, "noise_db")).await[..2], [40, 45]);
    drop(store);

    // Without classes nothing is kept for less.
    let store = open(folder.path(), None);
    store.retain(now().plus_ms(DAY_MS)).await.unwrap();
    assert_eq!(ages(&store, series(&store, 0, "noise_db")).await[..2], [40, 45]);
    assert_eq!(ages(&store, series(&store, 0, "level_m")).await[..2], [99, 99]);
}
