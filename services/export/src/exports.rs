//! `exports.toml`: what is given to the public, how, and when. Pure: text in, exports or every
//! mistake out.
//!
//! Nothing personal may leave: an export takes registered devices of open kinds only, and whoever
//! names a kind, field or metric that is not open is told so.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use sen_chassis::Problem;
use sen_chassis::config::line_of;
use sen_model::{Registry, SeriesKey, Text};
use sen_table::Format;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::rows::Resolution;
use crate::schedule::{Day, Schedule};
use crate::selection::{Known, List, Names, Selection};

const FILE: &str = "exports.toml";
/// Longest id, licence and source, in bytes.
const ID_BYTES: usize = 64;
const TEXT_BYTES: usize = 1_000;
/// Exports at most: they run one after the other.
const MOST_EXPORTS: usize = 100;
/// Files kept at most: ten years.
const KEPT: Range<i64> = 1..3_661;
/// Further days on which a file is looked at again: as far back as ingest takes readings. At least
/// one, so that a file made while the store was behind does not stay as it is.
const LATE_DAYS: Range<i64> = 1..31;
const USUAL_LATE_DAYS: i64 = 3;

/// One export to the public.
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    /// Its id: a folder and the beginning of its files.
    pub id: String,
    /// What people call it.
    pub title: Text,
    /// The licence, such as `CC BY 4.0`.
    pub licence: String,
    /// Who measured.
    pub source: String,
    /// What is in it, of what is open.
    pub selection: Selection,
    /// Readings or summaries.
    pub resolution: Resolution,
    /// How it is written.
    pub format: Format,
    /// When.
    pub schedule: Schedule,
    /// The folder its own folder stands in; a relative one is below the data folder.
    pub folder: PathBuf,
}

impl Export {
    /// The name of the file of a day.
    pub fn file_of(&self, day: Day) -> String {
        format!("{}-{day}.{}", self.id, self.format.as_str())
    }
}

/// The exports of `exports.toml`, or every mistake in it.
pub fn parse(text: &str, registry: &Registry) -> Result<Vec<Export>, Vec<Problem>> {
    let mut problems = Vec::new();
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let line = line_of(text, error.span().unwrap_or_default().start);
        problems.push(Problem::new(format!("{FILE}:{line}"), error.message()));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let span = document.span();
    let path = String::new();
    let mut file = Section { text, path, span, keys: document.into_inner(), problems };
    let list = file.take_value("export");
    file.nothing_left();
    let mut problems = file.problems;
    let mut exports = Vec::new();
    if let Some(list) = list {
        let line = line_of(text, list.span().start);
        match list.into_inner() {
            DeValue::Array(tables) if tables.len() <= MOST_EXPORTS => {
                exports = each(text, tables.into_iter(), registry, &mut problems);
            }
            _ => {
                let advice = format!("write each export as [[export]], at most {MOST_EXPORTS}");
                problems.push(Problem::new(format!("{FILE}:{line} export"), advice));
            }
        }
    }
    if problems.is_empty() { Ok(exports) } else { Err(problems) }
}

fn each<'t>(
    text: &'t str,
    tables: impl Iterator<Item = Spanned<DeValue<'t>>>,
    registry: &Registry,
    problems: &mut Vec<Problem>,
) -> Vec<Export> {
    let known = Known::of(registry);
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    let mut exports = Vec::new();
    for (index, table) in tables.enumerate() {
        let (span, path) = (table.span(), format!("export[{index}]"));
        let line = line_of(text, span.start);
        let DeValue::Table(keys) = table.into_inner() else {
            problems.push(Problem::new(format!("{FILE}:{line} {path}"), "write it as [[export]]"));
            continue;
        };
        let mut section = Section { text, path, span, keys, problems: Vec::new() };
        let export = export(&mut section, &known, registry);
        section.nothing_left();
        problems.append(&mut section.problems);
        let Some(export) = export else { continue };
        if let Some(first) = lines.insert(export.id.clone(), line) {
            let key = format!("{FILE}:{line} export.{}", export.id);
            problems.push(Problem::new(key, format!("the export in line {first} has this id too")));
        }
        exports.push(export);
    }
    exports
}

