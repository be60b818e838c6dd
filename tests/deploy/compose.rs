//! `docker-compose.yml`: what the Compose Specification allows, and what every service must have.

use std::collections::{BTreeMap, BTreeSet};

use sen_tests::cluster::{ROLES, switched};
use sen_tests::compose::{Composition, Variables, interpolated, values};

use crate::{refused, report, text};

fn composition() -> Composition {
    Composition::read(&Variables::new()).unwrap()
}

#[test]
fn the_compose_file_is_what_the_specification_allows() {
    // The Compose Specification's own schema, as the npm package dclint 3.1.0 carries it.
    let schema = serde_json::from_str(&text("tests/fixtures/deploy/compose-spec.json")).unwrap();
    for variables in [Variables::new(), switched()] {
        report(&refused(&schema, &values(&variables).unwrap()));
    }
    let wrong = serde_json::json!({"services": {"sen": {"image": "sen", "readonly": true}}});
    assert!(!refused(&schema, &wrong).is_empty(), "the schema lets everything pass");
}

#[test]
fn every_service_is_confined() {
    let mut broken = Vec::new();
    for (name, service) in composition().services {
        let mut must = |holds: bool, what: &str| {
            if !holds {
                broken.push(format!("{name}: {what}"));
            }
        };
        let user = service.user.split(':').next().unwrap().parse::<u32>();
        must(user.is_ok_and(|id| id != 0), "runs as a user with a number that is not root's");
        must(service.read_only, "has a read-only root");
        must(service.cap_drop == ["ALL"], "has no capabilities");
        must(service.security_opt == ["no-new-privileges:true"], "gets no new privileges");
        must(service.restart == "unless-stopped", "is started again");
        must(service.stop_grace_period == "40s", "may take 40 s to stop");
        must(service.pids_limit <= 512, "has a limit of processes");
        must(service.cpus > 0.0 && service.cpus <= 2.0, "has a limit of cores");
        must(service.mem_limit.ends_with(['m', 'g']), "has a limit of memory");
        must(service.in_memory().any(|path| path == "/tmp"), "can write to /tmp");
        must(service.tmpfs.iter().all(|path| path.contains("size=")), "bounds what is in memory");
        must(service.healthcheck.test[0] == "CMD", "is looked after without a shell");
        must(service.logging.pointer("/options/max-size").is_some(), "bounds its log");
        let loopback = service.ports.iter().all(|port| port.starts_with("127.0.0.1:"));
        must(loopback, "publishes on loopback only, unless told otherwise");
        let tagged = service.image.split_once(':').is_some_and(|(_, tag)| tag != "latest");
        must(tagged, "says which version of its image");
        if service.networks == ["inside"] {
            must(service.ports.is_empty(), "publishes nothing from the inner network");
        }
    }
    report(&broken);
}

#[test]
fn the_inner_network_has_no_way_out() {
    let composition = composition();
    assert!(composition.networks["inside"].internal);
    for name in ["nats-1", "nats-2", "nats-3", "influxdb", "victoria-metrics", "metrics"] {
        assert_eq!(composition.services[name].networks, ["inside"], "{name}");
    }
}

#[test]
fn no_secret_stands_in_the_file() {
    let mut broken = Vec::new();
    for (name, service) in composition().services {
        for (key, value) in &service.environment {
            let secret = ["TOKEN", "PASSWORD", "SECRET", "KEY"].iter().any(|it| key.contains(it));
            let is_path = key.ends_with("_FILE")
                && value
                    .strip_prefix("/run/secrets/")
                    .is_some_and(|secret| service.secrets.iter().any(|it| it == secret));
            if secret && !is_path {
                broken.push(format!("{name}: {key} is no file of a secret it has"));
            }
        }
    }
    report(&broken);
    let made = text("deploy/make-secrets");
    for (name, secret) in composition().secrets {
        assert_eq!(secret.file, format!("./deploy/secrets/{name}"));
        assert!(made.contains(&name), "deploy/make-secrets does not make {name}");
    }
}

#[test]
fn profiles_that_run_together_share_no_port() {
    let composition = composition();
    for together in [&["single", "broker"][..], &["cluster", "demo", "victoria"]] {
        let mut taken = BTreeSet::new();
        for (name, service) in &composition.services {
            if service.profiles.iter().any(|profile| together.contains(&profile.as_str())) {
                for port in &service.ports {
                    let outside = port.rsplit_once(':').unwrap().0.to_owned();
                    assert!(taken.insert(outside), "{name}: {port} is taken, with {together:?}");
                }
            }
        }
    }
}

#[test]
fn every_role_runs_twice_and_alike() {
    let services = composition().services;
    for role in ROLES {
        let (one, other) = (&services[&format!("{role}-1")], &services[&format!("{role}-2")]);
        assert_eq!(one.command, [role, "--config", "/etc/sen", "--data", "/var/lib/sen"]);
        assert_eq!(one.command, other.command);
        assert_eq!(one.environment, other.environment, "{role}");
        assert_eq!(one.image, other.image);
        assert_ne!(one.hostname, other.hostname, "{role}: who is who?");
        assert_eq!(one.hostname.as_deref(), Some(&*format!("{role}-1")));
        for server in ["nats-1", "nats-2", "nats-3"] {
            assert_eq!(one.depends_on[server].condition, "service_healthy");
        }
    }
    let ours: BTreeMap<_, _> = services.iter().filter(|(_, it)| it.build.is_some()).collect();
    for (name, service) in ours {
        let build = service.build.as_ref().unwrap();
        assert_eq!(build.context, ".");
        let image = service.image.split(':').next().unwrap();
        let expected =
            if build.target == "sen" { "sen".into() } else { format!("sen-{}", build.target) };
        assert_eq!(image, expected, "{name}");
    }
}

#[test]
fn what_the_stories_would_not_start_is_refused() {
    let file = values(&Variables::new()).unwrap();
    serde_json::from_value::<Composition>(file.clone()).unwrap();
    let unknown = [
        ("/services/ingest-1", "privileged", serde_json::json!(true)),
        ("/services/ingest-1/healthcheck", "disable", serde_json::json!(true)),
        ("/networks/front", "driver", serde_json::json!("host")),
        ("/volumes/nats-1", "external", serde_json::json!(true)),
        ("", "configs", serde_json::json!({})),
    ];
    for (place, key, value) in unknown {
        let mut file = file.clone();
        file.pointer_mut(place).unwrap()[key] = value;
        let refused = serde_json::from_value::<Composition>(file);
        assert!(refused.is_err(), "{place}/{key} is taken");
    }
}

#[test]
fn variables_are_filled_in_as_compose_does() {
    let set = Variables::from([("A".into(), "1".into()), ("EMPTY".into(), String::new())]);
    let cases = [
        ("x${A:-2}y", "x1y"),
        ("${B:-2}", "2"),
        ("${B-2}", "2"),
        ("${EMPTY:-2}", "2"),
        ("${EMPTY-2}", ""),
        ("$$A ${A-}", "$A 1"),
        ("${B:-http://a:1/?b=c&d-e}", "http://a:1/?b=c&d-e"),
    ];
    for (text, expected) in cases {
        assert_eq!(interpolated(text, &set).unwrap(), expected, "{text}");
    }
    for refused in ["$A", "${A}", "${A:-1"] {
        assert!(interpolated(refused, &set).is_err(), "{refused}");
    }
}
