//! Pure: which series a question is about, and how they are put together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use sen_model::{AreaCode, Device, DeviceId, Field, Metric, Registry, SeriesKey};
use sen_table::{Cell, Column, Kind};

use super::parameters::{Parameters, Wrong, shown};

/// Series of one question, at most: what a few seconds can read a page of.
pub(crate) const MOST_SERIES: usize = 10_000;
/// The parameters that choose series.
pub(crate) const CHOICE: [&str; 6] = ["series", "metric", "area", "field", "kind", "device"];
/// The area that stands for all of them.
const ALL_AREAS: &str = "all";

/// What becomes one line of an answer. A line is always of one metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum By {
    /// Each series by itself.
    #[default]
    Series,
    /// All series of an area.
    Area,
    /// All series of one of the five fields.
    Field,
    /// All series of a kind of station.
    Kind,
    /// All series that were chosen.
    All,
}

impl By {
    /// Its name, and the key of the first column of a line where there is one.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Series => "series",
            Self::Area => "area",
            Self::Field => "field",
            Self::Kind => "kind",
            Self::All => "all",
        }
    }

    /// The columns that say which line it is.
    pub(crate) fn columns(self) -> Vec<Column> {
        let first = match self {
            Self::All => None,
            Self::Series => Some("device"),
            _ => Some(self.as_str()),
        };
        first.into_iter().chain(["metric"]).map(|name| Column::new(name, Kind::Text)).collect()
    }

    /// Where a series stands; none for a device that the registry does not place.
    fn place(self, key: &SeriesKey, device: Option<&Device>) -> Option<String> {
        match self {
            Self::Series => Some(key.device.to_string()),
            Self::All => Some(String::new()),
            Self::Area => device.map(|device| device.area.to_string()),
            Self::Field => device.map(|device| device.field.as_str().to_owned()),
            Self::Kind => device.map(|device| device.kind.clone()),
        }
    }
}

/// The text names no way to put series together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is none of series, area, field, kind, all")]
pub(crate) struct UnknownBy(String);

impl FromStr for By {
    type Err = UnknownBy;

    fn from_str(text: &str) -> Result<Self, UnknownBy> {
        let all = [Self::Series, Self::Area, Self::Field, Self::Kind, Self::All];
        all.into_iter().find(|by| by.as_str() == text).ok_or_else(|| UnknownBy(shown(text)))
    }
}

/// One line of an answer: series of one metric, put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The device, area, field or kind; empty where everything is one line.
    place: String,
    metric: Metric,
    /// UCUM unit, where the registry knows it.
    pub(crate) unit: Option<String>,
    /// At least one.
    pub(crate) series: Vec<SeriesKey>,
}

impl Line {
    /// That of one series.
    pub(crate) fn of(key: SeriesKey, registry: &Registry) -> Self {
        let spec = registry.device(&key.device).and_then(|device| device.metric(&key.metric));
        let (place, metric) = (key.device.to_string(), key.metric.clone());
        Self { place, metric, unit: spec.map(|spec| spec.unit.clone()), series: vec![key] }
    }

    /// What is measured.
    pub(crate) fn metric(&self) -> &Metric {
        &self.metric
    }

    /// What says which line it is, in the columns of [`By::columns`].
    pub(crate) fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        let place = (!self.place.is_empty()).then_some(self.place.as_str());
        place.into_iter().chain([self.metric.as_str()]).map(Cell::Text)
    }

    /// The order of lines.
    fn order(&self) -> (&str, &str) {
        (&self.place, self.metric.as_str())
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.place, self.metric)
    }
}

/// The place of the line that printed like this among these, or of the first one after it: a line
/// may be gone by the time the next page is asked for. None for what no line prints.
pub(crate) fn place_of(name: &str, lines: &[Line]) -> Option<(usize, bool)> {
    // No metric holds a slash.
    let order = name.rsplit_once('/')?;
    let at = lines.partition_point(|line| line.order() < order);
    Some((at, lines.get(at).is_some_and(|line| line.order() == order)))
}

/// Why there are no such lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A parameter cannot be taken.
    Wrong(Wrong),
    /// There is no such thing.
    Unknown(String),
}

impl From<Wrong> for Refused {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong)
    }
}

