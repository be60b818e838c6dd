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

    /// Takes a duration longer than nothing, in milliseconds.
    pub(super) fn take_span(&mut self, key: &str) -> Option<i64> {
        let ms = self.take_duration(key)?;
        if ms == 0 {
            self.problem(key, "must be longer than nothing");
        }
        (ms > 0).then_some(ms)
    }

    /// Takes a duration longer than nothing that must be there.
    pub(super) fn require_span(&mut self, key: &str) -> Option<i64> {
        if !self.has(key) {
            self.problem(key, "is missing");
        }
        self.take_span(key)
    }

    /// Takes a key whatever it says, so that its line is known and nobody misses it.
    pub(super) fn skip(&mut self, key: &str) {
        if let Some(value) = self.table.remove(key) {
            self.lines.insert(key.to_owned(), line_of(self.text, value.span().start));
        }
    }

    /// Takes a table, as a section of its own.
    pub(super) fn take_section(&mut self, key: &str) -> Option<Section<'t>> {
        let value = self.table.remove(key)?;
        let line = line_of(self.text, value.span().start);
        self.lines.insert(key.to_owned(), line);
        match value.into_inner() {
            DeValue::Table(table) => Some(Section::new(self.text, table, line)),
            _ => {
                self.problem(key, "must be a table");
                None
            }
        }
    }

    /// Takes every key that is left and holds a table, each as a section of its own.
    pub(super) fn take_sections(&mut self) -> Vec<(String, Section<'t>)> {
        let keys: Vec<String> = self.table.keys().map(|key| key.get_ref().to_string()).collect();
        let section = |key: String| self.take_section(&key).map(|section| (key, section));
        keys.into_iter().filter_map(section).collect()
    }

    /// A table of this file, as a section of its own.
    pub(super) fn within(&self, line: usize, table: DeTable<'t>) -> Section<'t> {
        Section::new(self.text, table, line)
    }

    /// Takes over the problems of a section within this one.
    pub(super) fn absorb(&mut self, inner: Section<'_>) {
        self.problems.extend(inner.finish());
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
