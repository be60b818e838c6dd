//! How fast the log is on this disk: `cargo run --release -p sen-log --example speed [folder]`.
//!
//! Prints acknowledged appends a second for 1, 100 and 500 appenders that each wait for their
//! acknowledgement before the next append, how many appends shared one fsync, and how fast the
//! records are read back from the disk.

#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::path::PathBuf;
use std::time::Instant;

use sen_log::{Config, Log, Retention, Topic};
use sen_proto::{DecodeError, Wire};
use tokio::task::JoinSet;

/// About a packet with one reading.
const RECORD_BYTES: usize = 50;
const SECONDS: f64 = 3.0;
const KEEP_ALL: Retention = Retention { keep_ms: i64::MAX, keep_bytes: u64::MAX };

#[derive(Clone)]
struct Record(Vec<u8>);

impl Wire for Record {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self(bytes.to_vec()))
    }
}

fn open(folder: &std::path::Path) -> Result<Log, sen_log::OpenError> {
    let config = Config { segment_bytes: 64 << 20, reserve_bytes: 0, record_bytes: 1 << 20 };
    Log::open(folder.to_owned(), config)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let parent = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(parent)?;
    for (appenders, name) in [(1, "one"), (100, "hundred"), (500, "five-hundred")] {
        let log = open(folder.path())?;
        let topic = log.topic::<Record>(name, KEEP_ALL)?;
        let seconds = append(&topic, appenders).await?;
        let (records, commits) = (topic.head(), topic.stats().commits);
        println!(
            "{appenders:>4} appenders: {:>8.0} appends/s, {:>6.0} fsyncs/s, {:.1} appends a fsync",
            records as f64 / seconds,
            commits as f64 / seconds,
            records as f64 / commits as f64,
        );
        log.close().await;
    }
    read(folder.path()).await?;
    Ok(())
}

async fn append(
    topic: &Topic<Record>,
    appenders: usize,
) -> Result<f64, Box<dyn std::error::Error>> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..appenders {
        let topic = topic.clone();
        tasks.spawn(async move {
            while start.elapsed().as_secs_f64() < SECONDS {
                topic.append(vec![Record(vec![7; RECORD_BYTES])]).await?;
            }
            Ok::<(), sen_log::AppendError>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(start.elapsed().as_secs_f64())
}

async fn read(folder: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    let log = open(folder)?;
    let start = Instant::now();
    let topic = log.topic::<Record>("large", KEEP_ALL)?;
    for _ in 0..100 {
        topic.append(vec![Record(vec![7; RECORD_BYTES]); 10_000]).await?;
    }
    let appended = start.elapsed().as_secs_f64();
    log.close().await;
    let start = Instant::now();
    let log = open(folder)?;
    let topic = log.topic::<Record>("large", KEEP_ALL)?;
    let opened = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let mut reader = topic.read_from(1);
    let mut records = 0;
    while records < topic.head() as usize {
        records += reader.next(1_000).await?.len();
    }
    println!(
        "{records} records: appended in {appended:.2} s, opened in {opened:.3} s, read at {:.0}/s",
        records as f64 / start.elapsed().as_secs_f64()
    );
    log.close().await;
    Ok(())
}
