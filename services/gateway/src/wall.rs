//! The wall's tiles, from `wall.toml`.

use std::collections::BTreeSet;
use std::path::Path;

use sen_chassis::Problem;
use sen_chassis::config::line_of;
use sen_model::{DeviceId, Field, Metric, Severity, Text};
use serde::{Deserialize, Serialize};

/// The file in the config folder.
const FILE: &str = "wall.toml";

/// What stands on the wall.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wall {
    /// Its title.
    pub title: Text,
    /// Its tiles, in order.
    #[serde(rename(deserialize = "tile"), default)]
    pub tiles: Vec<Tile>,
}

/// One tile: a value of one device, or a statistic over all devices of a kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tile {
    /// Stable name.
    pub id: String,
    /// Under which of the five tabs it stands.
    pub field: Field,
    /// What stands on it.
    pub label: Text,
    /// The device, for a tile over one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// The kind, for a tile over many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What is measured.
    pub metric: Metric,
    /// How the values of many devices become one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistic: Option<Statistic>,
    /// The unit as people read it.
    pub unit: String,
    /// Digits after the decimal mark, at most 6.
    pub digits: u8,
    /// From which value on which severity; none = neutral.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<Level>,
}

/// How the values of many devices become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// Their mean.
    Mean,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// Their sum.
    Sum,
}

/// A value from which on a tile takes a severity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// The value.
    pub at: f64,
    /// The severity.
    pub severity: Severity,
}

/// Reads the wall of a config folder, or tells every mistake in it. Without the file the wall has
/// no tiles.
pub fn read(folder: &Path) -> Result<Wall, Vec<Problem>> {
    let path = folder.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Wall::default()),
        Err(error) => Err(vec![Problem::new(path.display().to_string(), error.to_string())]),
    }
}

/// Parses `wall.toml`, or tells every mistake in it.
pub fn parse(text: &str) -> Result<Wall, Vec<Problem>> {
    let wall: Wall = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        vec![Problem::new(format!("{FILE}:{line}"), error.message())]
    })?;
    let mut ids = BTreeSet::new();
    let mut problems = Vec::new();
    for tile in &wall.tiles {
        let twice = !ids.insert(tile.id.as_str());
        let mistakes = twice.then_some("this id is there twice").into_iter().chain(mistakes(tile));
        let key = format!("{FILE} tile `{}`", tile.id);
        problems.extend(mistakes.map(|mistake| Problem::new(key.clone(), mistake)));
    }
    if problems.is_empty() { Ok(wall) } else { Err(problems) }
}

fn mistakes(tile: &Tile) -> impl Iterator<Item = &'static str> {
    let over_one = tile.device.is_some() && tile.kind.is_none() && tile.statistic.is_none();
    let over_many = tile.device.is_none() && tile.kind.is_some() && tile.statistic.is_some();
    let rising = tile.levels.windows(2).all(|pair| pair[0].at < pair[1].at);
    let finite = tile.levels.iter().all(|level| level.at.is_finite());
    [
        (!over_one && !over_many, "give either `device`, or `kind` and `statistic`"),
        (tile.id.is_empty(), "give it an id"),
        (tile.digits > 6, "`digits` is at most 6"),
        (!rising || !finite, "`levels` must rise from one to the next"),
    ]
    .into_iter()
    .filter_map(|(wrong, mistake)| wrong.then_some(mistake))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_wall_is_sound_and_shown_as_promised() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config");
        let wall = read(Path::new(folder)).unwrap();
        assert!(wall.tiles.len() >= 5);
        let shown = serde_json::to_value(&wall).unwrap();
        let tile = &shown["tiles"][0];
        for key in ["id", "field", "label", "metric", "unit", "digits"] {
            assert!(tile.get(key).is_some(), "{key}: {tile}");
        }
        assert!(tile.get("statistic").is_none_or(|statistic| !statistic.is_null()));
    }

    #[test]
    fn every_mistake_of_every_tile_is_told() {
        let text = r#"
            title = { vi = "a", en = "b" }
            [[tile]]
            id = "x"
            field = "environment"
            label = { vi = "a", en = "b" }
            metric = "m"
            unit = ""
            digits = 9
            levels = [{ at = 2, severity = 1 }, { at = 1, severity = 2 }]
            [[tile]]
            id = "x"
            field = "security"
            label = { vi = "a", en = "b" }
            device = "abc"
            kind = "river"
            metric = "m"
            unit = ""
            digits = 0
        "#;
        let problems = parse(text).unwrap_err();
        assert_eq!(problems.len(), 5, "{problems:?}");
        let line = parse("title = { vi = 'a', en = 'b' }\nx = 1\n").unwrap_err();
        assert_eq!(line[0].key, "wall.toml:2");
    }
}
