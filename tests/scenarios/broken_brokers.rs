//! A broker before Sen that is killed or hangs: what we acknowledged to it is stored, what we did not
//! it says again, and nothing is there twice.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use rustix::process::Signal;
use sen_chassis::clock::Stopwatch;
use sen_tests::device::Device;
use sen_tests::ledger::{Ledger, reading};
use sen_tests::wait_for;

use crate::behind_a_broker::{Mosquitto, broker_is, with_source};
use crate::fleet::Fleet;
use crate::{Centre, GAUGE, LEVEL, now_ms, stored};

const KILLS: i64 = Centre::often(3) as i64;
/// Readings of one half of a life of the broker.
const HALF: i64 = 50;
/// By when a broker must be missed, and be returned to: ten seconds; the rest is for a busy machine.
pub(crate) const NOTICED: Duration = Duration::from_secs(15);

/// Waits for a state of the source, which must come in time.
pub(crate) async fn soon(centre: &Centre, well: bool) -> anyhow::Result<()> {
    let since = Stopwatch::start();
    broker_is(centre, well).await;
    let took = since.elapsed();
    let what = if well { "returned to" } else { "missed" };
    println!("the broker was {what} after {took:?}");
    ensure!(took < NOTICED, "the broker was {what} only after {took:?}");
    Ok(())
}

/// Waits until the store has this many readings of the gauge; one more is one twice.
async fn has(centre: &Centre, from_ms: i64, count: i64) {
    wait_for("every reading in the store", async || {
        let items = stored(centre, GAUGE, LEVEL, from_ms, from_ms + 10_000).await.ok()?;
        assert!(items.len() as i64 <= count, "something is there twice");
        (items.len() as i64 == count).then_some(())
    })
    .await;
}

/// Waits until the broker has a reading on its disk.
async fn on_disk(folder: &Path, time_ms: i64) {
    let text = time_ms.to_string().into_bytes();
    wait_for("the reading on the broker's disk", async || {
        let bytes = fs::read(folder.join("mosquitto.db")).ok()?;
        bytes.windows(text.len()).any(|window| window == text).then_some(())
    })
    .await;
}

/// Half a life of readings of the gauge, one packet each.
async fn half(ledger: &mut Ledger, port: u16, begun_ms: i64, half: i64) -> anyhow::Result<i64> {
    let mut device = Device::connect("gw-1", port).await?;
    for n in half * HALF..(half + 1) * HALF {
        ledger.report(&mut device, &[reading(GAUGE, LEVEL, begun_ms + n, 0.5)]).await?;
    }
    Ok(begun_ms + (half + 1) * HALF - 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_takes_nothing_along() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut broker = Mosquitto::start(folder.path()).await?;
    let mut centre = Centre::start()?;
    with_source(&mut centre, broker.port())?;
    broker_is(&centre, true).await;
    let (begun_ms, port) = (now_ms() - 100_000, broker.port());
    let mut ledger = Ledger::default();
    for life in 0..KILLS {
        // The first half we acknowledge before the broker dies.
        half(&mut ledger, port, begun_ms, 2 * life).await?;
        has(&centre, begun_ms, (2 * life + 1) * HALF).await;
        broker.process.kill();
        soon(&centre, false).await?;
        broker.start_again().await?;
        soon(&centre, true).await?;
        // The second waits on its disk while both are dead.
        centre.kill();
        let last_ms = half(&mut ledger, port, begun_ms, 2 * life + 1).await?;
        on_disk(folder.path(), last_ms).await;
        broker.start_again().await?;
        centre.restart()?;
        broker_is(&centre, true).await;
        has(&centre, begun_ms, (2 * life + 2) * HALF).await;
    }
    let audit = ledger.audit(centre, "broker killed").await?;
    ensure!(audit.stored == audit.sent, "{audit:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_hangs_is_missed_in_time_and_nothing_is_doubled() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let broker = Mosquitto::start(folder.path()).await?;
    let mut centre = Centre::start()?;
    with_source(&mut centre, broker.port())?;
    broker_is(&centre, true).await;
    let mut fleet = Fleet::of(3);
    fleet.report_to(broker.port());
    fleet.acknowledged(200).await;
    broker.process.signal(Signal::STOP)?;
    soon(&centre, false).await?;
    broker.process.signal(Signal::CONT)?;
    soon(&centre, true).await?;
    fleet.acknowledged(200).await;
    fleet.stop().await;
    all_came(&centre, &fleet).await;
    let audit = fleet.audit(centre, "broker hung").await?;
    ensure!(audit.stored <= audit.sent, "something is there twice: {audit:?}");
    Ok(())
}

/// Waits until what the broker acknowledged to the devices of a fleet has come to us.
pub(crate) async fn all_came(centre: &Centre, fleet: &Fleet) {
    for number in 0..3 {
        let device = format!("fleet-{number}");
        let (sent, acknowledged) = fleet.ledger().values_of(&device);
        let Some((first_ms, _)) = sent.first() else { continue };
        wait_for("what the broker held", async || {
            let items = stored(centre, &device, LEVEL, *first_ms, now_ms()).await.ok()?;
            assert!(items.len() <= sent.len(), "something is there twice");
            (items.len() >= acknowledged.len()).then_some(())
        })
        .await;
    }
}
