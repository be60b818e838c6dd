//! The whole configuration: `sen.toml` by sections, and the files beside it, with every problem.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sen_chassis::config::Layers;
use sen_chassis::{Problem, telemetry};
use sen_model::{Registry, Rule};

/// The defaults of every key, with their explanations: the file a person reads to learn them.
pub(crate) const DEFAULTS: &str = include_str!("../../../config/sen.toml");

/// Everything the binary was told, checked.
pub(crate) struct Settings {
    /// Logs.
    pub(crate) telemetry: telemetry::Config,
    /// Where the processes of a centre meet that does not run on one machine.
    pub(crate) cluster: sen_cluster::Config,
    /// The durable log.
    pub(crate) log: sen_log::Config,
    /// The time-series store.
    pub(crate) store: sen_store::Config,
    /// The archive beside the store, if there is one.
    pub(crate) archive: Option<sen_archive::Config>,
    /// The centre above this one.
    pub(crate) upstream: sen_edge::Config,
    /// Packets to readings.
    pub(crate) ingest: sen_ingest::Config,
    /// Brokers to subscribe to.
    pub(crate) sources: sen_ingest::Sources,
    /// Readings to summaries.
    pub(crate) aggregate: sen_aggregate::Config,
    /// Readings to alerts.
    pub(crate) alert: sen_alert::Config,
    /// Alerts to people.
    pub(crate) notify: sen_notify::Config,
    /// Who is called, when and how.
    pub(crate) on_call: sen_notify::OnCall,
    /// Everything to the screens.
    pub(crate) gateway: sen_gateway::Config,
    /// The simulated province.
    pub(crate) simulator: sen_simulator::Config,
    /// Devices and places.
    pub(crate) registry: Arc<Registry>,
    /// The rules as they stand at start; the alert service watches the file from then on.
    pub(crate) rules: Vec<Rule>,
    /// What is given to the public by schedule.
    pub(crate) exports: Vec<sen_export::Export>,
    /// The folder all of it came from.
    pub(crate) folder: PathBuf,
}

impl Settings {
    /// Reads `folder` and the environment. On failure gives every problem there is, not the first.
    pub(crate) fn read(folder: &Path) -> Result<Self, Vec<Problem>> {
        let mut layers = Layers::new(DEFAULTS);
        let own = folder.join("sen.toml");
        if own.exists() {
            layers = layers.with_file(&own);
        }
        let mut layers = layers.with_environment();
        let mut problems = Vec::new();

        let telemetry = checked(&mut layers, "telemetry", telemetry::Config::check, &mut problems);
        let cluster = checked(&mut layers, "cluster", sen_cluster::Config::check, &mut problems);
        let check = |config: &sen_log::Config| of_section("log", config.check());
        let log = checked(&mut layers, "log", check, &mut problems);
        let check = |config: &sen_store::Config| of_section("store", config.check());
        let store = checked(&mut layers, "store", check, &mut problems);
        let archive = store.as_ref().map(archive).transpose();
        let archive = archive.map_err(|problem| problems.push(problem)).ok().flatten();
        let ingest = checked(&mut layers, "ingest", sen_ingest::Config::check, &mut problems);
        let upstream = checked(&mut layers, "upstream", sen_edge::Config::check, &mut problems);
        let aggregate =
            checked(&mut layers, "aggregate", sen_aggregate::Config::check, &mut problems);
        let alert = checked(&mut layers, "alert", sen_alert::Config::check, &mut problems);
        let notify = checked(&mut layers, "notify", sen_notify::Config::check, &mut problems);
        let gateway = checked(&mut layers, "gateway", sen_gateway::Config::check, &mut problems);
        let simulator =
            checked(&mut layers, "simulator", sen_simulator::Config::check, &mut problems);
        problems.extend(layers.finish());
        problems.extend(sections_agree(cluster.as_ref(), ingest.as_ref(), store.as_ref()));
        problems.extend(forwards_elsewhere(upstream.as_ref(), ingest.as_ref()));

        let sources = file(folder, "sources.toml", sen_ingest::Sources::parse, &mut problems);
        let registry = registry(folder, &mut problems);
        let rules = registry.as_ref().and_then(|registry| {
            let parse = |text: &str| sen_alert::rules::parse(text, registry);
            file(folder, "rules.toml", parse, &mut problems)
        });
        let exports = registry.as_ref().and_then(|registry| {
            // A folder without the file publishes nothing.
            if !folder.join("exports.toml").exists() {
                return Some(Vec::new());
            }
            file(folder, "exports.toml", |text| sen_export::parse(text, registry), &mut problems)
        });
        let on_call = on_call(folder, rules.as_deref(), registry.as_ref(), &mut problems);
        problems.extend(sen_gateway::check_folder(folder));

        let settings = (|| {
            Some(Self {
                telemetry: telemetry?,
                cluster: cluster?,
                log: log?,
                store: store?,
                archive: archive?,
                upstream: upstream?,
                ingest: ingest?,
                sources: sources?,
                aggregate: aggregate?,
                alert: alert?,
                notify: notify?,
                on_call: on_call?,
                gateway: gateway?,
                simulator: simulator?,
                registry: Arc::new(registry?),
                rules: rules?,
                exports: exports?,
                folder: folder.to_owned(),
            })
        })();
        settings.filter(|_| problems.is_empty()).ok_or(problems)
    }
}

