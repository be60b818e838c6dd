//! Pure: what drills and the demonstration do to the province, on a timeline from the start.
//!
//! A scenario does not replace the physics; it pushes it. Each [`Push`] is a strength from 0 (the
//! day as it is) to 1 (the crest of the drill), and the physics says what that means.

use std::fmt;
use std::str::FromStr;

use sen_model::Device;
use serde::{Deserialize, Serialize};

use crate::noise::unit;
use crate::site::Site;

/// A drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// A flood wave runs from Tân Châu to the mouth and crosses alarm levels I, II and III.
    Flood,
    /// Salt water runs up the river; the sluice gates close.
    Salinity,
    /// Haze settles over the province: VN_AQI beyond 200.
    Smog,
    /// The bridges jam first, then the roads.
    Jam,
    /// A power cut silences the communes around Cao Lãnh; they come back with what they kept.
    Outage,
    /// Everything at once: dozens of alerts within a minute.
    StormOfAlarms,
}

impl Scenario {
    /// Every drill.
    pub const ALL: [Self; 6] =
        [Self::Flood, Self::Salinity, Self::Smog, Self::Jam, Self::Outage, Self::StormOfAlarms];

    /// Its name on the command line and in the config.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Flood => "flood",
            Self::Salinity => "salinity",
            Self::Smog => "smog",
            Self::Jam => "jam",
            Self::Outage => "outage",
            Self::StormOfAlarms => "storm-of-alarms",
        }
    }
}

/// No drill has this name.
#[derive(Debug, thiserror::Error)]
#[error("there is no scenario `{0}`: use flood, salinity, smog, jam, outage or storm-of-alarms")]
pub struct UnknownScenario(String);