/// Which series are meant.
#[derive(Debug)]
pub(crate) enum Choice {
    /// These.
    Named(BTreeSet<SeriesKey>),
    /// Those that pass every one of these that is given.
    Where(Filter),
}

/// What a series must be; an empty list asks for nothing.
#[derive(Debug)]
pub(crate) struct Filter {
    metrics: Vec<Metric>,
    devices: Vec<DeviceId>,
    /// None: not asked for. Empty: any.
    areas: Option<Vec<AreaCode>>,
    fields: Vec<Field>,
    kinds: Vec<String>,
}

impl Choice {
    /// Reads the choice of a question.
    pub(crate) fn parse(given: &Parameters, registry: &Registry) -> Result<Self, Refused> {
        let named = |name: &&&str| given.has(name);
        if given.has("series") {
            if let Some(other) = CHOICE[1..].iter().find(named) {
                return Err(Wrong::new(other, "it does not go with `series`").into());
            }
            let keys = given.many("series").map(series_key).collect::<Result<_, _>>()?;
            return Ok(Self::Named(keys));
        }
        if CHOICE.iter().find(named).is_none() {
            let detail = "say which: `series=device/metric`, or some of metric, area (or \
                          `area=all`), field, kind, device";
            return Err(Wrong::new("series", detail).into());
        }
        let areas = given.has("area").then(|| areas(given, registry)).transpose()?;
        let fields = given.many("field").map(field).collect::<Result<_, _>>()?;
        let kinds = given.many("kind").map(|kind| known_kind(kind, registry));
        let (metrics, devices) = (given.all("metric")?, given.all("device")?);
        let kinds = kinds.collect::<Result<_, _>>()?;
        Ok(Self::Where(Filter { metrics, devices, areas, fields, kinds }))
    }

    /// The series there are of those that are meant: of the registry, and of all `heard` ones.
    fn among(
        self,
        registry: &Registry,
        heard: Vec<SeriesKey>,
    ) -> Result<BTreeSet<SeriesKey>, Refused> {
        let registered = registry.devices().flat_map(|device| {
            let key =
                |metric: &Metric| SeriesKey { device: device.id.clone(), metric: metric.clone() };
            device.metrics.iter().map(move |spec| key(&spec.metric))
        });
        match self {
            Self::Where(filter) => {
                let all: BTreeSet<SeriesKey> =
                    registered.chain(heard).filter(|key| filter.passes(key, registry)).collect();
                let is_known = |id: &DeviceId| {
                    registry.device(id).is_some() || all.iter().any(|key| key.device == *id)
                };
                match filter.devices.iter().find(|id| !is_known(id)) {
                    Some(id) if filter.metrics.is_empty() => {
                        Err(Refused::Unknown(format!("there is no device {id}")))
                    }
                    _ => Ok(all),
                }
            }
            Self::Named(keys) => {
                let known: BTreeSet<SeriesKey> =
                    registered.chain(heard).filter(|key| keys.contains(key)).collect();
                match keys.difference(&known).next() {
                    Some(key) => Err(Refused::Unknown(format!("there is no series {key}"))),
                    None => Ok(keys),
                }
            }
        }
    }

    /// The lines of an answer, in their order.
    pub(crate) fn lines(
        self,
        by: By,
        registry: &Registry,
        heard: Vec<SeriesKey>,
    ) -> Result<Vec<Line>, Refused> {
        let keys = self.among(registry, heard)?;
        if keys.len() > MOST_SERIES {
            let (found, most) = (keys.len(), MOST_SERIES);
            let detail = format!("{found} series are meant, more than {most}: narrow the choice");
            return Err(Wrong::new("series", detail).into());
        }
        let mut lines: BTreeMap<(String, Metric), Line> = BTreeMap::new();
        for key in keys {
            let Some(place) = by.place(&key, registry.device(&key.device)) else { continue };
            let line = Line { place, ..Line::of(key, registry) };
            match lines.get_mut(&(line.place.clone(), line.metric.clone())) {
                Some(first) => join(first, line)?,
                None => drop(lines.insert((line.place.clone(), line.metric.clone()), line)),
            }
        }
        let mut lines: Vec<Line> = lines.into_values().collect();
        lines.sort_by(|a, b| a.order().cmp(&b.order()));
        Ok(lines)
    }
}

