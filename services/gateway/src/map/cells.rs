//! Pure: the power diagram of the communes, with cells of about their areas.
//!
//! The power of a point towards a site is its squared distance less the site's weight. A cell is
//! where the power towards its site is the least of all, *and* not positive. The second condition
//! cuts each cell by the disc whose squared radius is the weight; since the cells of all sites
//! together are then exactly the union of the discs, no gap can open between them.

use super::geometry::{Beyond, Corner, Point, cut, ring_area, within_disc};
use super::outline;

/// A commune: where it is and how large it should be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site {
    pub(super) at: Point,
    pub(super) area_km2: f64,
}

/// Rounds in which the weights are fitted; each halves most of the error.
const ROUNDS: usize = 80;
/// How much of the missing area a round gives to the weight. One would swing.
const GAIN: f64 = 0.5;
/// What is added to every weight at a time, in square kilometres, until no hole is left between
/// the discs; and how often at most.
const CLOSING_KM2: f64 = 3.0;
const CLOSINGS: usize = 60;
/// How far an arc bulges beyond its chord, of a full arc: short arcs are flattened, so that the
/// outline looks like a border and not like a cloud; an arc of half a circle and more stays one.
const LEAST_BULGE: f64 = 0.35;
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
    let draw = |weights: &[f64]| -> Vec<Vec<Corner>> {
        (0..sites.len()).map(|of| cell(sites, weights, of)).collect()
    };
    let mut cells = draw(&weights);
    for _ in 0..CLOSINGS {
        if !outline::has_hole(&cells) {
            break;
        }
        weights.iter_mut().for_each(|weight| *weight += CLOSING_KM2);
        cells = draw(&weights);
    }
    cells
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

/// Adds the flattened arc from one point to another, against the clock, without its end.
fn arc(kept: &mut Vec<Corner>, from: Point, to: Point, centre: Point) {
    let angle = |p: Point| (p.y - centre.y).atan2(p.x - centre.x);
    let begin = angle(from);
    let sweep = (angle(to) - begin).rem_euclid(std::f64::consts::TAU);
    let radius = from.distance2(centre).sqrt();
    let bulge = (sweep / std::f64::consts::PI).clamp(LEAST_BULGE, 1.0);
    let steps = (sweep / ARC_STEP).ceil().max(1.0);
    kept.push(Corner { at: from, beyond: Beyond::Outside });
    for step in 1..steps as usize {
        let part = step as f64 / steps;
        let (sin, cos) = (begin + sweep * part).sin_cos();
        let on_arc = Point { x: centre.x + radius * cos, y: centre.y + radius * sin };
        let at = from.towards(to, part).towards(on_arc, bulge);
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
