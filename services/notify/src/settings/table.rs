//! One table of `oncall.toml`, whose keys are taken one by one. Pure: what is wrong is noted with its
//! line and key, and what is left at the end is a typing mistake.

use std::cell::RefCell;
use std::ops::Range;

use sen_chassis::Problem;
use sen_chassis::config::line_of;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// How problems name the file.
const FILE: &str = "oncall.toml";

/// The file's text and every problem found in it so far.
pub(crate) struct Source<'t> {
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
}

/// A table and what it is called in problems, such as `team.duty`.
pub(crate) struct Table<'t> {
    source: &'t Source<'t>,
    path: String,
    span: Range<usize>,
    keys: DeTable<'t>,
}

impl<'t> Source<'t> {
    /// Nothing found so far.
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, problems: RefCell::default() }
    }

    /// The whole file, if it is TOML at all.
    pub(crate) fn table(&'t self) -> Option<Table<'t>> {
        let (document, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            self.problem(error.span().unwrap_or_default(), "", error.message());
        }
        let span = document.span();
        let keys = document.into_inner();
        errors.is_empty().then(|| Table { source: self, path: String::new(), span, keys })
    }

    /// Every problem, in the order of the file.
    pub(crate) fn finish(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    fn problem(&self, span: Range<usize>, key: &str, message: impl Into<String>) {
        let line = line_of(self.text, span.start);
        let key = format!("{FILE}:{line} {key}").trim_end().to_owned();
        self.problems.borrow_mut().push(Problem::new(key, message));
    }
}

impl<'t> Table<'t> {
    /// Calls the table by a better name from now on.
    pub(crate) fn call(&mut self, path: String) {
        self.path = path;
    }

    /// Notes a problem of a key, or of the whole table where it has no such key.
    pub(crate) fn problem(&self, key: &str, message: impl Into<String>) {
        let span = self.keys.get(key).map_or_else(|| self.span.clone(), Spanned::span);
        self.problem_at(span, key, message);
    }

    /// Where the value of a key stands, for a problem that is found after it was taken.
    pub(crate) fn span_of(&self, key: &str) -> Range<usize> {
        self.keys.get(key).map_or_else(|| self.span.clone(), Spanned::span)
    }

    /// Notes a problem of a key that was taken already.
    pub(crate) fn problem_at(&self, span: Range<usize>, key: &str, message: impl Into<String>) {
        let dot = if self.path.is_empty() || key.is_empty() { "" } else { "." };
        self.source.problem(span, &format!("{}{dot}{key}", self.path), message);
    }

    /// Takes a key's value if it is there, of the type, and `read` makes something of it.
    pub(crate) fn take<T: DeserializeOwned, R>(
        &mut self,
        key: &str,
        read: impl FnOnce(T) -> Result<R, String>,
    ) -> Option<R> {
        let value = self.keys.remove(key)?;
        let span = value.span();
        let fault = match T::deserialize(ValueDeserializer::from(value)) {
            Ok(value) => match read(value) {
                Ok(read) => return Some(read),
                Err(fault) => fault,
            },
            Err(error) => error.message().to_owned(),
        };
        self.problem_at(span, key, fault);
        None
    }

    /// As [`take`](Self::take), and a problem if the key is missing.
    pub(crate) fn need<T: DeserializeOwned, R>(
        &mut self,
        key: &str,
        read: impl FnOnce(T) -> Result<R, String>,
    ) -> Option<R> {
        if !self.keys.contains_key(key) {
            self.problem(key, "this key is missing");
        }
        self.take(key, read)
    }

    /// Takes a list of texts; an absent one is empty. What `check` says of each is noted.
    pub(crate) fn list(
        &mut self,
        key: &str,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Vec<String> {
        let read = |texts: Vec<String>| {
            let wrong: Vec<_> = texts.iter().filter_map(|text| check(text).err()).collect();
            if wrong.is_empty() { Ok(texts) } else { Err(wrong.join("; ")) }
        };
        self.take(key, read).unwrap_or_default()
    }

    /// Takes a table within this one.
    pub(crate) fn inner(&mut self, key: &str) -> Option<Self> {
        let value = self.keys.remove(key)?;
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(keys) => {
                let dot = if self.path.is_empty() { "" } else { "." };
                let path = format!("{}{dot}{key}", self.path);
                Some(Self { source: self.source, path, span, keys })
            }
            _ => {
                self.problem_at(span, key, format!("write it as a table: [{key}]"));
                None
            }
        }
    }

    /// Takes the tables of a list, at most `most`.
    pub(crate) fn each(&mut self, key: &str, most: usize) -> Vec<Self> {
        let Some(value) = self.keys.remove(key) else { return Vec::new() };
        let span = value.span();
        let dot = if self.path.is_empty() { "" } else { "." };
        let path = format!("{}{dot}{key}", self.path);
        let DeValue::Array(values) = value.into_inner() else {
            self.problem_at(span, key, format!("write each as [[{path}]]"));
            return Vec::new();
        };
        if values.len() > most {
            self.problem_at(span, key, format!("{} are more than {most}", values.len()));
            return Vec::new();
        }
        let mut tables = Vec::new();
        for (index, value) in values.into_iter().enumerate() {
            let span = value.span();
            match value.into_inner() {
                DeValue::Table(keys) => {
                    let path = format!("{path}[{index}]");
                    tables.push(Self { source: self.source, path, span, keys });
                }
                _ => self.problem_at(span, key, format!("write it as [[{path}]]")),
            }
        }
        tables
    }

    /// Everything that nobody took is a typing mistake.
    pub(crate) fn nothing_left(self) {
        for (key, value) in &self.keys {
            self.problem_at(value.span(), key.get_ref(), "there is no such key");
        }
    }
}
