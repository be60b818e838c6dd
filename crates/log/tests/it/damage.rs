//! Damage on the disk: it costs the records it hits, is counted, and is never hidden.

use std::fs::{self, OpenOptions};
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use sen_log::{Log, Offset, Retention, Topic};

use crate::notebook::{Clock, KEEP_ALL, Note, config, note, open, read_from, runtime, segments};

const SEGMENT_BYTES: u64 = 600;
const TOPIC: &str = "notes";

fn topic(log: &Log) -> Topic<Note> {
    log.topic(TOPIC, KEEP_ALL).unwrap()
}

/// A closed log with these records; gives its epoch.
async fn filled(folder: &Path, records: &[Vec<u8>]) -> String {
    let log = open(folder, SEGMENT_BYTES);
    let topic = topic(&log);
    for record in records {
        topic.append(vec![Note(record.clone())]).await.unwrap();
    }
    log.close().await;
    topic.epoch().0
}

fn numbered(records: &[Vec<u8>]) -> Vec<(Offset, Note)> {
    (1..).zip(records.iter().cloned().map(Note)).collect()
}

proptest! {
    // Every case writes a real log with an fsync a record.
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn one_damaged_byte_costs_one_record(
        records in vec(vec(any::<u8>(), 0..200), 1..20),
        file: Index, place: Index, change in 1_u8..,
    ) {
        let folder = tempfile::tempdir().unwrap();
        runtime().block_on(async {
            let epoch = filled(folder.path(), &records).await;
            let files = segments(folder.path(), TOPIC);
            let path = &files[file.index(files.len())];
            let mut bytes = fs::read(path).unwrap();
            let place = place.index(bytes.len());
            bytes[place] ^= change;
            fs::write(path, &bytes).unwrap();

            let log = open(folder.path(), SEGMENT_BYTES);
            let topic = topic(&log);
            let read = read_from(&topic, 1).await;
            let all = numbered(&records);
            // The first 128 bytes of a segment are its header: frames do not need it.
            let is_record = place >= 128;
            prop_assert!(read.iter().all(|record| all.contains(record)), "nothing is invented");
            prop_assert_eq!(read.len(), records.len() - usize::from(is_record));
            prop_assert_eq!(topic.stats().damaged_records > 0, is_record);
            prop_assert_eq!(folder.path().join(TOPIC).join("damaged").exists(), is_record);
            prop_assert_eq!(&topic.epoch().0, &epoch);
            // An offset that was acknowledged never means another record.
            let appended = topic.append(vec![note("after")]).await.unwrap();
            prop_assert!(appended.start > records.len() as u64);
            log.close().await;
            // The same is found again, and no offset is given twice, at the next start.
            let log = open(folder.path(), SEGMENT_BYTES);
            let topic = log.topic(TOPIC, KEEP_ALL).unwrap();
            let again = read_from(&topic, 1).await;
            let expected = [read, vec![(appended.start, note("after"))]].concat();
            prop_assert_eq!(again, expected);
            prop_assert_eq!(topic.epoch().0, epoch);
            Ok(())
        })?;
    }

    #[test]
    fn a_log_cut_short_begins_a_new_epoch_unless_nothing_is_missing(
        records in vec(vec(any::<u8>(), 0..200), 1..10), cut in 0..400_u64,
    ) {
        let folder = tempfile::tempdir().unwrap();
        runtime().block_on(async {
            let epoch = filled(folder.path(), &records).await;
            let last = segments(folder.path(), TOPIC).pop().unwrap();
            let length = fs::metadata(&last).unwrap().len();
            let file = OpenOptions::new().write(true).open(&last).unwrap();
            file.set_len(length.saturating_sub(cut)).unwrap();

            let log = open(folder.path(), SEGMENT_BYTES);
            let topic = topic(&log);
            let read = read_from(&topic, 1).await;
            let kept = topic.head() as usize;
            prop_assert_eq!(&read, &numbered(&records[..kept]));
            prop_assert_eq!(topic.epoch().0 == epoch, kept == records.len());
            // Offsets stay contiguous.
            let appended = topic.append(vec![note("after")]).await.unwrap();
            prop_assert_eq!(appended.start, kept as u64 + 1);
            log.close().await;
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_cursor_beyond_the_end_shows_that_records_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), 1 << 20);
    let topic = topic(&log);
    let cursor = log.cursor(&topic, "reader").unwrap();
    let epoch = topic.epoch();
    let identity = folder.path().join(TOPIC).join("identity");
    let as_at_start = fs::read(&identity).unwrap();
    topic.append((0..10).map(|n| note(&n.to_string())).collect()).await.unwrap();
    cursor.save(6, b"five".to_vec()).await.unwrap();
    assert_eq!(cursor.load().unwrap().unwrap().next, 6);
    log.close().await;
    fs::remove_file(&segments(folder.path(), TOPIC)[0]).unwrap();
    // Without the note of the last close, as after a crash, the cursor alone tells.
    fs::write(&identity, as_at_start).unwrap();
    let log = open(folder.path(), 1 << 20);
    let topic = log.topic::<Note>(TOPIC, KEEP_ALL).unwrap();
    let cursor = log.cursor(&topic, "reader").unwrap();
    assert_ne!(topic.epoch(), epoch);
    assert_eq!(cursor.load().unwrap(), None, "its position belongs to another life of the topic");
    assert_eq!(topic.append(vec![note("new")]).await.unwrap(), 1..2);
    log.close().await;
}

#[tokio::test]
async fn a_cursor_of_an_earlier_epoch_holds_everything_until_it_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::default();
    let retention = Retention { keep_ms: 1_000, keep_bytes: u64::MAX };
    let opened = || {
        let (folder, clock) = (folder.path().to_owned(), clock.clone());
        let log = Log::open_with_clock(folder, config(SEGMENT_BYTES), move || clock.now_ms());
        let log = log.unwrap();
        let topic = log.topic::<Note>(TOPIC, retention).unwrap();
        (log.cursor(&topic, "reader").unwrap(), topic, log)
    };
    let (cursor, topic, log) = opened();
    for _ in 0..30 {
        topic.append(vec![Note(vec![7; 100])]).await.unwrap();
    }
    cursor.save(31, Vec::new()).await.unwrap();
    log.close().await;
    fs::remove_file(segments(folder.path(), TOPIC).pop().unwrap()).unwrap();

    let (cursor, topic, log) = opened();
    clock.advance_ms(5_000);
    // A new segment is when old ones are looked at.
    topic.append(vec![Note(vec![7; 100])]).await.unwrap();
    log.close().await;
    assert_eq!((topic.floor(), cursor.load().unwrap()), (1, None), "it begins anew, at the floor");

    let (cursor, topic, log) = opened();
    cursor.save(topic.head() + 1, Vec::new()).await.unwrap();
    log.close().await;
    assert!(topic.floor() > 1);
}

