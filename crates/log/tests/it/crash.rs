//! `kill -9`, again and again: every acknowledged record is there, once, in its place.

#![allow(clippy::disallowed_methods, reason = "the child is told its folder by the environment")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use sen_log::{Log, Offset};
use tokio::task::JoinSet;

use crate::notebook::{KEEP_ALL, Note, config, read_from, runtime};

const FOLDER: &str = "SEN_LOG_TEST_FOLDER";
const RUN: &str = "SEN_LOG_TEST_RUN";
const KILLS: u64 = 20;
const APPENDERS: u64 = 8;
const TOPIC: &str = "crash";
/// Small, so that the child is also killed while it begins a new segment.
const SEGMENT_BYTES: u64 = 8_192;

/// The other process: appends for ever and says what was acknowledged. Does nothing in a plain run.
#[test]
fn child() {
    let (Ok(folder), Ok(run)) = (std::env::var(FOLDER), std::env::var(RUN)) else { return };
    runtime().block_on(async {
        let log = Log::open(folder.into(), config(SEGMENT_BYTES)).unwrap();
        let topic = log.topic::<Note>(TOPIC, KEEP_ALL).unwrap();
        let cursor = log.cursor(&topic, "reader").unwrap();
        let mut appenders = JoinSet::new();
        for appender in 0..APPENDERS {
            let (topic, cursor, run) = (topic.clone(), cursor.clone(), run.clone());
            appenders.spawn(async move {
                for number in 0_u64.. {
                    let text = |part| format!("{run}-{appender}-{number}-{part}");
                    let records: Vec<Note> =
                        (0..1 + number % 3).map(|part| Note(text(part).into_bytes())).collect();
                    let offsets = topic.append(records.clone()).await.unwrap();
                    for (offset, record) in offsets.zip(records) {
                        let text = String::from_utf8(record.0).unwrap();
                        // One write, so that a line is whole or not there.
                        std::io::stdout()
                            .write_all(format!("ack {offset} {text}\n").as_bytes())
                            .unwrap();
                    }
                    if number % 16 == appender {
                        cursor.save(topic.head() + 1, Vec::new()).await.unwrap();
                    }
                }
            });
        }
        appenders.join_next().await;
    });
}

/// Starts the child; it is killed when this is dropped, whatever happens.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a child until it has acknowledged `count` records, kills it, and adds all that it said.
fn run_and_kill(folder: &Path, run: u64, count: usize, acked: &mut BTreeMap<Offset, String>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crash::child", "--nocapture", "--test-threads=1"]);
    command.env(FOLDER, folder).env(RUN, run.to_string());
    let mut child = Killed(command.stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let mut seen = 0;
    for line in lines {
        let line = line.unwrap();
        let Some((_, ack)) = line.split_once("ack ") else { continue };
        let Some((offset, text)) = ack.split_once(' ') else { continue };
        let before = acked.insert(offset.parse().unwrap(), text.to_owned());
        assert_eq!(before, None, "an offset was given twice");
        seen += 1;
        if seen == count {
            child.0.kill().unwrap();
        }
    }
    assert!(seen >= count, "the child ended by itself");
}

#[test]
fn every_acknowledged_record_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut acked = BTreeMap::new();
    let mut epochs = Vec::new();
    for run in 0..KILLS {
        // Kills at the first record, soon after, and after several segments.
        let count = [1, 7, 60, 300, 611][run as usize % 5] + run as usize;
        run_and_kill(folder.path(), run, count, &mut acked);
        runtime().block_on(async {
            let log = Log::open(folder.path().to_owned(), config(SEGMENT_BYTES)).unwrap();
            let topic = log.topic::<Note>(TOPIC, KEEP_ALL).unwrap();
            let read = read_from(&topic, 1).await;
            let offsets: Vec<Offset> = read.iter().map(|record| record.0).collect();
            assert_eq!(offsets, (1..=topic.head()).collect::<Vec<_>>(), "contiguous");
            let texts: BTreeMap<Offset, String> = read
                .into_iter()
                .map(|(offset, record)| (offset, String::from_utf8(record.0).unwrap()))
                .collect();
            for (offset, text) in &acked {
                assert_eq!(texts.get(offset), Some(text), "offset {offset} after run {run}");
            }
            let mut once: Vec<&String> = texts.values().collect();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), texts.len(), "no record twice");
            assert_eq!(topic.stats().damaged_records, 0);
            epochs.push(topic.epoch());
            log.close().await;
        });
    }
    epochs.dedup();
    assert_eq!(epochs.len(), 1, "a crash is no loss, so the epoch stays");
}
