//! The scheduled exports on a clock that the test moves, over a real store.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sen_chassis::{Clock, Shutdown};
use sen_export::{Exporter, Ports, parse};
use sen_model::time::{DAY_MS, HOUR_MS};
use sen_model::{DeviceId, Metric, Quality, Registry, Timestamp, registry_file};
use sen_store::{Checkpoint, Config, Point, Store};
use sen_table::Format;
use tempfile::TempDir;

/// The day whose file is waited for.
const DAY: &str = "2026-11-22";

fn time(text: &str) -> i64 {
    format!("{text}+07:00").parse::<Timestamp>().unwrap().as_millis()
}

fn registry() -> Registry {
    let devices = include_str!("../../../config/devices.toml");
    let places = include_str!("../../../config/places.toml");
    registry_file::parse(devices, places).unwrap()
}

struct House {
    folder: TempDir,
    store: Store,
    clock: Clock,
    text: String,
}

impl House {
    async fn new(format: Format, lists: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store"), Config::default()).unwrap();
        let begun = Timestamp::from_millis(time("2026-11-01T00:00:00"));
        store.retain(begun).await.unwrap();
        let text = format!(
            "[[export]]\nid = 'rivers'\ntitle = {{ vi = 'Sông', en = 'Rivers' }}\n\
             licence = 'CC BY 4.0'\nsource = 'Đồng Tháp'\ntier = 'raw'\nformat = '{}'\n\
             every = '1d'\nat = '02:00'\nkeep = 3\nlate_days = 2\nfolder = 'open'\n{lists}\n",
            format.as_str()
        );
        let clock = Clock::manual(time("2026-11-23T01:59:59"));
        Self { folder, store, clock, text }
    }

    async fn heard(&self, device: &str, metric: &str, time_ms: i64, value: f64) {
        let (device, metric) = (DeviceId::new(device).unwrap(), Metric::new(metric).unwrap());
        let id = self.store.series_id(&device, &metric).unwrap();
        let event_time = Timestamp::from_millis(time_ms);
        let point = Point {
            event_time,
            sequence: 0,
            value,
            quality: Quality::Good,
            received_at: event_time,
        };
        self.store.write(&mut vec![(id, point)]).await.unwrap();
        let checkpoint = Checkpoint { epoch: "e".to_owned(), next: 0 };
        self.store.commit(Vec::new(), checkpoint).await.unwrap();
    }

    /// Runs the service until `fact` holds.
    async fn until(&self, what: &str, mut fact: impl FnMut(&Self) -> bool) {
        let registry = Arc::new(registry());
        let exports = parse(&self.text, &registry).unwrap();
        let ports = Ports {
            store: self.store.clone(),
            kept: Config::default(),
            registry,
            folder: self.folder.path().to_owned(),
            clock: self.clock.clone(),
        };
        let shutdown = Shutdown::new();
        let running = Exporter::bind(exports, ports).run(shutdown.clone());
        let waiting = async {
            let mut pause = tokio::time::interval(Duration::from_millis(20));
            for _ in 0..6_000 {
                pause.tick().await;
                if fact(self) {
                    shutdown.request();
                    return;
                }
            }
            panic!("waited in vain for {what}");
        };
        let (ended, ()) = tokio::join!(running, waiting);
        ended.unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("open/rivers").join(name)
    }

    fn text_of(&self, day: &str) -> String {
        std::fs::read_to_string(self.path(&format!("rivers-{day}.csv"))).unwrap_or_default()
    }

