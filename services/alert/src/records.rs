//! Pure: what a step of the judge wants written, by the log it belongs to, each in order.

use sen_model::{AlertRecord, DeskRecord};

/// Records on their way to the logs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Records {
    /// Entries of the desk: they go first, because alerts speak of them.
    pub(crate) desk: Vec<DeskRecord>,
    /// Alerts that people see.
    pub(crate) alerts: Vec<AlertRecord>,
    /// Alerts of rules on trial.
    pub(crate) shadow: Vec<AlertRecord>,
}

impl Records {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.desk.len() + self.alerts.len() + self.shadow.len()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
