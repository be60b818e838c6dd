//! The rules of the house that a compiler cannot see. Each failure names the file and the rule.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Longest file and function, in lines.
const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

/// Words that say nothing; forbidden as names of modules, files and types.
const EMPTY_WORDS: [&str; 8] =
    ["data", "info", "manager", "handler", "helper", "util", "common", "misc"];

/// Which of our crates a crate may depend on; tests may use anything.
const ALLOWED: [(&str, &[&str]); 19] = [
    ("sen-model", &[]),
    ("sen-proto", &["sen-model"]),
    ("sen-log", &["sen-model", "sen-proto"]),
    ("sen-store", &["sen-model", "sen-proto"]),
    ("sen-archive", &["sen-model", "sen-store"]),
    ("sen-table", &["sen-model"]),
    ("sen-chassis", &[]),
    ("sen-cluster", &["sen-model", "sen-chassis"]),
    ("sen-ports", &[]),
    ("sen-ingest", SERVICE),
    ("sen-aggregate", SERVICE),
    ("sen-alert", SERVICE),
    ("sen-notify", SERVICE),
    ("sen-gateway", SERVICE),
    ("sen-export", SERVICE),
    ("sen-edge", SERVICE),
    ("sen-simulator", SERVICE),
    ("sen", BINARY),
    ("sen-fuzz", &["sen-model"]),
];
const SERVICE: &[&str] =
    &["sen-model", "sen-proto", "sen-log", "sen-store", "sen-archive", "sen-table", "sen-chassis"];
const BINARY: &[&str] = &[
    "sen-model",
    "sen-proto",
    "sen-log",
    "sen-store",
    "sen-archive",
    "sen-table",
    "sen-chassis",
    "sen-cluster",
    "sen-ports",
    "sen-ingest",
    "sen-aggregate",
    "sen-alert",
    "sen-notify",
    "sen-gateway",
    "sen-export",
    "sen-edge",
    "sen-simulator",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Files git knows or would take, below the root, with one of these endings.
fn files(endings: &[&str]) -> Vec<(String, String)> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    let names = String::from_utf8(listed.stdout).unwrap();
    let wanted = |name: &&str| endings.iter().any(|ending| name.ends_with(ending));
    let files: Vec<_> = names
        .lines()
        .filter(wanted)
        .filter_map(|name| Some((name.to_owned(), fs::read_to_string(root().join(name)).ok()?)))
        .collect();
    assert!(!files.is_empty(), "no files with {endings:?}: is this a checkout?");
    files
}

fn report(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn crates_depend_only_downwards() {
    let allowed: BTreeMap<_, _> = ALLOWED.into_iter().collect();
    let mut broken = Vec::new();
    for (path, text) in files(&["Cargo.toml"]) {
        let manifest: toml::Table = text.parse().unwrap();
        let Some(name) = manifest.get("package").and_then(|p| p.get("name")?.as_str()) else {
            continue;
        };
        if name == "sen-tests" {
            continue;
        }
        let Some(allowed) = allowed.get(name) else {
            broken.push(format!("{path}: crate {name} is not in the dependency table"));
            continue;
        };
        let dependencies = manifest.get("dependencies").and_then(|d| d.as_table());
        for dependency in dependencies.into_iter().flat_map(|table| table.keys()) {
            let ours = dependency == "sen" || dependency.starts_with("sen-");
            if ours && !allowed.contains(&dependency.as_str()) {
                broken.push(format!("{path}: {name} must not depend on {dependency}"));
            }
        }
    }
    report(&broken);
}

/// What a pure module keeps away from. (Of the chassis it may use `Problem`: a value.)
const FOREIGN: [&str; 13] = [
    "tokio::",
    "tracing::",
    "metrics::",
    "rusqlite::",
    "Clock",
    "Shutdown",
    "sen_log",
    "sen_store",
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "SystemTime",
];

#[test]
fn pure_modules_touch_no_clock_no_task_no_log() {
    // A module is pure if its opening comment says so; then it stays so.
    let mut broken = Vec::new();
    let mut pure = 0;
    for (path, text) in files(&[".rs"]) {
        // Its first paragraph, that is: later ones may speak of other modules.
        let opening = text.lines().take_while(|line| line.starts_with("//! "));
        let opening = opening.collect::<Vec<_>>().join(" ");
        if !(opening.contains("Pure:") || opening.contains("Pure.")) {
            continue;
        }
        pure += 1;
        let body = text.split("#[cfg(test)]").next().unwrap_or(&text);
        let code = body.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            for foreign in FOREIGN.iter().filter(|foreign| line.contains(*foreign)) {
                broken.push(format!("{path}: says it is pure but uses {foreign}: {}", line.trim()));
            }
        }
    }
    assert!(pure >= 40, "only {pure} modules say `Pure:`; windows, rules, decoding … must");
    report(&broken);
}

