//! `docker-compose.yml`, read strictly: a key, a service or a shape that is not known here is an
//! error, so that the file cannot drift away from what the stories run.
//!
//! [`container`](crate::container) starts what is read here.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::centre::root;

/// Values of the variables a person may set (`SEN_ARCHIVE`, …); the environment is never read.
pub type Variables = BTreeMap<String, String>;

/// The whole file, with its variables filled in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Composition {
    /// The project's name.
    pub name: String,
    /// Every service by its name.
    pub services: BTreeMap<String, Service>,
    /// Every network.
    pub networks: BTreeMap<String, Network>,
    /// Named volumes; none has options.
    pub volumes: BTreeMap<String, Nothing>,
    /// Where the secrets are.
    pub secrets: BTreeMap<String, Secret>,
}

/// One service: exactly the keys that this repository uses.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Name and tag.
    pub image: String,
    /// How the image is built, if it is ours.
    pub build: Option<Build>,
    /// In which profiles it runs.
    pub profiles: Vec<String>,
    /// What the container is called by itself.
    pub hostname: Option<String>,
    /// What follows the image's entry point.
    #[serde(default)]
    pub command: Vec<String>,
    /// Variables of the process.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// `source:target[:ro]`.
    #[serde(default)]
    pub volumes: Vec<String>,
    /// `target:options`.
    #[serde(default)]
    pub tmpfs: Vec<String>,
    /// Names of secrets, at `/run/secrets/{name}`.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// `address:port:port`.
    #[serde(default)]
    pub ports: Vec<String>,
    /// Networks it is in.
    pub networks: Vec<String>,
    /// What must be well before it starts.
    #[serde(default)]
    pub depends_on: BTreeMap<String, Condition>,
    /// How it is seen to be well.
    pub healthcheck: Healthcheck,
    /// `uid:gid`.
    pub user: String,
    /// Whether its root is read-only.
    pub read_only: bool,
    /// Capabilities taken away.
    pub cap_drop: Vec<String>,
    /// `no-new-privileges:true`.
    pub security_opt: Vec<String>,
    /// `unless-stopped`.
    pub restart: String,
    /// The signal that asks it to stop; SIGTERM if none.
    pub stop_signal: Option<String>,
    /// How long it may take to stop, such as `40s`.
    pub stop_grace_period: String,
    /// Most processes and threads.
    pub pids_limit: u32,
    /// Most memory, such as `1g`.
    pub mem_limit: String,
    /// Most cores.
    pub cpus: f64,
    /// Open files and the like.
    #[serde(default)]
    pub ulimits: Value,
    /// Where its output goes.
    pub logging: Value,
}

/// How an image of ours is built.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The folder that is sent to the builder.
    pub context: String,
    /// The stage of the Dockerfile.
    pub target: String,
}

/// What a dependency waits for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// `service_healthy`.
    pub condition: String,
    /// Whether its own profiles must start it, too.
    #[serde(default = "yes")]
    pub required: bool,
}

fn yes() -> bool {
    true
}

/// How a service is seen to be well.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Healthcheck {
    /// `CMD` and a command.
    pub test: Vec<String>,
    /// Between two looks.
    pub interval: String,
    /// For one look.
    pub timeout: String,
    /// In which failures do not count.
    pub start_period: String,
    /// Failures until it is unwell.
    pub retries: u32,
}

/// A network.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Without a way out.
    #[serde(default)]
    pub internal: bool,
}

/// No options.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// A secret in a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Relative to the repository.
    pub file: String,
}

/// The file as values: merged (`<<`), without the templates (`x-…`), variables filled in.
pub fn values(variables: &Variables) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(root().join("docker-compose.yml"))?;
    let mut file = merged(serde_saphyr::from_str(&text)?)?;
    let sections = file.as_object_mut().context("docker-compose.yml is a mapping")?;
    sections.retain(|key, _| !key.starts_with("x-"));
    filled(file, variables)
}

impl Composition {
    /// Reads `docker-compose.yml` with these values of its variables.
    pub fn read(variables: &Variables) -> anyhow::Result<Self> {
        let composition: Self =
            serde_json::from_value(values(variables)?).context("docker-compose.yml")?;
        composition.agrees()?;
        Ok(composition)
    }

    /// One service.
    pub fn service(&self, name: &str) -> anyhow::Result<&Service> {
        self.services.get(name).with_context(|| format!("docker-compose.yml has no {name}"))
    }

    /// Every name that is used is declared, and every bound file is there.
    fn agrees(&self) -> anyhow::Result<()> {
        let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, service) in &self.services {
            for network in &service.networks {
                ensure!(self.networks.contains_key(network), "{name}: no network {network}");
            }
            for secret in &service.secrets {
                ensure!(self.secrets.contains_key(secret), "{name}: no secret {secret}");
            }
            for (other, condition) in &service.depends_on {
                let other = self.service(other)?;
                let together = !condition.required
                    || service.profiles.iter().all(|p| other.profiles.contains(p));
                ensure!(together, "{name}: depends on what its profiles do not start");
            }
            for mount in service.mounts()? {
                match mount.source {
                    Source::Bound(path) => {
                        ensure!(root().join(path).exists(), "{name}: {path} is not there");
                        ensure!(mount.read_only, "{name}: {path} could be written to");
                    }
                    Source::Volume(volume) => {
                        ensure!(self.volumes.contains_key(volume), "{name}: no volume {volume}");
                        if let Some(owner) = owners.insert(volume, name) {
                            bail!("{name} and {owner} share the volume {volume}");
                        }
                    }
                }
            }
        }
        ensure!(owners.len() == self.volumes.len(), "a volume that nobody uses");
        Ok(())
    }
}

