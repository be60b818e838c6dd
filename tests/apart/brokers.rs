//! One `ingest` at a time is the client of the brokers: when it dies the other takes its place, by the
//! same name, and nothing that the broker took is lost or told twice.

use anyhow::{Context, ensure};
use sen_tests::cluster::{BROKER, turn};

use crate::audit::audit;
use crate::load::Load;
use crate::{centre, holder};

const KILLS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_the_brokers_is_killed_and_the_other_goes_on_without_a_gap() -> anyhow::Result<()>
{
    let _turn = turn().await;
    let mut apart = centre().await?;
    let address = apart.part(BROKER)?.address(1883);
    let port = address.rsplit(':').next().context("host:port")?.parse()?;
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
