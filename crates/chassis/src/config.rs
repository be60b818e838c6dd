//! Configuration in layers: the shipped defaults, then the file, then the environment.
//!
//! Problems are collected, never thrown one at a time: a person who edits a config wants to see
//! every mistake at once. Reading the environment for configuration happens only here.

use std::fmt;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// What is wrong with a config, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, such as `gateway.listen`, or a file with its line.
    pub key: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Problem {
    /// A problem at `key`.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// The prefix of variables that override the config: `SEN__GATEWAY__LISTEN=127.0.0.1:8080`.
const PREFIX: &str = "SEN__";

/// The merged layers of `sen.toml`, not yet typed.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    table: Table,
    problems: Vec<Problem>,
}

impl Layers {
    /// Starts from the defaults shipped with the program.
    ///
    /// A mistake in them is reported like any other: they are a file of the repository.
    pub fn new(defaults: &str) -> Self {
        Self::default().with_text("defaults", defaults)
    }

    /// Lays a file over what is there; a missing file is a problem.
    pub fn with_file(mut self, path: &Path) -> Self {
        match std::fs::read_to_string(path) {
            Ok(text) => self.with_text(&path.display().to_string(), &text),
            Err(error) => {
                self.problems.push(Problem::new(path.display().to_string(), error.to_string()));
                self
            }
        }
    }

    /// Lays this process's `SEN__…` variables over what is there.
    pub fn with_environment(self) -> Self {
        // Names and values that are not Unicode cannot be ours, and must not stop us.
        let unicode = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        self.with_variables(std::env::vars_os().filter_map(unicode))
    }

    /// Lays variables over what is there. Values are read as TOML (`8`, `true`, `["a"]`), and as
    /// plain text where they are not TOML or where the key so far held text.
    pub fn with_variables(mut self, variables: impl Iterator<Item = (String, String)>) -> Self {
        for (name, text) in variables {
            let Some(path) = name.strip_prefix(PREFIX) else { continue };
            let path: Vec<String> = path.split("__").map(str::to_lowercase).collect();
            if let Err(message) = set(&mut self.table, &path, &text) {
                self.problems.push(Problem::new(name, message));
            }
        }
        self
    }

    /// Takes one section out of the layers as its type, or notes why it cannot be.
    pub fn section<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let Some(value) = self.table.remove(name) else {
            self.problems.push(Problem::new(name, "this section is missing"));
            return None;
        };
        match T::deserialize(value) {
            Ok(section) => Some(section),
            Err(error) => {
                let message = error.to_string();
                self.problems.push(Problem::new(name, message.trim().replace('\n', " ")));
                None
            }
        }
    }

    /// Every problem so far, and one more for each section nobody took: a typing mistake.
    pub fn finish(self) -> Vec<Problem> {
        let unknown = self.table.keys().map(|key| {
            Problem::new(key, "no such section: see config/sen.toml for the ones there are")
        });
        self.problems.iter().cloned().chain(unknown).collect()
    }

    fn with_text(mut self, origin: &str, text: &str) -> Self {
        match text.parse::<Table>() {
            Ok(over) => merge(&mut self.table, over),
            Err(error) => {
                let line = error.span().map_or(1, |span| line_of(text, span.start));
                self.problems.push(Problem::new(format!("{origin}:{line}"), error.message()));
            }
        }
        self
    }
}

/// The 1-based line of a byte offset.
pub fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

fn set(table: &mut Table, path: &[String], text: &str) -> Result<(), String> {
    let Some((last, parents)) = path.split_last() else {
        return Err("name the section and the key: SEN__SECTION__KEY".to_owned());
    };
    let mut here = table;
    for parent in parents {
        let entry = here.entry(parent.clone()).or_insert_with(|| Value::Table(Table::new()));
        here = entry.as_table_mut().ok_or_else(|| format!("`{parent}` is not a section"))?;
    }
    let was_text = matches!(here.get(last), Some(Value::String(_)));
    let parsed = format!("v = {text}").parse::<Table>().ok().and_then(|mut t| t.remove("v"));
    let value = match parsed {
        Some(value) if !was_text => value,
        Some(Value::String(quoted)) => Value::String(quoted),
        _ => Value::String(text.to_owned()),
    };
    here.insert(last.clone(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Gateway {
        listen: String,
        ticks_per_second: u32,
    }

    const DEFAULTS: &str = "[gateway]\nlisten = '127.0.0.1:8080'\nticks_per_second = 2\n";

    fn variables(pairs: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        pairs.into_iter()
    }

    #[test]
    fn the_environment_wins_over_the_defaults() {
        let over = variables(&[("SEN__GATEWAY__LISTEN", "0.0.0.0:0"), ("PATH", "/bin")]);
        let mut layers = Layers::new(DEFAULTS).with_variables(over);
        let gateway: Gateway = layers.section("gateway").unwrap();
        assert_eq!(gateway, Gateway { listen: "0.0.0.0:0".into(), ticks_per_second: 2 });
        assert!(layers.finish().is_empty());
    }

    #[test]
    fn text_that_looks_like_a_number_stays_text_where_text_was() {
        let mut layers =
            Layers::new(DEFAULTS).with_variables(variables(&[("SEN__GATEWAY__LISTEN", "80")]));
        assert_eq!(layers.section::<Gateway>("gateway").unwrap().listen, "80");
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let over =
            variables(&[("SEN__GATEWAY__TICKS_PER_SECOND", "many"), ("SEN__GATEWY__X", "1")]);
        let mut layers = Layers::new(DEFAULTS)
            .with_file(Path::new("/nonexistent/sen.toml"))
            .with_variables(over);
        assert!(layers.section::<Gateway>("gateway").is_none());
        let problems = layers.finish();
        let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["/nonexistent/sen.toml", "gateway", "gatewy"]);
    }

    #[test]
    fn a_syntax_mistake_is_told_with_its_line() {
        let problems = Layers::new("[a]\nb = \n").finish();
        assert!(problems.iter().any(|problem| problem.key == "defaults:2"), "{problems:?}");
    }
}
