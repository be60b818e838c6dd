//! `deploy/kubernetes`: what Kubernetes' schema allows, and what every workload must have.

use std::collections::{BTreeMap, BTreeSet};

use sen_tests::centre::root;
use sen_tests::cluster::ROLES;
use sen_tests::compose::{Composition, Variables};
use serde_json::{Value, json};

use crate::{documents, refused, report, text};

/// Every object of every manifest.
pub(crate) fn objects() -> Vec<Value> {
    let mut paths: Vec<_> = std::fs::read_dir(root().join("deploy/kubernetes"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    paths.sort();
    paths.iter().flat_map(|path| documents(path)).collect()
}

fn named(object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap_or("?");
    format!("{} {name}", object["kind"].as_str().unwrap_or("?"))
}

fn list<'a>(value: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(path).and_then(Value::as_array).into_iter().flatten()
}

/// Deployments and stateful sets.
fn workloads() -> Vec<Value> {
    let is_one = |object: &Value| object.pointer("/spec/template/spec/containers").is_some();
    objects().into_iter().filter(is_one).collect()
}

#[test]
fn every_manifest_is_what_kubernetes_allows() {
    // Of kubernetes-validate 1.37.0 (PyPI): the strict schemas of Kubernetes 1.34, without descriptions.
    let schema: Value =
        serde_json::from_str(&text("tests/fixtures/deploy/kubernetes.json")).unwrap();
    let groups = BTreeMap::from([
        ("v1", "io.k8s.api.core.v1"),
        ("apps/v1", "io.k8s.api.apps.v1"),
        ("policy/v1", "io.k8s.api.policy.v1"),
        ("networking.k8s.io/v1", "io.k8s.api.networking.v1"),
    ]);
    let of_kind = |object: &Value| {
        let group = groups[object["apiVersion"].as_str().unwrap()];
        let name = format!("#/$defs/{group}.{}", object["kind"].as_str().unwrap());
        json!({"$schema": schema["$schema"], "$ref": name, "$defs": schema["$defs"]})
    };
    let mut broken = Vec::new();
    let objects = objects();
    assert!(objects.len() >= 30, "{} objects", objects.len());
    for object in &objects {
        let told = refused(&of_kind(object), object);
        broken.extend(told.into_iter().map(|error| format!("{}: {error}", named(object))));
    }
    report(&broken);
    let mut wrong = objects.into_iter().find(|object| object["kind"] == "Deployment").unwrap();
    wrong["spec"]["template"]["spec"]["readOnly"] = true.into();
    assert!(!refused(&of_kind(&wrong), &wrong).is_empty(), "the schema lets everything pass");
}

#[test]
fn no_name_is_used_twice_and_everything_is_in_one_namespace() {
    let mut names = BTreeSet::new();
    for object in objects() {
        assert!(names.insert(named(&object)), "{} twice", named(&object));
        if object["kind"] != "Namespace" {
            assert_eq!(object["metadata"]["namespace"], "sen", "{}", named(&object));
        }
    }
}

#[test]
fn every_pod_is_confined_and_looked_after() {
    let mut broken = Vec::new();
    for workload in workloads() {
        let mut must = |holds: bool, what: &str| {
            if !holds {
                broken.push(format!("{}: {what}", named(&workload)));
            }
        };
        let pod = &workload["spec"]["template"]["spec"];
        must(pod["automountServiceAccountToken"] == false, "holds no token of the cluster");
        must(pod["terminationGracePeriodSeconds"].as_u64() >= Some(40), "may take 40 s to stop");
        let whole = &pod["securityContext"];
        must(whole["runAsNonRoot"] == true, "is never root");
        must(whole["runAsUser"].as_u64() > Some(0), "runs as a user with a number");
        must(
            whole["seccompProfile"]["type"] == "RuntimeDefault",
            "has the runtime's seccomp profile",
        );
        let volumes: BTreeSet<&str> = list(pod, "/volumes")
            .chain(list(&workload, "/spec/volumeClaimTemplates"))
            .filter_map(|it| it["name"].as_str().or(it["metadata"]["name"].as_str()))
            .collect();
        for volume in list(pod, "/volumes").filter(|volume| !volume["emptyDir"].is_null()) {
            must(volume["emptyDir"]["sizeLimit"].is_string(), "bounds what a pod writes");
        }
        for container in list(pod, "/containers") {
            let own = &container["securityContext"];
            must(own["allowPrivilegeEscalation"] == false, "gets no new privileges");
            must(own["readOnlyRootFilesystem"] == true, "has a read-only root");
            must(own["capabilities"]["drop"] == json!(["ALL"]), "has no capabilities");
            for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                let port = &container[probe]["httpGet"]["port"];
                let declared = list(container, "/ports").any(|it| it["name"] == *port);
                must(declared, &format!("{probe} asks a port it has"));
            }
            for side in ["requests", "limits"] {
                for what in ["cpu", "memory"] {
                    let amount = &container["resources"][side][what];
                    must(amount.is_string(), &format!("has {side} of {what}"));
                }
            }
            for mount in list(container, "/volumeMounts") {
                let name = mount["name"].as_str().unwrap();
                must(volumes.contains(name), &format!("has the volume {name}"));
            }
            let tagged = container["image"].as_str().unwrap().split_once(':');
            must(tagged.is_some_and(|(_, tag)| tag != "latest"), "says which version of its image");
        }
    }
    report(&broken);
}

