//! Cursors between machines: what comes late, what was lost, and two at once.

use sen_log::{AppendError, Cursor};
use tokio::task::{JoinSet, spawn_blocking};

use super::*;
use crate::notebook::{KEEP_ALL, note};
use crate::proxy::{Proxy, Way};

/// How a cursor is named in the bucket, as it travels.
const NAMING: &str = "HPUB $O.sen-cursors.M.";

async fn open_through(proxy: &Proxy) -> Log {
    Log::over_nats(proxy.client().await, servers::config(1)).await.unwrap()
}

async fn events(log: &Log) -> Topic<Note> {
    let topic = log.topic::<Note>("events", KEEP_ALL).unwrap();
    topic.append((0..9).map(|n| note(&format!("n-{n}"))).collect()).await.unwrap();
    topic
}

fn saving(
    cursor: &Cursor,
    next: Offset,
    state: Vec<u8>,
) -> JoinSet<std::result::Result<(), AppendError>> {
    let (cursor, mut task) = (cursor.clone(), JoinSet::new());
    task.spawn(async move { cursor.save(next, state).await });
    task
}

async fn outcome(mut task: JoinSet<Result<(), AppendError>>) -> Result<(), AppendError> {
    timeout(PATIENCE, task.join_next()).await.expect("it ends").unwrap().unwrap()
}

