//! Several processes on one log: what each sees of the others, and who may write.

use std::collections::BTreeSet;

use sen_log::{AppendError, OpenError, ReadError};

use super::*;
use crate::notebook::{KEEP_ALL, note};
use crate::servers::PARTITIONS;

fn notes(texts: &[&str]) -> Vec<Note> {
    texts.iter().map(|text| note(text)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_appends_the_others_read() {
    let server = Server::start();
    let (one, other) = (open_at(&server).await, open_at(&server).await);
    let mine = one.topic::<Note>("events", KEEP_ALL).unwrap();
    let theirs = other.topic::<Note>("events", KEEP_ALL).unwrap();
    assert_eq!(mine.epoch(), theirs.epoch());
    let mut reader = theirs.read_from(1);
    assert_eq!(mine.append(notes(&["a"])).await.unwrap(), 1..2);
    assert_eq!(theirs.append(notes(&["b", "c"])).await.unwrap(), 2..4);
    assert_eq!(theirs.head(), 3);
    wait_for("the head is followed", async || mine.head() == 3).await;
    let all = [(1, "a"), (2, "b"), (3, "c")].map(|(offset, text)| (offset, text.to_owned()));
    assert_eq!(read_some(&mut reader, 3).await, all);
    assert_eq!(read_all(&mine, 1).await, all);
    // Who only appends does not follow, but knows its own.
    let writing = one.writing_topic::<Note>("events", KEEP_ALL).unwrap();
    assert_eq!(writing.head(), 3);
    assert_eq!(writing.append(notes(&["d"])).await.unwrap(), 4..5);
    assert_eq!(writing.head(), 4);
    assert_eq!(read_some(&mut reader, 1).await, [(4, "d".to_owned())]);
    theirs.append(notes(&["e"])).await.unwrap();
    assert_eq!((writing.head(), writing.last().await.unwrap()), (4, 5));
    assert_eq!(read_all(&writing, 4).await, [(4, "d".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_changes_nothing() {
    let server = Server::start();
    let (one, other) = (open_at(&server).await, open_at(&server).await);
    let mine = one.batched_topic("readings", KEEP_ALL, key).unwrap();
    let theirs = other.writing_batched_topic("readings", KEEP_ALL, key).unwrap();
    let offsets = mine.append(notes(&["d1-a", "d1-b"])).await.unwrap();
    assert_eq!(theirs.append(notes(&["d1-a", "d1-b"])).await.unwrap(), offsets);
    assert_eq!(mine.append(notes(&["d1-a", "d1-b"])).await.unwrap(), offsets);
    let next = mine.append(notes(&["d1-c"])).await.unwrap();
    assert_eq!(next.start >> 12, (offsets.start >> 12) + 1);
    assert_eq!(read_all(&mine, 1).await.len(), 3);
    // An owner that begins again from its checkpoint, and one that repeats in the middle.
    let owned = one.topic::<Note>("alerts", KEEP_ALL).unwrap();
    owned.own().await.unwrap();
    assert_eq!(owned.append(notes(&["x", "y"])).await.unwrap(), 1..3);
    assert_eq!(owned.append(notes(&["x", "y", "z"])).await.unwrap(), 1..4);
    let owned = other.topic::<Note>("alerts", KEEP_ALL).unwrap();
    owned.own().await.unwrap();
    assert_eq!(owned.head(), 3);
    assert_eq!(owned.append(notes(&["z", "new"])).await.unwrap(), 3..5);
    let texts = read_all(&owned, 1).await.into_iter().map(|(_, text)| text);
    assert_eq!(texts.collect::<Vec<_>>(), ["x", "y", "z", "new"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_owner_that_comes_back_is_fenced() {
    let server = Server::start();
    let (old, new) = (open_at(&server).await, open_at(&server).await);
    let theirs = old.vital_topic::<Note>("alerts", KEEP_ALL).unwrap();
    let cursor = old.cursor(&theirs, "alert").unwrap();
    theirs.own().await.unwrap();
    // Many at once, dropped in the middle or not: the place of the next is always known.
    for n in 0..20 {
        let many = (0..300).map(|it| note(&format!("{n}-{it}"))).collect();
        let append = theirs.append(many);
        if n % 3 == 0 {
            let _ = timeout(Duration::from_millis(2), append).await;
        } else {
            append.await.unwrap();
        }
    }
    cursor.save(7, b"old".to_vec()).await.unwrap();
    let mine = new.vital_topic::<Note>("alerts", KEEP_ALL).unwrap();
    let mine_cursor = new.cursor(&mine, "alert").unwrap();
    mine.own().await.unwrap();
    assert_eq!(mine_cursor.load().unwrap().unwrap().state, b"old");
    let offsets = mine.append(notes(&["mine"])).await.unwrap();
    mine_cursor.save(8, b"new".to_vec()).await.unwrap();
    for _ in 0..2 {
        let refused = theirs.append(notes(&["old", "older"])).await;
        assert!(matches!(refused, Err(AppendError::Fenced(_))), "{refused:?}");
    }
    let refused = cursor.save(9, b"older".to_vec()).await;
    assert!(matches!(refused, Err(AppendError::Fenced(_))), "{refused:?}");
    assert_eq!(mine_cursor.load().unwrap().unwrap().state, b"new");
    assert_eq!(mine.append(notes(&["mine too"])).await.unwrap().start, offsets.end);
    let all = read_all(&mine, 1).await;
    assert!(all.iter().all(|(_, text)| !text.starts_with("old")));
    let texts: BTreeSet<_> = all.iter().map(|(_, text)| text).collect();
    assert_eq!(texts.len(), all.len(), "nothing twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_of_partitions_give_everything_exactly_once() {
    let server = Server::start();
    let (ingest, aggregate) = (open_at(&server).await, open_at(&server).await);
    let whole = ingest.batched_topic("readings", KEEP_ALL, key).unwrap();
    let append = async |from: u32| {
        let records = (from..from + 400).map(|n| note(&format!("d{}-{n}", n % 100)));
        whole.append(records.collect()).await.unwrap();
    };
    append(0).await;
    let views: Vec<_> = (0..PARTITIONS)
        .map(|partition| {
            aggregate.partition_topic::<Note>("readings", partition, KEEP_ALL).unwrap()
        })
        .collect();
    append(400).await;
    let all = read_all(&whole, 1).await;
    assert_eq!(all.len(), 800);
    let mut together = Vec::new();
    for view in &views {
        let refused = view.append(notes(&["x"])).await;
        assert!(matches!(refused, Err(AppendError::View)));
        let read = async || read_all(view, 1).await;
        // The head of the view reaches the last of its own.
        wait_for("a view has all of its own", async || {
            let (count, head) = (read().await.len(), view.head());
            head >> 12 > 0 && count > 100
        })
        .await;
        together.push(view);
    }
    wait_for("the views give everything", async || {
        let mut found = Vec::new();
        for view in &together {
            found.extend(read_all(view, 1).await);
        }
        found.sort_unstable();
        found == all
    })
    .await;
    let devices = async |view: &Topic<Note>| -> BTreeSet<String> {
        let read = read_all(view, 1).await;
        read.iter().map(|(_, text)| text.split('-').next().unwrap().to_owned()).collect()
    };
    for (n, one) in views.iter().enumerate() {
        for other in &views[n + 1..] {
            assert!(devices(one).await.is_disjoint(&devices(other).await));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_partition_holds_nothing_back_that_is_not_its_own() {
    let server = Server::start();
    let log = open_at(&server).await;
    let whole = log.batched_topic("readings", KEEP_NOTHING, key).unwrap();
    let views: Vec<_> = (0..PARTITIONS)
        .map(|partition| log.partition_topic::<Note>("readings", partition, KEEP_NOTHING).unwrap())
        .collect();
    let cursors: Vec<_> =
        views.iter().map(|view| log.cursor(view, &format!("p{}", view.floor())).err()).collect();
    assert!(cursors.iter().all(Option::is_none));
    // One device only: three partitions hear nothing.
    for n in 0..20 {
        whole.append(notes(&[&format!("d1-{n}")])).await.unwrap();
    }
    let mut busy = None;
    wait_for("one view hears it", async || {
        for view in &views {
            if !read_all(view, 1).await.is_empty() {
                busy = Some(view.clone());
            }
        }
        busy.is_some()
    })
    .await;
    // The heads of the others go on all the same.
    wait_for("quiet heads go on", async || views.iter().all(|view| view.head() == whole.head()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cursors_of_partitions_hold_only_their_own() {
    let server = Server::start();
    let log = open_at(&server).await;
    let whole = log.batched_topic("readings", KEEP_NOTHING, key).unwrap();
    let views: Vec<_> = (0..PARTITIONS)
        .map(|partition| log.partition_topic::<Note>("readings", partition, KEEP_NOTHING).unwrap())
        .collect();
    let cursors: Vec<_> = views
        .iter()
        .enumerate()
        .map(|(n, view)| log.cursor(view, &format!("aggregate-{n}")).unwrap())
        .collect();
    for n in 0..20 {
        whole.append(notes(&[&format!("d1-{n}")])).await.unwrap();
    }
    let mut busy = None;
    wait_for("one view hears it", async || {
        for (n, view) in views.iter().enumerate() {
            if read_all(view, 1).await.len() == 20 {
                busy = Some(n);
            }
        }
        busy.is_some()
    })
    .await;
    // Those that never saved have nothing there to hold.
    let next = whole.head() + 1;
    cursors[busy.unwrap()].save(next - (5 << 12), Vec::new()).await.unwrap();
    wait_for("old records go", async || whole.floor() == next - (5 << 12)).await;
    let refused = whole.read_from(1).next(1).await;
    assert!(matches!(refused, Err(ReadError::BelowFloor { .. })));
    assert_eq!(read_all(&whole, whole.floor()).await.len(), 5);
}

#[tokio::test]
async fn another_kind_of_runtime_is_told_so() {
    let server = Server::start();
    let log = open_at(&server).await;
    let refused = log.topic::<Note>("events", KEEP_ALL);
    assert!(matches!(refused, Err(OpenError::Runtime)));
}
