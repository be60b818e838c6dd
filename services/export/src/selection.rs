//! Which series an export takes, by names that are checked. Pure: names in, choice or every mistake
//! out.

use std::collections::BTreeSet;

use sen_model::{AreaCode, DeviceId, Field, Metric, Registry, SeriesKey};

use crate::nearest::{Named, nearest};

/// What must hold of a series to be taken. An empty list asks for nothing; of a list any one must
/// fit; all lists must.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// Communes and wards the device stands in.
    pub areas: Vec<AreaCode>,
    /// Fields it serves.
    pub fields: Vec<Field>,
    /// Kinds it is of.
    pub kinds: Vec<String>,
    /// What is measured.
    pub metrics: Vec<Metric>,
    /// The device itself.
    pub devices: Vec<DeviceId>,
}

impl Selection {
    /// Whether an operator's export takes a series. What the registry does not know stands in no
    /// area and is of no kind.
    pub fn takes(&self, registry: &Registry, series: &SeriesKey) -> bool {
        let device = registry.device(&series.device);
        let by_registry = match device {
            Some(device) => {
                fits(&self.areas, &device.area)
                    && fits(&self.fields, &device.field)
                    && fits(&self.kinds, &device.kind)
            }
            None => self.areas.is_empty() && self.fields.is_empty() && self.kinds.is_empty(),
        };
        by_registry && fits(&self.metrics, &series.metric) && fits(&self.devices, &series.device)
    }

    /// Whether open data takes a series: besides, its device must be registered and of an open
    /// kind, and the registry must know the metric. A stranger chooses names as well as values, and
    /// names can tell of a person.
    pub fn takes_openly(&self, registry: &Registry, series: &SeriesKey) -> bool {
        let device = registry.device(&series.device);
        let open = device.is_some_and(|device| {
            registry.open_kinds().contains(&device.kind) && device.metric(&series.metric).is_some()
        });
        open && self.takes(registry, series)
    }
}

fn fits<T: PartialEq>(wanted: &[T], is: &T) -> bool {
    wanted.is_empty() || wanted.contains(is)
}

/// The names a selection is written with, as a person gave them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names {
    /// Codes of areas.
    pub areas: Vec<String>,
    /// Fields.
    pub fields: Vec<String>,
    /// Kinds of devices.
    pub kinds: Vec<String>,
    /// Metrics.
    pub metrics: Vec<String>,
    /// Devices.
    pub devices: Vec<String>,
}

/// Which list of a selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Codes of areas.
    Area,
    /// Fields.
    Field,
    /// Kinds of devices.
    Kind,
    /// Metrics.
    Metric,
    /// Devices.
    Device,
}

impl List {
    /// One of it, in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Area => "area",
            Self::Field => "field",
            Self::Kind => "kind",
            Self::Metric => "metric",
            Self::Device => "device",
        }
    }
}

/// The five fields.
const FIELDS: [Field; 5] = [
    Field::SocioEconomy,
    Field::Security,
    Field::Transport,
    Field::Environment,
    Field::PublicServices,
];

/// Every name there is.
#[derive(Clone, Debug, Default)]
pub struct Known {
    areas: Vec<Named>,
    kinds: BTreeSet<String>,
    metrics: BTreeSet<String>,
    devices: BTreeSet<String>,
}

impl Known {
    /// The names of a registry.
    pub fn of(registry: &Registry) -> Self {
        let areas = registry.places().iter().filter(|place| place.kind.is_area());
        let areas = areas.filter_map(|place| Some((place.area.as_ref()?, &place.name.vi)));
        let areas = areas.map(|(code, name)| Named::with_title(code.as_str(), name)).collect();
        let mut known = Self { areas, ..Self::default() };
        for device in registry.devices() {
            known.devices.insert(device.id.to_string());
            known.kinds.insert(device.kind.clone());
            known.metrics.extend(device.metrics.iter().map(|spec| spec.metric.to_string()));
        }
        known.kinds.extend(registry.open_kinds().iter().cloned());
        known
    }

    /// These, and those of series that were heard.
    pub fn and_heard(mut self, series: &[SeriesKey]) -> Self {
        self.devices.extend(series.iter().map(|key| key.device.to_string()));
        self.metrics.extend(series.iter().map(|key| key.metric.to_string()));
        self
    }

    /// The selection of these names, or what is wrong with each that there is not.
    pub fn select(&self, names: &Names) -> Result<Selection, Vec<(List, String)>> {
        let mut wrong = Vec::new();
        let mut check = |list: List, given: &[String]| {
            let unknown = given.iter().filter_map(|name| Some((list, self.fault(list, name)?)));
            wrong.extend(unknown);
        };
        check(List::Area, &names.areas);
        check(List::Field, &names.fields);
        check(List::Kind, &names.kinds);
        check(List::Metric, &names.metrics);
        check(List::Device, &names.devices);
        if !wrong.is_empty() {
            return Err(wrong);
        }
        // Whatever is known has a name that is right.
        Ok(Selection {
            areas: names.areas.iter().filter_map(|name| name.parse().ok()).collect(),
            fields: names.fields.iter().filter_map(|name| field(name)).collect(),
            kinds: names.kinds.clone(),
            metrics: names.metrics.iter().filter_map(|name| name.parse().ok()).collect(),
            devices: names.devices.iter().filter_map(|name| name.parse().ok()).collect(),
        })
    }

    /// What is wrong with a name, and which ones are near.
    fn fault(&self, list: List, name: &str) -> Option<String> {
        let plain = |names: &BTreeSet<String>| -> Option<Vec<Named>> {
            (!names.contains(name)).then(|| names.iter().map(|name| Named::new(name)).collect())
        };
        let others = match list {
            List::Area if self.areas.iter().any(|area| area.name == name) => None,
            List::Area => Some(self.areas.clone()),
            List::Field => field(name)
                .is_none()
                .then(|| FIELDS.iter().map(|field| Named::new(field.as_str())).collect()),
            List::Kind => plain(&self.kinds),
            List::Metric => plain(&self.metrics),
            List::Device => plain(&self.devices),
        }?;
        let near = nearest(name, &others);
        let shown: String = name.chars().take(64).collect();
        let advice = if near.is_empty() {
            "and none that is like it".to_owned()
        } else {
            format!("the nearest: {}", near.join(", "))
        };
        Some(format!("there is no {} `{shown}`; {advice}", list.as_str()))
    }
}

fn field(name: &str) -> Option<Field> {
    FIELDS.into_iter().find(|field| field.as_str() == name)
}
