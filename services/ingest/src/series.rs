//! What is remembered of series: their limits, so that a hostile device costs quarantine and never
//! memory, and what tells readings apart that have no time of their own.

use std::collections::HashMap;

use sen_model::time::MINUTE_MS;
use sen_model::{DeviceId, Metric, RejectReason, Timestamp};

use crate::decode::Reject;

/// How many series there may be. Series of the registry are always let in. The events of a device
/// count like one series of it.
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
    /// The sequence of a series' first reading in a millisecond; see [`Arrivals`].
    first_sequence: u32,
}

/// One device's series.
#[derive(Debug)]
struct Known {
    metrics: HashMap<Metric, Arrivals>,
    /// Whether it reports events.
    events: bool,
    /// Start of the minute in which new series are being counted.
    minute: Timestamp,
    new_in_minute: usize,
    /// Whether this is the device's first minute. After a restart every series is new to us, so a
    /// device may then introduce as many as it may have; only growth after that has a pace.
    first_minute: bool,
}

impl Known {
    fn since(now: Timestamp) -> Self {
        let metrics = HashMap::new();
        Self { metrics, events: false, minute: now, new_in_minute: 0, first_minute: true }
    }

    fn series(&self) -> usize {
        self.metrics.len() + usize::from(self.events)
    }
}

/// The readings of one series whose time is that of their arrival. (Time, sequence) of every such
/// reading is another one, also when the clock is set back, and within a millisecond the sequence
/// grows in the order of arrival.
///
/// The first reading of a millisecond has the process's own first sequence, nearly always the only
/// one, so that stored columns stay of one value; further ones, and those of a time that is not
/// ahead of all earlier ones, count on from there and never begin again.
#[derive(Clone, Copy, Debug, Default)]
struct Arrivals {
    newest: Option<Timestamp>,
    repeats: u32,
}

impl Arrivals {
    fn next(&mut self, received_at: Timestamp, first_sequence: u32) -> u32 {
        if self.newest.is_none_or(|newest| newest < received_at) {
            self.newest = Some(received_at);
            return first_sequence;
        }
        self.repeats = self.repeats.wrapping_add(1);
        first_sequence.wrapping_add(self.repeats)
    }
}

/// The lowest sequence a process begins at: the lower ones are left to devices that count.
const LOWEST_FIRST_SEQUENCE: u32 = 1 << 31;

/// Where the sequences of a process that began at `began` begin. Processes that began at different
/// times begin far from each other, so that a clock that was set back over a restart makes no
/// reading a repetition of an earlier one. At least 2^30 numbers lie ahead of each.
pub(crate) fn first_sequence(began: Timestamp) -> u32 {
    /// 2^64 over the golden ratio: Fibonacci hashing, after Knuth.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let spread = began.as_millis().cast_unsigned().wrapping_mul(SPREAD) >> 34;
    LOWEST_FIRST_SEQUENCE | u32::try_from(spread).unwrap_or_default()
}

impl SeriesBook {
    /// An empty book; see [`first_sequence`].
    pub(crate) fn new(limits: SeriesLimits, first_sequence: u32) -> Self {
        Self { limits, devices: HashMap::new(), total: 0, first_sequence }
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
        if self.devices.get(device).is_some_and(|known| known.metrics.contains_key(metric)) {
            return Ok(());
        }
        self.begin(device, registered, now)?.metrics.insert(metric.clone(), Arrivals::default());
        Ok(())
    }

    /// Lets the events of a device in, or says which limit they break; refused ones leave no trace.
    pub(crate) fn admit_events(
        &mut self,
        device: &DeviceId,
        registered: bool,
        now: Timestamp,
    ) -> Result<(), Reject> {
        if self.devices.get(device).is_some_and(|known| known.events) {
            return Ok(());
        }
        self.begin(device, registered, now)?.events = true;
        Ok(())
    }

