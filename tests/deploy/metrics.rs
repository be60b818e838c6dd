//! Grafana, the scrape list and the alerts about Sen itself name only what there is.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use sen_tests::centre::root;
use sen_tests::cluster::ROLES;
use sen_tests::compose::{Composition, Variables};
use serde_json::Value;

use crate::{documents, text};

/// Names of metrics that the source exports, by `counter!`, `gauge!` or `histogram!`.
fn exported() -> BTreeSet<String> {
    let listed = Command::new("git")
        .args(["grep", "-hoE", "(counter|gauge|histogram)!\\(\\s*\"sen_[a-z0-9_]+\"", "--", "*.rs"])
        .current_dir(root())
        .output()
        .unwrap();
    let found = String::from_utf8(listed.stdout).unwrap();
    let names = found.lines().filter_map(|line| line.split('"').nth(1));
    // Others stand in a line of their own.
    let alone = Command::new("git")
        .args(["grep", "-hoE", "^\\s+\"sen_[a-z0-9_]+\",$", "--", "services/*.rs", "crates/*.rs"])
        .current_dir(root())
        .output()
        .unwrap();
    let alone = String::from_utf8(alone.stdout).unwrap();
    let alone = alone.lines().filter_map(|line| line.split('"').nth(1));
    names.chain(alone).map(str::to_owned).collect()
}

/// Words of a text that are names of metrics of ours.
fn named(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("sen_"))
        .map(str::to_owned)
        .collect()
}

fn dashboards() -> Vec<(PathBuf, Value)> {
    let folder = root().join("deploy/grafana/dashboards");
    let read = |path: PathBuf| {
        let dashboard = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        (path, dashboard)
    };
    std::fs::read_dir(folder).unwrap().map(|entry| read(entry.unwrap().path())).collect()
}

#[test]
fn only_metrics_that_are_exported_are_asked_for() {
    let exported = exported();
    assert!(exported.len() > 40, "{exported:?}");
    let places = dashboards()
        .into_iter()
        .flat_map(|(_, dashboard)| dashboard["panels"].as_array().unwrap().clone())
        .flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default())
        .filter_map(|target| Some(target["expr"].as_str()?.to_owned()))
        .chain(["deploy/prometheus/alerts.yml", "docs/operations.md"].map(text));
    for place in places {
        for name in named(&place) {
            // A histogram is told as quantiles, with a sum and a count.
            let base = name.trim_end_matches("_sum").trim_end_matches("_count");
            assert!(exported.contains(&name) || exported.contains(base), "{name} in:\n{place}");
        }
        assert!(!place.contains("_bucket"), "histograms are told as quantiles: {place}");
    }
}

#[test]
fn every_panel_reads_from_a_source_that_is_provisioned() {
    let provisioned = documents(&root().join("deploy/grafana/provisioning/datasources/sen.yml"));
    let sources = provisioned[0]["datasources"].as_array().unwrap();
    let services = Composition::read(&Variables::new()).unwrap().services;
    for source in sources {
        let url = source["url"].as_str().unwrap();
        let host = url.split("://").nth(1).unwrap().split(':').next().unwrap();
        assert!(services.contains_key(host), "{url}");
    }
    let known: BTreeSet<&str> =
        sources.iter().filter_map(|source| source["uid"].as_str()).collect();
    let mut targets = 0;
    let mut ids = BTreeSet::new();
    for (path, dashboard) in dashboards() {
        for panel in dashboard["panels"].as_array().unwrap() {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}: an id twice", path.display());
            for target in panel["targets"].as_array().into_iter().flatten() {
                targets += 1;
                let uid = target["datasource"]["uid"].as_str().unwrap();
                assert!(known.contains(uid), "{}: {uid}", panel["title"]);
                let asks = ["expr", "query"].iter().any(|key| target[key].is_string());
                assert!(asks, "{}: asks nothing", panel["title"]);
            }
        }
    }
    assert!(targets > 15, "{targets} targets");
}

#[test]
fn every_process_of_every_role_is_asked() {
    let scrape = text("deploy/prometheus/scrape.yml");
    let services = Composition::read(&Variables::new()).unwrap().services;
    for name in services.keys() {
        let role = ROLES.iter().any(|role| name.starts_with(&format!("{role}-")));
        assert_eq!(role, scrape.contains(&format!("\"{name}:9090\"")), "{name}");
    }
    let rules = documents(&root().join("deploy/prometheus/alerts.yml"));
    for rule in rules[0]["groups"][0]["rules"].as_array().unwrap() {
        assert!(
            rule["annotations"]["summary"].is_string(),
            "{}: says what it means",
            rule["alert"]
        );
        assert!(rule["expr"].is_string() && rule["labels"]["severity"].is_string());
    }
}
