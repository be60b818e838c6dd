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

/// Where devices are, and within what distance of one another they are near. Which are near which
/// is worked out of those that have parts: the pairs of a whole registry would be too many to keep.
#[derive(Debug, Default)]
pub(super) struct Nearby {
    /// On a sphere of radius 1.
    places: HashMap<DeviceId, [f64; 3]>,
    /// The straight line through that sphere, squared, that spans the distance.
    chord: f64,
}

impl Nearby {
    /// The devices of a registry, near one another within `distance_m`.
    pub(super) fn new(registry: &Registry, distance_m: f64) -> Self {
        let place = |(lat, lon): (f64, f64)| {
            let (lat, lon) = (lat.to_radians(), lon.to_radians());
            [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()]
        };
        let devices = registry.devices();
        let places = devices.map(|it| (it.id.clone(), place((it.lat, it.lon)))).collect();
        let half = (distance_m / EARTH_RADIUS_M / 2.0).min(std::f64::consts::FRAC_PI_2).sin();
        Self { places, chord: 4.0 * half * half }
    }

    fn are_near(&self, one: [f64; 3], other: [f64; 3]) -> bool {
        let square = |n: usize| (one[n] - other[n]) * (one[n] - other[n]);
        square(0) + square(1) + square(2) <= self.chord
    }

    /// Of each of these devices those near it, itself among them; none of one that is unknown.
    fn among(&self, devices: &[&DeviceId]) -> Vec<Vec<usize>> {
        let places: Vec<Option<[f64; 3]>> =
            devices.iter().map(|id| self.places.get(*id).copied()).collect();
        let near = |one: &Option<[f64; 3]>| {
            let Some(one) = *one else { return Vec::new() };
            let others = places.iter().enumerate();
            let near = others.filter(|(_, other)| other.is_some_and(|it| self.are_near(one, it)));
            near.map(|(number, _)| number).collect()
        };
        places.iter().map(near).collect()
    }
}

/// The crowds there were and are. With n parts this is of the order of n³ steps where all of them
/// are near one another; what bounds it is how many parts are kept.
pub(super) fn crowds(
    parts: &[Part],
    nearby: &Nearby,
    least: usize,
    within_ms: i64,
) -> Vec<Stretch> {
    let mut devices: Vec<&DeviceId> = parts.iter().map(|part| &part.device).collect();
    devices.sort_unstable();
    devices.dedup();
    let number = |part: &Part| devices.binary_search(&&part.device).unwrap_or_default();
    let mut field = Field {
        parts,
        devices: &devices,
        device_of: parts.iter().map(number).collect(),
        near: nearby.among(&devices),
        least,
        within_ms,
        holding: vec![Vec::new(); devices.len()],
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

/// What holds where, from moment to moment. Devices are numbered in the order of their ids.
struct Field<'a> {
    parts: &'a [Part],
    devices: &'a [&'a DeviceId],
    /// The device of each part.
    device_of: Vec<usize>,
    /// The devices near each.
    near: Vec<Vec<usize>>,
    least: usize,
    within_ms: i64,
    /// The parts that hold, by device.
    holding: Vec<Vec<usize>>,
    /// The crowded devices, and the crowd each is in.
    crowded: BTreeMap<usize, usize>,
    crowds: Vec<Crowd>,
}

