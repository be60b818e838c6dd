//! The store alone, without the centre around it: what it takes on disk and in CPU, how it answers,
//! and the same points in other stores.

mod embedded;
mod load;
mod outside;
mod province;

use anyhow::anyhow;

use super::super::centre::Bench;
use super::super::report::Sample;
use crate::config::Settings;

/// Series of which a day is asked for.
const ASKED: u64 = 50;

/// Points a second and a core, commits while sealing, queries; beside other servers if they are
/// installed.
pub(super) async fn store(bench: &Bench, series: u64, ticks: u64) -> anyhow::Result<Sample> {
    let folder = |name: &str| bench.folder.fresh(name);
    let mut sample = embedded::write(&folder("store")?, series, ticks).await?;
    sample = sample.and(embedded::ask(&folder("store")?, ASKED).await?);
    for server in outside::SERVERS {
        let measured = server.measure(&folder(server.package)?, series, ticks, ASKED).await?;
        sample = sample.and(measured.unwrap_or_default());
    }
    Ok(sample)
}

/// Bytes a reading of the simulated province.
pub(super) async fn province(bench: &Bench, days: u64, mobile: bool) -> anyhow::Result<Sample> {
    let settings = Settings::read(&bench.config)
        .map_err(|problems| anyhow!("{} mistakes in the configuration", problems.len()))?;
    let road = if mobile { sen_simulator::Road::Mobile } else { sen_simulator::Road::Loopback };
    let folder = bench.folder.fresh("province")?;
    province::density(&folder, &settings.simulator, &settings.registry, days, road).await
}

/// How fast a large store opens.
pub(super) async fn open(bench: &Bench, points: u64) -> anyhow::Result<Sample> {
    embedded::open(&bench.folder.fresh("open")?, points).await
}
