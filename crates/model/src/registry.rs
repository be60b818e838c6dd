//! What the centre knows of its devices and places before any of them speaks.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::name::{AreaCode, DeviceId, Metric};
use crate::text::Text;

/// The five fields the province's plan names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// Kinh tế - xã hội.
    SocioEconomy,
    /// An ninh.
    Security,
    /// Giao thông.
    Transport,
    /// Môi trường.
    Environment,
    /// Dịch vụ công.
    PublicServices,
}

impl Field {
    /// The stable name, as in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SocioEconomy => "socio_economy",
            Self::Security => "security",
            Self::Transport => "transport",
            Self::Environment => "environment",
            Self::PublicServices => "public_services",
        }
    }
}

/// What one metric of a device means and what is plausible for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricSpec {
    /// The metric's name in payloads.
    pub metric: Metric,
    /// What people call it.
    pub name: Text,
    /// UCUM unit, such as `m`, `g/L`, `ug/m3`, `km/h`, `1`.
    pub unit: String,
    /// Smallest plausible value; below it a reading is suspect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Largest plausible value; above it a reading is suspect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// One device of the registry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Its id in topics.
    pub id: DeviceId,
    /// What people call it.
    pub name: Text,
    /// What kind of station it is: `river`, `salinity`, `rain`, `air`, `weather`, `traffic`, …
    pub kind: String,
    /// Which of the five fields it serves.
    pub field: Field,
    /// The commune it stands in.
    pub area: AreaCode,
    /// Latitude, degrees north (WGS 84).
    pub lat: f64,
    /// Longitude, degrees east (WGS 84).
    pub lon: f64,
    /// How often it reports, in milliseconds; what "stale" and absence are measured by.
    pub interval_ms: i64,
    /// What it measures.
    #[serde(default)]
    pub metrics: Vec<MetricSpec>,
    /// Free words that rules select by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Which devices it depends on, and which lies before it.
    #[serde(default, skip_serializing_if = "Relations::is_empty")]
    pub relations: Relations,
}

/// How a device hangs together with others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Relations {
    /// The gateway it reports through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<DeviceId>,
    /// What measures its power supply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power: Option<DeviceId>,
    /// What measures its line to us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uplink: Option<DeviceId>,
    /// The next device upstream on the same water or road.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<DeviceId>,
}

impl Relations {
    /// Whether it stands alone.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What its reports depend on.
    pub fn depends_on(&self) -> impl Iterator<Item = &DeviceId> {
        [&self.gateway, &self.power, &self.uplink].into_iter().flatten()
    }
}

impl Device {
    /// What is known of one of its metrics.
    pub fn metric(&self, metric: &Metric) -> Option<&MetricSpec> {
        self.metrics.iter().find(|spec| spec.metric == *metric)
    }
}

/// What a place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceKind {
    /// A ward the plan names as a smart urban area.
    SmartCityWard,
    /// A ward (phường).
    Ward,
    /// A commune (xã).
    Commune,
    /// A hydrological station.
    RiverStation,
    /// A salinity station.
    SalinityStation,
    /// A sluice gate.
    SluiceGate,
    /// A bridge.
    Bridge,
    /// An industrial zone.
    IndustrialZone,
    /// A national park.
    Park,
    /// A border gate.
    BorderGate,
    /// Any other landmark.
    Landmark,
}

impl PlaceKind {
    /// Whether the place is an administrative area rather than a point of interest.
    pub fn is_area(self) -> bool {
        matches!(self, Self::SmartCityWard | Self::Ward | Self::Commune)
    }
}

/// A commune, ward or point of interest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Its id, such as `ward-28261` or `stn-my-tho`.
    pub id: String,
    /// What people call it.
    pub name: Text,
    /// What it is.
    pub kind: PlaceKind,
    /// Latitude of its centre, degrees north (WGS 84).
    pub lat: f64,
    /// Longitude of its centre, degrees east (WGS 84).
    pub lon: f64,
    /// Area in square kilometres; 0 where not known, and for points.
    #[serde(default)]
    pub area_km2: f64,
    /// The commune it is or stands in, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<AreaCode>,
}

/// Devices by id and places by id: read at start, shared, never changed while running.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    devices: BTreeMap<DeviceId, Device>,
    places: Vec<Place>,
    areas: BTreeMap<AreaCode, usize>,
    open_kinds: BTreeSet<String>,
}

impl Registry {
    /// A registry of these devices and places; of devices with one id the last one counts.
    pub fn new(devices: Vec<Device>, places: Vec<Place>) -> Self {
        let areas = places
            .iter()
            .enumerate()
            .filter(|(_, place)| place.kind.is_area())
            .filter_map(|(index, place)| Some((place.area.clone()?, index)))
            .collect();
        let devices = devices.into_iter().map(|device| (device.id.clone(), device)).collect();
        Self { devices, places, areas, open_kinds: BTreeSet::new() }
    }

    /// The same with these kinds open: what their devices measure may be given to anybody. No kind
    /// is open that nobody has called so.
    pub fn with_open_kinds(mut self, kinds: impl IntoIterator<Item = String>) -> Self {
        self.open_kinds = kinds.into_iter().collect();
        self
    }

    /// The open kinds, by name.
    pub fn open_kinds(&self) -> &BTreeSet<String> {
        &self.open_kinds
    }

    /// What is known of a device.
    pub fn device(&self, id: &DeviceId) -> Option<&Device> {
        self.devices.get(id)
    }

    /// Every device, by id.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        self.devices.values()
    }

    /// Every place, in the order of the file.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The ward or commune of a code.
    pub fn area(&self, code: &AreaCode) -> Option<&Place> {
        self.areas.get(code).map(|index| &self.places[*index])
    }
}
