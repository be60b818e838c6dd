//! The description beside the files of an export: a Frictionless Data Package
//! (<https://specs.frictionlessdata.io/tabular-data-package/>) with title, licence, source, columns,
//! units, and each file with its day, rows and SHA-256. Pure: values only.
//!
//! It is also the memory of the schedule: a file that does not stand in it is made.

use std::collections::{BTreeMap, BTreeSet};

use sen_model::{MetricSpec, Registry, SeriesKey, Text, Timestamp};
use sen_table::{Column, Format, Kind};
use serde::{Deserialize, Serialize};

use crate::exports::Export;
use crate::rows::columns;
use crate::schedule::Day;

/// The whole description.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Package {
    profile: String,
    /// Id of the export.
    pub name: String,
    title: String,
    titles: Text,
    licenses: Vec<Licence>,
    sources: Vec<Source>,
    /// Unit and names of each metric that is in the files.
    metrics: Vec<Measured>,
    /// The files, the oldest first.
    pub resources: Vec<Resource>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Licence {
    name: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Source {
    title: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Measured {
    metric: String,
    title: Text,
    unit: String,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    name: String,
    /// Its name in the folder.
    pub path: String,
    format: String,
    mediatype: String,
    /// Length in bytes.
    pub bytes: u64,
    /// `sha256:` and the hash in hexadecimal.
    pub hash: String,
    /// Rows, without the header.
    pub rows: u64,
    /// The calendar day of Vietnam that is in it, such as `2026-11-23`.
    pub day: String,
    period: Period,
    tier: String,
    /// When the store was last asked what belongs into it.
    pub checked: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    dialect: Option<Dialect>,
    schema: Schema,
}

/// From inclusive to exclusive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Period {
    from: Timestamp,
    to: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dialect {
    comment_char: String,
    line_terminator: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Schema {
    fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Field {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

/// A file that was just made.
pub(crate) struct Made {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    pub(crate) rows: u64,
    pub(crate) checked: Timestamp,
}

impl Package {
    /// That of an export as it is configured, with these files.
    pub(crate) fn new(export: &Export, registry: &Registry, resources: Vec<Resource>) -> Self {
        let Text { vi, en } = &export.title;
        Self {
            profile: "tabular-data-package".to_owned(),
            name: export.id.clone(),
            title: format!("{vi} / {en}"),
            titles: export.title.clone(),
            licenses: vec![Licence { name: export.licence.clone() }],
            sources: vec![Source { title: export.source.clone() }],
            metrics: measured(export, registry),
            resources,
        }
    }

    /// When the file of each day was last looked at, of the files that are named as they would be
    /// now and that are `there`.
    pub(crate) fn looked(
        &self,
        export: &Export,
        there: impl Fn(&Resource) -> bool,
    ) -> BTreeMap<Day, Timestamp> {
        let looked = |resource: &Resource| {
            let day = Day::parse(&resource.day)?;
            let current = resource.path == export.file_of(day) && there(resource);
            current.then_some((day, resource.checked))
        };
        self.resources.iter().filter_map(looked).collect()
    }
}

impl Resource {
    pub(crate) fn new(export: &Export, day: Day, made: Made) -> Self {
        let is_csv = export.format == Format::Csv;
        Self {
            name: format!("{}-{day}", export.id),
            path: export.file_of(day),
            format: export.format.as_str().to_owned(),
            mediatype: export.format.media_type().to_owned(),
            bytes: made.bytes,
            hash: format!("sha256:{}", made.sha256),
            rows: made.rows,
            day: day.to_string(),
            period: Period { from: day.start(), to: day.end() },
            tier: export.resolution.as_str().to_owned(),
            checked: made.checked,
            dialect: is_csv.then(|| Dialect {
                comment_char: "#".to_owned(),
                line_terminator: "\r\n".to_owned(),
            }),
            schema: Schema { fields: columns(export.resolution).iter().map(field).collect() },
        }
    }

    /// Whether it has fewer rows than another file of the same tier: the store lost something.
    pub(crate) fn lacks_rows_of(&self, other: &Self) -> bool {
        self.tier == other.tier && self.rows < other.rows
    }
}

/// What the export may hold by the registry.
pub(crate) fn published<'r>(
    export: &'r Export,
    registry: &'r Registry,
) -> impl Iterator<Item = &'r MetricSpec> {
    registry.devices().flat_map(move |device| {
        device.metrics.iter().filter(move |spec| {
            let key = SeriesKey { device: device.id.clone(), metric: spec.metric.clone() };
            export.selection.takes_openly(registry, &key)
        })
    })
}

/// What the export may hold by the registry: unit and names, each metric once.
fn measured(export: &Export, registry: &Registry) -> Vec<Measured> {
    let mut seen = BTreeSet::new();
    let mut measured = Vec::new();
    for spec in published(export, registry) {
        if seen.insert((spec.metric.clone(), spec.unit.clone())) {
            let (metric, unit) = (spec.metric.to_string(), spec.unit.clone());
            measured.push(Measured { metric, title: spec.name.clone(), unit });
        }
    }
    measured
}

fn field(column: &Column) -> Field {
    let kind = match column.kind {
        Kind::Text => "string",
        Kind::Float => "number",
        Kind::Integer => "integer",
        Kind::Time => "datetime",
    };
    Field { name: column.name.to_string(), kind: kind.to_owned() }
}
