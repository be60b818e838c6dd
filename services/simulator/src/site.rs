//! Pure: where a device stands, as far as physics cares: on the river or inland, near whom, how
//! large. Worked out once from the registry, so that a new device needs no new code.

use sen_model::Device;

use crate::noise::{mix, seed_for, unit};

/// The Tiền river and the Cửa Tiểu branch from the border to the sea: latitude, longitude and
/// kilometres from the mouth. The distances of the salinity points are those of the provincial
/// bulletins (Xuân Hòa 42, Lạc Hồng 46, Xoài Hột 51, Đồng Tâm 52, Phú Phong 64); the others follow
/// the river's course on a map and are approximate.
const RIVER: [(f64, f64, f64); 15] = [
    (10.8006, 105.2480, 212.0), // Tân Châu
    (10.8030, 105.3320, 201.0), // Hồng Ngự
    (10.6300, 105.4500, 177.0),
    (10.4170, 105.6450, 145.0), // Cao Lãnh
    (10.3050, 105.7600, 124.0), // Sa Đéc
    (10.2760, 105.9000, 107.0), // Mỹ Thuận
    (10.2900, 106.0500, 88.0),
    (10.3300, 106.2100, 64.0), // Phú Phong
    (10.3370, 106.2900, 52.0), // Đồng Tâm
    (10.3440, 106.3220, 51.0), // Xoài Hột
    (10.3515, 106.3655, 46.0), // Lạc Hồng
    (10.3330, 106.4470, 42.0), // Xuân Hòa
    (10.2900, 106.5900, 24.0), // Hòa Bình
    (10.2740, 106.7370, 5.0),  // Vàm Kênh
    (10.2700, 106.8000, 0.0),  // the sea
];

/// Kilometres in a degree of latitude, and of longitude at 10.4 degrees north.
const LATITUDE_KM: f64 = 110.6;
const LONGITUDE_KM: f64 = 109.5;

/// Edge of the squares that share their showers, in degrees: about 16 km.
const SHOWER_DEGREES: f64 = 0.15;

/// A device's place in the physics.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Site {
    /// Chance of this device alone.
    pub seed: u64,
    /// Chance shared by the devices under the same sky.
    pub sky_seed: u64,
    /// Chance shared by the whole province.
    pub province_seed: u64,
    /// Kilometres from the mouth, along the river, of the nearest point of the river.
    pub river_km: f64,
    /// Kilometres from the river.
    pub inland_km: f64,
    /// How large or busy the place is: 0.6 to 1.4.
    pub size: f64,
}

impl Site {
    /// The site of `device` in the province of this seed.
    pub(crate) fn of(device: &Device, seed: u64) -> Self {
        let own = seed_for(seed, device.id.as_str());
        let (river_km, inland_km) = along_the_river(device.lat, device.lon);
        let square = |degrees: f64| (degrees / SHOWER_DEGREES).floor() as i64 as u64;
        let sky_seed = mix(seed ^ mix(square(device.lat) << 32 ^ square(device.lon)));
        let size = 0.6 + 0.8 * unit(own, -1);
        Self { seed: own, sky_seed, province_seed: mix(seed), river_km, inland_km, size }
    }
}

/// The nearest point of the river: its kilometres from the mouth, and how far away it is.
fn along_the_river(lat: f64, lon: f64) -> (f64, f64) {
    let flat = |lat: f64, lon: f64| (lat * LATITUDE_KM, lon * LONGITUDE_KM);
    let (y, x) = flat(lat, lon);
    let reaches = RIVER.windows(2).map(|ends| {
        let [(from_lat, from_lon, from_km), (to_lat, to_lon, to_km)] = [ends[0], ends[1]];
        let ((y0, x0), (y1, x1)) = (flat(from_lat, from_lon), flat(to_lat, to_lon));
        let (dy, dx) = (y1 - y0, x1 - x0);
        let part = (((y - y0) * dy + (x - x0) * dx) / (dy * dy + dx * dx)).clamp(0.0, 1.0);
        let away = (y - y0 - part * dy).hypot(x - x0 - part * dx);
        (from_km + part * (to_km - from_km), away)
    });
    reaches.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0.0, 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_distance_along_the_river() {
        let cases = [
            ("Cao Lãnh", 10.417, 105.645, 145.0, 0.0),
            ("Mỹ Tho", 10.348, 106.365, 46.0, 0.4),
            ("Nguyễn Tấn Thành", 10.343, 106.272, 54.7, 1.0),
            ("Trường Xuân, inland", 10.635, 105.78, 150.0, 28.0),
            ("the sea", 10.26, 106.9, 0.0, 11.0),
        ];
        for (name, lat, lon, km, away) in cases {
            let found = along_the_river(lat, lon);
            assert!(
                (found.0 - km).abs() < 8.0 && (found.1 - away).abs() < 3.0,
                "{name}: {found:?}"
            );
        }
    }
}
