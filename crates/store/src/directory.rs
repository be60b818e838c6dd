//! The names of all series, kept once, found by one hash.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use hashbrown::HashTable;
use sen_model::{DeviceId, Metric, SeriesKey};

use crate::StoreError;
use crate::point::SeriesId;

/// Names to handles and back. The handle is the place in `keys`.
///
/// A series that is forgotten leaves a hole; only the next open fills holes, so that nobody who
/// still has its handle meets another series.
#[derive(Debug)]
pub(crate) struct Directory {
    keys: Vec<Option<SeriesKey>>,
    /// Holes found when it was opened.
    free: Vec<u32>,
    /// Those whose names are not on disk yet, in order of their making.
    unsaved: Vec<u32>,
    by_name: HashTable<u32>,
    hasher: RandomState,
    limit: u32,
}

impl Directory {
    /// The directory of these series, in order of their handles; `limit` is for new ones.
    pub(crate) fn new(limit: u32, saved: impl Iterator<Item = (u32, SeriesKey)>) -> Self {
        let mut directory = Self {
            keys: Vec::new(),
            free: Vec::new(),
            unsaved: Vec::new(),
            by_name: HashTable::new(),
            hasher: RandomState::new(),
            limit,
        };
        for (at, key) in saved {
            directory.put(at, key);
        }
        let holes = (0..).zip(&directory.keys).filter(|(_, key)| key.is_none());
        directory.free = holes.map(|(at, _)| at).collect();
        directory
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u32 {
        self.by_name.len() as u32
    }

    /// Whether a handle is that of a series.
    pub(crate) fn has(&self, series: SeriesId) -> bool {
        self.keys.get(series.index()).is_some_and(Option::is_some)
    }

    /// The names of a series.
    pub(crate) fn name(&self, series: SeriesId) -> Option<SeriesKey> {
        self.keys.get(series.index()).cloned().flatten()
    }

    /// The handle of a series if it is known.
    pub(crate) fn find(&self, device: &DeviceId, metric: &Metric) -> Option<SeriesId> {
        let hash = self.hash(device, metric);
        let same = |at: &u32| {
            let key = self.keys[*at as usize].as_ref();
            key.is_some_and(|key| key.device == *device && key.metric == *metric)
        };
        self.by_name.find(hash, same).map(|at| SeriesId(*at))
    }

    /// The handle of a series, made if it is new; beyond the limit only if it `may_exceed` it.
    pub(crate) fn add(
        &mut self,
        device: &DeviceId,
        metric: &Metric,
        may_exceed: bool,
    ) -> Result<SeriesId, StoreError> {
        if let Some(known) = self.find(device, metric) {
            return Ok(known);
        }
        if self.len() >= self.limit && !may_exceed {
            return Err(StoreError::TooManySeries { limit: self.limit });
        }
        let at = self.free.pop().unwrap_or(self.keys.len() as u32);
        self.put(at, SeriesKey { device: device.clone(), metric: metric.clone() });
        self.unsaved.push(at);
        Ok(SeriesId(at))
    }

    /// Every series with its handle.
    pub(crate) fn all(&self) -> Vec<(SeriesId, SeriesKey)> {
        let known = (0..).zip(&self.keys);
        known.filter_map(|(at, key)| Some((SeriesId(at), key.clone()?))).collect()
    }

    /// At most `limit` of the series whose names are not on disk, after the first `skipped`.
    pub(crate) fn unsaved(&self, skipped: usize, limit: usize) -> Vec<(SeriesId, SeriesKey)> {
        let some = self.unsaved.iter().skip(skipped).take(limit);
        let named = |at: &u32| Some((SeriesId(*at), self.keys[*at as usize].clone()?));
        some.filter_map(named).collect()
    }

    /// The names of the first `count` of them are on disk now.
    pub(crate) fn saved(&mut self, count: usize) {
        self.unsaved.drain(..count.min(self.unsaved.len()));
    }

    /// Forgets a series whose name is on disk no more.
    pub(crate) fn forget(&mut self, series: SeriesId) {
        let Some(key) = self.keys.get_mut(series.index()).and_then(Option::take) else { return };
        let hash = self.hash(&key.device, &key.metric);
        if let Ok(entry) = self.by_name.find_entry(hash, |at| *at == series.0) {
            entry.remove();
        }
    }

    fn put(&mut self, at: u32, key: SeriesKey) {
        let hash = self.hash(&key.device, &key.metric);
        let index = at as usize;
        if index >= self.keys.len() {
            self.keys.resize(index + 1, None);
        }
        self.keys[index] = Some(key);
        let (keys, hasher) = (&self.keys, &self.hasher);
        let hash_of = |at: &u32| {
            let key = keys[*at as usize].as_ref();
            key.map_or(0, |key| hasher.hash_one((key.device.as_str(), key.metric.as_str())))
        };
        self.by_name.insert_unique(hash, at, hash_of);
    }

    fn hash(&self, device: &DeviceId, metric: &Metric) -> u64 {
        self.hasher.hash_one((device.as_str(), metric.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(at: u32) -> DeviceId {
        DeviceId::new(format!("device-{at}")).unwrap()
    }

    #[test]
    fn handles_are_dense_stable_and_bounded() {
        let mut directory = Directory::new(1_000, std::iter::empty());
        let metric = Metric::new("m").unwrap();
        for at in 0..1_000 {
            assert_eq!(directory.find(&device(at), &metric), None);
            assert_eq!(directory.add(&device(at), &metric, false).unwrap(), SeriesId(at));
        }
        assert_eq!(directory.find(&device(7), &metric), Some(SeriesId(7)));
        assert_eq!(directory.add(&device(7), &metric, false).unwrap(), SeriesId(7));
        let refused = directory.add(&device(1_000), &metric, false);
        assert!(matches!(refused, Err(StoreError::TooManySeries { limit: 1_000 })));
        assert_eq!(directory.add(&device(1_000), &metric, true).unwrap(), SeriesId(1_000));
        assert_eq!((directory.all().len(), directory.unsaved(990, 7).len()), (1_001, 7));
        directory.saved(1_000);
        assert_eq!(directory.unsaved(0, 7)[0].0, SeriesId(1_000));
    }

    #[test]
    fn a_forgotten_series_makes_room_but_its_handle_rests_until_the_next_open() {
        let metric = Metric::new("m").unwrap();
        let key = |at: u32| (at, SeriesKey { device: device(at), metric: metric.clone() });
        let mut directory = Directory::new(3, [key(0), key(1), key(2)].into_iter());
        directory.forget(SeriesId(1));
        directory.forget(SeriesId(1));
        assert_eq!((directory.len(), directory.find(&device(1), &metric)), (2, None));
        assert_eq!(directory.add(&device(9), &metric, false).unwrap(), SeriesId(3));
        assert!(directory.add(&device(1), &metric, false).is_err());

        let mut reopened = Directory::new(5, [key(0), key(2), key(4)].into_iter());
        let handles = [7, 8].map(|at| reopened.add(&device(at), &metric, false).unwrap());
        assert_eq!(handles, [SeriesId(3), SeriesId(1)]);
        assert!(reopened.add(&device(9), &metric, false).is_err());
        assert_eq!(reopened.unsaved(0, 9).len(), 2);
    }
}