    /// The sequence of a reading whose time is that of its arrival; its series was let in.
    pub(crate) fn sequence(
        &mut self,
        device: &DeviceId,
        metric: &Metric,
        received_at: Timestamp,
    ) -> u32 {
        let known = self.devices.get_mut(device);
        let arrivals = known.and_then(|known| known.metrics.get_mut(metric));
        arrivals.map_or(self.first_sequence, |series| series.next(received_at, self.first_sequence))
    }

    /// Counts one more series of a device, or says which limit it breaks.
    fn begin(
        &mut self,
        device: &DeviceId,
        registered: bool,
        now: Timestamp,
    ) -> Result<&mut Known, Reject> {
        if !registered {
            check(&self.limits, self.total, self.devices.get_mut(device), now)?;
        }
        let known = self.devices.entry(device.clone()).or_insert_with(|| Known::since(now));
        known.new_in_minute += usize::from(!registered);
        self.total += 1;
        Ok(known)
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
    if known.series() >= limits.per_device {
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
        let mut book = SeriesBook::new(LIMITS, 0);
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
        let mut book = SeriesBook::new(LIMITS, 0);
        for i in 0..10_000 {
            let refused = admit(&mut book, &format!("dev-{i}"), "a", 0);
            assert_eq!(refused, (i >= 8).then_some(RejectReason::TooManySeries), "{i}");
        }
        assert_eq!((book.len(), book.devices.len()), (8, 8));
        let (device, metric) = (DeviceId::new("river").unwrap(), Metric::new("level_m").unwrap());
        assert!(book.admit(&device, &metric, true, Timestamp::from_millis(0)).is_ok());
    }

    #[test]
    fn events_count_like_a_series() {
        let mut book = SeriesBook::new(LIMITS, 0);
        let mut admit_events = |device: &str, registered| {
            let (device, now) = (DeviceId::new(device).unwrap(), Timestamp::from_millis(0));
            book.admit_events(&device, registered, now).err().map(|reject| reject.reason)
        };
        for i in 0..10_000 {
            let refused = admit_events(&format!("cam-{i}"), false);
            assert_eq!(refused, (i >= 8).then_some(RejectReason::TooManySeries), "{i}");
        }
        assert_eq!(admit_events("cam-0", false), None, "known ones go on");
        assert_eq!(admit_events("camera", true), None, "registered ones get in");
        assert_eq!((book.len(), book.devices.len()), (9, 9));
    }

    #[test]
    fn arrivals_are_all_different_and_grow_within_a_millisecond() {
        let first = first_sequence(Timestamp::from_millis(1_790_000_000_000));
        let mut book = SeriesBook::new(LIMITS, first);
        assert_eq!(admit(&mut book, "dev", "a", 0), None);
        let (device, metric) = (DeviceId::new("dev").unwrap(), Metric::new("a").unwrap());
        // The clock goes on, stands still, is set back, and passes the same times again.
        let clock = [5, 5, 5, 6, 5, 5, 6, 4, 5, 6, 7, 7];
        let mut seen: Vec<(i64, u32)> = Vec::new();
        for ms in clock {
            let sequence = book.sequence(&device, &metric, Timestamp::from_millis(ms));
            let before = seen.iter().filter(|(other, _)| *other == ms);
            assert!(before.clone().all(|(_, other)| *other < sequence), "{ms}: {seen:?}");
            seen.push((ms, sequence));
        }
        assert_eq!(seen[3], (6, first), "the first of a millisecond");
    }

    #[test]
    fn processes_begin_their_sequences_apart() {
        let mut firsts: Vec<u32> =
            (0..1_000).map(|ms| first_sequence(Timestamp::from_millis(ms))).collect();
        firsts.sort_unstable();
        assert!(firsts[0] >= LOWEST_FIRST_SEQUENCE && firsts[999] < u32::MAX - (1 << 29));
        assert!(firsts.windows(2).all(|pair| pair[1] - pair[0] > 100_000), "{firsts:?}");
    }
}