/// Puts a series to others of its line; metres and feet make no mean.
fn join(line: &mut Line, mut other: Line) -> Result<(), Wrong> {
    if let (Some(ours), Some(theirs)) = (&line.unit, &other.unit)
        && ours != theirs
    {
        let detail =
            format!("{} has the units {ours} and {theirs}: narrow the choice", line.metric);
        return Err(Wrong::new("metric", detail));
    }
    line.unit = line.unit.take().or(other.unit.take());
    line.series.append(&mut other.series);
    Ok(())
}

impl Filter {
    fn passes(&self, key: &SeriesKey, registry: &Registry) -> bool {
        let any = |is_empty: bool, has: bool| is_empty || has;
        let named = any(self.metrics.is_empty(), self.metrics.contains(&key.metric))
            && any(self.devices.is_empty(), self.devices.contains(&key.device));
        if !named || (self.areas.is_none() && self.fields.is_empty() && self.kinds.is_empty()) {
            return named;
        }
        let Some(device) = registry.device(&key.device) else { return false };
        let areas = self.areas.as_deref().unwrap_or_default();
        any(areas.is_empty(), areas.contains(&device.area))
            && any(self.fields.is_empty(), self.fields.contains(&device.field))
            && any(self.kinds.is_empty(), self.kinds.contains(&device.kind))
    }
}

fn series_key(text: &str) -> Result<SeriesKey, Wrong> {
    let key = text.split_once('/').and_then(|(device, metric)| {
        Some(SeriesKey { device: device.parse().ok()?, metric: metric.parse().ok()? })
    });
    let wrong = || Wrong::new("series", format!("`{}` is not device/metric", shown(text)));
    key.ok_or_else(wrong)
}

/// The areas that are asked for; none of them stands for all.
fn areas(given: &Parameters, registry: &Registry) -> Result<Vec<AreaCode>, Wrong> {
    if given.many("area").eq([ALL_AREAS]) {
        return Ok(Vec::new());
    }
    let area = |text: &str| {
        let code: AreaCode = text.parse().map_err(|error| Wrong::new("area", error))?;
        let is_home = || registry.devices().any(|device| device.area == code);
        match registry.area(&code).is_some() || is_home() {
            true => Ok(code),
            false => {
                let detail = format!("there is no area {code}; `all` stands for all of them");
                Err(Wrong::new("area", detail))
            }
        }
    };
    given.many("area").map(area).collect()
}

fn field(text: &str) -> Result<Field, Wrong> {
    let all = [
        Field::SocioEconomy,
        Field::Security,
        Field::Transport,
        Field::Environment,
        Field::PublicServices,
    ];
    let found = all.into_iter().find(|field| field.as_str() == text);
    let names = all.map(Field::as_str).join(", ");
    found.ok_or_else(|| Wrong::new("field", format!("`{}` is none of {names}", shown(text))))
}