#[test]
fn every_file_says_what_it_is_for_and_fits_on_some_screens() {
    let mut broken = Vec::new();
    for (path, text) in files(&[".rs", ".ts", ".svelte", ".mjs"]) {
        if path.ends_with(".rs") && !text.starts_with("//!") {
            broken.push(format!("{path}: does not open with `//!`"));
        }
        let opens = text.starts_with("//") || text.starts_with("/*") || text.starts_with("<!--");
        if !path.ends_with(".rs") && !opens && !path.ends_with(".d.ts") {
            broken.push(format!("{path}: does not open with a comment that says what it is for"));
        }
        let lines = text.lines().count();
        if lines > FILE_LINES {
            broken.push(format!("{path}: {lines} lines, at most {FILE_LINES}"));
        }
    }
    report(&broken);
}

#[test]
fn functions_fit_on_one_screen() {
    let mut broken = Vec::new();
    for (path, text) in files(&[".rs"]) {
        let mut begun: Option<(usize, usize, String)> = None;
        for (number, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            if let Some((start, at, name)) = &begun {
                if line.trim_end() == format!("{}}}", " ".repeat(*at)) {
                    let length = number - start + 1;
                    if length > FUNCTION_LINES {
                        broken.push(format!("{path}:{}: {name}: {length} lines", start + 1));
                    }
                    begun = None;
                }
            } else if is_function(line) && !line.trim_end().ends_with('}') {
                begun = Some((number, indent, line.trim().chars().take(50).collect()));
            }
        }
    }
    report(&broken);
}

fn is_function(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.any(|word| word == "fn")
        && !line.trim_start().starts_with("//")
        && !line.trim_end().ends_with(';')
}

#[test]
fn names_say_something() {
    let mut broken = Vec::new();
    for (path, text) in files(&[".rs", ".ts", ".svelte"]) {
        let stem = Path::new(&path).file_stem().unwrap().to_string_lossy().to_lowercase();
        if EMPTY_WORDS.iter().any(|word| stem == *word || stem == format!("{word}s")) {
            broken.push(format!("{path}: a file name that says nothing"));
        }
        for (number, line) in text.lines().enumerate() {
            let line = ["pub ", "pub(crate) ", "pub(super) ", "export "]
                .iter()
                .fold(line.trim_start(), |line, prefix| line.trim_start_matches(prefix));
            let declared = ["struct ", "enum ", "trait ", "mod ", "class ", "interface "]
                .iter()
                .find_map(|keyword| line.strip_prefix(keyword));
            let Some(name) = declared else { continue };
            let name: String =
                name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let lower = name.to_lowercase();
            if EMPTY_WORDS.iter().any(|word| lower == *word || lower.ends_with(word)) {
                broken.push(format!("{path}:{}: `{name}` says nothing", number + 1));
            }
        }
    }
    report(&broken);
}

#[test]
fn the_project_stands_alone_and_is_finished() {
    // Assembled so that this file does not find itself.
    let places =
        [["/wo", "rk/"], ["../sha", "red"], ["/fa", "rm/"], ["/ro", "ot/"]].map(|p| p.concat());
    let marks =
        [["TO", "DO"], ["FIX", "ME"], ["todo", "!("], ["unimplemented", "!("]].map(|p| p.concat());
    let mut broken = Vec::new();
    let endings = [
        ".rs", ".ts", ".svelte", ".mjs", ".md", ".toml", ".proto", ".yml", "Makefile", "run",
        ".json",
    ];
    for (path, text) in files(&endings) {
        for (number, line) in text.lines().enumerate() {
            for place in places.iter().filter(|place| line.contains(place.as_str())) {
                broken.push(format!("{path}:{}: `{place}` does not belong here", number + 1));
            }
            for mark in marks.iter().filter(|mark| line.contains(mark.as_str())) {
                broken.push(format!("{path}:{}: `{mark}` is unfinished work", number + 1));
            }
        }
    }
    report(&broken);
}

#[test]
fn the_first_page_names_the_two_commands() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let first_screen: String = readme.lines().take(40).collect::<Vec<_>>().join("\n");
    for command in ["make run", "make test"] {
        assert!(
            first_screen.contains(command),
            "README.md: `{command}` is not on the first screen"
        );
    }
}
