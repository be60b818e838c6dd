//! Histories over a real store.

use sen_store::{Checkpoint, Point, Store, Summaries};

use super::*;
use crate::sample;

const NOW: Timestamp = Timestamp::from_millis(1_795_417_325_120);

fn wall(over: &str) -> Wall {
    let text = format!(
        "title = {{ vi = 'a', en = 'b' }}\n[[tile]]\nid = 'levels'\nfield = 'environment'\n\
         label = {{ vi = 'a', en = 'b' }}\nmetric = 'level'\nunit = 'm'\ndigits = 1\n{over}\n"
    );
    crate::wall::parse(&text).unwrap()
}

const MANY: &str = "kind = 'river'\nstatistic = 'sum'";

struct House {
    _folder: tempfile::TempDir,
    store: Store,
    histories: Histories,
}

impl House {
    fn new(over: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().into(), sen_store::Config::default()).unwrap();
        let devices = ["one", "two", "three"].map(|id| sample::device(id, "level"));
        let registry = Registry::new(devices.into(), Vec::new());
        Self { _folder: folder, store, histories: Histories::new(&wall(over), &registry) }
    }

    async fn said(&self, device: &str, seconds_ago: &[i64], value: f64) {
        let device = DeviceId::new(device).unwrap();
        let series = self.store.series_id(&device, &Metric::new("level").unwrap()).unwrap();
        let point = |seconds: &i64| Point {
            event_time: NOW.plus_ms(-seconds * 1_000),
            sequence: 0,
            value,
            quality: Quality::Good,
            received_at: NOW,
        };
        let mut points = seconds_ago.iter().map(|seconds| (series, point(seconds))).collect();
        self.store.write(&mut points).await.unwrap();
    }

    fn past(&self) -> Past {
        Past::new(
            self.store.clone(),
            sen_store::Config::default(),
            sen_chassis::Clock::manual(0),
            None,
        )
    }

    /// What was said in the last minutes, the newest first, by how many minutes ago.
    async fn back(&self, minutes: i64, now: Timestamp) -> Vec<(i64, f64)> {
        let from = now.plus_ms(-minutes * MINUTE_MS);
        let line = self.histories.line("levels", &self.past(), from, now).await.unwrap().unwrap();
        let (_, steps) = line.cut(from, now, 1_440);
        steps.iter().rev().map(|(minute, step)| (minute_of(now) - minute, step.value)).collect()
    }
}

#[tokio::test]
async fn a_line_is_kept_but_its_end_is_always_new() {
    let house = House::new(MANY);
    house.said("one", &[600, 60], 1.0).await;
    house.said("two", &[60], 20.0).await;
    let first = house.back(1_440, NOW).await;
    // Each is believed for five of its minutes.
    let alone = [(5, 1.0), (6, 1.0), (7, 1.0), (8, 1.0), (9, 1.0), (10, 1.0)];
    assert_eq!(first[..2], [(0, 21.0), (1, 21.0)]);
    assert_eq!(first[2..], alone);
    // One comes now, one of long ago comes late.
    house.said("three", &[1, 300], 300.0).await;
    let soon = NOW.plus_ms(KEPT_MS - 1);
    let kept = house.back(1_440, soon).await;
    assert_eq!(kept[0], (0, 321.0));
    assert_eq!(kept[2..], alone, "kept");
    let later = house.back(1_440, NOW.plus_ms(KEPT_MS)).await;
    assert_eq!(later.iter().find(|(ago, _)| *ago == 5), Some(&(5, 301.0)), "read anew");
}

#[tokio::test]
async fn who_was_away_for_minutes_does_not_read_a_day() {
    let house = House::new(MANY);
    house.said("one", &[60, 7_200], 1.0).await;
    assert_eq!(house.back(10, NOW).await.len(), 2);
    let hour = house.histories.tiles[0].kept.lock().await.as_ref().map(|kept| kept.line.clone());
    assert!(!hour.unwrap().reaches(minute_of(NOW) - HOUR));
    // Who wants more gets more, though there is a line kept.
    let day = house.back(1_440, NOW).await;
    assert_eq!(day.last(), Some(&(120, 1.0)));
}

#[tokio::test]
async fn one_device_is_itself_and_an_unheard_one_is_empty() {
    let house = House::new("device = 'one'");
    let earlier = NOW.plus_ms(-KEPT_MS);
    assert!(house.back(1_440, earlier).await.is_empty());
    house.said("one", &[130, 300], 5.0).await;
    house.said("two", &[130], 7.0).await;
    assert_eq!(house.back(1_440, NOW).await, [(3, 5.0), (5, 5.0)]);
    assert!(house.histories.line("nothing", &house.past(), NOW, NOW).await.unwrap().is_none());
}

#[tokio::test]
async fn of_too_many_readings_the_minutes_are_taken_from_summaries() {
    let house = House::new("device = 'one'");
    let seconds: Vec<i64> = (0..600).collect();
    house.said("one", &seconds, 2.0).await;
    let device = DeviceId::new("one").unwrap();
    let series = house.store.find(&device, &Metric::new("level").unwrap()).unwrap();
    // The store has summed up all but the last three minutes, as a commit leaves it.
    let last = minute_of(NOW);
    let mut summaries = Summaries::new();
    for minute in last - 10..last - 2 {
        let span = Span { from: start_of(minute), to: start_of(minute + 1) };
        let partial = house.store.fold(vec![(series, span)]).await.unwrap().remove(0);
        summaries.push(series, span.from, &partial);
    }
    let checkpoint = Checkpoint { epoch: "e".into(), next: 1 };
    house.store.commit(summaries, checkpoint).await.unwrap();
    let source = &house.histories.tiles[0].source;
    let grid = Grid::between(last - 20, last);
    let all = source.gather(&house.past(), grid, MOST_READINGS).await.unwrap();
    let summed = source.gather(&house.past(), grid, 200).await.unwrap();
    assert_eq!(all, summed);
    assert_eq!(summed.cut(grid.from(), grid.to(), 100).1.len(), 11);
}

#[test]
fn readings_count_for_five_intervals_in_whole_minutes() {
    let minutes = [0, 10_000, 12_000, 12_001, 60_000, i64::MAX].map(believed_minutes);
    assert_eq!(minutes, [1, 1, 1, 2, 5, 1_440]);
}
