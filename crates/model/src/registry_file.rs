//! Reads `devices.toml` and `places.toml` into a [`Registry`]. Pure: text in, registry or every
//! mistake out.
//!
//! A person who edits two hundred devices wants all mistakes at once, each with its file, line
//! and key; so the files are walked key by key instead of stopping at the first error.
//!
//! ```toml
//! [kind.river]                       # what devices of one kind share
//! field = "environment"
//! interval_ms = 10_000
//! open = true                        # optional: what they measure may become open data
//! metrics = [{ metric = "water_level_m", name = { vi = "Mực nước", en = "Water level" }, unit = "m" }]
//!
//! [[device]]                         # one device; field and interval_ms may be its own
//! id = "stn-my-tho"
//! kind = "river"
//! name = { vi = "Trạm Mỹ Tho", en = "Mỹ Tho station" }
//! area = "28261"
//! lat = 10.348
//! lon = 106.365
//! metrics = ["water_level_m"]        # optional: only these of the kind's metrics
//! tags = ["tidal"]                   # optional: free words that rules select by
//! gateway = "gw-my-tho"              # optional, each a device: what it reports through, …
//! power = "power-my-tho"             # … what measures its power supply, …
//! uplink = "link-my-tho"             # … what measures its line to us, …
//! upstream = "stn-my-thuan"          # … and the next device upstream on the same water or road
//! ```

mod relations;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::name::{AreaCode, DeviceId, Metric};
use crate::registry::{Device, Field, MetricSpec, Place, PlaceKind, Registry};
use crate::text::Text;

/// The two files, as faults name them.
const DEVICES: &str = "devices.toml";
const PLACES: &str = "places.toml";

/// Latitudes and longitudes Vietnam and its waters lie within, in degrees; beyond them a
/// coordinate is a typing mistake or the two were exchanged.
const LATITUDES: Range<f64> = 8.0..24.0;
const LONGITUDES: Range<f64> = 102.0..118.0;

/// The shortest and longest interval a device may promise: a tenth of a second and a day.
const INTERVALS_MS: Range<i64> = 100..86_400_001;

/// One mistake in a file of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `devices.toml` or `places.toml`.
    pub file: &'static str,
    /// The line, from 1.
    pub line: usize,
    /// The key, such as `device.stn-my-tho.lat`.
    pub key: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.key, self.message)
    }
}

/// The registry of both texts, or every mistake in them.
pub fn parse(devices: &str, places: &str) -> Result<Registry, Vec<Fault>> {
    let mut faults = Vec::new();
    let places = parse_places(&mut Walker { file: PLACES, text: places, faults: &mut faults });
    let (devices, open) =
        parse_devices(&mut Walker { file: DEVICES, text: devices, faults: &mut faults }, &places);
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Registry::new(devices, places).with_open_kinds(open))
}

fn parse_places(walker: &mut Walker<'_>) -> Vec<Place> {
    let Some(mut file) = walker.document() else { return Vec::new() };
    let entries = walker.entries(&mut file, "place");
    walker.nothing_left(&file);
    entries.into_iter().filter_map(|entry| place(walker, entry)).collect()
}

fn place(walker: &mut Walker<'_>, mut entry: Entry<'_>) -> Option<Place> {
    let name: Option<Text> = walker.need(&mut entry, "name");
    let kind: Option<PlaceKind> = walker.need(&mut entry, "kind");
    let (lat, lon) = walker.coordinates(&mut entry);
    let area_km2 = walker.take(&mut entry, "area_km2").unwrap_or(0.0);
    let area: Option<AreaCode> = walker.take(&mut entry, "area");
    if kind.is_some_and(PlaceKind::is_area) && area.is_none() {
        walker.fault(&entry.span, &entry.key("area"), "a ward or commune needs its official code");
    }
    walker.nothing_left(&entry);
    Some(Place { id: entry.id, name: name?, kind: kind?, lat: lat?, lon: lon?, area_km2, area })
}