fn known_kind(text: &str, registry: &Registry) -> Result<String, Wrong> {
    if registry.devices().any(|device| device.kind == text) {
        return Ok(text.to_owned());
    }
    let kinds: BTreeSet<&str> = registry.devices().map(|device| device.kind.as_str()).collect();
    let kinds = kinds.into_iter().collect::<Vec<_>>().join(", ");
    Err(Wrong::new("kind", format!("`{}` is none of {kinds}", shown(text))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    /// Two rivers and an air station in two areas.
    fn registry() -> Registry {
        let device = |id: &str, metric: &str, kind: &str, area: &str| {
            let mut device = sample::device(id, metric);
            device.kind = kind.into();
            device.area = AreaCode::new(area).unwrap();
            device
        };
        let devices = vec![
            device("river-1", "level", "river", "28249"),
            device("river-2", "level", "river", "28261"),
            device("air-1", "pm25", "air", "28261"),
        ];
        Registry::new(devices, Vec::new())
    }

    fn key(text: &str) -> SeriesKey {
        series_key(text).unwrap()
    }

    fn lines(query: &str, by: By) -> Result<Vec<String>, Refused> {
        let pair = |pair: &str| pair.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned()));
        let given = Parameters::new(query.split('&').filter_map(pair).collect(), &[&CHOICE])?;
        let registry = registry();
        let heard = vec![key("stranger/level"), key("river-1/level"), key("river-1/battery")];
        let lines = Choice::parse(&given, &registry)?.lines(by, &registry, heard)?;
        let shown = |line: &Line| {
            let series: Vec<String> = line.series.iter().map(SeriesKey::to_string).collect();
            format!("{line}: {}", series.join(" "))
        };
        Ok(lines.iter().map(shown).collect())
    }

    #[test]
    fn what_is_chosen_is_what_passes_every_filter() {
        for (query, wanted) in [
            ("series=air-1/pm25&series=stranger/level", "air-1/pm25 stranger/level"),
            ("metric=level", "river-1/level river-2/level stranger/level"),
            ("metric=level&area=all", "river-1/level river-2/level"),
            ("area=28261", "air-1/pm25 river-2/level"),
            ("area=28261,28249&kind=river", "river-1/battery river-1/level river-2/level"),
            ("device=river-1&metric=level,pm25", "river-1/level"),
            ("field=environment&metric=pm25", "air-1/pm25"),
            ("field=security", ""),
        ] {
            let found = lines(query, By::Series).unwrap();
            let series: Vec<&str> =
                found.iter().filter_map(|line| line.split_once(": ")).map(|(_, key)| key).collect();
            assert_eq!(series.join(" "), wanted, "{query}");
        }
    }

    #[test]
    fn lines_are_of_one_metric_and_one_place() {
        let all = "metric=level,pm25";
        for (by, wanted) in [
            (
                By::Area,
                vec![
                    "28249/level: river-1/level",
                    "28261/level: river-2/level",
                    "28261/pm25: air-1/pm25",
                ],
            ),
            (By::Kind, vec!["air/pm25: air-1/pm25", "river/level: river-1/level river-2/level"]),
            (
                By::Field,
                vec![
                    "environment/level: river-1/level river-2/level",
                    "environment/pm25: air-1/pm25",
                ],
            ),
            (
                By::All,
                vec!["/level: river-1/level river-2/level stranger/level", "/pm25: air-1/pm25"],
            ),
        ] {
            assert_eq!(lines(all, by).unwrap(), wanted, "{by:?}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        for (query, parameter) in [
            ("", "series"),
            ("series=nothing", "series"),
            ("series=air-1/pm25&area=all", "area"),
            ("area=99999", "area"),
            ("area=x", "area"),
            ("area=all,28261", "area"),
            ("field=nature", "field"),
            ("kind=ship", "kind"),
            ("metric=1", "metric"),
            ("device=A", "device"),
        ] {
            match lines(query, By::Series) {
                Err(Refused::Wrong(wrong)) => assert_eq!(wrong.parameter, parameter, "{query}"),
                other => panic!("{query}: {other:?}"),
            }
        }
        for query in ["series=air-9/pm25", "device=air-9"] {
            assert!(matches!(lines(query, By::Series), Err(Refused::Unknown(_))), "{query}");
        }
    }

    #[test]
    fn units_that_differ_are_not_put_together() {
        let mut feet = sample::device("river-3", "level");
        feet.metrics[0].unit = "[ft_i]".into();
        let registry = Registry::new(vec![sample::device("river-1", "level"), feet], Vec::new());
        let of = |by| {
            let keys = [key("river-1/level"), key("river-3/level")].into();
            Choice::Named(keys).lines(by, &registry, Vec::new())
        };
        assert_eq!(of(By::Series).unwrap().len(), 2);
        assert!(matches!(of(By::All), Err(Refused::Wrong(wrong)) if wrong.parameter == "metric"));
    }

    #[test]
    fn a_line_is_found_again_by_its_name() {
        let registry = registry();
        let keys = [key("air-1/pm25"), key("river-1/level"), key("river-2/level")].into();
        let lines = Choice::Named(keys).lines(By::Series, &registry, Vec::new()).unwrap();
        for (at, line) in lines.iter().enumerate() {
            assert_eq!(place_of(&line.to_string(), &lines), Some((at, true)));
        }
        assert_eq!(place_of("river-1/zzz", &lines), Some((2, false)));
        assert_eq!(place_of("nothing", &lines), None);
    }
}
