//! Pure: the outlines on a map, by the code of what they surround.

use std::collections::HashMap;

use serde_json::Value;

/// A closed line: longitude and latitude of each corner.
pub type Ring = Vec<[f64; 2]>;

/// The outer rings of the communes, by code, and of the province.
#[derive(Debug, Default)]
pub struct Outlines {
    areas: HashMap<String, Vec<Ring>>,
    province: Vec<Ring>,
}

impl Outlines {
    /// Those on a map as it is given out; what it cannot be read for is left out.
    pub fn of(map: &[u8]) -> Self {
        let map: Value = serde_json::from_slice(map).unwrap_or_default();
        let mut outlines = Self::default();
        for feature in map["features"].as_array().into_iter().flatten() {
            let rings = rings(&feature["geometry"]);
            match feature["properties"]["layer"].as_str() {
                Some("outline") => outlines.province.extend(rings),
                Some("area") => {
                    let code = feature["properties"]["code"].as_str().unwrap_or_default();
                    outlines.areas.entry(code.to_owned()).or_default().extend(rings);
                }
                _ => {}
            }
        }
        outlines
    }

    /// The outline of a commune; empty if the map does not have it.
    pub fn area(&self, code: &str) -> &[Ring] {
        self.areas.get(code).map_or(&[], Vec::as_slice)
    }

    /// The outline of the province.
    pub fn province(&self) -> &[Ring] {
        &self.province
    }
}

/// The outer ring of each polygon.
fn rings(geometry: &Value) -> Vec<Ring> {
    let coordinates = &geometry["coordinates"];
    let outer = |polygon: &Value| ring(&polygon[0]);
    match geometry["type"].as_str() {
        Some("Polygon") => vec![outer(coordinates)],
        Some("MultiPolygon") => coordinates.as_array().into_iter().flatten().map(outer).collect(),
        _ => Vec::new(),
    }
}

fn ring(corners: &Value) -> Ring {
    let corner = |corner: &Value| Some([corner[0].as_f64()?, corner[1].as_f64()?]);
    corners.as_array().into_iter().flatten().filter_map(corner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outer_rings_are_found_by_code() {
        let square = "[[0,0],[1,0],[1,1],[0,0]]";
        let feature = |properties: &str, kind: &str, coordinates: &str| {
            format!(
                r#"{{"properties":{properties},"geometry":{{"type":"{kind}","coordinates":{coordinates}}}}}"#
            )
        };
        let map = format!(
            r#"{{"features":[{},{},{}]}}"#,
            feature(
                r#"{"layer":"area","code":"28261"}"#,
                "Polygon",
                &format!("[{square},{square}]")
            ),
            feature(
                r#"{"layer":"area","code":"28262"}"#,
                "MultiPolygon",
                &format!("[[{square}],[{square}]]")
            ),
            feature(r#"{"layer":"outline"}"#, "Polygon", &format!("[{square}]")),
        );
        let outlines = Outlines::of(map.as_bytes());
        assert_eq!((outlines.area("28261").len(), outlines.area("28262").len()), (1, 2));
        assert_eq!(outlines.area("28261")[0][1], [1.0, 0.0]);
        assert_eq!((outlines.province().len(), outlines.area("x").len()), (1, 0));
        assert!(Outlines::of(b"not a map").province().is_empty());
    }
}
