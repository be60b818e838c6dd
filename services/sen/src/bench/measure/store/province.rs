//! What a reading of the simulated province takes on disk.

use std::collections::HashMap;
use std::path::Path;

use anyhow::ensure;
use sen_model::time::{DAY_MS, MINUTE_MS};
use sen_model::{Quality, Registry, SeriesKey, Timestamp};
use sen_simulator::{Heard, Road};
use sen_store::{Checkpoint, Config, Point, SeriesId, Store, Summaries};

use super::super::super::report::Sample;

/// A point as it is in memory: two times, a value, a sequence, a quality.
const RAW_BYTES: f64 = 29.0;

/// Feeds simulated days to a store, with a commit each simulated minute.
pub(super) async fn density(
    folder: &Path,
    config: &sen_simulator::Config,
    registry: &Registry,
    days: u64,
    road: Road,
) -> anyhow::Result<Sample> {
    let store = Store::open(folder.to_owned(), Config::default())?;
    let (mut ids, mut next, mut points) = (HashMap::new(), 0, Vec::new());
    for day in 0..days as i64 {
        let begin_ms = super::load::BEGIN_MS + day * DAY_MS;
        let mut heard: Vec<Heard> = Vec::new();
        sen_simulator::record(config, registry, begin_ms..begin_ms + DAY_MS, road, |one| {
            heard.push(one);
        });
        heard.sort_by_key(|one| one.received_at);
        for minute in heard
            .chunk_by(|a, b| a.received_at.floor_to(MINUTE_MS) == b.received_at.floor_to(MINUTE_MS))
        {
            for one in minute {
                points.push((id_of(&store, &mut ids, one)?, point(one)));
            }
            next += points.len() as u64;
            store.write(&mut points).await?;
            points.clear();
            let checkpoint = Checkpoint { epoch: "bench".to_owned(), next };
            store.commit(Summaries::new(), checkpoint).await?;
        }
    }
    store.seal().await?;
    // It cuts the write-ahead log.
    store.retain(Timestamp::from_millis(super::load::BEGIN_MS)).await?;
    let stats = store.stats();
    ensure!(stats.points > 0, "the province says nothing");
    let points = stats.points as f64;
    Ok(Sample::default()
        .typical("bytes_per_point", stats.disk_bytes as f64 / points)
        .typical("raw_bytes_per_point", RAW_BYTES)
        .typical("file_mb", stats.disk_bytes as f64 / 1e6)
        .typical("points", points)
        .typical("series", f64::from(stats.series)))
}

fn id_of(
    store: &Store,
    ids: &mut HashMap<SeriesKey, SeriesId>,
    heard: &Heard,
) -> anyhow::Result<SeriesId> {
    let key = SeriesKey { device: heard.device.clone(), metric: heard.metric.clone() };
    if let Some(id) = ids.get(&key) {
        return Ok(*id);
    }
    let id = store.registered_series_id(&key.device, &key.metric)?;
    ids.insert(key, id);
    Ok(id)
}

fn point(heard: &Heard) -> Point {
    let Heard { event_time, received_at, value, .. } = *heard;
    Point { event_time, sequence: 0, value, quality: Quality::Good, received_at }
}