/// What the devices of one kind share.
struct Kind {
    field: Option<Field>,
    interval_ms: Option<i64>,
    open: bool,
    metrics: Vec<MetricSpec>,
}

/// The devices, and the kinds that are open.
fn parse_devices(walker: &mut Walker<'_>, places: &[Place]) -> (Vec<Device>, Vec<String>) {
    let Some(mut file) = walker.document() else { return Default::default() };
    let kinds = parse_kinds(walker, &mut file);
    let areas = places.iter().filter(|place| place.kind.is_area());
    let areas: BTreeSet<&AreaCode> = areas.filter_map(|place| place.area.as_ref()).collect();
    let entries = walker.entries(&mut file, "device");
    walker.nothing_left(&file);
    let mut links = relations::Links::default();
    let devices = entries
        .into_iter()
        .filter_map(|entry| device(walker, entry, &kinds, &areas, &mut links))
        .collect();
    links.check(walker);
    let open = kinds.into_iter().filter_map(|(name, kind)| kind.open.then_some(name));
    (devices, open.collect())
}

fn parse_kinds(walker: &mut Walker<'_>, file: &mut Entry<'_>) -> BTreeMap<String, Kind> {
    let mut kinds = BTreeMap::new();
    let Some((_, value)) = file.remove("kind") else { return kinds };
    let span = value.span();
    let DeValue::Table(table) = value.into_inner() else {
        walker.fault(&span, "kind", "write each kind as a table: [kind.river]");
        return kinds;
    };
    for (name, value) in table {
        let (span, path) = (value.span(), format!("kind.{}", name.get_ref()));
        let DeValue::Table(keys) = value.into_inner() else {
            walker.fault(&span, &path, "write it as a table: [kind.river]");
            continue;
        };
        let mut entry = Entry { path, id: name.get_ref().to_string(), span, keys };
        let kind = Kind {
            field: walker.take(&mut entry, "field"),
            interval_ms: walker.interval(&mut entry),
            open: walker.take(&mut entry, "open").unwrap_or(false),
            metrics: walker.need(&mut entry, "metrics").unwrap_or_default(),
        };
        walker.ranges(&entry, &kind.metrics);
        walker.nothing_left(&entry);
        kinds.insert(entry.id, kind);
    }
    kinds
}

fn device(
    walker: &mut Walker<'_>,
    mut entry: Entry<'_>,
    kinds: &BTreeMap<String, Kind>,
    areas: &BTreeSet<&AreaCode>,
    links: &mut relations::Links,
) -> Option<Device> {
    let id = DeviceId::new(&entry.id);
    if let Err(error) = &id {
        walker.fault(&entry.span, &entry.key("id"), error.to_string());
    }
    let name: Option<Text> = walker.need(&mut entry, "name");
    let kind = kind_of(walker, &mut entry, kinds);
    let area = area_of(walker, &mut entry, areas);
    let (lat, lon) = walker.coordinates(&mut entry);
    let own_field = walker.take(&mut entry, "field");
    let own_interval = walker.interval(&mut entry);
    let metrics = metrics_of(walker, &mut entry, kind.map(|(_, kind)| kind));
    let tags = walker.take(&mut entry, "tags").unwrap_or_default();
    let relations = links.take(walker, &mut entry);
    walker.nothing_left(&entry);

    let (kind, shared) = kind?;
    let field = own_field.or(shared.field);
    let interval_ms = own_interval.or(shared.interval_ms);
    for (key, missing) in [("field", field.is_none()), ("interval_ms", interval_ms.is_none())] {
        if missing {
            let message = format!("neither this device nor [kind.{kind}] says it");
            walker.fault(&entry.span, &entry.key(key), message);
        }
    }
    let (name, area, metrics) = (name?, area?, metrics?);
    let (id, kind, field, interval_ms) = (id.ok()?, kind.to_owned(), field?, interval_ms?);
    Some(Device {
        id,
        name,
        kind,
        field,
        area,
        lat: lat?,
        lon: lon?,
        interval_ms,
        metrics,
        tags,
        relations,
    })
}