#[test]
fn services_budgets_and_policies_choose_pods_that_there_are() {
    let workloads = workloads();
    // A pod of a stateful set gets its own name as a label.
    let chosen = |labels: &Value| {
        let wanted = labels.as_object().unwrap();
        workloads.iter().find(|workload| {
            let pod = &workload["spec"]["template"]["metadata"]["labels"];
            wanted.iter().all(|(key, value)| {
                let by_pod = key == "statefulset.kubernetes.io/pod-name";
                pod[key] == *value || (by_pod && workload["kind"] == "StatefulSet")
            })
        })
    };
    let mut budgets = BTreeSet::new();
    for object in objects() {
        match object["kind"].as_str().unwrap() {
            "Service" => {
                let workload = chosen(&object["spec"]["selector"]);
                let workload =
                    workload.unwrap_or_else(|| panic!("{} reaches nobody", named(&object)));
                for port in list(&object, "/spec/ports") {
                    let containers = list(workload, "/spec/template/spec/containers");
                    let mut open = containers.flat_map(|container| list(container, "/ports"));
                    let there = open.any(|it| it["name"] == port["targetPort"]);
                    assert!(there, "{}: no port {}", named(&object), port["targetPort"]);
                }
            }
            "PodDisruptionBudget" => {
                assert_eq!(object["spec"]["maxUnavailable"], 1);
                let workload = chosen(&object["spec"]["selector"]["matchLabels"]).unwrap();
                budgets.insert(named(workload));
            }
            "NetworkPolicy" => {
                let labels = &object["spec"]["podSelector"]["matchLabels"];
                assert!(labels.is_null() || chosen(labels).is_some(), "{}", named(&object));
            }
            "Deployment" | "StatefulSet" => {
                let labels = &object["spec"]["selector"]["matchLabels"];
                let found = chosen(labels).map(named);
                assert_eq!(found.as_deref(), Some(&*named(&object)));
            }
            _ => {}
        }
    }
    assert_eq!(budgets, workloads.iter().map(named).collect(), "a budget for every workload");
}

#[test]
fn the_roles_run_as_in_compose() {
    let services = Composition::read(&Variables::new()).unwrap().services;
    let workloads: BTreeMap<String, Value> = workloads()
        .into_iter()
        .map(|it| (it["metadata"]["name"].as_str().unwrap().to_owned(), it))
        .collect();
    for role in ROLES {
        let workload = &workloads[role];
        let container = &workload["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(workload["spec"]["replicas"], 2, "{role}");
        assert_eq!(container["args"], json!(services[&format!("{role}-1")].command));
        assert_eq!(container["image"], json!(services[&format!("{role}-1")].image));
    }
    // What keeps something on disk has a claim for it, as it has a volume in Compose.
    for stateful in ["ingest", "aggregate", "gateway", "nats"] {
        assert_eq!(workloads[stateful]["kind"], "StatefulSet");
        assert_eq!(list(&workloads[stateful], "/spec/volumeClaimTemplates").count(), 1);
    }
    let nats = &workloads["nats"];
    assert_eq!(nats["spec"]["replicas"], 3);
    let spread = &nats["spec"]["template"]["spec"]["topologySpreadConstraints"][0];
    assert_eq!(
        spread["whenUnsatisfiable"], "DoNotSchedule",
        "two of three are never lost together"
    );
    let version = |text: &str| text.split("nats:").nth(1).unwrap()[..4].to_owned();
    let image = nats["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap();
    assert_eq!(version(image), version(&text("Dockerfile")), "one version of NATS");
}

#[test]
fn nobody_is_reached_who_was_not_meant_to_be() {
    let policies: Vec<Value> =
        objects().into_iter().filter(|object| object["kind"] == "NetworkPolicy").collect();
    let nobody = policies.iter().find(|it| it["metadata"]["name"] == "nobody").unwrap();
    assert_eq!(nobody["spec"]["podSelector"], json!({}));
    assert_eq!(nobody["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    assert!(nobody["spec"]["ingress"].is_null() && nobody["spec"]["egress"].is_null());
    for object in objects().into_iter().filter(|object| object["kind"] == "Service") {
        let kind = object["spec"]["type"].as_str().unwrap_or("ClusterIP");
        assert_eq!(kind, "ClusterIP", "{}: open to the outside by default", named(&object));
    }
    let apply = text("deploy/kubernetes/apply");
    for made in ["sen-config", "nats-config", "sen-secrets", "influxdb-secrets"] {
        assert!(apply.contains(made), "deploy/kubernetes/apply does not make {made}");
    }
}
