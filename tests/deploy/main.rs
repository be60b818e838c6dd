//! What the deployment promises, checked against what is there: the files of `docker-compose.yml`,
//! `Dockerfile` and `deploy/`, and the servers that are started from them.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod compose;
mod image;
mod kubernetes;
mod metrics;
mod roles;
mod servers;
mod settings;

use std::path::Path;

use sen_tests::centre::root;
use serde_json::Value;

/// A text of the repository.
fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every YAML document of a file.
fn documents(path: &Path) -> Vec<Value> {
    serde_saphyr::from_multiple(&std::fs::read_to_string(path).unwrap())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Everything that is broken, told at once.
fn report(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// What a schema says against a value.
fn refused(schema: &Value, value: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(schema).unwrap();
    let told = validator.iter_errors(value);
    told.map(|error| format!("{}: {error}", error.instance_path())).collect()
}
