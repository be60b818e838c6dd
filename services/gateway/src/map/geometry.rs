//! Pure: points in a plane of kilometres, rings, clipping.

/// Kilometres in a degree of latitude.
const KM_PER_DEGREE: f64 = 110.57;
/// Kilometres in a degree of longitude at the equator.
const KM_PER_DEGREE_AT_EQUATOR: f64 = 111.32;
/// Digits of a degree that are given out: 4 are about 11 m, enough for a scheme.
const DEGREE_STEPS: f64 = 1e4;

/// A point, in kilometres east and north of the plane's origin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

impl Point {
    /// The square of the distance.
    pub(super) fn distance2(self, other: Self) -> f64 {
        (self.x - other.x).powi(2) + (self.y - other.y).powi(2)
    }

    /// The point `t` of the way to another.
    pub(super) fn towards(self, other: Self, t: f64) -> Self {
        Self { x: self.x + (other.x - self.x) * t, y: self.y + (other.y - self.y) * t }
    }
}

/// A flat picture of a small part of the earth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plane {
    lon: f64,
    lat: f64,
    km_per_lon: f64,
}

impl Plane {
    /// A plane whose origin is the middle of these longitudes and latitudes.
    pub(super) fn around(places: impl Iterator<Item = (f64, f64)>) -> Self {
        let (mut lon, mut lat, mut count) = (0.0, 0.0, 0.0);
        for (one_lon, one_lat) in places {
            (lon, lat, count) = (lon + one_lon, lat + one_lat, count + 1.0);
        }
        let count = f64::max(count, 1.0);
        let (lon, lat) = (lon / count, lat / count);
        Self { lon, lat, km_per_lon: KM_PER_DEGREE_AT_EQUATOR * lat.to_radians().cos() }
    }

    /// Degrees to kilometres.
    pub(super) fn to_plane(self, lon: f64, lat: f64) -> Point {
        Point { x: (lon - self.lon) * self.km_per_lon, y: (lat - self.lat) * KM_PER_DEGREE }
    }

    /// Kilometres to degrees, rounded; equal points stay equal.
    pub(super) fn to_degrees(self, point: Point) -> [f64; 2] {
        let lon = self.lon + point.x / self.km_per_lon;
        let lat = self.lat + point.y / KM_PER_DEGREE;
        [lon, lat].map(|degrees| (degrees * DEGREE_STEPS).round() / DEGREE_STEPS)
    }
}

/// The area of a ring; negative if it runs with the clock.
pub(super) fn ring_area(ring: &[Point]) -> f64 {
    let next = ring.iter().cycle().skip(1);
    ring.iter().zip(next).map(|(a, b)| a.x * b.y - b.x * a.y).sum::<f64>() / 2.0
}

/// What lies beyond the edge that begins at a corner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beyond {
    /// The cell of this number.
    Cell(usize),
    /// Nothing: the edge is on the outline.
    Outside,
}

/// A corner of a cell, and what lies beyond the edge from it to the next corner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Corner {
    pub(super) at: Point,
    pub(super) beyond: Beyond,
}

/// The part of a convex cell where `side` is not negative; `side` must be linear. The new edge has
/// `beyond` behind it.
pub(super) fn cut(cell: &[Corner], side: impl Fn(Point) -> f64, beyond: Beyond) -> Vec<Corner> {
    let mut kept = Vec::with_capacity(cell.len() + 1);
    for (index, corner) in cell.iter().enumerate() {
        let next = cell[(index + 1) % cell.len()].at;
        let (here, there) = (side(corner.at), side(next));
        let crossing = || corner.at.towards(next, here / (here - there));
        if here >= 0.0 {
            kept.push(*corner);
            if there < 0.0 {
                kept.push(Corner { at: crossing(), beyond });
            }
        } else if there >= 0.0 {
            kept.push(Corner { at: crossing(), beyond: corner.beyond });
        }
    }
    kept
}

/// Where the way from `a` to `b` enters and leaves a disc, as parts of the way within 0 to 1; none
/// if it stays outside.
pub(super) fn within_disc(a: Point, b: Point, centre: Point, radius2: f64) -> Option<(f64, f64)> {
    let (dx, dy) = (b.x - a.x, b.y - a.y);
    let (fx, fy) = (a.x - centre.x, a.y - centre.y);
    let (qa, qb, qc) = (dx * dx + dy * dy, fx * dx + fy * dy, fx * fx + fy * fy - radius2);
    let root2 = qb * qb - qa * qc;
    if qa == 0.0 || root2 <= 0.0 {
        return None;
    }
    let root = root2.sqrt();
    let (enter, leave) = (((-qb - root) / qa).max(0.0), ((-qb + root) / qa).min(1.0));
    (enter < leave).then_some((enter, leave))
}
