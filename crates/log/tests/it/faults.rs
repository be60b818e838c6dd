//! A disk that fails: nothing acknowledged is lost, nothing refused is seen, and it goes on.

use sen_log::{AppendError, Log, Retention};

use crate::notebook::{Clock, KEEP_ALL, Note, config, note, open, read_from, segments};

const SEGMENT_BYTES: u64 = 1 << 20;

/// Appends one record, makes `step` fail for the next, appends a third; gives the error.
async fn fails_once(topic_name: &str, step: &str, kind: &str) -> AppendError {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), SEGMENT_BYTES);
    let topic = log.topic::<Note>(topic_name, KEEP_ALL).unwrap();
    assert_eq!(topic.append(vec![note("first")]).await.unwrap(), 1..2);
    let point = format!("log::{step}::{topic_name}");
    fail::cfg(&point, &format!("1*return({kind})")).unwrap();
    let error = topic.append(vec![note("refused"), note("too")]).await.unwrap_err();
    assert_eq!(topic.head(), 1, "what failed is not seen");
    assert_eq!(topic.append(vec![note("second")]).await.unwrap(), 2..3);
    let expected = [(1, note("first")), (2, note("second"))];
    assert_eq!(read_from(&topic, 1).await, expected);
    assert_eq!(topic.stats().failed_commits, 1);
    // A file whose write or fsync failed is never written to again.
    let is_sealed = matches!(step, "write" | "sync");
    assert_eq!(segments(folder.path(), topic_name).len(), 1 + usize::from(is_sealed));
    let epoch = topic.epoch();
    log.close().await;
    let log = open(folder.path(), SEGMENT_BYTES);
    let topic = log.topic::<Note>(topic_name, KEEP_ALL).unwrap();
    assert_eq!(read_from(&topic, 1).await, expected);
    assert_eq!((topic.epoch(), topic.stats().damaged_records), (epoch, 0));
    error
}

#[tokio::test]
async fn a_failed_write_is_refused_and_the_next_goes_on() {
    let error = fails_once("failed-write", "write", "io").await;
    assert!(matches!(error, AppendError::Disk(_)), "{error}");
}

#[tokio::test]
async fn a_failed_fsync_is_never_believed_again() {
    let error = fails_once("failed-sync", "sync", "io").await;
    assert!(matches!(error, AppendError::Disk(_)), "{error}");
}

#[tokio::test]
async fn what_a_failed_fsync_left_in_the_file_is_not_read() {
    fail::cfg("log::truncate::failed-cut", "return(io)").unwrap();
    let error = fails_once("failed-cut", "sync", "io").await;
    fail::remove("log::truncate::failed-cut");
    assert!(matches!(error, AppendError::Disk(_)), "{error}");
}

#[tokio::test]
async fn a_disk_without_space_refuses_and_recovers_by_itself() {
    for (topic, step) in [("full-space", "space"), ("full-write", "write"), ("full-sync", "sync")] {
        let error = fails_once(topic, step, "full").await;
        assert!(matches!(error, AppendError::Full), "{step}: {error}");
    }
}

#[tokio::test]
async fn a_segment_that_cannot_be_begun_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), SEGMENT_BYTES);
    let topic = log.topic::<Note>("failed-segment", KEEP_ALL).unwrap();
    fail::cfg("log::segment::failed-segment", "3*return(io)").unwrap();
    for _ in 0..3 {
        let error = topic.append(vec![note("refused")]).await.unwrap_err();
        assert!(matches!(error, AppendError::Disk(_)), "{error}");
    }
    assert_eq!(topic.append(vec![note("first")]).await.unwrap(), 1..2);
    assert_eq!(read_from(&topic, 1).await, [(1, note("first"))]);
}

#[tokio::test]
async fn the_first_records_of_a_segment_may_fail_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), SEGMENT_BYTES);
    let topic = log.topic::<Note>("failed-first", KEEP_ALL).unwrap();
    fail::cfg("log::sync::failed-first", "5*return(io)").unwrap();
    for _ in 0..5 {
        topic.append(vec![note("refused")]).await.unwrap_err();
    }
    topic.append(vec![note("first")]).await.unwrap();
    assert_eq!(read_from(&topic, 1).await, [(1, note("first"))]);
    assert_eq!(segments(folder.path(), "failed-first").len(), 1, "empty segments are replaced");
}

#[tokio::test]
async fn the_reserve_is_kept_free_but_vital_topics_may_use_some_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let disk = rustix::fs::statvfs(folder.path()).unwrap();
    let reserve_bytes = disk.f_bavail * disk.f_frsize * 2;
    let config = sen_log::Config { reserve_bytes, ..config(SEGMENT_BYTES) };
    let log = Log::open(folder.path().to_owned(), config).unwrap();
    let ordinary = log.topic::<Note>("ordinary", KEEP_ALL).unwrap();
    let vital = log.vital_topic::<Note>("vital", KEEP_ALL).unwrap();
    let refused = ordinary.append(vec![note("reading")]).await;
    assert!(matches!(refused, Err(AppendError::Full)), "{refused:?}");
    assert_eq!(vital.append(vec![note("alert")]).await.unwrap(), 1..2);
}