/// Takes every key before anything may fail, so that every mistake is told.
fn export(section: &mut Section<'_>, known: &Known, registry: &Registry) -> Option<Export> {
    let id = section.need("id", |id: &String| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let right = (1..=ID_BYTES).contains(&id.len()) && id.bytes().all(plain);
        (!right).then(|| format!("use 1 to {ID_BYTES} of a-z, 0-9 and '-'"))
    });
    if let Some(id) = &id {
        section.path = format!("export.{id}");
    }
    let title = section.need("title", |title: &Text| {
        let empty = title.vi.trim().is_empty() || title.en.trim().is_empty();
        empty.then(|| "give it in both languages: { vi = \"…\", en = \"…\" }".to_owned())
    });
    let licence = section.need("licence", |text: &String| one_line(text));
    let source = section.need("source", |text: &String| one_line(text));
    let selection = selection(section, known, registry);
    let resolution = section.need("tier", |tier: &String| tier.parse::<Resolution>().err());
    let format = section.need("format", |format: &String| {
        format.parse::<Format>().err().map(|error| error.to_string())
    });
    section.need("every", |every: &String| {
        (every != "1d").then(|| "only \"1d\" is possible: a file holds a calendar day".to_owned())
    });
    let at = section.need("at", |at: &String| {
        minutes(at).is_none().then(|| format!("`{at}` is no time of day, such as \"02:00\""))
    });
    let keep = section.need("keep", |keep: &i64| within(*keep, &KEPT, "files"));
    let late_days = section.take("late_days", |days: &i64| within(*days, &LATE_DAYS, "days"));
    let folder = section
        .need("folder", |folder: &String| folder.is_empty().then(|| "name a folder".to_owned()));
    Some(Export {
        id: id?,
        title: title?,
        licence: licence?,
        source: source?,
        selection: selection?,
        resolution: resolution?.parse().ok()?,
        format: format?.parse().ok()?,
        schedule: Schedule {
            at_min: minutes(&at?)?,
            late_days: late_days.unwrap_or(USUAL_LATE_DAYS),
            keep: keep?,
        },
        folder: PathBuf::from(folder?),
    })
}

fn selection(section: &mut Section<'_>, known: &Known, registry: &Registry) -> Option<Selection> {
    let spans = LISTS.map(|(list, key)| (list, key, section.span_of(key)));
    let mut list = |key| section.take(key, |_: &Vec<String>| None).unwrap_or_default();
    let names = Names {
        areas: list("areas"),
        fields: list("fields"),
        kinds: list("kinds"),
        metrics: list("metrics"),
        devices: list("devices"),
    };
    let selected = known.select(&names);
    let wrong = match &selected {
        Ok(selection) => not_open(selection, registry),
        Err(wrong) => wrong.clone(),
    };
    for (what, message) in &wrong {
        let at = spans.iter().find(|(list, ..)| list == what);
        let (key, span) = at.map_or(("kinds", 0..0), |(_, key, span)| (*key, span.clone()));
        section.problem(&span, key, message.clone());
    }
    selected.ok().filter(|_| wrong.is_empty())
}

const LISTS: [(List, &str); 5] = [
    (List::Area, "areas"),
    (List::Field, "fields"),
    (List::Kind, "kinds"),
    (List::Metric, "metrics"),
    (List::Device, "devices"),
];

