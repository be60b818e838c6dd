//! What must hold of any history, by the oracle: `PROPTEST_CASES` says how many are tried of each
//! property (256 if it says nothing). `docs/testing.md` lists them.

#![expect(clippy::unwrap_used, reason = "in tests a panic is the report")]

mod alerts;
mod day;
mod histories;
mod intake;
mod merging;
mod oracle_run;
mod streams;
mod windows;

use sen_model::{DeviceId, Metric, SeriesKey};

/// A series by its two names.
fn series(device: &str, metric: &str) -> SeriesKey {
    let (device, metric) = (DeviceId::new(device).unwrap(), Metric::new(metric).unwrap());
    SeriesKey { device, metric }
}
