//! One `ingest` at a time is the client of the brokers: when it dies the other takes its place, by the
//! same name, and nothing that the broker took is lost or told twice.

use anyhow::{Context, ensure};
use sen_tests::cluster::{Apart, BROKER, turn};
use sen_tests::wait_for;

use crate::audit::audit;
use crate::centre;
use crate::load::Load;

const KILLS: usize = 3;

/// The number of the `ingest` that holds the brokers; none at a time when nobody does.
async fn holder(apart: &Apart) -> Option<usize> {
    for number in 1..=2 {
        let admin = apart.admin(&format!("ingest-{number}")).ok()?;
        let page = sen_tests::api::Api::at(admin).page("/metrics").await;
        let holds = |line: &str| line == "sen_lease_held{lease=\"brokers\"} 1";
        if page.is_ok_and(|(_, metrics)| metrics.lines().any(holds)) {
            return Some(number);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_the_brokers_is_killed_and_the_other_goes_on_without_a_gap() -> anyhow::Result<()>
{
    let _turn = turn().await;
    let mut apart = centre().await?;
    let address = apart.part(BROKER)?.address(1883);
    let port = address.rsplit(':').next().context("host:port")?.parse()?;
    let load = Load::begin([port, port]);
    for _ in 0..KILLS {
        let held = wait_for("somebody to hold the brokers", async || holder(&apart).await).await;
        load.more(150).await;
        let name = format!("ingest-{held}");
        apart.part_mut(&name)?.kill();
        let next = wait_for("the other to hold them", async || holder(&apart).await).await;
        ensure!(next != held, "{name} is dead");
        load.more(150).await;
        let part = apart.part_mut(&name)?;
        part.start()?;
        part.well().await;
    }
    let book = load.end().await?;
    audit(&apart, &book, None).await
}