/// Everything named of which nothing is open; and an export of nothing at all.
fn not_open(selection: &Selection, registry: &Registry) -> Vec<(List, String)> {
    let open = registry.open_kinds();
    let devices = || registry.devices().filter(|device| open.contains(&device.kind));
    let mut wrong = Vec::new();
    let mut closed = |list: List, name: String| {
        let message = format!(
            "{} `{name}` is not open: only kinds with `open = true` in devices.toml are given to \
             the public",
            list.as_str()
        );
        wrong.push((list, message));
    };
    for kind in selection.kinds.iter().filter(|kind| !open.contains(*kind)) {
        closed(List::Kind, kind.clone());
    }
    for metric in &selection.metrics {
        if !devices().any(|device| device.metric(metric).is_some()) {
            closed(List::Metric, metric.to_string());
        }
    }
    for field in &selection.fields {
        if !devices().any(|device| device.field == *field) {
            closed(List::Field, field.as_str().to_owned());
        }
    }
    for id in &selection.devices {
        if !devices().any(|device| device.id == *id) {
            closed(List::Device, id.to_string());
        }
    }
    if wrong.is_empty() && !takes_something(selection, registry) {
        let message = "no open device measures this: nothing would be exported".to_owned();
        wrong.push((List::Kind, message));
    }
    wrong
}

fn takes_something(selection: &Selection, registry: &Registry) -> bool {
    registry.devices().any(|device| {
        device.metrics.iter().any(|spec| {
            let key = SeriesKey { device: device.id.clone(), metric: spec.metric.clone() };
            selection.takes_openly(registry, &key)
        })
    })
}

fn one_line(text: &str) -> Option<String> {
    let right =
        !text.trim().is_empty() && text.len() <= TEXT_BYTES && !text.contains(char::is_control);
    (!right).then(|| format!("write one line of at most {TEXT_BYTES} bytes"))
}

/// Minutes after midnight of `02:00`.
fn minutes(time: &str) -> Option<i64> {
    let (hours, minutes) = time.split_once(':')?;
    let number = |text: &str, most: i64| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number: &i64| digits && *number < most)
    };
    Some(number(hours, 24)? * 60 + number(minutes, 60)?)
}

fn within(number: i64, range: &Range<i64>, what: &str) -> Option<String> {
    let message = || format!("{number} is not {} to {} {what}", range.start, range.end - 1);
    (!range.contains(&number)).then(message)
}

/// One table of the file: its keys are taken one by one, and what is left is a typing mistake.
struct Section<'t> {
    text: &'t str,
    path: String,
    span: Range<usize>,
    keys: DeTable<'t>,
    problems: Vec<Problem>,
}

impl<'t> Section<'t> {
    fn problem(&mut self, span: &Range<usize>, key: &str, message: impl Into<String>) {
        let line = line_of(self.text, span.start);
        let dot = if self.path.is_empty() { "" } else { "." };
        let key = format!("{FILE}:{line} {}{dot}{key}", self.path);
        self.problems.push(Problem::new(key, message));
    }

    /// Where a key's value stands; the whole table where it has none.
    fn span_of(&self, key: &str) -> Range<usize> {
        self.keys.get(key).map_or_else(|| self.span.clone(), Spanned::span)
    }

    fn take_value(&mut self, key: &str) -> Option<Spanned<DeValue<'t>>> {
        self.keys.remove(key)
    }

    /// Takes a key's value if it is there, of the type and right.
    fn take<T: DeserializeOwned>(
        &mut self,
        key: &str,
        wrong: impl Fn(&T) -> Option<String>,
    ) -> Option<T> {
        let value = self.take_value(key)?;
        let span = value.span();
        let fault = match T::deserialize(ValueDeserializer::from(value)) {
            Ok(value) => match wrong(&value) {
                None => return Some(value),
                Some(fault) => fault,
            },
            Err(error) => error.message().to_owned(),
        };
        self.problem(&span, key, fault);
        None
    }

    /// As [`take`](Self::take), and a problem if the key is missing.
    fn need<T: DeserializeOwned>(
        &mut self,
        key: &str,
        wrong: impl Fn(&T) -> Option<String>,
    ) -> Option<T> {
        if !self.keys.contains_key(key) {
            self.problem(&self.span.clone(), key, "this key is missing");
        }
        self.take(key, wrong)
    }

    fn nothing_left(&mut self) {
        let left: Vec<_> =
            self.keys.keys().map(|key| (key.span(), key.get_ref().to_string())).collect();
        for (span, key) in left {
            self.problem(&span, &key, "no such key: mistyped?");
        }
    }
}
