//! NATS servers that die and stand still: what was acknowledged is there, nothing is acknowledged
//! that they do not have, and all goes on by itself. And the proof that acknowledged means on disk.

use anyhow::{Context, ensure};
use async_nats::jetstream;
use sen_tests::asking::now_ms;
use sen_tests::cluster::{Apart, ROLES, Shape, turn};
use sen_tests::compose::Variables;
use sen_tests::container::syncs_always;
use sen_tests::nats::{SERVERS, elected};
use sen_tests::wait_for;

use crate::audit::audit;
use crate::eye::Eye;
use crate::load::Load;
use crate::{centre, endpoints};

/// An acknowledgement may be on its way when the servers stop.
const ON_ITS_WAY_MS: i64 = 5_000;
/// How often devices try in vain while nothing can be acknowledged.
const IN_VAIN: usize = 14;

/// Which server leads the stream of the readings.
async fn leader(apart: &Apart) -> anyhow::Result<String> {
    let client = async_nats::connect(apart.nats()).await?;
    let jetstream = jetstream::new(client);
    Ok(wait_for("the stream to have a leader", async || {
        let stream = jetstream.get_stream("sen-readings").await.ok()?;
        stream.cached_info().cluster.as_ref()?.leader.clone()
    })
    .await)
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_die_or_stand_still_take_nothing_that_was_acknowledged() -> anyhow::Result<()>
{
    let _turn = turn().await;
    let mut apart = centre().await?;
    let eye = Eye::open([apart.http(1)?, apart.http(2)?]).await;
    let load = Load::begin(endpoints(&apart)?);
    eye.is_fresh().await;
    load.more(100).await;

    let leads = leader(&apart).await?;
    apart.part_mut(&leads)?.kill();
    load.more(100).await;
    eye.is_fresh().await;
    apart.part_mut(&leads)?.start()?;
    let servers = SERVERS.iter().filter_map(|name| apart.part(name).ok());
    elected(servers).await;
    load.more(100).await;

    // The one that leads now, and another.
    let leads = leader(&apart).await?;
    let other = *SERVERS.iter().find(|name| **name != leads).context("there are three")?;
    let stopped = [leads.as_str(), other];
    stopped.iter().try_for_each(|name| apart.part(name)?.pause())?;
    let from_ms = now_ms() + ON_ITS_WAY_MS;
    let in_vain = load.failures() + IN_VAIN;
    wait_for("devices to try in vain", async || (load.failures() >= in_vain).then_some(())).await;
    let until_ms = now_ms();
    stopped.iter().try_for_each(|name| apart.part(name)?.resume())?;
    let false_ones = load.acknowledged_between(from_ms, until_ms);
    ensure!(false_ones == 0, "{false_ones} acknowledged by one server of three");
    ensure!(until_ms - from_ms > ON_ITS_WAY_MS, "it was over too soon to tell");
    load.more(100).await;
    eye.is_fresh().await;
    let book = load.end().await?;
    let audited = audit(&apart, &book, Some(&eye)).await;
    audited.with_context(|| told(&apart))
}

/// What the roles wrote about it.
fn told(apart: &Apart) -> String {
    let roles = ROLES.iter().flat_map(|role| (1..=2).map(move |number| format!("{role}-{number}")));
    let said =
        roles.filter_map(|name| Some(format!("{name}:\n{}", apart.part(&name).ok()?.told())));
    said.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_proof_no_role_starts_that_must_have_it() -> anyhow::Result<()> {
    let _turn = turn().await;
    let variables = Variables::from([("SEN__CLUSTER__REQUIRE_DURABLE".into(), "true".into())]);
    let mut apart = Apart::prepare(&Shape { instances: 1, broker: false, variables })?;
    apart.start_servers().await?;
    if syncs_always()? {
        return apart.start_roles().await;
    }
    for role in ROLES {
        let part = apart.part_mut(&format!("{role}-1"))?;
        part.start()?;
        wait_for("it to say what to do", async || {
            let told = part.told();
            let advised = told.contains("sync_always: true") && told.contains("2.10");
            (advised && told.contains("cluster.require_durable")).then_some(())
        })
        .await;
        // It ends by itself; what is asked of it after its last word changes nothing.
        let status = tokio::task::block_in_place(|| part.terminate())?;
        ensure!(status.code() == Some(78), "{role} ended with {status}:\n{}", part.told());
    }
    Ok(())
}
