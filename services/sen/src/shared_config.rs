//! Configuration that all processes of a centre have from the cluster, in place of a folder of
//! their own: given to it with `sen config push`, taken from it with `--config nats:`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use sen_chassis::Problem;
use sen_chassis::config::Layers;
use sen_cluster::{Cluster, Config};

use crate::cli::Place;
use crate::config::{DEFAULTS, Settings};

/// In place of a folder: the files are in the cluster.
const SHARED: &str = "nats:";
/// The folder for them, below that of the data.
const FOLDER: &str = "config";

/// Whether the files are in the cluster.
pub(crate) fn is_shared(place: &Place) -> bool {
    place.config.as_os_str() == SHARED
}

/// The folder that has the files here.
pub(crate) fn folder(place: &Place) -> PathBuf {
    if is_shared(place) { place.data.join(FOLDER) } else { place.config.clone() }
}

/// Where the cluster is, by the environment alone: the rest of the settings is still there.
pub(crate) fn whereabouts() -> Result<Config, Vec<Problem>> {
    let mut layers = Layers::new(DEFAULTS).with_environment();
    let Some(config) = layers.section::<Config>("cluster") else {
        return Err(layers.finish());
    };
    let mut problems = config.check();
    if !config.is_apart() {
        let advice = "set SEN__CLUSTER__NATS: `--config nats:` takes the files from the cluster";
        problems.push(Problem::new("cluster.nats", advice));
    }
    if problems.is_empty() { Ok(config) } else { Err(problems) }
}

/// Takes the files from the cluster.
pub(crate) async fn pull(config: &Config, folder: &Path) -> anyhow::Result<()> {
    let cluster = join(config).await?;
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let files = cluster.pull(folder).await?;
    tracing::debug!(files = files.len(), "configuration taken from the cluster");
    Ok(())
}

/// Gives the files of a folder without a mistake to the cluster.
pub(crate) async fn push(settings: &Settings) -> anyhow::Result<()> {
    let pushed = join(&settings.cluster).await?.push(&settings.folder).await?;
    println!(
        "{} files given to the cluster, {} were there",
        pushed.changed.len(),
        pushed.same.len()
    );
    for file in pushed.only_there {
        println!("only in the cluster: {file}");
    }
    Ok(())
}

async fn join(config: &Config) -> anyhow::Result<Cluster> {
    let role = "config";
    Ok(Cluster::connect(config, role, &config.instance_of(role)).await?)
}
