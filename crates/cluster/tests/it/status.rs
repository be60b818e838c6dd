//! What processes say of themselves.

use std::collections::BTreeMap;

use sen_chassis::Tasks;
use sen_cluster::Told;
use tokio::sync::watch;

use crate::server::{Server, soon};

type All = BTreeMap<String, Told<Vec<u32>>>;

async fn until(all: &mut watch::Receiver<All>, what: &str, holds: impl Fn(&All) -> bool) -> All {
    let met = soon(what, async { all.wait_for(|all| holds(all)).await.unwrap().clone() });
    met.await
}

#[tokio::test]
async fn a_status_is_seen_by_all_and_forgotten_with_its_process() {
    let mut server = Server::start().await;
    let (one, two) = (server.join("alert", "one").await, server.join("gateway", "t.w.o").await);
    let mut tasks = Tasks::new();
    let (says, status) = watch::channel(vec![1]);
    tasks.spawn("tell", one.tell(status));
    let (_also, status) = watch::channel(vec![7]);
    tasks.spawn("tell", two.tell(status));
    let (mut all, task) = two.told::<Vec<u32>>();
    tasks.spawn("told", task);

    let seen = until(&mut all, "both tell", |all| all.len() == 2).await;
    let told = &seen["alert.one"];
    assert_eq!((&told.role[..], &told.instance[..], &told.status[..]), ("alert", "one", &[1][..]));
    assert_eq!(seen["gateway.t-w-o"].status, [7]);

    says.send_replace(vec![1, 2]);
    until(&mut all, "the new one", |all| all["alert.one"].status == [1, 2]).await;

    server.kill();
    until(&mut all, "all are forgotten", |all| all.is_empty()).await;
    server.restart().await;
    until(&mut all, "both are back", |all| all.len() == 2).await;

    // The teller ends with who gave it the status, the listener with who looked.
    drop(says);
    until(&mut all, "one is forgotten", |all| all.len() == 1).await;
    drop(all);
    for _ in 0..2 {
        soon("the tasks end", tasks.join_next()).await.unwrap().unwrap();
    }
}
