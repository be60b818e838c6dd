//! Pure: devices near one another for which one rule holds.
//!
//! A device is *crowded* while the rule holds for it and for enough devices within the distance,
//! itself among them, whose episodes began within the time. Crowded devices that are near one
//! another are one *crowd*, and one alert, about the device that was crowded first (of several at
//! once, the first by id). It lasts while any device of the crowd is crowded; two crowds that grow
//! together stay two.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sen_model::{DeviceId, Registry};

use super::parts::Part;
use super::stretch::{Moment, Stretch};

/// Mean radius of the earth in metres (IUGG).
const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// Which devices lie within a distance of which.
#[derive(Debug, Default)]
pub(super) struct Nearby(HashMap<DeviceId, Vec<DeviceId>>);

impl Nearby {
    /// Of every device of the registry those within `distance_m` of it, itself among them.
    pub(super) fn new(registry: &Registry, distance_m: f64) -> Self {
        let mut devices: Vec<_> = registry.devices().collect();
        devices.sort_by(|a, b| a.lat.total_cmp(&b.lat));
        let mut near: HashMap<DeviceId, Vec<DeviceId>> = HashMap::new();
        for (place, one) in devices.iter().enumerate() {
            near.entry(one.id.clone()).or_default().push(one.id.clone());
            for other in &devices[place + 1..] {
                if (other.lat - one.lat).to_radians() * EARTH_RADIUS_M > distance_m {
                    break;
                }
                if distance_between((one.lat, one.lon), (other.lat, other.lon)) <= distance_m {
                    near.entry(one.id.clone()).or_default().push(other.id.clone());
                    near.entry(other.id.clone()).or_default().push(one.id.clone());
                }
            }
        }
        Self(near)
    }

    fn of(&self, device: &DeviceId) -> &[DeviceId] {
        self.0.get(device).map_or(&[], Vec::as_slice)
    }
}

/// The length of the great circle between two places in degrees, by the haversine formula.
fn distance_between(one: (f64, f64), other: (f64, f64)) -> f64 {
    let [lat, lon] = [other.0 - one.0, other.1 - one.1].map(|difference| {
        let half = (difference.to_radians() / 2.0).sin();
        half * half
    });
    let a = lat + one.0.to_radians().cos() * other.0.to_radians().cos() * lon;
    2.0 * EARTH_RADIUS_M * a.sqrt().min(1.0).asin()
}

/// The crowds there were and are.
pub(super) fn crowds(
    parts: &[Part],
    nearby: &Nearby,
    least: usize,
    within_ms: i64,
) -> Vec<Stretch> {
    let mut field = Field {
        parts,
        nearby,
        least,
        within_ms,
        holding: BTreeMap::new(),
        crowded: BTreeMap::new(),
        crowds: Vec::new(),
    };
    for moment in Moment::all(parts) {
        field.pass(&moment);
    }
    field.crowds.into_iter().map(|crowd| crowd.stretch).collect()
}

struct Crowd {
    stretch: Stretch,
    /// Crowded devices in it.
    size: usize,
}

/// What holds where, from moment to moment.
struct Field<'a> {
    parts: &'a [Part],
    nearby: &'a Nearby,
    least: usize,
    within_ms: i64,
    /// The parts that hold, by device.
    holding: BTreeMap<&'a DeviceId, Vec<usize>>,
    /// The crowded devices, and the crowd each is in.
    crowded: BTreeMap<&'a DeviceId, usize>,
    crowds: Vec<Crowd>,
}

impl<'a> Field<'a> {
    fn pass(&mut self, moment: &Moment) {
        let parts = self.parts;
        for n in &moment.begin {
            self.holding.entry(&parts[*n].device).or_default().push(*n);
        }
        for n in &moment.end {
            if let Some(holding) = self.holding.get_mut(&parts[*n].device) {
                holding.retain(|other| other != n);
            }
        }
        let touched = moment.begin.iter().chain(&moment.end).map(|n| &parts[*n].device);
        let nearby = self.nearby;
        let around: BTreeSet<&DeviceId> = touched.flat_map(|id| nearby.of(id)).collect();
        let (now, left): (Vec<&DeviceId>, Vec<&DeviceId>) =
            around.into_iter().partition(|id| self.members(id).is_some());
        let new: BTreeSet<&DeviceId> =
            now.into_iter().filter(|id| !self.crowded.contains_key(id)).collect();
        self.gather(new, moment);
        self.join(moment);
        for id in left {
            let Some(crowd) = self.crowded.remove(id) else { continue };
            let crowd = &mut self.crowds[crowd];
            crowd.size -= 1;
            if crowd.size == 0 {
                crowd.stretch.end(moment.at, moment.ceased(parts));
            }
        }
    }