fn kind_of<'k>(
    walker: &mut Walker<'_>,
    entry: &mut Entry<'_>,
    kinds: &'k BTreeMap<String, Kind>,
) -> Option<(&'k str, &'k Kind)> {
    let span = entry.span_of("kind");
    let name: String = walker.need(entry, "kind")?;
    let found = kinds.get_key_value(&name).map(|(name, kind)| (name.as_str(), kind));
    if found.is_none() {
        walker.fault(&span, &entry.key("kind"), format!("there is no [kind.{name}]"));
    }
    found
}

fn area_of(
    walker: &mut Walker<'_>,
    entry: &mut Entry<'_>,
    areas: &BTreeSet<&AreaCode>,
) -> Option<AreaCode> {
    let span = entry.span_of("area");
    let area: AreaCode = walker.need(entry, "area")?;
    if !areas.contains(&area) {
        let message = format!("no ward or commune in {PLACES} has the code {area}");
        walker.fault(&span, &entry.key("area"), message);
    }
    Some(area)
}

/// The metrics the device names, out of its kind's; all of them where it names none.
fn metrics_of(
    walker: &mut Walker<'_>,
    entry: &mut Entry<'_>,
    kind: Option<&Kind>,
) -> Option<Vec<MetricSpec>> {
    let span = entry.span_of("metrics");
    let named: Option<Vec<Metric>> = walker.take(entry, "metrics");
    let shared = &kind?.metrics;
    let Some(named) = named else { return Some(shared.clone()) };
    let mut chosen = Vec::with_capacity(named.len());
    for metric in named {
        match shared.iter().find(|spec| spec.metric == metric) {
            Some(spec) => chosen.push(spec.clone()),
            None => {
                let message = format!("its kind has no metric `{metric}`");
                walker.fault(&span, &entry.key("metrics"), message);
            }
        }
    }
    Some(chosen)
}

/// One table of a file: its keys are taken one by one, and what is left is a typing mistake.
struct Entry<'t> {
    path: String,
    id: String,
    span: Range<usize>,
    keys: DeTable<'t>,
}

impl<'t> Entry<'t> {
    fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Where the value of `key` stands; the whole table where it has none.
    fn span_of(&self, key: &str) -> Range<usize> {
        self.keys.get(key).map_or_else(|| self.span.clone(), |value| value.span())
    }

    fn remove(&mut self, key: &str) -> Option<(String, Spanned<DeValue<'t>>)> {
        self.keys.remove(key).map(|value| (self.key(key), value))
    }
}

/// Walks one file and notes what is wrong.
struct Walker<'t> {
    file: &'static str,
    text: &'t str,
    faults: &'t mut Vec<Fault>,
}

impl<'t> Walker<'t> {
    fn fault(&mut self, span: &Range<usize>, key: &str, message: impl Into<String>) {
        let line = self.line(span.start);
        let (file, key, message) = (self.file, key.to_owned(), message.into());
        self.faults.push(Fault { file, line, key, message });
    }

