//! Copies made while the log is written to, read by others, and cut from behind.

use sen_log::{Copy, CopyError, Retention, renew};

use crate::notebook::{KEEP_ALL, Note, note, open, read_from, segments};

/// Only cursors hold records back.
const KEEP_NOTHING: Retention = Retention { keep_ms: 0, keep_bytes: 0 };

/// Retention follows a saved cursor at its leisure.
async fn wait_until_gone(segment: &std::path::Path) {
    while segment.exists() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_copy_of_a_busy_log_goes_on_where_its_cursors_are() {
    let (folder, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = open(folder.path(), 2_000);
    let topic = log.topic::<Note>("notes", KEEP_NOTHING).unwrap();
    let (slow, fast) = (log.cursor(&topic, "slow").unwrap(), log.cursor(&topic, "fast").unwrap());
    let append = async |from: u64, to: u64| {
        for number in from..to {
            topic.append(vec![note(&format!("note number {number}"))]).await.unwrap();
        }
    };
    append(1, 200).await;
    slow.save(50, b"half".to_vec()).await.unwrap();
    fast.save(200, b"all".to_vec()).await.unwrap();

    let copy = Copy::begin(folder.path()).unwrap();
    // While others are copied, the log goes on, and retention takes what the cursors have passed.
    append(200, 400).await;
    let oldest = segments(folder.path(), "notes")[0].clone();
    slow.save(150, b"more".to_vec()).await.unwrap();
    wait_until_gone(&oldest).await;
    let mut bytes = 0;
    copy.finish(to.path(), &["notes"], |more| bytes += more).unwrap();
    assert!(bytes > 4_000, "{bytes} bytes");

    let copied = open(to.path(), 2_000);
    let copied_topic = copied.topic::<Note>("notes", KEEP_ALL).unwrap();
    assert_eq!((copied_topic.epoch(), copied_topic.head()), (topic.epoch(), 399));
    for (name, next, state) in [("slow", 50, &b"half"[..]), ("fast", 200, b"all")] {
        let saved = copied.cursor(&copied_topic, name).unwrap().load().unwrap().unwrap();
        assert_eq!((saved.next, &saved.state[..]), (next, state));
        let rest = read_from(&copied_topic, next).await;
        let expected = (next..400).map(|at| (at, note(&format!("note number {at}"))));
        assert_eq!(rest, expected.collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_log_that_was_cut_past_what_is_held_is_no_copy() {
    let (folder, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = open(folder.path(), 500);
    let topic = log.topic::<Note>("cut", KEEP_NOTHING).unwrap();
    let cursor = log.cursor(&topic, "reader").unwrap();
    topic.append(vec![note("one")]).await.unwrap();
    let copy = Copy::begin(folder.path()).unwrap();
    for _ in 0..20 {
        topic.append(vec![Note(vec![1; 200])]).await.unwrap();
    }
    let oldest = segments(folder.path(), "cut")[0].clone();
    cursor.save(21, Vec::new()).await.unwrap();
    wait_until_gone(&oldest).await;
    let refused = copy.finish(to.path(), &[], |_| {});
    assert!(matches!(refused, Err(CopyError::Changed(topic)) if topic == "cut"));
}

#[tokio::test]
async fn a_renewed_log_keeps_its_records_and_places_under_a_new_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path(), 1 << 20);
    let topic = log.topic::<Note>("notes", KEEP_ALL).unwrap();
    topic.append(vec![note("one"), note("two"), note("three")]).await.unwrap();
    log.cursor(&topic, "reader").unwrap().save(3, b"state".to_vec()).await.unwrap();
    let lonely = log.topic::<Note>("lonely", KEEP_ALL).unwrap();
    lonely.append(vec![note("alone")]).await.unwrap();
    let old = topic.epoch();
    log.close().await;
    // Copies by file leave out what is empty.
    std::fs::remove_dir(folder.path().join("lonely/cursors")).unwrap();

    let epochs = renew(folder.path()).unwrap();
    let log = open(folder.path(), 1 << 20);
    let topic = log.topic::<Note>("notes", KEEP_ALL).unwrap();
    assert_eq!(epochs["notes"], (old.clone(), topic.epoch()));
    assert_ne!(topic.epoch(), old);
    let saved = log.cursor(&topic, "reader").unwrap().load().unwrap().unwrap();
    assert_eq!((saved.next, saved.state), (3, b"state".to_vec()));
    assert_eq!(read_from(&topic, 3).await, [(3, note("three"))]);
}
