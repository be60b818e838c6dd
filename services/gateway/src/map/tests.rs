//! Tests of the scheme: areas, no gaps, no overlaps, one outline; and of the official file.

use super::geometry::Corner;
use super::*;
use sen_model::Text;

fn places() -> Vec<Place> {
    let read = |name: &str| {
        let path = format!("{}/../../config/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).unwrap()
    };
    let (devices, places) = (read("devices.toml"), read("places.toml"));
    sen_model::registry_file::parse(&devices, &places).unwrap().places().to_vec()
}

fn cells(places: &[Place]) -> (Vec<Site>, Vec<Vec<Corner>>) {
    let communes: Vec<&Place> = places.iter().filter(|place| place.kind.is_area()).collect();
    let plane = Plane::around(communes.iter().map(|place| (place.lon, place.lat)));
    let sites = sites(&communes, &plane);
    let cells = cells::diagram(&sites);
    (sites, cells)
}

fn ring(cell: &[Corner]) -> Vec<Point> {
    cell.iter().map(|corner| corner.at).collect()
}

fn holds(ring: &[Point], p: Point) -> bool {
    let next = ring.iter().cycle().skip(1);
    let crossed = ring.iter().zip(next).filter(|(a, b)| {
        (a.y > p.y) != (b.y > p.y) && p.x < (b.x - a.x) * (p.y - a.y) / (b.y - a.y) + a.x
    });
    crossed.count() % 2 == 1
}

#[test]
fn every_commune_has_a_cell_of_about_its_area() {
    let places = places();
    let (sites, cells) = cells(&places);
    assert_eq!(cells.len(), 102);
    let mut off = Vec::new();
    for (site, cell) in sites.iter().zip(&cells) {
        let area = ring_area(&ring(cell));
        assert!(area > 0.2 * site.area_km2, "a sliver: {area} for {}", site.area_km2);
        off.push((area / site.area_km2 - 1.0).abs());
    }
    off.sort_by(f64::total_cmp);
    assert!(off[51] < 0.35, "half of the cells are off by more than {}", off[51]);
}

#[test]
fn there_is_one_outline_and_every_point_in_it_is_in_exactly_one_cell() {
    let (_, cells) = cells(&places());
    let outlines = outline::rings(&cells);
    assert_eq!(outlines.len(), 1, "an island or a hole");
    let rings: Vec<Vec<Point>> = cells.iter().map(|cell| ring(cell)).collect();
    let whole: f64 = rings.iter().map(|ring| ring_area(ring)).sum();
    let outer = ring_area(&outlines[0]);
    assert!((whole / outer - 1.0).abs() < 1e-3, "cells {whole}, outline {outer}");
    let mut inside = 0;
    for x in -160..160 {
        for y in -80..80 {
            // Off the grid of round numbers, so that no point lies on an edge.
            let p = Point { x: f64::from(x) + 0.317, y: f64::from(y) + 0.713 };
            let in_cells = rings.iter().filter(|ring| holds(ring, p)).count();
            assert_eq!(in_cells, usize::from(holds(&outlines[0], p)), "{p:?}");
            inside += in_cells;
        }
    }
    assert!(inside > 4_000, "{inside}");
}

#[test]
fn the_scheme_is_the_same_every_time_and_valid() {
    let places = places();
    let map = schematic(&places);
    assert_eq!(map, schematic(&places));
    let mut count = std::collections::BTreeMap::new();
    for feature in map["features"].as_array().unwrap() {
        *count.entry(feature["properties"]["layer"].as_str().unwrap()).or_insert(0) += 1;
    }
    assert_eq!(count["area"], 102);
    assert_eq!((count["outline"], count["river"]), (1, 1));
    let polygons: Vec<Value> = map["features"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|feature| feature["properties"]["layer"] == "area")
        .cloned()
        .collect();
    let as_official = json!({"type": "FeatureCollection", "features": polygons});
    official::parse(&as_official.to_string()).unwrap();
    let river = map["features"].as_array().unwrap().last().unwrap();
    let line = river["geometry"]["coordinates"].as_array().unwrap();
    assert!(line.len() > 50 && line.is_sorted_by(|a, b| a[0].as_f64() <= b[0].as_f64()));
}

#[test]
fn few_places_and_coinciding_places_are_no_trouble() {
    assert_eq!(schematic(&[])["features"].as_array().unwrap().len(), 0);
    let place = |code: &str, lon: f64| Place {
        id: format!("ward-{code}"),
        name: Text::new("x", "x"),
        kind: sen_model::PlaceKind::Ward,
        lat: 10.0,
        lon,
        area_km2: 0.0,
        area: Some(sen_model::AreaCode::new(code).unwrap()),
    };
    let alone = schematic(&[place("00001", 105.0)]);
    assert_eq!(alone["features"].as_array().unwrap().len(), 2);
    let twins = schematic(&[place("00001", 105.0), place("00002", 105.0)]);
    assert!(twins["features"].as_array().unwrap().len() >= 2);
}

#[test]
fn broken_boundaries_are_refused_with_the_reason() {
    let feature = |code: &str, ring: &str| {
        format!(
            r#"{{"type":"FeatureCollection","features":[{{"type":"Feature",
            "properties":{{"code":"{code}","name":"x"}},
            "geometry":{{"type":"Polygon","coordinates":[{ring}]}}}}]}}"#
        )
    };
    let sound = "[[105,10],[106,10],[106,11],[105,10]]";
    assert!(official::parse(&feature("28261", sound)).is_ok());
    for (text, reason) in [
        ("{".to_owned(), "not JSON"),
        ("{}".to_owned(), "FeatureCollection"),
        (feature("7", sound), "official code"),
        (feature("82", sound), "no commune"),
        (feature("28261", "[[105,10],[106,10],[105,10]]"), "not closed"),
        (feature("28261", "[[105,10],[106,10],[106,11],[105,11]]"), "not closed"),
        (feature("28261", "[[1050,10],[106,10],[106,11],[1050,10]]"), "longitude"),
        (feature("28261", ""), "empty"),
    ] {
        let mistake = official::parse(&text).unwrap_err();
        assert!(mistake.contains(reason), "{mistake} does not say {reason}");
    }
}

#[test]
fn the_river_is_on_the_official_map_too() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("map")).unwrap();
    let text = r#"{"type":"FeatureCollection","features":[{"type":"Feature",
        "properties":{"code":"28261","name":"x"},
        "geometry":{"type":"Polygon","coordinates":[[[105,10],[106,10],[106,11],[105,10]]]}}]}"#;
    std::fs::write(folder.path().join("map/areas.geojson"), text).unwrap();
    let layers = |map: Value| -> Vec<Value> {
        let features = map["features"].as_array().unwrap().iter();
        features.map(|feature| feature["properties"]["layer"].clone()).collect()
    };
    let map = official(folder.path(), &places()).unwrap().unwrap();
    assert_eq!(map["source"], "official");
    assert_eq!(layers(map), ["area", "river"]);
    assert_eq!(layers(official(folder.path(), &[]).unwrap().unwrap()), ["area"]);
}

#[test]
fn a_folder_without_boundaries_has_none() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(official::read(folder.path()).unwrap(), None);
    std::fs::create_dir(folder.path().join("map")).unwrap();
    std::fs::write(folder.path().join("map/areas.geojson"), "broken").unwrap();
    assert!(official::read(folder.path()).unwrap_err().to_string().contains("not JSON"));
}
