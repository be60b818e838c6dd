//! One `ingest` at a time is the client of the brokers: when it dies the other takes its place, by the
//! same name, and nothing that the broker took is lost or told twice.

use anyhow::{Context, ensure};
use sen_tests::api::Api;
use sen_tests::cluster::{Apart, BROKER, turn};
use sen_tests::wait_for;

use crate::audit::audit;
use crate::load::Load;
use crate::{centre, holder};

const KILLS: usize = 3;

/// Waits until somebody has a session at the broker: before, it drops what it is given.
async fn is_read(apart: &Apart) {
    wait_for("an ingest that reads the broker", async || {
        for number in 1..=2 {
            let admin = Api::at(apart.admin(&format!("ingest-{number}")).ok()?);
            let (status, report) = admin.page("/readyz").await.ok()?;
            if status == 200 && report.contains("broker:") {
                return Some(());
            }
        }
        None
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_the_brokers_is_killed_and_the_other_goes_on_without_a_gap() -> anyhow::Result<()>
{
    let _turn = turn().await;
    let mut apart = centre().await?;
    let address = apart.part(BROKER)?.address(1883);
    let port = address.rsplit(':').next().context("host:port")?.parse()?;
    is_read(&apart).await;
    let load = Load::begin([port, port]);
    for _ in 0..KILLS {
        let held = holder(&apart, "ingest", "brokers").await;
        load.more(150).await;
        let name = format!("ingest-{held}");
        apart.part_mut(&name)?.kill();
        let next = holder(&apart, "ingest", "brokers").await;
        ensure!(next != held, "{name} is dead");
        load.more(150).await;
        let part = apart.part_mut(&name)?;
        part.start()?;
        part.well().await;
    }
    let book = load.end().await?;
    audit(&apart, &book, None).await
}
