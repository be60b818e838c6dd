//! The names of all series, kept once, found by one hash.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use hashbrown::HashTable;
use sen_model::{DeviceId, Metric, SeriesKey};

use crate::StoreError;
use crate::point::SeriesId;

/// Names to handles and back. The handle is the place in `keys`.
#[derive(Debug)]
pub(crate) struct Directory {
    keys: Vec<SeriesKey>,
    by_name: HashTable<u32>,
    hasher: RandomState,
    limit: u32,
}

impl Directory {
    /// An empty directory of at most `limit` series.
    pub(crate) fn new(limit: u32) -> Self {
        Self { keys: Vec::new(), by_name: HashTable::new(), hasher: RandomState::new(), limit }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u32 {
        self.keys.len() as u32
    }

    /// The handle of a series if it is known.
    pub(crate) fn find(&self, device: &DeviceId, metric: &Metric) -> Option<SeriesId> {
        let hash = self.hash(device, metric);
        let same = |at: &u32| {
            let key = &self.keys[*at as usize];
            key.device == *device && key.metric == *metric
        };
        self.by_name.find(hash, same).map(|at| SeriesId(*at))
    }

    /// The handle of a series, made if it is new.
    pub(crate) fn add(
        &mut self,
        device: &DeviceId,
        metric: &Metric,
    ) -> Result<SeriesId, StoreError> {
        if let Some(known) = self.find(device, metric) {
            return Ok(known);
        }
        let next = self.len();
        if next >= self.limit {
            return Err(StoreError::TooManySeries { limit: self.limit });
        }
        self.keys.push(SeriesKey { device: device.clone(), metric: metric.clone() });
        let (keys, hasher) = (&self.keys, &self.hasher);
        let hash_of = |at: &u32| {
            let key = &keys[*at as usize];
            hasher.hash_one((key.device.as_str(), key.metric.as_str()))
        };
        self.by_name.insert_unique(hash_of(&next), next, hash_of);
        Ok(SeriesId(next))
    }

    /// Every series with its handle.
    pub(crate) fn all(&self) -> Vec<(SeriesId, SeriesKey)> {
        self.from(0, usize::MAX)
    }

    /// At most `limit` series from the handle `first` on.
    pub(crate) fn from(&self, first: u32, limit: usize) -> Vec<(SeriesId, SeriesKey)> {
        let rest = self.keys.iter().skip(first as usize).take(limit);
        (first..).map(SeriesId).zip(rest.cloned()).collect()
    }

    fn hash(&self, device: &DeviceId, metric: &Metric) -> u64 {
        self.hasher.hash_one((device.as_str(), metric.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_dense_stable_and_bounded() {
        let mut directory = Directory::new(1_000);
        let metric = Metric::new("m").unwrap();
        let device = |at: u32| DeviceId::new(format!("device-{at}")).unwrap();
        for at in 0..1_000 {
            assert_eq!(directory.find(&device(at), &metric), None);
            assert_eq!(directory.add(&device(at), &metric).unwrap(), SeriesId(at));
        }
        assert_eq!(directory.find(&device(7), &metric), Some(SeriesId(7)));
        assert_eq!(directory.add(&device(7), &metric).unwrap(), SeriesId(7));
        let refused = directory.add(&device(1_000), &metric);
        assert!(matches!(refused, Err(StoreError::TooManySeries { limit: 1_000 })));
        assert_eq!((directory.all().len(), directory.from(990, 7).len()), (1_000, 7));
    }
}
