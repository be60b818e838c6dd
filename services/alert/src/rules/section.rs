//! Pure: one table of a TOML file, read key by key; remembers the lines and collects the problems.

use std::collections::BTreeMap;

use sen_chassis::Problem;
use sen_chassis::config::line_of;
use serde::de::{DeserializeOwned, IntoDeserializer};
use toml::de::{DeTable, DeValue};

use super::{FILE, duration};

/// A table being read.
pub(super) struct Section<'t> {
    text: &'t str,
    table: DeTable<'t>,
    line: usize,
    /// Lines of the keys that were taken.
    lines: BTreeMap<String, usize>,
    problems: Vec<Problem>,
}

impl<'t> Section<'t> {
    /// The table that begins at `line` of `text`.
    pub(super) fn new(text: &'t str, table: DeTable<'t>, line: usize) -> Self {
        Self { text, table, line, lines: BTreeMap::new(), problems: Vec::new() }
    }

    /// Notes what is wrong with a key, at its line (or at the table's, if it has none).
    pub(super) fn problem(&mut self, key: &str, message: impl Into<String>) {
        let line = self.lines.get(key).copied().unwrap_or(self.line);
        self.problems.push(Problem::new(format!("{FILE}:{line} {key}"), message));
    }

    /// Whether a key is there and not yet taken.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether a key was there when it was taken.
    pub(super) fn was_given(&self, key: &str) -> bool {
        self.lines.contains_key(key)
    }

    /// A value that was not yet taken, as it stands in the file.
    pub(super) fn peek(&self, key: &str) -> Option<&DeValue<'t>> {
        self.table.get(key).map(|value| value.get_ref())
    }

    /// Takes a key that may be missing; a value of the wrong form is a problem.
    pub(super) fn take<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let value = self.table.remove(key)?;
        self.lines.insert(key.to_owned(), line_of(self.text, value.span().start));
        match T::deserialize(value.into_deserializer()) {
            Ok(value) => Some(value),
            Err(error) => {
                let error: toml::de::Error = error;
                self.problem(key, error.message().to_owned());
                None
            }
        }
    }

    /// Takes a key that must be there.
    pub(super) fn require<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        if !self.has(key) {
            self.problem(key, "is missing");
        }
        self.take(key)
    }

    /// Takes a finite number.
    pub(super) fn take_number(&mut self, key: &str) -> Option<f64> {
        let number: f64 = self.take(key)?;
        if !number.is_finite() {
            self.problem(key, "must be a finite number");
            return None;
        }
        Some(number)
    }

    /// Takes a duration in milliseconds.
    pub(super) fn take_duration(&mut self, key: &str) -> Option<i64> {
        let text: String = self.take(key)?;
        duration::parse_ms(&text).map_err(|message| self.problem(key, message)).ok()
    }

    /// Takes an array of tables, each with the line it begins at.
    pub(super) fn take_tables(&mut self, key: &str) -> Vec<(usize, DeTable<'t>)> {
        let Some(value) = self.table.remove(key) else { return Vec::new() };
        self.lines.insert(key.to_owned(), line_of(self.text, value.span().start));
        let DeValue::Array(array) = value.into_inner() else {
            self.problem(key, format!("write [[{key}]] before each"));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for element in array {
            let line = line_of(self.text, element.span().start);
            match element.into_inner() {
                DeValue::Table(table) => tables.push((line, table)),
                _ => self.problem(key, format!("line {line}: write [[{key}]] before each")),
            }
        }
        tables
    }

    /// Every problem so far, and one for each key nobody took: a typing mistake.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        let left: Vec<(String, usize)> = self
            .table
            .keys()
            .map(|key| (key.get_ref().to_string(), line_of(self.text, key.span().start)))
            .collect();
        for (key, line) in left {
            self.lines.insert(key.clone(), line);
            self.problem(&key, "no such key");
        }
        self.problems
    }
}