#[tokio::test]
async fn a_cursor_that_cannot_be_saved_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), SEGMENT_BYTES);
    let topic = log.topic::<Note>("failed-cursor", KEEP_ALL).unwrap();
    let cursor = log.cursor(&topic, "reader").unwrap();
    assert_eq!(cursor.load().unwrap(), None);
    topic.append(vec![note("a"), note("b")]).await.unwrap();
    cursor.save(2, b"two".to_vec()).await.unwrap();
    fail::cfg("log::cursor_rename::failed-cursor", "1*return(io)").unwrap();
    let error = cursor.save(3, b"three".to_vec()).await.unwrap_err();
    assert!(matches!(error, AppendError::Disk(_)), "{error}");
    log.close().await;
    let refused = cursor.save(3, Vec::new()).await;
    assert!(matches!(refused, Err(AppendError::Closed)), "{refused:?}");
    let log = open(folder.path(), SEGMENT_BYTES);
    let topic = log.topic::<Note>("failed-cursor", KEEP_ALL).unwrap();
    let saved = log.cursor(&topic, "reader").unwrap().load().unwrap().unwrap();
    assert_eq!((saved.next, saved.state, saved.epoch), (2, b"two".to_vec(), topic.epoch()));
}

#[tokio::test]
async fn a_segment_that_cannot_be_deleted_is_only_tried_again_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::default();
    let opened = || {
        let clock = clock.clone();
        Log::open_with_clock(folder.path().to_owned(), config(300), move || clock.now_ms()).unwrap()
    };
    let retention = Retention { keep_ms: 1_000, keep_bytes: u64::MAX };
    let log = opened();
    let topic = log.topic::<Note>("failed-unlink", retention).unwrap();
    let cursor = log.cursor(&topic, "reader").unwrap();
    for _ in 0..10 {
        topic.append(vec![Note(vec![7; 100])]).await.unwrap();
    }
    let before = segments(folder.path(), "failed-unlink").len();
    assert!(before >= 4);
    clock.advance_ms(5_000);
    fail::cfg("log::unlink::failed-unlink", "1*return(io)").unwrap();
    cursor.save(11, Vec::new()).await.unwrap();
    log.close().await;
    let floor = topic.floor();
    assert!(floor > 1);
    assert_eq!(segments(folder.path(), "failed-unlink").len(), 2, "the stubborn and the last");
    let log = opened();
    let topic = log.topic::<Note>("failed-unlink", retention).unwrap();
    let cursor = log.cursor(&topic, "reader").unwrap();
    assert_eq!(topic.floor(), 1, "what is on the disk can be read");
    cursor.save(11, Vec::new()).await.unwrap();
    log.close().await;
    assert_eq!((topic.floor(), segments(folder.path(), "failed-unlink").len()), (floor, 1));
}

#[tokio::test]
async fn a_disk_that_the_log_itself_filled_heals_by_giving_up_what_all_have_read() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), 300);
    let topic = log.topic::<Note>("self-filled", KEEP_ALL).unwrap();
    let others = log.topic::<Note>("self-filled-no-cursor", KEEP_ALL).unwrap();
    let vital = log.vital_topic::<Note>("self-filled-vital", KEEP_ALL).unwrap();
    let cursor = log.cursor(&topic, "reader").unwrap();
    // It has read nothing, and holds everything back for as long as there is room.
    let _far_behind = log.yielding_cursor(&topic, "archive").unwrap();
    log.cursor(&vital, "reader").unwrap().save(1, Vec::new()).await.unwrap();
    for filled in [&topic, &others, &vital] {
        for _ in 0..10 {
            filled.append(vec![Note(vec![7; 100])]).await.unwrap();
        }
    }
    log.cursor(&vital, "reader").unwrap().save(11, Vec::new()).await.unwrap();
    cursor.save(5, Vec::new()).await.unwrap();
    assert_eq!(topic.floor(), 1, "kept for as long as there is room");
    let before = segments(folder.path(), "self-filled").len();

    fail::cfg("log::space::self-filled", "return(full)").unwrap();
    // The keeper answers in its own time; it goes on for as long as appends are refused.
    let kept = || segments(folder.path(), "self-filled").len();
    for _ in 0..100_000 {
        let refused = topic.append(vec![note("again")]).await;
        assert!(matches!(refused, Err(AppendError::Full)), "{refused:?}");
        if topic.floor() >= 3 && kept() < before {
            break;
        }
    }
    fail::remove("log::space::self-filled");
    topic.append(vec![note("there is room")]).await.unwrap();
    assert!(topic.floor() >= 3, "what was read made room");
    assert!(topic.floor() <= 5, "never what is not read: {}", topic.floor());
    assert_eq!(read_from(&topic, 5).await.len(), 7);
    assert_eq!((others.floor(), vital.floor()), (1, 1), "these have their own limits only");
}

#[tokio::test]
async fn a_read_that_stumbles_is_tried_again_and_one_that_fails_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), SEGMENT_BYTES);
    log.topic::<Note>("failed-read", KEEP_ALL).unwrap().append(vec![note("a")]).await.unwrap();
    log.close().await;
    let log = open(folder.path(), SEGMENT_BYTES);
    let topic = log.topic::<Note>("failed-read", KEEP_ALL).unwrap();
    fail::cfg("log::read::failed-read", "4*return(io)").unwrap();
    assert_eq!(read_from(&topic, 1).await, [(1, note("a"))]);
    fail::cfg("log::read::failed-read", "return(io)").unwrap();
    let mut reader = topic.read_from(1);
    let failed = reader.available(1).await;
    fail::remove("log::read::failed-read");
    assert!(matches!(failed, Err(sen_log::ReadError::Io(_))), "{failed:?}");
    assert_eq!(reader.available(1).await.unwrap().len(), 1, "it goes on where it was");
}
