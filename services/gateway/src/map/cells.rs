//! Pure: the power diagram of the communes, with cells of about their areas.
//!
//! The power of a point towards a site is its squared distance less the site's weight. A cell is
//! where the power towards its site is the least of all, *and* not positive. The second condition
//! cuts each cell by the disc whose squared radius is the weight; since the cells of all sites
//! together are then exactly the union of the discs, no gap can open between them.

use super::geometry::{Beyond, Corner, Point, cut, ring_area, within_disc};

/// A commune: where it is and how large it should be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site {
    pub(super) at: Point,
    pub(super) area_km2: f64,
}

/// Rounds in which the weights are fitted; each halves most of the error.
const ROUNDS: usize = 60;
/// How much of the missing area a round gives to the weight. One would swing.
const GAIN: f64 = 0.5;
/// How much larger than their cells the discs are at the end, in squared kilometres of radius: it
/// closes the small gaps that are left between discs, and smooths the outline.
const CLOSING_KM2: f64 = 14.0;
/// Longest step along an arc, in radians.
const ARC_STEP: f64 = 0.12;

/// The cells of these sites, in their order. A cell may be empty if sites coincide.
pub(super) fn diagram(sites: &[Site]) -> Vec<Vec<Corner>> {
    let even = |site: &Site| site.area_km2 / std::f64::consts::PI;
    let mut weights: Vec<f64> = sites.iter().map(even).collect();
    for _ in 0..ROUNDS {
        let sizes: Vec<f64> = (0..sites.len()).map(|of| size(&cell(sites, &weights, of))).collect();
        for ((weight, site), size) in weights.iter_mut().zip(sites).zip(sizes) {
            *weight += GAIN * (site.area_km2 - size) / std::f64::consts::PI;
        }
    }
    weights.iter_mut().for_each(|weight| *weight += CLOSING_KM2);
    (0..sites.len()).map(|of| cell(sites, &weights, of)).collect()
}

fn size(cell: &[Corner]) -> f64 {
    let ring: Vec<Point> = cell.iter().map(|corner| corner.at).collect();
    ring_area(&ring).abs()
}

/// One cell, against the clock.
fn cell(sites: &[Site], weights: &[f64], of: usize) -> Vec<Corner> {
    let (site, weight) = (sites[of].at, weights[of]);
    if weight <= 0.0 {
        return Vec::new();
    }
    let mut cell = square(site, weight.sqrt() * 1.5);
    for (other, (there, their_weight)) in sites.iter().zip(weights).enumerate() {
        // The disc of the other must touch ours to matter.
        let reach = weight.sqrt() + their_weight.max(0.0).sqrt();
        if other == of || site.distance2(there.at) > reach * reach {
            continue;
        }
        let there = there.at;
        let less = |p: Point| (p.distance2(there) - their_weight) - (p.distance2(site) - weight);
        cell = cut(&cell, less, Beyond::Cell(other));
        if cell.is_empty() {
            return cell;
        }
    }
    round(&cell, site, weight)
}

fn square(centre: Point, half: f64) -> Vec<Corner> {
    [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]
        .map(|(x, y)| Corner {
            at: Point { x: centre.x + x * half, y: centre.y + y * half },
            beyond: Beyond::Outside,
        })
        .to_vec()
}

/// The part of a convex cell within a disc. Edges keep what lies beyond them; arcs lie outside.
fn round(cell: &[Corner], centre: Point, radius2: f64) -> Vec<Corner> {
    let mut kept: Vec<Corner> = Vec::with_capacity(cell.len() * 2);
    // The end of the last edge that was kept, where an arc may have to begin.
    let mut open: Option<Point> = None;
    let mut first: Option<Point> = None;
    for (index, corner) in cell.iter().enumerate() {
        let next = cell[(index + 1) % cell.len()].at;
        let Some((enter, leave)) = within_disc(corner.at, next, centre, radius2) else { continue };
        let (begin, end) = (corner.at.towards(next, enter), corner.at.towards(next, leave));
        if let Some(from) = open.filter(|_| enter > 0.0) {
            arc(&mut kept, from, begin, centre);
        }
        first.get_or_insert(begin);
        kept.push(Corner { at: begin, beyond: corner.beyond });
        open = Some(end);
    }
    match (open, first) {
        (Some(from), Some(to)) if from.distance2(to) > 1e-12 => arc(&mut kept, from, to, centre),
        (None, _) => circle(&mut kept, centre, radius2),
        _ => {}
    }
    kept
}

/// Adds the arc from one point to another, against the clock, without its end.
fn arc(kept: &mut Vec<Corner>, from: Point, to: Point, centre: Point) {
    let angle = |p: Point| (p.y - centre.y).atan2(p.x - centre.x);
    let (begin, full) = (angle(from), std::f64::consts::TAU);
    let sweep = (angle(to) - begin).rem_euclid(full);
    let radius = from.distance2(centre).sqrt();
    let steps = (sweep / ARC_STEP).ceil().max(1.0) as usize;
    kept.push(Corner { at: from, beyond: Beyond::Outside });
    for step in 1..steps {
        let (sin, cos) = (begin + sweep * step as f64 / steps as f64).sin_cos();
        let at = Point { x: centre.x + radius * cos, y: centre.y + radius * sin };
        kept.push(Corner { at, beyond: Beyond::Outside });
    }
}

/// The whole circle, for a site that touches no other.
fn circle(kept: &mut Vec<Corner>, centre: Point, radius2: f64) {
    let start = Point { x: centre.x + radius2.sqrt(), y: centre.y };
    let opposite = Point { x: centre.x - radius2.sqrt(), y: centre.y };
    arc(kept, start, opposite, centre);
    arc(kept, opposite, start, centre);
}