impl Field<'_> {
    fn pass(&mut self, moment: &Moment) {
        for n in &moment.begin {
            self.holding[self.device_of[*n]].push(*n);
        }
        for n in &moment.end {
            self.holding[self.device_of[*n]].retain(|other| other != n);
        }
        let touched = moment.begin.iter().chain(&moment.end).map(|n| self.device_of[*n]);
        let around: BTreeSet<usize> =
            touched.flat_map(|device| self.near[device].iter().copied()).collect();
        // Nothing ended or began earlier: what is crowded stays so.
        let is_only_more = moment.end.is_empty()
            && moment.begin.iter().all(|n| self.holding[self.device_of[*n]].len() == 1);
        let (now, left): (Vec<usize>, Vec<usize>) = around.into_iter().partition(|device| {
            is_only_more && self.crowded.contains_key(device) || self.members(*device).is_some()
        });
        let new: BTreeSet<usize> =
            now.into_iter().filter(|device| !self.crowded.contains_key(device)).collect();
        self.gather(new, moment);
        self.join(moment);
        for device in left {
            let Some(crowd) = self.crowded.remove(&device) else { continue };
            let crowd = &mut self.crowds[crowd];
            crowd.size -= 1;
            if crowd.size == 0 {
                crowd.stretch.end(moment.at, moment.ceased(self.parts));
            }
        }
    }

    /// When the episodes of a device, of which several may hold, began.
    fn began(&self, device: usize) -> Option<i64> {
        self.holding[device].iter().map(|n| self.parts[*n].began).min()
    }

    /// The devices by which one is crowded, with when they began, in order of that.
    fn members(&self, device: usize) -> Option<Vec<(i64, usize)>> {
        let own = self.began(device)?;
        let reach = |began: &i64| began.abs_diff(own) <= self.within_ms.unsigned_abs();
        let beside = self.near[device].iter().copied();
        let beside = beside.filter_map(|it| Some((self.began(it).filter(reach)?, it)));
        let mut beside: Vec<(i64, usize)> = beside.collect();
        if beside.len() < self.least {
            return None;
        }
        beside.sort_unstable();
        let mut until = 0;
        for (from, (first, _)) in beside.iter().enumerate().take_while(|(_, it)| it.0 <= own) {
            let last = first.saturating_add(self.within_ms);
            while beside.get(until).is_some_and(|(began, _)| *began <= last) {
                until += 1;
            }
            // Of several that began at once the first stands for all.
            let is_again = from > 0 && beside[from - 1].0 == *first;
            if !is_again && until - from >= self.least {
                return Some(beside[from..until].to_vec());
            }
        }
        None
    }

    /// Puts devices that are newly crowded into crowds: of those near them, the oldest, or a new
    /// one.
    fn gather(&mut self, mut new: BTreeSet<usize>, moment: &Moment) {
        while let Some(first) = new.pop_first() {
            let (mut together, mut next) = (vec![first], 0);
            let mut oldest: Option<usize> = None;
            while let Some(device) = together.get(next).copied() {
                next += 1;
                for beside in &self.near[device] {
                    if let Some(crowd) = self.crowded.get(beside) {
                        oldest = Some(oldest.map_or(*crowd, |oldest| oldest.min(*crowd)));
                    }
                    together.extend(new.take(beside));
                }
            }
            let crowd = oldest.unwrap_or_else(|| self.found(first, moment));
            self.crowds[crowd].size += together.len();
            self.crowded.extend(together.into_iter().map(|device| (device, crowd)));
        }
    }

    fn found(&mut self, first: usize, moment: &Moment) -> usize {
        let members = self.members(first).unwrap_or_default();
        let enough = members.get(self.least.saturating_sub(1)).map_or(moment.at, |(at, _)| *at);
        let own = self.began(first).unwrap_or(enough);
        let device = self.devices[first];
        let earlier = self.crowds.iter().filter(|crowd| {
            crowd.stretch.device.as_ref() == Some(device) && crowd.stretch.until.is_some()
        });
        let after = earlier.filter_map(|crowd| crowd.stretch.until).map(|(until, _)| until).max();
        let mut stretch = Stretch {
            device: Some(device.clone()),
            from: moment.at,
            began: enough.max(own).max(after.unwrap_or(i64::MIN)),
            until: None,
            members: Vec::new(),
            late: moment.is_late(self.parts),
        };
        let mut holding: Vec<usize> =
            members.iter().flat_map(|(_, device)| &self.holding[*device]).copied().collect();
        holding.sort_unstable();
        holding.into_iter().for_each(|n| stretch.take_in(&self.parts[n].id));
        self.crowds.push(Crowd { stretch, size: 0 });
        self.crowds.len() - 1
    }

    /// What begins beside a crowd belongs to it.
    fn join(&mut self, moment: &Moment) {
        for n in &moment.begin {
            for beside in &self.near[self.device_of[*n]] {
                let Some(crowd) = self.crowded.get(beside) else { continue };
                self.crowds[*crowd].stretch.take_in(&self.parts[*n].id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, device_id, registry};
    use crate::groups::MOST_BESIDE;

    #[test]
    fn distances_are_those_of_the_great_circle() {
        let like = registry().device(&device_id("stn-a")).cloned().unwrap();
        // Mỹ Tho to Cao Lãnh, a degree of longitude on the equator, and over the pole.
        for (one, other, metres) in [
            ((10.36, 106.36), (10.46, 105.63), 80_607.0),
            ((0.0, 0.0), (0.0, 1.0), 111_195.0),
            ((10.0, 106.0), (10.0, 106.0), 0.0),
            ((80.0, 0.0), (80.0, 180.0), 2_223_901.0),
        ] {
            let near = |distance_m: f64| {
                let device = |id: &str, (lat, lon)| sen_model::Device {
                    id: device_id(id),
                    lat,
                    lon,
                    ..like.clone()
                };
                let both = vec![device("one", one), device("other", other)];
                let nearby = Nearby::new(&sen_model::Registry::new(both, Vec::new()), distance_m);
                nearby.among(&[&device_id("one"), &device_id("other"), &device_id("unknown")])
            };
            assert_eq!(near(metres + 100.0), [vec![0, 1], vec![0, 1], vec![]]);
            if metres > 0.0 {
                assert_eq!(near(metres - 100.0), [vec![0], vec![1], vec![]]);
            }
        }
    }

    #[test]
    fn as_many_as_are_kept_all_near_one_another_are_one_crowd_soon_found() {
        let like = registry().device(&device_id("stn-a")).cloned().unwrap();
        let ids: Vec<DeviceId> = (0..MOST_BESIDE).map(|n| device_id(&format!("s-{n}"))).collect();
        let devices = ids.iter().map(|id| sen_model::Device { id: id.clone(), ..like.clone() });
        let nearby =
            Nearby::new(&sen_model::Registry::new(devices.collect(), Vec::new()), 50_000.0);
        let rule = sen_model::RuleId::new("high").unwrap();
        let part = |(id, n): (&DeviceId, i64)| Part {
            id: sen_model::AlertId::of_episode(&rule, "1", id, None, at(n)),
            slot: 0,
            device: id.clone(),
            began: n,
            raised: n,
            cleared: None,
            late: false,
        };
        let parts: Vec<Part> = ids.iter().zip(0..).map(part).collect();
        let found = crowds(&parts, &nearby, 3, 100);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].from, found[0].began), (2, 2));
    }
}
