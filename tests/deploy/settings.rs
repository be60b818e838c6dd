//! What the deployment sets is what Sen has: keys of `config/sen.toml`, the partitions of the mapping,
//! the same settings on Kubernetes as in Compose.

use std::collections::BTreeMap;
use std::process::Command;

use sen_tests::centre::{binary, root};
use sen_tests::cluster::{ARCHIVE, ROLES, switched};
use sen_tests::compose::{Composition, Variables};
use sen_tests::container::Host;

use crate::kubernetes::objects;
use crate::{report, text};

/// Keys that are set here before `config/sen.toml` has them.
const AHEAD: [&str; 6] = [
    "telemetry.admin",
    "cluster.nats",
    "cluster.monitors",
    "cluster.partitions",
    "cluster.replicas",
    "cluster.require_durable",
];

/// `section.key` of a variable of ours.
fn key(variable: &str) -> Option<String> {
    Some(variable.strip_prefix("SEN__")?.to_lowercase().replace("__", "."))
}

fn has(defaults: &toml::Table, key: &str) -> bool {
    let mut sections = key.split('.').collect::<Vec<_>>();
    let last = sections.pop().unwrap();
    let mut table = defaults;
    for section in sections {
        let Some(inner) = table.get(section).and_then(toml::Value::as_table) else { return false };
        table = inner;
    }
    table.contains_key(last)
}

#[test]
fn every_variable_is_a_key_of_the_configuration() {
    let defaults: toml::Table = text("config/sen.toml").parse().unwrap();
    let mut told: Vec<(String, String)> = Vec::new();
    for (name, service) in Composition::read(&Variables::new()).unwrap().services {
        let ours = service.image.starts_with("sen:");
        assert_eq!(ours, service.environment.keys().any(|it| it.starts_with("SEN__")), "{name}");
        told.extend(service.environment.into_keys().map(|variable| (name.clone(), variable)));
    }
    told.extend(environment().into_keys().map(|variable| ("environment.yaml".into(), variable)));
    told.extend(own_variables().into_iter().map(|(name, variable, _)| (name, variable)));
    let mut broken = Vec::new();
    for (place, variable) in told {
        if let Some(key) = key(&variable)
            && !has(&defaults, &key)
            && !AHEAD.contains(&key.as_str())
        {
            broken.push(format!("{place}: {variable}: config/sen.toml has no {key}"));
        }
    }
    report(&broken);
}

/// What the map of variables says on Kubernetes.
fn environment() -> BTreeMap<String, String> {
    let map = objects().into_iter().find(|object| {
        object["kind"] == "ConfigMap" && object["metadata"]["name"] == "sen-environment"
    });
    serde_json::from_value(map.unwrap()["data"].clone()).unwrap()
}

/// Workload, variable and value of what single workloads are told on Kubernetes.
fn own_variables() -> Vec<(String, String, String)> {
    let mut told = Vec::new();
    for object in objects() {
        let containers = object.pointer("/spec/template/spec/containers");
        for container in containers.and_then(|it| it.as_array()).into_iter().flatten() {
            for variable in container["env"].as_array().into_iter().flatten() {
                let (name, value) = (variable["name"].as_str(), variable["value"].as_str());
                let workload = object["metadata"]["name"].as_str().unwrap().to_owned();
                told.push((workload, name.unwrap().to_owned(), value.unwrap_or("").to_owned()));
            }
        }
    }
    told
}

#[test]
fn the_roles_are_told_the_same_on_kubernetes_as_in_compose() {
    let services = Composition::read(&Variables::new()).unwrap().services;
    for role in ROLES {
        let mut told = environment();
        let own = own_variables().into_iter().filter(|(workload, ..)| workload == role);
        told.extend(own.map(|(_, variable, value)| (variable, value)));
        assert_eq!(told, services[&format!("{role}-1")].environment, "{role}");
    }
}

#[test]
fn the_partitions_are_those_of_the_servers_mapping() {
    let mapping = text("deploy/nats/mapping.conf");
    let partitions = &environment()["SEN__CLUSTER__PARTITIONS"];
    let line = format!(
        "\"sen.in.readings.*\": \"sen.readings.{{{{partition({partitions},1)}}}}.{{{{wildcard(1)}}}}\""
    );
    assert!(mapping.contains(&line), "deploy/nats/mapping.conf does not say\n{line}");
}

#[test]
fn a_record_fits_into_a_message() {
    let defaults: toml::Table = text("config/sen.toml").parse().unwrap();
    let record = defaults["log"]["record_bytes"].as_integer().unwrap();
    let most = text("deploy/nats/nats.conf");
    let most = most.lines().find_map(|line| line.strip_prefix("max_payload: ")).unwrap();
    let most: i64 = most.strip_suffix("MB").unwrap().parse().unwrap();
    // With room for headers and the envelope.
    assert!(most * 1024 * 1024 >= record + 64 * 1024, "max_payload is too small for {record}");
}

#[test]
fn sen_takes_the_configuration_that_every_role_gets() {
    let defaults: toml::Table = text("config/sen.toml").parse().unwrap();
    let services: Vec<String> = ROLES.iter().map(|role| format!("{role}-1")).collect();
    let names: Vec<&str> =
        services.iter().map(String::as_str).chain(["sen", ARCHIVE, "simulator"]).collect();
    let host = Host::new(&switched(), &names).unwrap();
    for name in names.into_iter().filter(|name| *name != ARCHIVE) {
        let container = host.container(name, &Variables::new()).unwrap();
        let known = container.variables().iter().filter(|(variable, _)| {
            key(variable).is_none_or(|key| has(&defaults, &key) || !AHEAD.contains(&key.as_str()))
        });
        let checked = Command::new(binary())
            .args(["check", "--config"])
            .arg(container.path("/etc/sen"))
            .env_clear()
            .envs(known)
            .current_dir(root())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.success(), "{name}: {told}");
    }
}
