//! The official boundaries: `map/areas.geojson` in the config folder, checked and passed on.

use std::path::Path;

use sen_chassis::Problem;
use sen_model::AreaCode;
use serde_json::{Value, json};

/// Where the file is, below the config folder.
const FILE: &str = "map/areas.geojson";
/// Largest file that is taken, in bytes: a wall loads it at every start.
const MOST_BYTES: u64 = 16 << 20;

/// Reads the official map of a config folder; none if there is no such file.
pub fn read(folder: &Path) -> Result<Option<Value>, Problem> {
    let path = folder.join(FILE);
    let problem = |message: String| Problem::new(path.display().to_string(), message);
    let bytes = match std::fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(problem(error.to_string())),
        Ok(file) => file.len(),
    };
    if bytes > MOST_BYTES {
        return Err(problem(format!("{bytes} bytes; simplify it to at most {MOST_BYTES}")));
    }
    let text = std::fs::read_to_string(&path).map_err(|error| problem(error.to_string()))?;
    parse(&text).map(Some).map_err(problem)
}

/// Checks a boundary file and gives its features the layers of our map. Says what is wrong with
/// the first feature that is wrong.
pub fn parse(text: &str) -> Result<Value, String> {
    let map: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    if map["type"] != "FeatureCollection" {
        return Err("not a GeoJSON FeatureCollection".to_owned());
    }
    let features = map["features"].as_array().ok_or("`features` is not a list")?;
    let mut taken = Vec::with_capacity(features.len());
    for (index, feature) in features.iter().enumerate() {
        let one = take(feature).map_err(|mistake| format!("feature {}: {mistake}", index + 1))?;
        taken.push(one);
    }
    if !taken.iter().any(|feature| feature["properties"]["layer"] == "area") {
        return Err("there is no commune in it: a polygon with a 5-digit `code`".to_owned());
    }
    Ok(super::collection("official", taken))
}

fn take(feature: &Value) -> Result<Value, String> {
    let geometry = &feature["geometry"];
    let coordinates = &geometry["coordinates"];
    match geometry["type"].as_str() {
        Some("Polygon") => polygon(coordinates)?,
        Some("MultiPolygon") => list(coordinates)?.iter().try_for_each(polygon)?,
        _ => return Err("the geometry is neither a Polygon nor a MultiPolygon".to_owned()),
    }
    let told = &feature["properties"];
    let code = told["code"].as_str().ok_or("`properties.code` is missing")?;
    let code = AreaCode::new(code).map_err(|error| error.to_string())?;
    // The province is the outline of its communes.
    let is_province = told["level"] == "province" || code.as_str().len() == 2;
    let layer = if is_province { "outline" } else { "area" };
    let name = told["name"].as_str().ok_or("`properties.name` is missing")?;
    let properties = json!({
        "layer": layer,
        "code": code,
        "name": name,
        "name_en": told["name_en"].as_str().unwrap_or(name),
        "kind": told["type"].as_str().or(told["kind"].as_str()),
    });
    Ok(super::feature(properties, json!({"type": geometry["type"], "coordinates": coordinates})))
}

fn list(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().filter(|list| !list.is_empty()).ok_or_else(|| "an empty polygon".to_owned())
}

fn polygon(rings: &Value) -> Result<(), String> {
    for ring in list(rings)? {
        let points = list(ring)?.iter().map(position).collect::<Result<Vec<_>, _>>()?;
        if points.len() < 4 || points.first() != points.last() {
            return Err("a ring has fewer than 4 points or is not closed".to_owned());
        }
    }
    Ok(())
}

fn position(point: &Value) -> Result<(f64, f64), String> {
    let (lon, lat) = (point[0].as_f64(), point[1].as_f64());
    let on_earth = |lon: f64, lat: f64| lon.abs() <= 180.0 && lat.abs() <= 90.0;
    match (lon, lat) {
        (Some(lon), Some(lat)) if on_earth(lon, lat) => Ok((lon, lat)),
        _ => Err(format!("{point} is not [longitude, latitude]")),
    }
}
