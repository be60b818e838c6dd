//! Limits on series: a hostile device costs quarantine, never memory.

use std::collections::{HashMap, HashSet};

use sen_model::time::MINUTE_MS;
use sen_model::{DeviceId, Metric, RejectReason, Timestamp};

use crate::decode::Reject;

/// How many series there may be. Series of the registry are always let in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeriesLimits {
    /// Series of one device.
    pub per_device: usize,
    /// Series of all devices.
    pub total: usize,
    /// New series of one device in one minute, once the device has been known for a minute.
    pub new_per_minute: usize,
}

/// The series heard since this process started. It holds at most `limits.total` series that are
/// not in the registry, and a device only with its series, so its memory has a bound.
#[derive(Debug)]
pub(crate) struct SeriesBook {
    limits: SeriesLimits,
    devices: HashMap<DeviceId, Known>,
    total: usize,
}

/// One device's series.
#[derive(Debug)]
struct Known {
    metrics: HashSet<Metric>,
    /// Start of the minute in which new series are being counted.
    minute: Timestamp,
    new_in_minute: usize,
    /// Whether this is the device's first minute. After a restart every series is new to us, so a
    /// device may then introduce as many as it may have; only growth after that has a pace.
    first_minute: bool,
}

impl SeriesBook {
    /// An empty book.
    pub(crate) fn new(limits: SeriesLimits) -> Self {
        Self { limits, devices: HashMap::new(), total: 0 }
    }

    /// How many series are known.
    pub(crate) fn len(&self) -> usize {
        self.total
    }

    /// Lets a series in, or says which limit it breaks; a refused one leaves no trace.
    pub(crate) fn admit(
        &mut self,
        device: &DeviceId,
        metric: &Metric,
        registered: bool,
        now: Timestamp,
    ) -> Result<(), Reject> {
        let known = self.devices.get_mut(device);
        if known.as_ref().is_some_and(|known| known.metrics.contains(metric)) {
            return Ok(());
        }
        if !registered {
            check(&self.limits, self.total, known, now)?;
        }
        let entry = self.devices.entry(device.clone()).or_insert_with(|| Known {
            metrics: HashSet::new(),
            minute: now,
            new_in_minute: 0,
            first_minute: true,
        });
        entry.metrics.insert(metric.clone());
        entry.new_in_minute += usize::from(!registered);
        self.total += 1;
        Ok(())
    }
}

fn check(
    limits: &SeriesLimits,
    total: usize,
    known: Option<&mut Known>,
    now: Timestamp,
) -> Result<(), Reject> {
    let reject = |reason, detail| Err(Reject::new(reason, detail));
    if total >= limits.total {
        let detail = format!("the centre already has {} series", limits.total);
        return reject(RejectReason::TooManySeries, detail);
    }
    let Some(known) = known else { return Ok(()) };
    if known.metrics.len() >= limits.per_device {
        let detail = format!("the device already has {} series", limits.per_device);
        return reject(RejectReason::TooManySeries, detail);
    }
    if now.since_ms(known.minute) >= MINUTE_MS {
        (known.minute, known.new_in_minute, known.first_minute) = (now, 0, false);
    }
    if !known.first_minute && known.new_in_minute >= limits.new_per_minute {
        let detail = format!("more than {} new series in a minute", limits.new_per_minute);
        return reject(RejectReason::NewSeriesTooFast, detail);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SeriesLimits = SeriesLimits { per_device: 5, total: 8, new_per_minute: 2 };

    fn admit(book: &mut SeriesBook, device: &str, metric: &str, ms: i64) -> Option<RejectReason> {
        let (device, metric) = (DeviceId::new(device).unwrap(), Metric::new(metric).unwrap());
        let now = Timestamp::from_millis(ms);
        book.admit(&device, &metric, false, now).err().map(|reject| reject.reason)
    }

    #[test]
    fn a_device_may_introduce_itself_and_then_grow_slowly() {
        let mut book = SeriesBook::new(LIMITS);
        for metric in ["a", "b"] {
            assert_eq!(admit(&mut book, "dev", metric, 0), None);
        }
        assert_eq!(admit(&mut book, "dev", "c", MINUTE_MS), None);
        assert_eq!(admit(&mut book, "dev", "d", MINUTE_MS), None);
        let fast = Some(RejectReason::NewSeriesTooFast);
        assert_eq!(admit(&mut book, "dev", "e", MINUTE_MS + 1), fast);
        assert_eq!(admit(&mut book, "dev", "a", MINUTE_MS + 1), None, "known series are not new");
        assert_eq!(admit(&mut book, "dev", "e", 2 * MINUTE_MS), None);
        let many = Some(RejectReason::TooManySeries);
        assert_eq!(admit(&mut book, "dev", "f", 9 * MINUTE_MS), many);
    }

    #[test]
    fn a_crowd_of_devices_costs_no_memory_and_registered_ones_still_get_in() {
        let mut book = SeriesBook::new(LIMITS);
        for i in 0..10_000 {
            let refused = admit(&mut book, &format!("dev-{i}"), "a", 0);
            assert_eq!(refused, (i >= 8).then_some(RejectReason::TooManySeries), "{i}");
        }
        assert_eq!((book.len(), book.devices.len()), (8, 8));
        let (device, metric) = (DeviceId::new("river").unwrap(), Metric::new("level_m").unwrap());
        assert!(book.admit(&device, &metric, true, Timestamp::from_millis(0)).is_ok());
    }
}
