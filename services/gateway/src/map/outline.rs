//! Pure: the outline of the province: the edges that belong to one cell only, chained into rings.

use std::collections::BTreeMap;

use super::geometry::{Beyond, Corner, Point, ring_area};

/// Points closer than this are one, in parts of a kilometre: 1 m.
const STEPS_PER_KM: f64 = 1e3;
/// A ring smaller than this is a fault of rounding, in square kilometres.
const LEAST_KM2: f64 = 1.0;

/// The outer rings, the largest first.
pub(super) fn rings(cells: &[Vec<Corner>]) -> Vec<Vec<Point>> {
    let mut rings = chains(cells);
    rings.retain(|ring| ring_area(ring) > LEAST_KM2);
    rings.sort_by(|a, b| ring_area(b).total_cmp(&ring_area(a)));
    rings
}

/// Whether there is ground between the cells that belongs to none: its edges run with the clock.
pub(super) fn has_hole(cells: &[Vec<Corner>]) -> bool {
    chains(cells).iter().any(|ring| ring_area(ring) < 0.0)
}

fn chains(cells: &[Vec<Corner>]) -> Vec<Vec<Point>> {
    let key = |p: Point| ((p.x * STEPS_PER_KM).round() as i64, (p.y * STEPS_PER_KM).round() as i64);
    let mut edges: BTreeMap<(i64, i64), Vec<(Point, Point)>> = BTreeMap::new();
    for cell in cells {
        for (index, corner) in cell.iter().enumerate() {
            let next = cell[(index + 1) % cell.len()].at;
            if corner.beyond == Beyond::Outside && key(corner.at) != key(next) {
                edges.entry(key(corner.at)).or_default().push((corner.at, next));
            }
        }
    }
    let mut rings = Vec::new();
    while let Some(start) = edges.keys().next().copied() {
        let (mut ring, mut here) = (Vec::new(), start);
        while let Some((from, to)) = take(&mut edges, here) {
            ring.push(from);
            here = key(to);
        }
        if !ring.is_empty() {
            rings.push(ring);
        }
    }
    rings
}

/// Takes an edge that begins at `here`, or at a neighbour a rounding away.
fn take(
    edges: &mut BTreeMap<(i64, i64), Vec<(Point, Point)>>,
    here: (i64, i64),
) -> Option<(Point, Point)> {
    let near = (-1..=1).flat_map(|dx| (-1..=1).map(move |dy| (dx, dy)));
    let mut keys: Vec<(i64, i64)> = near.map(|(dx, dy)| (here.0 + dx, here.1 + dy)).collect();
    keys.sort_by_key(|key| (key.0 - here.0).abs() + (key.1 - here.1).abs());
    let found = keys.into_iter().find(|key| edges.contains_key(key))?;
    let at = edges.get_mut(&found)?;
    let edge = at.pop();
    if at.is_empty() {
        edges.remove(&found);
    }
    edge
}
