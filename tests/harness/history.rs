//! What many devices say over many hours, in the order in which it arrives: shuffled, repeated, and
//! some of it far too late. Pure: values only.

use sen_model::{DeviceId, Metric, Quality, SeriesKey};

use crate::chance::Chance;
use crate::oracle::Report;

/// Readings in one packet, at most.
const PACKET: u64 = 9;
/// Of a thousand packets, so many come twice, contradict themselves later, or come hours late.
const TWICE: u64 = 30;
const CONTRADICTED: u64 = 10;
const LATE: u64 = 20;
/// How far packets are shuffled against each other, in milliseconds of event time.
const JITTER_MS: u64 = 90_000;

/// How much is said.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// How many series; four to a device.
    pub series: usize,
    /// Readings of each, repeats not counted.
    pub readings: usize,
    /// When the first one was measured, in milliseconds since 1970 UTC.
    pub begin_ms: i64,
    /// Between two readings of one series, on average.
    pub step_ms: u64,
}

impl Extent {
    /// When the last one was measured, about.
    pub fn end_ms(&self) -> i64 {
        self.begin_ms + self.readings as i64 * self.step_ms as i64
    }
}

/// Packets, each of one series, in the order in which they arrive.
pub fn packets(extent: Extent, chance: &mut Chance) -> Vec<Vec<Report>> {
    let mut arriving: Vec<(i64, Vec<Report>)> = Vec::new();
    for number in 0..extent.series {
        let series = of_number(number);
        let reports = said(&series, extent, chance);
        let mut rest = &reports[..];
        while !rest.is_empty() {
            let (packet, later) = rest.split_at(rest.len().min(1 + chance.below(PACKET) as usize));
            rest = later;
            send(packet, extent, chance, &mut arriving);
        }
    }
    arriving.sort_by_key(|(at, _)| *at);
    arriving.into_iter().map(|(_, packet)| packet).collect()
}

fn of_number(number: usize) -> SeriesKey {
    let device = DeviceId::new(format!("oracle-{}", number / 4));
    let metric = Metric::new(["level_m", "rain_mm", "salinity_g_l", "t_cel"][number % 4]);
    SeriesKey { device: device.expect("a name"), metric: metric.expect("a name") }
}

/// What one series says, in order: a walk in hundredths, with a leap now and then.
fn said(series: &SeriesKey, extent: Extent, chance: &mut Chance) -> Vec<Report> {
    let (mut time_ms, mut hundredths) = (extent.begin_ms, chance.below(2_000) as i64 - 1_000);
    let mut one = |_| {
        time_ms += chance.below(2 * extent.step_ms) as i64;
        hundredths += chance.below(21) as i64 - 10;
        let leap = if chance.per_mille(5) { (chance.share() - 0.5) * 1e9 } else { 0.0 };
        Report {
            series: series.clone(),
            time_ms,
            sequence: chance.below(2) as u32,
            value: hundredths as f64 / 100.0 + leap,
            quality: Quality::Good,
        }
    };
    (0..extent.readings).map(&mut one).collect()
}

/// Puts a packet among those that arrive: once, or more often, or late.
fn send(
    packet: &[Report],
    extent: Extent,
    chance: &mut Chance,
    arriving: &mut Vec<(i64, Vec<Report>)>,
) {
    let Some(last) = packet.last() else { return };
    let mut packet = packet.to_vec();
    chance.shuffle(&mut packet);
    let left = extent.end_ms().saturating_sub(last.time_ms).max(1).unsigned_abs();
    let mut at = last.time_ms + chance.below(JITTER_MS) as i64;
    if chance.per_mille(LATE) {
        at += chance.below(left) as i64;
    }
    if chance.per_mille(TWICE) {
        arriving.push((at + chance.below(left) as i64, packet.clone()));
    }
    if chance.per_mille(CONTRADICTED) {
        let other = |report: &Report| Report { value: report.value + 1.0, ..report.clone() };
        arriving.push((at + chance.below(left) as i64, packet.iter().map(other).collect()));
    }
    arriving.push((at, packet));
}