    /// When the episodes of a device, of which several may hold, began.
    fn began(&self, id: &DeviceId) -> Option<i64> {
        self.holding.get(id)?.iter().map(|n| self.parts[*n].began).min()
    }

    /// The devices by which one is crowded, with when they began, in order of that.
    fn members(&self, id: &DeviceId) -> Option<Vec<(i64, &'a DeviceId)>> {
        let own = self.began(id)?;
        let beside = self.nearby.of(id).iter().filter_map(|id| Some((self.began(id)?, id)));
        let mut beside: Vec<(i64, &DeviceId)> = beside.collect();
        beside.sort_unstable();
        let window = |first: i64| {
            let last = first.saturating_add(self.within_ms);
            let inside = beside.iter().filter(move |(began, _)| (first..=last).contains(began));
            (first..=last).contains(&own).then(|| inside.copied().collect::<Vec<_>>())
        };
        let windows = beside.iter().filter_map(|(first, _)| window(*first));
        windows.into_iter().find(|inside| inside.len() >= self.least)
    }

    /// Puts devices that are newly crowded into crowds: of those near them, the oldest, or a new
    /// one.
    fn gather(&mut self, mut new: BTreeSet<&'a DeviceId>, moment: &Moment) {
        while let Some(first) = new.pop_first() {
            let (mut together, mut next) = (vec![first], 0);
            let mut oldest: Option<usize> = None;
            while let Some(id) = together.get(next).copied() {
                next += 1;
                for beside in self.nearby.of(id) {
                    if let Some(crowd) = self.crowded.get(beside) {
                        oldest = Some(oldest.map_or(*crowd, |oldest| oldest.min(*crowd)));
                    }
                    together.extend(new.take(beside));
                }
            }
            let crowd = oldest.unwrap_or_else(|| self.found(first, moment));
            self.crowds[crowd].size += together.len();
            self.crowded.extend(together.into_iter().map(|id| (id, crowd)));
        }
    }

    fn found(&mut self, first: &DeviceId, moment: &Moment) -> usize {
        let members = self.members(first).unwrap_or_default();
        let enough = members.get(self.least.saturating_sub(1)).map_or(moment.at, |(at, _)| *at);
        let own = self.began(first).unwrap_or(enough);
        let earlier = self.crowds.iter().filter(|crowd| {
            crowd.stretch.device.as_ref() == Some(first) && crowd.stretch.until.is_some()
        });
        let after = earlier.filter_map(|crowd| crowd.stretch.until).map(|(until, _)| until).max();
        let mut stretch = Stretch {
            device: Some(first.clone()),
            from: moment.at,
            began: enough.max(own).max(after.unwrap_or(i64::MIN)),
            until: None,
            members: Vec::new(),
            late: moment.is_late(self.parts),
        };
        let mut holding: Vec<usize> =
            members.iter().flat_map(|(_, id)| &self.holding[*id]).copied().collect();
        holding.sort_unstable();
        holding.into_iter().for_each(|n| stretch.take_in(&self.parts[n].id));
        self.crowds.push(Crowd { stretch, size: 0 });
        self.crowds.len() - 1
    }

    /// What begins beside a crowd belongs to it.
    fn join(&mut self, moment: &Moment) {
        for n in &moment.begin {
            let part = &self.parts[*n];
            for beside in self.nearby.of(&part.device) {
                let Some(crowd) = self.crowded.get(beside) else { continue };
                self.crowds[*crowd].stretch.take_in(&part.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_great_circle() {
        // Mỹ Tho to Cao Lãnh, and a degree of longitude on the equator.
        for (one, other, metres) in [
            ((10.36, 106.36), (10.46, 105.63), 80_607.0),
            ((0.0, 0.0), (0.0, 1.0), 111_195.0),
            ((10.0, 106.0), (10.0, 106.0), 0.0),
        ] {
            let found = distance_between(one, other);
            assert!((found - metres).abs() < 100.0, "{found} for {metres}");
        }
    }
}