#[tokio::test]
async fn a_cursor_that_was_given_up_holds_nothing_back() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::default();
    let retention = Retention { keep_ms: 1_000, keep_bytes: u64::MAX };
    let opened = || {
        let (folder, clock) = (folder.path().to_owned(), clock.clone());
        let log = Log::open_with_clock(folder, config(SEGMENT_BYTES), move || clock.now_ms());
        let log = log.unwrap();
        (log.topic::<Note>(TOPIC, retention).unwrap(), log)
    };
    let (topic, log) = opened();
    let cursor = log.cursor(&topic, "reader").unwrap();
    drop(log.cursor(&topic, "gone").unwrap());
    for _ in 0..30 {
        topic.append(vec![Note(vec![7; 100])]).await.unwrap();
    }
    clock.advance_ms(5_000);
    cursor.save(31, Vec::new()).await.unwrap();
    log.close().await;
    assert_eq!(topic.floor(), 1, "somebody may still need it");

    let (topic, log) = opened();
    log.forget_cursor(&topic, "gone").unwrap();
    log.forget_cursor(&topic, "gone").unwrap();
    let cursor = log.cursor(&topic, "reader").unwrap();
    cursor.save(31, Vec::new()).await.unwrap();
    log.close().await;
    assert!(topic.floor() > 1);
}

#[tokio::test]
async fn a_segment_missing_in_the_middle_costs_its_records_only() {
    let folder = tempfile::tempdir().unwrap();
    let records: Vec<Vec<u8>> = (0..30).map(|n| vec![n; 100]).collect();
    filled(folder.path(), &records).await;
    let files = segments(folder.path(), TOPIC);
    assert!(files.len() >= 3);
    fs::remove_file(&files[1]).unwrap();
    let log = open(folder.path(), SEGMENT_BYTES);
    let topic = topic(&log);
    let read = read_from(&topic, 1).await;
    let lost = topic.stats().damaged_records;
    assert!(lost > 0);
    assert_eq!(read.len() as u64 + lost, 30);
    assert!(read.iter().all(|record| numbered(&records).contains(record)));
    // Told once, however often it is read.
    read_from(&topic, 1).await;
    assert_eq!(topic.stats().damaged_records, lost);
}

#[tokio::test]
async fn a_later_format_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), &[b"record".to_vec()]).await;
    let path = &segments(folder.path(), TOPIC)[0];
    let mut bytes = fs::read(path).unwrap();
    bytes[8] = 2;
    let crc = crc32c::crc32c(&bytes[..124]);
    bytes[124..128].copy_from_slice(&crc.to_le_bytes());
    fs::write(path, &bytes).unwrap();
    let log = open(folder.path(), SEGMENT_BYTES);
    let refused = log.topic::<Note>(TOPIC, KEEP_ALL).err().map(|error| error.to_string());
    assert!(refused.is_some_and(|text| text.contains("has format 2")));
    assert_eq!(fs::read(path).unwrap(), bytes);
}

#[tokio::test]
async fn a_damaged_header_does_not_stop_old_segments_from_going() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), &vec![vec![7; 200]; 12]).await;
    for path in segments(folder.path(), TOPIC) {
        let mut bytes = fs::read(&path).unwrap();
        bytes[20] ^= 1;
        fs::write(&path, &bytes).unwrap();
    }
    // Without a header a segment is as old as its file; these are decades old for this clock.
    let clock = Clock::default();
    clock.advance_ms(i64::MAX / 2);
    let now = clock.clone();
    let config = config(SEGMENT_BYTES);
    let log = Log::open_with_clock(folder.path().to_owned(), config, move || now.now_ms()).unwrap();
    let retention = Retention { keep_ms: 1_000, keep_bytes: u64::MAX };
    let topic = log.topic::<Note>(TOPIC, retention).unwrap();
    let cursor = log.cursor(&topic, "reader").unwrap();
    cursor.save(13, Vec::new()).await.unwrap();
    log.close().await;
    assert_eq!(segments(folder.path(), TOPIC).len(), 1, "only the last one stays");
}