/// Where a mount comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// A file or folder of the repository.
    Bound(&'a str),
    /// A named volume.
    Volume(&'a str),
}

/// One entry of `volumes`.
#[derive(Clone, Copy, Debug)]
pub struct Mount<'a> {
    /// What is mounted.
    pub source: Source<'a>,
    /// Where, as the container sees it.
    pub target: &'a str,
    /// Whether it cannot be written to.
    pub read_only: bool,
}

impl Service {
    /// What is mounted, in order.
    pub fn mounts(&self) -> anyhow::Result<Vec<Mount<'_>>> {
        self.volumes.iter().map(|text| mount(text)).collect()
    }

    /// Where it has folders in memory.
    pub fn in_memory(&self) -> impl Iterator<Item = &str> {
        self.tmpfs.iter().map(|text| text.split_once(':').map_or(text.as_str(), |(path, _)| path))
    }
}

fn mount(text: &str) -> anyhow::Result<Mount<'_>> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, read_only) = match parts[..] {
        [source, target] => (source, target, false),
        [source, target, "ro"] => (source, target, true),
        _ => bail!("a mount that is not source:target[:ro]: {text}"),
    };
    ensure!(target.starts_with('/'), "a mount without a target: {text}");
    let source = match source.strip_prefix("./") {
        Some(path) => Source::Bound(path),
        None if source.contains('/') => bail!("a mount from outside the repository: {text}"),
        None => Source::Volume(source),
    };
    Ok(Mount { source, target, read_only })
}

/// Applies `<<`: what stands beside it wins over what it brings.
fn merged(value: Value) -> anyhow::Result<Value> {
    Ok(match value {
        Value::Object(entries) => {
            let mut whole = Map::new();
            let mut own = Map::new();
            for (key, value) in entries {
                match (key.as_str(), merged(value)?) {
                    ("<<", Value::Object(brought)) => whole.extend(brought),
                    ("<<", _) => bail!("`<<` of something that is no mapping"),
                    (_, value) => drop(own.insert(key, value)),
                }
            }
            whole.extend(own);
            Value::Object(whole)
        }
        Value::Array(items) => {
            Value::Array(items.into_iter().map(merged).collect::<anyhow::Result<_>>()?)
        }
        plain => plain,
    })
}

/// Fills in the variables of every text.
fn filled(value: Value, variables: &Variables) -> anyhow::Result<Value> {
    Ok(match value {
        Value::Object(entries) => Value::Object(
            entries
                .into_iter()
                .map(|(key, value)| Ok((key, filled(value, variables)?)))
                .collect::<anyhow::Result<_>>()?,
        ),
        Value::Array(items) => Value::Array(
            items.into_iter().map(|item| filled(item, variables)).collect::<anyhow::Result<_>>()?,
        ),
        Value::String(text) => Value::String(interpolated(&text, variables)?),
        plain => plain,
    })
}

/// `${NAME:-default}` (also where it is set to nothing), `${NAME-default}` (only where it is not
/// set) and `$$`, as Compose has them; anything else with a `$` is refused.
pub fn interpolated(text: &str, variables: &Variables) -> anyhow::Result<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        filled.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            filled.push('$');
            rest = after;
            continue;
        }
        let inside = after.strip_prefix('{').and_then(|after| after.split_once('}'));
        let (inside, after) = inside.with_context(|| format!("a `$` without braces: {text}"))?;
        let (name, default) = inside
            .split_once('-')
            .with_context(|| format!("a variable without a default: {text}"))?;
        let (name, also_empty) = match name.strip_suffix(':') {
            Some(name) => (name, true),
            None => (name, false),
        };
        let set = variables.get(name).filter(|value| !(also_empty && value.is_empty()));
        filled.push_str(set.map_or(default, String::as_str));
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The instruction's arguments in the Dockerfile's stage, as JSON: `ENTRYPOINT` and `CMD`.
pub fn instruction(stage: &str, name: &str) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(Path::new(&root()).join("Dockerfile"))?;
    let begins = |line: &str| line.starts_with("FROM ") && line.ends_with(&format!(" AS {stage}"));
    let mut lines = text.lines().skip_while(|line| !begins(line)).skip(1);
    let arguments = lines
        .by_ref()
        .take_while(|line| !line.starts_with("FROM "))
        .find_map(|line| line.strip_prefix(&format!("{name} ")))
        .with_context(|| format!("Dockerfile: stage {stage} has no {name}"))?;
    Ok(serde_json::from_str(arguments)?)
}