impl FromStr for Scenario {
    type Err = UnknownScenario;
    fn from_str(name: &str) -> Result<Self, UnknownScenario> {
        let found = Self::ALL.into_iter().find(|scenario| scenario.as_str() == name);
        found.ok_or_else(|| UnknownScenario(name.chars().take(64).collect()))
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How strongly the physics of one device is pushed at one moment: each from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Push {
    /// River levels towards their flood crest.
    pub flood: f64,
    /// Salt up the river.
    pub salt: f64,
    /// Haze.
    pub smog: f64,
    /// Traffic density towards a standstill.
    pub jam: f64,
    /// A cloudburst.
    pub rain: f64,
    /// No power, no network: the device keeps what it measures.
    pub silent: bool,
}

impl Push {
    fn or(self, other: Self) -> Self {
        Self {
            flood: self.flood.max(other.flood),
            salt: self.salt.max(other.salt),
            smog: self.smog.max(other.smog),
            jam: self.jam.max(other.jam),
            rain: self.rain.max(other.rain),
            silent: self.silent || other.silent,
        }
    }
}

/// The push on `device` when `elapsed_s` seconds have passed since the start.
pub(crate) fn push(
    scenario: Option<Scenario>,
    demo: bool,
    device: &Device,
    site: &Site,
    elapsed_s: f64,
) -> Push {
    let drill = scenario.map(|scenario| drill(scenario, device, site, elapsed_s));
    let drama = demo.then(|| drama(device, elapsed_s));
    drill.unwrap_or_default().or(drama.unwrap_or_default())
}

fn drill(scenario: Scenario, device: &Device, site: &Site, elapsed_s: f64) -> Push {
    // The far end of the river is reached last by a flood and first by salt.
    let downstream = 1.0 - (site.river_km / FAR_END_KM).min(1.0);
    match scenario {
        Scenario::Flood => {
            let arrival_s = 10.0 + 140.0 * downstream;
            Push { flood: wave(elapsed_s, arrival_s, 45.0, 420.0, 120.0), ..Push::default() }
        }
        Scenario::Salinity => {
            let arrival_s = 10.0 + 120.0 * (1.0 - downstream);
            Push { salt: wave(elapsed_s, arrival_s, 60.0, 400.0, 120.0), ..Push::default() }
        }
        Scenario::Smog => {
            let arrival_s = 10.0 + 60.0 * downstream;
            Push { smog: wave(elapsed_s, arrival_s, 90.0, 400.0, 120.0), ..Push::default() }
        }
        Scenario::Jam => {
            let is_bridge = device.id.as_str().starts_with("bridge-");
            let start_s = if is_bridge { 10.0 } else { 60.0 + 90.0 * unit(site.seed, -2) };
            Push { jam: wave(elapsed_s, start_s, 30.0, 420.0, 60.0), ..Push::default() }
        }
        Scenario::Outage => Push { silent: is_cut(device, elapsed_s), ..Push::default() },
        Scenario::StormOfAlarms => {
            let start_s = 15.0 + 30.0 * unit(site.seed, -2);
            let all = wave(elapsed_s, start_s, 5.0, start_s + 300.0, 30.0);
            Push { flood: all, salt: all, smog: all, jam: all, rain: all, silent: false }
        }
    }
}

/// Kilometres from the mouth to Tân Châu.
const FAR_END_KM: f64 = 212.0;

/// Where the power cut is, how far it reaches in degrees (about 16 km), and how long it lasts.
const CUT: (f64, f64) = (10.44, 105.63);
const CUT_DEGREES: f64 = 0.145;
const CUT_S: std::ops::Range<f64> = 30.0..690.0;

fn is_cut(device: &Device, elapsed_s: f64) -> bool {
    let away = (device.lat - CUT.0).hypot(device.lon - CUT.1);
    away < CUT_DEGREES && CUT_S.contains(&elapsed_s)
}

/// How often the demonstration repeats its small drama: rarely enough for a quiet desk.
const DRAMA_EVERY_S: f64 = 900.0;

/// One sluice sees a tongue of salt pass, and one bridge jams, so that a newcomer meets an alert
/// that rises and clears within minutes of the start.
fn drama(device: &Device, elapsed_s: f64) -> Push {
    let within_s = elapsed_s.rem_euclid(DRAMA_EVERY_S);
    match device.id.as_str() {
        // At this gate a push of 0.35 is about 1.4 g/L.
        "gate-nguyen-tan-thanh" => {
            Push { salt: 0.35 * wave(within_s, 0.0, 45.0, 180.0, 60.0), ..Push::default() }
        }
        "bridge-rach-mieu" => {
            Push { jam: wave(within_s, 20.0, 15.0, 240.0, 30.0), ..Push::default() }
        }
        _ => Push::default(),
    }
}

/// 0 before `start_s`, up to 1 over `rise_s`, 1 until `end_s`, down to 0 over `fall_s`.
fn wave(now_s: f64, start_s: f64, rise_s: f64, end_s: f64, fall_s: f64) -> f64 {
    let up = ((now_s - start_s) / rise_s).clamp(0.0, 1.0);
    let down = 1.0 - ((now_s - end_s) / fall_s).clamp(0.0, 1.0);
    up.min(down)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_everywhere() {
        for scenario in Scenario::ALL {
            assert_eq!(scenario.to_string().parse::<Scenario>().unwrap(), scenario);
            assert_eq!(serde_json::json!(scenario), serde_json::json!(scenario.as_str()));
        }
        let error = "deluge".parse::<Scenario>().unwrap_err().to_string();
        assert!(error.contains("`deluge`") && error.contains("storm-of-alarms"), "{error}");
    }

    #[test]
    fn waves_rise_hold_and_fall() {
        let cases = [(0.0, 0.0), (10.0, 0.0), (15.0, 0.5), (20.0, 1.0), (30.0, 1.0), (35.0, 0.5)];
        for (now_s, expected) in cases {
            assert_eq!(wave(now_s, 10.0, 10.0, 30.0, 10.0), expected, "{now_s}");
        }
    }
}
