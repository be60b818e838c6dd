//! Pure: which alerts are open, by the newest record of each.

use std::collections::BTreeMap;

use sen_model::{AlertId, AlertRecord};
use serde::{Deserialize, Serialize};

/// The open alerts as of a place in the log.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Open(BTreeMap<AlertId, AlertRecord>);

impl Open {
    /// Takes the next record of the log.
    pub(crate) fn fold(&mut self, record: &AlertRecord) {
        if record.state.is_open() {
            self.0.insert(record.id.clone(), record.clone());
        } else {
            self.0.remove(&record.id);
        }
    }

    /// The newest record of each, oldest alert first.
    pub(crate) fn records(&self) -> Vec<AlertRecord> {
        let mut records: Vec<_> = self.0.values().cloned().collect();
        records.sort_by_key(|record| record.started_at);
        records
    }
}
