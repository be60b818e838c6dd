//! The store of the NATS servers is full. Before it is, devices get no acknowledgement and the centre
//! goes on; when it is, because somebody else has filled it, the servers need more room and a new
//! start. Either way nobody ends, nothing that was acknowledged is lost, and all goes on by itself.

use anyhow::{Context, ensure};
use async_nats::jetstream::{self, stream};
use sen_tests::api::Api;
use sen_tests::cluster::{Apart, turn};
use sen_tests::nats::{SERVERS, elected};
use sen_tests::wait_for;
use serde_json::Value;

use crate::audit::audit;
use crate::eye::Eye;
use crate::load::Load;
use crate::{endpoints, laid_out};

/// The room that `deploy/nats/nats.conf` gives, and what these servers have.
const SHIPPED: &str = "max_file_store: 64GB";
const SMALL: &str = "max_file_store: 48MB";
/// Somebody else's messages, in bytes.
const FILLER_BYTES: usize = 512 << 10;
/// Used of the room, in per cent: Sen leaves the rest to what cannot wait.
const NEARLY: u64 = 96;
/// How often devices try in vain while nothing is taken.
const IN_VAIN: usize = 14;

/// How much of its room a server has used, in per cent.
async fn used(apart: &Apart, name: &str) -> Option<u64> {
    let monitor = apart.part(name).ok()?.address(8222);
    let (_, told) = Api::at(monitor).page("/varz").await.ok()?;
    let told: Value = serde_json::from_str(&told).ok()?;
    let (limit, used) = (&told["jetstream"]["config"]["max_storage"], &told["jetstream"]["stats"]);
    Some(used["storage"].as_u64()? * 100 / limit.as_u64()?)
}

/// A stream of somebody else.
struct Stranger(jetstream::Context);

impl Stranger {
    async fn comes(apart: &Apart) -> anyhow::Result<Self> {
        let jetstream = jetstream::new(async_nats::connect(apart.nats()).await?);
        let config = stream::Config {
            name: "stranger".into(),
            subjects: vec!["stranger".into()],
            num_replicas: SERVERS.len(),
            ..stream::Config::default()
        };
        jetstream.create_stream(config).await?;
        Ok(Self(jetstream))
    }

    /// Takes room; whether it got it.
    async fn takes(&self) -> bool {
        let sent = self.0.publish("stranger", vec![0; FILLER_BYTES].into()).await;
        match sent {
            Ok(sent) => sent.await.is_ok(),
            Err(_) => false,
        }
    }

    async fn goes(self) {
        wait_for("the stranger to go", async || {
            // Its answer may have been lost.
            let _ = self.0.delete_stream("stranger").await;
            self.0.get_stream("stranger").await.is_err().then_some(())
        })
        .await;
    }
}

/// Waits until devices have tried in vain; every role lives meanwhile, and screens are served.
async fn in_vain(apart: &Apart, load: &Load) -> anyhow::Result<()> {
    let wanted = load.failures() + IN_VAIN;
    wait_for("devices to try in vain", async || (load.failures() >= wanted).then_some(())).await;
    for gateway in 1..=2 {
        let (status, _) = apart.api(gateway)?.page("/healthz").await?;
        ensure!(status == 200, "gateway-{gateway} stays alive: {status}");
    }
    for name in apart.names() {
        let part = apart.part(name)?;
        ensure!(part.lives(), "{name} has ended:\n{}", part.told());
    }
    Ok(())
}

/// Every server has the file with another word in place of one.
fn configure(apart: &Apart, from: &str, to: &str) -> anyhow::Result<()> {
    SERVERS.iter().try_for_each(|name| {
        let path = apart.part(name)?.path("/etc/nats/nats.conf");
        let text = std::fs::read_to_string(&path)?;
        ensure!(text.contains(from), "{text}");
        std::fs::write(path, text.replace(from, to)).context("the file of a server")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn full_servers_stop_acknowledgements_and_all_goes_on_when_there_is_room()
-> anyhow::Result<()> {
    let _turn = turn().await;
    let mut apart = laid_out(None, 0)?;
    configure(&apart, SHIPPED, SMALL)?;
    apart.start_servers().await?;
    apart.start_roles().await?;
    let eye = Eye::open([apart.http(1)?, apart.http(2)?]).await;
    let load = Load::begin(endpoints(&apart)?);
    eye.is_fresh().await;
    load.more(100).await;

    // Nearly full: readings are refused, and nobody loses a lease over it.
    let stranger = Stranger::comes(&apart).await?;
    wait_for("the servers to be nearly full", async || {
        let is_full = used(&apart, SERVERS[0]).await? >= NEARLY;
        if !is_full {
            stranger.takes().await;
        }
        is_full.then_some(())
    })
    .await;
    in_vain(&apart, &load).await?;
    stranger.goes().await;
    load.more(100).await;
    eye.is_fresh().await;

    // Over the limit: the servers lead nothing, and come back with more room.
    let stranger = Stranger::comes(&apart).await?;
    wait_for("the servers to be over their limit", async || {
        let is_refused = !stranger.takes().await;
        let is_over = used(&apart, SERVERS[0]).await? >= 100;
        (is_refused && is_over).then_some(())
    })
    .await;
    in_vain(&apart, &load).await?;
    configure(&apart, SMALL, SHIPPED)?;
    for name in SERVERS {
        let server = apart.part_mut(name)?;
        server.kill();
        server.start()?;
    }
    elected(SERVERS.iter().filter_map(|name| apart.part(name).ok())).await;
    load.more(100).await;
    eye.is_fresh().await;
    let book = load.end().await?;
    audit(&apart, &book, Some(&eye)).await
}