    fn package(&self) -> serde_json::Value {
        let bytes = std::fs::read(self.path("datapackage.json")).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Whether the description says that a day was looked at at the present moment.
    fn looked_now(&self, day: &str) -> bool {
        let now = Timestamp::from_millis(self.clock.now_ms()).to_string();
        let package = self.package();
        let files = package["resources"].as_array().cloned().unwrap_or_default();
        files.iter().any(|file| file["day"] == day && file["checked"] == now.as_str())
    }
}

fn rows(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).skip(1).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_published_with_its_licence_and_late_readings_replace_it() {
    let house = House::new(Format::Csv, "kinds = ['river']").await;
    let noon = time("2026-11-22T12:00:00");
    house.heard("stn-my-tho", "water_level_m", noon, 1.25).await;
    house.heard("stn-my-tho", "water_level_m", noon + DAY_MS, 9.0).await;
    house.clock.set_ms(time("2026-11-23T02:00:00"));
    house.until("the file", |house| house.looked_now(DAY)).await;

    let text = house.text_of(DAY);
    assert!(text.starts_with("# licence: CC BY 4.0\r\n# source: Đồng Tháp\r\n"), "{text}");
    let [row] = rows(&text)[..] else { panic!("{text}") };
    assert!(row.contains("stn-my-tho") && row.contains("2026-11-22T12:00:00.000+07:00,1.25,good"));
    let package = house.package();
    let file = &package["resources"][0];
    assert_eq!(package["licenses"][0]["name"], "CC BY 4.0");
    assert_eq!(package["metrics"][0]["unit"], "m");
    assert_eq!((&file["rows"], &file["bytes"]), (&1.into(), &text.len().into()));
    let before = file["hash"].clone();

    // The same again a day later: the file is left alone, and the next one is made.
    let written =
        || std::fs::metadata(house.path("rivers-2026-11-22.csv")).unwrap().modified().unwrap();
    let first = written();
    house.clock.set_ms(time("2026-11-24T02:00:00"));
    house
        .until("a second look", |house| house.looked_now(DAY) && house.looked_now("2026-11-23"))
        .await;
    assert_eq!(written(), first, "nothing came late");

    house.heard("stn-my-tho", "water_level_m", noon + HOUR_MS, 1.5).await;
    house.clock.set_ms(time("2026-11-25T02:00:00"));
    house.until("the last look", |house| house.looked_now(DAY)).await;
    assert_eq!(rows(&house.text_of(DAY)).len(), 2);
    assert_ne!(house.package()["resources"][0]["hash"], before);

    // Later than `late_days`: it rests. Three files are kept, so it is the one that goes.
    house.heard("stn-my-tho", "water_level_m", noon + 2 * HOUR_MS, 1.75).await;
    house.clock.set_ms(time("2026-11-26T02:00:00"));
    house.until("the fourth day", |house| house.looked_now("2026-11-25")).await;
    assert!(!house.path("rivers-2026-11-22.csv").exists());
    assert_eq!(house.package()["resources"].as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_begun_anew_costs_no_published_row() {
    let mut house = House::new(Format::Csv, "kinds = ['river']").await;
    for (day, hour) in [(22, 11), (22, 12), (23, 11), (23, 12)] {
        let heard = time(&format!("2026-11-{day}T{hour}:00:00"));
        house.heard("stn-my-tho", "water_level_m", heard, 1.0).await;
    }
    house.clock.set_ms(time("2026-11-23T02:00:00"));
    house.until("the first day", |house| house.looked_now(DAY)).await;
    house.clock.set_ms(time("2026-11-24T02:00:00"));
    house.until("the second day", |house| house.looked_now("2026-11-23")).await;
    let (first, second) = (house.text_of(DAY), house.text_of("2026-11-23"));
    let package = house.package();

    // Begun anew on the evening of the second day, of which it has one reading back.
    house.store = Store::open(house.folder.path().join("anew"), Config::default()).unwrap();
    house.store.retain(Timestamp::from_millis(time("2026-11-23T20:00:00"))).await.unwrap();
    for day in [22, 23, 24] {
        let noon = time(&format!("2026-11-{day}T12:00:00"));
        house.heard("stn-my-tho", "water_level_m", noon, 2.0).await;
    }
    house.clock.set_ms(time("2026-11-25T02:00:00"));
    house.until("the third day", |house| house.looked_now("2026-11-24")).await;
    assert_eq!(rows(&house.text_of("2026-11-24")).len(), 1);
    assert_eq!([house.text_of(DAY), house.text_of("2026-11-23")], [first, second]);
    assert!(!house.looked_now(DAY), "a day before the store was begun is not asked for");
    assert!(house.looked_now("2026-11-23"), "it was asked for, and had fewer rows");
    for at in 0..2 {
        let now = house.package();
        let same = |key| now["resources"][at][key] == package["resources"][at][key];
        assert!(same("hash") && same("rows") && same("bytes"), "{now}");
    }

    // As many rows that differ, and more, still replace it.
    let late = time("2026-11-23T11:00:00");
    house.heard("stn-my-tho", "water_level_m", late, 2.5).await;
    house.clock.set_ms(time("2026-11-26T02:00:00"));
    house.until("the last look", |house| house.looked_now("2026-11-25")).await;
    assert!(house.text_of("2026-11-23").contains("11:00:00.000+07:00,2.5,good"));
}

#[tokio::test(flavor = "multi_thread")]
async fn days_that_the_store_no_longer_keeps_are_not_made_up_for() {
    let mut house = House::new(Format::Csv, "kinds = ['river']").await;
    house.text = house.text.replace("keep = 3", "keep = 100");
    house.clock.set_ms(time("2026-11-23T02:00:00"));
    house.until("the first day", |house| house.looked_now(DAY)).await;
    let days = i64::from(Config::default().raw_days);
    house.clock.set_ms(time("2026-11-28T12:00:00") + days * DAY_MS);
    let newest = Timestamp::from_millis(house.clock.now_ms() - DAY_MS).to_string();
    house.until("the newest day", |house| house.looked_now(&newest[..10])).await;
    // The first of them is kept for half of it.
    let files = house.package()["resources"].as_array().cloned().unwrap();
    let made: Vec<_> = files.iter().map(|file| file["day"].as_str().unwrap()).collect();
    assert_eq!((made.len(), &made[..2]), (33, &[DAY, "2026-11-28"][..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn days_that_were_missed_are_made_up_for_at_the_start() {
    let house = House::new(Format::Csv, "kinds = ['river']").await;
    house.clock.set_ms(time("2026-11-23T12:00:00"));
    house.until("the first day", |house| house.looked_now(DAY)).await;
    for day in [23, 24, 25] {
        let noon = time(&format!("2026-11-{day}T12:00:00"));
        house.heard("stn-my-tho", "water_level_m", noon, f64::from(day)).await;
    }
    house.clock.set_ms(time("2026-11-26T12:00:00"));
    house.until("the days between", |house| house.looked_now("2026-11-25")).await;
    for day in ["2026-11-23", "2026-11-24", "2026-11-25"] {
        assert_eq!(rows(&house.text_of(day)).len(), 1, "{day}");
    }
    // A file that somebody deleted is made again, too.
    std::fs::remove_file(house.path("rivers-2026-11-24.csv")).unwrap();
    house.until("the deleted file", |house| !house.text_of("2026-11-24").is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_strangers_and_nothing_that_is_not_open_is_ever_in_it() {
    for format in Format::ALL {
        let house = House::new(format, "").await;
        let noon = time("2026-11-22T12:00:00");
        let heard = [
            ("stn-my-tho", "water_level_m"),
            // A name that a stranger chose, of a device and of a metric.
            ("nguyen-van-a-0912345678", "water_level_m"),
            ("stn-my-tho", "phone-0912345678"),
            // Kinds that tell of persons.
            ("cam-cho-my-tho", "people_count"),
            ("report-1022", "reports_today"),
            ("onestop-28249", "waiting"),
            ("sen-centre", "disk_free_mb"),
        ];
        for (device, metric) in heard {
            house.heard(device, metric, noon, 1.0).await;
        }
        house.clock.set_ms(time("2026-11-23T02:00:00"));
        house.until("the file", |house| house.looked_now(DAY)).await;
        assert_eq!(house.package()["resources"][0]["rows"], 1, "{format:?}");
        let everything = all_bytes(&house.path(""));
        for (device, metric) in &heard[1..] {
            for name in [device, metric] {
                let public = ["stn-my-tho", "water_level_m"].contains(name);
                let found = everything.windows(name.len()).any(|part| part == name.as_bytes());
                assert!(public || !found, "{format:?} holds {name}");
            }
        }
        let licensed = everything.windows(9).any(|part| part == b"CC BY 4.0");
        assert!(licensed, "{format:?} without its licence");
    }
}

fn all_bytes(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap();
    files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_used_costs_no_other_export_and_is_tried_again() {
    let mut house = House::new(Format::Csv, "kinds = ['river']").await;
    let other = house.text.replace("'rivers'", "'blocked'").replace("'open'", "'wall'");
    house.text = format!("{other}{}", house.text);
    std::fs::write(house.folder.path().join("wall"), "a file where a folder should be").unwrap();
    house.clock.set_ms(time("2026-11-23T02:00:00"));
    house.until("the other export", |house| house.looked_now(DAY)).await;

    let blocked = house.folder.path().join("wall/blocked/rivers");
    assert!(!blocked.exists());
    let (clock, folder) = (house.clock.clone(), house.folder.path().to_owned());
    let mut mended = false;
    house
        .until("the blocked export", |_| {
            if !mended {
                std::fs::remove_file(folder.join("wall")).unwrap();
                mended = true;
            }
            clock.set_ms(clock.now_ms() + HOUR_MS / 60);
            folder.join("wall/blocked/datapackage.json").exists()
        })
        .await;
}