    /// The 1-based line of a byte offset.
    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }

    /// The whole file, or a fault for each place where it is not TOML.
    fn document(&mut self) -> Option<Entry<'t>> {
        let (document, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            self.fault(&error.span().unwrap_or_default(), "syntax", error.message());
        }
        let span = document.span();
        let keys = document.into_inner();
        errors.is_empty().then(|| Entry { path: String::new(), id: String::new(), span, keys })
    }

    /// The tables of `[[name]]`, each with an id of its own.
    fn entries<'e>(&mut self, file: &mut Entry<'e>, name: &str) -> Vec<Entry<'e>> {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let Some((_, list)) = file.remove(name) else { return Vec::new() };
        let span = list.span();
        let DeValue::Array(list) = list.into_inner() else {
            self.fault(&span, name, format!("write each as a table of its own: [[{name}]]"));
            return Vec::new();
        };
        let mut entries = Vec::with_capacity(list.len());
        for (index, value) in list.into_iter().enumerate() {
            let (span, path) = (value.span(), format!("{name}[{index}]"));
            let DeValue::Table(keys) = value.into_inner() else {
                self.fault(&span, &path, format!("write it as a table: [[{name}]]"));
                continue;
            };
            let mut entry = Entry { path, id: String::new(), span, keys };
            let at = entry.span_of("id");
            let Some(id) = self.need::<String>(&mut entry, "id") else { continue };
            if let Some(first) = seen.insert(id.clone(), at.start) {
                let line = self.line(first);
                self.fault(&at, &format!("{name}.{id}"), format!("line {line} has this id too"));
            }
            entry.path = format!("{name}.{id}");
            entry.id = id;
            entries.push(entry);
        }
        entries
    }

    /// Takes a key's value as its type; a fault if it is there and of another type.
    fn take<T: DeserializeOwned>(&mut self, entry: &mut Entry<'_>, key: &str) -> Option<T> {
        let (path, value) = entry.remove(key)?;
        let span = value.span();
        match T::deserialize(ValueDeserializer::from(value)) {
            Ok(value) => Some(value),
            Err(error) => {
                let inner = error.span().unwrap_or(span);
                self.fault(&inner, &path, error.message());
                None
            }
        }
    }

    /// As [`take`](Self::take), and a fault if the key is missing.
    fn need<T: DeserializeOwned>(&mut self, entry: &mut Entry<'_>, key: &str) -> Option<T> {
        if !entry.keys.contains_key(key) {
            self.fault(&entry.span.clone(), &entry.key(key), "this key is missing");
        }
        self.take(entry, key)
    }

    /// Latitude and longitude, within [`LATITUDES`] and [`LONGITUDES`].
    fn coordinates(&mut self, entry: &mut Entry<'_>) -> (Option<f64>, Option<f64>) {
        let mut within = |key, range: Range<f64>| {
            let span = entry.span_of(key);
            let degrees: f64 = self.need(entry, key)?;
            if !range.contains(&degrees) {
                let message =
                    format!("{degrees} lies outside {} to {} degrees", range.start, range.end);
                self.fault(&span, &entry.key(key), message);
            }
            Some(degrees)
        };
        (within("lat", LATITUDES), within("lon", LONGITUDES))
    }

    fn interval(&mut self, entry: &mut Entry<'_>) -> Option<i64> {
        let span = entry.span_of("interval_ms");
        let interval: i64 = self.take(entry, "interval_ms")?;
        if !INTERVALS_MS.contains(&interval) {
            let message = format!("{interval} is not from 100 ms to one day (86400000 ms)");
            self.fault(&span, &entry.key("interval_ms"), message);
        }
        Some(interval)
    }

    /// Plausible ranges the right way round, and each metric once.
    fn ranges(&mut self, entry: &Entry<'_>, metrics: &[MetricSpec]) {
        let mut seen = BTreeSet::new();
        for spec in metrics {
            let path = entry.key(&format!("metrics.{}", spec.metric));
            if matches!((spec.min, spec.max), (Some(min), Some(max)) if min >= max) {
                self.fault(&entry.span, &path, "min must be below max");
            }
            if !seen.insert(&spec.metric) {
                self.fault(&entry.span, &path, "this metric stands here twice");
            }
        }
    }

    /// A fault for each key nobody took.
    fn nothing_left(&mut self, entry: &Entry<'_>) {
        for key in entry.keys.keys() {
            self.fault(&key.span(), &entry.key(key.get_ref()), "no such key: mistyped?");
        }
    }
}

#[cfg(test)]
mod tests;