/// The bucket's stream: its last sequence, and how many messages there are.
async fn bucket(server: &Server) -> (u64, u64) {
    let jetstream = async_nats::jetstream::new(server.client().await);
    let stream = jetstream.get_stream("OBJ_sen-cursors").await.unwrap();
    let state = &stream.cached_info().state;
    (state.last_sequence, state.messages)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_that_comes_late_disturbs_nobody() {
    let server = Server::start();
    let proxy = Proxy::start(&server).await;
    let old = open_through(&proxy).await;
    let cursor = old.cursor(&events(&old).await, "alert").unwrap();
    cursor.save(2, b"first".to_vec()).await.unwrap();
    // Everything is checked and written, and then the old owner stands still.
    proxy.when(NAMING, 1, Way::Held);
    let late = saving(&cursor, 3, vec![7; 300_000]);
    proxy.is(Way::Held).await;
    let new = open_at(&server).await;
    let mine = new.cursor(&events(&new).await, "alert").unwrap();
    assert_eq!(mine.load().unwrap().unwrap().state, b"first");
    proxy.set(Way::Open);
    let late = outcome(late).await;
    assert!(matches!(late, Err(AppendError::Fenced(_))), "{late:?}");
    for n in 4..8 {
        mine.save(n, vec![n as u8; 200_000]).await.unwrap();
        let again = cursor.save(3, b"again".to_vec()).await;
        assert!(matches!(again, Err(AppendError::Fenced(_))), "{again:?}");
        let loaded = mine.load().unwrap().unwrap();
        assert_eq!((loaded.next, loaded.state), (n, vec![n as u8; 200_000]));
    }
    assert_eq!(bucket(&server).await.1, 3, "a name and two parts of its content");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_whose_answer_is_lost_is_known_again() {
    let server = Server::start();
    let proxy = Proxy::start(&server).await;
    let log = open_through(&proxy).await;
    let cursor = log.cursor(&events(&log).await, "alert").unwrap();
    cursor.save(2, b"first".to_vec()).await.unwrap();
    let (before, _) = bucket(&server).await;
    proxy.when(NAMING, 1, Way::Mute);
    let unheard = saving(&cursor, 3, b"second".to_vec());
    // The content and its name.
    wait_for("the server has it", async || bucket(&server).await.0 == before + 2).await;
    proxy.set(Way::Cut);
    outcome(unheard).await.unwrap();
    assert_eq!(bucket(&server).await, (before + 2, 2), "it was not written again");
    // And one that nobody waits for any more.
    proxy.when(NAMING, 1, Way::Mute);
    let dropped = saving(&cursor, 4, b"third".to_vec());
    wait_for("the server has it", async || bucket(&server).await.0 == before + 4).await;
    drop(dropped);
    proxy.set(Way::Cut);
    wait_for("saved", async || cursor.save(5, b"fourth".to_vec()).await.is_ok()).await;
    assert_eq!(cursor.load().unwrap().unwrap().state, b"fourth");
    assert_eq!(bucket(&server).await.1, 2, "nothing is left of those before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_open_a_new_cursor_none_wipes_the_other_s_checkpoint() {
    let server = Server::start();
    let proxy = Proxy::start(&server).await;
    let (slow, quick) = (open_through(&proxy).await, open_at(&server).await);
    let (theirs, mine) = (events(&slow).await, events(&quick).await);
    proxy.when(NAMING, 1, Way::Held);
    let slow = spawn_blocking(move || slow.cursor(&theirs, "alert").unwrap());
    proxy.is(Way::Held).await;
    let cursor = quick.cursor(&mine, "alert").unwrap();
    cursor.save(5, b"mine".to_vec()).await.unwrap();
    proxy.set(Way::Open);
    let slow = timeout(PATIENCE, slow).await.expect("it opens").unwrap();
    let found = slow.load().unwrap().unwrap();
    assert_eq!((found.next, found.state.as_slice()), (5, &b"mine"[..]));
    // Who opened it last has it.
    slow.save(6, b"theirs".to_vec()).await.unwrap();
    let refused = cursor.save(7, b"mine".to_vec()).await;
    assert!(matches!(refused, Err(AppendError::Fenced(_))), "{refused:?}");
    assert_eq!(slow.load().unwrap().unwrap().next, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_s_object_store_reads_a_cursor() {
    use tokio::io::AsyncReadExt;
    let server = Server::start();
    let log = open_at(&server).await;
    let cursor = log.cursor(&events(&log).await, "alert").unwrap();
    let state: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    cursor.save(3, state.clone()).await.unwrap();
    let jetstream = async_nats::jetstream::new(server.client().await);
    let store = jetstream.get_object_store("sen-cursors").await.unwrap();
    let mut object = store.get("events/alert").await.unwrap();
    assert_eq!((object.info().size, object.info().chunks), (300_000, 3));
    assert_eq!(object.info().metadata["next"], "3");
    let mut read = Vec::new();
    object.read_to_end(&mut read).await.unwrap();
    assert!(read == state);
    // One that was given up can be opened again, and its old owner has it no more.
    let topic = log.topic::<Note>("events", KEEP_ALL).unwrap();
    log.forget_cursor(&topic, "alert").unwrap();
    let refused = cursor.save(4, Vec::new()).await;
    assert!(matches!(refused, Err(AppendError::Fenced(_))), "{refused:?}");
    let cursor = log.cursor(&topic, "alert").unwrap();
    assert_eq!(cursor.load().unwrap(), None);
    cursor.save(4, Vec::new()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cursors_are_listed_while_they_are_saved() {
    let server = Server::start();
    let log = open_at(&server).await;
    let topic = events(&log).await;
    let mut savers = JoinSet::new();
    for n in 0..4 {
        let cursor = log.cursor(&topic, &format!("cursor-{n}")).unwrap();
        savers.spawn(async move {
            loop {
                cursor.save(n + 2, vec![7; 1_000]).await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        });
    }
    for _ in 0..50 {
        let lags = timeout(PATIENCE, log.lags()).await.expect("they are listed").unwrap();
        assert_eq!(lags.len(), 4);
    }
    savers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_whose_content_is_gone_is_left_out_and_can_be_saved_again() {
    let server = Server::start();
    let log = open_at(&server).await;
    let topic = log.topic::<Note>("events", KEEP_ALL).unwrap();
    let cursor = log.cursor(&topic, "reader").unwrap();
    topic.append(vec![note("a"), note("b")]).await.unwrap();
    cursor.save(2, vec![7; 300_000]).await.unwrap();
    assert_eq!(cursor.load().unwrap().unwrap().state, vec![7; 300_000]);
    let jetstream = async_nats::jetstream::new(server.client().await);
    let bucket = jetstream.get_stream("OBJ_sen-cursors").await.unwrap();
    bucket.purge().filter("$O.sen-cursors.C.>").await.unwrap();
    assert_eq!(cursor.load().unwrap(), None);
    cursor.save(3, vec![8; 10]).await.unwrap();
    let checkpoint = cursor.load().unwrap().unwrap();
    assert_eq!((checkpoint.next, checkpoint.state), (3, vec![8; 10]));
}