/// Where the archive is, and what lets us in.
fn archive(store: &sen_store::Config) -> Result<Option<sen_archive::Config>, Problem> {
    if !store.is_archived() {
        return Ok(None);
    }
    let problem = |key: &str, error: &dyn std::error::Error| {
        Problem::new(format!("store.{key}"), error.to_string())
    };
    let location = store.archive.parse().map_err(|error| problem("archive", &error))?;
    let token = match store.archive_token_file.as_str() {
        "" => None,
        path => Some(
            sen_archive::Token::from_file(Path::new(path))
                .map_err(|error| problem("archive_token_file", &error))?,
        ),
    };
    let retention_days = Some(store.archive_days);
    Ok(Some(sen_archive::Config { location, token, retention_days }))
}

/// Takes one section and adds what its own check says.
fn checked<T: serde::de::DeserializeOwned>(
    layers: &mut Layers,
    name: &str,
    check: impl FnOnce(&T) -> Vec<Problem>,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let section = layers.section(name)?;
    problems.extend(check(&section));
    Some(section)
}

/// What one section asks of another.
fn sections_agree(
    cluster: Option<&sen_cluster::Config>,
    ingest: Option<&sen_ingest::Config>,
    store: Option<&sen_store::Config>,
) -> impl Iterator<Item = Problem> {
    an_archive_for_all(cluster, store).into_iter().chain(ages_agree(ingest, store))
}

/// Roles that run apart find the past in the archive.
fn an_archive_for_all(
    cluster: Option<&sen_cluster::Config>,
    store: Option<&sen_store::Config>,
) -> Option<Problem> {
    let advice = "must name InfluxDB 2 or VictoriaMetrics where the roles run apart (cluster.nats): \
                  it is the store that all of them share";
    let is_missing = cluster?.is_apart() && !store?.is_archived();
    is_missing.then(|| Problem::new("store.archive", advice))
}

/// What ingest still takes the store must still keep, or it would be acknowledged and lost.
fn ages_agree(
    ingest: Option<&sen_ingest::Config>,
    store: Option<&sen_store::Config>,
) -> Option<Problem> {
    let (ingest, store) = (ingest?, store?);
    let kept_ms = i64::from(store.least_raw_days()) * sen_model::time::DAY_MS;
    let message = format!(
        "readings up to {} ms old are taken, but the store keeps {} days: lower it, or raise \
         store.raw_days",
        ingest.max_age_ms,
        store.least_raw_days()
    );
    (ingest.max_age_ms >= kept_ms).then(|| Problem::new("ingest.max_age_ms", message))
}

/// What is forwarded to oneself comes back for ever.
fn forwards_elsewhere(
    upstream: Option<&sen_edge::Config>,
    ingest: Option<&sen_ingest::Config>,
) -> Option<Problem> {
    let message = "this is the endpoint of this centre itself: name the one above, or none";
    upstream?.is_sent_to(&ingest?.listen).then(|| Problem::new("upstream.broker", message))
}

/// The log and the store know no `chassis`: they tell key and message.
fn of_section<K: std::fmt::Display>(section: &str, told: Vec<(K, String)>) -> Vec<Problem> {
    told.into_iter()
        .map(|(key, message)| Problem::new(format!("{section}.{key}"), message))
        .collect()
}

/// Reads one file beside `sen.toml`.
fn file<T>(
    folder: &Path,
    name: &str,
    parse: impl FnOnce(&str) -> Result<T, Vec<Problem>>,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let path = folder.join(name);
    let parsed = match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text),
        Err(error) => {
            let advice = format!("{error}: pass the folder with --config");
            Err(vec![Problem::new(path.display().to_string(), advice)])
        }
    };
    parsed.map_err(|more| problems.extend(more)).ok()
}

/// Who is called about alerts; a folder without the file calls nobody. Secrets stand beside it.
fn on_call(
    folder: &Path,
    rules: Option<&[Rule]>,
    registry: Option<&Registry>,
    problems: &mut Vec<Problem>,
) -> Option<sen_notify::OnCall> {
    if !folder.join("oncall.toml").exists() {
        return Some(sen_notify::OnCall::default());
    }
    let read_secret = |path: &Path| sen_notify::Secret::read(&folder.join(path));
    let parse = |text: &str| sen_notify::OnCall::parse(text, rules, registry, &read_secret);
    file(folder, "oncall.toml", parse, problems)
}

/// Devices and places make one registry, since devices name the areas they stand in.
fn registry(folder: &Path, problems: &mut Vec<Problem>) -> Option<Registry> {
    let mut read = |name: &str| file(folder, name, |text| Ok(text.to_owned()), problems);
    let (devices, places) = (read("devices.toml")?, read("places.toml")?);
    let parsed = sen_model::registry_file::parse(&devices, &places);
    let told = |fault: sen_model::registry_file::Fault| {
        Problem::new(format!("{}:{} {}", fault.file, fault.line, fault.key), fault.message)
    };
    parsed.map_err(|faults| problems.extend(faults.into_iter().map(told))).ok()
}
