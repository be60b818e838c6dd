//! The province as GeoJSON: by default a scheme that Sen draws by itself, in its place the official
//! boundaries where somebody has put them.
//!
//! The scheme needs nobody's boundary data: each commune is a cell of a power diagram (Voronoi with
//! weights) around its centre, the weights chosen so that the cell has about the commune's area.

mod cells;
mod geometry;
pub mod official;
mod outline;
pub mod rings;
mod river;

use std::path::Path;

use sen_chassis::Problem;
use sen_model::Place;
use serde_json::{Value, json};

use cells::Site;
use geometry::{Plane, Point, ring_area};

pub use rings::Outlines;

/// Commune area where none is known at all, in square kilometres.
const USUAL_AREA_KM2: f64 = 50.0;

/// The scheme of these places.
pub fn schematic(places: &[Place]) -> Value {
    let communes: Vec<&Place> = places.iter().filter(|place| place.kind.is_area()).collect();
    let plane = Plane::around(communes.iter().map(|place| (place.lon, place.lat)));
    let cells = cells::diagram(&sites(&communes, &plane));
    let mut features: Vec<Value> = outline::rings(&cells)
        .into_iter()
        .map(|ring| feature(json!({"layer": "outline"}), polygon(&ring, &plane)))
        .collect();
    for (place, cell) in communes.iter().zip(&cells) {
        let ring: Vec<Point> = cell.iter().map(|corner| corner.at).collect();
        if ring.len() >= 3 {
            features.push(feature(area(place), polygon(&ring, &plane)));
        }
    }
    features.extend(river(places));
    collection("schematic", features)
}

/// The official map of a config folder with the river, which boundary files do not have; none if
/// there is no such file.
pub fn official(folder: &Path, places: &[Place]) -> Result<Option<Value>, Problem> {
    let mut map = official::read(folder)?;
    if let Some(features) = map.as_mut().and_then(|map| map["features"].as_array_mut()) {
        features.extend(river(places));
    }
    Ok(map)
}

fn river(places: &[Place]) -> Option<Value> {
    let line = river::line(places)?;
    Some(feature(river::properties(), json!({"type": "LineString", "coordinates": line})))
}

fn collection(source: &str, features: Vec<Value>) -> Value {
    json!({"type": "FeatureCollection", "source": source, "features": features})
}

fn feature(properties: Value, geometry: Value) -> Value {
    json!({"type": "Feature", "properties": properties, "geometry": geometry})
}

fn area(place: &Place) -> Value {
    json!({
        "layer": "area",
        "code": place.area,
        "name": place.name.vi,
        "name_en": place.name.en,
        "kind": place.kind,
    })
}

fn sites(communes: &[&Place], plane: &Plane) -> Vec<Site> {
    let mut known: Vec<f64> =
        communes.iter().map(|place| place.area_km2).filter(|area| *area > 0.0).collect();
    known.sort_by(f64::total_cmp);
    let median = known.get(known.len() / 2).copied().unwrap_or(USUAL_AREA_KM2);
    let site = |place: &&Place| Site {
        at: plane.to_plane(place.lon, place.lat),
        area_km2: if place.area_km2 > 0.0 { place.area_km2 } else { median },
    };
    communes.iter().map(site).collect()
}

/// A ring as a GeoJSON polygon: outer rings run against the clock, the last point is the first.
fn polygon(ring: &[Point], plane: &Plane) -> Value {
    let mut coordinates: Vec<[f64; 2]> =
        ring.iter().map(|point| plane.to_degrees(*point)).collect();
    if ring_area(ring) < 0.0 {
        coordinates.reverse();
    }
    coordinates.dedup();
    coordinates.extend(coordinates.first().copied());
    json!({"type": "Polygon", "coordinates": [coordinates]})
}

#[cfg(test)]
mod tests;
