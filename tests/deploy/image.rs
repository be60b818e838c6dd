//! `Dockerfile`: the rules of a good image that can be checked without building one.

use std::collections::BTreeSet;
use std::process::Command;

use sen_tests::centre::root;
use sen_tests::compose::{Composition, Variables, instruction};

use crate::{report, text};

/// An instruction and what follows it.
type Instruction = (String, String);

/// Instructions, with continued lines joined and comments left out.
fn instructions() -> Vec<Instruction> {
    let file = text("Dockerfile");
    let lines = file.lines().filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    joined
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let (name, rest) = line.trim().split_once(' ').unwrap();
            (name.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect()
}

/// Name, base and instructions of each stage.
fn stages() -> Vec<(String, String, Vec<Instruction>)> {
    let mut stages: Vec<(String, String, Vec<_>)> = Vec::new();
    for (name, rest) in instructions() {
        if name == "FROM" {
            let (base, stage) = rest.split_once(" AS ").expect("every stage has a name");
            stages.push((stage.to_owned(), base.to_owned(), Vec::new()));
        } else {
            stages.last_mut().expect("it begins with FROM").2.push((name, rest));
        }
    }
    stages
}

/// The stages that run, as Compose names them.
fn running() -> BTreeSet<String> {
    let services = Composition::read(&Variables::new()).unwrap().services;
    services.into_values().filter_map(|service| Some(service.build?.target)).collect()
}

#[test]
fn what_runs_is_small_unprivileged_and_looked_after() {
    let stages = stages();
    assert_eq!(stages.last().unwrap().0, "sen", "the last stage is what a plain build makes");
    let names: BTreeSet<String> = stages.iter().map(|stage| stage.0.clone()).collect();
    assert!(running().is_subset(&names), "Compose builds a stage that is not there");
    let mut broken = Vec::new();
    for (stage, base, steps) in &stages {
        let tag = base.split_once(':').map(|(_, tag)| tag);
        if tag.is_none_or(|tag| tag == "latest") {
            broken.push(format!("{stage}: {base} says no version"));
        }
        if base.split_once('/').is_some_and(|(host, _)| host.contains('.')) {
            broken.push(format!("{stage}: {base} names a registry's host"));
        }
        if !running().contains(stage) {
            continue;
        }
        let last = |name: &str| steps.iter().rfind(|step| step.0 == name).map(|step| &*step.1);
        if last("USER") != Some("10001:10001") {
            broken.push(format!("{stage}: does not run as 10001:10001"));
        }
        if steps.iter().rev().take_while(|step| step.0 != "USER").any(|step| step.0 == "RUN") {
            broken.push(format!("{stage}: something runs after USER"));
        }
        for needed in ["HEALTHCHECK", "VOLUME", "EXPOSE"] {
            if last(needed).is_none() {
                broken.push(format!("{stage}: has no {needed}"));
            }
        }
    }
    report(&broken);
    assert!(stages.last().unwrap().1.contains("slim"), "the compilers stay behind");
    assert_eq!(instruction("sen", "ENTRYPOINT").unwrap(), ["sen"]);
    assert_eq!(instruction("nats", "ENTRYPOINT").unwrap(), ["nats-server"]);
    let health = &Composition::read(&Variables::new()).unwrap().services["sen"].healthcheck.test;
    assert!(
        text("Dockerfile")
            .contains(&format!("CMD {}", serde_json::json!(health[1..])).replace(',', ", "))
    );
}

#[test]
fn nothing_comes_from_the_net_but_packages_and_nothing_secret_goes_in() {
    let mut broken = Vec::new();
    for (name, rest) in instructions() {
        if name == "ADD" {
            broken.push(format!("ADD {rest}: COPY says what it does"));
        }
        let fetches = ["curl", "wget", "git clone", "http://", "https://"];
        if name == "RUN" && fetches.iter().any(|fetch| rest.contains(fetch)) {
            broken.push(format!("RUN {rest}: fetches"));
        }
        if name == "RUN" && rest.contains("apt-get install") {
            for word in ["--no-install-recommends", "rm -rf /var/lib/apt/lists/*", "apt-get update"]
            {
                if !rest.contains(word) {
                    broken.push(format!("RUN {rest}: without {word}"));
                }
            }
        }
        let secret = ["TOKEN", "PASSWORD", "SECRET"].iter().any(|word| rest.contains(word));
        if ["ARG", "ENV"].contains(&&*name) && secret {
            broken.push(format!("{name} {rest}: stays readable in the image"));
        }
    }
    let file = text("Dockerfile");
    assert!(file.contains("npm ci"), "the lock file counts");
    assert!(file.contains("--locked"), "the lock file counts");
    report(&broken);
}

#[test]
fn what_is_copied_is_in_git_and_not_left_out() {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let known: Vec<&str> = listed.lines().collect();
    let ignore = text(".dockerignore");
    let rules: Vec<&str> =
        ignore.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(rules[0], "*", "everything is left out that is not named");
    let sent: Vec<&str> = rules.iter().filter_map(|rule| rule.strip_prefix('!')).collect();
    let within = |path: &str, folder: &str| {
        path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mut broken = Vec::new();
    for (name, rest) in instructions() {
        if name != "COPY" || rest.starts_with("--from=") {
            continue;
        }
        let mut words: Vec<&str> = rest.split(' ').collect();
        words.pop();
        for source in words {
            if !known.iter().any(|path| within(path, source)) {
                broken.push(format!("COPY {source}: not in git"));
            }
            if !sent.iter().any(|folder| within(source, folder)) {
                broken.push(format!("COPY {source}: .dockerignore leaves it out"));
            }
        }
    }
    for secret in ["deploy", "deploy/secrets", "data", ".git"] {
        assert!(!sent.contains(&secret), "{secret} would go to the builder");
    }
    report(&broken);
}

#[test]
fn the_compiler_is_the_one_the_workspace_asks_for() {
    let workspace: toml::Table = text("Cargo.toml").parse().unwrap();
    let version = workspace["workspace"]["package"]["rust-version"].as_str().unwrap();
    let stages = stages();
    let binary = stages.iter().find(|stage| stage.0 == "binary").unwrap();
    assert!(binary.1.starts_with(&format!("rust:{version}-")), "{} but {version}", binary.1);
    let release = workspace["workspace"]["package"]["version"].as_str().unwrap();
    assert!(text("Dockerfile").contains(&format!("ARG VERSION={release}")));
    assert!(text("docker-compose.yml").contains(&format!("sen:${{SEN_VERSION:-{release}}}")));
}
