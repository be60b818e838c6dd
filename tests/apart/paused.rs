//! Instances stand still for longer than their lease, as a machine does that swaps or is moved: others
//! take their work, and when they come back they neither do it a second time nor are they lost.

use anyhow::ensure;
use sen_tests::cluster::turn;
use sen_tests::wait_for;

use crate::audit::audit;
use crate::calls::Called;
use crate::eye::Eye;
use crate::load::Load;
use crate::{TRIAL, centre_calling, endpoints, holder, holds};

/// Who is paused, and the lease by which it is found: whoever holds it. The judge comes twice, so that
/// who was paused first takes over again.
const PAUSES: [(&str, &str); 6] = [
    ("alert", "alert"),
    ("notify", "notify"),
    ("aggregate", "aggregate-0"),
    ("alert", "alert"),
    ("ingest", "brokers"),
    ("gateway", ""),
];

#[tokio::test(flavor = "multi_thread")]
async fn who_stood_still_comes_back_and_does_nothing_twice() -> anyhow::Result<()> {
    let _turn = turn().await;
    let called = Called::begin().await?;
    let apart = centre_calling(&called, PAUSES.len()).await?;
    let eye = Eye::open([apart.http(1)?, apart.http(2)?]).await;
    let load = Load::begin(endpoints(&apart)?);
    eye.is_fresh().await;
    for (number, (role, lease)) in PAUSES.into_iter().enumerate() {
        let at_work = match lease {
            // All of them are.
            "" => 1,
            lease => holder(&apart, role, lease).await,
        };
        let (name, other) = (format!("{role}-{at_work}"), format!("{role}-{}", 3 - at_work));
        load.more(50).await;
        // Its reading is acknowledged; the rest of its way may fall into the pause.
        load.call(number).await?;
        apart.part(&name)?.pause()?;
        if !lease.is_empty() {
            let what = format!("{other} to take {lease}");
            wait_for(&what, async || holds(&apart, &other, lease).await.then_some(())).await;
        }
        let raised = || eye.sight().memory.count(TRIAL, "raised");
        let before = raised();
        wait_for("an alert that was raised since", async || (raised() > before).then_some(()))
            .await;
        eye.is_fresh().await;
        let part = apart.part(&name)?;
        part.resume()?;
        load.more(50).await;
        part.well().await;
        println!("{name} stood still; screens were at most {} ms behind", eye.was_behind_ms());
    }
    let book = load.end().await?;
    audit(&apart, &book, Some(&eye)).await?;
    called.audit(&apart, PAUSES.len()).await?;
    let lost: Vec<_> =
        apart.names().filter(|name| apart.part(name).is_ok_and(|it| !it.lives())).collect();
    ensure!(lost.is_empty(), "ended by themselves: {lost:?}");
    Ok(())
}
