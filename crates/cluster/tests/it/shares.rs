//! Partitions shared among members that come and go.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use sen_chassis::Tasks;
use sen_cluster::{Change, Cluster, Held};
use tokio::sync::{oneshot, watch};

use crate::server::{PATIENCE, Server, soon};

const COUNT: u32 = 8;

/// Who works on what at this moment: two on one are a failure of the whole.
#[derive(Clone, Default)]
struct Board(Arc<Mutex<BTreeMap<u32, String>>>, watch::Sender<()>);

impl Board {
    fn begin(&self, partition: u32, who: &str) {
        let other = self.0.lock().unwrap().insert(partition, who.to_owned());
        assert_eq!(other, None, "{who} began {partition} while another works on it");
        self.1.send_replace(());
    }

    fn end(&self, partition: u32) {
        self.0.lock().unwrap().remove(&partition);
        self.1.send_replace(());
    }

    /// Waits until so many members work, on as many partitions each.
    async fn settles(&self, members: usize, expected: &[usize]) {
        let mut changed = self.1.subscribe();
        let sizes = || {
            let mut sizes = BTreeMap::<String, usize>::new();
            for who in self.0.lock().unwrap().values() {
                *sizes.entry(who.clone()).or_default() += 1;
            }
            let mut sizes: Vec<_> = sizes.into_values().collect();
            sizes.sort_unstable();
            sizes
        };
        let reached = async {
            while sizes() != expected {
                changed.changed().await.unwrap();
            }
        };
        let met = tokio::time::timeout(PATIENCE, reached).await;
        assert!(met.is_ok(), "{members} members want {expected:?}, there is {:?}", sizes());
    }
}

/// How a member goes, and how work ends.
#[derive(Clone, Copy)]
enum Going {
    Leave,
    Die,
}

/// Works on a partition until told to end or its lease is lost.
async fn work(mut held: Held, end: impl FnOnce(), told: oneshot::Receiver<Going>) {
    let how = tokio::select! {
        () = held.lost() => None,
        how = told => how.ok(),
    };
    end();
    if let Some(Going::Leave) = how {
        held.release().await;
    }
}

/// A member that works as told until it goes.
async fn member(cluster: Cluster, board: Board, mut go: oneshot::Receiver<Going>) {
    let who = cluster.instance().to_owned();
    let mut shares = cluster.shares("aggregate", COUNT);
    let mut works = BTreeMap::<u32, oneshot::Sender<Going>>::new();
    let mut workers = Tasks::<std::convert::Infallible>::new();
    let how = loop {
        tokio::select! {
            change = shares.next() => match change.unwrap() {
                Change::Take(partition, held) => {
                    board.begin(partition, &who);
                    let (tell, told) = oneshot::channel();
                    works.insert(partition, tell);
                    let board = board.clone();
                    workers.spawn("work", async move {
                        work(held, move || board.end(partition), told).await;
                        Ok(())
                    });
                }
                Change::GiveUp(partition) => {
                    let _ = works.remove(&partition).unwrap().send(Going::Leave);
                }
            },
            how = &mut go => break how.unwrap(),
        }
    };
    if matches!(how, Going::Leave) {
        shares.leave().await;
    }
    for (_, tell) in works {
        let _ = tell.send(how);
    }
    workers.join_all().await.unwrap();
}

#[tokio::test]
async fn partitions_are_shared_evenly_whoever_comes_and_goes() {
    let server = Server::start().await;
    let board = Board::default();
    let mut tasks = Tasks::<std::convert::Infallible>::new();
    let mut goes = BTreeMap::new();
    for (who, sizes) in [("a", &[8][..]), ("b", &[4, 4]), ("c", &[2, 3, 3]), ("d", &[2, 2, 2, 2])] {
        let (go, gone) = oneshot::channel();
        goes.insert(who, go);
        let (cluster, board_of_member) = (server.join("aggregate", who).await, board.clone());
        tasks.spawn("member", async move {
            member(cluster, board_of_member, gone).await;
            Ok(())
        });
        board.settles(goes.len(), sizes).await;
    }
    let _ = goes.remove("a").unwrap().send(Going::Leave);
    soon("a leaves", tasks.join_next()).await.unwrap().unwrap();
    board.settles(3, &[2, 3, 3]).await;
    let _ = goes.remove("b").unwrap().send(Going::Die);
    soon("b dies", tasks.join_next()).await.unwrap().unwrap();
    board.settles(2, &[4, 4]).await;
    let _ = goes.remove("c").unwrap().send(Going::Leave);
    soon("c leaves", tasks.join_next()).await.unwrap().unwrap();
    board.settles(1, &[8]).await;
    assert!(tasks.len() == 1);
}
