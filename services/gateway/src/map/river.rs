//! Pure: the Tiền river, as a smooth line through its stations from the border to the sea.

use sen_model::{Place, PlaceKind};
use serde_json::{Value, json};

/// What the names of the stations on the Tiền and on its mouth have in them.
const NAMES: [&str; 3] = ["sông Tiền", "Sa Đéc/Tiền", "sông Cửa Tiểu"];
/// Points between two stations.
const STEPS: usize = 12;
/// How strongly the line swings out at a station; 0.5 would overshoot where stations lie close
/// together and then far apart.
const TENSION: f64 = 0.3;

/// How the river is told.
pub(super) fn properties() -> Value {
    json!({"layer": "river", "name": "Sông Tiền", "name_en": "Tiền river"})
}

/// Longitudes and latitudes from west to east; none if fewer than two stations are known.
pub(super) fn line(places: &[Place]) -> Option<Vec<[f64; 2]>> {
    let on_tien = |place: &&Place| {
        place.kind == PlaceKind::RiverStation
            && NAMES.iter().any(|name| place.name.vi.contains(name))
    };
    let mut stations: Vec<[f64; 2]> =
        places.iter().filter(on_tien).map(|place| [place.lon, place.lat]).collect();
    stations.sort_by(|a, b| a[0].total_cmp(&b[0]));
    if stations.len() < 2 {
        return None;
    }
    let at = |index: isize| stations[index.clamp(0, stations.len() as isize - 1) as usize];
    let mut line = Vec::with_capacity(stations.len() * STEPS);
    for index in 0..stations.len() as isize - 1 {
        let around = [at(index - 1), at(index), at(index + 1), at(index + 2)];
        line.extend((0..STEPS).map(|step| between(around, step as f64 / STEPS as f64)));
    }
    line.push(at(stations.len() as isize - 1));
    Some(line)
}

/// A point of the cubic curve between the second and the third of four points, which leaves each
/// station in the direction of its neighbours.
fn between([before, from, to, after]: [[f64; 2]; 4], t: f64) -> [f64; 2] {
    let (t2, t3) = (t * t, t * t * t);
    let along = |axis: usize| {
        let leaving = TENSION * (to[axis] - before[axis]);
        let arriving = TENSION * (after[axis] - from[axis]);
        let value = (2.0 * t3 - 3.0 * t2 + 1.0) * from[axis]
            + (t3 - 2.0 * t2 + t) * leaving
            + (3.0 * t2 - 2.0 * t3) * to[axis]
            + (t3 - t2) * arriving;
        (value * 1e4).round() / 1e4
    };
    [along(0), along(1)]
}
