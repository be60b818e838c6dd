//! The topics as the roles open them.

use sen_log::{Log, OpenError, Topic};
use sen_model::ReadingBatch;

use crate::wiring::topics::READINGS;

/// The name of the readings.
const NAME: &str = "readings";

/// What keeps its order and its partition: a device.
fn device(batch: &ReadingBatch) -> &str {
    batch.device.as_str()
}

/// All readings, followed.
pub(super) fn readings(log: &Log) -> Result<Topic<ReadingBatch>, OpenError> {
    log.batched_topic(NAME, READINGS, device)
}

/// All readings, to append.
pub(super) fn readings_to_write(log: &Log) -> Result<Topic<ReadingBatch>, OpenError> {
    log.writing_batched_topic(NAME, READINGS, device)
}

/// The readings of one partition, followed.
pub(super) fn partition(log: &Log, partition: u32) -> Result<Topic<ReadingBatch>, OpenError> {
    log.partition_topic(NAME, partition, READINGS)
}
